//! JSON Schema, with everything it refers to inside one tree.
//!
//! Invariant: no schema reads anything but files of the tree it is judged with, and none is compiled twice for a tree.
//! The crate behind it is used in this module alone. A layer by itself is never an error: it may
//! lack whatever another one has, and the merged document knows which layer set each value, which puts the finding
//! into the right file. What `fragment` says of a layer is a warning, and only of values that no document shows.

mod compile;
mod formats;
mod fragment;
mod lint;
mod message;
pub(crate) mod place;
mod seen;
mod store;
#[cfg(test)]
mod suite;
pub(crate) mod violation;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use headwater_wire::{ConfigName, Finding, RepoPath, Severity, Span};

use crate::collect::Collector;
use crate::effective::Effective;
use crate::library::Library;
use crate::plan::Plan;
use crate::tree::ConfigTree;
use compile::Compiled;
use fragment::Fragments;
use lint::{Linter, Use};
use seen::Seen;
use store::Store;

/// The language of a schema that names none in `$schema`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Dialect {
    Draft4,
    Draft6,
    Draft7,
    Draft201909,
    #[default]
    Draft202012,
}

impl Dialect {
    /// The words of the manifest.
    pub(crate) const NAMES: &[(&str, Self)] = &[
        ("draft-04", Self::Draft4),
        ("draft-06", Self::Draft6),
        ("draft-07", Self::Draft7),
        ("2019-09", Self::Draft201909),
        ("2020-12", Self::Draft202012),
    ];

    /// The word of the manifest.
    pub(crate) fn name(self) -> &'static str {
        let named = Self::NAMES.iter().find(|(_, dialect)| *dialect == self);
        named.map_or("", |(name, _)| name)
    }

    /// What `$schema` says.
    pub(crate) fn uri(self) -> &'static str {
        match self {
            Self::Draft4 => "http://json-schema.org/draft-04/schema#",
            Self::Draft6 => "http://json-schema.org/draft-06/schema#",
            Self::Draft7 => "http://json-schema.org/draft-07/schema#",
            Self::Draft201909 => "https://json-schema.org/draft/2019-09/schema",
            Self::Draft202012 => "https://json-schema.org/draft/2020-12/schema",
        }
    }

    /// The draft that a `$schema` names; `None` if its meta-schema is none of the standard's.
    pub(crate) fn of_uri(uri: &str) -> Option<Self> {
        let place = |uri: &'static str| uri.trim_end_matches('#').split_once("://");
        let (_, wanted) = uri.trim_end_matches('#').split_once("://")?;
        let named = Self::NAMES.iter().map(|(_, dialect)| *dialect);
        named
            .into_iter()
            .find(|dialect| place(dialect.uri()).is_some_and(|(_, known)| known == wanted))
    }
}

/// What matches `pattern`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) enum RegexEngine {
    /// Linear time; no look-around, no back-references.
    #[default]
    Linear,
    /// Both of them, under a low limit of steps.
    Backtracking,
}

/// Whether `format` refuses values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) enum Formats {
    /// It does, and an unknown format is a mistake of the schema.
    #[default]
    Assert,
    /// It only says what is meant.
    Annotate,
}

/// How schemas are compiled. With the ids of all files that a schema reads, this is what a compiled schema depends on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct SchemaOptions {
    pub(crate) dialect: Dialect,
    pub(crate) regex: RegexEngine,
    pub(crate) formats: Formats,
}

/// The schemas of one tree, each compiled when a config first needs it.
pub(crate) struct Schemas<'a> {
    options: SchemaOptions,
    store: Arc<Store>,
    compiled: BTreeMap<RepoPath, Option<Compiled>>,
    /// Files that were looked through for mistakes that compile.
    linted: BTreeSet<RepoPath>,
    fragments: Fragments,
    /// Most findings for one document.
    findings: usize,
    tree: &'a ConfigTree,
}

impl<'a> Schemas<'a> {
    pub(crate) fn new(tree: &'a ConfigTree, plan: &Plan) -> Self {
        let defaults = &plan.defaults;
        let options = SchemaOptions {
            dialect: defaults.dialect,
            regex: defaults.regex,
            formats: defaults.formats,
        };
        let store = Arc::new(Store::new(tree, plan));
        Self {
            options,
            store,
            compiled: BTreeMap::new(),
            linted: BTreeSet::new(),
            fragments: Fragments::default(),
            findings: plan.limits.findings,
            tree,
        }
    }

    /// Checks one document against the schema at `path`. A schema that cannot be used is a finding the first time.
    pub(crate) fn check(
        &mut self,
        library: &mut Library<'_>,
        path: &RepoPath,
        (config, effective): (&ConfigName, &Effective),
        found: &mut Collector,
    ) {
        if !self.compiled.contains_key(path) {
            let compiled = self.compile(library, path, found);
            if compiled.is_some() {
                self.lint(library, path, found);
            }
            self.compiled.insert(path.clone(), compiled);
        }
        let Some(Some(compiled)) = self.compiled.get(path) else {
            self.fragments.unchecked(effective);
            return;
        };
        let limit = if found.is_full_of_errors() {
            1
        } else {
            self.findings
        };
        let violations = compiled.check(&Seen::of(effective), limit);
        found.extend(place::findings(violations, config, effective));
        self.fragments.checked(effective, (path, compiled), self.options);
    }

    /// Takes note of a document that has no schema.
    pub(crate) fn unchecked(&mut self, effective: &Effective) {
        self.fragments.unchecked(effective);
    }

    /// What can be said when every document was seen.
    pub(crate) fn finish(self, is_config: impl Fn(&RepoPath) -> bool) -> Vec<Finding> {
        let mut findings = self.served(is_config);
        findings.extend(self.fragments.findings());
        findings
    }

    /// Warnings for schemas that are served as configs although they were only meant to be referred to.
    fn served(&self, is_config: impl Fn(&RepoPath) -> bool) -> Vec<Finding> {
        let finding = |path: &RepoPath| {
            let message =
                "this schema is served as a config, since only its content says that it is a schema";
            Finding::new(
                "schema/served",
                Severity::Warning,
                (path.as_str(), Span::START),
                message,
            )
            .hint("name it `….schema.json`, or add it to `defaults.ignore`")
        };
        let served = self
            .store
            .retrieved()
            .into_iter()
            .filter(|path| self.tree.get(path).is_some() && is_config(path));
        served.map(|path| finding(&path)).collect()
    }

    fn compile(&self, library: &mut Library<'_>, path: &RepoPath, found: &mut Collector) -> Option<Compiled> {
        let source = library.source(path, found)?;
        Compiled::new(&source, &self.store, self.options)
            .map_err(|finding| found.push(*finding))
            .ok()
    }

    /// Says what is odd about a schema and the files it led to, once for each file of the tree.
    fn lint(&mut self, library: &mut Library<'_>, path: &RepoPath, found: &mut Collector) {
        let mut linter = Linter::new(self.options);
        let referred = self.store.retrieved();
        let files =
            std::iter::once((path, Use::Bound)).chain(referred.iter().map(|path| (path, Use::Referred)));
        for (path, used) in files {
            if self.linted.insert(path.clone())
                && let Some(source) = library.source(path, found)
            {
                found.extend(linter.file(&source, used));
            }
        }
    }
}
