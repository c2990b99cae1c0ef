//! Going back: to the content of a commit, or by taking one commit back.

use headwater_wire::{OrderAnswer, Problem, ProblemCode, RollbackMode, RollbackRequest, RollbackView};

use super::{Act, Fields, Wish};
use crate::dashboard::api::Told;
use crate::dashboard::asked::Asked;
use crate::dashboard::frame::Section;
use crate::dashboard::preview::Preview;

/// A rollback.
pub(in crate::dashboard) struct GoBack;

impl Act for GoBack {
    async fn describe(asked: &Asked, fields: &Fields) -> Told<Wish> {
        let config = fields.get("config");
        let (way, rev) = match (fields.get("to"), fields.get("revert")) {
            (Some(rev), _) => ("to", rev),
            (None, Some(rev)) => ("revert", rev),
            (None, None) => return Err(Box::new(nothing_named())),
        };
        let preview = Preview::load(asked, (way, rev), config).await?;
        let (title, does) = match (way, config) {
            ("revert", _) => (
                "Take a commit back",
                "What this commit changed is undone; what came after it stays.".to_owned(),
            ),
            (_, Some(config)) => (
                "Go back",
                format!("{config} gets the content that it had at this commit; no other config changes."),
            ),
            (_, None) => (
                "Go back",
                "Everything gets the content that it had at this commit; all that came after it is undone."
                    .to_owned(),
            ),
        };
        let links = asked.links();
        let back = links.page("commits").part(&preview.hash).into_text();
        let mut hidden = vec![(way, preview.hash.clone())];
        hidden.extend(config.map(|config| ("config", config.to_owned())));
        let head = preview.end.as_ref().ok().map(|coming| coming.head.clone());
        hidden.extend(head.map(|head| ("expected_tip", head)));
        Ok(Wish {
            section: Section::Commits,
            title: title.to_owned(),
            says: vec![
                does,
                "Instances are told at once, without stages. Then the service writes a commit to the branch, or opens a \
                 pull request where the branch is protected. What was left is held back until that commit is there, \
                 other content comes, or a person releases the hold."
                    .to_owned(),
                "To undo it: release the hold while its commit is not on the branch; after that, take that commit back."
                    .to_owned(),
            ],
            button: title.to_owned(),
            action: links.page("rollbacks").into_text(),
            back,
            hidden,
            preview: Some(preview),
        })
    }

    fn is_grave(_: &Asked) -> bool {
        true
    }

    async fn perform(asked: &Asked, fields: &Fields) -> Told<String> {
        let expected_tip = fields.get("expected_tip").map(str::parse).transpose();
        let request = RollbackRequest {
            to: fields.owned("to"),
            revert: fields.owned("revert"),
            config: fields
                .get("config")
                .map(str::parse)
                .transpose()
                .map_err(|_| Box::new(nothing_named()))?,
            reason: fields.reason(),
            requested_by: fields.owned("by"),
            expected_tip: expected_tip.map_err(|_| Box::new(nothing_named()))?,
            mode: RollbackMode::Push,
            ..RollbackRequest::default()
        };
        let answer = asked.api.post(asked.v1().part("rollbacks"), &request).await?;
        let view: RollbackView = match answer {
            OrderAnswer::Waits(waits) => return Ok(asked.links().order(&waits.id)),
            OrderAnswer::Done(view) => view,
        };
        Ok(asked.links().page("rollbacks").part(&view.id).into_text())
    }
}

fn nothing_named() -> Problem {
    Problem::new(ProblemCode::BadRequest, "the form names nothing to go back to")
        .hint("begin at the page of the commit")
}
