//! The forges we speak to: started, replaced and ended with the settings.
//!
//! Invariant: nobody waits for a forge. A forge whose settings cannot be used is said and left out; everything else
//! goes on.

use std::collections::BTreeMap;
use std::sync::Arc;

use headwater_wire::RepoName;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::warn;

use super::api::ForgeApi;
use super::desk::{Desk, Words, follow, tell};
use super::rollout;
use crate::proposals::Proposals;
use crate::proposals::work::Work;
use crate::repo::Repo;
use crate::settings::{ForgeSettings, PullRequests, Settings};

/// All forges that are spoken to. Dropping it ends them.
#[derive(Debug, Default)]
pub(crate) struct Outbound {
    running: BTreeMap<String, Running>,
}

#[derive(Debug)]
struct Running {
    settings: ForgeSettings,
    words: Words,
    repo: Arc<Repo>,
    _stop: DropGuard,
}

impl Outbound {
    /// Speaks to the forges of these settings, and no longer to others.
    pub(crate) fn renew(&mut self, settings: &Settings, repos: &BTreeMap<RepoName, Arc<Repo>>) {
        let mut before = std::mem::take(&mut self.running);
        let mut spoken_for = Vec::new();
        for forge in &settings.forges {
            let Some(repo) = repos.get(&forge.repo) else {
                continue;
            };
            let words = words(settings, forge);
            spoken_for.push(forge.repo.clone());
            let same = |running: &Running| {
                running.settings == *forge && running.words == words && Arc::ptr_eq(&running.repo, repo)
            };
            if let Some(running) = before.remove(&forge.name).filter(same) {
                self.running.insert(forge.name.clone(), running);
                continue;
            }
            match ForgeApi::new(forge) {
                Ok(api) => {
                    let running = start(forge, words, repo, Arc::new(api));
                    self.running.insert(forge.name.clone(), running);
                }
                Err(error) => {
                    warn!(forge = forge.name, hint = error.hint(), "{}: {error}", forge.name);
                    repo.outward.set_forge(None, None);
                }
            }
        }
        for (name, repo) in repos {
            if !spoken_for.contains(name) {
                repo.outward.set_forge(None, None);
            }
        }
    }
}

fn words(settings: &Settings, forge: &ForgeSettings) -> Words {
    let repo_url = settings.public_url.as_ref().map(|url| {
        let base = url.trim_end_matches('/');
        format!("{base}/v1/repos/{}", forge.repo)
    });
    Words {
        context: forge.context.clone(),
        repo_url,
    }
}

fn start(settings: &ForgeSettings, words: Words, repo: &Arc<Repo>, api: Arc<ForgeApi>) -> Running {
    let (desk, stop) = (Arc::new(Desk::default()), CancellationToken::new());
    let proposals = (settings.pull_requests == PullRequests::Judge).then(Arc::<Proposals>::default);
    repo.outward.set_forge(Some(api.clone()), proposals.clone());
    tokio::spawn(tell(repo.clone(), (api.clone(), desk.clone()), stop.clone()));
    tokio::spawn(follow(repo.clone(), desk.clone(), words.clone(), stop.clone()));
    tokio::spawn(rollout::follow(
        repo.clone(),
        desk.clone(),
        words.clone(),
        stop.clone(),
    ));
    if let Some(proposals) = proposals {
        let work = Work {
            repo: repo.clone(),
            proposals,
            api,
            desk,
            words: words.clone(),
            relist: settings.relist,
        };
        tokio::spawn(work.run(stop.clone()));
    }
    Running {
        settings: settings.clone(),
        words,
        repo: repo.clone(),
        _stop: stop.drop_guard(),
    }
}
