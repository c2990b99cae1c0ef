//! What a rollback would do: which configs, from which values to which, and for whom.
//!
//! Invariant: it is told of a decision that was worked out by the pipeline as any rollback is, so that what would be
//! refused never comes here. What is deliberately absent: any judgement of its own.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use headwater_core::rollout::{Directive, Liveness, Member};
use headwater_core::{Rollback, Undone, count};
use headwater_wire::{ConfigName, InstanceId, LeftAlone, RollbackPlanView, TurnedConfig};

use crate::history;
use crate::pipeline::rollback::Foreseen;
use crate::publish::{Exposed, Published};
use crate::repo::{Repo, RepoError};
use crate::task;

/// Longest time to compare the documents of everything that goes back.
const DEADLINE: Duration = Duration::from_secs(20);

/// Configs that a rollback does not touch.
pub(crate) fn left_alone(rollback: &Rollback) -> Vec<LeftAlone> {
    let left = rollback.left_alone.iter();
    left.map(|(config, rollout)| LeftAlone {
        config: config.clone(),
        rollout: rollout.clone(),
    })
    .collect()
}

impl Repo {
    /// What is told of a rollback that was foreseen.
    pub(crate) async fn rollback_plan(
        self: &Arc<Self>,
        foreseen: Foreseen,
    ) -> Result<RollbackPlanView, RepoError> {
        let repo = self.clone();
        Ok(task::blocking(DEADLINE, move || repo.plan_of(&foreseen)).await?)
    }

    fn plan_of(&self, foreseen: &Foreseen) -> RollbackPlanView {
        let published = self.board.read();
        let rollback = &foreseen.rollback;
        let turned = foreseen
            .touched
            .iter()
            .filter(|config| !rollback.left_alone.contains_key(*config));
        let turned: Vec<(TurnedConfig, Whom)> = turned
            .filter_map(|config| turn(&published, foreseen, config))
            .collect();
        let (configs, instances) = self.count_turned(&published, turned);
        let (to, config, revert) = match &rollback.undone {
            Undone::Restore { target, config, .. } => (Some(target.clone()), config.clone(), None),
            Undone::Revert { commit, .. } => (None, None, Some(commit.clone())),
        };
        let mut view = RollbackPlanView {
            to,
            revert,
            subject: rollback.subject.clone().unwrap_or_default(),
            config,
            base: rollback.base.clone(),
            as_of: rollback.sight.as_of,
            summary: String::new(),
            configs,
            instances,
            left_alone: left_alone(rollback),
        };
        view.summary = summary(&view);
        view
    }

    /// Counts the live instances that get other content of each config; gives how many do of any.
    fn count_turned(
        &self,
        published: &Published,
        turned: Vec<(TurnedConfig, Whom)>,
    ) -> (Vec<TurnedConfig>, u64) {
        let fleet = self.fleet.read().unwrap_or_else(PoisonError::into_inner);
        let uptime = self.moment().uptime;
        let mut all: BTreeSet<&InstanceId> = BTreeSet::new();
        let counted = turned.into_iter().map(|(turned, whom)| {
            let is_told = |member: &Member<'_>| {
                let who = Some((member.instance, member.labels));
                let directive = published.state.directive(&turned.config, who);
                matches!(directive, Some(Directive::Target(_)))
            };
            let members = fleet.members(&turned.config, uptime);
            let live = members.filter(|member| member.liveness == Liveness::Live);
            let live = live.filter(|member| whom == Whom::All || is_told(member));
            let live: BTreeSet<&InstanceId> = live.map(|member| member.instance).collect();
            let instances = live.len() as u64;
            all.extend(live);
            TurnedConfig { instances, ..turned }
        });
        let counted = counted.collect();
        (counted, all.len() as u64)
    }
}

/// Who gets other content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whom {
    /// Everybody who has the config.
    All,
    /// Those whom a rollout has told its content.
    Told,
}

/// What becomes of one config; `None` if nobody would notice.
fn turn(published: &Published, foreseen: &Foreseen, config: &ConfigName) -> Option<(TurnedConfig, Whom)> {
    let snapshot = published.snapshot.as_ref()?;
    let new = foreseen.judged.config(config);
    let moving = published.state.moving_of(config);
    let moving = moving.filter(|rollout| !rollout.state.is_back());
    let from = |exposed: Option<&Arc<Exposed>>| {
        history::difference(config, exposed.map(|exposed| &exposed.config), new)
    };
    // Where everybody else has it already, what a rollout has brought is all there is to undo.
    let brought = || moving.and_then(|_| from(snapshot.moving.get(config)));
    let ((kind, changes), whom) = from(snapshot.configs.get(config))
        .map(|difference| (difference, Whom::All))
        .or_else(|| Some((brought()?, Whom::Told)))?;
    let ends = moving.map(|rollout| rollout.id.clone());
    let course = published.state.courses.get(config);
    let waits = course.and_then(|course| course.queued.as_ref());
    let gives_up = waits.map(|offer| offer.facts.version.clone());
    let is_noticed = !changes.is_empty() || kind != "modified" || ends.is_some();
    let turned = TurnedConfig {
        config: config.clone(),
        kind: kind.to_owned(),
        instances: 0,
        ends,
        gives_up,
        changes,
    };
    is_noticed.then_some((turned, whom))
}

/// All of it in one sentence.
fn summary(plan: &RollbackPlanView) -> String {
    let turns = match (plan.configs.len(), plan.instances) {
        (0, _) => "changes no value that anybody has; only the branch gets a commit".to_owned(),
        (configs, 0) => format!(
            "turns {} back; no live instance has any",
            count(configs, "config")
        ),
        (configs, instances) => format!(
            "turns {} back at once, for {}",
            count(configs, "config"),
            count(instances, "instance")
        ),
    };
    let ends = plan.configs.iter().filter_map(|turned| {
        let id = turned.ends.as_ref()?;
        let waits = turned.gives_up.as_ref();
        let gives_up = waits.map_or_else(String::new, |version| {
            format!(", and gives up {}, which waits behind it", version.short())
        });
        Some(format!("ends rollout {id} of `{}`{gives_up}", turned.config))
    });
    let leaves = plan.left_alone.iter();
    let leaves = leaves.map(|left| format!("leaves `{}` to rollout {}", left.config, left.rollout));
    let said: Vec<String> = std::iter::once(turns).chain(ends).chain(leaves).collect();
    said.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turned(config: &str, ends: Option<&str>) -> TurnedConfig {
        TurnedConfig {
            config: config.parse().unwrap(),
            kind: "modified".to_owned(),
            instances: 3,
            ends: ends.map(str::to_owned),
            gives_up: None,
            changes: Vec::new(),
        }
    }

    fn told(configs: Vec<TurnedConfig>, instances: u64, left: &[&str]) -> String {
        summary(&RollbackPlanView {
            to: None,
            revert: None,
            subject: String::new(),
            config: None,
            base: "a".repeat(40).parse().unwrap(),
            as_of: None,
            summary: String::new(),
            configs,
            instances,
            left_alone: left
                .iter()
                .map(|config| LeftAlone {
                    config: config.parse().unwrap(),
                    rollout: "r-58".to_owned(),
                })
                .collect(),
        })
    }

    #[test]
    fn a_plan_to_go_back_says_for_whom_what_it_ends_and_what_it_leaves_alone() {
        let waits = TurnedConfig {
            gives_up: Some("b".repeat(40).parse().unwrap()),
            ..turned("b", Some("r-57"))
        };
        let said = [
            told(vec![], 0, &[]),
            told(vec![turned("a", None)], 0, &[]),
            told(vec![turned("a", None), turned("b", Some("r-57"))], 3, &[]),
            told(vec![turned("a", None)], 3, &["c"]),
            told(vec![], 0, &["c"]),
            told(vec![waits], 3, &[]),
        ];
        insta::assert_snapshot!(said.join("\n"), @"
    changes no value that anybody has; only the branch gets a commit
    turns 1 config back; no live instance has any
    turns 2 configs back at once, for 3 instances; ends rollout r-57 of `b`
    turns 1 config back at once, for 3 instances; leaves `c` to rollout r-58
    changes no value that anybody has; only the branch gets a commit; leaves `c` to rollout r-58
    turns 1 config back at once, for 3 instances; ends rollout r-57 of `b`, and gives up bbbbbbbbbb, which waits behind it
    ");
    }
}
