//! One `[[config]]` of the manifest, turned into the configs it yields.

use std::collections::BTreeSet;
use std::sync::Arc;

use headwater_wire::{ConfigName, RepoPath, Severity};

use super::layer::{self, Resolved};
use super::{Planned, PlannedVariant, Planner, Terms, Watched, Written};
use crate::manifest;
use crate::manifest::model::{ConfigEntry, Spanned, UnknownLayers};
use crate::pattern::{Bindings, Pattern};
use crate::suggest;
use headwater_render::Format;

/// The files of a config so far.
#[derive(Default)]
struct Files {
    layers: Vec<RepoPath>,
    /// Files that a layer names without wildcard; those are not taken by a wildcard too.
    named: BTreeSet<RepoPath>,
    watched: Vec<RepoPath>,
}

impl Written {
    fn of(entry: &ConfigEntry) -> Self {
        Self {
            schema: entry.schema.as_ref().map(|schema| schema.value.shown()),
            owners: entry.owners.iter().map(Pattern::shown).collect(),
            unknown_layers: entry.unknown_layers,
        }
    }
}

impl Planner<'_> {
    pub(super) fn plan_entry(&mut self, entry: &ConfigEntry) {
        let Some(all) = self.bindings(entry) else { return };
        if all.is_empty() {
            let first = entry
                .layers
                .first()
                .map_or_else(String::new, |layer| layer.value.shown());
            let message =
                format!("this entry yields no config, since no file is like its first layer: `{first}`");
            let mut finding = self.error(entry.range, "manifest/no-config", message);
            finding.severity = Severity::Warning;
            self.plan
                .findings
                .push(finding.hint("add such a file, or remove the entry"));
        }
        let written = Arc::new(Written::of(entry));
        for bindings in all {
            self.documents += 1 + entry.variants.len();
            if self.documents > self.plan.limits.documents {
                let message = format!(
                    "the manifest declares more documents than the limit: `{}`",
                    self.plan.limits.documents
                );
                let finding = self.error(entry.range, "limit/documents", message);
                self.plan
                    .findings
                    .push(finding.hint("shorten `bind`, or split the repository"));
                return;
            }
            self.plan_config((entry, &written), &bindings);
        }
    }

    /// All values the placeholders take: the cross product of `bind`, and for each what the first layer finds.
    /// `None` after a finding.
    fn bindings(&mut self, entry: &ConfigEntry) -> Option<BTreeSet<Bindings>> {
        let size = entry.bind.values().map(Vec::len).fold(1, usize::saturating_mul);
        if size > self.plan.limits.documents {
            let message = format!(
                "`bind` declares more documents than the limit: `{}`",
                self.plan.limits.documents
            );
            let finding = self.error(entry.range, "limit/documents", message);
            self.plan
                .findings
                .push(finding.hint("shorten `bind`, or split the repository"));
            return None;
        }
        let mut products = vec![Bindings::new()];
        for (name, values) in &entry.bind {
            let with = |product: &Bindings, value: &String| {
                let mut product = product.clone();
                product.insert(name.clone(), value.clone());
                product
            };
            products = products
                .iter()
                .flat_map(|product| values.iter().map(move |value| with(product, value)))
                .collect();
        }
        let first = &entry.layers.first()?.value;
        Some(
            products
                .into_iter()
                .flat_map(|product| self.found_by(first, product))
                .collect(),
        )
    }

    fn found_by(&self, first: &Pattern, product: Bindings) -> Vec<Bindings> {
        let bound = first.bind(&product);
        if bound.placeholders().next().is_none() {
            return vec![product];
        }
        let captures = layer::matching(self.tree, &bound).filter_map(|path| bound.captures(path.as_str()));
        captures
            .map(|mut found| {
                found.extend(product.clone());
                found
            })
            .collect()
    }

    fn plan_config(&mut self, (entry, written): (&ConfigEntry, &Arc<Written>), bindings: &Bindings) {
        let Some(name) = self.config_name(entry, bindings) else {
            return;
        };
        let before = self.plan.findings.len();
        let mut files = Files::default();
        files.watched.extend(manifest::PATH.parse::<RepoPath>());
        self.add_layers(&mut files, &entry.layers, bindings, &name);
        let mut variants = Vec::new();
        for variant in &entry.variants {
            let mut own = Files {
                layers: files.layers.clone(),
                named: files.named.clone(),
                watched: Vec::new(),
            };
            self.add_layers(&mut own, &variant.layers, bindings, &name);
            files.watched.append(&mut own.watched);
            variants.push(PlannedVariant {
                name: variant.name.clone(),
                when: variant.when.clone(),
                matchers: variant.matchers.clone(),
                layers: own.layers.split_off(files.layers.len()),
            });
        }
        self.close_directory(entry, &files);
        let schema = self.schema(entry, bindings, &name);
        if files.layers.is_empty() && self.plan.findings.len() > before {
            return;
        }
        if files.layers.is_empty() {
            let message = format!("no layer of this config is there: `{name}`");
            let finding = self
                .error(entry.range, "manifest/layer-missing", message)
                .config(&name);
            self.plan.findings.push(finding.hint("add one of its files"));
            return;
        }
        self.claimed.extend(
            files
                .layers
                .iter()
                .chain(variants.iter().flat_map(|variant| &variant.layers))
                .cloned(),
        );
        let watched = Watched {
            paths: files.watched,
            names: Arc::clone(&self.names),
        };
        let defaults = &self.manifest.defaults;
        let inputs = super::inputs(self.tree, defaults, &files.layers, &variants, watched);
        let owners = entry
            .owners
            .iter()
            .map(|owner| owner.bind(bindings).shown())
            .collect();
        let planned = Planned {
            layers: files.layers,
            variants,
            schema,
            owners,
            rollout: entry.rollout.clone(),
            inputs,
            terms: Arc::new(Terms {
                declared: Some(entry.range),
                rules: entry.rules.iter().map(|id| id.value.clone()).collect(),
                bindings: bindings.clone(),
                written: Arc::clone(written),
            }),
        };
        self.plan.configs.insert(name, Arc::new(planned));
    }

    /// The name, if it is one and nobody has it.
    fn config_name(&mut self, entry: &ConfigEntry, bindings: &Bindings) -> Option<ConfigName> {
        let text = entry.name.value.bind(bindings).shown();
        let Ok(name) = text.parse::<ConfigName>() else {
            let finding = self.error(
                entry.name.range,
                "manifest/config-name",
                format!("not a name of a config: `{text}`"),
            );
            self.plan
                .findings
                .push(finding.hint("write a relative path such as `payments/prod`"));
            return None;
        };
        if let Some(first) = self.declared.insert(name.clone(), entry.name.range) {
            let finding = self.error(
                entry.name.range,
                "manifest/duplicate-name",
                format!("two configs have one name: `{name}`"),
            );
            let finding = if first == entry.name.range {
                finding.hint("use every placeholder of the first layer and of `bind` in `name`")
            } else {
                finding
                    .related(
                        manifest::PATH,
                        self.index.span(first),
                        "the first is declared here",
                    )
                    .hint("rename one")
            };
            self.plan.findings.push(finding.config(&name));
            return None;
        }
        Some(name)
    }

    fn add_layers(
        &mut self,
        files: &mut Files,
        patterns: &[Spanned<Pattern>],
        bindings: &Bindings,
        name: &ConfigName,
    ) {
        let bound: Vec<(Pattern, &Spanned<Pattern>)> = patterns
            .iter()
            .map(|pattern| (pattern.value.bind(bindings), pattern))
            .collect();
        for (pattern, _) in bound.iter().filter(|(pattern, _)| !pattern.has_wildcard()) {
            if let Resolved::Files(found) = layer::resolve(self.tree, pattern) {
                files.named.extend(found);
            }
        }
        for (pattern, written) in &bound {
            files.watched.extend(layer::watched(pattern));
            match layer::resolve(self.tree, pattern) {
                Resolved::Files(found) => {
                    if let Some(twice) = layer::append(&mut files.layers, found, &files.named, pattern) {
                        let message = format!("two layers of this config are one file: `{twice}`");
                        let finding = self
                            .error(written.range, "manifest/layer-twice", message)
                            .config(name);
                        self.plan.findings.push(finding.hint("remove one of the layers"));
                    }
                }
                Resolved::Missing => {
                    self.missing(written, pattern, ("manifest/layer-missing", "layer"), name);
                }
                Resolved::Ambiguous(found) => {
                    self.ambiguous(written, &found, "manifest/layer-ambiguous", name);
                }
            }
        }
    }

    fn schema(&mut self, entry: &ConfigEntry, bindings: &Bindings, name: &ConfigName) -> Option<RepoPath> {
        let written = entry.schema.as_ref()?;
        let pattern = written.value.bind(bindings);
        match layer::resolve(self.tree, &pattern) {
            Resolved::Files(mut found) => found.pop().filter(|path| self.is_schema_format(written, path)),
            Resolved::Missing => {
                self.missing(written, &pattern, ("manifest/schema-missing", "schema"), name);
                None
            }
            Resolved::Ambiguous(found) => {
                self.ambiguous(written, &found, "manifest/schema-ambiguous", name);
                None
            }
        }
    }

    fn is_schema_format(&mut self, written: &Spanned<Pattern>, path: &RepoPath) -> bool {
        if Format::of(path).is_some() {
            self.plan.schemas.insert(path.clone());
            return true;
        }
        let finding = self.error(
            written.range,
            "manifest/pattern",
            format!("a schema is no JSON, YAML or TOML file: `{path}`"),
        );
        self.plan
            .findings
            .push(finding.hint("give it the extension of its format"));
        false
    }

    fn missing(
        &mut self,
        written: &Spanned<Pattern>,
        pattern: &Pattern,
        (code, what): (&str, &str),
        name: &ConfigName,
    ) {
        let shown = pattern.shown();
        let finding = self
            .error(written.range, code, format!("a {what} is not there: `{shown}`"))
            .config(name);
        let directory = shown
            .rsplit_once('/')
            .map_or(String::new(), |(directory, _)| format!("{directory}/"));
        let neighbours = self
            .tree
            .below(&directory)
            .take(self.suggestions())
            .map(|(path, _)| path.as_str());
        let near = suggest::closest(&shown, neighbours);
        self.plan.findings.push(finding.hint(match near {
            Some(near) => format!("did you mean `{near}`? else add the file, or end the {what} with `?`"),
            None => format!("add the file, or end the {what} with `?` if it may be absent"),
        }));
    }

    fn ambiguous(&mut self, written: &Spanned<Pattern>, found: &[RepoPath], code: &str, name: &ConfigName) {
        self.claimed.extend(found.iter().cloned());
        let message = format!("more than one alternative is there: {}", suggest::list(found));
        let finding = self.error(written.range, code, message).config(name);
        self.plan.findings.push(finding.hint("keep one of the files"));
    }

    /// Remembers the directory of the first layer, and what may be in it, where unknown files are denied.
    fn close_directory(&mut self, entry: &ConfigEntry, files: &Files) {
        let first = files.layers.first().or_else(|| files.watched.get(1));
        if entry.unknown_layers == UnknownLayers::Deny
            && let Some(directory) = first.and_then(RepoPath::parent)
        {
            let known = self.closed.entry(directory.to_owned()).or_default();
            known.extend(files.watched.iter().map(ToString::to_string));
        }
    }
}
