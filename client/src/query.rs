//! What a call may ask for, each as one value with named parts.
//!
//! Invariant: the default of every part asks for nothing special, so that `…Query::default()` is the plain call.

use std::collections::BTreeMap;
use std::time::Duration;

use headwater_render::Format;
use headwater_wire::{CommitId, ConfigName, Drift, InstanceId, Liveness, RolloutState, StateWanted};

use crate::address::PathBuilder;
use crate::answer::Token;

/// Labels of the instance that asks; they choose the variant.
pub type Labels = BTreeMap<String, String>;

/// Which config, for whom, and how.
#[derive(Debug, Clone, Default)]
pub struct ConfigQuery {
    /// Who asks; decides the stage of a rollout.
    pub instance: Option<InstanceId>,
    /// Labels of who asks.
    pub labels: Labels,
    /// JSON pointer of one value.
    pub pointer: Option<String>,
    /// Answer with the bare document in this format, instead of a snapshot body.
    pub format: Option<Format>,
    /// Hold the answer this long while nothing changes; whole seconds, 1 to 300.
    pub wait: Option<Duration>,
    /// What the client holds: the answer is `NotModified` as long as that is right.
    pub if_none_match: Option<Token>,
    /// Wait until this commit or a descendant of it is published.
    pub min_version: Option<CommitId>,
}

/// How long the server waits for a version where no wait is said.
const WAIT_DEFAULT: Duration = Duration::from_secs(50);

impl ConfigQuery {
    /// How long the server may hold the answer.
    pub(crate) fn longest_wait(&self) -> Duration {
        self.wait
            .or(self.min_version.as_ref().map(|_| WAIT_DEFAULT))
            .unwrap_or_default()
    }

    /// The parts that also a read by commit takes.
    pub(crate) fn rendering(&self, path: PathBuilder) -> PathBuilder {
        let path = with_labels(path, &self.labels);
        path.query_opt("pointer", self.pointer.as_deref())
            .query_opt("format", self.format)
    }

    pub(crate) fn all(&self, path: PathBuilder) -> PathBuilder {
        self.rendering(path.query_opt("instance", self.instance.as_ref()))
            .query_opt("wait", self.wait.map(|wait| wait.as_secs().clamp(1, 300)))
            .query_opt("min_version", self.min_version.as_ref())
    }
}

/// Which page of the history.
#[derive(Debug, Clone, Default)]
pub struct CommitsQuery {
    /// Only commits that changed this config.
    pub config: Option<ConfigName>,
    /// At most so many.
    pub limit: Option<u32>,
    /// Only commits older than this one: the `next` of the page before.
    pub before: Option<CommitId>,
}

impl CommitsQuery {
    pub(crate) fn all(&self, path: PathBuilder) -> PathBuilder {
        path.query_opt("config", self.config.as_ref())
            .query_opt("limit", self.limit)
            .query_opt("before", self.before.as_ref())
    }
}

/// Which two revisions to compare.
#[derive(Debug, Clone)]
pub struct DiffQuery {
    /// Revision compared from.
    pub from: String,
    /// Revision compared to.
    pub to: String,
    /// Only this config.
    pub config: Option<ConfigName>,
}

impl DiffQuery {
    pub(crate) fn all(&self, path: PathBuilder) -> PathBuilder {
        path.query("from", &self.from)
            .query("to", &self.to)
            .query_opt("config", self.config.as_ref())
    }
}

/// Which values to explain, at which commit, for whom.
#[derive(Debug, Clone, Default)]
pub struct ExplainQuery {
    /// Only the values at or below this JSON pointer.
    pub pointer: Option<String>,
    /// Revision; the tip if none.
    pub at: Option<String>,
    /// Labels which choose the variant.
    pub labels: Labels,
}

impl ExplainQuery {
    pub(crate) fn all(&self, path: PathBuilder) -> PathBuilder {
        let path = path
            .query_opt("pointer", self.pointer.as_deref())
            .query_opt("at", self.at.as_deref());
        with_labels(path, &self.labels)
    }
}

/// Which instances. What is said of a config must hold for one and the same config.
#[derive(Debug, Clone, Default)]
pub struct InstancesQuery {
    /// Only those that report this config.
    pub config: Option<ConfigName>,
    /// Only those where a config is in this state; `unknown` finds those that were not heard of lately.
    pub state: Option<StateWanted>,
    /// Only those that run this version: a commit, a unique beginning of one, or another revision.
    pub version: Option<String>,
    /// Only those that were heard of like this.
    pub liveness: Option<Liveness>,
    /// Only those where this is so of what they run.
    pub drift: Option<Drift>,
    /// Only those that have all these labels, whose values are globs.
    pub labels: Labels,
    /// At most so many.
    pub limit: Option<u32>,
    /// Only those behind this one: the `next` of the page before.
    pub after: Option<InstanceId>,
}

impl InstancesQuery {
    pub(crate) fn all(&self, path: PathBuilder) -> PathBuilder {
        let path = path
            .query_opt("config", self.config.as_ref())
            .query_opt("state", self.state.map(StateWanted::as_str))
            .query_opt("version", self.version.as_deref())
            .query_opt("liveness", self.liveness.map(Liveness::as_str))
            .query_opt("drift", self.drift.map(Drift::as_str));
        with_labels(path, &self.labels)
            .query_opt("limit", self.limit)
            .query_opt("after", self.after.as_ref())
    }
}

/// Which rollouts.
#[derive(Debug, Clone, Default)]
pub struct RolloutsQuery {
    /// Only those of this config.
    pub config: Option<ConfigName>,
    /// Only those in this state.
    pub state: Option<RolloutState>,
}

impl RolloutsQuery {
    pub(crate) fn all(&self, path: PathBuilder) -> PathBuilder {
        path.query_opt("config", self.config.as_ref())
            .query_opt("state", self.state.map(RolloutState::as_str))
    }
}

/// Whether events carry documents.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Inline {
    /// Only small ones, up to 4 KiB.
    #[default]
    Small,
    /// Up to 256 KiB.
    Large,
}

/// Which events, for whom, from where on.
#[derive(Debug, Clone, Default)]
pub struct EventsQuery {
    /// Configs to watch; at least one.
    pub configs: Vec<ConfigName>,
    /// Who watches.
    pub instance: Option<InstanceId>,
    /// Labels of who watches.
    pub labels: Labels,
    /// Whether events carry documents.
    pub inline: Inline,
    /// Id of the last event that was heard, as the stream spelled it.
    pub last_event_id: Option<String>,
}

impl EventsQuery {
    pub(crate) fn all(&self, path: PathBuilder) -> PathBuilder {
        let path = self
            .configs
            .iter()
            .fold(path, |path, config| path.query("config", config.as_str()));
        let inline = (self.inline == Inline::Large).then_some("1");
        with_labels(path.query_opt("instance", self.instance.as_ref()), &self.labels)
            .query_opt("inline", inline)
    }
}

fn with_labels(path: PathBuilder, labels: &Labels) -> PathBuilder {
    labels.iter().fold(path, |path, (key, value)| {
        path.query(&format!("label.{key}"), value)
    })
}
