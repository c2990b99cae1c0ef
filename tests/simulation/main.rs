//! The fleet by seed: real engines and the service's real rules, over a network, disks and processes that fail. Contents
//! are moved at once by two replicas, or by rollouts of one service; `laws` and `instance` check by name what must hold.
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
mod laws;
mod network;
mod replica;
mod service;
mod story;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use world::{Faults, Manner, World, Wrong};

/// Seeds of a run that nobody asked to be longer: the same in every run, some ten seconds in all.
const SEEDS: u64 = 25;

fn seeds() -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    match (number("HEADWATER_SEED"), number("HEADWATER_SEEDS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, Some(count)) => 0..count,
        (None, None) => 0..SEEDS,
    }
}

fn every_seed(faults: Faults, manner: Manner) {
    for seed in seeds() {
        let run = catch_unwind(AssertUnwindSafe(|| World::new(seed, faults, manner).run()));
        assert!(
            run.is_ok(),
            "seed {seed} breaks a law; replay it with HEADWATER_SEED={seed}, see the top of tests/simulation/main.rs"
        );
    }
}

#[test]
fn a_fleet_over_a_faulty_network_loses_no_version_applies_none_twice_and_never_goes_back() {
    every_seed(Faults::Cuts, Manner::AtOnce);
}

#[test]
fn processes_that_die_at_any_moment_come_up_on_what_was_good() {
    every_seed(Faults::Deaths, Manner::AtOnce);
}

#[test]
fn bad_contents_stay_on_probation_and_never_become_the_last_known_good() {
    every_seed(Faults::BadContents, Manner::AtOnce);
}

#[test]
fn replicas_that_lose_their_store_or_lag_take_nobody_back_and_wedge_nobody() {
    every_seed(Faults::LostStores, Manner::AtOnce);
}

/// I1–I18, but for I16, are checked by name while a run goes on; see `laws` and `instance`.
#[test]
fn i1_to_i18_rollouts_over_a_faulty_network_keep_every_law_and_converge() {
    every_seed(Faults::Cuts, Manner::Rollouts);
}

#[test]
fn i8_instances_that_die_while_they_are_moved_come_to_hold_what_they_should() {
    every_seed(Faults::Deaths, Manner::Rollouts);
}

#[test]
fn i12_i14_what_is_bad_for_some_is_gone_back_from_and_stays_away() {
    every_seed(Faults::BadContents, Manner::Rollouts);
}

#[test]
fn i5_i7_a_service_that_dies_between_keeping_and_telling_goes_on_and_decides_nothing_twice() {
    every_seed(Faults::Services, Manner::Rollouts);
}

/// No policy here asks for the time, so all clocks are as good as any.
#[test]
fn i20_clocks_that_are_a_day_off_decide_nothing() {
    for seed in seeds().take(10) {
        let world = || World::new(seed, Faults::BadContents, Manner::Rollouts);
        assert_eq!(
            world().run(),
            world().with_wrong_clocks().run(),
            "HEADWATER_SEED={seed}"
        );
    }
}

/// Says the first seed whose run breaks a law because of it.
fn is_caught(wrong: Wrong) {
    let breaks = |seed: &u64| {
        let world = || {
            World::new(*seed, Faults::Services, Manner::Rollouts)
                .with(wrong)
                .run()
        };
        catch_unwind(AssertUnwindSafe(world)).is_err()
    };
    let seed = (0..200).find(breaks);
    println!("{wrong:?} is caught by seed {seed:?}");
    assert!(seed.is_some(), "{wrong:?} is not caught");
}

#[test]
fn a_service_that_tells_before_it_keeps_is_caught() {
    is_caught(Wrong::TellsBeforeItKeeps);
}

#[test]
fn a_service_that_goes_on_from_a_copy_as_if_nothing_was_lost_is_caught() {
    is_caught(Wrong::GoesOnFromACopy);
}

#[test]
fn a_service_for_which_one_ready_instance_is_enough_is_caught() {
    is_caught(Wrong::OneIsEnough);
}

#[test]
fn a_rollback_that_gives_everybody_what_no_rollout_released_is_caught() {
    is_caught(Wrong::GoesAnywhere);
}
