//! Who decided what: the branch's history with what became of it, and beside it the rollouts, what people ordered of
//! them, rollbacks, releases and acceptances, in time.
//!
//! Invariant: it is read from Git and from what Git is told; the dashboard keeps no log of its own.

use askama::Template;
use headwater_core::rollout::ordered_word;
use headwater_wire::{CommitPage, RepoView, RolloutList, RolloutView, Timestamp};

use super::api::Told;
use super::asked::Asked;
use super::frame::{Frame, Section};
use super::rollout;
use super::rollouts::{self, Back, Moving};
use super::show::{Page, live_block};
use super::sign::{self, Sign};
use super::words::{Link, SERVICE, When, both, spaced};

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
        others.extend(of_acceptance(asked).await?);
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

/// A rollout as it began, and what people ordered of it.
async fn of_rollouts(asked: &Asked) -> Told<Vec<Row>> {
    let list = asked.v1().part("rollouts").query("timeline", "true");
    let list: RolloutList = asked.api.get(list).await?;
    Ok(list
        .rollouts
        .iter()
        .flat_map(|view| of_rollout(asked, view))
        .collect())
}

fn of_rollout(asked: &Asked, view: &RolloutView) -> Vec<Row> {
    let moving = Moving::of(asked, view);
    let first = view.timeline.first().map(|step| step.at).or(view.since);
    let orders = view.timeline.iter().filter(|step| rollout::is_order(step));
    let row = |kind, at: Timestamp, who: String, what: String, outcome: String| Row {
        at,
        when: When::new(asked.now, at),
        kind,
        link: moving.link.clone(),
        who,
        what,
        sign: moving.sign.clone(),
        outcome,
    };
    let of = format!("{} to {}", view.config, view.target.short());
    let begun = first.map(|at| {
        let became = moving.why.clone().unwrap_or_else(|| moving.next.clone());
        row("rollout", at, SERVICE.to_owned(), of.clone(), became)
    });
    let ordered = orders.map(|step| {
        let what = format!("{} the rollout of {of}", spaced(ordered_word(&step.step)));
        row(
            "order",
            step.at,
            both(step.by.as_deref(), step.confirmed_by.as_deref()),
            what,
            reason(step.reason.as_deref()),
        )
    });
    begun.into_iter().chain(ordered).collect()
}

fn reason(reason: Option<&str>) -> String {
    reason
        .map(|reason| format!("because: {reason}"))
        .unwrap_or_default()
}

/// A rollback, and a person's word that ended it.
async fn of_rollbacks(asked: &Asked) -> Told<Vec<Row>> {
    let rollbacks = rollouts::rollbacks(asked).await?;
    let rows = rollbacks.iter().flat_map(|view| {
        let back = Back::of(asked, view);
        let released = view.released.as_ref().map(|released| Row {
            at: released.at,
            when: When::new(asked.now, released.at),
            kind: "release",
            link: back.link.clone(),
            who: both(released.by.as_deref(), released.confirmed_by.as_deref()),
            what: format!("lets come again what rollback {} left", view.id),
            sign: back.sign.clone(),
            outcome: reason(view.why.as_deref()),
        });
        let begun = Row {
            at: view.at,
            when: back.at,
            kind: "rollback",
            link: back.link,
            who: back.by,
            what: back.what,
            sign: back.sign,
            outcome: reason(Some(&back.reason)),
        };
        [begun].into_iter().chain(released)
    });
    Ok(rows.collect())
}

/// The rewritten history that was taken last, if one was.
async fn of_acceptance(asked: &Asked) -> Told<Option<Row>> {
    let repo: RepoView = asked.api.get(asked.v1()).await?;
    let (head, head_state) = (repo.head, repo.head_state);
    Ok(repo.accepted.map(|accepted| Row {
        at: accepted.at,
        when: When::new(asked.now, accepted.at),
        kind: "acceptance",
        link: Link::commit(&asked.links(), &accepted.head),
        who: both(accepted.by.as_deref(), accepted.confirmed_by.as_deref()),
        what: "takes a rewritten history".to_owned(),
        sign: if head.as_ref() == Some(&accepted.head) {
            sign::head(head_state)
        } else {
            sign::accepted()
        },
        outcome: reason(Some(&accepted.reason)),
    }))
}
