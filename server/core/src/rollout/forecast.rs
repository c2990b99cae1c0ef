//! What a rollout would do with the fleet as it is now.
//!
//! Invariant: stages take whom the planner would take, by its own rules; only who exactly goes first differs, since
//! that follows from the name of the rollout, which there is none of yet. Nothing fails in a forecast.

use headwater_wire::InstanceId;

use super::census::{Liveness, Member, Tally};
use super::membership::rank;
use super::planner::{choose, proves_nothing};
use super::policy::Policy;

/// What each stage would take.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Forecast {
    /// Live instances that have the config.
    pub instances: u64,
    /// Of them, how many each stage would take; later ones are not worked out behind a stage that would stop.
    pub stages: Vec<u64>,
    /// Stage, from 0, that would take nobody, so that the rollout would stop there.
    pub stops_at: Option<usize>,
}

/// What each stage would take of a fleet.
pub fn forecast<'a>(policy: &Policy, fleet: impl Iterator<Item = Member<'a>>) -> Forecast {
    let mut rest: Vec<(Member<'a>, u64)> = fleet
        .filter(|member| member.liveness == Liveness::Live)
        .map(|member| (member, rank("", member.instance)))
        .collect();
    let instances = rest.len() as u64;
    let mut forecast = Forecast {
        instances,
        ..Forecast::default()
    };
    let mut taken = 0;
    for (number, stage) in policy.stages.iter().enumerate() {
        let fits = |member: &Member<'_>| stage.labels.takes(member.labels);
        let candidates: Vec<(InstanceId, u64)> = rest
            .iter()
            .filter(|(member, _)| fits(member))
            .map(|(member, rank)| (member.instance.clone(), *rank))
            .collect();
        let tally = Tally {
            members: taken,
            candidates,
            fleet: instances,
            ..Tally::default()
        };
        if proves_nothing(stage, &tally) {
            forecast.stops_at = Some(number);
            return forecast;
        }
        let threshold = choose(stage, &tally);
        let before = rest.len();
        rest.retain(|(member, rank)| !(fits(member) && threshold.takes(*rank)));
        let members = (before - rest.len()) as u64;
        taken += members;
        forecast.stages.push(members);
    }
    forecast
}
