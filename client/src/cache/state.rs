//! The state file: a few hundred bytes that name the documents beside it.
//!
//! Invariant: a state that was read is bit for bit one that was written, for this key, in this format: it carries its
//! own digest.

use std::collections::BTreeSet;
use std::path::Path;

use headwater_render::{canonical, digest};
use headwater_wire::{CommitId, Digest, Generation, Phase};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::key::CacheKey;
use super::trouble::CacheTrouble;

/// Format of the file. A later one may hold what this version would lose, so it is not read.
const FORMAT: u64 = 1;
/// Digests remembered as crashed; older ones are forgotten, since they are long superseded.
const CRASHED_MAX: usize = 16;

/// Content, and what was said when it was assigned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Token, for the next conditional request.
    pub token: String,
    /// Commit at which the content became what it is.
    pub version: CommitId,
    /// Digest of the document.
    pub digest: Digest,
    /// Fence number it was assigned with.
    pub generation: Generation,
}

/// Content on probation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// The content.
    pub kept: Kept,
    /// Lives of the program that ran it and have not confirmed it, the present one included.
    pub starts: u32,
}

/// The highest fence number that was heard, and what came with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Fence number.
    pub generation: Generation,
    /// Phase it named.
    pub phase: Phase,
    /// Version it named.
    pub version: CommitId,
}

/// Everything that one config keeps over a restart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedState {
    /// The fence: what is below it is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Seen>,
    /// The last known good: content that survived its probation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed: Option<Kept>,
    /// Content that was applied and is on probation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<Trial>,
    /// Content that is checked and waits for the word to activate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staged: Option<Kept>,
    /// Content with which the program died again and again, oldest first; the newest 16 are kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub crashed: Vec<Digest>,
}

impl SavedState {
    /// The documents it names.
    pub(super) fn named(&self) -> BTreeSet<&Digest> {
        let trial = self.trial.as_ref().map(|trial| &trial.kept);
        let kept = [self.confirmed.as_ref(), trial, self.staged.as_ref()];
        kept.into_iter().flatten().map(|kept| &kept.digest).collect()
    }

    pub(super) fn bounded(&self) -> Self {
        let mut state = self.clone();
        state
            .crashed
            .drain(..state.crashed.len().saturating_sub(CRASHED_MAX));
        state
    }

    /// Takes the fence of another state of the same config if that one is higher.
    pub(super) fn raise_fence(&mut self, other: Option<Seen>) {
        let generation = |seen: &Option<Seen>| seen.as_ref().map(|seen| seen.generation);
        if generation(&other) > generation(&self.seen) {
            self.seen = other;
        }
    }
}

/// What the digest covers.
#[derive(Serialize, Deserialize)]
struct Body {
    key: CacheKey,
    state: SavedState,
}

pub(super) fn encode(state: &SavedState, key: &CacheKey) -> String {
    let body = Body {
        key: key.clone(),
        state: state.clone(),
    };
    // Names, texts and numbers always have a JSON form.
    let body = serde_json::to_value(body).unwrap_or_default();
    let digest = digest(&canonical(&body));
    let file = serde_json::json!({ "format": FORMAT, "digest": digest, "body": body });
    canonical(&file)
}

pub(super) fn decode(bytes: &[u8], key: &CacheKey, path: &Path) -> Result<SavedState, CacheTrouble> {
    let broken = |what| CacheTrouble::Broken {
        path: path.to_owned(),
        what,
    };
    let file: Value = serde_json::from_slice(bytes).map_err(|_| broken("it is not JSON"))?;
    let format = file.get("format").and_then(Value::as_u64);
    match format {
        Some(FORMAT) => {}
        Some(found) if found > FORMAT => {
            return Err(CacheTrouble::NewerFormat {
                path: path.to_owned(),
                found,
            });
        }
        Some(_) | None => return Err(broken("it does not say its format")),
    }
    let body = file.get("body").ok_or_else(|| broken("it has no content"))?;
    if file.get("digest").and_then(Value::as_str) != Some(digest(&canonical(body)).as_str()) {
        return Err(broken("it is not what its digest says"));
    }
    let body: Body =
        serde_json::from_value(body.clone()).map_err(|_| broken("it does not hold what a state holds"))?;
    if body.key == *key {
        Ok(body.state)
    } else {
        Err(CacheTrouble::OtherKey {
            path: path.to_owned(),
        })
    }
}
