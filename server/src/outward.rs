//! What a repository has beside what it serves: the forge that holds it, what is proposed for it, notes and commits on
//! their way to the upstream, and an annex for each, so that none of them waits for another.
//!
//! Invariant: nothing here decides or publishes, and nothing that publishes waits for it.

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwapOption;

use crate::annex::Annex;
use crate::forge::ForgeApi;
use crate::git::annex::Wing;
use crate::notes::Notes;
use crate::proposals::Proposals;

/// The outward side of one repository.
#[derive(Debug)]
pub(crate) struct Outward {
    /// Where what is proposed is kept and merged.
    pub proposed: Annex,
    /// Where notes are written, and pushed from.
    pub noted: Annex,
    /// From where commits of rollbacks are pushed.
    pub pushed: Annex,
    forge: ArcSwapOption<ForgeApi>,
    /// What became of commits and is not noted yet.
    pub notes: Notes,
    proposals: ArcSwapOption<Proposals>,
}

impl Outward {
    /// That of the repository whose mirror is in a directory.
    pub(crate) fn of(mirror: &Path) -> Self {
        Self {
            proposed: Annex::of(mirror, Wing::Proposals),
            noted: Annex::of(mirror, Wing::Notes),
            pushed: Annex::of(mirror, Wing::Pushes),
            forge: ArcSwapOption::empty(),
            notes: Notes::default(),
            proposals: ArcSwapOption::empty(),
        }
    }

    /// Speaks to this forge from now on, and about these proposals.
    pub(crate) fn set_forge(&self, forge: Option<Arc<ForgeApi>>, proposals: Option<Arc<Proposals>>) {
        self.forge.store(forge);
        self.proposals.store(proposals);
    }

    /// The forge that holds it, if we may speak to one.
    pub(crate) fn forge(&self) -> Option<Arc<ForgeApi>> {
        self.forge.load_full()
    }

    /// What is proposed for the branch, if a forge is told what would become of it.
    pub(crate) fn proposals(&self) -> Option<Arc<Proposals>> {
        self.proposals.load_full()
    }
}
