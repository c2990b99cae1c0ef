//! One config in one file, replaced by a rename.
//!
//! Invariant: the file is the old one or the new one, whole. What is deliberately absent: any trace beside it, except
//! while a new one is written.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use headwater_wire::ConfigName;

use super::access::{Access, sync_directory};
use super::{FileError, FileSet, Owns, Staged, read_text};

/// The file of a config.
#[derive(Debug)]
pub(crate) struct SingleFile {
    path: PathBuf,
    config: ConfigName,
    access: Access,
    /// What the last switch replaced.
    previous: Option<Arc<str>>,
}

impl SingleFile {
    /// Makes the directory if needed, and removes what a crash left behind.
    pub(crate) fn open(path: &Path, config: ConfigName, access: Access) -> Result<Self, FileError> {
        if path.is_dir() {
            return Err(FileError::Foreign(path.to_owned()));
        }
        let (Some(name), Some(parent)) = (path.file_name(), path.parent()) else {
            return Err(FileError::Foreign(path.to_owned()));
        };
        let parent = if parent.as_os_str().is_empty() {
            Path::new(".")
        } else {
            parent
        };
        fs::create_dir_all(parent).map_err(FileError::io("make", parent))?;
        let parent = fs::canonicalize(parent).map_err(FileError::io("find", parent))?;
        // Where a link stands, the file it leads to is replaced, and the link stays.
        let path = fs::canonicalize(parent.join(name)).unwrap_or_else(|_| parent.join(name));
        let single = Self {
            path,
            config,
            access,
            previous: None,
        };
        remove(&single.staging())?;
        Ok(single)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn read(&self) -> Result<FileSet, FileError> {
        let text = read_text(&self.path)?;
        Ok(text.map(|text| (self.config.clone(), text)).into_iter().collect())
    }

    pub(super) fn holds(&self, set: &FileSet) -> bool {
        self.read().is_ok_and(|present| present == *set) && (set.is_empty() || self.access.fits(&self.path))
    }

    pub(super) fn stage(&self, set: &FileSet) -> Result<Staged, FileError> {
        let root = self.path.parent().unwrap_or(Path::new("/")).to_owned();
        let mut files = BTreeMap::new();
        if let Some(text) = set.get(&self.config) {
            let file = self.staging();
            remove(&file)?;
            self.access.write_new(&file, text)?;
            files.insert(self.config.clone(), file);
        }
        Ok(Staged {
            root,
            files,
            owns: Owns::Files,
        })
    }

    pub(super) fn switch(&mut self, staged: Staged) -> Result<(), FileError> {
        let before = read_text(&self.path)?;
        self.replace(staged)?;
        self.previous = before;
        Ok(())
    }

    pub(super) fn back(&mut self) -> Result<(), FileError> {
        if let Some(text) = self.previous.take() {
            let staged = self.stage(&FileSet::from([(self.config.clone(), text)]))?;
            self.replace(staged)
        } else {
            remove(&self.path)?;
            self.sync()
        }
    }

    fn replace(&self, staged: Staged) -> Result<(), FileError> {
        if let Some(file) = staged.file(&self.config) {
            fs::rename(file, &self.path).map_err(FileError::io("replace", &self.path))?;
        }
        staged.keep();
        self.sync()
    }

    fn sync(&self) -> Result<(), FileError> {
        sync_directory(self.path.parent().unwrap_or(Path::new("/")))
    }

    /// Beside the file, so that the rename stays on one file system; it ends like the file, since some programs choose
    /// by the extension how to check it.
    fn staging(&self) -> PathBuf {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        self.path.with_file_name(format!(".hw-new.{name}"))
    }
}

fn remove(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(FileError::io("remove", path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}
