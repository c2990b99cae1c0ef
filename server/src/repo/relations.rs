//! How commits stand to each other and to the branch that is followed, and what is known at its tip.
//!
//! Invariant: what is a fact for ever is asked of the mirror once; what the next fetch may change is asked again.

use std::sync::Arc;

use headwater_core::{Answer, Comparison, Freshness, Held, Known, Relation, Token, compare};
use headwater_wire::{CommitId, ConfigName, HeadState};
use tokio::sync::OnceCell;

use super::{Pair, Repo, RepoError};
use crate::publish::Told;

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

    /// What to answer a client that holds `held` while it should hold `token`.
    pub(crate) async fn compare(
        &self,
        held: Option<&Token>,
        about: (&ConfigName, &Told),
        token: &Token,
        freshness: Freshness,
    ) -> Result<Answer, RepoError> {
        // Each turn adds one; at most three are asked for.
        let mut facts = Vec::new();
        loop {
            match self.compare_by(held, about, token, (freshness, &facts)) {
                Ok(answer) => return Ok(answer),
                Err(pair) => {
                    let relation = self.relation(&pair.0, &pair.1).await?;
                    facts.push((pair, relation));
                }
            }
        }
    }

    /// The same at once, if nothing has to be read from the mirror for it.
    pub(crate) fn compare_now(
        &self,
        held: Option<&Token>,
        about: (&ConfigName, &Told),
        token: &Token,
    ) -> Option<Answer> {
        let nothing = (Freshness::NotAsked, [].as_slice());
        self.compare_by(held, about, token, nothing).ok()
    }

    /// The same from what is known and `facts`; or the pair of commits whose relation it wants.
    fn compare_by(
        &self,
        held: Option<&Token>,
        (config, told): (&ConfigName, &Told),
        token: &Token,
        (freshness, facts): (Freshness, &[(Pair, Relation)]),
    ) -> Result<Answer, Pair> {
        let mut comparison = Comparison {
            held,
            target: token,
            relation: Relation::Unknown,
            restores: false,
            held_is_on_branch: false,
            freshness,
        };
        if held.is_none_or(|held| held == token) {
            return Ok(compare(&comparison));
        }
        let published = self.board.read();
        let stood_for = held.and_then(|held| published.state.stand_ins.of(config, &held.version));
        let translated = stood_for.zip(held).map(|(came, held)| Token {
            version: came.clone(),
            ..held.clone()
        });
        comparison.held = translated.as_ref().or(held);
        if let Some(held) = comparison.held.filter(|held| held.version != token.version) {
            let version = &held.version;
            // What was decided after a commit of ours that has not come to the branch replaces it.
            let relation = if published.state.is_unborn(version) {
                Relation::Ancestor
            } else {
                self.known_relation((version, &token.version), facts)?
            };
            let is_part_of = |end: Option<&CommitId>| -> Result<bool, Pair> {
                match end {
                    None => Ok(false),
                    Some(end) if end == version => Ok(true),
                    Some(end) => Ok(self.known_relation((version, end), facts)? == Relation::Ancestor),
                }
            };
            let held = Held {
                version,
                relation,
                is_in_tip: relation == Relation::Descendant && is_part_of(published.state.tip.as_ref())?,
            };
            let target = &told.exposed.target;
            (comparison.relation, comparison.restores) = published.state.relate(config, held, target);
            // The newest commit known of the branch, held back or not.
            comparison.held_is_on_branch = is_part_of(published.state.head.as_ref())?;
        }
        Ok(compare(&comparison))
    }

    fn known_relation(
        &self,
        (held, target): (&CommitId, &CommitId),
        facts: &[(Pair, Relation)],
    ) -> Result<Relation, Pair> {
        let pair = (held.clone(), target.clone());
        let fact = facts.iter().find(|(of, _)| *of == pair);
        let known = fact.map(|(_, relation)| *relation);
        let known = known.or_else(|| self.relations.get(&pair)?.get().copied());
        known.ok_or(pair)
    }

    /// Whether the tip is `commit` or descends from it.
    pub(crate) async fn tip_contains(&self, commit: &CommitId) -> Result<bool, RepoError> {
        match self.board.read().state.tip.clone() {
            None => Ok(false),
            Some(tip) if tip == *commit => Ok(true),
            Some(tip) => Ok(self.relation(commit, &tip).await? == Relation::Ancestor),
        }
    }

    /// How two different commits relate in the mirror. After a change, everybody asks for the same at once, and it is
    /// read once for all of them.
    async fn relation(&self, held: &CommitId, target: &CommitId) -> Result<Relation, RepoError> {
        let key = (held.clone(), target.clone());
        let cell = self.relations.get(&key).unwrap_or_else(|| {
            let cell = Arc::new(OnceCell::new());
            self.relations.put(key.clone(), cell.clone());
            cell
        });
        let (held, target) = key.clone();
        let read = || {
            self.read(move |reader| {
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
        };
        let relation = *cell.get_or_try_init(read).await?;
        // What is not here yet may come with the next fetch; the rest is a fact for ever.
        if relation == Relation::Unknown {
            self.relations.remove(&key);
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
