//! What the local address knows besides the values: where each config stands, in the words of the report.

use std::sync::Arc;

use headwater_wire::{ConfigName, InstanceId, RepoName};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::board::Board;
use super::listen::Desk;
use crate::{Client, Transport};

/// The agent as its local address shows it.
pub(crate) struct AgentDesk {
    pub(crate) client: Client,
    pub(crate) repo: RepoName,
    pub(crate) instance: InstanceId,
    pub(crate) configs: Vec<ConfigName>,
    pub(crate) board: watch::Receiver<Arc<Board>>,
}

impl Desk for AgentDesk {
    fn status(&self) -> Value {
        let standing = self.client.status();
        json!({
            "client": super::run::PROGRAM,
            "repo": self.repo,
            "instance": self.instance,
            "transport": standing.transport.map(Transport::as_str),
            "error": standing.error,
            "superseded": standing.superseded,
            "trouble": standing.trouble,
            "configs": standing.configs,
        })
    }

    fn retry(&self, config: &ConfigName) -> bool {
        if !self.configs.contains(config) {
            return false;
        }
        let (client, config) = (self.client.clone(), config.clone());
        tokio::spawn(async move { client.retry(&config).await });
        true
    }

    fn missing(&self) -> Vec<ConfigName> {
        let board = self.board.borrow();
        let missing = self.configs.iter().filter(|config| board.get(config).is_none());
        missing.cloned().collect()
    }
}
