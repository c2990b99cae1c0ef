//! A look at one config for one watcher, which asks the mirror and the upstream where it must.

use std::sync::Arc;

use headwater_core::{Answer as Compared, Freshness, Token};
use headwater_wire::ConfigName;

use super::extract::Asker;
use super::problem::Result;
use super::watch::{FRESH_DEADLINE, replica_behind, told};
use crate::pipeline::Fresh;
use crate::publish::{Published, Told};
use crate::repo::Repo;

/// What a look at one config found: what the asker should hold, if there is such a config, and how that stands to what
/// he holds.
pub(super) struct Seen {
    /// What was read.
    pub published: Arc<Published>,
    /// What the asker should hold, and how it stands to what he holds.
    pub told: Option<(Told, Compared)>,
}

/// Compares one config with what the client was told, and asks the mirror and the upstream for what is not known.
pub(super) async fn look_until_known(
    repo: &Repo,
    asker: &Asker,
    config: &ConfigName,
    held: Option<&Token>,
) -> Result<Seen> {
    let mut freshness = Freshness::NotAsked;
    loop {
        let published = repo.board.read();
        let Ok(told) = told(repo, &published, config, asker.who()) else {
            return Ok(Seen {
                published,
                told: None,
            });
        };
        let token = told.token(told.exposed.config.select(&asker.labels));
        match repo.compare(held, (config, &told), &token, freshness).await? {
            Compared::AskUpstream => {
                freshness = match repo.fresh_listing(FRESH_DEADLINE).await? {
                    Fresh::Listed => Freshness::Fresh,
                    Fresh::Failed => Freshness::Failed,
                };
            }
            Compared::ReplicaBehind => return Err(replica_behind(&published)),
            compared @ (Compared::UpToDate | Compared::Hold | Compared::Target(_)) => {
                return Ok(Seen {
                    published,
                    told: Some((told, compared)),
                });
            }
        }
    }
}
