//! Tags of the upstream: names that resolve to commits we have.
//!
//! Invariant: tags are remembered beside the repository and never as refs of it, so a hostile name can neither fail a
//! fetch nor reach the file system. What is deliberately absent: tag objects, and tags of commits off the branch.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;

use gix::bstr::ByteSlice;
use gix::protocol::handshake::Ref;
use headwater_wire::{BranchName, CommitId};

use super::list::name_of;
use super::object::to_commit_id;
use super::read::Reader;

/// Short names and the commits they lead to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tags(BTreeMap<String, CommitId>);

impl Tags {
    /// The commit of a tag, by short name.
    pub(crate) fn get(&self, name: &str) -> Option<&CommitId> {
        self.0.get(name)
    }

    /// Picks from a listing the tags with sane names whose commits are here.
    pub(crate) fn from_listing(refs: &[Ref], reader: &Reader, max: usize) -> Self {
        let mut tags = BTreeMap::new();
        for listed in refs {
            let (Ref::Peeled { object, .. } | Ref::Direct { object, .. }) = listed else {
                continue;
            };
            let commit = to_commit_id(*object);
            if let Some(name) = short_name(&name_of(listed))
                && tags.len() < max
                && reader.contains(&commit)
            {
                tags.insert(name, commit);
            }
        }
        Self(tags)
    }

    /// Reads what an earlier process remembered; a file that cannot be read is no tag.
    pub(crate) fn load(file: &Path, max: usize) -> Self {
        let Ok(text) = fs::read_to_string(file) else {
            return Self::default();
        };
        let parse = |line: &str| {
            let (commit, name) = line.split_once(' ')?;
            Some((short_name(&format!("refs/tags/{name}"))?, commit.parse().ok()?))
        };
        Self(text.lines().take(max).filter_map(parse).collect())
    }

    /// Writes the file whole or not at all.
    pub(crate) fn store(&self, file: &Path) -> std::io::Result<()> {
        let dir = file.parent().unwrap_or(file);
        let mut fresh = tempfile::NamedTempFile::new_in(dir)?;
        for (name, commit) in &self.0 {
            writeln!(fresh, "{commit} {name}")?;
        }
        fresh.flush()?;
        fresh.persist(file).map(drop).map_err(|error| error.error)
    }
}

/// The rules for branch names are stricter than Git's for tags, and enough for tags that people type.
fn short_name(full: &str) -> Option<String> {
    let name = full.strip_prefix("refs/tags/")?;
    gix::validate::reference::name(full.as_bytes().as_bstr()).ok()?;
    name.parse::<BranchName>()
        .ok()
        .map(|name| name.as_str().to_owned())
}
