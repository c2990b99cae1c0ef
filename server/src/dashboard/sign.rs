//! States as people see them at once: a colour, a shape and a word, so that none of the three is needed alone.
//!
//! Invariant: what nobody knows is never shown as well.

use headwater_wire::{
    Drift, HeadState, HookOutcome, InstanceView, Liveness, RepoView, ReportState, RollbackStage,
    RolloutState, RolloutView, Severity, SourceState, VerdictState,
};

use super::words::spaced;
use crate::cli::out::Tone;
use crate::cli::progress;

/// A state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sign {
    /// Colour: `good`, `bad`, `warn`, `dim` or `move`.
    pub tone: &'static str,
    /// Shape.
    pub shape: &'static str,
    /// Word.
    pub word: String,
}

fn good(word: &str) -> Sign {
    sign("good", "✓", word)
}

fn bad(word: &str) -> Sign {
    sign("bad", "✗", word)
}

fn warn(word: &str) -> Sign {
    sign("warn", "!", word)
}

fn unknown(word: &str) -> Sign {
    sign("warn", "?", word)
}

fn moving(word: &str) -> Sign {
    sign("move", "▸", word)
}

fn dim(word: &str) -> Sign {
    sign("dim", "·", word)
}

fn sign(tone: &'static str, shape: &'static str, word: &str) -> Sign {
    Sign {
        tone,
        shape,
        word: spaced(word),
    }
}

/// What became of the head.
pub(super) fn head(state: HeadState) -> Sign {
    match state {
        HeadState::None => unknown("none"),
        HeadState::Published => good("published"),
        HeadState::Validating => moving("validating"),
        HeadState::Rejected => bad("rejected"),
        HeadState::Held => warn("held"),
        HeadState::Other => unknown("other"),
    }
}

/// A history that a person took.
pub(super) fn accepted() -> Sign {
    good("accepted")
}

/// What became of a webhook delivery.
pub(super) fn delivery(outcome: HookOutcome) -> Sign {
    match outcome {
        HookOutcome::Accepted => good("taken"),
        HookOutcome::Pong => good("a test, which worked"),
        HookOutcome::Ignored => dim("nothing to do"),
        HookOutcome::Refused => bad("refused: its signature is missing or wrong"),
        HookOutcome::Other => unknown("other"),
    }
}

/// What admission decided.
pub(super) fn verdict(state: VerdictState) -> Sign {
    match state {
        VerdictState::Admitted => good("admitted"),
        VerdictState::Rejected => bad("rejected"),
        VerdictState::Unjudged => dim("unjudged"),
        VerdictState::Other => unknown("other"),
    }
}

/// What is known of the upstream.
pub(super) fn source(repo: &RepoView) -> Sign {
    match repo.source_state {
        SourceState::Ok if repo.stale => warn("stale"),
        SourceState::Ok => good("in touch"),
        SourceState::Starting => moving("starting"),
        state @ (SourceState::EmptyRepository
        | SourceState::BranchMissing
        | SourceState::HistoryRewritten
        | SourceState::Other) => warn(state.as_str()),
        state @ (SourceState::Unreachable
        | SourceState::TimedOut
        | SourceState::AuthRequired
        | SourceState::AuthFailed
        | SourceState::NotFound
        | SourceState::BadAnswer
        | SourceState::TooLarge
        | SourceState::MirrorBroken
        | SourceState::StorageFull) => bad(state.as_str()),
    }
}

/// Where a rollout is.
pub(super) fn rollout(view: &RolloutView) -> Sign {
    let word = view.state.as_str();
    match (view.state, progress::tone(view)) {
        (RolloutState::AwaitingApproval, _) => warn("needs approval"),
        (_, Tone::Good) => good(word),
        (_, Tone::Bad) => bad(word),
        (_, Tone::Warning) => warn(word),
        (_, Tone::Dim) => dim(word),
        (_, Tone::Normal | Tone::Hint | Tone::Strong) => moving(word),
    }
}

/// How far a rollback came.
pub(super) fn rollback(stage: RollbackStage) -> Sign {
    match stage {
        RollbackStage::Pushed => good("pushed"),
        RollbackStage::Proposed => moving("proposed"),
        RollbackStage::GitPending => warn("not in Git yet"),
        RollbackStage::Superseded => dim("superseded"),
        RollbackStage::Released => dim("released"),
        RollbackStage::Other => unknown("other"),
    }
}

/// How far an instance is with what it was told. Of one that was not heard of, nobody knows.
pub(super) fn report(view: &InstanceView, state: ReportState) -> Sign {
    match (view.liveness, state) {
        (Liveness::Stale | Liveness::Lost | Liveness::Other, _) => {
            unknown(&format!("unknown, was {}", state.as_str()))
        }
        (Liveness::Gone, _) => dim("gone"),
        (Liveness::Live, ReportState::Confirmed) => good("confirmed"),
        (Liveness::Live, ReportState::Applied) => good("applied"),
        (Liveness::Live, ReportState::Pending) => moving("pending"),
        (Liveness::Live, ReportState::Prepared) => moving("prepared"),
        (Liveness::Live, ReportState::Failed) => bad("failed"),
        (Liveness::Live, ReportState::Other) => unknown("other"),
    }
}

/// Whether an instance was heard of.
pub(super) fn liveness(liveness: Liveness) -> Sign {
    match liveness {
        Liveness::Live => good("live"),
        Liveness::Stale => unknown("stale"),
        Liveness::Lost => unknown("lost"),
        Liveness::Gone => dim("gone"),
        Liveness::Other => unknown("other"),
    }
}

/// Whether it runs what it should. Of one that was not heard of, nobody knows.
pub(super) fn drift(liveness: Liveness, drift: Option<Drift>) -> Sign {
    match drift {
        Some(drift) if matches!(liveness, Liveness::Stale | Liveness::Lost | Liveness::Other) => {
            unknown(&format!("unknown, was {}", drift.as_str()))
        }
        Some(_) if liveness == Liveness::Gone => dim("gone"),
        Some(Drift::InSync) => good("in sync"),
        Some(Drift::Divergent) => warn("divergent"),
        Some(Drift::Pinned) => warn("pinned"),
        Some(Drift::Other) => unknown("other"),
        None => dim("nothing assigned"),
    }
}

/// How much a finding weighs.
pub(super) fn severity(severity: Severity) -> Sign {
    match severity {
        Severity::Error => bad("error"),
        Severity::Warning => warn("warning"),
        Severity::Info => dim("info"),
        Severity::Other => unknown("other"),
    }
}
