//! A pull request where the branch takes no push.
//!
//! Invariant: one rollback has one branch and one pull request, however often it is tried.

use headwater_core::{Rollback, RollbackState};
use headwater_wire::BranchName;

use super::PushStop;
use super::courier::{Courier, request};
use crate::forge::PullRequestDraft;
use crate::git::push::{PushError, PushRef, WriteAccess};
use crate::pipeline::source::RoundError;

impl Courier {
    /// Pushes the commit to a branch of its own and opens a pull request.
    pub(super) async fn propose(
        &self,
        rollback: &Rollback,
        base: &BranchName,
        access: &WriteAccess,
    ) -> Result<RollbackState, PushStop> {
        let Some(forge) = self.repo.outward.forge() else {
            let why = "there is no forge to open a pull request at".to_owned();
            let hint = "name the forge in a `[forge.NAME]` table, or roll back without `propose`";
            return Err(PushStop::Stuck(why, hint));
        };
        let branch = format!("headwater/rollback-{}", rollback.id);
        let head: BranchName = branch
            .parse()
            .map_err(|error| PushStop::Stuck(format!("{error}"), "this is a fault of the program"))?;
        let request = request(PushRef::Branch(head.clone()), rollback, None);
        match self.send(access, request).await {
            // An earlier attempt made the branch.
            Ok(()) | Err(PushStop::Push(PushError::LeaseLost { .. })) => {}
            Err(error) => return Err(error),
        }
        let commit = rollback.commit.clone();
        let info = self.repo.read(move |reader| Ok(reader.commit(&commit)?)).await;
        let message = info.map_err(RoundError::from)?.message;
        let (title, body) = message.split_once('\n').unwrap_or((&message, ""));
        let draft = PullRequestDraft {
            title: title.to_owned(),
            body: body.trim().to_owned(),
            head,
            base: base.clone(),
        };
        let opened = forge.open_pull_request(&draft).await;
        let pull = opened.map_err(|error| PushStop::Stuck(error.to_string(), error.hint()))?;
        Ok(RollbackState::Proposed {
            url: pull.url,
            branch,
        })
    }
}
