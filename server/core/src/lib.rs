//! Headwater's decisions: admission, versions, what is exposed, what a watcher is answered, whose report counts.
//!
//! Invariant: every public function is total and synchronous, and takes the time as an argument. What is
//! deliberately absent: Git, files, sockets, clocks and randomness; this crate does not even depend on them.

mod admission;
mod change;
mod command;
mod content;
mod control;
mod courses;
mod departed;
mod fleet;
mod hold;
mod incomplete;
mod old_contents;
mod outcome;
mod released;
mod rollback;
pub mod rollout;
mod second_person;
mod taken_back;
mod token;
mod told;
mod version;
mod words;

pub use admission::{Admission, AdmissionPolicy, Candidate, Descent, RewrittenHistory, VerdictKind, decide};
pub use change::{Answer, Comparison, Freshness, Held, Relation, compare};
pub use command::{Arrival, Command, Due, Effect, Ordered, Refusal};
pub use content::Content;
pub use control::{Accepted, ConfigFacts, FenceCheck, GENERATION_GAP_MAX, Hold, RepoState, Target};
pub use fleet::{
    Arrivals, CLIENT_BYTES_MAX, CONTENTS_BYTES_MAX, Fleet, FleetFull, HISTORY_MAX, HISTORY_TOTAL_MAX,
    Heartbeat, HeldReport, INSTANCES_MAX, Implausible, InstanceFilter, KeptInstance, KeptSeat,
    LISTING_SCAN_MAX, Left, Listing, MESSAGE_BYTES_MAX, MESSAGES_BYTES_MAX, Moment, NotTaken, Past,
    REPORT_CONFIGS_MAX, REPORTS_BYTES_MAX, Reported, STRANGERS_MAX, Taken, Uptime, VERSIONS_COUNTED_MAX,
    drift, fleet_counts,
};
pub use hold::Withheld;
pub use old_contents::{OldContent, OldContents};
pub use outcome::{Fate, Outcome};
pub use released::Way;
pub use rollback::{Decision, Rollback, RollbackState, Sight, StandIns, Undone};
pub use second_person::{
    EndedOrder, ORDERS_MAX, ORDERS_OF_ONE_MAX, Orders, WaitingOrder, Wanted, Word, is_same_person,
};
pub use taken_back::TakenBack;
pub use token::{RENDERER_EPOCH, Token};
pub use version::{ChangedPath, Known, VersionSearch};
pub use words::{count, span};
