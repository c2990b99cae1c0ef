//! Headwater's decisions: admission, versions, what is exposed, what a watcher is answered.
//!
//! Invariant: every public function is total and synchronous, and takes the time as an argument. What is
//! deliberately absent: Git, files, sockets, clocks and randomness; this crate does not even depend on them.

mod admission;
mod change;
mod control;
mod token;
mod version;

pub use admission::{Admission, AdmissionPolicy, Candidate, Descent, RewrittenHistory, VerdictKind, decide};
pub use change::{Answer, Comparison, Freshness, Relation, compare};
pub use control::{Accepted, Command, ConfigFacts, Effect, Hold, Refusal, RepoState, Target};
pub use token::{RENDERER_EPOCH, Token};
pub use version::{Known, VersionSearch};
