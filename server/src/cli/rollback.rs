//! `headwater rollback`: go back to good content, now.

use clap::{ArgGroup, Args};
use headwater_wire::{CommitId, ConfigName, RollbackMode, RollbackRequest, RollbackStage, RollbackView};

use super::failure::{Exit, Failure};
use super::options::{Output, ServerOptions, Session, revision};
use super::out::Out;
use super::text::clean;

const EXAMPLES: &str = "\
Examples:
  headwater rollback --to HEAD~1 --reason \"pool too small\"
  headwater rollback --to v41 --config payments/prod --reason \"errors since v42\"
  headwater rollback --revert 9f8e7d6c5b --reason \"wrong region\" --propose";

/// Go back to good content, now
///
/// Instances are turned to it at once; a revert commit follows, pushed to the branch, or as a pull request where the
/// branch is protected. Until a commit with other content comes, what was bad is not exposed again: see
/// `headwater holds`. The server must allow writing. The same command again is the same rollback.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, group(ArgGroup::new("what").required(true).args(["to", "revert"])))]
pub(crate) struct Rollback {
    /// Bring back the content of this commit
    #[arg(long, value_name = "REV", value_parser = revision)]
    to: Option<String>,
    /// Take back the change of this commit, and keep what came after it
    #[arg(long, value_name = "REV", value_parser = revision)]
    revert: Option<String>,
    /// For a merge: the parent, from 1 on, whose side is kept
    #[arg(short = 'm', long, value_name = "N", conflicts_with = "to")]
    mainline: Option<usize>,
    /// Only this config, with `--to`
    #[arg(long, value_name = "CONFIG", conflicts_with = "revert")]
    config: Option<ConfigName>,
    /// Why; it stands in the commit
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Who asks, as `Name <address>`: the author of the commit [default: the server]
    #[arg(long, value_name = "PERSON")]
    requested_by: Option<String>,
    /// Refuse if the branch is not at this commit
    #[arg(long, value_name = "COMMIT")]
    expected_tip: Option<CommitId>,
    /// Open a pull request in any case
    #[arg(long)]
    propose: bool,
    /// Insist, although the content does not validate; the server must allow it
    #[arg(long)]
    force_invalid: bool,
    #[command(flatten)]
    pub(super) server: ServerOptions,
}

impl Rollback {
    pub(super) async fn run(&self, session: &Session, out: &mut Out<'_>) -> Result<Exit, Failure> {
        let request = RollbackRequest {
            to: self.to.clone(),
            revert: self.revert.clone(),
            mainline: self.mainline,
            config: self.config.clone(),
            reason: self.reason.trim().to_owned(),
            requested_by: self.requested_by.clone(),
            expected_tip: self.expected_tip.clone(),
            force_invalid: self.force_invalid,
            mode: if self.propose {
                RollbackMode::Propose
            } else {
                RollbackMode::Push
            },
        };
        let view = session.repo().await?.roll_back(&request).await?;
        match session.output {
            Output::Json => out.json(&view)?,
            Output::Text => tell(&view, out)?,
        }
        Ok(Exit::Fine)
    }
}

fn tell(view: &RollbackView, out: &mut Out<'_>) -> std::io::Result<()> {
    let commit = view.commit.short();
    out.line(format!("rollback {}  in effect as {commit}", clean(&view.id)))?;
    let git = match (view.state, &view.url) {
        (RollbackStage::Pushed, _) => format!("on the branch as {commit}"),
        (RollbackStage::Proposed, Some(url)) => format!("pull request {}", clean(url)),
        (RollbackStage::GitPending, _) => "not there yet".to_owned(),
        (state, _) => state.as_str().to_owned(),
    };
    out.line(format!("  git    {git}"))?;
    for (name, text) in [("why ", &view.why), ("hint", &view.hint)] {
        if let Some(text) = text {
            out.line(format!("  {name}   {}", clean(text)))?;
        }
    }
    if !view.holds.is_empty() {
        let names: Vec<&str> = view.holds.iter().map(ConfigName::as_str).collect();
        out.line(format!("  holds  {}", names.join(", ")))?;
    }
    Ok(())
}
