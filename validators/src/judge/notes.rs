//! What a layer does that its author may not have meant.
//!
//! Invariant: a note on a layer that several configs share is a finding only if it holds in all of them. A value that
//! one service has by default another may need to be told.

use std::collections::BTreeMap;

use headwater_wire::{ConfigName, Finding, RepoPath, Severity, Span};

use crate::effective::Effective;
use crate::merge::{Note, NoteKind};
use crate::source::Resolver;

/// A note on one document of a config, counted from its base document.
#[derive(Debug, Clone)]
pub(crate) struct Noted {
    pub(super) document: usize,
    pub(super) note: Note,
}

/// Notes of all merges of one tree.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// How often each was noted, with the first finding.
    noted: BTreeMap<(RepoPath, String, NoteKind), (usize, Finding)>,
}

impl Notes {
    /// Counts what was noted of a config.
    pub(super) fn count(&mut self, config: &ConfigName, documents: &[&Effective], noted: &[Noted]) {
        if noted.is_empty() {
            return;
        }
        let resolvers: Vec<_> = documents.iter().map(|effective| effective.resolver()).collect();
        for Noted { document, note } in noted {
            let Some(resolver) = resolvers.get(*document) else {
                continue;
            };
            let Some(path) = resolver.path(note.at.layer) else {
                continue;
            };
            let key = (path.clone(), note.pointer.clone(), note.kind);
            let first = || (0, finding(config, resolver, note));
            self.noted.entry(key).or_insert_with(first).0 += 1;
        }
    }

    /// `merges` says how often each file was part of a merge.
    pub(super) fn into_findings(self, merges: impl FnOnce() -> BTreeMap<RepoPath, usize>) -> Vec<Finding> {
        if self.noted.is_empty() {
            return Vec::new();
        }
        let merges = merges();
        let holds = |path: &RepoPath, kind: NoteKind, times: usize| {
            kind == NoteKind::ChangesType || merges.get(path).is_none_or(|merges| times >= *merges)
        };
        let kept = self
            .noted
            .into_iter()
            .filter(|((path, _, kind), (times, _))| holds(path, *kind, *times));
        kept.map(|(_, (_, finding))| finding).collect()
    }
}

fn finding(config: &ConfigName, resolver: &Resolver<'_>, note: &Note) -> Finding {
    let at = resolver.span(note.at.layer, note.at.key.unwrap_or(note.at.value));
    let shown = if note.pointer.is_empty() {
        "/"
    } else {
        &note.pointer
    };
    let (code, severity, message, hint) = match note.kind {
        NoteKind::DeletesAbsent => (
            "merge/delete-absent",
            Severity::Warning,
            format!("deletes a key that no lower layer has: `{shown}`"),
            "remove it, or write `defaults.null = \"keep\"` if null is meant as a value",
        ),
        NoteKind::ChangesType => (
            "merge/type-change",
            Severity::Warning,
            format!("an object takes the place of another kind of value, or the other way round: `{shown}`"),
            "give both layers one type, or rename the key",
        ),
        NoteKind::Redundant => (
            "merge/redundant",
            Severity::Info,
            format!("sets what a lower layer has set already: `{shown}`"),
            "remove it, unless it is meant to stay when the lower layer changes",
        ),
    };
    let finding = Finding::new(code, severity, at, message)
        .pointer(&note.pointer)
        .config(config)
        .hint(hint);
    match note.below {
        None => finding,
        Some(below) => {
            let (path, span): (&str, Span) = resolver.span(below.layer, below.key.unwrap_or(below.value));
            finding.related(path, span, "the value below")
        }
    }
}
