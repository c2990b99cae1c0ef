//! From a verified delivery to a wake: which repositories it concerns, and whether it was here before.
//!
//! Invariant: whatever a delivery says, all it can cause is that configured repositories are listed anew, or that what
//! is proposed for them is looked at, and that rarely. Ids are remembered only of deliveries that were verified and
//! taken, so that nobody without the secret can fill the memory, and a delivery that was turned away may come again.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use headwater_wire::{BranchName, DeliveryView, HookAnswer, HookName, HookOutcome, RepoName};
use sha2::{Digest, Sha256};
use tokio::sync::{Semaphore, SemaphorePermit};
use tracing::{debug, info, warn};

use crate::cache::Cache;
use crate::clock;
use crate::forge::{Delivery, Expected, Meaning, ProposalNews};
use crate::limits::{Share, Shares};
use crate::proposals::Proposals;
use crate::repo::Repo;
use crate::settings::{HookSettings, Settings};

/// Deliveries remembered of each hook, by id and by content: some days of a busy forge.
const SEEN_MAX: usize = 4_096;
/// Deliveries whose bodies may be in memory at once; each is at most 5 MiB.
const AT_ONCE_MAX: usize = 32;
/// The same from one address: who begins deliveries and does not finish them keeps nobody else's out.
const AT_ONCE_OF_ONE_MAX: usize = 8;

/// All repositories that are followed.
type Repos = BTreeMap<RepoName, Arc<Repo>>;

/// All hooks.
#[derive(Debug)]
pub(crate) struct Hooks {
    by_name: BTreeMap<HookName, Arc<Hook>>,
    slots: Arc<Semaphore>,
    senders: Arc<Shares<IpAddr>>,
}

/// The place of one delivery, for as long as it is taken.
#[derive(Debug)]
pub(crate) struct Slot<'a> {
    _permit: SemaphorePermit<'a>,
    _share: Option<Share<IpAddr>>,
}

/// One hook.
#[derive(Debug)]
pub(crate) struct Hook {
    settings: HookSettings,
    past: Arc<Past>,
}

/// What is kept of a hook when its settings change.
#[derive(Debug)]
struct Past {
    seen: Cache<Mark, ()>,
    refused: AtomicU64,
}

/// What a delivery is known again by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Mark {
    Id(String),
    Content([u8; 32]),
}

/// What a delivery causes.
#[derive(Debug)]
enum Call {
    /// The upstream is listed.
    Ring(Expected),
    /// What is proposed is looked at.
    Look(Arc<Proposals>, ProposalNews),
}

impl Call {
    /// Acts, and says on what.
    fn make(self, repo: &Repo) -> &'static str {
        match self {
            Self::Ring(expected) => {
                repo.bell().ring(expected);
                "a push"
            }
            Self::Look(proposals, news) => {
                proposals.tell(news);
                "a proposal"
            }
        }
    }
}

impl Default for Past {
    fn default() -> Self {
        Self {
            seen: Cache::new(SEEN_MAX),
            refused: AtomicU64::new(0),
        }
    }
}

impl Default for Hooks {
    fn default() -> Self {
        Self {
            by_name: BTreeMap::new(),
            slots: Arc::new(Semaphore::new(AT_ONCE_MAX)),
            senders: Arc::default(),
        }
    }
}

impl Hooks {
    /// The hooks of other settings, with what is remembered of those that stay.
    pub(crate) fn renewed(&self, settings: &Settings) -> Self {
        let renew = |settings: &HookSettings| {
            let known = self.by_name.get(&settings.name);
            let hook = Hook {
                settings: settings.clone(),
                past: known.map_or_else(Arc::default, |hook| hook.past.clone()),
            };
            (settings.name.clone(), Arc::new(hook))
        };
        Self {
            by_name: settings.hooks.iter().map(renew).collect(),
            slots: self.slots.clone(),
            senders: self.senders.clone(),
        }
    }

    /// The hook of an address.
    pub(crate) fn find(&self, name: &str) -> Option<Arc<Hook>> {
        self.by_name.get(name).cloned()
    }

    /// Room for one more body from an address, or what too many of are being read.
    pub(crate) fn slot(&self, sender: Option<IpAddr>) -> Result<Slot<'_>, &'static str> {
        let share = sender.map(|sender| {
            let share = self.senders.take(&sender, AT_ONCE_OF_ONE_MAX);
            share.ok_or("too many deliveries of this address arrive at once")
        });
        let permit = self.slots.try_acquire();
        Ok(Slot {
            _permit: permit.map_err(|_| "too many deliveries arrive at once")?,
            _share: share.transpose()?,
        })
    }
}

impl Hook {
    /// What the operator set.
    pub(crate) fn settings(&self) -> &HookSettings {
        &self.settings
    }

    /// Says that a delivery was refused: the first, and then ever more rarely, since anybody can send one.
    pub(crate) fn note_refused(&self, repos: &Repos) {
        self.remember(self.repos(repos), HookOutcome::Refused, None);
        let (hook, count) = (
            &self.settings.name,
            self.past.refused.fetch_add(1, Ordering::Relaxed) + 1,
        );
        if count.is_power_of_two() {
            let hint = "compare the secret with the one at the forge, and `forge` with what sends it";
            warn!(%hook, count, hint, "{hook}: the signature of a delivery is missing or wrong; refused so far: {count}");
        }
    }

    /// Acts on a delivery, and remembers what became of it. `body` is what it was read from.
    pub(crate) fn take(&self, delivery: &Delivery, body: &[u8], repos: &Repos) -> HookAnswer {
        let answer = self.act(delivery, body, repos);
        let mut concerned: Vec<&Arc<Repo>> = self.concerned(delivery, repos).collect();
        if concerned.is_empty() {
            concerned.extend(self.repos(repos));
        }
        self.remember(concerned, answer.outcome, answer.reason.as_deref());
        answer
    }

    /// Remembers a delivery where people look for it: at these repositories.
    fn remember<'a>(
        &self,
        at: impl IntoIterator<Item = &'a Arc<Repo>>,
        outcome: HookOutcome,
        reason: Option<&str>,
    ) {
        for repo in at {
            repo.bell().remember(DeliveryView {
                at: clock::now(),
                hook: self.settings.name.clone(),
                forge: self.settings.forge.as_str().to_owned(),
                outcome,
                reason: reason.map(str::to_owned),
            });
        }
    }

    /// The repositories of this hook that are followed.
    fn repos<'a>(&'a self, repos: &'a Repos) -> impl Iterator<Item = &'a Arc<Repo>> {
        self.settings.repos.iter().filter_map(|name| repos.get(name))
    }

    fn act(&self, delivery: &Delivery, body: &[u8], repos: &Repos) -> HookAnswer {
        let hook = &self.settings.name;
        let concerned: Vec<&Arc<Repo>> = self.concerned(delivery, repos).collect();
        debug!(%hook, id = delivery.id, event = ?delivery.event, repos = concerned.len(), "a webhook delivery");
        if concerned.is_empty() && delivery.event.meaning(None) != Meaning::Pong {
            return ignored("this hook tells of another repository");
        }
        let mut answer = HookAnswer {
            outcome: HookOutcome::Pong,
            reason: None,
            repos: Vec::new(),
        };
        let mut calls = Vec::new();
        for repo in concerned {
            match delivery.event.meaning(followed(repo).as_ref()) {
                Meaning::Pong => {}
                Meaning::Nothing(reason) => answer = ignored(reason),
                Meaning::Wake(expected) => calls.push((repo, Call::Ring(expected))),
                Meaning::Look(news) => match repo.outward.proposals() {
                    Some(proposals) => calls.push((repo, Call::Look(proposals, news))),
                    None => answer = ignored("no forge is set for which pull requests are judged"),
                },
            }
        }
        if calls.is_empty() {
            return answer;
        }
        if !self.is_new(delivery, body) {
            return ignored("this delivery was taken before");
        }
        let repos = calls.iter().map(|(repo, _)| repo.name().clone()).collect();
        for (repo, call) in calls {
            let what = call.make(repo);
            info!(%hook, repo = %repo.name(), id = delivery.id, "{hook} told of {what} to {}", repo.name());
        }
        HookAnswer {
            outcome: HookOutcome::Accepted,
            reason: None,
            repos,
        }
    }

    /// The repositories of this hook that the delivery speaks of; all of them if it does not say.
    fn concerned<'a>(
        &'a self,
        delivery: &'a Delivery,
        repos: &'a Repos,
    ) -> impl Iterator<Item = &'a Arc<Repo>> {
        let identity = &delivery.repository;
        self.repos(repos).filter(|repo| {
            let settings = repo.settings();
            identity.is_unknown() || identity.is(&settings.upstream.url, settings.forge_repo.as_deref())
        })
    }

    /// Whether this delivery was not taken before. Where its id is not signed, who replays it can give it another, so
    /// its content counts, too.
    fn is_new(&self, delivery: &Delivery, body: &[u8]) -> bool {
        let id = delivery.id.clone().map(Mark::Id);
        let content = self
            .settings
            .forge
            .leaves_id_unsigned()
            .then(|| Mark::Content(Sha256::digest(body).into()));
        // Both are marked, also if the first was known.
        let marks = id.into_iter().chain(content);
        marks.fold(true, |new, mark| new & self.past.seen.put_new(mark, ()))
    }
}

/// The branch that matters: the one that the settings name, else the one that was found to be the default.
fn followed(repo: &Repo) -> Option<BranchName> {
    let named = repo.settings().branch.named().cloned();
    named.or_else(|| repo.branch())
}

fn ignored(reason: &str) -> HookAnswer {
    HookAnswer {
        outcome: HookOutcome::Ignored,
        reason: Some(reason.to_owned()),
        repos: Vec::new(),
    }
}
