//! The few file operations of a cache, each one bounded and whole.
//!
//! Invariant: a file under its own name is complete, because it got the name after its bytes had reached the disk; a
//! link in place of a file is replaced and never written through. Each step is a place where a test can pull the plug.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use crate::lock::{self, Owner};

/// Bytes of a regular file; more than `limit` is [`io::ErrorKind::FileTooLarge`].
pub(super) fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    // A pipe or a device in place of the file could hold a start for ever.
    let found = fs::symlink_metadata(path)?;
    if !found.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is not a regular file",
        ));
    }
    let mut bytes = Vec::new();
    File::open(path)?
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

/// Writes `dir/name` so that it holds either what it held or all of `bytes`, also after a power cut.
pub(super) fn write_whole(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = format!("{name}.tmp");
    let path = dir.join(&temporary);
    step()?;
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    step()?;
    let mut file = private(OpenOptions::new().write(true).create_new(true)).open(&path)?;
    // Two writes, so that a test can stop between them.
    let (first, second) = bytes.split_at(bytes.len() / 2);
    step()?;
    file.write_all(first)?;
    step()?;
    file.write_all(second)?;
    step()?;
    file.sync_all()?;
    drop(file);
    rename(dir, &temporary, name)
}

/// Gives a file of `dir` another name, durably.
pub(super) fn rename(dir: &Path, from: &str, to: &str) -> io::Result<()> {
    step()?;
    fs::rename(dir.join(from), dir.join(to))?;
    step()?;
    sync_dir(dir)
}

/// Makes `below`, which lies in `dir`, and both durable.
pub(super) fn make_dirs(dir: &Path, below: &Path) -> io::Result<()> {
    if below.is_dir() {
        return Ok(());
    }
    step()?;
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(below)?;
    step()?;
    sync_dir(dir)
}

/// Removes the files of `dir` that are not in `names`.
pub(super) fn sweep(dir: &Path, names: &BTreeSet<String>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if !entry
            .file_name()
            .to_str()
            .is_some_and(|name| names.contains(name))
        {
            step()?;
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// The lock at `path` until the file is dropped; `None` if another process has it.
pub(super) fn try_lock(path: &Path) -> io::Result<Option<File>> {
    step()?;
    let made = private(OpenOptions::new().write(true).create_new(true)).open(path);
    let file = match made {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if !fs::symlink_metadata(path)?.is_file() {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "the lock is not a regular file",
                ));
            }
            File::open(path)?
        }
        made => made?,
    };
    step()?;
    match lock::take(&file)? {
        Owner::Us => Ok(Some(file)),
        Owner::Other => Ok(None),
    }
}

/// A config may hold what not every user of the machine should read.
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

/// A name is durable once its directory is. Not every system lets a directory be opened.
fn sync_dir(dir: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(dir)?.sync_all()
    } else {
        Ok(())
    }
}

#[cfg(not(test))]
#[expect(clippy::unnecessary_wraps, reason = "under test it fails where the test says")]
fn step() -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
use fault::step;

/// The plug that a test pulls.
#[cfg(test)]
pub(super) mod fault {
    use std::cell::Cell;
    use std::io;

    /// What the n-th step from now does.
    #[derive(Debug, Clone, Copy)]
    pub(in crate::cache) enum Fault {
        /// It fails and so do all after it, as if the process were gone.
        Dead(usize),
        /// It alone fails, for want of space.
        Full(usize),
    }

    thread_local! {
        static FAULT: Cell<Option<Fault>> = const { Cell::new(None) };
    }

    /// From now on in this thread.
    pub(in crate::cache) fn set(fault: Option<Fault>) {
        FAULT.set(fault);
    }

    pub(super) fn step() -> io::Result<()> {
        let (next, failed) = match FAULT.get() {
            None => return Ok(()),
            Some(Fault::Dead(0)) => (Some(Fault::Dead(0)), true),
            Some(Fault::Dead(left)) => (Some(Fault::Dead(left - 1)), false),
            Some(Fault::Full(0)) => (None, true),
            Some(Fault::Full(left)) => (Some(Fault::Full(left - 1)), false),
        };
        FAULT.set(next);
        if failed {
            Err(io::ErrorKind::StorageFull.into())
        } else {
            Ok(())
        }
    }
}
