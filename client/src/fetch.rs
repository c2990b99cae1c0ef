//! One document of one content, whose digest is what was told.
//!
//! Invariant: what is returned is the canonical text of the digest that was asked for, whoever it came from.

use std::sync::Arc;

use headwater_render::{canonical, digest};
use headwater_wire::{ConfigName, Digest, FailPhase, InstanceId, ReportError, SnapshotBody};
use serde_json::Value;

use crate::answer::Fetched;
use crate::api::RepoApi;
use crate::decode::clip;
use crate::engine::{Attempt, Target};
use crate::error::{ApiError, one_line};
use crate::query::{ConfigQuery, Labels};

/// What is to be fetched, and for whom.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) config: ConfigName,
    pub(crate) attempt: Attempt,
    pub(crate) target: Target,
    pub(crate) instance: Option<InstanceId>,
    pub(crate) labels: Labels,
}

/// The canonical text, if it is what the digest says.
pub(crate) fn verified(document: &Value, wanted: &Digest) -> Option<Arc<str>> {
    let text = canonical(document);
    (digest(&text) == *wanted).then(|| text.into())
}

/// By commit first: that answer never changes, so a cache between may give it. If it is not what was told, because the
/// service has learnt to write the same document differently, the current answer is asked.
pub(crate) async fn document(api: &RepoApi, wanted: &Wanted) -> Result<Arc<str>, ReportError> {
    let query = ConfigQuery {
        instance: wanted.instance.clone(),
        labels: wanted.labels.clone(),
        ..ConfigQuery::default()
    };
    let by_commit = api
        .config_at(&wanted.target.version, &wanted.config, &query)
        .await
        .and_then(|answer| answer.snapshot());
    let first = match by_commit {
        Ok(snapshot) => match judge(&snapshot, wanted) {
            Ok(text) => return Ok(text),
            Err(fault) => fault,
        },
        Err(error) => unreached(&error),
    };
    match api.config(&wanted.config, &query).await {
        Ok(Fetched::Modified(answer)) => match answer.snapshot() {
            Ok(snapshot) => judge(&snapshot, wanted),
            Err(error) => Err(unreached(&error)),
        },
        Ok(Fetched::NotModified(_)) | Err(_) => Err(first),
    }
}

fn judge(snapshot: &SnapshotBody, wanted: &Wanted) -> Result<Arc<str>, ReportError> {
    if let Some(text) = verified(&snapshot.document, &wanted.target.digest) {
        return Ok(text);
    }
    if snapshot.digest == wanted.target.digest {
        let message = format!(
            "the document is not what its digest says, of {}",
            snapshot.version.short()
        );
        return Err(fault(FailPhase::Verify, &message));
    }
    let message = format!(
        "the server has another content for {}",
        wanted.target.version.short()
    );
    Err(fault(FailPhase::Fetch, &message))
}

fn unreached(error: &ApiError) -> ReportError {
    fault(FailPhase::Fetch, &one_line(error))
}

/// The document was dropped, because something newer was told meanwhile.
pub(crate) fn gone() -> ReportError {
    fault(FailPhase::Fetch, "the document is no longer at hand")
}

fn fault(phase: FailPhase, message: &str) -> ReportError {
    ReportError {
        phase,
        message: clip(message),
    }
}
