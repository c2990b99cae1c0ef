//! What one caller may have at once, and how often it may report, so that nobody takes all there is.
//!
//! Invariant: whoever is over a limit is refused, told and counted, and nobody else notices. What is kept of a caller is gone
//! when it holds nothing and has not reported for a minute. A caller is the name of what he shows (a token, a certificate, the
//! word of an issuer), or, where nobody is asked, the address of his connection. What is deliberately absent: addresses
//! that a proxy tells, since anybody can write such a header.

mod bucket;
mod share;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use headwater_wire::{InstanceId, RepoName};
use tokio::time::Instant;
use tracing::warn;

use crate::metrics::LimitMetrics;
use crate::seldom::Seldom;
use crate::settings::LimitSettings;
use bucket::{Buckets, Rate};

pub(crate) use share::{Share, Shares};

/// How many fourths of all connections one caller may have where nothing else is set, as connections or as watches: the
/// last one is there for everybody else, and an office or a proxy still has most.
const FOURTHS_OF_ONE: usize = 3;
/// Requests of one caller that are answered at once, unless set: a fleet with one token that fetches after a push has some
/// hundred, each for milliseconds.
const REQUESTS_OF_ONE_MAX: usize = 1_024;
/// Reports of one caller within a minute, unless set: a full fleet (100,000 instances) with one token and the usual heartbeat
/// of 30 s sends 200,000.
const REPORTS_OF_ONE_MAX: u32 = 300_000;
/// Reports of one instance within a minute, unless set: it reports each step of each of its configs, some dozen for a
/// change, and a heartbeat each second at the most.
const REPORTS_OF_INSTANCE_MAX: u32 = 600;
/// How long who has too much should wait; by then something of it may have ended.
const COME_BACK: Duration = Duration::from_secs(5);

/// Who takes something.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Holder {
    /// By the name of what he shows.
    Named(Arc<str>),
    /// By where he comes from.
    At(IpAddr),
}

/// A limit of one caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    Connections,
    Watches,
    Requests,
    Reports,
    ReportsOfInstance,
}

impl Limit {
    /// All of them.
    pub(crate) const ALL: [Self; 5] = [
        Self::Connections,
        Self::Watches,
        Self::Requests,
        Self::Reports,
        Self::ReportsOfInstance,
    ];

    /// The key of `[limits]`, and its label in the metrics.
    pub(crate) const fn key(self) -> &'static str {
        match self {
            Self::Connections => "connections_per_address_max",
            Self::Watches => "watches_per_token_max",
            Self::Requests => "requests_per_token_max",
            Self::Reports => "reports_per_token_max",
            Self::ReportsOfInstance => "reports_per_instance_max",
        }
    }
}

/// A limit that somebody has reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reached {
    pub(crate) limit: Limit,
    /// How many there may be.
    pub(crate) max: usize,
    /// After how long it may be otherwise.
    pub(crate) wait: Duration,
}

/// How many one caller may have.
#[derive(Debug, Clone, Copy)]
struct Ceiling {
    /// 0 is no limit.
    max: usize,
    /// Where nobody has set a limit, this machine has none: behind its address is a proxy with everybody, or whoever runs
    /// the service.
    is_set: bool,
}

impl Ceiling {
    fn new(set: Option<usize>, otherwise: usize) -> Self {
        Self {
            max: set.unwrap_or(otherwise),
            is_set: set.is_some(),
        }
    }

    fn of(self, holder: &Holder) -> Option<usize> {
        let is_spared = match holder {
            Holder::Named(_) => false,
            Holder::At(address) => !self.is_set && address.is_loopback(),
        };
        (self.max > 0 && !is_spared).then_some(self.max)
    }
}

/// What callers have, and may; all copies count together.
#[derive(Debug, Clone)]
pub(crate) struct Limits(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    connections: (Ceiling, Shares<Holder>),
    watches: (Ceiling, Shares<Holder>),
    requests: (Ceiling, Shares<Holder>),
    reports: (Ceiling, Buckets<Holder>),
    reports_of_instance: (Option<Rate>, Buckets<(RepoName, InstanceId)>),
    metrics: LimitMetrics,
    told: [Seldom; Limit::ALL.len()],
}

impl Inner {
    fn new(settings: LimitSettings, connections_max: usize) -> Self {
        let most = (connections_max / 4 * FOURTHS_OF_ONE).max(1);
        let rate =
            |set: Option<u32>, otherwise: u32| Ceiling::new(set.map(|set| set as usize), otherwise as usize);
        let of_instance = settings
            .reports_per_instance_max
            .unwrap_or(REPORTS_OF_INSTANCE_MAX);
        Self {
            connections: (
                Ceiling::new(settings.connections_per_address_max, most),
                Shares::default(),
            ),
            watches: (
                Ceiling::new(settings.watches_per_token_max, most),
                Shares::default(),
            ),
            requests: (
                Ceiling::new(settings.requests_per_token_max, REQUESTS_OF_ONE_MAX),
                Shares::default(),
            ),
            reports: (
                rate(settings.reports_per_token_max, REPORTS_OF_ONE_MAX),
                Buckets::default(),
            ),
            reports_of_instance: (Rate::new(of_instance), Buckets::default()),
            metrics: LimitMetrics::default(),
            told: Default::default(),
        }
    }
}

impl Limits {
    /// As the settings say, where there are at most so many connections.
    pub(crate) fn new(settings: LimitSettings, connections_max: usize) -> Self {
        Self(Arc::new(Inner::new(settings, connections_max)))
    }

    /// Those of a listener beside: what it has of connections is counted by itself, and no address may have all of them,
    /// whatever is set for the other.
    pub(crate) fn beside(&self, connections_max: usize) -> Self {
        Self(Arc::new(Inner {
            metrics: self.0.metrics.clone(),
            ..Inner::new(LimitSettings::default(), connections_max)
        }))
    }

    /// How often a limit was reached.
    pub(crate) fn metrics(&self) -> &LimitMetrics {
        &self.0.metrics
    }

    /// One more connection from an address.
    pub(crate) fn connection(&self, network: IpAddr) -> Result<Option<Share<Holder>>, Reached> {
        self.share(Limit::Connections, &self.0.connections, &Holder::At(network))
    }

    /// One more who waits for news: a stream, a socket, a long poll.
    pub(crate) fn watch(&self, holder: &Holder) -> Result<Option<Share<Holder>>, Reached> {
        self.share(Limit::Watches, &self.0.watches, holder)
    }

    /// One more request that is being answered.
    pub(crate) fn request(&self, holder: &Holder) -> Result<Option<Share<Holder>>, Reached> {
        self.share(Limit::Requests, &self.0.requests, holder)
    }

    /// One more report of a caller.
    pub(crate) fn report(&self, holder: &Holder) -> Result<(), Reached> {
        let (ceiling, buckets) = &self.0.reports;
        let max = ceiling.of(holder).and_then(|max| u32::try_from(max).ok());
        let Some(rate) = max.and_then(Rate::new) else {
            return Ok(());
        };
        let taken = buckets.take(holder.clone(), rate, Instant::now());
        taken.map_err(|wait| self.reached(Limit::Reports, rate.per_minute() as usize, wait))
    }

    /// One more report of an instance, by whom ever who may speak for it.
    pub(crate) fn report_of(&self, repo: &RepoName, instance: &InstanceId) -> Result<(), Reached> {
        let (Some(rate), buckets) = &self.0.reports_of_instance else {
            return Ok(());
        };
        let taken = buckets.take((repo.clone(), instance.clone()), *rate, Instant::now());
        taken.map_err(|wait| self.reached(Limit::ReportsOfInstance, rate.per_minute() as usize, wait))
    }

    fn share(
        &self,
        limit: Limit,
        (ceiling, shares): &(Ceiling, Shares<Holder>),
        holder: &Holder,
    ) -> Result<Option<Share<Holder>>, Reached> {
        let Some(max) = ceiling.of(holder) else {
            return Ok(None);
        };
        match shares.take(holder, max) {
            Some(share) => Ok(Some(share)),
            None => Err(self.reached(limit, max, COME_BACK)),
        }
    }

    fn reached(&self, limit: Limit, max: usize, wait: Duration) -> Reached {
        self.0.metrics.reached(limit);
        let mut told = Limit::ALL.iter().zip(&self.0.told);
        if told.any(|(known, told)| *known == limit && told.is_due()) {
            let key = limit.key();
            let hint =
                "`headwater_limited_total` counts them; raise it in `[limits]` if what it does is meant";
            warn!(
                max,
                hint, "somebody has reached `{key}` and was refused, and maybe others"
            );
        }
        Reached { limit, max, wait }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(settings: LimitSettings) -> Limits {
        Limits::new(settings, 8)
    }

    fn at(address: &str) -> IpAddr {
        address.parse().unwrap()
    }

    #[test]
    fn without_a_setting_one_address_leaves_a_fourth_to_others_and_this_machine_has_no_limit() {
        let limits = limits(LimitSettings::default());
        let take = |address: &str| limits.connection(at(address));
        let held: Vec<_> = (0..6).map(|_| take("192.0.2.1").unwrap()).collect();
        let reached = take("192.0.2.1").unwrap_err();
        assert_eq!((reached.limit, reached.max), (Limit::Connections, 6));
        assert!(take("192.0.2.2").is_ok(), "another is unharmed");
        let own: Vec<_> = (0..100).map(|_| take("127.0.0.1").unwrap()).collect();
        assert!(own.iter().all(Option::is_none));
        drop(held);
        assert!(take("192.0.2.1").is_ok());
    }

    #[test]
    fn what_is_set_holds_for_this_machine_too_and_0_for_nobody() {
        let set = LimitSettings {
            connections_per_address_max: Some(1),
            watches_per_token_max: Some(0),
            ..LimitSettings::default()
        };
        let limits = limits(set);
        let held = limits.connection(at("127.0.0.1")).unwrap();
        assert!(limits.connection(at("127.0.0.1")).is_err());
        drop(held);
        let holder = Holder::Named("fleet".into());
        let watches: Vec<_> = (0..1_000).map(|_| limits.watch(&holder).unwrap()).collect();
        assert!(watches.iter().all(Option::is_none));
    }
}
