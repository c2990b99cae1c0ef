//! The parsed files of one tree, each read at most once.
//!
//! Invariant: a file that cannot be read is said to be so once, however many configs need it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use headwater_wire::{Finding, RepoPath, Severity, Span};

use crate::collect::{Collector, fault_finding};
use crate::document::lines::LineIndex;
use crate::document::{ParseOptions, parse};
use crate::plan::Plan;
use crate::secrets::mask::Mask;
use crate::secrets::sops;
use crate::source::Source;
use crate::tree::{ConfigTree, Entry, File};
use headwater_render::Format;

/// Parses on demand and remembers.
pub(crate) struct Library<'a> {
    tree: &'a ConfigTree,
    options: ParseOptions,
    file_bytes: u64,
    no_file: Severity,
    mask: Mask,
    read: BTreeMap<RepoPath, Option<Arc<Source>>>,
    /// Files that were needed and not read, since what they say was known.
    needed: BTreeSet<RepoPath>,
}

impl<'a> Library<'a> {
    pub(crate) fn new(tree: &'a ConfigTree, plan: &Plan) -> Self {
        // What is no file fails a commit only where a manifest says that it is needed.
        let no_file = if plan.has_manifest {
            Severity::Error
        } else {
            Severity::Warning
        };
        Self {
            tree,
            options: plan.parse_options(),
            file_bytes: plan.limits.file_bytes,
            no_file,
            mask: plan.mask.clone(),
            read: BTreeMap::new(),
            needed: BTreeSet::new(),
        }
    }

    /// Takes files that were read of an earlier tree and are the same in this one.
    pub(crate) fn put(&mut self, sources: &[Arc<Source>]) {
        for source in sources {
            if !self.read.contains_key(&source.path) {
                self.read.insert(source.path.clone(), Some(Arc::clone(source)));
            }
        }
    }

    /// Takes note that files are needed whose content is known.
    pub(crate) fn need<'p>(&mut self, paths: impl Iterator<Item = &'p RepoPath>) {
        self.needed.extend(paths.cloned());
    }

    /// The document at `path`; `None` if it cannot be read, which `found` is told of the first time.
    pub(crate) fn source(&mut self, path: &RepoPath, found: &mut Collector) -> Option<Arc<Source>> {
        if let Some(known) = self.read.get(path) {
            return known.clone();
        }
        let source = self
            .parse(path)
            .map_err(|findings| found.extend(findings))
            .ok()
            .map(Arc::new);
        self.read.insert(path.clone(), source.clone());
        source
    }

    /// Whether somebody needed the file.
    pub(crate) fn has_read(&self, path: &RepoPath) -> bool {
        self.read.contains_key(path) || self.needed.contains(path)
    }

    /// As [`Library::source`], for whoever can do without; nothing is remembered.
    pub(crate) fn peek(&self, path: &RepoPath) -> Option<Arc<Source>> {
        match self.read.get(path) {
            Some(known) => known.clone(),
            None => self.parse(path).ok().map(Arc::new),
        }
    }

    /// The bytes of a file, if it may be read at all.
    pub(crate) fn text(&self, path: &RepoPath) -> Option<Arc<[u8]>> {
        self.bytes(path).ok()
    }

    fn parse(&self, path: &RepoPath) -> Result<Source, Vec<Finding>> {
        let bytes = self.bytes(path)?;
        let format = Format::of(path).ok_or_else(|| {
            vec![
                at(path, "parse/format", "no config file by its extension")
                    .hint("use `.toml`, `.json` or `.yaml`"),
            ]
        })?;
        match parse(format, &bytes, &self.options) {
            Ok(mut root) => Ok(Source {
                path: path.clone(),
                bytes,
                is_sops: sops::strip(&mut root),
                root,
            }),
            Err(faults) => {
                let index = LineIndex::new(&*bytes);
                let mut findings: Vec<_> = faults
                    .iter()
                    .map(|fault| fault_finding(path.as_str(), &index, fault))
                    .collect();
                self.mask.faults(path.as_str(), &bytes, &mut findings);
                Err(findings)
            }
        }
    }

    /// The bytes of a file that is one, is here and is not too large.
    fn bytes(&self, path: &RepoPath) -> Result<Arc<[u8]>, Vec<Finding>> {
        match self.tree.get(path) {
            Some(Entry::File(file)) => self.file_bytes(path, file),
            Some(Entry::Symlink) => Err(vec![symlink(path, self.no_file)]),
            Some(Entry::Submodule) => Err(vec![submodule(path, self.no_file)]),
            None => Err(vec![
                at(path, "tree/absent", "the file is not in the tree").hint("add it"),
            ]),
        }
    }

    fn file_bytes(&self, path: &RepoPath, file: &File) -> Result<Arc<[u8]>, Vec<Finding>> {
        if file.is_lfs_pointer() {
            return Err(vec![lfs_pointer(path, self.no_file)]);
        }
        match &file.bytes {
            Some(bytes) if file.size <= self.file_bytes => Ok(Arc::clone(bytes)),
            _ if file.size <= self.file_bytes => {
                let finding = at(path, "tree/unread", "the file was not read");
                Err(vec![
                    finding.hint("this is a fault of the program that read the tree"),
                ])
            }
            _ => {
                let message = format!(
                    "the file is larger than {} bytes: `{}`",
                    self.file_bytes, file.size
                );
                Err(vec![
                    at(path, "limit/file-bytes", message).hint("split it into layers or configs"),
                ])
            }
        }
    }
}

/// Never followed, so what it points to is not config.
pub(crate) fn symlink(path: &RepoPath, severity: Severity) -> Finding {
    let finding = at(path, "tree/symlink", "a symbolic link is never followed");
    Finding { severity, ..finding }.hint("commit the file itself, or use it as a layer where it is")
}

/// Never fetched, so what it holds is not config.
pub(crate) fn submodule(path: &RepoPath, severity: Severity) -> Finding {
    let finding = at(path, "tree/submodule", "a submodule is never fetched");
    Finding { severity, ..finding }.hint("commit its files here, or serve it as a repository of its own")
}

/// The content is not in Git.
fn lfs_pointer(path: &RepoPath, severity: Severity) -> Finding {
    let finding = at(
        path,
        "tree/lfs-pointer",
        "the content is kept in Git LFS, which is never fetched",
    );
    Finding { severity, ..finding }
        .hint("take the file out of Git LFS: `git lfs untrack` and commit it again")
}

fn at(path: &RepoPath, code: &str, message: impl Into<String>) -> Finding {
    Finding::new(code, Severity::Error, (path.as_str(), Span::START), message)
}
