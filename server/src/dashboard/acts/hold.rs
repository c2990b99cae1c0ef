//! Releasing what a rollback or a rollout holds back.

use headwater_wire::{HoldList, OrderAnswer, Problem, ProblemCode, ReleaseRequest};

use super::{Act, Fields, Wish};
use crate::dashboard::api::Told;
use crate::dashboard::asked::Asked;
use crate::dashboard::frame::Section;

/// The end of a hold.
pub(in crate::dashboard) struct Release;

impl Act for Release {
    async fn describe(asked: &Asked, _: &Fields) -> Told<Wish> {
        let list: HoldList = asked.api.get(asked.v1().part("holds")).await?;
        let id = asked.param("id");
        let hold = list.holds.iter().find(|hold| hold.id == id);
        let hold = hold.ok_or_else(|| {
            let problem = Problem::new(ProblemCode::NothingHeld, format!("there is no hold `{id}`"));
            Box::new(problem.hint("it may have ended meanwhile; the first page lists those that are open"))
        })?;
        let links = asked.links();
        let configs: Vec<String> = hold.configs.iter().map(ToString::to_string).collect();
        let what = if configs.is_empty() {
            "It holds no content back. Its commit, which is not on the branch yet, is given up: nobody brings it there any \
             more."
                .to_owned()
        } else {
            format!(
                "Instances get again what the branch has of {}, as its policy says: also what was left. If it has a commit \
                 that is not on the branch yet, that is given up. Other configs are not touched.",
                configs.join(", ")
            )
        };
        let undo = "To undo it, go back again.".to_owned();
        let why = hold
            .reason
            .as_ref()
            .map(|reason| format!("It was held because: {reason}"));
        Ok(Wish {
            section: Section::Fleet,
            title: "Release what is held back".to_owned(),
            says: [what, undo].into_iter().chain(why).collect(),
            button: "Release".to_owned(),
            action: links.page("holds").part(id).part("release").into_text(),
            back: links.root().into_text(),
            hidden: Vec::new(),
            preview: None,
        })
    }

    fn is_grave(_: &Asked) -> bool {
        false
    }

    async fn perform(asked: &Asked, fields: &Fields) -> Told<String> {
        let address = asked.v1().part("holds").part(asked.param("id")).part("release");
        let request = ReleaseRequest {
            reason: fields.reason(),
            requested_by: fields.owned("by"),
        };
        match asked.api.post::<OrderAnswer<HoldList>>(address, &request).await? {
            OrderAnswer::Waits(waits) => Ok(asked.links().order(&waits.id)),
            OrderAnswer::Done(_) => Ok(asked.links().root().into_text()),
        }
    }
}
