//! Findings as text, in the shape that compilers have taught everybody to read.
//!
//! Invariant: the text is a function of the findings and the sources. Control characters of a source or a message never
//! reach a terminal, and no secret does: lines come from [`Sources`] alone, which hide them. What is deliberately absent: JSON, which is [`headwater_wire::CheckView`].

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use annotate_snippets::{AnnotationKind, Element, Group, Level, Origin, Renderer, Snippet};
use headwater_wire::{Finding, RepoPath, Severity, Span};

use crate::document::lines::LineIndex;
use crate::secrets::mask::Mask;
use crate::tree::{ConfigTree, Entry};

/// Most characters of a source line that are shown; the rest of a minified file is cut round the place.
const LINE_CHARS_MAX: usize = 200;

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
}

impl<'a> Sources<'a> {
    /// The files of a tree that was read for a verdict.
    pub fn of(tree: &'a ConfigTree) -> Self {
        Self {
            tree,
            mask: Mask::of(tree),
            masked: RefCell::default(),
        }
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
        LineIndex::new(&**text).line(line).map(str::to_owned)
    }
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
        .id(&finding.code);
    let mut group = Group::with_title(title);
    let label = finding
        .pointer
        .as_deref()
        .filter(|pointer| !pointer.is_empty())
        .map(printable);
    let primary = Mark {
        path: &finding.path,
        span: finding.span,
        kind: AnnotationKind::Primary,
        label,
    };
    group = group.element(primary.element(sources));
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
        group = group.element(Level::NOTE.message(format!("in config `{config}`")));
    }
    if let Some(hint) = &finding.hint {
        group = group.element(Level::HELP.message(printable(hint)));
    }
    let renderer = match style {
        Style::Plain => Renderer::plain(),
        Style::Styled => Renderer::styled(),
    };
    renderer.render(&[group])
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

/// Text without control characters; a message may quote a file.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
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
        let Some(line) = sources.line(self.path, self.span.line) else {
            return self.origin().into();
        };
        let start = self.span.column.saturating_sub(1) as usize;
        let end = if self.span.end_line == self.span.line {
            self.span.end_column.saturating_sub(1) as usize
        } else {
            usize::MAX
        };
        let window = Window::around(&line, start, end);
        let annotation = self.kind.span(window.marked).label(self.label);
        let snippet = Snippet::source(window.text)
            .path(self.path)
            .line_start(self.span.line as usize)
            .fold(false);
        snippet.annotation(annotation).into()
    }

    /// The place alone.
    fn origin(self) -> Origin<'m> {
        Origin::path(self.path)
            .line(self.span.line as usize)
            .char_column(self.span.column as usize)
    }
}

/// A source line, cut round the marked characters.
struct Window {
    text: Cow<'static, str>,
    /// Bytes of `text`.
    marked: std::ops::Range<usize>,
}

impl Window {
    fn around(line: &str, start: usize, end: usize) -> Self {
        let clean: Vec<char> = line
            .chars()
            .map(|c| {
                if c.is_control() && c != '\t' {
                    '\u{fffd}'
                } else {
                    c
                }
            })
            .collect();
        let start = start.min(clean.len());
        let end = end.clamp(start, clean.len());
        let from = if clean.len() <= LINE_CHARS_MAX {
            0
        } else {
            start.saturating_sub(LINE_CHARS_MAX / 2)
        };
        let to = clean.len().min(from + LINE_CHARS_MAX);
        let bytes = |from: usize, to: usize| {
            clean
                .get(from..to)
                .unwrap_or_default()
                .iter()
                .map(|c| c.len_utf8())
                .sum::<usize>()
        };
        let marked = bytes(from, start)..bytes(from, end.min(to));
        Self {
            text: clean
                .get(from..to)
                .unwrap_or_default()
                .iter()
                .collect::<String>()
                .into(),
            marked,
        }
    }
}
