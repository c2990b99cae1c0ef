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
