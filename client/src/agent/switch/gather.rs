//! Waiting a little for what belongs together: one commit changes several configs, and each arrives by itself.
//!
//! Invariant: nobody waits longer than two seconds, and nobody waits at all when there is nobody left to wait for.

use std::collections::BTreeSet;
use std::time::Duration;

use headwater_wire::ConfigName;
use tokio::time::Instant;

use super::{Answer, Change, Refusal};

/// How long to wait for more after the last one came.
const QUIET: Duration = Duration::from_millis(100);
/// How long to wait at most after the first one came.
const PATIENCE: Duration = Duration::from_secs(2);

/// A value and who waits for what becomes of it.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) change: Change,
    pub(super) answer: Answer,
}

impl Waiting {
    pub(super) fn answer(self, result: Result<(), Refusal>) {
        // Who asked may have stopped waiting.
        self.answer.send(result).ok();
    }

    /// Whether nobody waits any more, since a newer value took its place.
    pub(super) fn is_forgotten(&self) -> bool {
        self.answer.is_closed()
    }
}

/// Values that wait for others.
#[derive(Debug, Default)]
pub(super) struct Gather {
    waiting: Vec<Waiting>,
    /// When the first and the last one came.
    came: Option<(Instant, Instant)>,
}

impl Gather {
    /// One more; it takes the place of an older one of the same config.
    pub(super) fn add(&mut self, waiting: Waiting, now: Instant) {
        self.waiting
            .retain(|other| other.change.config != waiting.change.config && !other.is_forgotten());
        self.waiting.push(waiting);
        let first = self.came.map_or(now, |(first, _)| first);
        self.came = Some((first, now));
    }

    /// When to go on without waiting for others; `expected` are those that are on their way.
    pub(super) fn due(&self, expected: &BTreeSet<ConfigName>) -> Option<Instant> {
        let (first, last) = self.came?;
        let is_here = |config: &ConfigName| self.waiting.iter().any(|other| other.change.config == *config);
        if expected.iter().all(is_here) {
            return Some(last);
        }
        Some((last + QUIET).min(first + PATIENCE))
    }

    /// Waits once more, if one of those that are known to be on their way is not here yet. Whether it does.
    pub(super) fn waits_for(&mut self, on_the_way: &BTreeSet<ConfigName>, now: Instant) -> bool {
        let Some((first, last)) = &mut self.came else {
            return false;
        };
        let is_here = |config: &ConfigName| self.waiting.iter().any(|other| other.change.config == *config);
        if now >= *first + PATIENCE || on_the_way.iter().all(is_here) {
            return false;
        }
        *last = now;
        true
    }

    /// All of them, in the order of their names.
    pub(super) fn take(&mut self) -> Vec<Waiting> {
        self.came = None;
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.sort_by(|a, b| a.change.config.cmp(&b.change.config));
        waiting
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;
    use crate::agent::switch::change;

    type Answered = oneshot::Receiver<Result<(), Refusal>>;

    fn waiting(config: &str, version: char) -> (Waiting, Answered) {
        let (answer, answered) = oneshot::channel();
        let change = change(config, version, serde_json::json!({}));
        (Waiting { change, answer }, answered)
    }

    fn names(of: &[&str]) -> BTreeSet<ConfigName> {
        of.iter().map(|name| name.parse().unwrap()).collect()
    }

    #[test]
    fn the_last_one_is_waited_for_but_not_for_ever() {
        let start = Instant::now();
        let mut gather = Gather::default();
        let expected = names(&["a", "b"]);
        assert_eq!(gather.due(&expected), None);
        let mut answers = Vec::new();
        for step in 0..50 {
            let now = start + Duration::from_millis(step * 50);
            let (waiting, answered) = waiting("a", '1');
            gather.add(waiting, now);
            answers.push(answered);
            assert_eq!(gather.due(&expected), Some((now + QUIET).min(start + PATIENCE)));
        }
    }

    #[test]
    fn who_is_known_to_come_is_waited_for_longer_but_not_for_ever() {
        let start = Instant::now();
        let mut gather = Gather::default();
        let (a, _a) = waiting("a", '1');
        gather.add(a, start);
        let everybody = names(&["a", "b"]);
        let mut now = gather.due(&everybody).unwrap();
        while gather.waits_for(&everybody, now) {
            now = gather.due(&everybody).unwrap();
        }
        assert_eq!(now, start + PATIENCE);
        assert!(!gather.waits_for(&names(&["a"]), start));
    }

    #[test]
    fn nobody_waits_when_everybody_is_here() {
        let now = Instant::now();
        let mut gather = Gather::default();
        let (a, _a) = waiting("a", '1');
        let (b, _b) = waiting("b", '1');
        gather.add(b, now);
        gather.add(a, now);
        assert_eq!(gather.due(&names(&["a", "b"])), Some(now));
        let configs: Vec<String> = gather
            .take()
            .iter()
            .map(|w| w.change.config.to_string())
            .collect();
        assert_eq!(configs, ["a", "b"]);
        assert_eq!(gather.due(&names(&["a", "b"])), None);
    }

    #[test]
    fn a_newer_value_takes_the_place_of_an_older_one() {
        let now = Instant::now();
        let mut gather = Gather::default();
        let (old, mut old_answer) = waiting("a", '1');
        let (new, _new_answer) = waiting("a", '2');
        gather.add(old, now);
        gather.add(new, now);
        let taken = gather.take();
        assert_eq!(taken.len(), 1);
        assert_eq!(taken[0].change.version.short(), "2222222222");
        assert!(old_answer.try_recv().is_err());
    }
}
