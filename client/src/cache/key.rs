//! Whose state it is, and the name of its directory.
//!
//! Invariant: two keys that differ in anything have two directories, also where names differ only in what a file
//! system cannot tell apart.

use headwater_render::{canonical, digest};
use headwater_wire::{ConfigName, InstanceId, RepoName};
use serde::{Deserialize, Serialize};

/// Longest readable part of a directory's name, in bytes.
const PREFIX_LEN_MAX: usize = 48;
/// Hex digits of the hash in a directory's name: 128 bits.
const HASH_LEN: usize = 32;

/// Who is served what from where; together they name one state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheKey {
    /// Address of the server, or what stands for several of them.
    pub server: String,
    /// Repository.
    pub repo: RepoName,
    /// Config.
    pub config: ConfigName,
    /// Instance, which may have been assigned a version of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<InstanceId>,
}

impl CacheKey {
    pub(super) fn directory(&self) -> String {
        directory(self.config.as_str(), self)
    }
}

/// A name with a part that people recognise and a hash over the whole key.
pub(super) fn directory(readable: &str, key: &impl Serialize) -> String {
    let prefix: String = readable
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .take(PREFIX_LEN_MAX)
        .collect();
    // A key is names and texts, which always have a JSON form.
    let key = serde_json::to_value(key).unwrap_or_default();
    let digest = digest(&canonical(&key));
    let hash: String = digest.hex().chars().take(HASH_LEN).collect();
    format!("{prefix}-{hash}")
}
