//! Which commits of a push are judged, and which of them is the newest good one.
//!
//! Invariant: the oldest new commit comes first, each at most once; nothing of a commit is read by a parser before its
//! signature was looked at, where the settings ask for one.

use std::collections::BTreeSet;
use std::sync::Arc;

use headwater_core::{Candidate, Descent, RepoState};
use headwater_wire::ConfigName;

use super::{Pipeline, RoundError};
use crate::git::read::Reader;
use crate::judge::Judged;
use crate::measure::{Against, new_commits};

/// How far back a first start looks for a good commit when the head is rejected.
const LOOK_BACK_MAX: usize = 100;

/// The newest good commit of a walk, and the verdict on the head.
pub(super) struct Walk {
    pub(super) good: Option<Arc<Judged>>,
    pub(super) head: Arc<Judged>,
}

impl Pipeline {
    /// Whether anything is served now. After a lost mirror or a start that could not read the tip, nothing is.
    fn serves(&self) -> bool {
        self.repo.board.read().snapshot.is_some()
    }

    /// Judges what is new, oldest first; at a first start, newest first until one is good.
    pub(super) async fn walk(
        &mut self,
        reader: &Reader,
        candidate: &Candidate,
        state: &RepoState,
    ) -> Result<Walk, RoundError> {
        let (head, tip) = (&candidate.commit, state.tip.as_ref());
        let signed = self.look_at_signatures(reader, head, state).await?;
        let old = self.repo.board.read().state.old_contents();
        let mut good: Option<Arc<Judged>> = None;
        if candidate.descent == Descent::FastForward {
            let served = self.exposed_configs();
            let mut exposed = served.clone();
            let new = new_commits(reader, tip, head)?;
            for (index, commit) in new.iter().enumerate().rev() {
                // Each is measured against all that instances hold now, not against the one before it: of two steps
                // that are pushed together, each allowed, the second is one that is not.
                let against = Against {
                    exposed: exposed.clone(),
                    before: tip.cloned(),
                    old: old.clone(),
                    new: new.get(index..).unwrap_or_default().to_vec(),
                };
                let judged = self
                    .unless_urgent(self.vetted(reader, commit, against, &signed))
                    .await??;
                if let Some(valid) = &judged.valid {
                    exposed = valid.configs().keys().cloned().collect();
                    // What a rejected head may have meant to bring under another name is not taken from instances.
                    let takes_nothing = commit == head || served.is_subset(&exposed);
                    if takes_nothing && self.may_lead(reader, commit, &signed).await? {
                        good = Some(judged.clone());
                    }
                }
                if commit == head && (good.is_some() || self.serves()) {
                    return Ok(Walk { good, head: judged });
                }
            }
            // The head is the tip itself: it is exposed again, for example after a restart.
        }
        // Instances still hold what was exposed before the history was replaced.
        let replaced = tip.filter(|tip| candidate.descent == Descent::Rewritten && reader.contains(tip));
        let against = Against {
            before: replaced.cloned(),
            old,
            ..Against::default()
        };
        let judged = self
            .unless_urgent(self.vetted(reader, head, against, &signed))
            .await??;
        if judged.valid.is_some() {
            return Ok(Walk {
                good: Some(judged.clone()),
                head: judged,
            });
        }
        if !self.serves() {
            for commit in reader.first_parents(head, None, LOOK_BACK_MAX)?.iter().skip(1) {
                let older = self
                    .unless_urgent(self.vetted(reader, commit, Against::default(), &signed))
                    .await??;
                if older.valid.is_some() && self.may_lead(reader, commit, &signed).await? {
                    good = Some(older);
                    break;
                }
            }
        }
        Ok(Walk { good, head: judged })
    }

    /// Names of the configs that instances may hold now.
    fn exposed_configs(&self) -> BTreeSet<ConfigName> {
        let published = self.repo.board.read();
        published
            .snapshot
            .iter()
            .flat_map(|snapshot| snapshot.configs.keys().cloned())
            .collect()
    }
}
