//! History: pages of commits of the followed branch, and one commit with its findings.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use headwater_core::Outcome;
use headwater_wire::{BranchName, CommitId, CommitPage, CommitView, ConfigName, Problem, ProblemCode};

use super::extract::{self, Pairs};
use super::problem::{Answer, Result, bad_request, not_ready};
use super::state::App;
use super::{answer, views};
use crate::git::resolve::ResolveError;
use crate::history;
use crate::repo::Repo;

/// Commits on a page where none is said.
const PAGE_DEFAULT: usize = 20;
/// Commits on a page at most.
const PAGE_MAX: usize = 100;
/// Commits looked at for one page of a single config's history: past this, the page ends early and says where to go on.
const SCAN_MAX: usize = 2_000;

/// `GET /v1/repos/{repo}/commits?config=&limit=&before=`: newest first, from the head, rejected commits included.
pub(super) async fn page(
    State(app): State<App>,
    Path(repo): Path<String>,
    RawQuery(query): RawQuery,
) -> Result {
    let repo = &extract::repo(&app, &repo)?;
    let pairs = Pairs::read(query.as_deref())?;
    let config = pairs.get("config").map(extract::config).transpose()?;
    let limit: usize = pairs
        .parsed("limit", "a whole number from 1 to 100")?
        .unwrap_or(PAGE_DEFAULT);
    if !(1..=PAGE_MAX).contains(&limit) {
        return Err(bad_request(
            format!("not a limit: `{limit}`"),
            format!("a whole number from 1 to {PAGE_MAX}"),
        ));
    }
    let before: Option<CommitId> = pairs.parsed("before", "`before` takes the `next` of the page before")?;
    Ok(answer::view(&read_page(repo, config, before, limit).await?))
}

async fn read_page(
    repo: &Arc<Repo>,
    config: Option<ConfigName>,
    before: Option<CommitId>,
    limit: usize,
) -> Result<CommitPage> {
    let start = match &before {
        Some(before) => first_parent(repo, before).await?,
        None => Some(newest(repo)?),
    };
    let mut page = CommitPage {
        commits: Vec::new(),
        next: None,
    };
    let Some(start) = start else { return Ok(page) };
    let scan = if config.is_some() { SCAN_MAX } else { limit };
    let wanted = start.clone();
    let history = repo
        .read(move |reader| Ok(reader.first_parents(&wanted, None, scan + 1)?))
        .await?;
    let more = history.len() > scan;
    for commit in history.iter().take(scan) {
        if page.commits.len() == limit {
            break;
        }
        page.next = Some(commit.clone());
        let view = view(repo, commit).await?;
        if config
            .as_ref()
            .is_none_or(|config| view.configs_changed.contains(config))
        {
            page.commits.push(view);
        }
    }
    let ended = !more && page.next.as_ref() == history.last();
    if ended {
        page.next = None;
    }
    Ok(page)
}

/// `GET /v1/repos/{repo}/commits/{rev}`.
pub(super) async fn one(State(app): State<App>, Path((repo, rev)): Path<(String, String)>) -> Result {
    let repo = &extract::repo(&app, &repo)?;
    let commit = resolve(repo, &rev).await?;
    super::commits::reachable(repo, &commit).await?;
    Ok(answer::view(&view(repo, &commit).await?))
}

/// A commit with its verdict, judging it now if nobody asked before.
async fn view(repo: &Arc<Repo>, commit: &CommitId) -> Result<CommitView> {
    let wanted = commit.clone();
    let info = repo.read(move |reader| Ok(reader.commit(&wanted)?)).await?;
    let changed = history::configs_changed(repo, &info).await?;
    let mut view = views::commit(info, history::verdict(repo, commit).await, changed);
    let brought = repo.brought_by([commit.clone()].into()).await?;
    let outcome = brought.get(commit).and_then(|rollouts| Outcome::of(rollouts));
    view.outcome = outcome.map(|outcome| outcome.words);
    Ok(view)
}

async fn first_parent(repo: &Repo, commit: &CommitId) -> Result<Option<CommitId>> {
    super::commits::reachable(repo, commit).await?;
    let wanted = commit.clone();
    let info = repo.read(move |reader| Ok(reader.commit(&wanted)?)).await?;
    Ok(info.parents.into_iter().next())
}

/// Newest commit of the branch that history is shown from: the head, unless it is held back.
fn newest(repo: &Repo) -> Result<CommitId> {
    let published = repo.board.read();
    let state = &published.state;
    let head = state.head.clone().filter(|_| state.hold.is_none());
    head.or_else(|| state.tip.clone())
        .ok_or_else(|| not_ready(repo.name(), published.source.error.as_deref()))
}

/// The commit that a text names: hash, unique prefix, branch, tag, `HEAD`, with `~N` and `^`.
pub(super) async fn resolve(repo: &Repo, rev: &str) -> Result<CommitId> {
    if let Ok(commit) = rev.parse::<CommitId>() {
        return Ok(commit);
    }
    let head = newest(repo)?;
    let branch = repo.branch().or_else(|| "main".parse::<BranchName>().ok());
    let Some(branch) = branch else {
        return Err(not_ready(repo.name(), None));
    };
    let rev = rev.to_owned();
    let found = repo
        .read(move |reader| Ok(reader.resolve(&rev, &branch, &head)))
        .await?;
    found.map_err(|error| match error {
        ResolveError::NotFound { .. } => Problem::new(ProblemCode::RevisionNotFound, error.to_string())
            .hint("a hash, a unique beginning of one, the followed branch, a tag, `HEAD`, each with `~N` or `^`")
            .into(),
        ResolveError::Ambiguous { ref candidates, .. } => {
            let hint = format!("it may mean {}", candidates.join(", "));
            Answer::from(Problem::new(ProblemCode::RevisionNotFound, error.to_string()).hint(hint))
        }
        ResolveError::Git(error) => crate::repo::RepoError::Git(error).into(),
    })
}
