//! Which configs a tree declares and which files make each, from the manifest and the names in the tree.
//!
//! Invariant: no file besides the manifest is read here, so that the plan of an old commit costs next to nothing and
//! the inputs of a config are the same whether or not its documents were parsed.

mod entry;
mod layer;
pub(crate) mod names;
mod rest;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use globset::GlobMatcher;
use headwater_wire::{ConfigName, Finding, RepoPath};

use crate::document::lines::LineIndex;
use crate::document::{MergeKeys, ParseOptions, Range, TomlVersion};
use crate::inputs::Inputs;
use crate::limits::Limits;
use crate::manifest;
use crate::manifest::model::{Defaults, Manifest, UnknownLayers};
use crate::manifest::protect::Protect;
use crate::merge::Nulls;
use crate::pattern::Bindings;
use crate::rollout::RolloutPolicy;
use crate::rules::rule::Rule;
use crate::secrets::mask::Mask;
use crate::tree::{ConfigTree, Entry, File};
use names::Names;

/// Most findings that are made with a suggestion.
const SUGGESTED_FINDINGS: usize = 200;

/// Most words that a suggestion is chosen from.
const SUGGESTED_FROM: usize = 1_000;

/// What is to be parsed, merged and checked.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) configs: BTreeMap<ConfigName, Arc<Planned>>,
    /// Names that a file stands for and that cannot be a config; only without manifest.
    pub(crate) blocked: BTreeMap<ConfigName, RepoPath>,
    pub(crate) defaults: Defaults,
    pub(crate) limits: Limits,
    /// The server's limits, which the manifest may have lowered.
    server: Limits,
    pub(crate) rollouts: BTreeMap<String, RolloutPolicy>,
    pub(crate) rules: BTreeMap<String, Rule>,
    pub(crate) protect: Protect,
    pub(crate) has_manifest: bool,
    /// The manifest, for the lines and columns of what it says.
    pub(crate) manifest: Option<Arc<[u8]>>,
    /// What is secret in the tree.
    pub(crate) mask: Mask,
    /// Files that are schemas by their name or by the manifest.
    pub(crate) schemas: BTreeSet<RepoPath>,
    pub(crate) findings: Vec<Finding>,
}

/// One config before its files are read.
#[derive(Debug, Clone)]
pub(crate) struct Planned {
    /// Files of the base document, lowest first; never empty.
    pub(crate) layers: Vec<RepoPath>,
    pub(crate) variants: Vec<PlannedVariant>,
    pub(crate) schema: Option<RepoPath>,
    pub(crate) owners: Vec<String>,
    pub(crate) rollout: Option<String>,
    pub(crate) inputs: Inputs,
    pub(crate) terms: Arc<Terms>,
}

/// What the manifest says of a config besides its content.
#[derive(Debug, Clone, Default)]
pub(crate) struct Terms {
    /// Where it is declared; nowhere if it is a file that no entry claims.
    pub(crate) declared: Option<Range>,
    /// Ids of the rules that hold for it.
    pub(crate) rules: BTreeSet<String>,
    /// Values of the placeholders.
    pub(crate) bindings: Bindings,
    pub(crate) written: Arc<Written>,
}

/// What its entry says, before placeholders have values.
#[derive(Debug, Clone, Default)]
pub(crate) struct Written {
    pub(crate) schema: Option<String>,
    pub(crate) owners: Vec<String>,
    pub(crate) unknown_layers: UnknownLayers,
}

/// One variant before its files are read.
#[derive(Debug, Clone)]
pub(crate) struct PlannedVariant {
    pub(crate) name: String,
    pub(crate) when: BTreeMap<String, String>,
    pub(crate) matchers: Vec<(String, GlobMatcher)>,
    /// Files on top of the base's; may be empty.
    pub(crate) layers: Vec<RepoPath>,
}

impl Plan {
    /// How a config travels, unless everybody gets it at once because it names no policy.
    pub(crate) fn policy(&self, config: &Planned) -> Option<&RolloutPolicy> {
        self.rollouts.get(config.rollout.as_ref()?)
    }

    /// The plan of a tree, with or without manifest. If a finding is an error, the manifest is invalid.
    pub(crate) fn of(tree: &ConfigTree, server: &Limits) -> Self {
        match tree.entry(manifest::PATH) {
            None => rest::without_manifest(tree, server),
            Some((_, Entry::File(file))) => Self::from_manifest(tree, server, file),
            Some((_, Entry::Symlink | Entry::Submodule)) => {
                let finding = manifest::whole("manifest/unreadable", "the manifest is not a file")
                    .hint("commit the file itself; links are never followed");
                Self::invalid(server, vec![finding])
            }
        }
    }

    /// The plan of a tree in which only files were edited since the tree of this plan, and not the manifest; `None` if
    /// that is not so. A plan hangs on content by the inputs of configs alone.
    pub(crate) fn after(
        self: &Arc<Self>,
        (tree, earlier): (&ConfigTree, &ConfigTree),
        server: &Limits,
    ) -> Option<Arc<Self>> {
        let edited: BTreeSet<&RepoPath> = tree.edited_since(earlier)?.into_iter().collect();
        if self.server != *server || edited.iter().any(|path| path.as_str() == manifest::PATH) {
            return None;
        }
        let is_touched = |planned: &Planned| planned.inputs.files().iter().any(|path| edited.contains(path));
        let touched: Vec<&ConfigName> = self
            .configs
            .iter()
            .filter(|(_, planned)| !edited.is_empty() && is_touched(planned))
            .map(|(name, _)| name)
            .collect();
        if touched.is_empty() {
            return Some(Arc::clone(self));
        }
        let mut plan = Self::clone(self);
        for name in touched {
            if let Some(planned) = plan.configs.get_mut(name) {
                let inputs = planned.inputs_in(tree, &self.defaults);
                Arc::make_mut(planned).inputs = inputs;
            }
        }
        Some(Arc::new(plan))
    }

    /// How the files of the tree are read.
    pub(crate) fn parse_options(&self) -> ParseOptions {
        ParseOptions {
            depth: usize::try_from(self.limits.depth).unwrap_or(usize::MAX),
            merge_keys: self.defaults.merge_keys,
            toml: self.defaults.toml,
            ..ParseOptions::default()
        }
    }

    /// Whether the manifest can be used.
    pub(crate) fn is_valid(&self) -> bool {
        !(self.has_manifest && self.findings.iter().any(Finding::is_error))
    }

    fn from_manifest(tree: &ConfigTree, server: &Limits, file: &File) -> Self {
        let Some(bytes) = file.bytes.as_ref().filter(|_| file.size <= server.file_bytes) else {
            let message = format!(
                "the manifest is larger than {} bytes: `{}`",
                server.file_bytes, file.size
            );
            return Self::invalid(
                server,
                vec![manifest::whole("manifest/unreadable", message).hint("make it smaller")],
            );
        };
        if file.is_lfs_pointer() {
            let finding = manifest::whole("manifest/unreadable", "the manifest is kept in Git LFS")
                .hint("take `headwater.toml` out of Git LFS");
            return Self::invalid(server, vec![finding]);
        }
        match manifest::load(bytes, server) {
            Ok(manifest) => Planner::new(tree, (&manifest, server), bytes).plan(),
            Err(findings) => Self::invalid(server, findings),
        }
    }

    fn invalid(server: &Limits, findings: Vec<Finding>) -> Self {
        Self {
            has_manifest: true,
            findings,
            ..Self::empty(Defaults::without_manifest(), (server.clone(), server))
        }
    }

    fn empty(defaults: Defaults, (limits, server): (Limits, &Limits)) -> Self {
        Self {
            server: server.clone(),
            configs: BTreeMap::new(),
            blocked: BTreeMap::new(),
            defaults,
            limits,
            rollouts: BTreeMap::new(),
            rules: BTreeMap::new(),
            protect: Protect::default(),
            has_manifest: false,
            manifest: None,
            mask: Mask::default(),
            schemas: BTreeSet::new(),
            findings: Vec::new(),
        }
    }
}

impl Planned {
    /// Its inputs, where its files are the same and their content may differ.
    fn inputs_in(&self, tree: &ConfigTree, defaults: &Defaults) -> Inputs {
        self.inputs
            .with_digest_of(&canonical_inputs(tree, defaults, &self.layers, &self.variants))
    }
}

/// Builds the plan of one tree under one manifest.
struct Planner<'a> {
    tree: &'a ConfigTree,
    manifest: &'a Manifest,
    index: LineIndex<'a>,
    plan: Plan,
    /// Where each planned config is declared, for the finding that a second one has its name.
    declared: BTreeMap<ConfigName, Range>,
    /// Files that are some config's layer.
    claimed: BTreeSet<RepoPath>,
    /// Directories in which every config file must be claimed, with the paths that would be claimed there.
    closed: BTreeMap<String, BTreeSet<String>>,
    documents: usize,
    names: Arc<Names>,
}

/// What can change the inputs of a config besides the content of its files.
struct Watched {
    paths: Vec<RepoPath>,
    names: Arc<Names>,
}

impl<'a> Planner<'a> {
    fn new(tree: &'a ConfigTree, (manifest, server): (&'a Manifest, &Limits), bytes: &'a Arc<[u8]>) -> Self {
        let limits = (manifest.limits.clone(), server);
        let mut plan = Plan::empty(manifest.defaults.clone(), limits);
        plan.has_manifest = true;
        plan.manifest = Some(Arc::clone(bytes));
        plan.mask = Mask::new(manifest);
        plan.rollouts.clone_from(&manifest.rollouts);
        plan.rules.clone_from(&manifest.rules);
        plan.protect = manifest.protect;
        plan.findings.clone_from(&manifest.warnings);
        Self {
            tree,
            manifest,
            index: LineIndex::new(bytes),
            plan,
            declared: BTreeMap::new(),
            claimed: BTreeSet::new(),
            closed: BTreeMap::new(),
            documents: 0,
            names: Arc::new(Names::of(manifest)),
        }
    }

    fn plan(mut self) -> Plan {
        for entry in &self.manifest.configs {
            self.plan_entry(entry);
        }
        self.plan_rest();
        self.plan
    }

    /// How many words the next suggestion may be chosen from. Nobody reads the thousandth finding, and comparing words
    /// is the most expensive thing that is done here.
    fn suggestions(&self) -> usize {
        if self.plan.findings.len() < SUGGESTED_FINDINGS {
            SUGGESTED_FROM
        } else {
            0
        }
    }

    fn error(&self, range: Range, code: &str, message: impl Into<String>) -> Finding {
        let place = (manifest::PATH, self.index.span(range));
        Finding::new(code, headwater_wire::Severity::Error, place, message)
    }
}

/// The digest of what decides a config's content. `layers` and each variant's are paths.
fn inputs(
    tree: &ConfigTree,
    defaults: &Defaults,
    layers: &[RepoPath],
    variants: &[PlannedVariant],
    watched: Watched,
) -> Inputs {
    let canonical = canonical_inputs(tree, defaults, layers, variants);
    let of_variants = variants.iter().flat_map(|variant| &variant.layers);
    let files = layers.iter().chain(of_variants).cloned().collect();
    Inputs::new(&canonical, files, watched.paths, watched.names)
}

/// All that decides a config's content, as text.
fn canonical_inputs(
    tree: &ConfigTree,
    defaults: &Defaults,
    layers: &[RepoPath],
    variants: &[PlannedVariant],
) -> String {
    let ids = |paths: &[RepoPath]| -> Vec<(String, String)> {
        let id = |path: &RepoPath| match tree.get(path) {
            Some(Entry::File(file)) => file.id.to_string(),
            Some(Entry::Symlink | Entry::Submodule) | None => String::new(),
        };
        paths.iter().map(|path| (path.to_string(), id(path))).collect()
    };
    let variants: Vec<_> = variants
        .iter()
        .map(|variant| (&variant.name, &variant.when, ids(&variant.layers)))
        .collect();
    let options = (
        defaults.nulls == Nulls::Keep,
        defaults.merge_keys == MergeKeys::Expand,
        defaults.toml == TomlVersion::V1_0,
    );
    serde_json::json!([1, ids(layers), variants, options]).to_string()
}
