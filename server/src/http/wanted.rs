//! What a watcher asks for, read from its address.

use std::sync::Arc;

use headwater_wire::ConfigName;

use super::extract::{self, Asker, Pairs};
use super::problem::{Result, bad_request};
use super::state::App;
use crate::auth::Identity;
use crate::repo::Repo;

/// Documents up to this many bytes are told with the event.
pub(super) const INLINE_BYTES_DEFAULT: usize = 4 << 10;
/// The same where the client asks for it by `inline=1`.
const INLINE_BYTES_MAX: usize = 256 << 10;
/// Configs one feed may name.
const CONFIGS_MAX: usize = 256;

/// What a watcher asks for.
#[derive(Debug)]
pub(super) struct Wanted {
    /// Repository.
    pub repo: Arc<Repo>,
    /// Who asks.
    pub asker: Asker,
    /// What is watched.
    pub configs: Vec<ConfigName>,
    /// Documents up to this many bytes are told with the event.
    pub inline_bytes_max: usize,
    /// What the client says it holds.
    pub held: Option<String>,
    /// Whoever asks, where anybody is asked.
    pub identity: Option<Identity>,
}

impl Wanted {
    /// The same, for the holder of a token.
    pub(super) fn of(self, identity: Option<Identity>) -> Self {
        Self { identity, ..self }
    }

    /// Reads the query; `last_event_id` is what the client holds, and wins over `have`.
    pub(super) fn read(
        app: &App,
        repo: &str,
        query: Option<&str>,
        last_event_id: Option<&str>,
    ) -> Result<Self> {
        let repo = extract::repo(app, repo)?;
        let pairs = Pairs::read(query)?;
        let mut configs: Vec<ConfigName> = Vec::new();
        for config in pairs.all("config").map(extract::config) {
            let config = config?;
            if !configs.contains(&config) && configs.len() <= CONFIGS_MAX {
                configs.push(config);
            }
        }
        if configs.is_empty() || configs.len() > CONFIGS_MAX {
            let hint =
                format!("name 1 to {CONFIGS_MAX} configs: `?config=payments/prod&config=feature-flags`");
            return Err(bad_request("a stream needs to know what to watch", hint));
        }
        let inline_bytes_max = if pairs.get("inline") == Some("1") {
            INLINE_BYTES_MAX
        } else {
            INLINE_BYTES_DEFAULT
        };
        let held = last_event_id.or(pairs.get("have")).map(str::to_owned);
        Ok(Self {
            asker: Asker::known_to(&repo, &pairs)?,
            repo,
            configs,
            inline_bytes_max,
            held,
            identity: None,
        })
    }
}
