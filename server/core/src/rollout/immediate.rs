//! The rollout of a config that is moved at once, of which nothing is stored.
//!
//! Invariant: it follows from what is stable and from what the fleet reports, so ten thousand such configs cost
//! nothing until somebody looks. Its name is that of the config and the version, so it stays the same over a restart.

use headwater_wire::{CommitId, ConfigName, Phase, RolloutState, RolloutView, Timestamp};
use sha2::{Digest, Sha256};

use super::by_content::by_content;
use super::census::{Member, RollCall, Tally, tally};
use super::membership::Threshold;
use super::policy::Policy;
use super::state::{Opened, Rollout, State, Urgency};
use super::timeline::Timeline;
use crate::control::Target;
use crate::rollback::StandIns;
use crate::words::count;

/// Hexadecimal digits of the name.
const ID_LEN: usize = 16;

/// The name of the rollout that moves a config at once.
pub fn immediate_id(config: &ConfigName, version: &CommitId) -> String {
    let mut hash = Sha256::new();
    hash.update(config.as_str());
    hash.update([0]);
    hash.update(version.as_str());
    let digest = hash.finalize();
    let digits = digest.iter().map(|byte| format!("{byte:02x}"));
    digits.take(ID_LEN / 2).collect()
}

/// What is told of a config whose stable content is everybody's at once, or has become so. Who runs it under the version
/// that it had before it came to the branch runs it.
pub fn immediate<'a>(
    config: &ConfigName,
    (stable, stand_ins): (&Target, &StandIns),
    fleet: impl Iterator<Item = Member<'a>>,
    now: Timestamp,
) -> RolloutView {
    let rollout = told_to_all(config, stable);
    let tally = by_content(fleet, (config, stand_ins), |fleet| {
        tally(&rollout, fleet, RollCall::Over)
    });
    let mut view = rollout.view(Some(&tally), now);
    view.baseline = stable.past.first().map(|(version, _)| version.clone());
    if tally.applied + tally.confirmed + tally.silent < tally.members {
        view.state = RolloutState::Exposing;
    }
    view.next = next(&tally);
    view
}

fn next(tally: &Tally) -> String {
    let on_the_way = tally.pending + tally.ready;
    if tally.failed > 0 {
        let failed = count(tally.failed, "instance");
        format!("{failed} refused it or died of it: mend it by a commit, or go back by a rollback")
    } else if on_the_way > 0 {
        format!("on its way to {}", count(on_the_way, "instance"))
    } else if tally.unknown > 0 {
        let silent = count(tally.unknown, "instance");
        format!("no word lately from {silent}; who comes back gets it")
    } else if tally.silent > 0 {
        let silent = count(tally.silent, "instance");
        format!("nothing: everybody who was heard of lately runs it; no word from {silent} that did")
    } else if tally.members > 0 {
        "nothing: everybody who reported runs it".to_owned()
    } else {
        "nothing: no instance has reported this config".to_owned()
    }
}

/// A rollout whose only stage is open to everybody, has been for longer than anybody was silent, and is not waited for.
fn told_to_all(config: &ConfigName, stable: &Target) -> Rollout {
    let opened = Opened {
        threshold: Threshold::ALL,
        generation: stable.generation,
        phase: Phase::Active,
        members: 0,
        open_ms: u64::MAX,
    };
    Rollout {
        id: immediate_id(config, &stable.version),
        config: config.clone(),
        target: stable.facts(),
        source: stable.version.clone(),
        baseline: stable.facts(),
        adopted: None,
        baseline_generation: stable.generation,
        policy: Policy::immediate(),
        urgency: Urgency::Usual,
        state: State::Done,
        opened: vec![opened],
        steps: 0,
        timeline: Timeline::default(),
        ended_with: None,
    }
}
