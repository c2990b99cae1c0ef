//! Moving the instances of one config from the content they hold to another, in stages, in two phases, or at once.
//!
//! ```text
//!            ┌──────────────── next stage ─────────────────┐
//!            ▼                                             │
//! Due(k) ─▶ [Preparing(k)] ─▶ Exposing(k) ─▶ Baking(k) ────┴─▶ Done
//!   │            │ refused, late     │ over budget   │
//!   │            ▼                   ▼               ▼
//!   │         Aborted, or ─────▶ Halted ──after its time, or on request──▶ RollingBack ─▶ RolledBack | Incomplete
//!   └─▶ Superseded                 │
//!                                  └─ resume ─▶ where it was
//! ```
//! `Paused` stands beside every state that is not final and goes back where it came from. Above it, a [`Course`] is
//! what happens to one config: which rollout moves, which wish comes next, and what is stable meanwhile.
//!
//! Invariant: a [`Rollout`] changes by [`Rollout::apply`] alone, one [`Step`] at a time, and every step is a decision
//! that is kept before anybody is told of it. [`plan`] is a pure function of the rollout and a count of its members:
//! asked twice it says the same, so a coordinator that comes back after a crash goes on where the last kept step
//! ended. What an instance should hold follows from the rollout and the instance's name by [`Rollout::directive`];
//! the fence number an instance is given never falls. Time is what the caller says has passed: no clock is compared
//! with another, so none can be wrong. What is deliberately absent: Git, documents, and who may give orders.

mod blame;
mod by_content;
mod census;
mod course;
mod directive;
mod forecast;
mod freeze;
mod immediate;
mod membership;
mod next;
mod order;
mod planner;
mod policy;
mod signal;
mod state;
mod step;
mod timeline;
mod view;

pub use headwater_validators::rollout::{
    Budget, Deadlines, Freeze, Known, OnHalt, Quorum, SignalPolicy, SignalSource,
};

pub use blame::Blamed;
pub use by_content::by_content;
pub use census::{Liveness, Member, Progress, RollCall, Standing, Tally, tally};
pub use course::{Course, Left, Offer, Offered};
pub use directive::Directive;
pub use forecast::{Forecast, forecast};
pub use immediate::{immediate, immediate_id};
pub use membership::{Selector, Threshold, rank};
pub use order::{Order, OrderRefused, ordered_word};
pub use planner::plan;
pub use policy::{Activation, Policy, Share, StagePolicy};
pub use signal::{Reading, Readings};
pub use state::{Approval, Opened, Rollout, State, Urgency};
pub use step::{Step, Why};
pub(crate) use timeline::RELEASE;
pub use timeline::{Happening, SOMEBODY, Timeline};
