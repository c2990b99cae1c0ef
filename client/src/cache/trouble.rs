//! What is wrong with a cache, in words for the log: what was found at a start, and why a save failed.
//!
//! Invariant: a trouble is never fatal: the program starts without what it names.

use std::io;
use std::path::{Path, PathBuf};

use headwater_wire::Digest;

/// Something on disk that could not be used at a start.
#[derive(Debug, thiserror::Error)]
pub enum CacheTrouble {
    /// Another process has the same cache; this one reads only.
    #[error("another process uses the cache: `{}`", path.display())]
    InUse {
        /// The lock.
        path: PathBuf,
    },
    /// Nothing can be kept here, at least now.
    #[error(transparent)]
    NotWritable(Box<CacheError>),
    /// A file that is there cannot be read.
    #[error("cannot read a file of the cache: `{}`", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A document that the state names is not there.
    #[error("a file of the cache is missing: `{}`", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A file is damaged.
    #[error("a file of the cache is damaged, {what}: `{}`", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// In what way.
        what: &'static str,
    },
    /// A file is larger than any that this library writes.
    #[error("a file of the cache has more than {limit} bytes: `{}`", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        limit: u64,
    },
    /// A later version of this library wrote it.
    #[error("a file of the cache has the newer format {found}: `{}`", path.display())]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u64,
    },
    /// It was kept for another server, repository, config or instance.
    #[error("a file of the cache was kept for something else: `{}`", path.display())]
    OtherKey {
        /// The file.
        path: PathBuf,
    },
}

impl CacheTrouble {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::InUse { .. } => {
                "give each process an instance id or a cache directory of its own; this one keeps nothing until the other ends"
            }
            Self::NotWritable(error) => error.hint(),
            Self::Unreadable { .. } => "let the user of this process own and read the cache directory",
            Self::Missing { .. } | Self::Broken { .. } | Self::TooLarge { .. } => {
                "nothing needs to be done: it is left out, and replaced by the next good version"
            }
            Self::NewerFormat { .. } => {
                "nothing needs to be done after a return to an older release: it is set aside, and written anew"
            }
            Self::OtherKey { .. } => "do not copy files between cache directories; it is set aside",
        }
    }

    pub(super) fn from_read(path: PathBuf, limit: u64, source: io::Error) -> Self {
        let kind = source.kind();
        if kind == io::ErrorKind::NotFound {
            Self::Missing { path }
        } else if kind == io::ErrorKind::FileTooLarge {
            Self::TooLarge { path, limit }
        } else {
            Self::Unreadable { path, source }
        }
    }
}

/// Why a state was not kept. What was kept before is still there.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// Another process has the same cache.
    #[error("another process uses the cache: `{}`", path.display())]
    InUse {
        /// The lock.
        path: PathBuf,
    },
    /// The system refused a write.
    #[error("cannot write the cache: `{}`", path.display())]
    Io {
        /// File or directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A document larger than the cache takes.
    #[error("the document has more than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// The text is not the canonical rendering that the digest names.
    #[error("the document is not what its digest says: `{digest}`")]
    WrongDigest {
        /// The digest that was named.
        digest: Digest,
    },
    /// The state names a document that is neither on disk nor was given.
    #[error("the document was not kept before: `{digest}`")]
    NotKept {
        /// The digest that was named.
        digest: Digest,
    },
}

impl CacheError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::InUse { .. } => "give each process an instance id or a cache directory of its own",
            Self::Io { source, .. } if is_full(source) => {
                "free some space; until then a restart begins with what was kept before"
            }
            Self::Io { .. } => "name a directory that the user of this process may write to",
            Self::TooLarge { .. } => {
                "split the config; a restart without the service begins with an older version"
            }
            Self::WrongDigest { .. } => "this is a fault of the client; please report it",
            Self::NotKept { .. } => "something else removed files of the cache; give the document again",
        }
    }

    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}
