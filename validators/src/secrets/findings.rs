//! What is said of a secret.
//!
//! Invariant: place and kind, never the value. The first thing to do is always the same, because taking a secret out of
//! a file takes it out of no history.

use headwater_wire::{Finding, RepoPath, Severity, Span};

use super::formats;
use super::leaf::Kind;
use super::scan::Found;
use crate::document::lines::LineIndex;
use crate::manifest::secrets::{Exception, Level};

/// Code of what is said of an exception, and of no secret.
pub(crate) const UNUSED: &str = "secret/unused-allow";

/// Findings for what was found in one file.
pub(super) fn of(path: &RepoPath, bytes: &[u8], found: &[Found<'_>]) -> Vec<Finding> {
    if found.is_empty() {
        return Vec::new();
    }
    let index = LineIndex::new(bytes);
    found
        .iter()
        .filter_map(|found| finding(path, index.span(found.range), found))
        .collect()
}

/// A finding for a file that has a secret in its name, which no exception can allow: it names values.
pub(super) fn of_name(path: &RepoPath, level: Level) -> Option<Finding> {
    let format = formats::find(path.as_str().as_bytes())?.format;
    let message = format!("{} in the name of a file", format.what);
    let finding = Finding::new(
        format.code,
        severity(level)?,
        (path.as_str(), Span::START),
        message,
    );
    Some(finding.hint("rotate it, since it stays in Git, and rename the file"))
}

fn severity(level: Level) -> Option<Severity> {
    match level {
        Level::Reject => Some(Severity::Error),
        Level::Warn => Some(Severity::Warning),
        Level::Off => None,
    }
}

fn finding(path: &RepoPath, span: Span, found: &Found<'_>) -> Option<Finding> {
    let severity = severity(found.level)?;
    let (code, message, hint) = words(found);
    let mut finding = Finding::new(code, severity, (path.as_str(), span), message).hint(hint);
    finding.pointer.clone_from(&found.pointer);
    Some(finding)
}

/// Code, message and hint.
fn words(found: &Found<'_>) -> (&'static str, String, &'static str) {
    match &found.kind {
        Kind::Format(format) if found.pointer.is_some() => (
            format.code,
            format!("{} in plain text", format.what),
            "rotate it, since it stays in Git; then write a reference, or encrypt the file with SOPS; if everybody may \
             read it, allow it by `[secrets] allow`",
        ),
        Kind::Format(format) => (
            format.code,
            format!("{} in plain text, outside of any value", format.what),
            "rotate it, since it stays in Git, and remove it here",
        ),
        Kind::Path(path) => (
            "secret/path",
            format!(
                "must be a reference or SOPS ciphertext by `[secrets] paths`: `{}`",
                path.text()
            ),
            "rotate it if it was pushed, since it stays in Git; then write a reference such as `vault:…`, or encrypt the \
             file with SOPS",
        ),
        Kind::Useless(path) => (
            "secret/path",
            format!(
                "ciphertext that nobody can decrypt, since the file has no `sops` metadata, at the path `{}`",
                path.text()
            ),
            "encrypt this file itself with SOPS, or write a reference",
        ),
        Kind::Name => (
            "secret/name",
            "a literal under a key that is the name of a secret".to_owned(),
            "if it is one, rotate it, since it stays in Git, and write a reference; if not, allow it by `[secrets] \
             allow`, or write `names = \"off\"`",
        ),
    }
}

/// An exception that nothing needs any more would let the next secret through.
pub(super) fn unused(exception: &Exception, manifest: &LineIndex<'_>) -> Finding {
    let at = &exception.at;
    let place = (crate::manifest::PATH, manifest.span(at.range));
    let message = format!(
        "no secret is at the place of this exception: `{}`",
        at.value.text()
    );
    Finding::new(UNUSED, Severity::Warning, place, message).hint("remove it")
}
