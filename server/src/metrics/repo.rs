//! What one repository counts as it happens: listings, verdicts, and how long news takes on its way.
//!
//! Invariant: counting never waits and never fails. The handles of a repository are looked up once, when it is
//! started.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use headwater_validators::catalogue;
use headwater_wire::{ConfigName, Generation, RepoName, SourceState};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::{OfRepo, long_histogram, short_histogram};
use crate::cache::Cache;
use crate::judge::Judged;

/// Directives whose first telling is remembered: the newest few of every config of a large repository.
const BEGUN_MAX: usize = 16_384;

/// The two ways a verdict ends.
const VALID: &str = "valid";
const INVALID: &str = "invalid";
/// The label of a finding whose code this version cannot explain; it comes from a verdict that was kept by another.
const UNEXPLAINED: &str = "other";

/// A repository and one word.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfWord {
    repo: String,
    result: &'static str,
}

/// A repository and a code of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfCode {
    repo: String,
    code: &'static str,
}

/// The families of all repositories.
#[derive(Debug, Clone)]
pub(super) struct Families {
    listings: Family<OfWord, Counter>,
    verdicts: Family<OfWord, Counter>,
    findings: Family<OfCode, Counter>,
    verdict_seconds: Family<OfRepo, Histogram, fn() -> Histogram>,
    admission_seconds: Family<OfRepo, Histogram, fn() -> Histogram>,
    wake_seconds: Family<OfRepo, Histogram, fn() -> Histogram>,
    propagation_seconds: Family<OfRepo, Histogram, fn() -> Histogram>,
}

impl Default for Families {
    fn default() -> Self {
        Self {
            listings: Family::default(),
            verdicts: Family::default(),
            findings: Family::default(),
            verdict_seconds: Family::new_with_constructor(short_histogram),
            admission_seconds: Family::new_with_constructor(short_histogram),
            wake_seconds: Family::new_with_constructor(short_histogram),
            propagation_seconds: Family::new_with_constructor(long_histogram),
        }
    }
}

impl Families {
    pub(super) fn of(&self, repo: &RepoName) -> RepoMetrics {
        let of = OfRepo {
            repo: repo.to_string(),
        };
        RepoMetrics {
            verdict_seconds: self.verdict_seconds.get_or_create_owned(&of),
            admission_seconds: self.admission_seconds.get_or_create_owned(&of),
            wake_seconds: self.wake_seconds.get_or_create_owned(&of),
            propagation_seconds: self.propagation_seconds.get_or_create_owned(&of),
            repo: of.repo,
            families: self.clone(),
            is_forgotten: Arc::new(AtomicBool::new(false)),
            begun: Arc::new(Cache::new(BEGUN_MAX)),
        }
    }

    fn forget(&self, repo: String) {
        for state in SourceState::ALL {
            self.listings.remove(&of_word(&repo, state.as_str()));
        }
        for result in [VALID, INVALID] {
            self.verdicts.remove(&of_word(&repo, result));
        }
        for code in catalogue::all()
            .map(|explanation| explanation.code)
            .chain([UNEXPLAINED])
        {
            let repo = repo.clone();
            self.findings.remove(&OfCode { repo, code });
        }
        let of = OfRepo { repo };
        self.verdict_seconds.remove(&of);
        self.admission_seconds.remove(&of);
        self.wake_seconds.remove(&of);
        self.propagation_seconds.remove(&of);
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "listings",
            "Rounds of listing and following the upstream, by the state they ended in; `ok` is well",
            self.listings.clone(),
        );
        registry.register(
            "verdicts",
            "Verdicts on commits of the branch that were worked out",
            self.verdicts.clone(),
        );
        registry.register(
            "findings",
            "Findings of those verdicts, by code; `headwater explain-code` tells of each",
            self.findings.clone(),
        );
        let timed = [
            (
                "verdict_duration",
                "How long a verdict took",
                &self.verdict_seconds,
            ),
            (
                "admission_duration",
                "From the listing that found a new head to its content being exposed",
                &self.admission_seconds,
            ),
            (
                "wake_duration",
                "From a change being exposed to the moment when a watcher that waited was told",
                &self.wake_seconds,
            ),
            (
                "propagation_duration",
                "From the first word about new content to an instance's report that it runs it",
                &self.propagation_seconds,
            ),
        ];
        for (name, help, family) in timed {
            registry.register_with_unit(name, help, Unit::Seconds, family.clone());
        }
    }
}

/// What one repository counts.
#[derive(Debug, Clone)]
pub(crate) struct RepoMetrics {
    repo: String,
    families: Families,
    verdict_seconds: Histogram,
    admission_seconds: Histogram,
    wake_seconds: Histogram,
    propagation_seconds: Histogram,
    /// The repository is no longer followed; what ends only now must not bring its series back.
    is_forgotten: Arc<AtomicBool>,
    /// When a directive was first told to anybody.
    begun: Arc<Cache<(ConfigName, Generation), Instant>>,
}

impl RepoMetrics {
    /// Forgets what was counted, and counts no more: the repository is no longer followed.
    pub(crate) fn forget(&self) {
        self.is_forgotten.store(true, Ordering::Relaxed);
        self.families.forget(self.repo.clone());
    }

    /// A round of the pipeline has ended.
    pub(crate) fn listed(&self, state: SourceState) {
        self.count(&self.families.listings, state.as_str());
    }

    /// A verdict was worked out.
    pub(crate) fn judged(&self, judged: &Judged, took: Duration) {
        let result = if judged.valid.is_some() { VALID } else { INVALID };
        self.count(&self.families.verdicts, result);
        self.verdict_seconds.observe(took.as_secs_f64());
        if self.is_forgotten.load(Ordering::Relaxed) {
            return;
        }
        for finding in &judged.findings {
            let of = OfCode {
                repo: self.repo.clone(),
                code: catalogue::find(&finding.code).map_or(UNEXPLAINED, |explanation| explanation.code),
            };
            self.families.findings.get_or_create(&of).inc();
        }
    }

    /// What a listing found is exposed.
    pub(crate) fn exposed(&self, since_listing: Duration) {
        self.admission_seconds.observe(since_listing.as_secs_f64());
    }

    /// A watcher that waited is told of what changed then.
    pub(crate) fn woke(&self, changed: Instant) {
        self.wake_seconds.observe(changed.elapsed().as_secs_f64());
    }

    /// Somebody is told a directive; the first time is when its way begins.
    pub(crate) fn told(&self, config: &ConfigName, generation: Generation) {
        self.begun.put_new((config.clone(), generation), Instant::now());
    }

    /// An instance that ran something else says that it runs what the directive told.
    pub(crate) fn arrived(&self, config: &ConfigName, generation: Generation) {
        if let Some(begun) = self.begun.get(&(config.clone(), generation)) {
            self.propagation_seconds.observe(begun.elapsed().as_secs_f64());
        }
    }

    fn count(&self, family: &Family<OfWord, Counter>, result: &'static str) {
        if !self.is_forgotten.load(Ordering::Relaxed) {
            family.get_or_create(&of_word(&self.repo, result)).inc();
        }
    }
}

fn of_word(repo: &str, result: &'static str) -> OfWord {
    OfWord {
        repo: repo.to_owned(),
        result,
    }
}
