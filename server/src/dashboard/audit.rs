//! Who decided what: the branch's history with what became of it, and beside it the rollouts and the rollbacks, in time.
//!
//! Invariant: it is read from Git and from what Git is told; the dashboard keeps no log of its own.

use askama::Template;
use headwater_wire::{CommitPage, RolloutList, Timestamp};

use super::api::Told;
use super::asked::Asked;
use super::frame::{Frame, Section};
use super::rollouts::{self, Back, Moving};
use super::show::{Page, live_block};
use super::sign::Sign;
use super::words::{Link, When};

/// One thing that happened.
struct Row {
    at: Timestamp,
    when: When,
    kind: &'static str,
    link: Link,
    who: String,
    what: String,
    sign: Sign,
    outcome: String,
}

/// The page.
#[derive(Template)]
#[template(path = "audit.html", blocks = ["live"])]
pub(super) struct Audit {
    frame: Frame,
    rows: Vec<Row>,
    next: Option<String>,
}

impl Page for Audit {
    async fn load(asked: &Asked) -> Told<Self> {
        let address = asked.v1().part("commits").query("limit", "50");
        let before = asked.query("before");
        let page: CommitPage = asked.api.get(address.maybe("before", before)).await?;
        let mut rows: Vec<Row> = page.commits.iter().map(|view| of_commit(asked, view)).collect();
        // What else happened stands among the commits of the page, the newest above the newest of them.
        let since = page.next.as_ref().and(rows.iter().map(|row| row.at).min());
        let until = before.and(rows.iter().map(|row| row.at).max());
        let mut others = of_rollouts(asked).await?;
        others.extend(of_rollbacks(asked).await?);
        others.retain(|row| {
            since.is_none_or(|since| row.at >= since) && until.is_none_or(|until| row.at <= until)
        });
        rows.extend(others);
        rows.sort_by_key(|row| std::cmp::Reverse(row.at));
        let here = asked.links().page("audit");
        Ok(Self {
            frame: Frame::load(asked, Section::Audit, "Audit").await?,
            rows,
            next: page
                .next
                .map(|next| here.query("before", next.as_str()).into_text()),
        })
    }

    live_block!();
}

fn of_commit(asked: &Asked, view: &headwater_wire::CommitView) -> Row {
    let row = super::commits::Row::of(asked, view);
    Row {
        at: view.committer.at,
        when: row.at,
        kind: "commit",
        link: row.link,
        who: row.author,
        what: row.subject,
        sign: row.sign,
        outcome: row.outcome,
    }
}

async fn of_rollouts(asked: &Asked) -> Told<Vec<Row>> {
    let list: RolloutList = asked.api.get(asked.v1().part("rollouts")).await?;
    let rows = list.rollouts.iter().filter_map(|view| {
        let moving = Moving::of(asked, view);
        Some(Row {
            at: view.since?,
            when: moving.since?,
            kind: "rollout",
            link: moving.link,
            who: String::new(),
            what: format!("{} to {}", view.config, view.target.short()),
            sign: moving.sign,
            outcome: moving.why.unwrap_or(moving.next),
        })
    });
    Ok(rows.collect())
}

async fn of_rollbacks(asked: &Asked) -> Told<Vec<Row>> {
    let rollbacks = rollouts::rollbacks(asked).await?;
    let rows = rollbacks.iter().map(|view| {
        let back = Back::of(asked, view);
        Row {
            at: view.at,
            when: back.at,
            kind: "rollback",
            link: back.link,
            who: back.by,
            what: back.what,
            sign: back.sign,
            outcome: back.reason,
        }
    });
    Ok(rows.collect())
}
