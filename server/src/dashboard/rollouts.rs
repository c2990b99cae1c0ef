//! Rollouts: what moves, what waits for a person, what became of the rest; and the rollbacks.

use askama::Template;
use headwater_core::span;
use headwater_wire::{
    InstanceId, RollbackList, RollbackView, RolloutFailure, RolloutList, RolloutOrder, RolloutView,
};

use super::api::Told;
use super::asked::{Asked, Links, Orders};
use super::frame::{Frame, Section};
use super::orders::Waiting;
use super::picture::Bar;
use super::show::{Page, live_block};
use super::sign::{self, Sign};
use super::words::{Link, SERVICE, When, both};
use crate::cli::progress;

/// One stage in the row of them.
#[derive(Debug, Clone)]
pub(super) struct Stage {
    /// `done`, `now`, `stopped` or `next`.
    pub class: &'static str,
    /// Which it is, in words.
    pub place: &'static str,
    /// Whom it takes.
    pub members: String,
    /// What must hold before the next one.
    pub gates: String,
}

/// One rollout in a few lines.
#[derive(Debug, Clone)]
pub(super) struct Moving {
    /// Names the row, so that it stays the same row when the page is told anew.
    pub id: String,
    /// Its page.
    pub link: Link,
    /// Config.
    pub config: Link,
    /// Version that is brought.
    pub target: Link,
    /// Version before.
    pub baseline: Option<Link>,
    /// Where it is.
    pub sign: Sign,
    /// Its stages.
    pub stages: Vec<Stage>,
    /// Its members.
    pub bar: Option<Bar>,
    /// The same in words.
    pub counts: String,
    /// What comes next.
    pub next: String,
    /// Why it stopped.
    pub why: Option<String>,
    /// Since when it is so.
    pub since: Option<When>,
    /// What can be ordered, by who asks.
    pub orders: Vec<Link>,
    /// Instances that failed, and why.
    pub failed: Vec<Failure>,
    /// Whether it is over.
    pub over: bool,
}

/// An instance that failed, or that a rollout went back for.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    /// The instance.
    pub instance: Link,
    /// How, and what it said itself.
    pub why: String,
}

impl Failure {
    /// Those that are told of a rollout; of an older service only their names.
    fn all(links: &Links, view: &RolloutView) -> Vec<Self> {
        let of = |instance: &InstanceId, why: String| Self {
            instance: Link::new(links.instance(instance), instance.to_string()),
            why,
        };
        let told = view.failures.iter();
        let told: Vec<Self> = told.map(|failure| of(&failure.instance, why(failure))).collect();
        if told.is_empty() {
            let names = view.failed_names.iter();
            return names.map(|name| of(name, String::new())).collect();
        }
        told
    }
}

/// How an instance failed: `validate: pool.max is 0`.
pub(super) fn why(failure: &RolloutFailure) -> String {
    match &failure.message {
        Some(message) => format!("{}: {message}", failure.how),
        None => failure.how.clone(),
    }
}

impl Moving {
    /// A rollout.
    pub(super) fn of(asked: &Asked, view: &RolloutView) -> Self {
        let links = &asked.links();
        let order = |order: &RolloutOrder| {
            let page = links.page("rollouts").part(&view.id).part(order.as_str());
            Link::new(page.into_text(), order.as_str().to_owned())
        };
        Self {
            id: view.id.clone(),
            link: Link::new(links.rollout(&view.id), view.id.clone()),
            config: Link::new(links.config(&view.config), view.config.to_string()),
            target: Link::commit(links, &view.target),
            baseline: view
                .baseline
                .as_ref()
                .map(|baseline| Link::commit(links, baseline)),
            sign: sign::rollout(view),
            stages: stages(view),
            bar: view.counts.as_ref().map(Bar::of_rollout),
            counts: counts(view),
            next: view.next.clone(),
            why: view.why.clone(),
            since: view.since.map(|since| When::new(asked.now, since)),
            orders: if asked.orders() == Orders::Offered {
                view.orders.iter().map(order).collect()
            } else {
                Vec::new()
            },
            failed: Failure::all(links, view),
            over: view.state.is_final(),
        }
    }
}

/// Where its instances stand; of one that is over, where they stood.
fn counts(view: &RolloutView) -> String {
    match progress::counts(view) {
        counts if counts.is_empty() || !view.state.is_final() => counts,
        counts => format!("When it ended: {counts}"),
    }
}

fn stages(view: &RolloutView) -> Vec<Stage> {
    let is_done = view.state == headwater_wire::RolloutState::Done;
    let stage = |(stage, number): (&headwater_wire::RolloutStageView, usize)| {
        let (class, place) = match number.cmp(&view.stage) {
            _ if is_done => ("done", "done"),
            std::cmp::Ordering::Less => ("done", "done"),
            std::cmp::Ordering::Equal if view.state.is_final() => ("stopped", "ended here"),
            std::cmp::Ordering::Equal if view.state.needs_a_person() => ("stopped", "stands here"),
            std::cmp::Ordering::Equal => ("now", "now"),
            std::cmp::Ordering::Greater if view.state.is_final() => ("next", "never came"),
            std::cmp::Ordering::Greater => ("next", "not yet"),
        };
        Stage {
            class,
            place,
            members: members(stage),
            gates: gates(stage),
        }
    };
    view.policy.stages.iter().zip(1..).map(stage).collect()
}

/// Whom a stage takes: `25 % of region=eu`.
pub(super) fn members(stage: &headwater_wire::RolloutStageView) -> String {
    let part = match (stage.percent, stage.count) {
        (Some(percent), _) => format!("{percent} %"),
        (None, Some(count)) => headwater_core::count(count, "instance"),
        (None, None) => "all".to_owned(),
    };
    let labels: Vec<String> = stage
        .labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let of = if labels.is_empty() {
        part
    } else {
        format!("{part} of {}", labels.join(", "))
    };
    match stage.members {
        Some(members) => format!("{of} ({members})"),
        None => of,
    }
}

/// What must hold before the next stage: `approval, quiet for 10 min`.
pub(super) fn gates(stage: &headwater_wire::RolloutStageView) -> String {
    let approval = stage.approval.then(|| "approval".to_owned());
    let bake = (stage.bake_ms > 0).then(|| format!("quiet for {}", span(stage.bake_ms)));
    approval.into_iter().chain(bake).collect::<Vec<_>>().join(", ")
}

/// One rollback in a line.
#[derive(Debug, Clone)]
pub(super) struct Back {
    /// Its page.
    pub link: Link,
    /// How far it came.
    pub sign: Sign,
    /// What was gone back to, or taken back.
    pub what: String,
    /// Why.
    pub reason: String,
    /// Who asked.
    pub by: String,
    /// When.
    pub at: When,
}

impl Back {
    /// A rollback.
    pub(super) fn of(asked: &Asked, view: &RollbackView) -> Self {
        let page = asked.links().page("rollbacks").part(&view.id);
        Self {
            link: Link::new(page.into_text(), view.id.clone()),
            sign: sign::rollback(view.state),
            what: what(view),
            reason: view.reason.clone(),
            by: match &view.rollout {
                Some(id) => format!("{SERVICE}, after rollout {id} went back"),
                None => both(view.requested_by.as_deref(), view.confirmed_by.as_deref()),
            },
            at: When::new(asked.now, view.at),
        }
    }
}

/// What a rollback does: `back to 51aa03e of payments/prod`.
pub(super) fn what(view: &RollbackView) -> String {
    let what = match (&view.to, &view.revert) {
        (Some(to), _) => format!("back to {}", to.short()),
        (None, Some(revert)) => format!("takes {} back", revert.short()),
        (None, None) => "back".to_owned(),
    };
    let of = view
        .config
        .as_ref()
        .map(|config| format!(" of {config}"))
        .unwrap_or_default();
    let subject = view
        .subject
        .as_ref()
        .map(|subject| format!(": {subject}"))
        .unwrap_or_default();
    format!("{what}{of}{subject}")
}

/// The rollbacks that are told, newest first.
pub(super) async fn rollbacks(asked: &Asked) -> Told<Vec<RollbackView>> {
    let list: RollbackList = asked.api.get(asked.v1().part("rollbacks")).await?;
    Ok(list.rollbacks)
}

/// The page.
#[derive(Template)]
#[template(path = "rollouts.html", blocks = ["live"])]
pub(super) struct Rollouts {
    frame: Frame,
    waiting: Vec<Waiting>,
    moving: Vec<Moving>,
    over: Vec<Moving>,
    left_out: u64,
    rollbacks: Vec<Back>,
}

impl Page for Rollouts {
    async fn load(asked: &Asked) -> Told<Self> {
        let address = asked.v1().part("rollouts").maybe("config", asked.query("config"));
        let list: RolloutList = asked.api.get(address).await?;
        let all = list.rollouts.iter().map(|view| Moving::of(asked, view));
        let (over, moving) = all.partition(|rollout: &Moving| rollout.over);
        let rollbacks = rollbacks(asked).await?;
        Ok(Self {
            frame: Frame::load(asked, Section::Rollouts, "Rollouts").await?,
            waiting: Waiting::all(asked).await?,
            moving,
            over,
            left_out: list.left_out,
            rollbacks: rollbacks.iter().map(|view| Back::of(asked, view)).collect(),
        })
    }

    live_block!();
}

/// Links of a rollback's configs.
pub(super) fn config_links(links: &Links, configs: &[headwater_wire::ConfigName]) -> Vec<Link> {
    let link = |config: &headwater_wire::ConfigName| Link::new(links.config(config), config.to_string());
    configs.iter().map(link).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn view(state: &str) -> RolloutView {
        let each = json!({"bake_ms": 0});
        let view = json!({
            "id": "r-57", "config": "payments/prod", "target": "a".repeat(40), "state": state, "stage": 2,
            "stages_total": 3, "next": "nothing", "counts": {"members": 3, "confirmed": 3, "fleet": 5},
            "policy": {"kind": "staged", "stages": [each, each, each], "failed_max": 1},
        });
        serde_json::from_value(view).unwrap()
    }

    #[test]
    fn one_that_is_over_is_told_in_the_past() {
        let told = |state: &str| {
            let view = view(state);
            let places: Vec<&str> = stages(&view).iter().map(|stage| stage.place).collect();
            format!("{state}: {} ({})", counts(&view), places.join(", "))
        };
        insta::assert_snapshot!([told("baking"), told("halted"), told("rolled_back"), told("done")].join("\n"), @"
        baking: 3 of 5 instances: 3 confirmed (done, now, not yet)
        halted: 3 of 5 instances: 3 confirmed (done, stands here, not yet)
        rolled_back: When it ended: 3 of 5 instances: 3 confirmed (done, ended here, never came)
        done: When it ended: 3 of 5 instances: 3 confirmed (done, done, done)
        ");
    }
}
