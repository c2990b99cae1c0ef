//! `--fix`: the manifest in the newest format, written before it is judged.
//!
//! Invariant: nothing but `headwater.toml` is written, and that whole or not at all. A manifest that is right already,
//! cannot be read, or is none is left as it is. What is deliberately absent: what to change, which the validators know.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use headwater_validators::{Migrated, migrate, unknown_format};

use super::judging::{Judging, aside};
use crate::cli::failure::Failure;
use crate::cli::out::{Out, Tone};
use crate::git::error::Cause;
use crate::tree::MANIFEST;

/// Rewrites the manifest at the top of `root` where its format is old, and says what was changed.
pub(super) fn run(root: &Path, judging: &Judging, err: &mut Out<'_>) -> Result<(), Failure> {
    let path = root.join(MANIFEST);
    let bytes = match read(&path, judging.limits().file_bytes) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(source) => return Err(Failure::File { path, source }),
    };
    let migrated = aside(judging.deadline(), move || {
        // What is no file, or too large for one, is not rewritten.
        let bytes = bytes.as_deref().ok_or(None)?;
        migrate(bytes).ok_or_else(|| unknown_format(bytes))
    })?;
    let migrated = migrated.map_err(|error| Failure::Verdict(Cause::chain(&error, &[])))?;
    let Migrated { text, changes } = match migrated {
        Ok(migrated) => migrated,
        Err(unknown) => return nothing_written(unknown.as_deref(), err),
    };
    write(&path, &text).map_err(|source| Failure::Write { path, source })?;
    let word = err.paint().apply(Tone::Good, "fixed:");
    for change in changes {
        err.line(format!("{word} {MANIFEST}: {change}"))?;
    }
    Ok(())
}

/// Says why a manifest stays as it is: its format is current, or one that is not known.
fn nothing_written(unknown: Option<&str>, err: &mut Out<'_>) -> Result<(), Failure> {
    let word = err.paint().apply(Tone::Dim, "note:");
    let why = match unknown {
        Some(format) => format!("this release knows no format `{format}`, which `{MANIFEST}` has"),
        None => format!("`{MANIFEST}` needs no other format"),
    };
    Ok(err.line(format!("{word} {why}, so nothing was written"))?)
}

/// The bytes of a regular file that is not too large; a link is never followed, nor replaced by a file.
fn read(path: &Path, max: u64) -> io::Result<Option<Vec<u8>>> {
    if !fs::symlink_metadata(path)?.is_file() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(max + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= max).then_some(bytes))
}

/// Writes the file whole or not at all, with the permissions that it has.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let permissions = fs::metadata(path)?.permissions();
    let mut fresh = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(Path::new(".")))?;
    fresh.write_all(text.as_bytes())?;
    fresh.as_file().set_permissions(permissions)?;
    fresh.as_file().sync_all()?;
    fresh.persist(path).map(drop).map_err(|error| error.error)
}
