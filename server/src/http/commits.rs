//! A config at a commit: what a full hash names never changes.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use headwater_core::Token;
use headwater_validators::closest;
use headwater_wire::{CommitId, ConfigName, Generation, Phase};
use http::HeaderMap;

use super::answer;
use super::extract::{self, Asker, Pairs, Representation};
use super::problem::{Result, commit_not_here, commit_rejected, config_not_found};
use super::state::App;
use super::watch::{FRESH_DEADLINE, config_unreadable, replica_behind};
use crate::judge::Judged;
use crate::pipeline::Fresh;
use crate::repo::Repo;

/// `GET /v1/repos/{repo}/commits/{commit}/configs/{config}`.
pub(super) async fn config(
    State(app): State<App>,
    Path((repo, commit, config)): Path<(String, String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result {
    let (repo, commit, config) = (
        &extract::repo(&app, &repo)?,
        extract::commit(&commit)?,
        extract::config(&config)?,
    );
    let pairs = Pairs::read(query.as_deref())?;
    let (asker, representation) = (Asker::read(&pairs)?, Representation::read(&pairs)?);
    reachable(repo, &commit).await?;
    let judged = repo.judged(&commit).await?;
    let valid = valid(repo, &judged)?;
    let Some(found) = valid.configs().get(&config) else {
        return Err(match valid.unreadable().get(&config) {
            Some(path) => config_unreadable(&config, path.as_str()),
            None => config_not_found(&config, &commit, closest(config.as_str(), names(valid))),
        });
    };
    let effective = found.select(&asker.labels);
    let version = version(repo, &commit, &config).await?;
    let token = Token {
        representation: representation.token_part(),
        ..Token::new(&version, effective.digest())
    };
    let headers_out = answer::headers_by_commit(&commit, &token);
    if extract::held(&headers).contains(&token) {
        return Ok(answer::not_modified(headers_out));
    }
    if let Some((body, media_type)) = answer::represent(effective, &representation)? {
        return Ok(answer::ok(headers_out, body, media_type));
    }
    let frame = answer::Frame {
        repo: repo.name(),
        config: &config,
        version: &version,
        tip: &commit,
        generation: Generation(0),
        phase: Phase::Active,
    };
    Ok(answer::ok(
        headers_out,
        answer::body(frame, effective),
        "application/json",
    ))
}

fn names(valid: &headwater_validators::ValidTree) -> impl Iterator<Item = &str> {
    valid.configs().keys().map(ConfigName::as_str)
}

/// The documents of a commit, or its findings as a refusal.
pub(super) fn valid<'a>(repo: &Repo, judged: &'a Arc<Judged>) -> Result<&'a headwater_validators::ValidTree> {
    let refused = || commit_rejected(&repo.board.read(), &judged.commit, judged.findings.clone());
    judged.valid.as_ref().ok_or_else(refused)
}

/// Refuses a commit that the followed branch does not reach, after one forced listing of the upstream. While the
/// upstream cannot be asked nobody knows, and an answer that may be wrong would be taken for a fact.
pub(super) async fn reachable(repo: &Repo, commit: &CommitId) -> Result<()> {
    let ready = repo.reader().is_ok();
    if ready && repo.reaches(commit).await? {
        return Ok(());
    }
    let fresh = repo.fresh_listing(FRESH_DEADLINE).await?;
    match (repo.reaches(commit).await?, fresh) {
        (true, _) => Ok(()),
        (false, Fresh::Listed) => Err(commit_not_here(commit)),
        (false, Fresh::Failed) => Err(replica_behind(&repo.board.read())),
    }
}

/// Version of a config at a commit it is declared in.
async fn version(repo: &Repo, commit: &CommitId, config: &ConfigName) -> Result<CommitId> {
    let published = repo.board.read();
    if published.state.tip.as_ref() == Some(commit)
        && let Some(facts) = published.state.at_tip(config)
    {
        return Ok(facts.version);
    }
    let versions = repo.versions(commit).await?;
    Ok(versions.get(config).cloned().unwrap_or_else(|| commit.clone()))
}
