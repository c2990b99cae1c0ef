//! Promote, pause, resume, abort.

use headwater_wire::{Problem, ProblemCode, RolloutOrder, RolloutOrderRequest, RolloutView};

use super::{Act, Fields, Wish};
use crate::dashboard::api::Told;
use crate::dashboard::asked::Asked;
use crate::dashboard::frame::Section;
use crate::dashboard::rollouts::Moving;

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
            Some(RolloutOrder::Promote) => {
                "The next stage begins now, or the open one is not waited for: more instances get the new version."
            }
            Some(RolloutOrder::Pause) => {
                "Nobody new gets the new version; who has it keeps it. It stays so until somebody resumes it."
            }
            Some(RolloutOrder::Resume) => "It goes on from where it was stopped.",
            Some(RolloutOrder::Abort) => {
                "Everybody who has the new version is told the one before, at once. Where the service may write, a \
                 commit takes it back in Git, too; the content does not come again until somebody decides so."
            }
            Some(RolloutOrder::Other) | None => return Err(Box::new(no_such_order(order))),
        };
        let now = format!("Now: {}. {}", moving.sign.word, moving.next);
        let rollout = asked.links().rollout(&view.id);
        Ok(Wish {
            section: Section::Rollouts,
            title: format!("{} the rollout of {}", capital(order), view.config),
            says: [what.to_owned(), now, moving.counts]
                .into_iter()
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
            asks_who: true,
            preview: None,
        })
    }

    async fn perform(asked: &Asked, fields: &Fields) -> Told<String> {
        let id = asked.param("id");
        let address = asked.v1().part("rollouts").part(id).part(asked.param("order"));
        let request = RolloutOrderRequest {
            reason: fields.reason(),
            requested_by: fields.owned("by"),
            expected_steps: fields.get(SEEN).and_then(|steps| steps.parse().ok()),
        };
        let view: RolloutView = asked.api.post(address, &request).await?;
        Ok(asked.links().rollout(&view.id))
    }
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
