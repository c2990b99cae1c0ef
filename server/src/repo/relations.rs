//! How commits stand to each other and to the branch that is followed, and what is known at its tip.
//!
//! Invariant: what is a fact for ever is asked of the mirror once; what the next fetch may change is asked again.

use headwater_core::{Known, Relation};
use headwater_wire::{CommitId, HeadState};

use super::{Repo, RepoError};

impl Repo {
    /// Whether the followed branch reaches `commit`.
    pub(crate) async fn reaches(&self, commit: &CommitId) -> Result<bool, RepoError> {
        if self.reachable.get(commit).is_some() {
            return Ok(true);
        }
        let published = self.board.read();
        let state = &published.state;
        // What instances were told to run is served, whether or not the branch has it yet.
        if state.sources().any(|(_, source)| source == commit) {
            return Ok(true);
        }
        // A head that is held back is not followed yet, and one that is being judged has no verdict that would keep
        // its files from being served.
        let head = state.head.as_ref().filter(|_| match state.head_state {
            HeadState::Published | HeadState::Rejected => true,
            HeadState::None | HeadState::Validating | HeadState::Held | HeadState::Other => false,
        });
        let ends: Vec<CommitId> = head.into_iter().chain(&state.tip).cloned().collect();
        let wanted = commit.clone();
        let found = self
            .read(move |reader| {
                if !reader.contains(&wanted) {
                    return Ok(false);
                }
                for end in &ends {
                    if *end == wanted || reader.is_ancestor(&wanted, end)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            })
            .await?;
        if found {
            self.reachable.put(commit.clone(), ());
        }
        Ok(found)
    }

    /// Whether the tip is `commit` or descends from it.
    pub(crate) async fn tip_contains(&self, commit: &CommitId) -> Result<bool, RepoError> {
        match self.board.read().state.tip.clone() {
            None => Ok(false),
            Some(tip) if tip == *commit => Ok(true),
            Some(tip) => Ok(self.relation(commit, &tip).await? == Relation::Ancestor),
        }
    }

    /// Whether the newest commit known of the branch, held back or not, contains `commit`.
    pub(super) async fn head_contains(&self, commit: &CommitId) -> Result<bool, RepoError> {
        match self.board.read().state.head.clone() {
            None => Ok(false),
            Some(head) if head == *commit => Ok(true),
            Some(head) => Ok(self.relation(commit, &head).await? == Relation::Ancestor),
        }
    }

    /// How two different commits relate in the mirror.
    pub(super) async fn relation(&self, held: &CommitId, target: &CommitId) -> Result<Relation, RepoError> {
        let key = (held.clone(), target.clone());
        if let Some(relation) = self.relations.get(&key) {
            return Ok(relation);
        }
        let (held, target) = key.clone();
        let relation = self
            .read(move |reader| {
                Ok(if !reader.contains(&held) {
                    Relation::Unknown
                } else if reader.is_ancestor(&held, &target)? {
                    Relation::Ancestor
                } else if reader.is_ancestor(&target, &held)? {
                    Relation::Descendant
                } else {
                    Relation::Unrelated
                })
            })
            .await?;
        // What is not here yet may come with the next fetch; the rest is a fact for ever.
        if relation != Relation::Unknown {
            self.relations.put(key, relation);
        }
        Ok(relation)
    }

    /// What is known of the versions at the tip: where a search from a newer commit may end.
    pub(crate) fn known_at_tip(&self) -> Option<(CommitId, Known)> {
        let published = self.board.read();
        let tip = published.state.tip.clone()?;
        let at_tip = published.state.all_at_tip().into_iter();
        let configs = at_tip.map(|(config, facts)| (config, (facts.content.inputs, facts.version)));
        Some((
            tip,
            Known {
                configs: configs.collect(),
            },
        ))
    }
}
