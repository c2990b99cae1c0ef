//! The words two processes must agree on: identifiers, paths, snapshots, findings, problems and the views of the HTTP API.
//!
//! Invariant: changes are additive. Unknown fields are ignored and unknown words of an enum become `Other`, so that
//! a client and a server of different age understand each other. Only in what a person wishes (`…Request`) an unknown
//! field is refused: half of a wish is another wish. What is deliberately absent: any logic beyond
//! parsing and printing one value, and any dependency that does input or output.

mod commit;
mod event;
mod finding;
mod fleet;
mod id;
mod order;
mod path;
mod plan;
mod problem;
mod propagation;
mod repo;
mod report;
mod rollback;
mod rollout;
mod snapshot;
mod socket;
mod time;

pub use commit::{
    Change, CommitPage, CommitView, ConfigDiff, DiffView, ExplainEntry, ExplainView, FileDiff, MergeState,
    Origin, Person, ProposalView, VerdictState, VerdictView,
};
pub use event::{BookmarkEvent, GoawayEvent, StatusEvent, VersionEvent, VersionEventWith};
pub use finding::{Finding, Related, Severity, Span};
pub use fleet::{
    Assigned, ConfigCounts, Drift, FleetView, InstancePage, InstanceView, Liveness, Ran, Standing,
    StateWanted, VersionCounts,
};
pub use id::{BranchName, CommitId, ConfigName, Digest, Generation, HookName, IdError, InstanceId, RepoName};
pub use order::{
    ConfirmedView, OrderAnswer, OrderEndView, OrderKind, OrderList, OrderState, OrderView, OrderWordRequest,
};
pub use path::{PathError, RepoPath};
pub use plan::{PlanView, PlannedConfig};
pub use problem::{Problem, ProblemCode};
pub use propagation::{PropagationPoint, PropagationShare, PropagationView};
pub use repo::{
    AcceptRequest, AcceptedView, CheckRequest, CheckView, ConfigItem, ConfigList, DeliveryView, HeadState,
    HoldList, HoldView, HookAnswer, HookOutcome, RepoList, RepoView, SourceState,
};
pub use report::{
    ConfigReport, FailPhase, InstanceReport, ReportAnswer, ReportAnswerWith, ReportError, ReportState,
    Running, ValueSource,
};
pub use rollback::{
    LeftAlone, ReleaseRequest, ReleasedView, RollbackList, RollbackMode, RollbackPlanView, RollbackRequest,
    RollbackStage, RollbackView, TurnedConfig,
};
pub use rollout::{
    RolloutCounts, RolloutFailure, RolloutList, RolloutOrder, RolloutOrderRequest, RolloutPolicyView,
    RolloutStageView, RolloutState, RolloutStepView, RolloutView,
};
pub use snapshot::{ChangeKind, Phase, SnapshotBody};
pub use socket::{SocketDown, SocketUp};
pub use time::Timestamp;
