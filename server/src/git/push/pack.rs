//! The pack of a push: what the upstream does not have yet, whole objects only.
//!
//! Invariant: the pack holds every object that is reachable from the new commit and not from a commit the upstream is
//! known to have, except such as stand unchanged at the same path there; sending one too many is harmless. It is
//! bounded before it is built. What is deliberately absent: deltas, which save nothing for a revert.

use std::collections::{HashMap, HashSet};
use std::io::Write;

use gix::bstr::BString;
use gix::objs::Kind;
use gix::objs::tree::EntryKind;

use super::{PushError, PushRef};
use crate::git::error::GitError;
use crate::git::read::is_commit;
use crate::git::store::Layout;

/// Most commits of one push; a push has one, and an empty upstream gets a history of configuration files.
const COMMITS_MAX: usize = 100_000;
/// Largest object, in bytes; larger ones do not belong into a repository that is read as configuration.
const OBJECT_BYTES_MAX: u64 = 64 << 20;
const HEADER: &[u8] = b"PACK\0\0\0\x02";

/// Which objects are wanted, and what the other side has.
pub(super) struct Wanted<'a> {
    pub(super) repo: &'a gix::Repository,
    pub(super) layout: &'a Layout,
    pub(super) target: &'a PushRef,
    pub(super) new: gix::ObjectId,
    /// Commits that the upstream's refs point to.
    pub(super) theirs: &'a [gix::ObjectId],
    /// Commits whose content the new ones may take up.
    pub(super) sources: &'a [gix::ObjectId],
    pub(super) bytes_max: u64,
    pub(super) verdict: &'a dyn Fn() -> Result<(), GitError>,
}

impl Wanted<'_> {
    /// The bytes of the pack.
    pub(super) fn pack(&self) -> Result<Vec<u8>, PushError> {
        let objects = self.objects()?;
        let count = u32::try_from(objects.len()).map_err(|_| self.too_large("objects", u32::MAX.into()))?;
        let mut pack = HEADER.to_vec();
        pack.extend_from_slice(&count.to_be_bytes());
        for id in objects {
            (self.verdict)()?;
            let size = self
                .repo
                .find_header(id)
                .map_err(|error| self.broken(&error))?
                .size();
            if size > OBJECT_BYTES_MAX {
                return Err(self.too_large("bytes in one file", OBJECT_BYTES_MAX));
            }
            let object = self.repo.find_object(id).map_err(|error| self.broken(&error))?;
            append(&mut pack, object.kind, &object.data)
                .map_err(|error| PushError::Upstream(self.layout.io(&error)))?;
            if u64::try_from(pack.len()).unwrap_or(u64::MAX) > self.bytes_max {
                return Err(self.too_large("bytes", self.bytes_max));
            }
        }
        let mut hasher = gix::hash::hasher(self.repo.object_hash());
        hasher.update(&pack);
        let trailer = hasher.try_finalize().map_err(|error| self.broken(&error))?;
        pack.extend_from_slice(trailer.as_slice());
        Ok(pack)
    }

    fn objects(&self) -> Result<Vec<gix::ObjectId>, PushError> {
        let here = |id: &&gix::ObjectId| is_commit(self.repo, **id);
        let theirs: Vec<gix::ObjectId> = self.theirs.iter().filter(here).copied().collect();
        let walk = self
            .repo
            .rev_walk([self.new])
            .with_hidden(theirs.iter().copied())
            .all();
        let mut commits = Vec::new();
        for info in walk.map_err(|error| self.broken(&error))? {
            if commits.len() == COMMITS_MAX {
                return Err(self.too_large("commits", COMMITS_MAX as u64));
            }
            if commits.len() % 256 == 0 {
                (self.verdict)()?;
            }
            commits.push(info.map_err(|error| self.broken(&error))?.id);
        }
        let sources = self.sources_they_have(&theirs)?;
        let mut seen: HashSet<gix::ObjectId> = HashSet::new();
        let mut found = Vec::new();
        for commit in commits {
            (self.verdict)()?;
            found.push(commit);
            self.new_in(commit, &sources, &mut seen, &mut found)
                .map_err(|error| self.broken(&error))?;
        }
        Ok(found)
    }

    /// Trees of those sources that lie in the history of one of their refs.
    fn sources_they_have(&self, theirs: &[gix::ObjectId]) -> Result<Vec<gix::ObjectId>, PushError> {
        let mut trees = Vec::new();
        for source in self.sources.iter().filter(|id| is_commit(self.repo, **id)) {
            let mut walk = self
                .repo
                .rev_walk([*source])
                .with_hidden(theirs.iter().copied())
                .all()
                .map_err(|error| self.broken(&error))?;
            if walk.next().is_none() {
                trees.push(tree_of(self.repo, *source).map_err(|error| self.broken(&error))?);
            }
        }
        Ok(trees)
    }

    /// Trees and files of `commit` that stand neither in a parent nor in a source at the same path.
    fn new_in(
        &self,
        commit: gix::ObjectId,
        sources: &[gix::ObjectId],
        seen: &mut HashSet<gix::ObjectId>,
        found: &mut Vec<gix::ObjectId>,
    ) -> gix::Result<()> {
        let object = self.repo.find_commit(commit)?;
        let mut known = sources.to_vec();
        for parent in object.parent_ids() {
            known.push(tree_of(self.repo, parent.detach())?);
        }
        let mut pending = vec![(object.tree_id()?.detach(), known)];
        while let Some((tree, known)) = pending.pop() {
            if known.contains(&tree) || !seen.insert(tree) {
                continue;
            }
            found.push(tree);
            let beside = self.entries(&known)?;
            for entry in self.repo.find_tree(tree)?.iter() {
                let entry = entry?;
                let id = entry.object_id();
                let there = beside
                    .get(&BString::from(entry.filename()))
                    .cloned()
                    .unwrap_or_default();
                if there.iter().any(|(_, known)| *known == id) {
                    continue;
                }
                match entry.mode().kind() {
                    EntryKind::Tree => {
                        let trees = there.iter().filter(|(kind, _)| *kind == EntryKind::Tree);
                        pending.push((id, trees.map(|(_, id)| *id).collect()));
                    }
                    EntryKind::Blob | EntryKind::BlobExecutable | EntryKind::Link if seen.insert(id) => {
                        found.push(id);
                    }
                    EntryKind::Blob | EntryKind::BlobExecutable | EntryKind::Link | EntryKind::Commit => {}
                }
            }
        }
        Ok(())
    }

    fn entries(
        &self,
        trees: &[gix::ObjectId],
    ) -> gix::Result<HashMap<BString, Vec<(EntryKind, gix::ObjectId)>>> {
        let mut entries: HashMap<BString, Vec<(EntryKind, gix::ObjectId)>> = HashMap::new();
        for tree in trees {
            for entry in self.repo.find_tree(*tree)?.iter() {
                let entry = entry?;
                entries
                    .entry(entry.filename().into())
                    .or_default()
                    .push((entry.mode().kind(), entry.object_id()));
            }
        }
        Ok(entries)
    }

    fn too_large(&self, what: &'static str, max: u64) -> PushError {
        PushError::TooLarge {
            target: self.target.clone(),
            what,
            max,
        }
    }

    fn broken(&self, error: &gix::Error) -> PushError {
        PushError::Upstream(self.layout.broken(error))
    }
}

fn tree_of(repo: &gix::Repository, commit: gix::ObjectId) -> gix::Result<gix::ObjectId> {
    Ok(repo.find_commit(commit)?.tree_id()?.detach())
}

/// Kind and size as Git packs them, seven bits at a time after the first four, then the deflated bytes.
fn append(pack: &mut Vec<u8>, kind: Kind, bytes: &[u8]) -> std::io::Result<()> {
    let kind: u8 = match kind {
        Kind::Commit => 1,
        Kind::Tree => 2,
        Kind::Blob => 3,
        Kind::Tag => 4,
    };
    let size = bytes.len();
    let low = |bits: usize, mask: usize| u8::try_from(bits & mask).unwrap_or(0);
    let (mut byte, mut rest) = (kind << 4 | low(size, 15), size >> 4);
    while rest > 0 {
        pack.push(byte | 0x80);
        (byte, rest) = (low(rest, 127), rest >> 7);
    }
    pack.push(byte);
    let mut deflate = gix::zlib::stream::deflate::Write::new(pack, gix::zlib::Compression::DEFAULT);
    deflate.write_all(bytes)?;
    deflate.flush()
}
