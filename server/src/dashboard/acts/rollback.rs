//! Going back: to the content of a commit, or by taking one commit back.

use headwater_wire::{Problem, ProblemCode, RollbackMode, RollbackRequest, RollbackView};

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
        let (preview, title, back) = match (fields.get("to"), fields.get("revert")) {
            (Some(rev), _) => (
                Preview::of_going_back(asked, rev, config).await?,
                "Go back",
                ("to", rev),
            ),
            (None, Some(rev)) => (
                Preview::of_taking_back(asked, rev).await?,
                "Take a commit back",
                ("revert", rev),
            ),
            (None, None) => return Err(Box::new(nothing_named())),
        };
        let links = asked.links();
        // What was counted from the head is meant as it is seen here.
        let commit = links.page("commits").part(back.1).into_text();
        let mut hidden = vec![(back.0, preview.hash.clone())];
        hidden.extend(config.map(|config| ("config", config.to_owned())));
        hidden.extend(preview.head.clone().map(|head| ("expected_tip", head)));
        Ok(Wish {
            section: Section::Commits,
            title: title.to_owned(),
            says: vec![
                "Instances are told at once. Then the service writes a commit to the branch, and holds the content that \
                 was left until that commit, other content or a person ends the hold."
                    .to_owned(),
            ],
            button: title.to_owned(),
            action: links.page("rollbacks").into_text(),
            back: commit,
            hidden,
            asks_who: true,
            preview: Some(preview),
        })
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
        let view: RollbackView = asked.api.post(asked.v1().part("rollbacks"), &request).await?;
        Ok(asked.links().page("rollbacks").part(&view.id).into_text())
    }
}

fn nothing_named() -> Problem {
    Problem::new(ProblemCode::BadRequest, "the form names nothing to go back to")
        .hint("begin at the page of the commit")
}
