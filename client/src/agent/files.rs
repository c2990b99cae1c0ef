//! The files of one version, switched as one.
//!
//! Invariant: at any moment, also after `kill -9` or a power cut, what a reader finds are the files of the old version
//! or those of the new one. What is deliberately absent: who decides to switch, and what is run before and after.

mod access;
mod directory;
mod layout;
mod single;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use headwater_wire::{ConfigName, Digest};

pub(crate) use access::{Access, Owner};
pub(crate) use directory::Directory;
pub(crate) use layout::Layout;
pub(crate) use single::SingleFile;

/// Largest file that is read back, in bytes; a document is far smaller.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// The text of each config, rendered.
pub(crate) type FileSet = BTreeMap<ConfigName, Arc<str>>;

/// The digest of a whole set.
pub(crate) fn fingerprint(set: &FileSet) -> Digest {
    let mut content = String::new();
    for (config, text) in set {
        let _infallible = writeln!(content, "{config}\n{}\n{text}", text.len());
    }
    headwater_render::digest(&content)
}

/// Why files could not be written. What was there before is there still.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    #[error("cannot {action} `{}`", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("`{}` is there already, and it is not the agent's", .0.display())]
    Foreign(PathBuf),
    #[error("another agent writes to `{}`", .0.display())]
    Locked(PathBuf),
}

impl FileError {
    fn io<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Self + use<'a> {
        move |source| Self::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }

    /// What to do about it.
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::Foreign(_) => "move it away, or give the agent a directory of its own",
            Self::Locked(_) => "one agent can write several configs; stop the other one, or use another path",
            Self::Io { source, .. } => hint_of(source),
        }
    }
}

fn hint_of(error: &io::Error) -> &'static str {
    let kind = error.kind();
    if matches!(kind, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
        "free some space; the version that was there stays in use meanwhile"
    } else if kind == io::ErrorKind::ReadOnlyFilesystem {
        "mount it writable, or write to another path, such as a memory-backed volume"
    } else if kind == io::ErrorKind::PermissionDenied {
        "let the agent's user write there; only root can give files to other users"
    } else {
        "look at the path and its file system"
    }
}

/// Where the files of all configs go.
#[derive(Debug)]
pub(crate) enum Target {
    /// A directory with a file per config.
    Directory(Directory),
    /// One config, one file.
    Single(SingleFile),
    /// No file at all: programs ask by HTTP.
    Nowhere,
}

/// Files of a version that is not in use yet. They are gone when this is dropped without a switch.
#[derive(Debug)]
pub(crate) struct Staged {
    root: PathBuf,
    files: BTreeMap<ConfigName, PathBuf>,
    /// Whether the root is made for this version alone.
    owns: Owns,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owns {
    Root,
    Files,
    Nothing,
}

impl Staged {
    fn nothing() -> Self {
        Self {
            root: PathBuf::new(),
            files: BTreeMap::new(),
            owns: Owns::Nothing,
        }
    }

    /// The file of a config.
    pub(crate) fn file(&self, config: &ConfigName) -> Option<&Path> {
        self.files.get(config).map(PathBuf::as_path)
    }

    /// The directory that holds the files.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    fn keep(mut self) {
        self.owns = Owns::Nothing;
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // What cannot be removed now is swept at the next start.
        match self.owns {
            Owns::Root => {
                std::fs::remove_dir_all(&self.root).ok();
            }
            Owns::Files => {
                for file in self.files.values() {
                    std::fs::remove_file(file).ok();
                }
            }
            Owns::Nothing => {}
        }
    }
}

impl Target {
    /// What is in use now, of the configs that the layout names.
    pub(crate) fn read(&self) -> Result<FileSet, FileError> {
        match self {
            Self::Directory(directory) => directory.read(),
            Self::Single(single) => single.read(),
            Self::Nowhere => Ok(FileSet::new()),
        }
    }

    /// Whether exactly these files are in use, with the mode and owner they should have.
    pub(crate) fn holds(&self, set: &FileSet) -> bool {
        match self {
            Self::Directory(directory) => directory.holds(set),
            Self::Single(single) => single.holds(set),
            Self::Nowhere => true,
        }
    }

    /// Writes the files where no reader of the present version sees them.
    pub(crate) fn stage(&self, set: &FileSet) -> Result<Staged, FileError> {
        match self {
            Self::Directory(directory) => directory.stage(set),
            Self::Single(single) => single.stage(set),
            Self::Nowhere => Ok(Staged::nothing()),
        }
    }

    /// Puts staged files into use.
    pub(crate) fn switch(&mut self, staged: Staged) -> Result<(), FileError> {
        match self {
            Self::Directory(directory) => directory.switch(staged),
            Self::Single(single) => single.switch(staged),
            Self::Nowhere => Ok(()),
        }
    }

    /// Takes the last switch back.
    pub(crate) fn back(&mut self) -> Result<(), FileError> {
        match self {
            Self::Directory(directory) => directory.back(),
            Self::Single(single) => single.back(),
            Self::Nowhere => Ok(()),
        }
    }

    /// The path at which programs find a config, whatever version is in use.
    pub(crate) fn path_of(&self, config: &ConfigName) -> Option<PathBuf> {
        match self {
            Self::Directory(directory) => directory.path_of(config),
            Self::Single(single) => Some(single.path().to_owned()),
            Self::Nowhere => None,
        }
    }

    /// The directory in which programs find the files.
    pub(crate) fn root(&self) -> Option<&Path> {
        match self {
            Self::Directory(directory) => Some(directory.root()),
            Self::Single(single) => single.path().parent(),
            Self::Nowhere => None,
        }
    }
}

/// A file's text, if it is one.
fn read_text(path: &Path) -> Result<Option<Arc<str>>, FileError> {
    use std::io::Read as _;
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(FileError::io("read", path)(error)),
    };
    let mut text = String::new();
    match file.take(FILE_BYTES_MAX).read_to_string(&mut text) {
        Ok(_) => Ok(Some(text.into())),
        // Something else was written there; it is as good as nothing, since nobody can have made it from a document.
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(None),
        Err(error) => Err(FileError::io("read", path)(error)),
    }
}

#[cfg(test)]
mod tests;
