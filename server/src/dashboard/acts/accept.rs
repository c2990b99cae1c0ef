//! Taking a history that was rewritten.

use headwater_wire::{AcceptRequest, CommitId, OrderAnswer, Problem, ProblemCode, RepoView};

use super::{Act, Fields, Wish};
use crate::dashboard::api::Told;
use crate::dashboard::asked::Asked;
use crate::dashboard::frame::Section;

/// Acceptance of a rewritten history.
pub(in crate::dashboard) struct Accept;

impl Act for Accept {
    async fn describe(asked: &Asked, fields: &Fields) -> Told<Wish> {
        let repo: RepoView = asked.api.get(asked.v1()).await?;
        let head = head(fields)?;
        let links = asked.links();
        let tip = repo.tip.as_ref().map_or("nothing", |tip| tip.short());
        Ok(Wish {
            section: Section::Fleet,
            title: "Accept a rewritten history".to_owned(),
            says: vec![
                format!(
                    "The branch no longer contains what is exposed ({tip}). Its new head {} is judged; if it is good it is \
                     exposed, each config as its policy says, and the branch is followed from there. If it is rejected, \
                     {tip} keeps serving.",
                    head.short()
                ),
                "Until then nobody gets anything else. An acceptance is not taken back: to return, push the old history \
                 again, and accept that. If nobody meant to rewrite the branch, do not accept: push the old history back \
                 instead."
                    .to_owned(),
            ],
            button: "Accept".to_owned(),
            action: links.page("accept").into_text(),
            back: links.root().into_text(),
            hidden: vec![("head", head.to_string())],
            preview: None,
        })
    }

    fn is_grave(_: &Asked) -> bool {
        true
    }

    async fn perform(asked: &Asked, fields: &Fields) -> Told<String> {
        let request = AcceptRequest {
            head: head(fields)?,
            reason: fields.reason(),
            requested_by: fields.owned("by"),
        };
        let address = asked.v1().part("accept");
        match asked.api.post::<OrderAnswer<RepoView>>(address, &request).await? {
            OrderAnswer::Waits(waits) => Ok(asked.links().order(&waits.id)),
            OrderAnswer::Done(_) => Ok(asked.links().root().into_text()),
        }
    }
}

fn head(fields: &Fields) -> Told<CommitId> {
    let head = fields.get("head").and_then(|head| head.parse().ok());
    head.ok_or_else(|| {
        let problem = Problem::new(ProblemCode::BadRequest, "the form names no head");
        Box::new(problem.hint("begin at the page of the fleet"))
    })
}
