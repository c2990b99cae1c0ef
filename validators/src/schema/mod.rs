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

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use headwater_wire::{ConfigName, Finding, RepoPath, Severity, Span};

use crate::collect::Collector;
use crate::effective::Effective;
use crate::library::Library;
use crate::plan::Plan;
use crate::tree::{ConfigTree, ContentId};
pub(crate) use compile::Compiled;
use fragment::Fragments;
pub(crate) use fragment::Hidden;
use lint::{Linter, Use};
use seen::Seen;
use store::{Led, Shelf, Store};

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

/// The schemas of one tree, each compiled when a config first needs it, unless an earlier tree had it too.
pub(crate) struct Schemas<'a> {
    options: SchemaOptions,
    shelf: Shelf<'a>,
    store: OnceCell<Arc<Store>>,
    earlier: Option<&'a Settled>,
    /// Whether a schema is what it was, by path.
    kept: BTreeMap<RepoPath, bool>,
    index: OnceCell<BTreeMap<RepoPath, ContentId>>,
    compiled: BTreeMap<RepoPath, Option<Arc<Compiled>>>,
    /// Those that compiled, in the order in which configs needed them.
    order: Vec<RepoPath>,
    fragments: Fragments,
    /// Most findings for one document.
    findings: usize,
    tree: &'a ConfigTree,
}

/// What a valid tree leaves of its schemas for the next one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settled {
    order: Vec<RepoPath>,
    by_path: BTreeMap<RepoPath, Made>,
    /// Files with an `$id`, if a reference went by one.
    index: Option<BTreeMap<RepoPath, ContentId>>,
    /// What is odd about the schemas.
    lint: Arc<[Finding]>,
}

/// A compiled schema and the files that it was made of.
#[derive(Debug, Clone)]
struct Made {
    compiled: Arc<Compiled>,
    files: Vec<(RepoPath, ContentId)>,
}

impl Settled {
    /// The files that the schema at a path is made of.
    pub(crate) fn files(&self, path: &RepoPath) -> impl Iterator<Item = &RepoPath> {
        let made = self.by_path.get(path).into_iter();
        made.flat_map(|made| &made.files).map(|(path, _)| path)
    }
}

impl<'a> Schemas<'a> {
    pub(crate) fn new(tree: &'a ConfigTree, plan: &Plan, earlier: Option<&'a Settled>) -> Self {
        Self {
            options: plan.defaults.schemas(),
            shelf: Shelf::new(tree, plan),
            store: OnceCell::new(),
            earlier,
            kept: BTreeMap::new(),
            index: OnceCell::new(),
            compiled: BTreeMap::new(),
            order: Vec::new(),
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
    ) -> Vec<Hidden> {
        let Some(compiled) = self.schema(library, path, found) else {
            return Vec::new();
        };
        let limit = if found.is_full_of_errors() {
            1
        } else {
            self.findings
        };
        let violations = compiled.check(&Seen::of(effective), limit);
        found.extend(place::findings(violations, config, effective));
        self.fragments.look_at(effective, (path, &compiled), self.options)
    }

    /// Counts what the documents of a config hide.
    pub(crate) fn count(&mut self, hidden: &[Hidden]) {
        self.fragments.count(hidden);
    }

    /// Whether the schema at `path` is made of files that are the same in another tree. One that looked for an `$id`
    /// counts as another, since any file may have had a say in it.
    pub(crate) fn is_made_as_in(&self, path: &RepoPath, other: &ConfigTree) -> bool {
        let is_same = |path: &RepoPath| {
            let (here, there) = (self.tree.get(path), other.get(path));
            here.zip(there).is_some_and(|(here, there)| here.is_same(there))
        };
        let led = self.led(path);
        led.is_some_and(|led| !led.by_id && is_same(path) && led.to.iter().all(is_same))
    }

    /// Whether the schema at `path` can be used.
    pub(crate) fn is_usable(&self, path: &RepoPath) -> bool {
        self.compiled.get(path).is_some_and(Option::is_some)
    }

    /// Whether the schema at `path` is what it was in the earlier tree, so that it says the same of equal documents.
    pub(crate) fn is_kept(&mut self, path: &RepoPath) -> bool {
        if let Some(known) = self.kept.get(path) {
            return *known;
        }
        let is_kept = self.earlier.is_some_and(|earlier| {
            let made = earlier.by_path.get(path);
            made.is_some_and(|made| self.is_made_of_the_same(made, earlier.index.as_ref()))
        });
        self.kept.insert(path.clone(), is_kept);
        is_kept
    }

    fn is_made_of_the_same(&self, made: &Made, index: Option<&BTreeMap<RepoPath, ContentId>>) -> bool {
        let is_same = |(path, id): &(RepoPath, ContentId)| self.shelf.id(path) == Some(id);
        made.files.iter().all(is_same) && (!made.compiled.led().by_id || index == Some(self.index()))
    }

    fn index(&self) -> &BTreeMap<RepoPath, ContentId> {
        self.index.get_or_init(|| self.shelf.index())
    }

    /// The schema at `path`, ready; `None` if it cannot be used, which `found` is told of the first time.
    pub(crate) fn schema(
        &mut self,
        library: &mut Library<'_>,
        path: &RepoPath,
        found: &mut Collector,
    ) -> Option<Arc<Compiled>> {
        if let Some(known) = self.compiled.get(path) {
            return known.clone();
        }
        let compiled = if self.is_kept(path) {
            let made = self.earlier.and_then(|earlier| earlier.by_path.get(path));
            made.map(|made| Arc::clone(&made.compiled))
        } else {
            self.compile(library, path, found).map(Arc::new)
        };
        if compiled.is_some() {
            self.order.push(path.clone());
        }
        self.compiled.insert(path.clone(), compiled.clone());
        compiled
    }

    fn compile(&self, library: &mut Library<'_>, path: &RepoPath, found: &mut Collector) -> Option<Compiled> {
        let source = library.source(path, found)?;
        let store = self.store.get_or_init(|| Arc::new(Store::new(&self.shelf)));
        Compiled::new(&source, store, self.options)
            .map_err(|finding| found.push(*finding))
            .ok()
    }

    /// What can be said when every document was seen; `documents` says how many documents each file is part of.
    pub(crate) fn finish(
        &mut self,
        (library, found): (&mut Library<'_>, &mut Collector),
        is_config: impl Fn(&RepoPath) -> bool,
        documents: impl FnOnce() -> BTreeMap<RepoPath, usize>,
    ) -> Settled {
        let lint = self.lint(library, found);
        found.extend(lint.iter().cloned());
        found.extend(self.served(is_config));
        found.extend(std::mem::take(&mut self.fragments).findings(documents));
        self.settle(lint)
    }

    /// Says what is odd about the schemas and the files they led to, once for each file of the tree.
    fn lint(&mut self, library: &mut Library<'_>, found: &mut Collector) -> Arc<[Finding]> {
        let order = std::mem::take(&mut self.order);
        let kept = self.earlier.filter(|earlier| earlier.order == order);
        let kept = kept.filter(|_| order.iter().all(|path| self.is_kept(path)));
        self.order = order;
        if let Some(earlier) = kept {
            library.need(
                earlier
                    .by_path
                    .values()
                    .flat_map(|made| &made.files)
                    .map(|(path, _)| path),
            );
            return Arc::clone(&earlier.lint);
        }
        let mut findings = Vec::new();
        let (mut linted, mut referred) = (BTreeSet::new(), BTreeSet::new());
        for path in &self.order {
            let mut linter = Linter::new(self.options);
            referred.extend(self.led(path).iter().flat_map(|led| &led.to));
            let files =
                std::iter::once((path, Use::Bound)).chain(referred.iter().map(|path| (*path, Use::Referred)));
            for (path, used) in files {
                if linted.insert(path)
                    && let Some(source) = library.source(path, found)
                {
                    findings.extend(linter.file(&source, used));
                }
            }
        }
        findings.into()
    }

    fn led(&self, path: &RepoPath) -> Option<&Led> {
        let compiled = self.compiled.get(path)?.as_ref()?;
        Some(compiled.led())
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
        let led = self.order.iter().filter_map(|path| self.led(path));
        let referred: BTreeSet<&RepoPath> = led.flat_map(|led| &led.to).collect();
        let served = referred
            .into_iter()
            .filter(|path| self.tree.get(path).is_some() && is_config(path));
        served.map(finding).collect()
    }

    fn settle(&self, lint: Arc<[Finding]>) -> Settled {
        let made = |path: &RepoPath| {
            let compiled = self.compiled.get(path)?.clone()?;
            let paths: BTreeSet<&RepoPath> = compiled.led().to.iter().chain([path]).collect();
            let files = paths
                .into_iter()
                .map(|path| Some((path.clone(), self.shelf.id(path)?.clone())));
            let files = files.collect::<Option<_>>()?;
            Some((path.clone(), Made { compiled, files }))
        };
        let by_path: BTreeMap<RepoPath, Made> = self.order.iter().filter_map(made).collect();
        let by_id = by_path.values().any(|made| made.compiled.led().by_id);
        Settled {
            order: self.order.clone(),
            index: by_id.then(|| self.index().clone()),
            by_path,
            lint,
        }
    }
}
