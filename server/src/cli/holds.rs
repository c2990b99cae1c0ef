//! `headwater holds` and `headwater release`: what waits for a person, and lifting what a rollback holds back.

use clap::Args;
use headwater_wire::{ConfigName, HoldList, OrderAnswer, ReleaseRequest, Timestamp};

use super::failure::{Exit, Failure};
use super::options::{Output, ServerOptions, Session};
use super::orders;
use super::out::Out;
use super::text::{age, clean};

const EXAMPLES: &str = "\
Examples:
  headwater holds
  headwater release 19ab3f2c8e0-5d1f0c2a --reason \"the database was resized\"";

/// Show what is held back
///
/// A rewritten history, until a person accepts it; content that a rollback holds back, until a commit with other
/// content comes or a person releases it; and a rollback whose commit is not on the branch yet. A hint says what to do.
#[derive(Debug, Args)]
pub(crate) struct Holds {
    #[command(flatten)]
    pub(super) server: ServerOptions,
}

/// Expose what a rollback holds back
///
/// Instances get what the newest admitted commit has, although somebody went back from it. A rollback whose commit is
/// not on the branch yet is given up.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Release {
    /// The hold, as `headwater holds` names it
    id: String,
    /// Why; kept with the decision
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Who asks, as `Name <address>` or a name; kept with the decision
    #[arg(long, value_name = "PERSON")]
    requested_by: Option<String>,
    #[command(flatten)]
    pub(super) server: ServerOptions,
}

impl Holds {
    pub(super) async fn run(&self, session: &Session, out: &mut Out<'_>) -> Result<Exit, Failure> {
        let list = session.repo().await?.holds().await?;
        print(&list, session, out)?;
        Ok(Exit::Fine)
    }
}

impl Release {
    pub(super) async fn run(&self, session: &Session, out: &mut Out<'_>) -> Result<Exit, Failure> {
        let request = ReleaseRequest {
            reason: self.reason.trim().to_owned(),
            requested_by: self.requested_by.clone(),
        };
        let list = match session.repo().await?.release(&self.id, &request).await? {
            OrderAnswer::Waits(waits) => return orders::print_waits(&waits, session, out),
            OrderAnswer::Done(list) => list,
        };
        if session.output == Output::Text {
            out.line(format!("released {}", clean(&self.id)))?;
        }
        print(&list, session, out)?;
        Ok(Exit::Fine)
    }
}

fn print(list: &HoldList, session: &Session, out: &mut Out<'_>) -> std::io::Result<()> {
    match session.output {
        Output::Json => out.json(list),
        Output::Text => print_text(list, (session.now)(), out),
    }
}

pub(super) fn print_text(list: &HoldList, now: Timestamp, out: &mut Out<'_>) -> std::io::Result<()> {
    if list.holds.is_empty() {
        return out.line("nothing is held back");
    }
    for hold in &list.holds {
        let kind = clean(&hold.kind).replace('_', " ");
        out.line(format!("{}  {kind}, {}", clean(&hold.id), age(now, hold.since)))?;
        out.line(format!("  head     {}", hold.head.short()))?;
        if !hold.configs.is_empty() {
            let names: Vec<&str> = hold.configs.iter().map(ConfigName::as_str).collect();
            out.line(format!("  configs  {}", names.join(", ")))?;
        }
        if let Some(reason) = &hold.reason {
            out.line(format!("  reason   {}", clean(reason)))?;
        }
        out.line(format!("  hint     {}", clean(&hold.hint)))?;
    }
    Ok(())
}
