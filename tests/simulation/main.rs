//! The fleet by seed: real engines and the service's real rules, over a network, disks and processes that fail.
//!
//! Every run is decided by its seed alone, and a failing one prints it. Replay it with
//! `HEADWATER_SEED=<seed> cargo test -p headwater-tests --test simulation -- --nocapture`;
//! run more of them with `HEADWATER_SEEDS=<count>`.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a run that breaks a law panics with its seed"
)]

mod instance;
mod network;
mod replica;
mod story;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use world::{Faults, World};

/// Seeds of a run that nobody asked to be longer: the same in every run, some ten seconds in all.
const SEEDS: u64 = 60;

fn seeds() -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    match (number("HEADWATER_SEED"), number("HEADWATER_SEEDS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, Some(count)) => 0..count,
        (None, None) => 0..SEEDS,
    }
}

fn every_seed(faults: Faults) {
    for seed in seeds() {
        let run = catch_unwind(AssertUnwindSafe(|| World::new(seed, faults).run()));
        assert!(
            run.is_ok(),
            "seed {seed} breaks a law; replay it with HEADWATER_SEED={seed}, see the top of tests/simulation/main.rs"
        );
    }
}

#[test]
fn a_fleet_over_a_faulty_network_loses_no_version_applies_none_twice_and_never_goes_back() {
    every_seed(Faults::Cuts);
}

#[test]
fn processes_that_die_at_any_moment_come_up_on_what_was_good() {
    every_seed(Faults::Deaths);
}

#[test]
fn bad_contents_stay_on_probation_and_never_become_the_last_known_good() {
    every_seed(Faults::BadContents);
}

#[test]
fn replicas_that_lose_their_store_or_lag_take_nobody_back_and_wedge_nobody() {
    every_seed(Faults::LostStores);
}
