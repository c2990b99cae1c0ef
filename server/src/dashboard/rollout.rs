//! One rollout: its stages, its gates, and what was decided in time.

use askama::Template;
use headwater_core::span;
use headwater_wire::{RolloutOrder, RolloutStepView, RolloutView};

use super::api::Told;
use super::asked::Asked;
use super::frame::{Frame, Section};
use super::rollouts::Moving;
use super::show::{Page, live_block};
use super::spread::Spread;
use super::words::{Link, SERVICE, When, both, spaced};

/// One decision.
struct Decision {
    at: When,
    step: String,
    stage: String,
    by: String,
    reason: String,
}

/// The page.
#[derive(Template)]
#[template(path = "rollout.html", blocks = ["live"])]
pub(super) struct Rollout {
    frame: Frame,
    moving: Moving,
    kind: String,
    failed_max: u64,
    goes_back: Option<String>,
    queued: Option<Link>,
    spread: Option<Spread>,
    decisions: Vec<Decision>,
    left_out: u64,
}

impl Page for Rollout {
    async fn load(asked: &Asked) -> Told<Self> {
        let address = asked.v1().part("rollouts").part(asked.param("id"));
        let view: RolloutView = asked.api.get(address).await?;
        let spread = Spread::load(asked, &view.config, &view.target).await;
        let title = format!("Rollout of {}", view.config);
        let links = asked.links();
        Ok(Self {
            frame: Frame::load(asked, Section::Rollouts, title).await?,
            moving: Moving::of(asked, &view),
            kind: view.policy.kind.clone(),
            failed_max: view.policy.failed_max,
            goes_back: view.policy.roll_back_after_ms.map(span),
            queued: view.queued.as_ref().map(|queued| Link::commit(&links, queued)),
            spread,
            decisions: view
                .timeline
                .iter()
                .rev()
                .map(|step| decision(asked, step))
                .collect(),
            left_out: view.steps_left_out,
        })
    }

    live_block!();
}

fn decision(asked: &Asked, step: &RolloutStepView) -> Decision {
    Decision {
        at: When::new(asked.now, step.at),
        step: spaced(&step.step),
        stage: step.stage.map(|stage| stage.to_string()).unwrap_or_default(),
        by: who(step),
        reason: step.reason.clone().unwrap_or_default(),
    }
}

/// Whether a person wanted a step: orders are people's, also of a service that did not say so yet.
pub(super) fn is_order(step: &RolloutStepView) -> bool {
    step.ordered || RolloutOrder::read(&step.step).is_some()
}

/// Who took a step.
fn who(step: &RolloutStepView) -> String {
    if is_order(step) {
        both(step.by.as_deref(), step.confirmed_by.as_deref())
    } else {
        SERVICE.to_owned()
    }
}
