//! Raw bytes of a file at a commit: exactly those of the blob.

use axum::extract::{Path, State};
use bytes::Bytes;
use headwater_wire::{RepoPath, VerdictState};
use http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue};

use super::problem::{Result, commit_rejected};
use super::state::App;
use super::{answer, commits, extract};

/// Largest file handed out, in bytes. Config files end far below; a repository may hold images.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// `GET /v1/repos/{repo}/commits/{commit}/files/{path}`.
pub(super) async fn file(
    State(app): State<App>,
    Path((repo, commit, path)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Result {
    let (repo, commit) = (&extract::repo(&app, &repo)?, extract::commit(&commit)?);
    let path: RepoPath = extract::id(
        &path,
        "a path is relative, without `.`, `..` or `.git` components",
    )?;
    commits::reachable(repo, &commit).await?;
    if let Some(kept) = repo.kept_verdict(&commit).await
        && kept.state == VerdictState::Rejected
    {
        return Err(commit_rejected(&repo.board.read(), &commit, kept.findings));
    }
    let wanted = commit.clone();
    let blob = repo
        .read(move |reader| Ok(reader.blob(&wanted, &path, FILE_BYTES_MAX)?))
        .await?;
    // The address holds the commit, so the commit is tag enough.
    let tag = format!("\"{commit}\"");
    let mut out = HeaderMap::with_capacity(3);
    out.insert(CACHE_CONTROL, answer::IMMUTABLE);
    if let Ok(value) = HeaderValue::from_str(&tag) {
        out.insert(ETAG, value);
    }
    let held = headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let mut tags = held
        .flat_map(|value| value.split(','))
        .map(|held| held.trim().trim_start_matches("W/"));
    if tags.any(|held| held == tag) {
        return Ok(answer::not_modified(out));
    }
    Ok(answer::ok(out, Bytes::from(blob), "application/octet-stream"))
}
