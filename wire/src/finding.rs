//! What validators say about one place of one file.

use serde::{Deserialize, Serialize};

use crate::id::ConfigName;

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The content is wrong; `check` exits with 1, and a commit with a manifest is rejected.
    Error,
    /// Probably not what its author meant.
    Warning,
    /// Worth knowing.
    Info,
    /// A word this version does not know.
    #[serde(other)]
    Other,
}

/// A stretch of text: 1-based lines, 1-based columns counted in characters; the end is exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Span {
    /// First line.
    pub line: u32,
    /// Column of the first character.
    pub column: u32,
    /// Line of the character after the last.
    pub end_line: u32,
    /// Column of the character after the last.
    pub end_column: u32,
}

impl Span {
    /// The first character of a file: where a finding about a whole file points.
    pub const START: Self = Self {
        line: 1,
        column: 1,
        end_line: 1,
        end_column: 1,
    };
}

/// A second place that explains a finding, such as the first of two equal keys.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Related {
    /// File.
    pub path: String,
    /// Place in it.
    #[serde(flatten)]
    pub span: Span,
    /// Why it is shown.
    pub note: String,
}

/// One thing found, at one place. Order: path, place, code; so two machines print the same bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Stable name, such as `parse/toml` or `schema/required`.
    pub code: String,
    /// Weight.
    pub severity: Severity,
    /// File, as the tree names it; a hostile name is shown escaped, which is why this is no `RepoPath`. Empty where no
    /// file can be blamed.
    pub path: String,
    /// Place in the file; its beginning where there is none.
    #[serde(flatten)]
    pub span: Span,
    /// JSON pointer of the value, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// Config whose document has the fault, where it is not the file alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<ConfigName>,
    /// What is wrong: lower case, no final period, literals in back-ticks, value last.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Other places that explain it.
    #[serde(default)]
    pub related: Vec<Related>,
}

impl Finding {
    /// A finding without pointer, config, hint or related places.
    pub fn new(code: &str, severity: Severity, at: (&str, Span), message: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            severity,
            path: at.0.to_owned(),
            span: at.1,
            pointer: None,
            config: None,
            message: clip(message.into()),
            hint: None,
            related: Vec::new(),
        }
    }

    /// A finding about a commit as a whole, for which no file can be blamed.
    pub fn of_all(code: &str, severity: Severity, message: impl Into<String>) -> Self {
        Self::new(code, severity, ("", Span::START), message)
    }

    /// The file, if one can be blamed.
    pub fn file(&self) -> Option<&str> {
        Some(self.path.as_str()).filter(|path| !path.is_empty())
    }

    /// The same finding with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same finding with the pointer of the value it is about.
    #[must_use]
    pub fn pointer(mut self, pointer: impl Into<String>) -> Self {
        self.pointer = Some(pointer.into());
        self
    }

    /// The same finding, told of one config's document.
    #[must_use]
    pub fn config(mut self, config: &ConfigName) -> Self {
        self.config = Some(config.clone());
        self
    }

    /// The same finding with one more explaining place.
    #[must_use]
    pub fn related(mut self, path: &str, span: Span, note: impl Into<String>) -> Self {
        self.related.push(Related {
            path: path.to_owned(),
            span,
            note: note.into(),
        });
        self
    }

    /// Whether it is an error.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// Sorts findings into the one order everybody prints: path, place, code, config, message.
    pub fn sort(findings: &mut [Self]) {
        findings.sort_by(|a, b| {
            let key = |f: &Self| (f.span, f.code.clone(), f.config.clone(), f.message.clone());
            a.path.cmp(&b.path).then_with(|| key(a).cmp(&key(b)))
        });
    }
}

/// Longest message, in characters: it goes into a line of the log and to every watcher, and may quote its author.
const MESSAGE_CHARS_MAX: usize = 1_000;

fn clip(message: String) -> String {
    match message.char_indices().nth(MESSAGE_CHARS_MAX) {
        Some((end, _)) => message
            .get(..end)
            .map_or_else(String::new, |start| format!("{start}…")),
        None => message,
    }
}
