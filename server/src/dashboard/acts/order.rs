//! Promote, pause, resume, abort.

use headwater_core::count;
use headwater_wire::{
    OrderAnswer, Problem, ProblemCode, RolloutOrder, RolloutOrderRequest, RolloutState, RolloutView,
};

use super::{Act, Fields, Wish};
use crate::dashboard::api::Told;
use crate::dashboard::asked::Asked;
use crate::dashboard::frame::Section;
use crate::dashboard::rollouts::{Moving, members};

/// The field that says after how many steps of the rollout the form was shown.
const SEEN: &str = "expected_steps";

/// An order to a rollout.
pub(in crate::dashboard) struct Order;

impl Act for Order {
    async fn describe(asked: &Asked, _: &Fields) -> Told<Wish> {
        let view: RolloutView = asked
            .api
            .get(asked.v1().part("rollouts").part(asked.param("id")))
            .await?;
        let moving = Moving::of(asked, &view);
        let order = asked.param("order");
        let what = match RolloutOrder::read(order) {
            Some(RolloutOrder::Promote) => promote(&view),
            Some(RolloutOrder::Pause) => pause(&view),
            Some(RolloutOrder::Resume) => resume(&view),
            Some(RolloutOrder::Abort) => abort(&view),
            Some(RolloutOrder::Other) | None => return Err(Box::new(no_such_order(order))),
        };
        let now = format!("Now: {}. Next: {}.", moving.sign.word, moving.next);
        let others = "No other config is touched, also none of the same commit.".to_owned();
        let rollout = asked.links().rollout(&view.id);
        Ok(Wish {
            section: Section::Rollouts,
            title: format!("{} the rollout of {}", capital(order), view.config),
            says: what
                .into_iter()
                .chain([others, now, moving.counts])
                .filter(|sentence| !sentence.is_empty())
                .collect(),
            button: capital(order),
            action: asked
                .links()
                .page("rollouts")
                .part(&view.id)
                .part(order)
                .into_text(),
            back: rollout,
            hidden: seen(order, &view),
            preview: None,
        })
    }

    fn is_grave(asked: &Asked) -> bool {
        RolloutOrder::read(asked.param("order")) == Some(RolloutOrder::Abort)
    }

    async fn perform(asked: &Asked, fields: &Fields) -> Told<String> {
        let id = asked.param("id");
        let address = asked.v1().part("rollouts").part(id).part(asked.param("order"));
        let request = RolloutOrderRequest {
            reason: fields.reason(),
            requested_by: fields.owned("by"),
            expected_steps: fields.get(SEEN).and_then(|steps| steps.parse().ok()),
        };
        let answer = asked.api.post(address, &request).await?;
        let view: RolloutView = match answer {
            OrderAnswer::Waits(waits) => return Ok(asked.links().order(&waits.id)),
            OrderAnswer::Done(view) => view,
        };
        Ok(asked.links().rollout(&view.id))
    }
}

/// What happens, and how it is undone.
type Says = [String; 2];

fn promote(view: &RolloutView) -> Says {
    let (stage, target) = (view.stage, view.target.short());
    let stages = &view.policy.stages;
    let whom = |stage: usize| {
        let stage = stage.checked_sub(1).and_then(|number| stages.get(number));
        stage.map(members).unwrap_or_default()
    };
    let what = if view.state == RolloutState::AwaitingApproval {
        let members = whom(stage);
        format!(
            "Stage {stage} of {} begins: {members} get {target}.",
            view.stages_total
        )
    } else if view.state == RolloutState::Frozen {
        format!("Stage {stage} is approved; it begins when the freeze ends, and not before.")
    } else if stage < view.stages_total {
        let (next, members) = (stage + 1, whom(stage + 1));
        format!(
            "Stage {stage} is not waited for any longer, although it has not shown that it stays well. Stage {next} comes: \
             {members} get {target}, as soon as nothing else keeps it waiting."
        )
    } else {
        format!(
            "The last stage is not waited for any longer, although it has not shown that it stays well: {target} becomes \
             what everybody is to hold, and the rollout is done."
        )
    };
    [
        what,
        "Who got it keeps it if you pause afterwards; an abort takes it back from everybody.".to_owned(),
    ]
}

fn pause(view: &RolloutView) -> Says {
    let target = view.target.short();
    [
        format!("Nobody new gets {target}; who has it keeps it, and nothing goes on or back by itself."),
        "It stays so until somebody resumes or aborts it.".to_owned(),
    ]
}

fn resume(view: &RolloutView) -> Says {
    let target = view.target.short();
    [
        format!("It goes on from where it was stopped, and more instances get {target}."),
        "To stop it again, pause it; an abort takes it back from everybody.".to_owned(),
    ]
}

fn abort(view: &RolloutView) -> Says {
    let target = view.target.short();
    if view.state == RolloutState::Incomplete {
        let left = count(view.counts.map_or(0, |counts| counts.not_back), "instance");
        return [
            format!(
                "Nobody is waited for any longer: {left} did not say that they are back, and nobody will ask."
            ),
            "It is over then, and cannot be undone; nobody is told anything else by it.".to_owned(),
        ];
    }
    let baseline = view.baseline.as_ref().map_or_else(
        || "what was before".to_owned(),
        |commit| commit.short().to_owned(),
    );
    [
        format!("Everybody who was told {target} is told {baseline} again, at once."),
        "Its content is held back until the branch has other content, or somebody releases the hold, which lets it come \
         again from the first stage. Where the service may write, a commit of its own takes it back in Git, too."
            .to_owned(),
    ]
}

/// What lets a rollout go on is meant for what was seen, and for nothing that came after it; to stop one is never too
/// late.
fn seen(order: &str, view: &RolloutView) -> Vec<(&'static str, String)> {
    match RolloutOrder::read(order) {
        Some(RolloutOrder::Promote | RolloutOrder::Resume) => vec![(SEEN, view.steps.to_string())],
        Some(RolloutOrder::Pause | RolloutOrder::Abort | RolloutOrder::Other) | None => Vec::new(),
    }
}

fn no_such_order(order: &str) -> Problem {
    let problem = Problem::new(ProblemCode::NotFound, format!("there is no order `{order}`"));
    problem.hint("a rollout is promoted, paused, resumed or aborted")
}

/// The word at the beginning of a sentence.
fn capital(word: &str) -> String {
    let mut chars = word.chars();
    let first = chars.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(chars).collect()
}
