//! What is proposed for the followed branch, and what would become of it: pull requests and the merges of merge queues.
//!
//! Invariant: a verdict on what is proposed has no effect but a word to the forge and to whoever asks here. Its files
//! are in the annex of the mirror and never served; it is judged like any commit, by the same child without anything
//! of ours; and the followed branch goes first. What a delivery or a list says decides only what is looked at; what is
//! proposed is what the upstream's own ref holds. What is deliberately absent: running or keeping anything of it.

mod agenda;
mod words;
pub(crate) mod work;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use headwater_wire::{CommitId, ProposalView};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::cache::Cache;
use crate::forge::{ProposalNews, Standing, Status};
use crate::measure::is_by_a_rule;
use agenda::Agenda;

/// Verdicts that are kept, by the newest commit of what was proposed: those of all that may be open, and then some.
const KEPT_MAX: usize = 512;

/// What is proposed for one repository's branch.
#[derive(Debug)]
pub(crate) struct Proposals {
    agenda: Mutex<Agenda>,
    changed: Notify,
    kept: Cache<CommitId, Kept>,
}

/// What was found of a proposal last.
#[derive(Debug, Clone)]
struct Kept {
    view: Arc<ProposalView>,
    /// What the forge was told last; none if it is told by others.
    told: Option<Status>,
    /// Names what instances held besides the branch's newest commit.
    old: Option<String>,
}

impl Kept {
    /// Whether it is what would be found now: a refusal by a rule may rest on what instances held.
    fn holds(&self, base: &CommitId, old: Option<&str>) -> bool {
        self.view.base == *base && (self.old.as_deref() == old || !is_by_a_rule(&self.view.verdict.findings))
    }
}

impl Default for Proposals {
    fn default() -> Self {
        Self {
            agenda: Mutex::default(),
            changed: Notify::new(),
            kept: Cache::new(KEPT_MAX),
        }
    }
}

impl Proposals {
    /// Takes note of news. Nothing is waited for.
    pub(crate) fn tell(&self, news: ProposalNews) {
        let ProposalNews { key, standing, head } = news;
        match standing {
            Standing::Open => self.agenda().tell(key, head, Instant::now()),
            Standing::Closed => self.agenda().forget(&key),
        }
        self.changed.notify_one();
    }

    /// What was found of the proposal with this newest commit.
    pub(crate) fn view(&self, head: &CommitId) -> Option<Arc<ProposalView>> {
        self.kept.get(head).map(|kept| kept.view)
    }

    fn agenda(&self) -> MutexGuard<'_, Agenda> {
        self.agenda.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use headwater_wire::{Finding, MergeState, Severity, VerdictState, VerdictView};

    use super::*;

    fn kept(code: &str, old: Option<&str>) -> Kept {
        let id = |digit: &str| digit.repeat(40).parse::<CommitId>().unwrap();
        let verdict = VerdictView {
            state: VerdictState::Rejected,
            findings: vec![Finding::of_all(code, Severity::Error, "no")],
        };
        Kept {
            view: Arc::new(ProposalView {
                head: id("a"),
                number: Some(1),
                branch: "main".parse().unwrap(),
                base: id("b"),
                merge: MergeState::Clean,
                conflicts: Vec::new(),
                verdict,
                plan: None,
                webhooks: Vec::new(),
            }),
            told: None,
            old: old.map(str::to_owned),
        }
    }

    #[test]
    fn what_a_rule_refused_is_judged_again_when_instances_hold_something_else() {
        let base = kept("rule/step", None).view.base.clone();
        assert!(kept("rule/step", Some("10")).holds(&base, Some("10")));
        assert!(!kept("rule/step", Some("10")).holds(&base, None));
        assert!(kept("parse/toml", Some("10")).holds(&base, None));
        let head = kept("rule/step", None).view.head.clone();
        assert!(!kept("rule/step", Some("10")).holds(&head, Some("10")));
    }
}
