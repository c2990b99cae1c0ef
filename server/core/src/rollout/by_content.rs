//! Members by the version that their content came to the branch with.
//!
//! Invariant: who runs content under the version that it had before it came to the branch, as after a rollback, runs what
//! is told under the other one: he was told nothing new, and reports what he was told. What is deliberately absent: any
//! guess; only versions of which the decisions say so stand for each other.

use headwater_wire::{ConfigName, ConfigReport};

use super::census::Member;
use crate::rollback::StandIns;

/// Counts the members of a config so.
pub fn by_content<'a, T>(
    fleet: impl Iterator<Item = Member<'a>>,
    (config, stand_ins): (&ConfigName, &StandIns),
    count: impl FnOnce(&mut dyn Iterator<Item = Member<'_>>) -> T,
) -> T {
    let fleet: Vec<Member<'a>> = fleet.collect();
    let renamed: Vec<Option<ConfigReport>> = fleet
        .iter()
        .map(|member| renamed(member.report, (config, stand_ins)))
        .collect();
    let mut members = fleet.iter().zip(&renamed).map(|(member, renamed)| Member {
        report: renamed.as_ref().unwrap_or(member.report),
        ..*member
    });
    count(&mut members)
}

fn renamed(report: &ConfigReport, (config, stand_ins): (&ConfigName, &StandIns)) -> Option<ConfigReport> {
    let running = report.running.as_ref()?;
    let came = stand_ins.of(config, &running.version)?;
    let mut report = report.clone();
    if let Some(running) = &mut report.running {
        running.version.clone_from(came);
    }
    Some(report)
}
