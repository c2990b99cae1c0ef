//! `headwater status`: each repository on a few lines.

use std::io;

use clap::Args;
use headwater_client::RolloutsQuery;
use headwater_wire::{HeadState, OrderView, RepoView, RolloutView, SourceState, Timestamp};
use serde::Serialize;

use super::failure::{Exit, Failure};
use super::findings;
use super::options::{Output, ServerOptions, Session};
use super::out::{Out, Tone};
use super::progress::{counts, needs_a_person, progress, tone};
use super::text::{Cell, age, clean, columns};

/// Rollouts of one repository that are shown, so that all of it is on one screen.
const ROLLOUTS_SHOWN: usize = 8;

const EXAMPLES: &str = "\
Examples:
  headwater status
  headwater status --repo default --output json
  headwater status --exit-code || echo 'look at it'";

/// Show where each repository stands
///
/// The newest admitted commit (tip), the newest commit of the branch (head) and what became of it, whether the
/// upstream answers, what is rolled out and how far it is, and what to do where something is wrong or a person is needed.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Status {
    /// Exit with 1 if a head is not published, an upstream does not answer, a rollout needs a person, or an order a second one
    #[arg(long)]
    exit_code: bool,
    #[command(flatten)]
    pub(super) server: ServerOptions,
}

/// A repository with what moves in it.
#[derive(Debug, Serialize)]
struct Standing {
    #[serde(flatten)]
    repo: RepoView,
    rollouts: Vec<RolloutView>,
    /// Those that wait for a second person.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    orders: Vec<OrderView>,
}

/// All repositories, as the API lists them.
#[derive(Debug, Serialize)]
struct Standings {
    repos: Vec<Standing>,
}

impl Status {
    pub(super) async fn run(&self, session: &Session, out: &mut Out<'_>) -> Result<Exit, Failure> {
        let repos = match session.named_repo() {
            Some(repo) => vec![repo.view().await?],
            None => session.api.repos().await?.repos,
        };
        let mut list = Standings { repos: Vec::new() };
        for repo in repos {
            let rollouts = rollouts(session, &repo).await;
            let orders = session.api.in_repo(&repo.name).orders().await;
            let orders = orders.unwrap_or_default().orders;
            list.repos.push(Standing {
                repo,
                rollouts,
                orders,
            });
        }
        match (session.output, session.named_repo(), list.repos.as_slice()) {
            (Output::Json, Some(_), [repo]) => out.json(repo)?,
            (Output::Json, _, _) => out.json(&list)?,
            (Output::Text, _, []) => out.line("the server follows no repository")?,
            (Output::Text, _, repos) => print_all(repos, (session.now)(), out)?,
        }
        let all_well = list.repos.iter().all(Standing::is_well);
        Ok(if self.exit_code && !all_well {
            Exit::Findings
        } else {
            Exit::Fine
        })
    }
}

/// What moves in a repository, or needs a person. A server that is older knows of none, and what else is known is worth
/// more than an error.
async fn rollouts(session: &Session, repo: &RepoView) -> Vec<RolloutView> {
    let asked = session
        .api
        .in_repo(&repo.name)
        .rollouts(&RolloutsQuery::default())
        .await;
    let all = asked.unwrap_or_default().rollouts.into_iter();
    all.filter(|view| !view.state.is_final() || needs_a_person(view))
        .collect()
}

impl Standing {
    /// Whether it needs nobody.
    fn is_well(&self) -> bool {
        let repo = &self.repo;
        let is_published = repo.head_state == HeadState::Published;
        let is_current = repo.source_state == SourceState::Ok && !repo.stale;
        let waits = !self.orders.is_empty() || self.rollouts.iter().any(needs_a_person);
        is_published && is_current && !waits
    }
}

fn print_all(repos: &[Standing], now: Timestamp, out: &mut Out<'_>) -> io::Result<()> {
    for (index, standing) in repos.iter().enumerate() {
        if index > 0 {
            out.line("")?;
        }
        print_repo(&standing.repo, now, out)?;
        print_rollouts(&standing.rollouts, out)?;
        print_orders(&standing.orders, out)?;
    }
    Ok(())
}

/// What waits for a second person, on two lines each.
fn print_orders(orders: &[OrderView], out: &mut Out<'_>) -> io::Result<()> {
    for view in orders {
        let id = clean(&view.id);
        out.line(format!(
            "  order {id} waits for a second person: {}",
            clean(&view.what)
        ))?;
        let by = clean(&view.giver());
        let next = format!("given by {by}; another person runs `headwater confirm {id} --reason …`");
        out.line(format!("    {}", out.paint().apply(Tone::Hint, &next)))?;
    }
    Ok(())
}

/// What moves, on two lines each: how far it is, and what comes next.
fn print_rollouts(rollouts: &[RolloutView], out: &mut Out<'_>) -> io::Result<()> {
    let shown = rollouts.iter().take(ROLLOUTS_SHOWN);
    let rows: Vec<Vec<Cell>> = shown.clone().map(rollout_row).collect();
    for (line, view) in columns(&rows, out.paint()).iter().zip(shown) {
        out.line(format!("  {line}"))?;
        let why = view
            .why
            .as_ref()
            .map(|why| format!("{}; ", clean(why)))
            .unwrap_or_default();
        let queued = view
            .queued
            .as_ref()
            .map(|queued| format!("; {} comes after it", queued.short()))
            .unwrap_or_default();
        let next = format!("{why}{}{queued}", clean(&view.next));
        let tone = if needs_a_person(view) {
            Tone::Hint
        } else {
            Tone::Dim
        };
        out.line(format!("    {}", out.paint().apply(tone, &next)))?;
    }
    match rollouts.len().saturating_sub(ROLLOUTS_SHOWN) {
        0 => Ok(()),
        more => out.line(format!("  and {more} more: `headwater rollouts`")),
    }
}

fn rollout_row(view: &RolloutView) -> Vec<Cell> {
    vec![
        (Tone::Strong, clean(&view.id)),
        (Tone::Normal, clean(view.config.as_str())),
        (Tone::Normal, view.target.short().to_owned()),
        (tone(view), view.state.as_str().replace('_', " ")),
        (Tone::Normal, progress(view)),
        (Tone::Normal, counts(view)),
    ]
}

/// Prints one repository.
pub(super) fn print_repo(repo: &RepoView, now: Timestamp, out: &mut Out<'_>) -> io::Result<()> {
    let branch = repo.branch.as_ref().map_or_else(
        || "branch not known yet".to_owned(),
        |branch| clean(branch.as_str()),
    );
    let name = out.paint().apply(Tone::Strong, repo.name.as_str());
    out.line(format!("{name}  {} ({branch})", clean(&repo.url)))?;
    let short = |commit: &Option<_>| {
        commit.as_ref().map_or_else(
            || "none".to_owned(),
            |id: &headwater_wire::CommitId| id.short().to_owned(),
        )
    };
    let mut rows: Vec<Vec<Cell>> = vec![
        field("tip", Tone::Normal, short(&repo.tip)),
        field(
            "head",
            head_tone(repo.head_state),
            match &repo.head {
                Some(_) => format!("{}  {}", short(&repo.head), repo.head_state.as_str()),
                None => short(&repo.head),
            },
        ),
        field("source", source_tone(repo), source(repo, now)),
        field("configs", Tone::Normal, repo.configs.to_string()),
    ];
    rows.extend(
        repo.error
            .as_ref()
            .map(|error| field("error", Tone::Bad, clean(error))),
    );
    rows.extend(
        repo.hint
            .as_ref()
            .map(|hint| field("hint", Tone::Hint, clean(hint))),
    );
    rows.extend(repo.hook_silence.map(|since| {
        let told = format!(
            "silent: a poll found what no webhook had told of, {}",
            age(now, since)
        );
        field("hooks", Tone::Warning, told)
    }));
    for line in columns(&rows, out.paint()) {
        out.line(format!("  {line}"))?;
    }
    findings::print(&repo.findings, "  ", out)
}

fn field(name: &str, tone: Tone, text: String) -> Vec<Cell> {
    vec![(Tone::Dim, name.to_owned()), (tone, text)]
}

fn head_tone(state: HeadState) -> Tone {
    match state {
        HeadState::Published => Tone::Good,
        HeadState::None | HeadState::Validating => Tone::Normal,
        HeadState::Rejected => Tone::Bad,
        HeadState::Held | HeadState::Other => Tone::Warning,
    }
}

fn source_tone(repo: &RepoView) -> Tone {
    match repo.source_state {
        SourceState::Ok if !repo.stale => Tone::Good,
        SourceState::Ok | SourceState::Starting => Tone::Warning,
        SourceState::EmptyRepository
        | SourceState::BranchMissing
        | SourceState::Unreachable
        | SourceState::TimedOut
        | SourceState::AuthRequired
        | SourceState::AuthFailed
        | SourceState::NotFound
        | SourceState::BadAnswer
        | SourceState::TooLarge
        | SourceState::HistoryRewritten
        | SourceState::MirrorBroken
        | SourceState::StorageFull
        | SourceState::Other => Tone::Bad,
    }
}

fn source(repo: &RepoView, now: Timestamp) -> String {
    let word = repo.source_state.as_str().replace('_', " ");
    let synced = repo.synced_at.map_or_else(
        || "never synced".to_owned(),
        |at| format!("synced {}", age(now, at)),
    );
    let stale = if repo.stale { ", stale" } else { "" };
    format!("{word}, {synced}{stale}")
}
