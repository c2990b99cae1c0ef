//! What is said of a tree.
//!
//! Invariant: a [`ValidTree`] can be made by [`crate::validate`] alone, so whoever holds one holds the proof that its
//! commit may be served.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use globset::GlobMatcher;
use headwater_wire::{CheckView, ConfigName, Digest, Finding, RepoPath, VerdictState};
use serde_json::json;

use crate::effective::Effective;
use crate::inputs::Inputs;
use crate::judge::notes::Noted;
use crate::judge::settled::Settled;
use crate::rollout::RolloutPolicy;
use crate::rules::question::{Outcome, Question};
use crate::schema::Hidden;
use crate::tree::ConfigTree;

/// Whether a tree may be served, and what was found in it.
#[derive(Debug, Clone)]
pub enum Verdict {
    /// It may.
    Valid(ValidTree),
    /// It may not.
    Invalid(Rejection),
}

impl Verdict {
    /// All findings, sorted; at most [`crate::Limits::findings`] and one that says how many more there are.
    pub fn findings(&self) -> &[Finding] {
        match self {
            Self::Valid(tree) => tree.findings(),
            Self::Invalid(rejection) => rejection.findings(),
        }
    }

    /// Whether the tree may be served.
    pub fn is_valid(&self) -> bool {
        matches!(self, Self::Valid(_))
    }

    /// The verdict once webhooks were asked: `outcomes` in the order of [`ValidTree::questions`]. A question without an
    /// outcome counts as one that failed.
    #[must_use]
    pub fn answered(self, outcomes: &[Outcome]) -> Self {
        let Self::Valid(ValidTree(tree)) = self else {
            return self;
        };
        let silence = Outcome::Failed("it was not asked".to_owned());
        let answers = tree
            .questions
            .iter()
            .zip(outcomes.iter().chain(std::iter::repeat(&silence)));
        let said: Vec<Finding> = answers
            .filter_map(|(question, outcome)| question.judge(outcome))
            .collect();
        if said.is_empty() {
            return Self::Valid(ValidTree(tree));
        }
        let is_refused = said.iter().any(Finding::is_error);
        let mut findings = tree.findings.iter().cloned().chain(said).collect::<Vec<_>>();
        Finding::sort(&mut findings);
        if is_refused {
            return Self::Invalid(Rejection::new(findings));
        }
        Self::Valid(ValidTree::new(Tree {
            findings,
            questions: Vec::new(),
            ..tree.as_ref().clone()
        }))
    }

    /// The verdict as it travels.
    pub fn view(&self) -> CheckView {
        let verdict = if self.is_valid() {
            VerdictState::Admitted
        } else {
            VerdictState::Rejected
        };
        CheckView {
            version: 1,
            verdict,
            findings: self.findings().to_vec(),
        }
    }
}

/// Why a tree may not be served.
#[derive(Debug, Clone)]
pub struct Rejection {
    findings: Arc<[Finding]>,
}

impl Rejection {
    pub(crate) fn new(findings: Vec<Finding>) -> Self {
        Self {
            findings: findings.into(),
        }
    }

    /// All findings, sorted; at least one is an error.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }
}

/// A tree that may be served. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ValidTree(Arc<Tree>);

/// The parts of a [`ValidTree`].
#[derive(Debug, Clone, Default)]
pub(crate) struct Tree {
    pub(crate) findings: Vec<Finding>,
    pub(crate) configs: BTreeMap<ConfigName, Config>,
    pub(crate) unreadable: BTreeMap<ConfigName, RepoPath>,
    pub(crate) rollouts: BTreeMap<String, RolloutPolicy>,
    pub(crate) has_manifest: bool,
    pub(crate) questions: Vec<Question>,
    pub(crate) settled: Arc<Settled>,
}

impl ValidTree {
    pub(crate) fn new(tree: Tree) -> Self {
        Self(Arc::new(tree))
    }

    /// Findings that do not keep the tree from being served, sorted.
    pub fn findings(&self) -> &[Finding] {
        &self.0.findings
    }

    /// The configs, by name.
    pub fn configs(&self) -> &BTreeMap<ConfigName, Config> {
        &self.0.configs
    }

    /// Files that would be a config if they could be read; only in a tree without manifest. They are served as raw
    /// bytes alone.
    pub fn unreadable(&self) -> &BTreeMap<ConfigName, RepoPath> {
        &self.0.unreadable
    }

    /// The rollout policies of the manifest, by name.
    pub fn rollouts(&self) -> &BTreeMap<String, RolloutPolicy> {
        &self.0.rollouts
    }

    /// What webhooks must be asked before the tree is served; see [`Verdict::answered`].
    pub fn questions(&self) -> &[Question] {
        &self.0.questions
    }

    /// The tree that it was made of. Cheap to clone.
    pub fn tree(&self) -> &ConfigTree {
        &self.0.settled.tree
    }

    /// What need not be worked out again of the next tree.
    pub(crate) fn settled(&self) -> &Settled {
        &self.0.settled
    }

    /// Whether the tree has a manifest.
    pub fn has_manifest(&self) -> bool {
        self.0.has_manifest
    }
}

/// One config of a tree: a base document and its variants. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Config(Arc<ConfigParts>);

/// The parts of a [`Config`].
#[derive(Debug)]
pub(crate) struct ConfigParts {
    pub(crate) name: ConfigName,
    pub(crate) inputs: Inputs,
    pub(crate) rollout: Option<String>,
    pub(crate) owners: Vec<String>,
    pub(crate) base: Effective,
    pub(crate) variants: Vec<Variant>,
    /// What was found of it, if it had no mistake; then it need not be worked out again.
    pub(crate) judged: Option<JudgedConfig>,
}

/// What was found of a config without a mistake, besides its documents.
#[derive(Debug, Clone)]
pub(crate) struct JudgedConfig {
    /// The schema that it was checked against.
    pub(crate) schema: Option<RepoPath>,
    /// What its layers do that their authors may not have meant.
    pub(crate) noted: Vec<Noted>,
    /// What its layers have wrong that no document shows.
    pub(crate) hidden: Vec<Hidden>,
}

impl JudgedConfig {
    /// Of which nothing was found yet.
    pub(crate) fn of(schema: Option<RepoPath>) -> Self {
        Self {
            schema,
            noted: Vec::new(),
            hidden: Vec::new(),
        }
    }
}

impl Config {
    pub(crate) fn new(parts: ConfigParts) -> Self {
        Self(Arc::new(parts))
    }

    pub(crate) fn parts(&self) -> &ConfigParts {
        &self.0
    }

    /// Name.
    pub fn name(&self) -> &ConfigName {
        &self.0.name
    }

    /// What decides its content.
    pub fn inputs(&self) -> &Inputs {
        &self.0.inputs
    }

    /// Name of its rollout policy, a key of [`ValidTree::rollouts`]; `None` is an immediate rollout.
    pub fn rollout(&self) -> Option<&str> {
        self.0.rollout.as_deref()
    }

    /// Who answers for it, as the manifest says.
    pub fn owners(&self) -> &[String] {
        &self.0.owners
    }

    /// The document of an instance that no variant matches.
    pub fn base(&self) -> &Effective {
        &self.0.base
    }

    /// The variants, in the order they are tried.
    pub fn variants(&self) -> &[Variant] {
        &self.0.variants
    }

    /// The document of an instance with these labels: the first variant that matches, else the base.
    pub fn select(&self, labels: &BTreeMap<String, String>) -> &Effective {
        let variant = self.0.variants.iter().find(|variant| variant.matches(labels));
        variant.map_or(&self.0.base, |variant| &variant.effective)
    }

    /// Digest of what instances get, whatever their labels: equal for every wording of the same documents. What only
    /// seems to be a variant does not count.
    pub fn documents(&self) -> Digest {
        let mut variants: Vec<&Variant> = Vec::new();
        for variant in self.variants() {
            if !variants.iter().any(|before| before.when == variant.when) {
                variants.push(variant);
            }
        }
        while variants
            .pop_if(|last| last.effective.digest() == self.base().digest())
            .is_some()
        {}
        let variants: Vec<_> = variants
            .iter()
            .map(|variant| json!([variant.when, variant.effective.digest()]))
            .collect();
        headwater_render::digest(&json!([self.base().digest(), variants]).to_string())
    }

    /// The base document and then each variant's.
    pub fn effectives(&self) -> impl Iterator<Item = &Effective> {
        std::iter::once(&self.0.base).chain(self.0.variants.iter().map(|variant| &variant.effective))
    }
}

/// Another document for the instances whose labels match.
#[derive(Clone)]
pub struct Variant {
    pub(crate) name: String,
    pub(crate) when: BTreeMap<String, String>,
    pub(crate) matchers: Vec<(String, GlobMatcher)>,
    pub(crate) effective: Effective,
}

impl Variant {
    /// Name, unique in its config.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Labels an instance must have, all of them, with the glob its value must match.
    pub fn when(&self) -> &BTreeMap<String, String> {
        &self.when
    }

    /// The document.
    pub fn effective(&self) -> &Effective {
        &self.effective
    }

    /// Whether an instance with these labels gets this variant, if none before it matches.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.matchers
            .iter()
            .all(|(label, glob)| labels.get(label).is_some_and(|value| glob.is_match(value)))
    }
}

impl fmt::Debug for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Variant")
            .field("name", &self.name)
            .field("when", &self.when)
            .field("effective", &self.effective)
            .finish_non_exhaustive()
    }
}
