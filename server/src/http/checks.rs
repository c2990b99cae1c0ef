//! A verdict without publishing: on a revision, or on a tar of files.

use std::io::Read;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest as _, Path, Request, State};
use axum::response::Response;
use headwater_validators::{Entry, File, Limits, wants};
use headwater_wire::{CheckRequest, CheckView, Problem, ProblemCode, RepoPath};
use http::HeaderMap;
use http::header::CONTENT_LENGTH;

use super::body::NotJson;
use super::problem::{Answer, Result, bad_request};
use super::state::App;
use super::{answer, body, commits, extract, history};
use crate::judge::judge_entries;
use crate::repo::{Repo, RepoError};
use crate::sandbox::Turn;
use crate::task;
use crate::tree::{RawEntry, file_id};

/// Largest body of a check, in bytes: a repository of configs is some megabytes, and the whole of it is in memory.
pub(super) const BODY_BYTES_MAX: usize = 64 << 20;

/// What the bodies of all checks may take together, in MiB: eight of the largest.
pub(super) const BODIES_MIB_MAX: u32 = 512;

/// Format of the answer.
const VIEW_VERSION: u32 = 1;

/// `POST /v1/repos/{repo}/checks`.
pub(super) async fn check(
    State(app): State<App>,
    Path(repo): Path<String>,
    request: Request,
) -> std::result::Result<Response, NotJson> {
    let repo = &extract::repo(&app, &repo)?;
    // Before anything of the body is in memory.
    let room = app.checks().try_acquire_many(mib(request.headers()));
    let _room = room.map_err(|_| busy())?;
    let media_type = body::media_type(request.headers());
    let sent = Bytes::from_request(request, &()).await.map_err(NotJson::Unread)?;
    Ok(judge(repo, &media_type, sent).await?)
}

/// What a body may take, in MiB: what its length says, and the most that is taken where it does not.
fn mib(headers: &HeaderMap) -> u32 {
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let length = length
        .and_then(|text| text.parse().ok())
        .unwrap_or(BODY_BYTES_MAX);
    u32::try_from(length.min(BODY_BYTES_MAX).div_ceil(1 << 20).max(1)).unwrap_or(BODIES_MIB_MAX)
}

fn busy() -> Answer {
    let problem = Problem::new(
        ProblemCode::Overloaded,
        "other checks take all the memory for checks",
    );
    problem
        .hint("try again in a few seconds, or run `headwater check` where the files are")
        .into()
}

async fn judge(repo: &Arc<Repo>, media_type: &str, sent: Bytes) -> Result {
    match media_type {
        json if body::is_json(json) => check_revision(repo, &sent).await,
        "application/x-tar" | "application/tar" => check_tar(repo, sent).await,
        other => {
            let hint = "send {\"rev\": \"…\"} as application/json, or a tar of files as application/x-tar";
            Err(body::not_taken(other, hint))
        }
    }
}

async fn check_revision(repo: &Repo, sent: &Bytes) -> Result {
    let form = "send {\"rev\": \"HEAD\"}, or a tar of files";
    let request: CheckRequest = body::read(sent, ("the body", form))?;
    let commit = history::resolve(repo, &request.rev).await?;
    commits::reachable(repo, &commit).await?;
    let judged = repo.judged(&commit).await?;
    Ok(answer::view(&CheckView {
        version: VIEW_VERSION,
        verdict: judged.state(),
        findings: judged.findings.clone(),
    }))
}

async fn check_tar(repo: &Arc<Repo>, body: Bytes) -> Result {
    let limits = repo.rules().limits.clone();
    let read = task::blocking(repo.rules().deadline, move || read_tar(&body, &limits)).await;
    let entries = read.map_err(RepoError::from)?.map_err(|error| {
        bad_request(
            format!("the tar cannot be read: {error}"),
            "send an uncompressed tar of regular files",
        )
    })?;
    let rules = repo.rules().in_turn(Turn::Later);
    let outcome = judge_entries(entries, &rules, repo.measured().await?).await?;
    Ok(answer::view(&outcome.view()))
}

/// The files of a tar as a tree. Links are recorded as such and never followed; nothing is written anywhere.
fn read_tar(bytes: &[u8], limits: &Limits) -> std::io::Result<Vec<RawEntry>> {
    let mut entries = Vec::new();
    let mut archive = tar::Archive::new(bytes);
    for entry in archive.entries()?.take(limits.files.saturating_mul(2)) {
        let mut entry = entry?;
        let path = entry.path_bytes().into_owned();
        let path = path.strip_prefix(b"./").unwrap_or(&path).to_vec();
        let kind = entry.header().entry_type();
        if kind.is_symlink() || kind.is_hard_link() {
            entries.push((path, Entry::Symlink));
        } else if kind.is_file() {
            let size = entry.size();
            let wanted = std::str::from_utf8(&path)
                .ok()
                .and_then(|path| path.parse::<RepoPath>().ok());
            let read = wanted.is_some_and(|path| wants(&path)) && size <= limits.file_bytes;
            let mut content = Vec::new();
            entry.by_ref().take(limits.file_bytes).read_to_end(&mut content)?;
            let bytes: Option<Arc<[u8]>> = read.then(|| Arc::from(content));
            let id = file_id(size, bytes.as_deref());
            entries.push((path, Entry::File(File { id, size, bytes })));
        }
    }
    Ok(entries)
}
