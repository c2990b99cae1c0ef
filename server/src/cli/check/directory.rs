//! From a directory to the tree that a commit of it would hold.
//!
//! Invariant: no symbolic link is followed, nothing but a regular file is opened, and no open waits: what is listed
//! as a file and then turns out to be a pipe is not read. What is deliberately absent: writing to the index.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::ops::Bound;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use headwater_validators::{Entry, File as TreeFile, Limits, wants};
use headwater_wire::RepoPath;
use rustix::fs::OFlags;

use super::memory::Memory;
use super::subject::Read;
use crate::cli::failure::Failure;
use crate::git::limits::ReadLimits;
use crate::git::local::{LocalError, LocalRepository, PathKind, Tracked};
use crate::tree::{RawEntry, file_id, read_limits};

/// Git's own directory, and the mark of a repository inside a work tree.
const DOT_GIT: &str = ".git";

/// How Git sees the files of a work tree, or of a directory in one.
pub(super) struct GitScope {
    /// Path from the top to the directory, empty or with a slash behind.
    prefix: Vec<u8>,
    tracked: BTreeMap<Vec<u8>, Tracked>,
    is_ignored: IgnoreRules,
}

/// Whether Git ignores a path below its top.
type IgnoreRules = Box<dyn FnMut(&[u8], PathKind) -> bool>;

/// Size of a file, and its bytes if they were read.
type Content = (u64, Option<Arc<[u8]>>);

/// Whether a directory that is being read is one that Git ignores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Seen,
    Ignored,
}

impl GitScope {
    /// The view of a repository on the directory at `below` its top.
    pub(super) fn new(repository: &LocalRepository, mut below: Vec<u8>) -> Result<Self, LocalError> {
        if !below.is_empty() {
            below.push(b'/');
        }
        let is_ignored = Box::new(repository.ignore_rules()?);
        Ok(Self {
            prefix: below,
            tracked: repository.tracked()?,
            is_ignored,
        })
    }

    /// Nothing if the directory itself is ignored: then Git has no say about what is in it.
    pub(super) fn unless_ignored(mut self) -> Option<Self> {
        let ends = self
            .prefix
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'/')
            .map(|(end, _)| end);
        let ancestors: Vec<Vec<u8>> = ends
            .filter_map(|end| self.prefix.get(..end).map(<[u8]>::to_vec))
            .collect();
        let ignored = ancestors
            .iter()
            .any(|path| (self.is_ignored)(path, PathKind::Directory));
        (!ignored || self.tracks_below(&self.prefix)).then_some(self)
    }

    fn tracks_below(&self, prefix: &[u8]) -> bool {
        let from = (Bound::Included(prefix), Bound::Unbounded);
        self.tracked
            .range::<[u8], _>(from)
            .next()
            .is_some_and(|(path, _)| path.starts_with(prefix))
    }

    /// Whether a file would be part of a commit.
    fn keeps_file(&mut self, path: &[u8], above: Standing) -> bool {
        let path = [&self.prefix, path].concat();
        self.tracked.contains_key(&path)
            || (above == Standing::Seen && !(self.is_ignored)(&path, PathKind::File))
    }

    /// Whether a directory may hold files that would be; an ignored one does if some of them are tracked.
    fn enters(&mut self, path: &[u8], above: Standing) -> Option<Standing> {
        let path = [&self.prefix, path].concat();
        if above == Standing::Seen && !(self.is_ignored)(&path, PathKind::Directory) {
            return Some(Standing::Seen);
        }
        self.tracks_below(&[&path, b"/".as_slice()].concat())
            .then_some(Standing::Ignored)
    }

    fn is_submodule(&self, path: &[u8]) -> bool {
        self.tracked.get(&[&self.prefix, path].concat()) == Some(&Tracked::Submodule)
    }
}

/// Reads what a commit of the directory would hold. What `memory` knows and has not changed is not read again.
pub(super) fn read(
    root: &Path,
    scope: Option<GitScope>,
    limits: &Limits,
    memory: &mut Memory,
) -> Result<Read, Failure> {
    let limits = read_limits(limits);
    memory.begin_look();
    let mut walk = Walk {
        root,
        scope,
        limits,
        memory,
        entries: 0,
        bytes: 0,
        found: Vec::new(),
    };
    match walk.run() {
        Ok(()) => Ok(Read::Tree(walk.found)),
        Err(Stop::TooLarge(what, max)) => Ok(Read::TooLarge(format!("the tree has more than {max} {what}"))),
        Err(Stop::Failed(failure)) => Err(failure),
    }
}

/// Why a walk ended early.
enum Stop {
    TooLarge(&'static str, u64),
    Failed(Failure),
}

/// A directory that is still to be read.
struct Pending {
    /// Path from the root, in Git's spelling.
    path: Vec<u8>,
    depth: u64,
    standing: Standing,
}

struct Walk<'a> {
    root: &'a Path,
    scope: Option<GitScope>,
    limits: ReadLimits,
    memory: &'a mut Memory,
    entries: u64,
    bytes: u64,
    found: Vec<RawEntry>,
}

impl Walk<'_> {
    fn run(&mut self) -> Result<(), Stop> {
        let mut pending = vec![Pending {
            path: Vec::new(),
            depth: 0,
            standing: Standing::Seen,
        }];
        while let Some(directory) = pending.pop() {
            for (name, kind) in self.list(&directory)? {
                self.entries += 1;
                if self.entries > self.limits.entries_max {
                    return Err(Stop::TooLarge("entries", self.limits.entries_max));
                }
                let path = crate::git::read::joined(&directory.path, &name);
                if kind.is_dir() {
                    pending.extend(self.directory(path, &directory)?);
                } else {
                    self.leaf(&path, kind, directory.standing)?;
                }
            }
        }
        Ok(())
    }

    /// Names and kinds in a directory, sorted, without Git's own.
    fn list(&self, directory: &Pending) -> Result<Vec<(Vec<u8>, fs::FileType)>, Stop> {
        let path = self.on_disk(&directory.path);
        let failed = |source| {
            Stop::Failed(Failure::File {
                path: path.clone(),
                source,
            })
        };
        let mut found = Vec::new();
        for entry in fs::read_dir(&path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            if name != DOT_GIT {
                found.push((name.as_bytes().to_vec(), entry.file_type().map_err(failed)?));
            }
            if found.len() as u64 > self.limits.entries_max {
                return Err(Stop::TooLarge("entries", self.limits.entries_max));
            }
        }
        found.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        Ok(found)
    }

    /// What to read below a directory, if anything. A repository inside would be committed as a submodule.
    fn directory(&mut self, path: Vec<u8>, above: &Pending) -> Result<Option<Pending>, Stop> {
        let standing = match &mut self.scope {
            None => Some(Standing::Seen),
            Some(scope) if scope.is_submodule(&path) => Some(Standing::Seen),
            Some(scope) => scope.enters(&path, above.standing),
        };
        let Some(standing) = standing else { return Ok(None) };
        let is_submodule = self.scope.as_ref().is_some_and(|scope| scope.is_submodule(&path));
        if is_submodule || self.on_disk(&path).join(DOT_GIT).symlink_metadata().is_ok() {
            self.found.push((path, Entry::Submodule));
            return Ok(None);
        }
        if above.depth >= self.limits.depth_max {
            return Err(Stop::TooLarge("levels of directories", self.limits.depth_max));
        }
        Ok(Some(Pending {
            path,
            depth: above.depth + 1,
            standing,
        }))
    }

    /// A file or link; what is neither cannot be committed.
    fn leaf(&mut self, path: &[u8], kind: fs::FileType, above: Standing) -> Result<(), Stop> {
        if !kind.is_file() && !kind.is_symlink() {
            return Ok(());
        }
        if self
            .scope
            .as_mut()
            .is_some_and(|scope| !scope.keeps_file(path, above))
        {
            return Ok(());
        }
        if kind.is_symlink() {
            self.found.push((path.to_vec(), Entry::Symlink));
        } else if let Some(file) = self.file(path)? {
            self.found.push((path.to_vec(), Entry::File(file)));
        }
        Ok(())
    }

    fn file(&mut self, path: &[u8]) -> Result<Option<TreeFile>, Stop> {
        let on_disk = self.on_disk(path);
        let wanted = std::str::from_utf8(path)
            .ok()
            .and_then(|path| path.parse::<RepoPath>().ok());
        let max = if wanted.is_some_and(|path| wants(&path)) {
            self.limits.file_bytes_max
        } else {
            0
        };
        let file = match self
            .memory
            .file(path, &on_disk, || Ok(content(&on_disk, max)?.map(tree_file)))
        {
            Ok(file) => file,
            // It was removed, or replaced by something else, since it was listed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => {
                return Err(Stop::Failed(Failure::File {
                    path: on_disk,
                    source,
                }));
            }
        };
        if let Some(TreeFile {
            size, bytes: Some(_), ..
        }) = &file
        {
            self.bytes = self.bytes.saturating_add(*size);
        }
        if self.bytes > self.limits.total_bytes_max {
            return Err(Stop::TooLarge("bytes", self.limits.total_bytes_max));
        }
        Ok(file)
    }

    fn on_disk(&self, path: &[u8]) -> PathBuf {
        self.root.join(Path::new(std::ffi::OsStr::from_bytes(path)))
    }
}

fn tree_file((size, bytes): Content) -> TreeFile {
    let id = file_id(size, bytes.as_deref());
    TreeFile { id, size, bytes }
}

/// Size of a regular file, and its bytes if there are at most `max` and any are wanted.
fn content(path: &Path, max: u64) -> io::Result<Option<Content>> {
    if max == 0 {
        let metadata = fs::symlink_metadata(path)?;
        return Ok(metadata.is_file().then_some((metadata.len(), None)));
    }
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::options()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Ok(None);
    }
    if metadata.len() > max {
        return Ok(Some((metadata.len(), None)));
    }
    let mut bytes = Vec::new();
    file.take(max + 1).read_to_end(&mut bytes)?;
    let size = bytes.len() as u64;
    let within = size <= max;
    Ok(Some((size, within.then(|| Arc::from(bytes)))))
}
