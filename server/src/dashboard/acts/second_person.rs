//! The word of a second person, and of whoever gave an order and does not want it any more.

use headwater_wire::{ConfirmedView, OrderState, OrderView, OrderWordRequest, Problem, ProblemCode};

use super::{Act, Fields, Wish};
use crate::dashboard::api::{Address, Told};
use crate::dashboard::asked::Asked;
use crate::dashboard::frame::Section;
use crate::dashboard::orders::is_giver;

/// A confirmation.
pub(in crate::dashboard) struct Confirm;

/// A withdrawal.
pub(in crate::dashboard) struct Withdraw;

impl Act for Confirm {
    async fn describe(asked: &Asked, _: &Fields) -> Told<Wish> {
        let view = waiting(asked).await?;
        if is_giver(asked, &view) {
            return Err(Box::new(others()));
        }
        let says =
            "It is carried out at once, as it was given, under both names. What has moved since is refused.";
        Ok(wish(asked, &view, ("confirm", "Confirm", says)))
    }

    fn is_grave(_: &Asked) -> bool {
        true
    }

    async fn perform(asked: &Asked, fields: &Fields) -> Told<String> {
        let done: ConfirmedView = asked
            .api
            .post(address(asked).part("confirm"), &request(fields))
            .await?;
        let links = asked.links();
        Ok(match (done.rollback, done.rollout) {
            (Some(rollback), _) => links.page("rollbacks").part(&rollback.id).into_text(),
            (None, Some(rollout)) => links.rollout(&rollout.id),
            (None, None) => links.root().into_text(),
        })
    }
}

impl Act for Withdraw {
    async fn describe(asked: &Asked, _: &Fields) -> Told<Wish> {
        let view = waiting(asked).await?;
        Ok(wish(
            asked,
            &view,
            (
                "withdraw",
                "Withdraw",
                "Nothing happens then, and nobody can confirm it any more.",
            ),
        ))
    }

    fn is_grave(_: &Asked) -> bool {
        false
    }

    async fn perform(asked: &Asked, fields: &Fields) -> Told<String> {
        let ended: OrderView = asked
            .api
            .post(address(asked).part("withdraw"), &request(fields))
            .await?;
        Ok(asked.links().order(&ended.id))
    }
}

fn wish(asked: &Asked, view: &OrderView, (word, title, says): (&str, &str, &str)) -> Wish {
    let by = view.giver();
    Wish {
        section: Section::Rollouts,
        title: format!("{title} an order"),
        says: vec![
            format!("{by} ordered this, because: {}", view.reason),
            format!("It {}.", view.what),
            says.to_owned(),
        ],
        button: title.to_owned(),
        action: asked.links().page("orders").part(&view.id).part(word).into_text(),
        back: asked.links().order(&view.id),
        hidden: Vec::new(),
        preview: None,
    }
}

fn address(asked: &Asked) -> Address {
    asked.v1().part("orders").part(asked.param("id"))
}

fn request(fields: &Fields) -> OrderWordRequest {
    OrderWordRequest {
        reason: fields.reason(),
        requested_by: fields.owned("by"),
    }
}

/// The order, if it waits.
async fn waiting(asked: &Asked) -> Told<OrderView> {
    let view: OrderView = asked.api.get(address(asked)).await?;
    if view.state == OrderState::Waiting {
        return Ok(view);
    }
    let problem = Problem::new(
        ProblemCode::OrderEnded,
        format!("order {} does not wait any more", view.id),
    );
    Err(Box::new(problem.hint("its page says how it ended")))
}

fn others() -> Problem {
    let problem = Problem::new(
        ProblemCode::OtherPersonNeeded,
        "you gave this order, and another person confirms it",
    );
    problem.hint("ask somebody to look at it, or withdraw it")
}
