//! Findings as text, in the shape that compilers have taught everybody to read.
//!
//! Invariant: the text is a function of the findings and the sources. Control characters of a source or a message never
//! reach a terminal, nor do marks that turn the direction of writing, and no secret does: lines come from [`Sources`]
//! alone, which hide them. The forms for programs are beside it, one file each. What is deliberately absent: JSON, which
//! is [`headwater_wire::CheckView`].

pub mod github;
pub mod junit;
#[cfg(test)]
mod samples;
pub mod sarif;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

use annotate_snippets::{AnnotationKind, Element, Group, Level, Origin, Renderer, Snippet};
use headwater_wire::{Finding, RepoPath, Severity, Span};

use crate::document::lines::LineIndex;
use crate::printable::{is_unprintable, printable};
use crate::secrets::findings::UNUSED;
use crate::secrets::mask::Mask;
use crate::secrets::sops;
use crate::tree::{ConfigTree, Entry};

/// Columns that the text takes; of a longer line, such as a minified file's, the part around the place is shown.
const WIDTH: usize = 120;
/// A place further to the right is only named: the renderer goes through all of the line that is before it.
const SHOWN_COLUMN_MAX: u32 = 10_000;
/// Most characters that are marked, so that the beginning of a long value is always seen.
const MARKED_CHARS_MAX: usize = 80;

/// Whether the text is for a terminal that shows colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// No escape sequences.
    Plain,
    /// With colours.
    Styled,
}

/// Lines of the files of a tree, with secrets hidden. A finding about one value may stand on a line with another.
#[derive(Debug)]
pub struct Sources<'a> {
    tree: &'a ConfigTree,
    mask: Mask,
    /// Files that were asked for.
    masked: RefCell<BTreeMap<String, Rc<[u8]>>>,
    /// Places of secrets that findings tell of, by file.
    told: BTreeMap<String, Vec<Span>>,
}

impl<'a> Sources<'a> {
    /// The files of a tree that was read for a verdict.
    pub fn of(tree: &'a ConfigTree) -> Self {
        Self {
            tree,
            mask: Mask::of(tree),
            masked: RefCell::default(),
            told: BTreeMap::new(),
        }
    }

    /// Hides the secrets too that only these findings know of: what a tree was measured against may call something
    /// secret that its own manifest does not.
    #[must_use]
    pub fn hiding<'f>(mut self, findings: impl IntoIterator<Item = &'f Finding>) -> Self {
        let tells = |finding: &&Finding| finding.code.starts_with("secret/") && finding.code != UNUSED;
        for finding in findings.into_iter().filter(tells) {
            let spans = self.told.entry(finding.path.clone()).or_default();
            spans.push(finding.span);
        }
        self
    }

    fn line(&self, path: &str, line: u32) -> Option<String> {
        let bytes = match self.tree.get(&path.parse::<RepoPath>().ok()?)? {
            Entry::File(file) => file.bytes.as_deref()?,
            Entry::Symlink | Entry::Submodule => return None,
        };
        let mut masked = self.masked.borrow_mut();
        let text = masked
            .entry(path.to_owned())
            .or_insert_with(|| self.mask.text(path, bytes).into());
        let text = LineIndex::new(&**text).line(line).map(str::to_owned)?;
        let spans = self.told.get(path).into_iter().flatten();
        let here = spans.filter(|span| span.line <= line && line <= span.end_line);
        Some(here.fold(text, |text, span| without(&text, line, *span)))
    }
}

/// A line without what is in a span, quotes and spaces aside, so that places in it stay what they are. Ciphertext is no
/// secret, also where nobody can decrypt it.
fn without(text: &str, line: u32, span: Span) -> String {
    let from = if span.line == line { span.column } else { 1 };
    let to = if span.end_line == line {
        span.end_column
    } else {
        u32::MAX
    };
    let is_marked = |column: u32| from <= column && column < to;
    let marked = (1..).zip(text.chars()).filter(|(column, _)| is_marked(*column));
    let marked: String = marked.map(|(_, c)| c).collect();
    if sops::is_ciphertext(marked.trim_matches(['"', '\''])) {
        return text.to_owned();
    }
    let shown = |(column, c): (u32, char)| {
        let is_hidden = is_marked(column) && !c.is_whitespace() && !matches!(c, '"' | '\'');
        if is_hidden { '•' } else { c }
    };
    (1..).zip(text.chars()).map(shown).collect()
}

/// All findings, a blank line between two, and a line that counts them. Where the sources lack a file, only the place is
/// shown.
pub fn text(findings: &[Finding], style: Style, sources: &Sources<'_>) -> String {
    let mut text = String::new();
    for finding in findings {
        text.push_str(&one(finding, style, sources));
        text.push_str("\n\n");
    }
    text.push_str(&summary(findings));
    text.push('\n');
    text
}

/// One finding, without a line break at the end.
pub fn one(finding: &Finding, style: Style, sources: &Sources<'_>) -> String {
    let title = level(finding.severity)
        .primary_title(printable(&finding.message))
        .id(printable(&finding.code));
    let mut group = Group::with_title(title);
    let label = finding
        .pointer
        .as_deref()
        .filter(|pointer| !pointer.is_empty())
        .map(printable);
    if let Some(path) = finding.file() {
        let primary = Mark {
            path,
            span: finding.span,
            kind: AnnotationKind::Primary,
            label,
        };
        group = group.element(primary.element(sources));
    }
    for related in &finding.related {
        let label = Some(printable(&related.note));
        let mark = Mark {
            path: &related.path,
            span: related.span,
            kind: AnnotationKind::Context,
            label,
        };
        group = group.element(mark.element(sources));
    }
    if let Some(config) = &finding.config {
        group = group.element(Level::NOTE.message(format!("in config `{}`", printable(config.as_str()))));
    }
    if let Some(hint) = &finding.hint {
        group = group.element(Level::HELP.message(printable(hint)));
    }
    let renderer = match style {
        Style::Plain => Renderer::plain(),
        Style::Styled => Renderer::styled(),
    };
    renderer.term_width(WIDTH).render(&[group])
}

/// How many findings of each severity, in words.
pub fn summary(findings: &[Finding]) -> String {
    let count = |severity: Severity| {
        findings
            .iter()
            .filter(|finding| finding.severity == severity)
            .count()
    };
    let words = [
        (Severity::Error, "error", "errors"),
        (Severity::Warning, "warning", "warnings"),
        (Severity::Info, "note", "notes"),
    ];
    let parts: Vec<String> = words
        .iter()
        .map(|(severity, one, many)| (count(*severity), one, many))
        .filter(|(count, _, _)| *count > 0)
        .map(|(count, one, many)| format!("{count} {}", if count == 1 { one } else { many }))
        .collect();
    if parts.is_empty() {
        "no findings".to_owned()
    } else {
        parts.join(", ")
    }
}

fn level(severity: Severity) -> Level<'static> {
    match severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Info | Severity::Other => Level::INFO,
    }
}

/// One character of a source for one, so that places stay where they are.
fn shown_in_source(c: char) -> char {
    if is_unprintable(c) && c != '\t' {
        '\u{fffd}'
    } else {
        c
    }
}

/// A place to be shown.
struct Mark<'m> {
    path: &'m str,
    span: Span,
    kind: AnnotationKind,
    label: Option<String>,
}

impl<'m> Mark<'m> {
    fn element(self, sources: &Sources<'_>) -> Element<'m> {
        let path = printable(self.path);
        let is_shown = self.span.column <= SHOWN_COLUMN_MAX;
        let line = is_shown
            .then(|| sources.line(self.path, self.span.line))
            .flatten();
        let Some(line) = line else {
            let origin = Origin::path(path).line(self.span.line as usize);
            return origin.char_column(self.span.column as usize).into();
        };
        let line = MarkedLine::new(&line, self.span);
        let annotation = self.kind.span(line.marked).label(self.label);
        let snippet = Snippet::source(line.text)
            .path(path)
            .line_start(self.span.line as usize)
            .fold(false);
        snippet.annotation(annotation).into()
    }
}

/// A source line as far as it is shown. Its beginning is whole, since the renderer counts the columns; it cuts that off
/// where the line is too wide.
struct MarkedLine {
    text: String,
    /// Bytes of `text`.
    marked: Range<usize>,
}

impl MarkedLine {
    fn new(line: &str, span: Span) -> Self {
        let start = span.column.saturating_sub(1) as usize;
        let end = if span.end_line == span.line {
            (span.end_column.saturating_sub(1) as usize).max(start)
        } else {
            usize::MAX
        };
        let end = end.min(start.saturating_add(MARKED_CHARS_MAX));
        let mut text = String::with_capacity(line.len().min(start + WIDTH));
        let mut marked = None..None;
        for (at, c) in line.chars().take(end.saturating_add(WIDTH)).enumerate() {
            if at == start {
                marked.start = Some(text.len());
            }
            if at == end {
                marked.end = Some(text.len());
            }
            text.push(shown_in_source(c));
        }
        let marked = marked.start.unwrap_or(text.len())..marked.end.unwrap_or(text.len());
        Self { text, marked }
    }
}
