//! A copy of the decisions in one file of text, and the way back from it.
//!
//! Invariant: a copy is of one moment, and of nothing that was not decided; one that is cut, altered or of a newer
//! release is refused. What is put back goes on above everything that may have been decided since the copy was made,
//! under an identity of its own, and is marked, so that the next start begins anew with it.
//! What is deliberately absent: verdicts and configuration, which Git gives again.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use headwater_wire::Timestamp;
use serde::{Deserialize, Serialize};

use super::disk::DiskStore;
use super::file::FORMAT;
use super::hard::{HardStore, Image, OpId, Record, Revision};
use super::{FILE, PUT_BACK, REPO_PREFIX, StoreError};
use crate::tree::content_id;

/// Layout of the lines.
const BACKUP_FORMAT: u32 = 1;
/// How far what is put back begins above the copy, in revisions: more than any service decides in years.
const RESTORE_GAP: u64 = 1 << 32;

/// Why a copy cannot be read or put back.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// It is no copy, or was cut or altered.
    #[error("this is no whole backup: {0}")]
    Broken(String),
    /// A newer release made it.
    #[error("the backup has format {found}, and this release knows formats up to {known}")]
    Newer {
        /// Its format.
        found: u64,
        /// The newest that is known.
        known: u64,
    },
    /// There are decisions already.
    #[error("there are decisions already: `{0}`")]
    Exists(PathBuf),
    /// A file cannot be read or written.
    #[error("cannot use `{path}`")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// What the store said.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl BackupError {
    /// What a person can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Broken(_) => "take another copy; `headwater backup` writes one that can be checked",
            Self::Newer { .. } => "restore it with the release that made it, or a newer one",
            Self::Exists(_) => "name another --data-dir, or say --force: what is there is kept beside it",
            Self::File { .. } => "check that the file is there, and that this user may read or write it",
            Self::Store(StoreError::InUse(_)) => {
                "a running service has it: `headwater backup FILE` asks the service, and a restore needs it stopped"
            }
            Self::Store(error) => error.hint(),
        }
    }
}

/// What becomes of decisions that are there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overwrite {
    /// Nothing is done.
    Refuse,
    /// They are set aside.
    SetAside,
}

/// What was put back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// When the copy was made.
    pub taken_at: Timestamp,
    /// Repositories in it.
    pub repos: Vec<String>,
    /// Where the decisions are now that were there before.
    pub aside: Option<PathBuf>,
}

/// One line of a copy.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    HeadwaterBackup {
        format: u32,
        /// Layout of what is in the records.
        layout: u64,
        taken_at: Timestamp,
        revision: u64,
    },
    Record(String, u64, String),
    Log(String, u64, String),
    Term(String, u64),
    Operation(String, u64),
    /// Digest of every line before it.
    End {
        sha256: String,
    },
}

/// The copy as text.
pub(super) fn write(image: &Image, taken_at: Timestamp) -> Result<Vec<u8>, StoreError> {
    let mut text = Vec::new();
    let mut line = |line: &Line| -> Result<(), StoreError> {
        serde_json::to_writer(&mut text, line).map_err(StoreError::Record)?;
        text.push(b'\n');
        Ok(())
    };
    line(&Line::HeadwaterBackup {
        format: BACKUP_FORMAT,
        layout: FORMAT,
        taken_at,
        revision: image.revision.0,
    })?;
    for (key, record) in &image.records {
        line(&Line::Record(
            key.clone(),
            record.revision.0,
            BASE64_STANDARD.encode(&record.value),
        ))?;
    }
    for (scope, number, entry) in &image.logs {
        line(&Line::Log(scope.clone(), *number, BASE64_STANDARD.encode(entry)))?;
    }
    for (role, term) in &image.terms {
        line(&Line::Term(role.clone(), *term))?;
    }
    for (op, revision) in &image.operations {
        line(&Line::Operation(op.as_str().to_owned(), revision.0))?;
    }
    let end = Line::End {
        sha256: digest(&text),
    };
    serde_json::to_writer(&mut text, &end).map_err(StoreError::Record)?;
    text.push(b'\n');
    Ok(text)
}

/// Reads a copy.
fn read(text: &[u8]) -> Result<(Image, Timestamp), BackupError> {
    let broken = |what: &str| BackupError::Broken(what.to_owned());
    let whole = text
        .strip_suffix(b"\n")
        .ok_or_else(|| broken("its end is missing"))?;
    let end_at = whole
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    let (before, end) = whole.split_at(end_at);
    let mut lines = before
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    let first = lines.next().ok_or_else(|| broken("it is empty"))?;
    let Line::HeadwaterBackup {
        format,
        layout,
        taken_at,
        revision,
    } = parse(first)?
    else {
        return Err(broken("it does not begin like one"));
    };
    for (found, known) in [(u64::from(format), u64::from(BACKUP_FORMAT)), (layout, FORMAT)] {
        if found > known {
            return Err(BackupError::Newer { found, known });
        }
    }
    match parse(end)? {
        Line::End { sha256 } if sha256 == digest(before) => {}
        Line::End { .. } => return Err(broken("its digest is not that of its lines")),
        Line::HeadwaterBackup { .. }
        | Line::Record(..)
        | Line::Log(..)
        | Line::Term(..)
        | Line::Operation(..) => return Err(broken("its end is missing")),
    }
    let mut image = Image {
        revision: Revision(revision),
        ..Image::default()
    };
    for line in lines {
        add(&mut image, parse(line)?)?;
    }
    Ok((image, taken_at))
}

fn add(image: &mut Image, line: Line) -> Result<(), BackupError> {
    let bytes = |text: String| {
        BASE64_STANDARD
            .decode(text)
            .map_err(|error| BackupError::Broken(error.to_string()))
    };
    match line {
        Line::Record(key, revision, value) => {
            let record = Record {
                revision: Revision(revision),
                value: bytes(value)?,
            };
            image.records.insert(key, record);
        }
        Line::Log(scope, number, entry) => image.logs.push((scope, number, bytes(entry)?)),
        Line::Term(role, term) => {
            image.terms.insert(role, term);
        }
        Line::Operation(op, revision) => image.operations.push((OpId::of(&op), Revision(revision))),
        Line::HeadwaterBackup { .. } | Line::End { .. } => {
            return Err(BackupError::Broken("a line stands where it cannot".to_owned()));
        }
    }
    Ok(())
}

fn parse(line: &[u8]) -> Result<Line, BackupError> {
    serde_json::from_slice(line).map_err(|error| BackupError::Broken(error.to_string()))
}

fn digest(bytes: &[u8]) -> String {
    content_id(bytes).to_string()
}

/// Copies the decisions of a data directory that no service has open.
pub(crate) fn copy(data_dir: &Path, now: Timestamp) -> Result<Vec<u8>, BackupError> {
    let path = data_dir.join(FILE);
    // Opening would make one.
    std::fs::metadata(&path).map_err(|source| BackupError::File {
        path: path.clone(),
        source,
    })?;
    let image = DiskStore::open(&path)?.image()?;
    Ok(write(&image, now)?)
}

/// Puts a copy back into a data directory that no service has open.
///
/// # Errors
/// It is no whole copy that this release knows, or the directory cannot be used or has decisions.
pub fn restore(text: &[u8], data_dir: &Path, overwrite: Overwrite) -> Result<Restored, BackupError> {
    let (mut image, taken_at) = read(text)?;
    let path = data_dir.join(FILE);
    let at = |path: &Path, source| BackupError::File {
        path: path.to_owned(),
        source,
    };
    super::create_dir(data_dir).map_err(|source| at(data_dir, source))?;
    let is_there = path.exists();
    if is_there && overwrite == Overwrite::Refuse {
        return Err(BackupError::Exists(path));
    }
    if is_there {
        // Nobody may have it open, and nobody may be told a number again that it has given out.
        let revision = DiskStore::open(&path)?.image()?.revision;
        image.revision = image.revision.max(revision);
    }
    let repos = mark(&mut image);
    image.revision = Revision(image.revision.0.saturating_add(RESTORE_GAP));
    let new = path.with_extension("redb.new");
    remove(&new)?;
    DiskStore::found(&new, &image)?;
    let aside = path.with_extension("redb.replaced");
    if is_there {
        std::fs::rename(&path, &aside).map_err(|source| at(&aside, source))?;
    }
    std::fs::rename(&new, &path).map_err(|source| at(&path, source))?;
    sync(data_dir).map_err(|source| at(data_dir, source))?;
    Ok(Restored {
        taken_at,
        repos,
        aside: is_there.then_some(aside),
    })
}

/// Marks the copy as put back, and names its repositories.
fn mark(image: &mut Image) -> Vec<String> {
    let keys = image.records.keys();
    let repos = keys
        .filter_map(|key| key.strip_prefix(REPO_PREFIX))
        .map(str::to_owned)
        .collect();
    let record = Record {
        revision: image.revision,
        value: Vec::new(),
    };
    image.records.insert(PUT_BACK.to_owned(), record);
    repos
}

fn remove(path: &Path) -> Result<(), BackupError> {
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(BackupError::File {
            path: path.to_owned(),
            source,
        }),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Makes the names in a directory durable.
fn sync(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Writes a copy where it is wanted, whole or not at all. What is no whole copy replaces none: a proxy may have answered
/// in the service's place, or the connection may have been cut.
pub(crate) fn put(text: &[u8], path: &Path) -> Result<(), BackupError> {
    read(text)?;
    let at = |source| BackupError::File {
        path: path.to_owned(),
        source,
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let new = path.with_file_name(format!("{name}.new"));
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    // It names people, and what they decided.
    options.mode(0o600);
    let mut file = options.open(&new).map_err(at)?;
    file.write_all(text).map_err(at)?;
    file.sync_all().map_err(at)?;
    std::fs::rename(&new, path).map_err(at)
}

#[cfg(test)]
mod tests {
    use headwater_core::RepoState;
    use headwater_wire::RepoName;

    use super::super::Store;
    use super::*;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    fn repo() -> RepoName {
        "default".parse().unwrap()
    }

    fn state(digit: char) -> RepoState {
        RepoState {
            tip: Some(digit.to_string().repeat(40).parse().unwrap()),
            ..RepoState::default()
        }
    }

    fn store_with(digit: char) -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        store.save_repo(&repo(), &state(digit)).unwrap();
        (dir, store)
    }

    #[test]
    fn an_answer_that_is_no_whole_copy_does_not_replace_a_good_one() {
        let (dir, store) = store_with('a');
        let good = store.backup(NOW).unwrap();
        let file = dir.path().join("copy.jsonl");
        put(&good, &file).unwrap();
        let (cut, _) = good.split_at(good.len() - 9);
        for other in [&b"<html>busy</html>\n"[..], b"", cut] {
            assert!(matches!(put(other, &file), Err(BackupError::Broken(_))));
            assert_eq!(std::fs::read(&file).unwrap(), good);
        }
    }

    #[test]
    fn a_copy_that_was_taken_while_the_service_runs_is_put_back_above_everything_it_decided_since() {
        let (dir, store) = store_with('a');
        let text = store.backup(NOW).unwrap();
        store.save_repo(&repo(), &state('b')).unwrap();
        let last = store.witness();
        assert!(matches!(
            restore(&text, dir.path(), Overwrite::SetAside),
            Err(BackupError::Store(StoreError::InUse(_)))
        ));
        drop(store);
        assert!(matches!(
            restore(&text, dir.path(), Overwrite::Refuse),
            Err(BackupError::Exists(_))
        ));
        let restored = restore(&text, dir.path(), Overwrite::SetAside).unwrap();
        assert_eq!(
            (restored.taken_at, restored.repos),
            (NOW, vec!["default".to_owned()])
        );
        let store = Store::open(dir.path()).unwrap();
        let found = store.repo(&repo()).unwrap().unwrap();
        assert_eq!(found.tip, state('a').tip);
        assert!(
            found.generation > state('a').generation,
            "its numbers are above those that were given out"
        );
        let witness = store.witness();
        assert!(witness.revision > last.revision && witness.identity != last.identity);
        drop(store);
        let again = Store::open(dir.path()).unwrap();
        assert_eq!(again.repo(&repo()).unwrap(), Some(found), "it begins anew once");
        assert_eq!(again.witness(), witness);
        drop(again);
        // What was there before is still there.
        std::fs::rename(restored.aside.unwrap(), dir.path().join(FILE)).unwrap();
        assert_eq!(
            Store::open(dir.path()).unwrap().repo(&repo()).unwrap(),
            Some(state('b'))
        );
    }

    #[test]
    fn a_copy_of_a_directory_that_nobody_has_open_is_the_same() {
        let (dir, store) = store_with('a');
        let text = store.backup(NOW).unwrap();
        drop(store);
        assert_eq!(copy(dir.path(), NOW).unwrap(), text);
        let empty = tempfile::tempdir().unwrap();
        assert!(matches!(copy(empty.path(), NOW), Err(BackupError::File { .. })));
        assert_eq!(
            std::fs::read_dir(empty.path()).unwrap().count(),
            0,
            "nothing was made"
        );
    }

    #[test]
    fn everything_that_is_copied_comes_back() {
        let image = Image {
            revision: Revision(9),
            records: [(
                "a".to_owned(),
                Record {
                    revision: Revision(3),
                    value: vec![0, 255, 10],
                },
            )]
            .into(),
            logs: vec![("rollouts".to_owned(), 1, b"x".to_vec())],
            terms: [("driver".to_owned(), 4)].into(),
            operations: vec![(OpId::of("op"), Revision(3))],
        };
        let text = write(&image, NOW).unwrap();
        assert_eq!(read(&text).unwrap(), (image.clone(), NOW));
        let dir = tempfile::tempdir().unwrap();
        restore(&text, dir.path(), Overwrite::Refuse).unwrap();
        let put_back = DiskStore::open(&dir.path().join(FILE)).unwrap();
        let mut expected = image;
        mark(&mut expected);
        expected.revision = Revision(9 + RESTORE_GAP);
        assert_eq!(put_back.image().unwrap(), expected);
    }

    #[test]
    fn what_is_no_whole_copy_is_refused_and_changes_nothing() {
        let (_dir, store) = store_with('a');
        let text = String::from_utf8(store.backup(NOW).unwrap()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let altered = text.replacen("\"repo/default\"", "\"repo/other\"", 1);
        let end = lines[lines.len() - 1];
        let newer = text.replacen("\"format\":1", "\"format\":2", 1);
        let layout = text.replacen("\"layout\":2", "\"layout\":3", 1);
        let dir = tempfile::tempdir().unwrap();
        for bad in [
            String::new(),
            "{}\n".to_owned(),
            text.trim_end().to_owned(),
            lines[..lines.len() - 1].join("\n") + "\n",
            format!("{end}\n"),
            altered,
        ] {
            let refused = restore(bad.as_bytes(), dir.path(), Overwrite::SetAside);
            assert!(
                matches!(refused, Err(BackupError::Broken(_))),
                "{bad}: {refused:?}"
            );
        }
        for bad in [newer, layout] {
            let refused = restore(bad.as_bytes(), dir.path(), Overwrite::SetAside);
            assert!(matches!(refused, Err(BackupError::Newer { .. })), "{refused:?}");
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
