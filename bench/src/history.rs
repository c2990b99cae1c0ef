//! A bare repository of any size, made by `git fast-import`: many files, many commits, and changes of some files at once.
//!
//! Invariant: the same numbers make the same files. `app.json` is changed by every change, so that whoever waits for news of
//! one config sees each of them. Files beyond the configs lie beside them, and no manifest names them.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::repository::{CONFIG, bare, git, said};

/// Files of a directory.
const DIRECTORY_FILES: u32 = 100;
/// About the size of a file, in bytes.
const FILE_BYTES: usize = 640;
/// When the first commit was made, in seconds since 1970.
const FIRST_COMMIT: u64 = 1_700_000_000;
const MANIFEST: &str = "format = 1\n\n[[config]]\nname = \"app\"\nlayers = [\"app.json\"]\n\n[[config]]\nname = \
                        \"{group}/{service}\"\nlayers = [\"services/{group}/{service}.json\"]\nschema = \"s.schema.json\"\n";
const SCHEMA: &str = "{\"$schema\": \"https://json-schema.org/draft/2020-12/schema\", \"type\": \"object\", \"properties\": \
                      {\"change\": {\"type\": \"integer\", \"minimum\": 0}}}\n";

/// How large a repository is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    /// Files besides the manifest and `app.json`.
    pub(crate) files: u32,
    /// How many of them are configs.
    pub(crate) configs: u32,
    /// Commits before the first that is measured.
    pub(crate) commits: u32,
}

/// A repository and its newest commit.
pub(crate) struct History {
    dir: PathBuf,
    size: Size,
    tip: Option<String>,
    changes: u64,
}

impl History {
    /// A new one at `dir`.
    pub(crate) fn create(dir: &Path, size: Size) -> Result<Self, Failure> {
        bare(dir)?;
        let mut history = Self {
            dir: dir.to_owned(),
            size,
            tip: None,
            changes: 0,
        };
        let mut stream = history.commit(&[("headwater.toml", MANIFEST), ("s.schema.json", SCHEMA)]);
        for number in 0..size.files {
            history.file(&mut stream, number);
        }
        for commit in 1..size.commits {
            stream += &history.commit(&[]);
            history.file(&mut stream, commit % size.files.max(1));
        }
        history.import(&stream)?;
        Ok(history)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> String {
        self.dir.to_string_lossy().into_owned()
    }

    /// Changes so many files, of which `app.json` is the first, in one commit. Its full id.
    pub(crate) fn change(&mut self, files: u32) -> Result<String, Failure> {
        let mut stream = self.commit(&[]);
        for number in 1..files.min(self.size.files) {
            self.file(&mut stream, number - 1);
        }
        self.import(&stream)
    }

    /// A commit that nobody may ever see: its `app.json` is no JSON. Its full id.
    pub(crate) fn spoil(&mut self) -> Result<String, Failure> {
        let stream = self.commit(&[("app.json", "{\"change\": \n")]);
        self.import(&stream)
    }

    /// Begins a commit that changes `app.json`, and further files.
    fn commit(&mut self, files: &[(&str, &str)]) -> String {
        self.changes += 1;
        let time = FIRST_COMMIT + self.changes;
        let mut stream = format!(
            "commit refs/heads/main\ncommitter Bench <bench@localhost> {time} +0000\ndata 7\nChange\n\n"
        );
        // Only the first commit of a run of the program has to say what it goes on from.
        if let Some(tip) = self.tip.take() {
            put(&mut stream, format_args!("from {tip}\n"));
        }
        inline(&mut stream, &format!("{CONFIG}.json"), &self.text(0));
        for (path, text) in files {
            inline(&mut stream, path, text);
        }
        stream
    }

    fn file(&self, stream: &mut String, number: u32) {
        let (group, place) = (number / DIRECTORY_FILES, number % DIRECTORY_FILES);
        let path = if number < self.size.configs {
            format!("services/g{group}/s{place}.json")
        } else {
            format!("other/g{group}/f{place}.txt")
        };
        inline(stream, &path, &self.text(number));
    }

    fn text(&self, number: u32) -> String {
        let filler = "some words ".repeat(FILE_BYTES / 11);
        format!(
            "{{\"change\": {}, \"number\": {number}, \"filler\": \"{filler}\"}}\n",
            self.changes
        )
    }

    fn import(&mut self, stream: &str) -> Result<String, Failure> {
        git(&self.dir, &["fast-import", "--quiet"], stream.as_bytes())?;
        let tip = said(&self.dir, &["rev-parse", "refs/heads/main"])?;
        Ok(self.tip.insert(tip).clone())
    }

    /// The newest commit.
    pub(crate) fn tip(&self) -> &str {
        self.tip.as_deref().unwrap_or_default()
    }
}

fn inline(stream: &mut String, path: &str, text: &str) {
    put(
        stream,
        format_args!("M 100644 inline {path}\ndata {}\n{text}\n", text.len()),
    );
}

/// A `String` takes everything.
fn put(stream: &mut String, what: std::fmt::Arguments<'_>) {
    stream.write_fmt(what).ok();
}
