//! Gathers findings and brings them into the form that is shown.
//!
//! Invariant: the result depends on what was found alone. Equal findings of several configs become one, errors are
//! kept before warnings, and no commit can make the list, or the memory behind it, grow without limit.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use headwater_wire::{ConfigName, Finding, Related, Severity, Span};

use crate::document::Fault;
use crate::document::lines::LineIndex;
use crate::secrets::formats;

/// Errors held while judging, and as many of the others; what is beyond them is counted and not kept.
const KEPT_MAX: usize = 10_000;

/// Findings of one commit.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    findings: Vec<Finding>,
    errors: usize,
    dropped: usize,
}

impl Collector {
    pub(crate) fn push(&mut self, finding: Finding) {
        if self.is_full_of(finding.severity) {
            self.leave_out();
        } else {
            self.errors += usize::from(finding.is_error());
            self.findings.push(finding);
        }
    }

    pub(crate) fn extend(&mut self, findings: impl IntoIterator<Item = Finding>) {
        for finding in findings {
            self.push(finding);
        }
    }

    /// Whether an error was among them.
    pub(crate) fn has_error(&self) -> bool {
        self.errors > 0
    }

    /// How many errors were among them.
    pub(crate) fn errors(&self) -> usize {
        self.errors
    }

    /// How much was found, kept or not.
    pub(crate) fn count(&self) -> usize {
        self.findings.len() + self.dropped
    }

    /// Whether more errors would only be counted, so that nobody need explain them.
    pub(crate) fn is_full_of_errors(&self) -> bool {
        self.is_full_of(Severity::Error)
    }

    /// Whether more findings of a weight would only be counted.
    pub(crate) fn is_full_of(&self, severity: Severity) -> bool {
        let alike = match severity {
            Severity::Error => self.errors,
            Severity::Warning | Severity::Info | Severity::Other => self.findings.len() - self.errors,
        };
        alike >= KEPT_MAX
    }

    /// Counts one more that is not kept.
    pub(crate) fn leave_out(&mut self) {
        self.dropped += 1;
    }

    /// Makes warnings of errors.
    pub(crate) fn soften(&mut self) {
        self.errors = 0;
        for finding in self.findings.iter_mut().filter(|finding| finding.is_error()) {
            finding.severity = Severity::Warning;
        }
    }

    /// At most `limit` findings, sorted, and one more that says how many are not shown.
    pub(crate) fn finish(self, limit: usize) -> Vec<Finding> {
        let mut findings = joined(self.findings);
        Finding::sort(&mut findings);
        let hidden = findings.len().saturating_sub(limit) + self.dropped;
        if hidden > 0 {
            // A stable sort: within a severity the order of places stays.
            findings.sort_by_key(|finding| finding.severity);
            findings.truncate(limit);
            Finding::sort(&mut findings);
            findings.push(hidden_finding(&findings, hidden));
        }
        for finding in &mut findings {
            redact(finding);
        }
        findings
    }
}

/// The last door: whatever a finding quotes or is about, no token of a known format goes through.
fn redact(finding: &mut Finding) {
    let related = finding.related.iter_mut();
    let texts = related
        .flat_map(|related| [&mut related.note, &mut related.path])
        .chain([&mut finding.message, &mut finding.path])
        .chain(&mut finding.hint)
        .chain(&mut finding.pointer);
    for text in texts {
        if let Cow::Owned(clean) = formats::redact(text) {
            *text = clean;
        }
    }
    // A name is no text that something could be put into; the path tells enough.
    let is_clean = |name: &ConfigName| matches!(formats::redact(name.as_str()), Cow::Borrowed(_));
    finding.config = finding.config.take().filter(is_clean);
}

fn hidden_finding(shown: &[Finding], hidden: usize) -> Finding {
    let place = shown.last().map_or((crate::manifest::PATH, Span::START), |last| {
        (last.path.as_str(), last.span)
    });
    let message = format!("findings that are not shown: `{hidden}`");
    Finding::new("limit/findings", Severity::Info, place, message)
        .hint("repair those that are shown and check again")
}

/// Findings that differ in their config or severity alone become the first of them, with the greatest severity.
fn joined(findings: Vec<Finding>) -> Vec<Finding> {
    let mut groups: BTreeMap<_, (Finding, BTreeSet<Option<ConfigName>>)> = BTreeMap::new();
    for finding in findings {
        let place = (finding.path.clone(), finding.span, finding.pointer.clone());
        let key = (place, finding.code.clone(), finding.message.clone());
        match groups.get_mut(&key) {
            None => {
                let configs = BTreeSet::from([finding.config.clone()]);
                groups.insert(key, (finding, configs));
            }
            Some((first, configs)) => {
                // The documents of one config say the same thing once.
                configs.insert(finding.config.clone());
                let severity = first.severity.min(finding.severity);
                if finding.config < first.config {
                    *first = finding;
                }
                first.severity = severity;
            }
        }
    }
    groups
        .into_values()
        .map(|(finding, configs)| with_count(finding, configs.len() - 1))
        .collect()
}

fn with_count(mut finding: Finding, more: usize) -> Finding {
    if more > 0 {
        let configs = if more == 1 { "config" } else { "configs" };
        let count = format!("the same in {more} more {configs}");
        finding.hint = Some(
            finding
                .hint
                .map_or_else(|| count.clone(), |hint| format!("{hint}; {count}")),
        );
    }
    finding
}

/// A parser's fault as a finding.
pub(crate) fn fault_finding(path: &str, index: &LineIndex<'_>, fault: &Fault) -> Finding {
    let related = |(range, note): &(crate::document::Range, String)| Related {
        path: path.to_owned(),
        span: index.span(*range),
        note: note.clone(),
    };
    let mut finding = Finding::new(
        fault.code,
        Severity::Error,
        (path, index.span(fault.range)),
        fault.message.clone(),
    );
    finding.hint.clone_from(&fault.hint);
    finding.related = fault.related.iter().map(related).collect();
    finding
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(path: &str, severity: Severity, config: &str) -> Finding {
        Finding::new("a/b", severity, (path, Span::START), "m").config(&config.parse().unwrap())
    }

    #[test]
    fn errors_are_kept_before_warnings_and_the_rest_is_counted() {
        let mut all = Collector::default();
        all.push(finding("a", Severity::Warning, "x"));
        all.push(finding("b", Severity::Warning, "x"));
        all.push(finding("c", Severity::Error, "x"));
        let shown: Vec<_> = all
            .finish(2)
            .into_iter()
            .map(|f| format!("{} {}", f.path, f.message))
            .collect();
        assert_eq!(shown, ["a m", "c m", "c findings that are not shown: `1`"]);
    }

    #[test]
    fn what_many_configs_share_is_said_once() {
        let mut all = Collector::default();
        for config in ["c", "a", "b"] {
            all.push(finding("f", Severity::Error, config));
        }
        let found = all.finish(10);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].config.as_ref().unwrap().as_str(), "a");
        assert_eq!(found[0].hint.as_deref(), Some("the same in 2 more configs"));
    }

    #[test]
    fn configs_are_counted_and_not_their_variants() {
        let mut all = Collector::default();
        for config in ["b", "a", "b", "a", "b", "a", "b"] {
            all.push(finding("f", Severity::Error, config));
        }
        assert_eq!(
            all.finish(10)[0].hint.as_deref(),
            Some("the same in 1 more config")
        );
    }
}
