//! `headwater orders`, `confirm` and `withdraw`: orders that wait for a second person.

use std::io;

use clap::Args;
use headwater_wire::{ConfirmedView, OrderList, OrderView, OrderWordRequest, Timestamp};

use super::failure::{Exit, Failure};
use super::options::{Output, ServerOptions, Session};
use super::out::{Out, Tone};
use super::text::{age, clean};
use super::{holds, rollback, rollouts, status};

const EXAMPLES: &str = "\
Examples:
  headwater orders
  headwater confirm o-19ab3f2c8e0-5d1f0c2a --reason \"looked at it together\"
  headwater withdraw o-19ab3f2c8e0-5d1f0c2a --reason \"the wrong one\"";

/// Show the orders that wait for a second person
///
/// Where the server asks for one (`second_person` of `[orders]`), an order changes nothing before another person confirms
/// it. It runs out after a while. What became of others is shown below.
#[derive(Debug, Args)]
pub(crate) struct Orders {
    #[command(flatten)]
    pub(super) server: ServerOptions,
}

/// Which order, and why.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Say {
    /// The order, as `headwater orders` names it
    #[arg(value_name = "ID")]
    order: String,
    /// Why; kept with the decision
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Who says so, as `Name <address>` or a name; kept with the decision
    #[arg(long, value_name = "PERSON")]
    requested_by: Option<String>,
    #[command(flatten)]
    pub(super) server: ServerOptions,
}

impl Orders {
    pub(super) async fn run(&self, session: &Session, out: &mut Out<'_>) -> Result<Exit, Failure> {
        let list = session.repo().await?.orders().await?;
        match session.output {
            Output::Json => out.json(&list)?,
            Output::Text => print(&list, (session.now)(), out)?,
        }
        Ok(Exit::Fine)
    }
}

impl Say {
    fn request(&self) -> OrderWordRequest {
        OrderWordRequest {
            reason: self.reason.trim().to_owned(),
            requested_by: self.requested_by.clone(),
        }
    }

    /// Has the order carried out.
    pub(super) async fn confirm(&self, session: &Session, out: &mut Out<'_>) -> Result<Exit, Failure> {
        let repo = session.repo().await?;
        let done = repo.confirm(&self.order, &self.request()).await?;
        match session.output {
            Output::Json => out.json(&done)?,
            Output::Text => print_done(&done, session, out)?,
        }
        Ok(Exit::Fine)
    }

    /// Takes the order back.
    pub(super) async fn withdraw(&self, session: &Session, out: &mut Out<'_>) -> Result<Exit, Failure> {
        let repo = session.repo().await?;
        let view = repo.withdraw(&self.order, &self.request()).await?;
        match session.output {
            Output::Json => out.json(&view)?,
            Output::Text => out.line(format!(
                "withdrew {}, which {}",
                clean(&view.id),
                clean(&view.what)
            ))?,
        }
        Ok(Exit::Fine)
    }
}

/// What is told to whoever gave an order that waits. Nothing has come of it yet, which a script must not pass over.
pub(super) fn print_waits(view: &OrderView, session: &Session, out: &mut Out<'_>) -> Result<Exit, Failure> {
    match session.output {
        Output::Json => out.json(view)?,
        Output::Text => {
            out.line("nothing has happened yet: this order waits for a second person")?;
            print_one(view, (session.now)(), out)?;
            out.line(format!(
                "  next     another person runs `headwater confirm {} --reason …`",
                clean(&view.id)
            ))?;
        }
    }
    Ok(Exit::Findings)
}

fn print(list: &OrderList, now: Timestamp, out: &mut Out<'_>) -> io::Result<()> {
    if list.orders.is_empty() {
        out.line("no order waits for a second person")?;
    }
    list.orders
        .iter()
        .try_for_each(|view| print_one(view, now, out))?;
    if !list.ended.is_empty() {
        let title = out.paint().apply(Tone::Dim, "ended");
        out.line(title)?;
    }
    list.ended.iter().try_for_each(|view| print_one(view, now, out))
}

fn print_one(view: &OrderView, now: Timestamp, out: &mut Out<'_>) -> io::Result<()> {
    let name = out.paint().apply(Tone::Strong, &clean(&view.id));
    out.line(format!("{name}  {}", clean(&view.what)))?;
    let by = clean(&view.giver());
    out.line(format!("  given    by {by}, {}", age(now, view.at)))?;
    out.line(format!("  reason   {}", clean(&view.reason)))?;
    let Some(ended) = &view.ended else {
        return out.line(format!("  until    {}", view.until));
    };
    let by = ended.by.as_ref().map(|by| format!(" by {}", clean(by)));
    let why = ended.reason.as_ref().map(|why| format!(": {}", clean(why)));
    let how = view.state.as_str().replace('_', " ");
    out.line(format!(
        "  ended    {how}{}, {}{}",
        by.unwrap_or_default(),
        age(now, ended.at),
        why.unwrap_or_default()
    ))
}

fn print_done(done: &ConfirmedView, session: &Session, out: &mut Out<'_>) -> io::Result<()> {
    let now = (session.now)();
    let view = &done.order;
    out.line(format!("confirmed {}: it {}", clean(&view.id), clean(&view.what)))?;
    if let Some(rollback) = &done.rollback {
        rollback::tell(rollback, now, out)?;
    }
    if let Some(rollout) = &done.rollout {
        rollouts::print_one(rollout, now, out)?;
    }
    if let Some(repo) = &done.repo {
        status::print_repo(repo, now, out)?;
    }
    if let Some(list) = &done.holds {
        holds::print_text(list, now, out)?;
    }
    Ok(())
}
