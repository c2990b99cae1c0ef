//! Objects that are not in the repository yet: while Git asks the hooks of a push, it keeps what was pushed apart and
//! says where in the environment.
//!
//! Invariant: a repository is read as Git itself would read it there: its own objects, and those. Nothing is written
//! into either. What is deliberately absent: paths in C-style quotes, which Git writes for names with line breaks.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempDir;

use super::limits::OBJECT_BYTES_MAX;

/// Where more objects are, by `GIT_OBJECT_DIRECTORY` and `GIT_ALTERNATE_OBJECT_DIRECTORIES`.
#[derive(Debug, Clone, Default)]
pub struct ObjectDirs(Vec<PathBuf>);

impl ObjectDirs {
    /// From the values of the two variables.
    pub fn new(own: Option<&OsStr>, alternates: Option<&OsStr>) -> Self {
        let is_plain = |dir: &PathBuf| {
            let bytes = dir.as_os_str().as_bytes();
            !bytes.is_empty() && !bytes.starts_with(b"\"") && !bytes.contains(&b'\n')
        };
        let own = own.map(PathBuf::from);
        let alternates = alternates.map(std::env::split_paths).into_iter().flatten();
        Self(own.into_iter().chain(alternates).filter(is_plain).collect())
    }

    /// Lets a repository read these objects too, as long as the directory that is given back stands. It holds nothing
    /// but a list of the others.
    pub(super) fn join(&self, repo: &mut gix::ThreadSafeRepository) -> io::Result<Option<TempDir>> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let joined = tempfile::tempdir()?;
        let mut list = Vec::new();
        let own = std::path::absolute(repo.objects.path())?;
        for dir in self.0.iter().chain([&own]) {
            list.extend_from_slice(std::path::absolute(dir)?.as_os_str().as_bytes());
            list.push(b'\n');
        }
        let info = joined.path().join("info");
        fs::create_dir(&info)?;
        fs::write(info.join("alternates"), list)?;
        let options = gix::odb::store::init::Options {
            alloc_limit_bytes: usize::try_from(OBJECT_BYTES_MAX).ok(),
            ..gix::odb::store::init::Options::default()
        };
        let hash = repo.to_thread_local().object_hash();
        let store =
            gix::odb::Store::at_opts(joined.path().to_owned(), hash, &mut std::iter::empty(), options)?;
        repo.objects = Arc::new(store);
        Ok(Some(joined))
    }
}
