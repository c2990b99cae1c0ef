//! The state file: a few hundred bytes that name the documents beside it.
//!
//! Invariant: a state that was read is bit for bit one that was written, for this key, in this format: it carries its
//! own digest.

use std::collections::BTreeSet;
use std::path::Path;

use headwater_render::{canonical, digest};
use headwater_wire::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::key::CacheKey;
use super::trouble::CacheTrouble;
use crate::engine::{Fence, SavedState};

/// Format of the file. A later one may hold what this version would lose, so it is not read.
const FORMAT: u64 = 1;
/// Digests remembered as crashed; older ones are forgotten, since they are long superseded.
const CRASHED_MAX: usize = 16;

/// The documents that a state names.
pub(super) fn named(state: &SavedState) -> BTreeSet<&Digest> {
    state.digests().collect()
}

pub(super) fn bounded(state: &SavedState) -> SavedState {
    let mut state = state.clone();
    state
        .crashed
        .drain(..state.crashed.len().saturating_sub(CRASHED_MAX));
    state
}

/// Takes the fence of another state of the same config if that one is higher.
pub(super) fn raise_fence(state: &mut SavedState, other: Option<Fence>) {
    let generation = |fence: &Option<Fence>| fence.as_ref().map(|fence| fence.generation);
    if generation(&other) > generation(&state.fence) {
        state.fence = other;
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
