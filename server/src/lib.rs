//! The Headwater service: Git in, HTTP out.
//!
//! [`run`] is the whole program with its settings, its listener and its end given from outside, so that tests run it
//! in their own process on port 0. ARCHITECTURE.md is the map of the rooms.

mod alerts;
mod annex;
mod auth;
mod besides;
mod cache;
mod canary;
pub mod cli;
pub mod clock;
mod dashboard;
mod earlier;
mod fence;
pub mod forge;
#[doc(hidden)]
pub mod fuzzed;
pub mod git;
mod history;
mod hooks;
mod http;
mod hub;
mod judge;
mod limits;
mod line;
mod listeners;
mod measure;
mod metrics;
mod notes;
mod outcall;
mod outward;
mod pipeline;
mod plan;
pub mod process;
mod proposals;
mod publish;
#[cfg(test)]
mod receiver;
mod repo;
mod rollback_plan;
mod rollouts;
pub mod sandbox;
pub mod secret;
mod seldom;
pub mod settings;
mod signals;
mod soft_sink;
mod start_error;
pub mod store;
mod supervisor;
mod task;
pub mod telemetry;
mod text_diff;
mod tls;
mod trace;
mod tree;
mod webhooks;

pub use listeners::{Addresses, Listeners};
pub use start_error::StartError;
pub use supervisor::{run, run_with_reloads};
