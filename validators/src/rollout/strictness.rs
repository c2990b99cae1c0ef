//! Whether a policy is as careful as another one was.
//!
//! Invariant: what is not known to be as careful is not. A guard is loosened by whatever could let something through
//! that was kept back before; that much of it would have been harmless is for a person to see.

use super::{Budget, Deadlines, OnHalt, Quorum, RolloutKind, RolloutPolicy, SignalPolicy, Stage};

impl RolloutPolicy {
    /// Whether nothing is sooner, in more hands or with less asked than under `before`.
    pub(crate) fn is_as_careful_as(&self, before: &Self) -> bool {
        self.kind >= before.kind
            && are_as_small(&self.stages_in_full(), &before.stages_in_full())
            && (before.kind < RolloutKind::TwoPhase || self.quorum.percent() >= before.quorum.percent())
            && self.deadlines.are_as_short_as(before.deadlines, self.quorum)
            && self.budget.is_as_small_as(before.budget)
            && self.on_halt.is_as_quick_as(before.on_halt)
            && self.sample_min >= before.sample_min
            && self.known <= before.known
            && before
                .freezes
                .iter()
                .all(|freeze| freeze.is_kept_by(&self.freezes))
            && before
                .signals
                .iter()
                .all(|signal| signal.is_asked_by(&self.signals))
    }

    /// With the last stage that is not written, which takes whoever is left; none where everybody is taken at once.
    fn stages_in_full(&self) -> Vec<Stage> {
        let mut stages = self.stages.clone();
        if self.kind > RolloutKind::Immediate && !stages.last().is_some_and(Stage::takes_everyone) {
            stages.push(Stage::default());
        }
        stages
    }
}

/// Whether nobody is reached sooner: each stage falls into the first one of before that would have taken its instances,
/// none of those is left out, and who comes first in one of them waits for as much as before, who comes last bakes as
/// long.
fn are_as_small(after: &[Stage], before: &[Stage]) -> bool {
    let place = |stage: &Stage| before.iter().position(|before| stage.is_within(before));
    let places: Vec<Option<usize>> = after.iter().map(place).collect();
    let is_kept = |(at, before): (usize, &Stage)| {
        let mut within = after.iter().zip(&places).filter(|(_, place)| **place == Some(at));
        let Some((first, _)) = within.next() else {
            return false;
        };
        let last = within.next_back().map_or(first, |(last, _)| last);
        first.begins >= before.begins && last.bake_ms() >= before.bake_ms()
    };
    before.is_empty()
        || places.iter().all(Option::is_some) && places.is_sorted() && before.iter().enumerate().all(is_kept)
}

impl Stage {
    /// Whether it can take nobody whom `other` would not have taken.
    fn is_within(&self, other: &Self) -> bool {
        let is_no_more = match (self.share(), other.share()) {
            (_, (None, 100)) => true,
            ((None, percent), (None, limit)) => percent <= limit,
            ((Some(count), _), (Some(limit), _)) => count <= limit,
            ((Some(_), _), (None, _)) | ((None, _), (Some(_), _)) => false,
        };
        (self.labels == other.labels || other.takes_everyone()) && is_no_more
    }

    /// A number, or else so many of a hundred.
    fn share(&self) -> (Option<u32>, u8) {
        (self.count, self.percent.unwrap_or(100))
    }
}

impl Quorum {
    fn percent(self) -> u8 {
        match self {
            Self::All => 100,
            Self::Percent(percent) => percent,
        }
    }
}

impl Deadlines {
    /// Shorter ones stop a rollout sooner; but where some need not be ready, a shorter time to get ready is less asked.
    fn are_as_short_as(self, before: Self, quorum: Quorum) -> bool {
        let gets_ready = match quorum {
            Quorum::All => self.prepare_ms <= before.prepare_ms,
            Quorum::Percent(_) => self.prepare_ms == before.prepare_ms,
        };
        gets_ready && self.expose_ms <= before.expose_ms && self.roll_back_ms <= before.roll_back_ms
    }
}

impl Budget {
    fn is_as_small_as(self, before: Self) -> bool {
        let silence = |budget: Self| budget.unknown_after_ms.unwrap_or(u64::MAX);
        self.failed <= before.failed && silence(self) <= silence(before) && self.restarts <= before.restarts
    }
}

impl OnHalt {
    fn is_as_quick_as(self, before: Self) -> bool {
        match (self, before) {
            (_, Self::Stay) => true,
            (Self::RollBackAfter(ms), Self::RollBackAfter(limit)) => ms <= limit,
            (Self::Stay, Self::RollBackAfter(_)) => false,
        }
    }
}

impl SignalPolicy {
    fn is_asked_by(&self, signals: &[Self]) -> bool {
        signals.iter().any(|after| {
            (&after.name, &after.source, after.interval_ms) == (&self.name, &self.source, self.interval_ms)
                && after.passes_min >= self.passes_min
                && after.unclear_max <= self.unclear_max
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Begins, Freeze, Known, SignalSource};
    use super::*;

    fn percent(percent: u8) -> Stage {
        Stage {
            percent: Some(percent),
            bake_time_ms: Some(60_000),
            ..Stage::default()
        }
    }

    fn policy() -> RolloutPolicy {
        let signal = SignalPolicy {
            name: "calm".to_owned(),
            source: SignalSource::Webhook {
                server: "oracle".to_owned(),
            },
            passes_min: 2,
            unclear_max: 3,
            interval_ms: 30_000,
        };
        let freeze = Freeze::Weekly {
            from_minute: 10,
            minutes: 10,
        };
        RolloutPolicy {
            stages: vec![percent(10), percent(100)],
            quorum: Quorum::Percent(80),
            sample_min: 3,
            freezes: vec![freeze],
            signals: vec![signal],
            ..RolloutPolicy::of_kind(RolloutKind::TwoPhase)
        }
    }

    /// In words, and as it is done.
    type Edit = (&'static str, fn(&mut RolloutPolicy));

    /// Each edit makes a policy more careful, and is less careful the other way round.
    #[test]
    fn an_edit_that_tightens_loosens_the_other_way_round() {
        let edits: [Edit; 14] = [
            ("a smaller stage", |policy| policy.stages[0].percent = Some(5)),
            ("a longer bake", |policy| {
                policy.stages[0].bake_time_ms = Some(90_000);
            }),
            ("an approval", |policy| {
                policy.stages[1].begins = Begins::WithApproval;
            }),
            ("a stage more", |policy| policy.stages.insert(0, percent(1))),
            ("a stage more in between", |policy| {
                policy.stages.insert(1, percent(50));
            }),
            ("a quorum", |policy| policy.quorum = Quorum::All),
            ("a deadline", |policy| policy.deadlines.expose_ms = 1_000),
            ("silence", |policy| policy.budget.unknown_after_ms = Some(1_000)),
            ("restarts", |policy| policy.budget.restarts = 1),
            ("the halt", |policy| policy.on_halt = OnHalt::RollBackAfter(1_000)),
            ("a sample", |policy| policy.sample_min = 4),
            ("a freeze", |policy| {
                policy.freezes.push(Freeze::Weekly {
                    from_minute: 100,
                    minutes: 1,
                });
            }),
            ("passes", |policy| policy.signals[0].passes_min = 3),
            ("doubts", |policy| policy.signals[0].unclear_max = 2),
        ];
        for (edit, tighten) in edits {
            let (before, mut after) = (policy(), policy());
            tighten(&mut after);
            assert!(after.is_as_careful_as(&before), "{edit} tightens");
            assert!(!before.is_as_careful_as(&after), "without {edit} it is looser");
        }
    }

    #[test]
    fn what_is_not_known_to_be_as_careful_is_not() {
        let edits: [Edit; 9] = [
            ("another kind", |policy| policy.kind = RolloutKind::Staged),
            ("a large stage first", |policy| {
                policy.stages.insert(0, percent(20));
            }),
            ("a number instead of a share", |policy| {
                policy.stages[0].percent = None;
                policy.stages[0].count = Some(1);
            }),
            ("a bake that is shorter than one that was not said", |policy| {
                policy.stages[0].bake_time_ms = Some(59_000);
            }),
            ("other labels", |policy| {
                policy.stages[0]
                    .labels
                    .insert("canary".to_owned(), "*".to_owned());
            }),
            ("less time to be ready where some need not", |policy| {
                policy.deadlines.prepare_ms = 1;
            }),
            ("another query", |policy| {
                policy.signals[0].source = SignalSource::Webhook {
                    server: "yes-man".to_owned(),
                };
            }),
            ("known content at once", |policy| policy.known = Known::AtOnce),
            ("more failures", |policy| policy.budget.failed = 2),
        ];
        for (edit, loosen) in edits {
            let mut after = policy();
            loosen(&mut after);
            assert!(!after.is_as_careful_as(&policy()), "{edit}");
        }
    }

    #[test]
    fn a_stage_before_an_approval_takes_nobody_who_waited_for_it() {
        let mut before = policy();
        before.stages[1].begins = Begins::WithApproval;
        let mut after = before.clone();
        after.stages.insert(1, percent(50));
        assert!(!after.is_as_careful_as(&before));
        after.stages[1].begins = Begins::WithApproval;
        assert!(after.is_as_careful_as(&before));
    }

    #[test]
    fn the_last_stage_is_there_whether_or_not_it_is_written() {
        let mut before = policy();
        before.stages.truncate(1);
        assert!(policy().is_as_careful_as(&before));
        assert!(before.is_as_careful_as(&policy()));
        before.stages.clear();
        assert!(policy().is_as_careful_as(&before));
        let mut short = policy();
        short.stages[1].bake_time_ms = Some(1_000);
        assert!(!short.is_as_careful_as(&before));
    }

    #[test]
    fn a_policy_is_as_careful_as_itself_and_as_none() {
        assert!(policy().is_as_careful_as(&policy()));
        let immediate = RolloutPolicy::of_kind(RolloutKind::Immediate);
        assert!(policy().is_as_careful_as(&immediate));
        assert!(!immediate.is_as_careful_as(&policy()));
    }
}
