//! Rollouts in a world that loses, repeats and delays: the invariants of `rollout.md`, by name.
//!
//! Every run follows from its seed alone. A failing one says its number; `HEADWATER_SEED=N` runs that one,
//! `HEADWATER_SEEDS=N` more of them.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "in a test, what must not fail may panic, and a seed is said"
)]

mod checks;
mod coordinator;
mod fleet;
mod instance;
mod mutations;
mod world;

mod course;
mod gates;
mod joined;
mod orders;
mod policy;
mod stages;
mod two_phase;
mod view;

use headwater_wire::{CommitId, Digest};

fn commit(number: u64) -> CommitId {
    format!("{number:040x}").parse().unwrap()
}

fn digest(number: u64) -> Digest {
    format!("sha256:{number:064x}").parse().unwrap()
}

/// The seeds of one test.
fn seeds(usual: u64) -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match (number("HEADWATER_SEED"), number("HEADWATER_SEEDS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, Some(many)) => 0..many,
        (None, None) => 0..usual,
    }
}
