//! What is proposed for a branch as far as we know, and in which order it is looked at.
//!
//! Invariant: pure. A proposal waits at most once, however often somebody tells of it, and is looked at as it is then;
//! news goes before what is looked at again because the branch moved. Bounded: of too many, the oldest are forgotten.

use std::collections::BTreeMap;
use std::time::Duration;

use headwater_wire::CommitId;
use tokio::time::Instant;

use crate::forge::ProposalKey as Key;

/// Proposals that are known at once. Of more, those with the lowest numbers are forgotten.
pub(super) const OPEN_MAX: usize = 200;
/// Pauses, in seconds, between looks at what was announced and is not there yet, or could not be looked at.
const PAUSES: [u64; 5] = [1, 2, 4, 8, 15];
/// How long a move of the branch waits for the next one, before everything is looked at again.
const SETTLING: Duration = Duration::from_secs(1);

/// What is known of a proposal, and when it is looked at.
#[derive(Debug)]
struct Entry {
    /// When it was told of last.
    told_at: Instant,
    /// Its newest commit as of the last look.
    head: Option<CommitId>,
    wait: Option<Wait>,
}

/// A proposal that waits for a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wait {
    /// Why.
    pub(super) why: Why,
    /// Looks since the last news that found less than was announced.
    tries: usize,
    due: Instant,
}

/// Why a proposal is looked at. What comes first goes first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Why {
    /// Somebody told of it; perhaps at which commit.
    News(Option<CommitId>),
    /// The branch moved.
    BranchMoved,
}

/// The list.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    open: BTreeMap<Key, Entry>,
}

impl Agenda {
    /// A proposal was opened or changed. `head` is where it was said to be.
    pub(super) fn tell(&mut self, key: Key, head: Option<CommitId>, now: Instant) {
        let entry = self.open.entry(key).or_insert(Entry {
            told_at: now,
            head: None,
            wait: None,
        });
        entry.told_at = now;
        entry.wait = Some(Wait {
            why: Why::News(head),
            tries: 0,
            due: now,
        });
        while self.open.len() > OPEN_MAX {
            self.open.pop_first();
        }
    }

    /// A proposal was merged or given up.
    pub(super) fn forget(&mut self, key: &Key) {
        self.open.remove(key);
    }

    /// What a forge lists as open, asked at `since`: what was known before and is not listed is gone, and what changed is
    /// news. Merge groups are not listed.
    pub(super) fn list(
        &mut self,
        listed: impl IntoIterator<Item = (u64, CommitId)>,
        since: Instant,
        now: Instant,
    ) {
        let listed: BTreeMap<Key, CommitId> = listed
            .into_iter()
            .map(|(number, head)| (Key::Pull(number), head))
            .collect();
        self.open.retain(|key, entry| {
            listed.contains_key(key) || entry.told_at >= since || matches!(key, Key::Group(_))
        });
        for (key, head) in listed {
            let known = self.open.get(&key).and_then(|entry| entry.head.as_ref());
            if known != Some(&head) {
                self.tell(key, Some(head), now);
            }
        }
    }

    /// The branch moved: every pull request is looked at again, but not while the branch keeps moving. A merge group is
    /// what it is, whatever the branch does.
    pub(super) fn branch_moved(&mut self, now: Instant) {
        let pulls = self
            .open
            .iter_mut()
            .filter(|(key, _)| matches!(key, Key::Pull(_)));
        for (_, entry) in pulls {
            entry.wait.get_or_insert(Wait {
                why: Why::BranchMoved,
                tries: 0,
                due: now + SETTLING,
            });
        }
    }

    /// Takes the proposal whose turn it is, with its newest commit as of the last look.
    pub(super) fn take(&mut self, now: Instant) -> Option<(Key, Wait, Option<CommitId>)> {
        let due = self.open.iter().filter_map(|(key, entry)| {
            let wait = entry.wait.as_ref().filter(|wait| wait.due <= now)?;
            Some((matches!(wait.why, Why::BranchMoved), wait.due, key))
        });
        let (_, _, key) = due.min()?;
        let key = key.clone();
        let entry = self.open.get_mut(&key)?;
        Some((key, entry.wait.take()?, entry.head.clone()))
    }

    /// When the next one is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.open
            .values()
            .filter_map(|entry| entry.wait.as_ref().map(|wait| wait.due))
            .min()
    }

    /// A look found a proposal at `head`, which may be less than was announced. A merge group is done with then, since
    /// a queue never changes one.
    pub(super) fn seen(&mut self, key: &Key, wait: Wait, head: CommitId, now: Instant) {
        let is_less = matches!(&wait.why, Why::News(Some(announced)) if *announced != head);
        if let Some(entry) = self.open.get_mut(key) {
            entry.head = Some(head);
        }
        if is_less {
            self.later(key, wait, now);
        } else if matches!(key, Key::Group(_)) {
            self.forget(key);
        }
    }

    /// A look found nothing: it is not there yet if it was announced, and gone otherwise.
    pub(super) fn missed(&mut self, key: &Key, wait: Wait, now: Instant) {
        if wait.why == Why::BranchMoved || !self.later(key, wait, now) {
            self.forget(key);
        }
    }

    /// A proposal could not be looked at, or not at all of it: again after a pause, unless there is news of it by now.
    /// Says whether it will be.
    pub(super) fn later(&mut self, key: &Key, wait: Wait, now: Instant) -> bool {
        let Some(entry) = self.open.get_mut(key) else {
            return false;
        };
        let Some(pause) = PAUSES.get(wait.tries) else {
            return entry.wait.is_some();
        };
        entry.wait.get_or_insert(Wait {
            tries: wait.tries + 1,
            due: now + Duration::from_secs(*pause),
            ..wait
        });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(digit: char) -> CommitId {
        digit.to_string().repeat(40).parse().unwrap()
    }

    fn taken(agenda: &mut Agenda, now: Instant) -> Vec<u64> {
        let next = || agenda.take(now).map(|(key, ..)| key);
        std::iter::from_fn(next)
            .map(|key| match key {
                Key::Pull(number) => number,
                Key::Group(_) => 0,
            })
            .collect()
    }

    #[test]
    fn what_is_told_often_waits_once_and_before_what_is_looked_at_again() {
        let (mut agenda, now) = (Agenda::default(), Instant::now());
        for number in [3, 1, 2] {
            agenda.tell(Key::Pull(number), None, now);
        }
        assert_eq!(taken(&mut agenda, now), [1, 2, 3]);
        agenda.branch_moved(now);
        agenda.branch_moved(now);
        assert_eq!(taken(&mut agenda, now), [0; 0], "the branch may move again");
        let settled = now + SETTLING;
        agenda.tell(Key::Pull(3), None, settled);
        agenda.tell(Key::Pull(3), None, settled);
        assert_eq!(taken(&mut agenda, settled), [3, 1, 2]);
    }

    #[test]
    fn what_is_not_there_yet_is_looked_at_again_a_few_times() {
        let (mut agenda, mut now) = (Agenda::default(), Instant::now());
        agenda.tell(Key::Pull(1), Some(commit('b')), now);
        let mut looks = 0;
        while let Some((key, wait, _)) = agenda.take(now) {
            looks += 1;
            agenda.seen(&key, wait, commit('a'), now);
            now = agenda.due().unwrap_or(now);
        }
        assert_eq!(looks, PAUSES.len() + 1);
        agenda.tell(Key::Pull(1), Some(commit('b')), now);
        let (key, wait, head) = agenda.take(now).unwrap();
        assert_eq!(head, Some(commit('a')));
        agenda.seen(&key, wait, commit('b'), now);
        assert_eq!(agenda.due(), None);
    }

    #[test]
    fn what_is_nowhere_is_forgotten_in_the_end() {
        let (mut agenda, mut now) = (Agenda::default(), Instant::now());
        agenda.tell(Key::Pull(1), None, now);
        while let Some((key, wait, _)) = agenda.take(now) {
            agenda.missed(&key, wait, now);
            now = agenda.due().unwrap_or(now);
        }
        agenda.branch_moved(now);
        assert_eq!(agenda.due(), None);
    }

    #[test]
    fn news_that_comes_during_a_look_is_not_lost_by_it() {
        let (mut agenda, now) = (Agenda::default(), Instant::now());
        agenda.tell(Key::Pull(1), Some(commit('a')), now);
        let (key, wait, _) = agenda.take(now).unwrap();
        agenda.tell(Key::Pull(1), Some(commit('b')), now);
        agenda.seen(&key, wait, commit('a'), now);
        let (_, wait, _) = agenda.take(now).unwrap();
        assert_eq!(wait.why, Why::News(Some(commit('b'))));
    }

    #[test]
    fn a_listing_brings_what_no_hook_told_of_and_takes_what_is_closed() {
        let (mut agenda, now) = (Agenda::default(), Instant::now());
        let group = Key::Group("gh-readonly-queue/main/pr-1".parse().unwrap());
        agenda.tell(group, None, now);
        agenda.list([(1, commit('a')), (2, commit('b'))], now, now);
        assert_eq!(taken(&mut agenda, now), [1, 2, 0]);
        let wait = |why| Wait {
            why,
            tries: 0,
            due: now,
        };
        agenda.seen(&Key::Pull(2), wait(Why::News(None)), commit('b'), now);
        let later = now + SETTLING;
        // Told of after the forge was asked, so it may be too new for the list.
        agenda.tell(Key::Pull(4), None, later);
        agenda.list([(2, commit('b')), (3, commit('c'))], later, later);
        assert_eq!(taken(&mut agenda, later), [3, 4]);
        agenda.branch_moved(later);
        assert_eq!(taken(&mut agenda, later + SETTLING), [2, 3, 4]);
    }

    #[test]
    fn of_too_many_the_oldest_are_forgotten() {
        let (mut agenda, now) = (Agenda::default(), Instant::now());
        for number in 0..u64::try_from(OPEN_MAX).unwrap() + 10 {
            agenda.tell(Key::Pull(number), None, now);
        }
        let taken = taken(&mut agenda, now);
        assert_eq!((taken.len(), taken[0]), (OPEN_MAX, 10));
    }
}
