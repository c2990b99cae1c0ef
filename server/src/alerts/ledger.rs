//! Who was told what, so that one happening is told once.
//!
//! Invariant: level-triggered. What holds now is compared with what was told; a happening that is not there for a moment
//! and comes back is the same one. What is deliberately absent: memory over a restart, after which whatever still holds
//! is told once more.

use std::collections::BTreeMap;

use headwater_core::Moment;
use headwater_wire::Timestamp;

use super::event::{Event, Key};

/// How long a happening must be away before it is over, in ms: instances come and go while they restart.
const OVER_AFTER_MS: u64 = 60_000;

/// Whether something began or is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It holds.
    Firing,
    /// It does not hold any more.
    Resolved,
}

/// What one is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub turn: Turn,
    /// When it was first seen to hold.
    pub since: Timestamp,
    pub event: Event,
}

/// What one was told and is not over.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    told: BTreeMap<Key, Told>,
}

#[derive(Debug)]
struct Told {
    event: Event,
    since: Timestamp,
    away_since_ms: Option<u64>,
}

impl Ledger {
    /// What has to be told now that this, and nothing else, holds.
    pub(super) fn look(&mut self, standing: Vec<Event>, now: Moment) -> Vec<Message> {
        let mut messages = Vec::new();
        let mut standing: BTreeMap<Key, Event> =
            standing.into_iter().map(|event| (event.key(), event)).collect();
        self.told.retain(|key, told| {
            if standing.remove(key).is_some() {
                told.away_since_ms = None;
                return true;
            }
            let since_ms = *told.away_since_ms.get_or_insert(now.uptime.0);
            let is_over = now.uptime.0.saturating_sub(since_ms) >= OVER_AFTER_MS;
            if is_over {
                messages.push(told.message(Turn::Resolved));
            }
            !is_over
        });
        for (key, event) in standing {
            let told = Told {
                event,
                since: now.at,
                away_since_ms: None,
            };
            messages.push(told.message(Turn::Firing));
            self.told.insert(key, told);
        }
        messages
    }

    /// Everything that holds, for those who forget what is not said again.
    pub(super) fn again(&self) -> Vec<Message> {
        self.told
            .values()
            .map(|told| told.message(Turn::Firing))
            .collect()
    }
}

impl Told {
    fn message(&self, turn: Turn) -> Message {
        Message {
            turn,
            since: self.since,
            event: self.event.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use headwater_core::Uptime;

    use super::super::event::EventKind;
    use super::*;

    fn at(ms: u64) -> Moment {
        Moment {
            uptime: Uptime(ms),
            ..Moment::default()
        }
    }

    fn event(id: &str) -> Event {
        Event {
            kind: EventKind::Halted,
            repo: "r".parse().unwrap(),
            config: None,
            id: id.to_owned(),
            summary: String::new(),
            detail: None,
            action: String::new(),
        }
    }

    fn told(messages: &[Message]) -> Vec<(Turn, &str)> {
        messages
            .iter()
            .map(|message| (message.turn, message.event.id.as_str()))
            .collect()
    }

    #[test]
    fn one_happening_is_told_once_and_once_that_it_is_over() {
        let mut ledger = Ledger::default();
        assert_eq!(told(&ledger.look(vec![event("a")], at(0))), [(Turn::Firing, "a")]);
        let reworded = Event {
            summary: "other counts".to_owned(),
            ..event("a")
        };
        assert_eq!(
            told(&ledger.look(vec![reworded, event("b")], at(1))),
            [(Turn::Firing, "b")]
        );
        assert_eq!(ledger.again().len(), 2);
        assert_eq!(ledger.look(vec![event("b")], at(2)), []);
        assert_eq!(
            told(&ledger.look(vec![event("b")], at(2 + OVER_AFTER_MS))),
            [(Turn::Resolved, "a")]
        );
        assert_eq!(ledger.look(vec![event("b")], at(3 + OVER_AFTER_MS)), []);
    }

    #[test]
    fn what_is_away_for_a_moment_is_the_same_happening() {
        let mut ledger = Ledger::default();
        ledger.look(vec![event("a")], at(0));
        for now_ms in (1..10 * OVER_AFTER_MS).step_by(40_000) {
            assert_eq!(ledger.look(Vec::new(), at(now_ms)), []);
            assert_eq!(ledger.look(vec![event("a")], at(now_ms + 20_000)), []);
        }
    }
}
