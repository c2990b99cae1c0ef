//! The decision to let a commit be served.
//!
//! Invariant: a commit with an invalid verdict is never admitted, whatever the policy says; a head that does not
//! descend from the tip is never followed in silence.

use headwater_wire::CommitId;
use serde::{Deserialize, Serialize};

/// A commit that was fetched and judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The commit.
    pub commit: CommitId,
    /// How it relates to the newest admitted commit.
    pub descent: Descent,
}

/// How a candidate relates to the newest admitted commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Descent {
    /// Nothing has been admitted yet.
    First,
    /// The tip is an ancestor of the candidate.
    FastForward,
    /// The tip is not an ancestor: the branch was reset or replaced.
    Rewritten,
}

/// What to do when history was rewritten.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RewrittenHistory {
    /// Keep serving the tip until a person accepts the new head.
    #[default]
    Hold,
    /// Take the new head; watchers are told `forced`.
    Follow,
}

/// What the settings say about admission.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AdmissionPolicy {
    /// What to do when history was rewritten.
    pub rewritten_history: RewrittenHistory,
    /// A rewritten head that a person has accepted.
    pub accepted: Option<CommitId>,
}

/// The decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Serve it.
    Admit,
    /// Never serve it; the last good commit stays.
    Reject,
    /// Serve the last good commit until a person decides.
    Hold,
}

/// Decides about one candidate. `valid` is what the validators said.
///
/// A rewritten head is held whether or not its content is valid: the question put to the person comes first.
pub fn decide(candidate: &Candidate, verdict: VerdictKind, policy: &AdmissionPolicy) -> Admission {
    let accepted = policy.accepted.as_ref() == Some(&candidate.commit);
    let held = candidate.descent == Descent::Rewritten
        && policy.rewritten_history == RewrittenHistory::Hold
        && !accepted;
    match verdict {
        _ if held => Admission::Hold,
        VerdictKind::Valid => Admission::Admit,
        VerdictKind::Invalid => Admission::Reject,
    }
}

/// What the validators said, without the reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerdictKind {
    /// No fault that rejects.
    Valid,
    /// At least one.
    Invalid,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(descent: Descent) -> Candidate {
        Candidate {
            commit: "a".repeat(40).parse().unwrap(),
            descent,
        }
    }

    #[test]
    fn an_invalid_commit_is_never_admitted() {
        for descent in [Descent::First, Descent::FastForward, Descent::Rewritten] {
            for rewritten_history in [RewrittenHistory::Hold, RewrittenHistory::Follow] {
                let policy = AdmissionPolicy {
                    rewritten_history,
                    accepted: None,
                };
                assert_ne!(
                    decide(&candidate(descent.clone()), VerdictKind::Invalid, &policy),
                    Admission::Admit
                );
            }
        }
    }

    #[test]
    fn rewritten_history_waits_for_a_person_unless_told_to_follow() {
        let rewritten = candidate(Descent::Rewritten);
        let hold = AdmissionPolicy::default();
        assert_eq!(decide(&rewritten, VerdictKind::Valid, &hold), Admission::Hold);
        let accepted = AdmissionPolicy {
            accepted: Some(rewritten.commit.clone()),
            ..hold
        };
        assert_eq!(
            decide(&rewritten, VerdictKind::Valid, &accepted),
            Admission::Admit
        );
        let follow = AdmissionPolicy {
            rewritten_history: RewrittenHistory::Follow,
            accepted: None,
        };
        assert_eq!(decide(&rewritten, VerdictKind::Valid, &follow), Admission::Admit);
    }

    #[test]
    fn accepting_one_head_accepts_no_other() {
        let policy = AdmissionPolicy {
            accepted: Some("b".repeat(40).parse().unwrap()),
            ..Default::default()
        };
        assert_eq!(
            decide(&candidate(Descent::Rewritten), VerdictKind::Valid, &policy),
            Admission::Hold
        );
    }
}
