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
use headwater_wire::{ConfigName, InstanceId, PlanView, PlannedConfig, RolloutPolicyView};

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
        for (config, kind) in changes(&published.state, valid) {
            let members = fleet.members(&config, uptime);
            let members: Vec<Member<'_>> = members
                .filter(|member| member.liveness == Liveness::Live)
                .collect();
            touched.extend(members.iter().map(|member| member.instance));
            view.configs.push(planned(valid, (config, kind), members));
        }
        let policies = view.configs.iter().filter_map(|config| config.policy.as_ref());
        view.shortest_ms = policies.map(|policy| policy.shortest_ms).max().unwrap_or(0);
        view.instances = touched.len() as u64;
        view.summary = summary(&view);
        view
    }
}

/// Configs that instances would get other content of than the tip has, by name, with what becomes of them.
fn changes(state: &RepoState, valid: &ValidTree) -> Vec<(ConfigName, &'static str)> {
    let (tip, new) = (state.all_at_tip(), valid.configs());
    let names: BTreeSet<&ConfigName> = tip.keys().chain(new.keys()).collect();
    let changed = names.into_iter().filter_map(|name| {
        let kind = match (tip.get(name), new.get(name)) {
            (Some(before), Some(after)) if before.content.is_same(&Content::of(after)) => return None,
            (Some(_), Some(_)) => "modified",
            (None, Some(_)) => "added",
            (Some(_), None) => "removed",
            (None, None) => return None,
        };
        Some((name.clone(), kind))
    });
    changed.collect()
}

fn planned(valid: &ValidTree, (config, kind): (ConfigName, &str), members: Vec<Member<'_>>) -> PlannedConfig {
    let instances = members.len() as u64;
    // What nobody has yet is compared with nothing, and goes to everybody at once.
    let policy = valid.configs().get(&config).map(|declared| match kind {
        "added" => Policy::immediate(),
        _ => Policy::of_config(valid, declared),
    });
    let (policy, warning) = policy.map_or((None, None), |policy| {
        let foreseen = forecast(&policy, members.into_iter());
        let warning = warning(&foreseen);
        (Some(with_members(policy.view(), &foreseen)), warning)
    });
    PlannedConfig {
        config,
        kind: kind.to_owned(),
        instances,
        policy,
        warning,
    }
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
    if plan.configs.is_empty() {
        return "changes no config".to_owned();
    }
    let (configs, instances) = (
        count(plan.configs.len(), "config"),
        count(plan.instances, "instance"),
    );
    let policies = plan.configs.iter().filter_map(|config| config.policy.as_ref());
    let watched: Vec<&RolloutPolicyView> = policies.filter(|policy| policy.kind != "immediate").collect();
    let how = how(&watched, plan.shortest_ms);
    let stops = plan.configs.iter().find(|config| config.warning.is_some());
    let stops = stops.map_or_else(String::new, |config| {
        format!("; `{}` would halt for want of instances", config.config)
    });
    format!("changes {configs}, {instances}; {how}{stops}")
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
        let configs = policies
            .into_iter()
            .enumerate()
            .map(|(number, policy)| PlannedConfig {
                config: format!("c{number}").parse().unwrap(),
                kind: "modified".to_owned(),
                instances: 1,
                policy,
                warning: warning.map(str::to_owned),
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
