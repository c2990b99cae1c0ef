//! Config files that no `[[config]]` claims, and trees without any manifest.

use std::collections::BTreeMap;
use std::sync::Arc;

use headwater_wire::{ConfigName, Finding, RepoPath, Severity, Span};

use super::names::Names;
use super::{Plan, Planned, Planner, Watched, inputs};
use crate::limits::Limits;
use crate::manifest;
use crate::manifest::model::{Defaults, Unmatched};
use crate::secrets::mask::is_schema_by_name;
use crate::suggest;
use crate::tree::{ConfigTree, Entry};
use headwater_render::Format;

/// Extensions of config files, in the order they are looked for.
const EXTENSIONS: [&str; 4] = ["toml", "json", "yaml", "yml"];

/// Every config file is a config.
pub(super) fn without_manifest(tree: &ConfigTree, server: &Limits) -> Plan {
    let mut plan = Plan::empty(Defaults::without_manifest(), (server.clone(), server));
    let names = Arc::new(Names::default());
    let mut others: BTreeMap<ConfigName, RepoPath> = BTreeMap::new();
    let mut files: BTreeMap<ConfigName, Vec<&RepoPath>> = BTreeMap::new();
    for (path, entry) in tree.iter().filter(|(path, _)| Format::of(path).is_some()) {
        let Some(name) = name_of(path, &mut plan.findings) else {
            continue;
        };
        match entry {
            Entry::File(_) => files.entry(name).or_default().push(path),
            Entry::Symlink | Entry::Submodule => {
                others.insert(name, path.clone());
            }
        }
    }
    for (name, paths) in files {
        if let [path] = paths.as_slice() {
            plan.configs
                .insert(name, Arc::new(single(tree, &plan.defaults, path, &names)));
        } else {
            plan.findings.extend(same_name(&name, &paths));
            plan.blocked
                .extend(paths.first().map(|path| (name, (*path).clone())));
        }
    }
    others.retain(|name, _| !plan.configs.contains_key(name));
    for (name, path) in others {
        plan.blocked.entry(name).or_insert(path);
    }
    plan
}

impl Planner<'_> {
    /// Judges the config files that are left over.
    pub(super) fn plan_rest(&mut self) {
        let tree = self.tree;
        for (path, entry) in tree.iter() {
            let is_left =
                Format::of(path).is_some() && path.as_str() != manifest::PATH && !self.claimed.contains(path);
            if !is_left {
                continue;
            }
            if self.is_schema(path) {
                self.plan.schemas.insert(path.clone());
            } else if matches!(entry, Entry::File(_))
                && !self.manifest.defaults.ignore.is_match(path.as_str())
            {
                self.plan_unmatched(path);
            }
        }
    }

    /// A schema is one by the manifest, or by its name: `x.schema.json`. Its content is not looked at.
    fn is_schema(&self, path: &RepoPath) -> bool {
        let by_name = is_schema_by_name(path.as_str());
        let patterns = self
            .manifest
            .configs
            .iter()
            .filter_map(|entry| entry.schema.as_ref());
        by_name
            || patterns
                .into_iter()
                .any(|pattern| pattern.value.captures(path.as_str()).is_some())
    }

    fn plan_unmatched(&mut self, path: &RepoPath) {
        if let Some(known) = self.closed_directory(path) {
            let near = suggest::closest(
                path.as_str(),
                known.iter().take(self.suggestions()).map(String::as_str),
            );
            let finding = at_file(
                "manifest/unknown-layer",
                Severity::Error,
                path,
                "no layer names this file",
            );
            self.plan.findings.push(finding.hint(match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => "name it in `layers`, ignore it, or remove it".to_owned(),
            }));
            return;
        }
        let severity = match self.manifest.defaults.unmatched {
            Unmatched::Serve => return self.serve(path),
            Unmatched::Warn => Severity::Warning,
            Unmatched::Reject => Severity::Error,
        };
        let finding = at_file(
            "manifest/unmatched",
            severity,
            path,
            "no `[[config]]` claims this file",
        );
        self.plan
            .findings
            .push(finding.hint("name it in `layers`, add it to `defaults.ignore`, or remove it"));
    }

    /// What may stand in the closed directory that holds `path`, if there is one.
    fn closed_directory(&self, path: &RepoPath) -> Option<&std::collections::BTreeSet<String>> {
        let mut directory = path.parent();
        while let Some(current) = directory {
            if let Some(known) = self.closed.get(current) {
                return Some(known);
            }
            directory = current.rsplit_once('/').map(|(parent, _)| parent);
        }
        None
    }

    fn serve(&mut self, path: &RepoPath) {
        let Some(name) = name_of(path, &mut self.plan.findings) else {
            return;
        };
        self.documents += 1;
        if self.documents > self.plan.limits.documents {
            if self.documents == self.plan.limits.documents + 1 {
                let message = format!(
                    "the tree holds more documents than the limit: `{}`",
                    self.plan.limits.documents
                );
                let finding = at_file("limit/documents", Severity::Error, path, message);
                self.plan
                    .findings
                    .push(finding.hint("add files to `defaults.ignore`, or split the repository"));
            }
            return;
        }
        if let Some(declared) = self.declared.get(&name) {
            let span = self.index.span(*declared);
            let message = format!("this file would be a config that the manifest declares: `{name}`");
            let finding = at_file("manifest/duplicate-name", Severity::Error, path, message);
            let finding = finding
                .related(manifest::PATH, span, "declared here")
                .config(&name);
            self.plan
                .findings
                .push(finding.hint("name it in `layers`, add it to `defaults.ignore`, or rename one"));
        } else if let Some(first) = self.plan.configs.get(&name) {
            let paths: Vec<&RepoPath> = first.layers.iter().chain([path]).collect();
            let findings = same_name(&name, &paths);
            self.plan.findings.extend(findings);
        } else {
            let planned = single(self.tree, &self.manifest.defaults, path, &self.names);
            self.plan.configs.insert(name, Arc::new(planned));
        }
    }
}

/// A config of one file. Its inputs change too when a second file takes its name, or a manifest claims it.
fn single(tree: &ConfigTree, defaults: &Defaults, path: &RepoPath, names: &Arc<Names>) -> Planned {
    let stem = path.without_extension();
    let siblings = EXTENSIONS
        .iter()
        .filter_map(|extension| format!("{stem}.{extension}").parse::<RepoPath>().ok());
    let watched = Watched {
        paths: siblings.chain(manifest::PATH.parse::<RepoPath>()).collect(),
        names: Arc::clone(names),
    };
    let layers = vec![path.clone()];
    let inputs = inputs(tree, defaults, &layers, &[], watched);
    Planned {
        layers,
        variants: Vec::new(),
        schema: None,
        owners: Vec::new(),
        rollout: None,
        inputs,
        terms: Arc::default(),
    }
}

fn name_of(path: &RepoPath, findings: &mut Vec<Finding>) -> Option<ConfigName> {
    let name = path.without_extension().parse::<ConfigName>().ok();
    if name.is_none() {
        let message = format!(
            "a file cannot be a config of this name: `{}`",
            path.without_extension()
        );
        findings.push(at_file("tree/config-name", Severity::Warning, path, message).hint("rename the file"));
    }
    name
}

/// One finding at each file after the first.
fn same_name(name: &ConfigName, paths: &[&RepoPath]) -> Vec<Finding> {
    let Some((first, rest)) = paths.split_first() else {
        return Vec::new();
    };
    let finding = |path: &&RepoPath| {
        at_file(
            "tree/same-name",
            Severity::Error,
            path,
            format!("two files would be one config: `{name}`"),
        )
        .related(first.as_str(), Span::START, "the first is this file")
        .config(name)
        .hint("keep one of the files, or rename one")
    };
    rest.iter().map(finding).collect()
}

fn at_file(code: &str, severity: Severity, path: &RepoPath, message: impl Into<String>) -> Finding {
    Finding::new(code, severity, (path.as_str(), Span::START), message)
}
