//! A directory whose files are those of one version: they stand in a directory of their own, `..data` points to it,
//! and everything else points through `..data`. So one rename switches all of them, as in a Kubernetes volume.
//!
//! Invariant: entries that do not begin with `..hw-` or `..data`, and links that do not point through `..data`, are
//! somebody else's and never touched. A version that was in use stays until the one after the next is, so that who
//! resolved `..data` can read on.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use headwater_wire::{ConfigName, RepoPath};

use super::access::{Access, sync_directory};
use super::layout::Layout;
use super::{FileError, FileSet, Owns, Staged, fingerprint, read_text};
use crate::lock::{self, Owner};

/// The link that names the version in use.
const DATA: &str = "..data";
/// Where that link is made before it takes its place.
const DATA_NEW: &str = "..data.new";
/// Begin of the names of directories that hold a version.
const VERSION: &str = "..hw-";
/// Held by the one agent that writes here.
const LOCK: &str = "..headwater.lock";

/// A directory that this process alone writes to.
#[derive(Debug)]
pub(crate) struct Directory {
    root: PathBuf,
    layout: Layout,
    access: Access,
    /// Name of the version before the one in use, if it may come back.
    previous: Option<String>,
    _lock: File,
}

impl Directory {
    /// Takes a directory, makes it if needed, and removes what a crash left behind.
    pub(crate) fn open(root: &Path, layout: Layout, access: Access) -> Result<Self, FileError> {
        fs::create_dir_all(root).map_err(FileError::io("make", root))?;
        let root = fs::canonicalize(root).map_err(FileError::io("find", root))?;
        let lock = own(&root.join(LOCK)).map_err(|error| error.unwrap_or(FileError::Locked(root.clone())))?;
        let directory = Self {
            root,
            layout,
            access,
            previous: None,
            _lock: lock,
        };
        let current = directory.current()?;
        for (_, path) in directory.layout.iter() {
            directory.is_linked(top(path))?;
        }
        directory.sweep(current.as_deref())?;
        Ok(directory)
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn path_of(&self, config: &ConfigName) -> Option<PathBuf> {
        Some(self.root.join(self.layout.path(config)?.as_str()))
    }

    pub(super) fn read(&self) -> Result<FileSet, FileError> {
        let mut set = FileSet::new();
        let Some(current) = self.current()? else {
            return Ok(set);
        };
        for (config, path) in self.layout.iter() {
            if let Some(text) = read_text(&self.root.join(&current).join(path.as_str()))? {
                set.insert(config.clone(), text);
            }
        }
        Ok(set)
    }

    pub(super) fn holds(&self, set: &FileSet) -> bool {
        let fits = |config: &ConfigName| {
            let is_linked = |path| matches!(self.is_linked(top(path)), Ok(true));
            self.layout.path(config).is_some_and(is_linked)
                && self.path_of(config).is_some_and(|path| self.access.fits(&path))
        };
        self.read().is_ok_and(|present| present == *set) && set.keys().all(fits)
    }

    /// Writes a new version: files first, then the directories that name them.
    pub(super) fn stage(&self, set: &FileSet) -> Result<Staged, FileError> {
        if !self.root.is_dir() {
            fs::create_dir_all(&self.root).map_err(FileError::io("make", &self.root))?;
        }
        let root = self.unused(set)?;
        let mut staged = Staged {
            root: root.clone(),
            files: BTreeMap::new(),
            owns: Owns::Root,
        };
        let mut directories = BTreeSet::from([root.clone()]);
        for (config, text) in set {
            let Some(path) = self.layout.path(config) else {
                continue;
            };
            self.make_parents(&root, path, &mut directories)?;
            let file = root.join(path.as_str());
            self.access.write_new(&file, text)?;
            staged.files.insert(config.clone(), file);
        }
        // Deepest first: a directory is durable before the entry that names it.
        for directory in directories.iter().rev() {
            sync_directory(directory)?;
        }
        sync_directory(&self.root)?;
        Ok(staged)
    }

    fn make_parents(
        &self,
        root: &Path,
        path: &RepoPath,
        made: &mut BTreeSet<PathBuf>,
    ) -> Result<(), FileError> {
        let mut directory = root.to_owned();
        let mut components: Vec<&str> = path.components().collect();
        components.pop();
        for component in components {
            directory.push(component);
            if made.insert(directory.clone()) {
                self.access.make_directory(&directory)?;
            }
        }
        Ok(())
    }

    /// Makes a directory of a name that is not taken. It tells by its content's digest what it holds, for people.
    fn unused(&self, set: &FileSet) -> Result<PathBuf, FileError> {
        let digest = fingerprint(set);
        let hex = digest.hex().get(..12).unwrap_or_default();
        let mut number = 1_u64;
        loop {
            let path = self.root.join(format!("{VERSION}{hex}-{number}"));
            match self.access.make_directory(&path) {
                Ok(()) => return Ok(path),
                Err(FileError::Io { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {
                    number = number.saturating_add(1);
                }
                Err(error) => return Err(error),
            }
        }
    }

    pub(super) fn switch(&mut self, staged: Staged) -> Result<(), FileError> {
        let before = self.current()?;
        let name = file_name(staged.root());
        // The links come first: until the rename they point to nothing, which is what the old version says of them.
        for config in staged.files.keys() {
            if let Some(path) = self.layout.path(config) {
                self.link(top(path))?;
            }
        }
        sync_directory(&self.root)?;
        if let Err(error) = self.point_to(&name) {
            self.undo(before.as_deref(), &name);
            return Err(error);
        }
        staged.keep();
        self.previous = before;
        // The switch is done; what could not be listed now is removed after the next one.
        self.sweep(Some(&name)).ok();
        Ok(())
    }

    /// A switch that took place and could not be made durable has failed, so it must not be seen either.
    fn undo(&self, before: Option<&str>, name: &str) {
        if !matches!(self.current(), Ok(Some(current)) if current == name) {
            return;
        }
        // Nothing is left to do if this fails as well; the error that is told is the first one.
        match before {
            Some(before) => self.point_to(before).ok(),
            None => fs::remove_file(self.root.join(DATA)).ok(),
        };
    }

    pub(super) fn back(&mut self) -> Result<(), FileError> {
        let previous = self.previous.take();
        if let Some(name) = &previous {
            self.point_to(name)?;
        } else {
            let data = self.root.join(DATA);
            fs::remove_file(&data).map_err(FileError::io("remove", &data))?;
            sync_directory(&self.root)?;
        }
        self.sweep(previous.as_deref())
    }

    /// The one step that changes what readers see.
    fn point_to(&self, name: &str) -> Result<(), FileError> {
        let (new, data) = (self.root.join(DATA_NEW), self.root.join(DATA));
        remove_if_there(&new)?;
        symlink(name, &new).map_err(FileError::io("make", &new))?;
        fs::rename(&new, &data).map_err(FileError::io("replace", &data))?;
        sync_directory(&self.root)
    }

    /// Name of the version in use.
    fn current(&self) -> Result<Option<String>, FileError> {
        let data = self.root.join(DATA);
        match fs::read_link(&data) {
            Ok(target) => match target.to_str().filter(|name| is_version(name)) {
                Some(name) => Ok(Some(name.to_owned())),
                None => Err(FileError::Foreign(data)),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Err(FileError::Foreign(data)),
            Err(error) => Err(FileError::io("read", &data)(error)),
        }
    }

    /// Whether the entry points through `..data`; it must do so or not be there.
    fn is_linked(&self, name: &str) -> Result<bool, FileError> {
        let path = self.root.join(name);
        match fs::read_link(&path) {
            Ok(target) if target == Path::new(DATA).join(name) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Ok(_) => Err(FileError::Foreign(path)),
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Err(FileError::Foreign(path)),
            Err(error) => Err(FileError::io("read", &path)(error)),
        }
    }

    fn link(&self, name: &str) -> Result<(), FileError> {
        if self.is_linked(name)? {
            return Ok(());
        }
        let path = self.root.join(name);
        symlink(Path::new(DATA).join(name), &path).map_err(FileError::io("make", &path))
    }

    /// Removes our links that lead nowhere and versions that are neither in use nor the one before.
    fn sweep(&self, current: Option<&str>) -> Result<(), FileError> {
        let entries = fs::read_dir(&self.root).map_err(FileError::io("list", &self.root))?;
        for entry in entries.flatten() {
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            let path = entry.path();
            let in_use = Some(name.as_str()) == current || Some(&name) == self.previous.as_ref();
            // What cannot be removed now is tried again at the next switch; it stands in nobody's way.
            if is_version(&name) && !in_use {
                fs::remove_dir_all(&path).ok();
            } else if name == DATA_NEW || (matches!(self.is_linked(&name), Ok(true)) && !path.exists()) {
                fs::remove_file(&path).ok();
            }
        }
        Ok(())
    }
}

/// Opens and locks a file, or tells why not; `None` means that another process holds it.
fn own(path: &Path) -> Result<File, Option<FileError>> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(|error| Some(FileError::io("make", path)(error)))?;
    match lock::take(&file) {
        Ok(Owner::Us) => Ok(file),
        Ok(Owner::Other) => Err(None),
        Err(error) => Err(Some(FileError::io("lock", path)(error))),
    }
}

fn is_version(name: &str) -> bool {
    name.strip_prefix(VERSION)
        .and_then(|rest| rest.split_once('-'))
        .is_some_and(|(hex, number)| {
            hex.len() == 12 && hex.bytes().all(|b| b.is_ascii_hexdigit()) && number.parse::<u64>().is_ok()
        })
}

/// The first component, which is what stands in the directory itself.
fn top(path: &RepoPath) -> &str {
    path.components().next().unwrap_or(path.as_str())
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

fn remove_if_there(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(FileError::io("remove", path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}
