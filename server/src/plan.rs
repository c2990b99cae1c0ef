//! What a commit would touch if it were exposed now: which configs, whom of the fleet, how, and how long it takes.
//!
//! Invariant: a forecast and no promise. It is made from the tip and the fleet as they are, decides nothing, and says
//! the same wherever it is read: in the API, at the command line, and on a pull request.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use headwater_core::rollout::{Forecast, Liveness, Member, Policy, forecast};
use headwater_core::{Content, RepoState, count, span};
use headwater_validators::ValidTree;
use headwater_wire::{ConfigName, InstanceId, PlanView, PlannedConfig, RolloutPolicyView, Timestamp};

use crate::clock;
use crate::judge::Judged;
use crate::repo::{Repo, RepoError};
use crate::task;

/// Longest time for one plan. A hundred thousand instances take a fraction of a second.
const PLAN_DEADLINE: Duration = Duration::from_secs(20);

impl Repo {
    /// What a commit would touch.
    pub(crate) async fn plan(self: &Arc<Self>, judged: Arc<Judged>) -> Result<PlanView, RepoError> {
        let repo = self.clone();
        Ok(task::blocking(PLAN_DEADLINE, move || repo.plan_now(&judged)).await?)
    }

    fn plan_now(&self, judged: &Judged) -> PlanView {
        let published = self.board.read();
        let mut view = PlanView {
            commit: judged.commit.clone(),
            base: published.state.tip.clone(),
            verdict: judged.state(),
            summary: "is rejected, and touches nobody".to_owned(),
            configs: Vec::new(),
            instances: 0,
            shortest_ms: 0,
        };
        let Some(valid) = &judged.valid else {
            return view;
        };
        let fleet = self.fleet.read().unwrap_or_else(PoisonError::into_inner);
        let uptime = self.moment().uptime;
        let mut touched: BTreeSet<&InstanceId> = BTreeSet::new();
        let now = clock::now();
        for change in changes(&published.state, valid) {
            let members = fleet.members(&change.config, uptime);
            let members: Vec<Member<'_>> = members
                .filter(|member| member.liveness == Liveness::Live)
                .collect();
            if change.carried_by.is_none() {
                touched.extend(members.iter().map(|member| member.instance));
            }
            view.configs.push(planned(valid, change, members, now));
        }
        let new = view.configs.iter().filter(|config| config.carried_by.is_none());
        view.shortest_ms = new.map(|config| shortest_ms(config, now)).max().unwrap_or(0);
        view.instances = touched.len() as u64;
        view.summary = summary(&view);
        view
    }
}

/// What becomes of one config.
struct Change {
    config: ConfigName,
    kind: &'static str,
    carried_by: Option<String>,
    waits_for: Option<String>,
}

/// Configs that instances would get other content of than the tip has, or have yet to get from it, by name.
fn changes(state: &RepoState, valid: &ValidTree) -> Vec<Change> {
    let (tip, new) = (state.all_at_tip(), valid.configs());
    let names: BTreeSet<&ConfigName> = tip.keys().chain(new.keys()).collect();
    let changed = names.into_iter().filter_map(|name| {
        let mut carried_by = None;
        let kind = match (tip.get(name), new.get(name)) {
            (Some(before), Some(after)) if before.content.is_same(&Content::of(after)) => {
                carried_by = Some(state.carried_by(name, &before.content)?);
                "modified"
            }
            (Some(_), Some(_)) => "modified",
            (None, Some(_)) => "added",
            (Some(_), None) => "removed",
            (None, None) => return None,
        };
        let moving = state.moving_of(name).filter(|moving| !moving.gives_way());
        let before = moving.filter(|moving| kind == "modified" && carried_by.as_ref() != Some(&moving.id));
        Some(Change {
            config: name.clone(),
            kind,
            waits_for: before.map(|moving| moving.id.clone()),
            carried_by,
        })
    });
    changed.collect()
}

fn planned(valid: &ValidTree, change: Change, members: Vec<Member<'_>>, now: Timestamp) -> PlannedConfig {
    let Change {
        config,
        kind,
        carried_by,
        waits_for,
    } = change;
    let instances = members.len() as u64;
    // What nobody has yet is compared with nothing, and goes to everybody at once.
    let policy = valid.configs().get(&config).map(|declared| match kind {
        "added" => Policy::immediate(),
        _ => Policy::of_config(valid, declared),
    });
    let frozen_until = policy.as_ref().and_then(|policy| policy.frozen_until(now));
    let (policy, warning) = match policy {
        None => (None, None),
        Some(policy) if carried_by.is_some() => (Some(policy.view()), None),
        Some(policy) => {
            let foreseen = forecast(&policy, members.into_iter());
            (Some(with_members(policy.view(), &foreseen)), warning(&foreseen))
        }
    };
    PlannedConfig {
        config,
        kind: kind.to_owned(),
        instances,
        policy,
        warning,
        carried_by,
        waits_for,
        frozen_until,
    }
}

/// What it takes at least: the rest of a freeze, and what its stages must stay quiet.
fn shortest_ms(config: &PlannedConfig, now: Timestamp) -> u64 {
    let frozen_ms = config
        .frozen_until
        .map_or(0, |until| until.0.saturating_sub(now.0));
    let quiet_ms = config.policy.as_ref().map_or(0, |policy| policy.shortest_ms);
    u64::try_from(frozen_ms).unwrap_or(0).saturating_add(quiet_ms)
}

fn with_members(mut policy: RolloutPolicyView, foreseen: &Forecast) -> RolloutPolicyView {
    for (stage, members) in policy.stages.iter_mut().zip(&foreseen.stages) {
        stage.members = Some(*members);
    }
    policy
}

fn warning(foreseen: &Forecast) -> Option<String> {
    let stage = foreseen.stops_at? + 1;
    Some(format!(
        "stage {stage} would take nobody, and the rollout would halt there"
    ))
}

/// All of a plan in one sentence, short enough for a commit status.
fn summary(plan: &PlanView) -> String {
    let (carried, new): (Vec<&PlannedConfig>, Vec<_>) = plan
        .configs
        .iter()
        .partition(|config| config.carried_by.is_some());
    let carried = carried.first().and_then(|config| {
        let id = config.carried_by.as_ref()?;
        Some(format!(
            "rollout {id} brings `{}` already, or lets it wait",
            config.config
        ))
    });
    if new.is_empty() {
        return carried.map_or_else(
            || "changes no config".to_owned(),
            |carried| format!("changes nothing more: {carried}"),
        );
    }
    let (configs, instances) = (count(new.len(), "config"), count(plan.instances, "instance"));
    let policies = new.iter().filter_map(|config| config.policy.as_ref());
    let watched: Vec<&RolloutPolicyView> = policies.filter(|policy| policy.kind != "immediate").collect();
    let frozen = new.iter().filter_map(|config| config.frozen_until).max();
    let waits = new.iter().find_map(|config| {
        let id = config.waits_for.as_ref()?;
        Some(format!("`{}` waits for rollout {id}", config.config))
    });
    let stops = new.iter().find(|config| config.warning.is_some());
    let stops = stops.map(|config| format!("`{}` would halt for want of instances", config.config));
    let how = how(&watched, plan.shortest_ms);
    let frozen = frozen.map(|until| format!("frozen until {until}"));
    let more = [frozen, waits, carried, stops].into_iter().flatten();
    let said: Vec<String> = [format!("changes {configs}, {instances}"), how]
        .into_iter()
        .chain(more)
        .collect();
    said.join("; ")
}

/// How those configs go that do not go at once.
fn how(watched: &[&RolloutPolicyView], shortest_ms: u64) -> String {
    let Some(steps) = watched.iter().map(|policy| policy.stages.len()).max() else {
        return "all at once".to_owned();
    };
    let is_two_phase = watched.iter().all(|policy| policy.kind == "two-phase");
    let word = if is_two_phase {
        "in two phases,"
    } else {
        "staged in"
    };
    let mut stages = watched.iter().flat_map(|policy| &policy.stages);
    let waits = if stages.any(|stage| stage.approval) {
        ", with approval"
    } else {
        ""
    };
    let (steps, time) = (count(steps, "step"), span(shortest_ms));
    format!("{word} {steps}, at least {time}{waits}")
}

#[cfg(test)]
mod tests {
    use headwater_wire::{RolloutStageView, VerdictState};

    use super::*;

    fn policy(kind: &str, stages: usize, shortest_ms: u64) -> RolloutPolicyView {
        RolloutPolicyView {
            kind: kind.to_owned(),
            stages: vec![RolloutStageView::default(); stages],
            shortest_ms,
            ..RolloutPolicyView::default()
        }
    }

    fn told(policies: Vec<Option<RolloutPolicyView>>) -> String {
        told_with(policies, None)
    }

    fn told_with(policies: Vec<Option<RolloutPolicyView>>, warning: Option<&str>) -> String {
        told_of(policies, |config| config.warning = warning.map(str::to_owned))
    }

    fn told_of(policies: Vec<Option<RolloutPolicyView>>, change: impl Fn(&mut PlannedConfig)) -> String {
        let configs = policies.into_iter().enumerate().map(|(number, policy)| {
            let mut config = PlannedConfig {
                config: format!("c{number}").parse().unwrap(),
                kind: "modified".to_owned(),
                instances: 1,
                policy,
                warning: None,
                carried_by: None,
                waits_for: None,
                frozen_until: None,
            };
            change(&mut config);
            config
        });
        summary(&PlanView {
            commit: "a".repeat(40).parse().unwrap(),
            base: None,
            verdict: VerdictState::Admitted,
            summary: String::new(),
            configs: configs.collect(),
            instances: 41,
            shortest_ms: 1_500_000,
        })
    }

    #[test]
    fn a_plan_says_what_moves_already_what_it_waits_for_and_what_is_frozen() {
        let staged = || {
            vec![
                Some(policy("staged", 3, 1_500_000)),
                Some(policy("staged", 3, 1_500_000)),
            ]
        };
        let carried = |config: &mut PlannedConfig| config.carried_by = Some("r-57".to_owned());
        let said = [
            told_of(staged(), carried),
            told_of(staged(), |config| {
                if config.config.as_str() == "c1" {
                    carried(config);
                }
            }),
            told_of(staged(), |config| config.waits_for = Some("r-57".to_owned())),
            told_of(staged(), |config| {
                config.frozen_until = Some(Timestamp(1_800_000_000_000));
            }),
        ];
        insta::assert_snapshot!(said.join("\n"), @"
    changes nothing more: rollout r-57 brings `c0` already, or lets it wait
    changes 1 config, 41 instances; staged in 3 steps, at least 25 min; rollout r-57 brings `c1` already, or lets it wait
    changes 2 configs, 41 instances; staged in 3 steps, at least 25 min; `c0` waits for rollout r-57
    changes 2 configs, 41 instances; staged in 3 steps, at least 25 min; frozen until 2027-01-15T08:00:00.000Z
    ");
    }

    #[test]
    fn the_rest_of_a_freeze_counts() {
        let config = PlannedConfig {
            config: "c".parse().unwrap(),
            kind: "modified".to_owned(),
            instances: 1,
            policy: Some(policy("staged", 3, 1_500_000)),
            warning: None,
            carried_by: None,
            waits_for: None,
            frozen_until: Some(Timestamp(60_000)),
        };
        assert_eq!(shortest_ms(&config, Timestamp(0)), 1_560_000);
    }

    #[test]
    fn a_plan_is_one_short_sentence() {
        let mut approved = policy("staged", 2, 60_000);
        approved.stages[1].approval = true;
        let said = [
            told(vec![]),
            told(vec![Some(policy("immediate", 1, 0))]),
            told(vec![
                Some(policy("immediate", 1, 0)),
                Some(policy("staged", 3, 1_500_000)),
                None,
            ]),
            told(vec![Some(policy("two-phase", 1, 60_000))]),
            told(vec![Some(approved)]),
            told_with(
                vec![Some(policy("staged", 3, 1_500_000))],
                Some("stage 1 would take nobody"),
            ),
        ];
        insta::assert_snapshot!(said.join("\n"), @"
    changes no config
    changes 1 config, 41 instances; all at once
    changes 3 configs, 41 instances; staged in 3 steps, at least 25 min
    changes 1 config, 41 instances; in two phases, 1 step, at least 25 min
    changes 1 config, 41 instances; staged in 2 steps, at least 25 min, with approval
    changes 1 config, 41 instances; staged in 3 steps, at least 25 min; `c0` would halt for want of instances
    ");
    }
}
