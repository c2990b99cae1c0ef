//! `headwater status`: each repository on a few lines.

use std::io;

use clap::Args;
use headwater_wire::{HeadState, RepoList, RepoView, SourceState, Timestamp};

use super::failure::{Exit, Failure};
use super::findings;
use super::options::{Output, ServerOptions, Session};
use super::out::{Out, Tone};
use super::text::{Cell, age, clean, columns};

const EXAMPLES: &str = "\
Examples:
  headwater status
  headwater status --repo default --output json
  headwater status --exit-code || echo 'look at it'";

/// Show where each repository stands
///
/// The newest admitted commit (tip), the newest commit of the branch (head) and what became of it, whether the
/// upstream answers, and what to do where something is wrong.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Status {
    /// Exit with 1 if a head is not published, or an upstream does not answer
    #[arg(long)]
    exit_code: bool,
    #[command(flatten)]
    pub(super) server: ServerOptions,
}

impl Status {
    pub(super) async fn run(&self, session: &Session, out: &mut Out<'_>) -> Result<Exit, Failure> {
        let list = match session.named_repo() {
            Some(repo) => RepoList {
                repos: vec![repo.view().await?],
            },
            None => session.api.repos().await?,
        };
        match (session.output, session.named_repo(), list.repos.as_slice()) {
            (Output::Json, Some(_), [repo]) => out.json(repo)?,
            (Output::Json, _, _) => out.json(&list)?,
            (Output::Text, _, []) => out.line("the server follows no repository")?,
            (Output::Text, _, repos) => print(repos, (session.now)(), out)?,
        }
        let all_well = list.repos.iter().all(is_well);
        Ok(if self.exit_code && !all_well {
            Exit::Findings
        } else {
            Exit::Fine
        })
    }
}

fn is_well(repo: &RepoView) -> bool {
    repo.head_state == HeadState::Published && repo.source_state == SourceState::Ok && !repo.stale
}

/// Prints repositories, with a blank line between two.
pub(super) fn print(repos: &[RepoView], now: Timestamp, out: &mut Out<'_>) -> io::Result<()> {
    for (index, repo) in repos.iter().enumerate() {
        if index > 0 {
            out.line("")?;
        }
        print_repo(repo, now, out)?;
    }
    Ok(())
}

fn print_repo(repo: &RepoView, now: Timestamp, out: &mut Out<'_>) -> io::Result<()> {
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
            format!("{}  {}", short(&repo.head), repo.head_state.as_str()),
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
        HeadState::Validating => Tone::Normal,
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
