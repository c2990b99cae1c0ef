//! `headwater rollback`: go back to good content, now.

use clap::{ArgGroup, Args};
use headwater_client::RepoApi;
use headwater_wire::{
    CommitId, ConfigName, LeftAlone, OrderAnswer, RollbackMode, RollbackPlanView, RollbackRequest,
    RollbackStage, RollbackView, Timestamp,
};

use super::diff::print_config;
use super::failure::{Exit, Failure};
use super::options::{Output, ServerOptions, Session, revision};
use super::orders;
use super::out::Out;
use super::text::{age, clean, clip};

/// Longest subject that is shown whole.
const SUBJECT_CHARS: usize = 72;

const EXAMPLES: &str = "\
Examples:
  headwater rollback --to HEAD~1 --reason \"pool too small\"
  headwater rollback --to v41 --config payments/prod --reason \"errors since v42\"
  headwater rollback --revert 9f8e7d6c5b --reason \"wrong region\" --propose
  headwater rollback --to 9f8e7d6c5b --dry-run";

/// Go back to good content, now
///
/// Instances are turned to it at once; a revert commit follows, pushed to the branch, or as a pull request where the
/// branch is protected. Until a commit with other content comes, what was bad is not exposed again: see
/// `headwater holds`. The server must allow writing. The same command again is the same rollback, as long as nothing
/// else has happened; one that counts back to what a rollback went away from is refused. With `--dry-run` nothing happens:
/// it says what would change and for whom, or why it would be refused.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, group(ArgGroup::new("what").required(true).args(["to", "revert"])))]
pub(crate) struct Rollback {
    /// Bring back the content of this commit
    #[arg(long, value_name = "REV", value_parser = revision)]
    to: Option<String>,
    /// Take back the change of this commit, and keep what came after it
    #[arg(long, value_name = "REV", value_parser = revision)]
    revert: Option<String>,
    /// For a merge: the parent whose side is kept; 1 is the branch that was merged into
    #[arg(short = 'm', long, value_name = "N", conflicts_with = "to")]
    mainline: Option<usize>,
    /// Only this config, with `--to`
    #[arg(long, value_name = "CONFIG", conflicts_with = "revert")]
    config: Option<ConfigName>,
    /// Why; it stands in the commit
    #[arg(long, value_name = "TEXT", required_unless_present = "dry_run")]
    reason: Option<String>,
    /// Only say what would change, for whom, and what is left alone
    #[arg(long)]
    dry_run: bool,
    /// Who asks, as `Name <address>` or a name: the author of the commit [default: the server]
    #[arg(long, value_name = "PERSON")]
    requested_by: Option<String>,
    /// Refuse if the branch is not at this commit, or has moved on from it
    #[arg(long, value_name = "REV", value_parser = revision)]
    expected_tip: Option<String>,
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
        let repo = session.repo().await?;
        let expected_tip = match &self.expected_tip {
            Some(rev) => Some(commit(&repo, rev).await?),
            None => None,
        };
        let request = RollbackRequest {
            to: self.to.clone(),
            revert: self.revert.clone(),
            mainline: self.mainline,
            config: self.config.clone(),
            reason: self.reason.as_deref().unwrap_or_default().trim().to_owned(),
            requested_by: self.requested_by.clone(),
            expected_tip,
            force_invalid: self.force_invalid,
            mode: if self.propose {
                RollbackMode::Propose
            } else {
                RollbackMode::Push
            },
        };
        if self.dry_run {
            let plan = repo.plan_rollback(&request).await?;
            match session.output {
                Output::Json => out.json(&plan)?,
                Output::Text => foretell(&plan, (session.now)(), out)?,
            }
            return Ok(Exit::Fine);
        }
        let view = match repo.roll_back(&request).await? {
            OrderAnswer::Waits(waits) => return orders::print_waits(&waits, session, out),
            OrderAnswer::Done(view) => view,
        };
        match session.output {
            Output::Json => out.json(&view)?,
            Output::Text => tell(&view, (session.now)(), out)?,
        }
        Ok(if is_in_effect(&view) {
            Exit::Fine
        } else {
            Exit::Findings
        })
    }
}

/// The commit that a revision names; a full hash need not be known to the server.
async fn commit(repo: &RepoApi, rev: &str) -> Result<CommitId, Failure> {
    match rev.parse() {
        Ok(commit) => Ok(commit),
        Err(_) => Ok(repo.commit(rev).await?.commit),
    }
}

/// Whether instances have what was asked for.
fn is_in_effect(view: &RollbackView) -> bool {
    match view.state {
        RollbackStage::Pushed | RollbackStage::Proposed | RollbackStage::GitPending => true,
        RollbackStage::Superseded | RollbackStage::Released | RollbackStage::Other => false,
    }
}

/// What would happen, of which nothing has.
fn foretell(plan: &RollbackPlanView, now: Timestamp, out: &mut Out<'_>) -> std::io::Result<()> {
    out.line(format!("nothing has happened; it {}", clean(&plan.summary)))?;
    let subject = clip(&clean(&plan.subject), SUBJECT_CHARS);
    for (name, named) in [("to    ", &plan.to), ("revert", &plan.revert)] {
        if let Some(named) = named {
            out.line(format!("  {name} {named}  {subject}").trim_end())?;
        }
    }
    out.line(format!("  onto   {}", plan.base))?;
    if let Some(at) = plan.as_of {
        out.line(format!("  as of  {}", age(now, at)))?;
    }
    leaves(&plan.left_alone, out)?;
    for turned in &plan.configs {
        for config in &turned.changes {
            print_config(config, out)?;
        }
    }
    Ok(())
}

fn leaves(left_alone: &[LeftAlone], out: &mut Out<'_>) -> std::io::Result<()> {
    for LeftAlone { config, rollout } in left_alone {
        let rollout = clean(rollout);
        out.line(format!(
            "  leaves {config} to rollout {rollout}, which carries what it has there or lets it wait"
        ))?;
    }
    Ok(())
}

pub(super) fn tell(view: &RollbackView, now: Timestamp, out: &mut Out<'_>) -> std::io::Result<()> {
    let commit = view.commit.short();
    let effect = if is_in_effect(view) {
        format!("in effect as {commit}")
    } else {
        "not in effect".to_owned()
    };
    out.line(format!("rollback {}  {effect}", clean(&view.id)))?;
    let subject = clip(&clean(view.subject.as_deref().unwrap_or_default()), SUBJECT_CHARS);
    for (name, named) in [("to    ", &view.to), ("revert", &view.revert)] {
        if let Some(named) = named {
            out.line(format!("  {name} {named}  {subject}").trim_end())?;
        }
    }
    if let Some(at) = view.as_of {
        let why = view.unlisted.as_ref();
        let why = why.map_or_else(String::new, |why| {
            format!(", newer commits are not known: {}", clean(why))
        });
        out.line(format!("  as of  {}{why}", age(now, at)))?;
    }
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
    leaves(&view.left_alone, out)?;
    if !view.holds.is_empty() {
        let names: Vec<&str> = view.holds.iter().map(ConfigName::as_str).collect();
        out.line(format!("  holds  {}", names.join(", ")))?;
    }
    Ok(())
}
