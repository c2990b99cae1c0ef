//! Differences between two commits, and which layer set a value.

use axum::extract::{Path, RawQuery, State};
use headwater_wire::{CommitId, ConfigName, DiffView, ExplainView};

use super::extract::{self, Pairs, Representation};
use super::problem::{Answer, Result, bad_request, config_not_found};
use super::state::App;
use super::{answer, commits, history};
use crate::repo::Repo;

/// `GET /v1/repos/{repo}/diff?from=&to=&config=`.
pub(super) async fn diff(
    State(app): State<App>,
    Path(repo): Path<String>,
    RawQuery(query): RawQuery,
) -> Result {
    let repo = &extract::repo(&app, &repo)?;
    let pairs = Pairs::read(query.as_deref())?;
    let from = end(repo, &pairs, "from").await?;
    let to = end(repo, &pairs, "to").await?;
    let config = pairs.get("config").map(extract::config).transpose()?;
    let configs = crate::history::config_diffs(repo, (&from, &to), config.as_ref()).await?;
    let (older, newer) = (from.clone(), to.clone());
    let mut files = repo
        .read(move |reader| crate::history::file_diffs(reader, &older, &newer))
        .await?;
    if let Some(config) = &config {
        let inputs = inputs(repo, &[&from, &to], config).await?;
        // An input may be a directory that files are taken from by a pattern.
        let below = |path: &str, input: &str| {
            path.strip_prefix(input)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        files.retain(|file| inputs.iter().any(|input| below(&file.path, input)));
    }
    Ok(answer::view(&DiffView {
        from,
        to,
        configs,
        files,
    }))
}

/// One end of a difference; the newest commit where `to` is not said.
async fn end(repo: &Repo, pairs: &Pairs, key: &str) -> Result<CommitId> {
    let rev = match (pairs.get(key), key) {
        (Some(rev), _) => rev,
        (None, "to") => "HEAD",
        (None, _) => {
            let hint = "say `?from=REV&to=REV`, each a hash, a unique beginning of one, the branch or a tag";
            return Err(bad_request(format!("`{key}` is missing"), hint));
        }
    };
    let commit = history::resolve(repo, rev).await?;
    commits::reachable(repo, &commit).await?;
    Ok(commit)
}

/// Paths that make a config in any of the commits.
async fn inputs(repo: &Repo, commits: &[&CommitId], config: &ConfigName) -> Result<Vec<String>> {
    let mut paths = Vec::new();
    for commit in commits {
        let declared = repo.declared(commit).await?;
        let inputs = declared.iter().filter_map(|declared| declared.get(config));
        paths.extend(inputs.flat_map(|inputs| inputs.paths().iter().map(|path| path.as_str().to_owned())));
    }
    Ok(paths)
}

/// `GET /v1/repos/{repo}/explain/{config}?pointer=&at=`.
pub(super) async fn explain(
    State(app): State<App>,
    Path((repo, config)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result {
    let (repo, config) = (&extract::repo(&app, &repo)?, extract::config(&config)?);
    let pairs = Pairs::read(query.as_deref())?;
    let labels = pairs.labels()?;
    let commit = match pairs.get("at") {
        Some(rev) => {
            let commit = history::resolve(repo, rev).await?;
            commits::reachable(repo, &commit).await?;
            commit
        }
        None => tip(repo)?,
    };
    let judged = repo.judged(&commit).await?;
    let valid = commits::valid(repo, &judged)?;
    let found = valid.configs().get(&config).ok_or_else(|| {
        let names = valid.configs().keys().map(ConfigName::as_str);
        config_not_found(
            &config,
            &commit,
            headwater_validators::closest(config.as_str(), names),
        )
    })?;
    let effective = found.select(&labels);
    let pointer = Representation::read(&pairs)?.pointer;
    if let Some(pointer) = pointer
        .as_deref()
        .filter(|pointer| effective.document().pointer(pointer).is_none())
    {
        return Err(answer::pointer_not_found(pointer));
    }
    let entries = effective.explain(pointer.as_deref());
    Ok(answer::view(&ExplainView {
        config,
        commit,
        variant: effective.variant().map(str::to_owned),
        layers: effective
            .sources()
            .iter()
            .map(|path| path.as_str().to_owned())
            .collect(),
        entries,
    }))
}

fn tip(repo: &Repo) -> Result<CommitId> {
    let published = repo.board.read();
    let not_ready =
        || -> Answer { super::problem::not_ready(repo.name(), published.source.error.as_deref()) };
    published.state.tip.clone().ok_or_else(not_ready)
}
