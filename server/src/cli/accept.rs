//! `headwater accept`: take a history that was rewritten.

use std::time::Duration;

use clap::Args;
use headwater_client::RepoApi;
use headwater_wire::{AcceptRequest, CommitId, HeadState, OrderAnswer, RepoView};

use super::failure::{Exit, Failure};
use super::options::{Output, ServerOptions, Session};
use super::orders;
use super::out::Out;
use super::status;

/// How often the state is looked at until the head is published or rejected, and the pause between two looks. Judging
/// a large repository may take longer; then the state says so.
const LOOKS_MAX: u32 = 25;
const LOOK_PAUSE: Duration = Duration::from_millis(200);
/// Shortest prefix that is taken for a commit, as Git's own default.
const PREFIX_CHARS_MIN: usize = 7;

const EXAMPLES: &str = "\
Examples:
  headwater status                                                    # shows the head that is held
  headwater accept 9f8e7d6c5b --reason \"secrets removed from history\"";

/// Take a rewritten history
///
/// After a forced push the server goes on serving the last good commit and holds the new head until a person has
/// looked at it. The head must be named, so that what is taken is what was seen; the reason is kept.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Accept {
    /// The head that is held: its id, or the first 7 or more digits of it
    head: String,
    /// Why it is taken; kept with the decision
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Who takes it, as `Name <address>` or a name; kept with the decision
    #[arg(long, value_name = "PERSON")]
    requested_by: Option<String>,
    #[command(flatten)]
    pub(super) server: ServerOptions,
}

impl Accept {
    pub(super) async fn run(&self, session: &Session, out: &mut Out<'_>) -> Result<Exit, Failure> {
        if self.reason.trim().is_empty() {
            return Err(Failure::Usage {
                message: "the reason is empty".to_owned(),
                hint: "say why the rewritten history is taken; whoever asks later will be glad".to_owned(),
            });
        }
        let repo = session.repo().await?;
        let head = match self.head.parse::<CommitId>() {
            Ok(head) => head,
            Err(_) => self.resolve(&repo.view().await?)?,
        };
        let request = AcceptRequest {
            head: head.clone(),
            reason: self.reason.trim().to_owned(),
            requested_by: self.requested_by.clone(),
        };
        let kept = match repo.accept(&request).await? {
            OrderAnswer::Waits(waits) => return orders::print_waits(&waits, session, out),
            OrderAnswer::Done(kept) => kept,
        };
        let view = settled(&repo, kept).await?;
        match session.output {
            Output::Json => out.json(&view)?,
            Output::Text => {
                let became = if view.head_state == HeadState::Rejected {
                    ", and its content was rejected"
                } else {
                    ""
                };
                out.line(format!("accepted {}{became}", head.short()))?;
                status::print_repo(&view, (session.now)(), out)?;
            }
        }
        Ok(if view.head_state == HeadState::Rejected {
            Exit::Findings
        } else {
            Exit::Fine
        })
    }

    /// The head that the prefix names. Only the head that is there now can be meant.
    fn resolve(&self, view: &RepoView) -> Result<CommitId, Failure> {
        let prefix = self.head.to_ascii_lowercase();
        if prefix.len() < PREFIX_CHARS_MIN || !prefix.chars().all(|c| c.is_ascii_hexdigit()) {
            return Err(Failure::Usage {
                message: format!("not a commit: `{}`", self.head),
                hint: "give the head's id as `headwater status` shows it, or all of it".to_owned(),
            });
        }
        match &view.head {
            Some(head) if head.as_str().starts_with(&prefix) => Ok(head.clone()),
            Some(head) => Err(Failure::Refused {
                message: format!("the head is not `{}` but {head}", self.head),
                hint: format!("review it, then repeat with `headwater accept {}`", head.short()),
            }),
            None => Err(Failure::Refused {
                message: "the server knows no head yet".to_owned(),
                hint: "look at `headwater status` again in a moment".to_owned(),
            }),
        }
    }
}

/// The state once the accepted head is no longer held back or judged, or the last one seen.
async fn settled(repo: &RepoApi, mut view: RepoView) -> Result<RepoView, Failure> {
    for _ in 0..LOOKS_MAX {
        if !matches!(view.head_state, HeadState::Held | HeadState::Validating) {
            break;
        }
        tokio::time::sleep(LOOK_PAUSE).await;
        view = repo.view().await?;
    }
    Ok(view)
}
