//! Answers that carry a config: body, token and the headers that stand on a 200 and on a 304.

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use headwater_core::Token;
use headwater_render::Format;
use headwater_validators::Effective;
use headwater_wire::{
    ChangeKind, CommitId, ConfigName, Digest, Generation, Phase, Problem, ProblemCode, RepoName,
};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderName};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::value::RawValue;

use super::extract::Representation;
use super::problem::{Answer, Result};
use crate::publish::Published;

const VERSION: HeaderName = HeaderName::from_static("headwater-version");
const TIP: HeaderName = HeaderName::from_static("headwater-tip");
const HEAD_STATE: HeaderName = HeaderName::from_static("headwater-head-state");
const CHANGE: HeaderName = HeaderName::from_static("headwater-change");
const SYNCED_AT: HeaderName = HeaderName::from_static("headwater-synced-at");
const STALE: HeaderName = HeaderName::from_static("headwater-stale");

/// Cache policy of what a full commit hash names: it never changes.
pub(super) const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// Cache policy of what is current: a cache must ask every time.
const CURRENT: HeaderValue = HeaderValue::from_static("private, no-cache");

/// The snapshot body, with the document as the canonical text that its digest is of.
#[derive(Serialize)]
struct Body<'a> {
    repo: &'a RepoName,
    config: &'a ConfigName,
    version: &'a CommitId,
    tip: &'a CommitId,
    digest: &'a Digest,
    generation: Generation,
    phase: Phase,
    #[serde(skip_serializing_if = "Option::is_none")]
    variant: Option<&'a str>,
    document: &'a RawValue,
    sources: Vec<&'a str>,
}

/// What a snapshot body says beside the document.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame<'a> {
    /// Repository.
    pub repo: &'a RepoName,
    /// Config.
    pub config: &'a ConfigName,
    /// Version.
    pub version: &'a CommitId,
    /// Newest admitted commit, or the commit asked for.
    pub tip: &'a CommitId,
    /// Fence number.
    pub generation: Generation,
    /// Whether it is to be run, or only to be got ready for.
    pub phase: Phase,
}

/// Renders a snapshot body.
pub(super) fn body(frame: Frame<'_>, effective: &Effective) -> Bytes {
    let document = RawValue::from_string(effective.canonical().to_string()).unwrap_or_default();
    let body = Body {
        repo: frame.repo,
        config: frame.config,
        version: frame.version,
        tip: frame.tip,
        digest: effective.digest(),
        generation: frame.generation,
        phase: frame.phase,
        variant: effective.variant(),
        document: &document,
        sources: effective
            .sources()
            .iter()
            .map(headwater_wire::RepoPath::as_str)
            .collect(),
    };
    Bytes::from(serde_json::to_vec(&body).unwrap_or_default())
}

/// The part or format asked for, and its media type; `None` for the snapshot body.
pub(super) fn represent(
    effective: &Effective,
    wanted: &Representation,
) -> Result<Option<(Bytes, &'static str)>> {
    let document = match &wanted.pointer {
        None if wanted.format.is_none() => return Ok(None),
        None => effective.document(),
        Some(pointer) => effective
            .document()
            .pointer(pointer)
            .ok_or_else(|| pointer_not_found(pointer))?,
    };
    let (text, media_type) = match wanted.format {
        None => (headwater_render::canonical(document), "application/json"),
        Some(format @ Format::Json) => (rendered(document, format)?, "application/json"),
        Some(format @ Format::Toml) => (rendered(document, format)?, "application/toml"),
        Some(format @ Format::Yaml) => (rendered(document, format)?, "application/yaml"),
    };
    Ok(Some((Bytes::from(text), media_type)))
}

fn rendered(document: &serde_json::Value, format: Format) -> Result<String> {
    headwater_render::render(document, format).map_err(|error| {
        Problem::new(ProblemCode::NotRenderable, error.to_string())
            .hint("ask for `format=json`")
            .into()
    })
}

/// The document has no such value.
pub(super) fn pointer_not_found(pointer: &str) -> Answer {
    Problem::new(
        ProblemCode::PointerNotFound,
        format!("the document has no value at `{pointer}`"),
    )
    .hint("GET …/explain/{config} lists every pointer of the document")
    .into()
}

/// The headers that tell where a client stands, on a 200 and on a 304.
pub(super) fn headers(published: &Published, token: &Token, change: ChangeKind) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(8);
    put(&mut headers, ETAG, &format!("\"{token}\""));
    put(&mut headers, VERSION, token.version.as_str());
    if let Some(tip) = &published.state.tip {
        put(&mut headers, TIP, tip.as_str());
    }
    put(&mut headers, HEAD_STATE, published.state.head_state.as_str());
    put(&mut headers, CHANGE, change.as_str());
    if let Some(synced_at) = published.source.synced_at {
        put(&mut headers, SYNCED_AT, &synced_at.to_string());
    }
    if published.source.stale {
        put(&mut headers, STALE, "true");
    }
    headers.insert(CACHE_CONTROL, CURRENT);
    headers
}

/// The headers of a read by commit, which must not change from one day to the next.
pub(super) fn headers_by_commit(commit: &CommitId, token: &Token) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(4);
    put(&mut headers, ETAG, &format!("\"{token}\""));
    put(&mut headers, VERSION, token.version.as_str());
    put(&mut headers, TIP, commit.as_str());
    headers.insert(CACHE_CONTROL, IMMUTABLE);
    headers
}

/// A 200 with its body.
pub(super) fn ok(mut headers: HeaderMap, body: Bytes, media_type: &'static str) -> Response {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    (StatusCode::OK, headers, body).into_response()
}

/// A 304.
pub(super) fn not_modified(headers: HeaderMap) -> Response {
    (StatusCode::NOT_MODIFIED, headers).into_response()
}

/// A 200 with a JSON view that must not be cached.
pub(super) fn view<T: Serialize>(view: &T) -> Response {
    let body = serde_json::to_vec(view).unwrap_or_default();
    let mut headers = HeaderMap::with_capacity(2);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    ok(headers, Bytes::from(body), "application/json")
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
