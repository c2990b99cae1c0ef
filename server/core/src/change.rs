//! What to answer a client that names what it holds: the table of the contract, "when the client's version is not
//! the target".
//!
//! Invariant: older or unrelated content is never handed out on a guess. It takes a listing of the upstream that
//! started after the request to say that history was rewritten.

use headwater_wire::{ChangeKind, CommitId, ConfigName};

use crate::control::{RepoState, Target};
use crate::token::Token;

/// How the client's version relates to the target in the commit graph of this replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// The client's version is an ancestor of the target.
    Ancestor,
    /// The client's version descends from the target: the client is newer than this replica.
    Descendant,
    /// Both are known here and neither contains the other.
    Unrelated,
    /// The client's version is not in this replica's mirror.
    Unknown,
}

/// Whether the upstream was listed after the request arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// Nobody asked yet.
    NotAsked,
    /// A listing started after the request and succeeded, and what it named was fetched.
    Fresh,
    /// A listing started after the request and failed.
    Failed,
}

/// Everything the answer depends on.
#[derive(Debug, Clone, Copy)]
pub struct Comparison<'a> {
    /// What the client says it holds, if anything.
    pub held: Option<&'a Token>,
    /// Token of what it should hold.
    pub target: &'a Token,
    /// Relation of the two versions; not read when they are equal.
    pub relation: Relation,
    /// Whether the target has the content of a version older than the one held.
    pub restores: bool,
    /// Whether the newest commit known of the branch, admitted or not, contains the version held.
    pub held_is_on_branch: bool,
    /// Whether the upstream was asked since the request arrived.
    pub freshness: Freshness,
}

/// What to do with the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The client holds the target: wait, or answer 304.
    UpToDate,
    /// Hand out the target, named as this kind of change.
    Target(ChangeKind),
    /// List the upstream first, then compare again.
    AskUpstream,
    /// The client is newer than this replica has decided: wait, or answer 304; never hand out the older target.
    Hold,
    /// The client may be newer and the upstream cannot be asked: 503 `replica_behind`.
    ReplicaBehind,
}

/// Decides. Equal inputs give equal answers; `AskUpstream` is answered only while `freshness` is `NotAsked`.
pub fn compare(comparison: &Comparison<'_>) -> Answer {
    let Some(held) = comparison.held else {
        return Answer::Target(ChangeKind::Initial);
    };
    if held == comparison.target {
        return Answer::UpToDate;
    }
    if held.version == comparison.target.version {
        return same_version(held, comparison.target);
    }
    match (comparison.relation, comparison.freshness) {
        (Relation::Ancestor, _) if comparison.restores => Answer::Target(ChangeKind::Rollback),
        (Relation::Ancestor, _) => Answer::Target(ChangeKind::Forward),
        (_, Freshness::NotAsked) => Answer::AskUpstream,
        (_, Freshness::Failed) => Answer::ReplicaBehind,
        (Relation::Unknown, Freshness::Fresh) => Answer::Target(ChangeKind::UnknownBase),
        (Relation::Descendant | Relation::Unrelated, Freshness::Fresh) if comparison.held_is_on_branch => {
            Answer::Hold
        }
        (Relation::Descendant | Relation::Unrelated, Freshness::Fresh) => Answer::Target(ChangeKind::Forced),
    }
}

/// A version that somebody holds, as it stands in the history that this replica has.
#[derive(Debug, Clone, Copy)]
pub struct Held<'a> {
    /// The version.
    pub version: &'a CommitId,
    /// How it stands to the version that he is told.
    pub relation: Relation,
    /// Whether the tip is it, or descends from it.
    pub is_in_tip: bool,
}

impl RepoState {
    /// How a version that somebody holds stands to what he is told when everything is counted that was decided beside the
    /// history, and whether that restores what was before it. What is told may be older than the tip because a rollout
    /// has not brought it further, or has gone back; then who holds something in between is not ahead of us.
    pub fn relate(&self, config: &ConfigName, held: Held<'_>, target: &Target) -> (Relation, bool) {
        let went_back = self.went_back_from(config, held.version);
        let is_seen = held.is_in_tip && self.courses.contains_key(config);
        let relation = match held.relation {
            Relation::Descendant if went_back || is_seen => return (Relation::Ancestor, true),
            relation @ (Relation::Ancestor
            | Relation::Descendant
            | Relation::Unrelated
            | Relation::Unknown) => relation,
        };
        (relation, went_back || target.restores(held.version))
    }

    /// Whether somebody may hold `held` of a config, or be ready for it, because a rollout told him so that has gone back
    /// since, or that he is no longer in.
    pub fn went_back_from(&self, config: &ConfigName, held: &CommitId) -> bool {
        let undone = self.targets.get(config).and_then(|target| target.undoes.as_ref());
        let ended = self.ended.iter().filter(|rollout| rollout.config == *config);
        let left = ended.filter(|rollout| rollout.state.is_back());
        let mut all = left.chain(self.moving_of(config));
        undone == Some(held) || all.any(|rollout| rollout.target.version == *held)
    }
}

/// One version, two renderings: another variant or format, or another release of this program.
fn same_version(held: &Token, target: &Token) -> Answer {
    if held.epoch > target.epoch {
        Answer::UpToDate
    } else {
        Answer::Target(ChangeKind::Rerender)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(version: char, digest: &str) -> Token {
        let digest = format!("sha256:{}", digest.repeat(64)).parse().unwrap();
        Token::new(&version.to_string().repeat(40).parse().unwrap(), &digest)
    }

    /// A client that holds `a` while the target is `b`, asked the given way.
    fn answer(relation: Relation, freshness: Freshness, branch: Branch) -> Answer {
        let (held, target) = (token('a', "1"), token('b', "2"));
        compare(&Comparison {
            held: Some(&held),
            target: &target,
            relation,
            restores: false,
            held_is_on_branch: branch == Branch::HasHeld,
            freshness,
        })
    }

    /// Whether the branch contains what the client holds.
    #[derive(Clone, Copy, PartialEq)]
    enum Branch {
        HasHeld,
        LacksHeld,
    }

    #[test]
    fn a_client_that_holds_nothing_gets_the_target() {
        let target = token('b', "2");
        let comparison = Comparison {
            held: None,
            target: &target,
            relation: Relation::Unknown,
            restores: false,
            held_is_on_branch: false,
            freshness: Freshness::NotAsked,
        };
        assert_eq!(compare(&comparison), Answer::Target(ChangeKind::Initial));
    }

    #[test]
    fn an_ancestor_moves_forward_without_asking_the_upstream() {
        for freshness in [Freshness::NotAsked, Freshness::Fresh, Freshness::Failed] {
            assert_eq!(
                answer(Relation::Ancestor, freshness, Branch::HasHeld),
                Answer::Target(ChangeKind::Forward)
            );
        }
    }

    #[test]
    fn restored_content_is_named_a_rollback() {
        let (held, target) = (token('a', "1"), token('b', "2"));
        let comparison = Comparison {
            held: Some(&held),
            target: &target,
            relation: Relation::Ancestor,
            restores: true,
            held_is_on_branch: true,
            freshness: Freshness::NotAsked,
        };
        assert_eq!(compare(&comparison), Answer::Target(ChangeKind::Rollback));
    }

    #[test]
    fn nothing_but_a_fresh_listing_makes_a_change_forced() {
        for relation in [Relation::Descendant, Relation::Unrelated] {
            assert_eq!(
                answer(relation, Freshness::NotAsked, Branch::LacksHeld),
                Answer::AskUpstream
            );
            assert_eq!(
                answer(relation, Freshness::Failed, Branch::LacksHeld),
                Answer::ReplicaBehind
            );
            assert_eq!(
                answer(relation, Freshness::Fresh, Branch::LacksHeld),
                Answer::Target(ChangeKind::Forced)
            );
        }
    }

    #[test]
    fn a_client_newer_than_this_replica_is_held_not_taken_back() {
        for relation in [Relation::Descendant, Relation::Unrelated] {
            assert_eq!(answer(relation, Freshness::Fresh, Branch::HasHeld), Answer::Hold);
        }
    }

    #[test]
    fn an_unknown_version_gets_the_whole_snapshot_only_after_a_listing() {
        assert_eq!(
            answer(Relation::Unknown, Freshness::NotAsked, Branch::LacksHeld),
            Answer::AskUpstream
        );
        assert_eq!(
            answer(Relation::Unknown, Freshness::Failed, Branch::LacksHeld),
            Answer::ReplicaBehind
        );
        assert_eq!(
            answer(Relation::Unknown, Freshness::Fresh, Branch::LacksHeld),
            Answer::Target(ChangeKind::UnknownBase)
        );
    }

    #[test]
    fn two_releases_behind_one_address_do_not_make_a_client_swing() {
        let old = token('a', "1");
        let new = Token {
            epoch: RENDERER_NEXT,
            ..token('a', "2")
        };
        let ask = |held: &Token, target: &Token| {
            compare(&Comparison {
                held: Some(held),
                target,
                relation: Relation::Unknown,
                restores: false,
                held_is_on_branch: true,
                freshness: Freshness::NotAsked,
            })
        };
        assert_eq!(ask(&old, &new), Answer::Target(ChangeKind::Rerender));
        assert_eq!(ask(&new, &old), Answer::UpToDate);
    }

    const RENDERER_NEXT: u32 = crate::token::RENDERER_EPOCH + 1;
}
