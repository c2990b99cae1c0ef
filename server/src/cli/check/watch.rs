//! `--watch`: judges again when files change, and says only what is new.
//!
//! Invariant: the verdict that was told last is the one of what was read last. Files are looked at again and again,
//! since that works on every system and file system; a file whose stamp stands still is not read again, and the pauses
//! grow with the size of the tree, so that watching costs a small part of one processor. What is deliberately absent:
//! an end of its own; Ctrl-C ends it, and so does a reader that goes away.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use headwater_wire::{ConfigName, Finding};

use super::judging::Judging;
use super::memory::Memory;
use super::seen::Seen;
use super::show::{self, Format};
use super::{Check, Checked};
use crate::cli::Environment;
use crate::cli::failure::{Exit, Failure};
use crate::cli::out::{Out, Tone};
use crate::cli::reader;
use crate::cli::text::clean;

/// Shortest time between two looks, in which a person notices no delay.
const PAUSE_MIN: Duration = Duration::from_millis(400);
/// Longest time between two looks.
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// How many times as long as a look the pause behind it is: watching takes less than a twentieth of a processor.
const PAUSE_PER_LOOK: u32 = 20;

/// Watches until the reader goes away.
pub(super) fn run(
    check: &Check,
    judging: Judging,
    environment: &Environment,
    (out, err): (&mut Out<'_>, &mut Out<'_>),
) -> Result<Exit, Failure> {
    let mut memory = Memory::default();
    let mut watch = Watch {
        check,
        environment,
        judging,
        last: None,
        notes: Vec::new(),
        trouble: None,
    };
    loop {
        let started = Instant::now();
        let subject = check.subject(environment);
        match subject.and_then(|subject| subject.see(watch.judging.limits(), &mut memory)) {
            Ok(seen) => watch.tell(seen, out, err)?,
            // At first it is a mistake in the call; later a rebase, perhaps, which will have an end.
            Err(failure) if watch.last.is_some() => watch.tell_trouble(&failure, err)?,
            Err(failure) => return Err(failure),
        }
        reader::wait(pause(started.elapsed()))?;
    }
}

/// How long to wait after a look that took this long.
fn pause(look: Duration) -> Duration {
    look.saturating_mul(PAUSE_PER_LOOK).clamp(PAUSE_MIN, PAUSE_MAX)
}

/// What is watched, and what the reader knows of it.
struct Watch<'a> {
    check: &'a Check,
    environment: &'a Environment,
    judging: Judging,
    /// What was judged last, and what was found in it.
    last: Option<(Seen, Vec<Finding>)>,
    /// What was said of how it was judged.
    notes: Vec<String>,
    /// Why it could not be judged at the last look.
    trouble: Option<String>,
}

impl Watch<'_> {
    /// Judges what was seen, unless it is what was seen before, and tells what is new.
    fn tell(&mut self, seen: Seen, out: &mut Out<'_>, err: &mut Out<'_>) -> Result<(), Failure> {
        self.trouble = None;
        if self.last.as_ref().is_some_and(|(last, _)| last.is_like(&seen)) {
            return Ok(());
        }
        let checked = self.check.judge(&seen, &mut self.judging, self.environment)?;
        if checked.notes != self.notes {
            checked.tell_notes(err)?;
            self.notes.clone_from(&checked.notes);
        }
        match (self.check.format, &self.last) {
            (Format::Json, _) => out.json_line(&checked.view)?,
            (_, None) => {
                show::verdict(&checked, self.check.format, out)?;
                err.line(err.paint().apply(Tone::Dim, "watching; Ctrl-C ends it"))?;
            }
            (_, Some((_, before))) => changes(before, &checked, out)?,
        }
        out.flush()?;
        self.last = Some((seen, checked.view.findings));
        Ok(())
    }

    /// Says once why it cannot be judged now.
    fn tell_trouble(&mut self, failure: &Failure, err: &mut Out<'_>) -> Result<(), Failure> {
        let text = failure.to_string();
        if self.trouble.as_ref() != Some(&text) {
            let word = err.paint().apply(Tone::Dim, "waiting:");
            err.line(format!("{word} {}", clean(&text)))?;
            self.trouble = Some(text);
        }
        Ok(())
    }
}

/// What a finding is about. Its place is no part of it: lines move when something is written above them.
type About<'a> = (&'a str, &'a str, Option<&'a str>, Option<&'a ConfigName>, &'a str);

fn about(finding: &Finding) -> About<'_> {
    (
        &finding.path,
        &finding.code,
        finding.pointer.as_deref(),
        finding.config.as_ref(),
        &finding.message,
    )
}

/// The findings of one list that the other has not, in their order.
fn without<'a>(findings: &'a [Finding], others: &'a [Finding]) -> Vec<&'a Finding> {
    let mut counts: BTreeMap<About<'_>, usize> = BTreeMap::new();
    for other in others {
        *counts.entry(about(other)).or_default() += 1;
    }
    let mut new = Vec::new();
    for finding in findings {
        match counts.get_mut(&about(finding)) {
            Some(count) if *count > 0 => *count -= 1,
            Some(_) | None => new.push(finding),
        }
    }
    new
}

/// What is not found any more in a line each, then what is new, then how it stands.
fn changes(before: &[Finding], checked: &Checked, out: &mut Out<'_>) -> Result<(), Failure> {
    let paint = out.paint();
    out.line("")?;
    for gone in without(before, &checked.view.findings) {
        let word = paint.apply(Tone::Good, "gone:");
        let place = gone.file().map(|path| format!(" in {}", clean(path)));
        out.line(format!(
            "{word} {}{}: {}",
            clean(&gone.code),
            place.unwrap_or_default(),
            clean(&gone.message)
        ))?;
    }
    show::findings(without(&checked.view.findings, before), checked, out)?;
    show::summary(checked, out)
}

#[cfg(test)]
mod tests {
    use headwater_wire::{Severity, Span};

    use super::*;

    fn finding(line: u32, message: &str) -> Finding {
        let span = Span { line, ..Span::START };
        Finding::new("a/b", Severity::Error, ("a.toml", span), message)
    }

    #[test]
    fn what_only_moved_is_not_new_and_what_is_found_twice_is_counted() {
        let (before, now) = (
            [finding(1, "x"), finding(2, "y")],
            [finding(3, "y"), finding(4, "y"), finding(5, "z")],
        );
        let new: Vec<u32> = without(&now, &before)
            .iter()
            .map(|finding| finding.span.line)
            .collect();
        assert_eq!(new, [4, 5]);
        let gone: Vec<&str> = without(&before, &now)
            .iter()
            .map(|finding| finding.message.as_str())
            .collect();
        assert_eq!(gone, ["x"]);
    }

    #[test]
    fn a_large_tree_is_looked_at_less_often() {
        assert_eq!(pause(Duration::from_millis(1)), PAUSE_MIN);
        assert_eq!(pause(Duration::from_millis(100)), Duration::from_secs(2));
        assert_eq!(pause(Duration::from_mins(1)), PAUSE_MAX);
    }
}
