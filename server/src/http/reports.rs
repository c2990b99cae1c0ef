//! A report of state: what is taken, and what it is answered. The PUT and the socket are two doors to it.
//!
//! Invariant: what an instance is told to hold follows from what it says it runs by the same comparison as a watch, so
//! a replica that lags never takes it backwards: a config it cannot be sure of is left out. What is deliberately
//! absent: a disk; reports are remembered in memory, and the next heartbeats tell them again.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::Duration;

use headwater_core::{Answer as Compared, FenceCheck, Freshness, NotTaken, REPORT_CONFIGS_MAX, Taken, Token};
use headwater_wire::{
    ChangeKind, ConfigName, ConfigReport, FailPhase, Generation, InstanceId, InstanceReport, Problem,
    ProblemCode, ReportAnswerWith, ReportState, VersionEventWith,
};
use serde_json::value::RawValue;
use tracing::{debug, warn};

use super::body::JsonBody;
use super::extract::{LABELS_MAX, is_label};
use super::feed::{raw, version_event};
use super::problem::{Answer, Result, bad_request};
use super::wanted::INLINE_BYTES_DEFAULT;
use super::watch::{FRESH_DEADLINE, last_change};
use crate::limits::{Holder, Limits};
use crate::pipeline::Fresh;
use crate::publish::{Published, Told};
use crate::repo::Repo;
use crate::trace::Ack;

/// Largest report, in bytes.
pub(super) const REPORT_BYTES_MAX: usize = 256 << 10;
/// Longest wait for a fence to be raised; the pipeline may be in the middle of a fetch, and the next heartbeat is soon.
const RAISE_DEADLINE: Duration = Duration::from_secs(3);
/// Largest number of a report: beyond it, programs that read numbers as doubles would take two for one.
const NUMBER_MAX: u64 = (1 << 53) - 1;

/// Refuses who reports more often than he may. Asked before a report is read, which costs more.
pub(super) fn refuse_flood(limits: &Limits, holder: Option<&Holder>) -> Result<()> {
    match holder {
        Some(holder) => Ok(limits.report(holder)?),
        None => Ok(()),
    }
}

/// Reads a report.
pub(super) fn read(body: &JsonBody) -> Result<InstanceReport> {
    let form = "send {\"incarnation\": 1, \"seq\": 1, \"configs\": {…}}; docs/api.md has the whole form";
    let report = body.read(("the report", form))?;
    check(&report)?;
    Ok(report)
}

/// Refuses what no honest program sends.
pub(super) fn check(report: &InstanceReport) -> Result<()> {
    if report.configs.len() > REPORT_CONFIGS_MAX {
        let detail = format!("the report names {} configs", report.configs.len());
        return Err(bad_request(
            detail,
            format!("report at most {REPORT_CONFIGS_MAX} configs"),
        ));
    }
    let labels = &report.labels;
    if labels.len() > LABELS_MAX || !labels.iter().all(|(key, value)| is_label(key, value)) {
        let hint = "as in a query: few labels, without control characters, up to 256 bytes each";
        return Err(bad_request("the labels of the report are not valid", hint));
    }
    let generations = report.configs.values().map(|config| config.generation.0);
    let numbers = generations.chain([report.incarnation, report.seq]);
    if numbers.into_iter().any(|number| number > NUMBER_MAX) {
        return Err(bad_request(
            "a number of the report is too large",
            format!("incarnation, seq and generations end at {NUMBER_MAX}"),
        ));
    }
    Ok(())
}

/// Takes a report and works out the answer.
pub(super) async fn take(
    repo: &Repo,
    instance: &InstanceId,
    report: InstanceReport,
) -> Result<ReportAnswerWith<Box<RawValue>>> {
    // What is compared is what this report says, also where a newer one was taken before.
    let (configs, labels) = (report.configs.clone(), report.labels.clone());
    let taken = remember(repo, instance, report);
    let ((taken, newest), heartbeat_ms) = taken.map_err(|why| not_taken(repo, instance, why))?;
    if taken != Taken::Older {
        let published = repo.board.read();
        if configs
            .keys()
            .any(|config| published.state.moving_of(config).is_some())
        {
            repo.rollouts.wake();
        }
        raise_fences(repo, (instance, &labels), &configs).await;
    }
    let mut assigner = Assigner {
        repo,
        instance,
        labels,
        freshness: Freshness::NotAsked,
        assignments: Vec::new(),
        unknown: Vec::new(),
    };
    assigner.assign(&configs).await;
    if taken != Taken::Older {
        let told = assigner.assignments.iter();
        repo.told(
            instance,
            told.map(|assigned| (&assigned.config, assigned.generation)),
        );
    }
    Ok(ReportAnswerWith {
        accepted: taken != Taken::Older,
        incarnation: newest.0,
        seq: newest.1,
        heartbeat_ms,
        assignments: assigner.assignments,
        unknown: assigner.unknown,
    })
}

/// Configs of which the instance runs another version than it said before, with the directive that it has taken.
fn arrived<'a>(
    before: &BTreeMap<ConfigName, ConfigReport>,
    now: &'a BTreeMap<ConfigName, ConfigReport>,
) -> impl Iterator<Item = (&'a ConfigName, Generation)> {
    let version = |report: &ConfigReport| report.running.as_ref().map(|running| running.version.clone());
    let runs_another = move |(config, report): &(&ConfigName, &ConfigReport)| {
        let before = before.get(*config).and_then(version);
        before.is_some() && before != version(report)
    };
    let arrived = now.iter().filter(runs_another);
    arrived.map(|(config, report)| (config, report.generation))
}

/// What the instance says for the first time of versions: that it runs one for good, or that it does not.
fn acks<'a>(
    (before, now): (
        &BTreeMap<ConfigName, ConfigReport>,
        &'a BTreeMap<ConfigName, ConfigReport>,
    ),
    published: &Published,
    (instance, labels): (&'a InstanceId, &BTreeMap<String, String>),
) -> Vec<Ack<'a>> {
    let is_news = |(config, report): &(&ConfigName, &ConfigReport)| {
        let said = |report: &ConfigReport| (report.state, report.generation, report.running.clone());
        before.get(*config).map(said) != Some(said(report))
    };
    let ack = |(config, report): (&'a ConfigName, &ConfigReport)| {
        let version = match report.state {
            ReportState::Confirmed => report.running.as_ref()?.version.clone(),
            ReportState::Failed => {
                let told = published.told(config, Some((instance, labels)))?;
                told.exposed.target.version.clone()
            }
            ReportState::Pending | ReportState::Prepared | ReportState::Applied | ReportState::Other => {
                return None;
            }
        };
        Some(Ack {
            instance,
            config,
            version,
            state: report.state,
        })
    };
    now.iter().filter(is_news).filter_map(ack).collect()
}

/// What became of a report, the number of the newest one, and how often to report.
type Remembered = ((Taken, (u64, u64)), u64);

/// Has the fleet remember what a report says of configs that there are.
fn remember(
    repo: &Repo,
    instance: &InstanceId,
    mut report: InstanceReport,
) -> std::result::Result<Remembered, NotTaken> {
    let published = repo.board.read();
    let known = published
        .snapshot
        .as_ref()
        .map_or(0, |snapshot| snapshot.configs.len());
    let mut fleet = repo.fleet.write().unwrap_or_else(PoisonError::into_inner);
    let is_known =
        |config: &ConfigName| published.has(config) || published.state.departed.contains_key(config);
    fleet.leave_out_strangers(&mut report, (is_known, known));
    let before = fleet.get(instance).map(|before| before.report.configs.clone());
    let now = report.configs.clone();
    let (taken, newest) = fleet.take(instance, report, repo.moment())?;
    if taken == Taken::Newer {
        let before = before.unwrap_or_default();
        for (config, generation) in arrived(&before, &now) {
            repo.metrics.arrived(config, generation);
        }
        if repo.traces.is_on() {
            let who = (instance, &*newest.report.labels);
            for ack in acks((&before, &now), &published, who) {
                repo.flights.acked(&ack);
            }
        }
    }
    let newest = (newest.report.incarnation, newest.report.seq);
    Ok(((taken, newest), fleet.heartbeat().every_ms))
}

/// Why what an instance says is not taken, for the instance and for the log.
pub(super) fn not_taken(repo: &Repo, instance: &InstanceId, why: NotTaken) -> Answer {
    let (code, hint) = match &why {
        NotTaken::Full(_) => (
            ProblemCode::Overloaded,
            "instances that end or are lost give way; try again after a pause",
        ),
        NotTaken::Implausible(implausible) => (ProblemCode::BadRequest, implausible.hint()),
    };
    if repo.refusals.is_due() {
        warn!(%instance, hint, "what {instance} says is not taken, and maybe what others say: {why}");
    }
    Problem::new(code, why.to_string()).hint(hint).into()
}

/// Has targets told again above what the instance has seen, and waits for it a little, so that the answer to this very
/// report can be obeyed.
async fn raise_fences(
    repo: &Repo,
    who: (&InstanceId, &BTreeMap<String, String>),
    configs: &BTreeMap<ConfigName, ConfigReport>,
) {
    let (instance, _) = who;
    let overtaken = overtaken(repo, who, configs);
    if overtaken.is_empty() {
        return;
    }
    if let Some((config, seen)) = overtaken.first().filter(|_| repo.fences.is_worth_a_word()) {
        let hint = "usual after a restore, or where instances come from another service; else look who reports under \
                    this name, and have it forgotten with `headwater instances ID --forget`";
        warn!(
            %instance, %config, generation = seen.0, hint,
            "{instance}, and maybe others, have seen generation {seen} of {config}, which is not below what is told \
             here; everybody is told it again under a higher one"
        );
    }
    let mut news = repo.board.watch_published();
    repo.fences.ask(&overtaken);
    let raised = async {
        loop {
            let published = news.borrow_and_update().clone();
            let is_above = |(config, seen): &(ConfigName, Generation)| {
                fence(&published, config, (who, *seen)) == FenceCheck::Above
            };
            if overtaken.iter().all(is_above) || news.changed().await.is_err() {
                return;
            }
        }
    };
    if tokio::time::timeout(RAISE_DEADLINE, raised).await.is_err() {
        debug!(%instance, "the generation is not raised yet");
    }
}

/// How what an instance is told of a config stands to the generation that it has seen.
fn fence(
    published: &Published,
    config: &ConfigName,
    (who, seen): ((&InstanceId, &BTreeMap<String, String>), Generation),
) -> FenceCheck {
    let directive = published.state.directive(config, Some(who));
    directive.map_or(FenceCheck::Above, |directive| {
        published.state.fence_of(directive.generation(), seen)
    })
}

/// Configs whose targets the instance would refuse, with what it has seen.
fn overtaken(
    repo: &Repo,
    who: (&InstanceId, &BTreeMap<String, String>),
    configs: &BTreeMap<ConfigName, ConfigReport>,
) -> Vec<(ConfigName, Generation)> {
    let (instance, _) = who;
    let published = repo.board.read();
    let mut overtaken = Vec::new();
    for (config, report) in configs {
        let seen = report.generation;
        // Of the same number as ours it may have seen another target, and says so by refusing ours.
        let refused = report
            .error
            .as_ref()
            .is_some_and(|error| error.phase == FailPhase::Fence);
        match fence(&published, config, (who, seen)) {
            FenceCheck::Overtaken => overtaken.push((config.clone(), seen)),
            FenceCheck::Equal if refused => overtaken.push((config.clone(), seen)),
            FenceCheck::Above | FenceCheck::Equal => {}
            FenceCheck::Absurd => {
                if repo.fences.is_absurdity_worth_a_word() {
                    warn!(
                        %instance, %config, generation = seen.0,
                        "{instance} says it has seen generation {seen} of {config}, which nobody can have given out; \
                         such reports are not followed, and told once in a while"
                    );
                }
            }
        }
    }
    overtaken
}

/// Works out what one instance should hold.
struct Assigner<'a> {
    repo: &'a Repo,
    instance: &'a InstanceId,
    labels: BTreeMap<String, String>,
    freshness: Freshness,
    assignments: Vec<VersionEventWith<Box<RawValue>>>,
    unknown: Vec<ConfigName>,
}

impl Assigner<'_> {
    /// Compares each config, at most twice: the second time after the one forced listing, which serves all of them.
    async fn assign(&mut self, configs: &BTreeMap<ConfigName, ConfigReport>) {
        loop {
            self.assignments.clear();
            self.unknown.clear();
            let published = self.repo.board.read();
            let mut asks = false;
            for (config, report) in configs {
                asks |= self.one(&published, config, report).await == Compared::AskUpstream;
            }
            if !asks || self.freshness != Freshness::NotAsked {
                return;
            }
            self.freshness = match self.repo.fresh_listing(FRESH_DEADLINE).await {
                Ok(Fresh::Listed) => Freshness::Fresh,
                Ok(Fresh::Failed) | Err(_) => Freshness::Failed,
            };
        }
    }

    /// Compares one config. What this replica cannot be sure of is left out.
    async fn one(&mut self, published: &Published, config: &ConfigName, report: &ConfigReport) -> Compared {
        let Some(snapshot) = &published.snapshot else {
            return Compared::Hold;
        };
        let Some(told) = published.told(config, Some((self.instance, &self.labels))) else {
            if !snapshot.configs.contains_key(config) {
                self.unknown.push(config.clone());
            }
            return Compared::Hold;
        };
        let target = told.token(told.exposed.config.select(&self.labels));
        let held = report
            .running
            .as_ref()
            .map(|running| Token::new(&running.version, &running.digest));
        let compared = self
            .repo
            .compare(held.as_ref(), (config, &told), &target, self.freshness)
            .await;
        let compared = compared.unwrap_or_else(|error| {
            debug!(%config, %error, "what an instance runs could not be compared: {error}");
            Compared::ReplicaBehind
        });
        self.push(published, (config, report), &told, compared);
        compared
    }

    fn push(
        &mut self,
        published: &Published,
        (config, report): (&ConfigName, &ConfigReport),
        told: &Told,
        compared: Compared,
    ) {
        let effective = told.exposed.config.select(&self.labels);
        let (change, document) = match compared {
            // What it runs is told again under a higher number.
            Compared::UpToDate if report.generation < told.generation => (ChangeKind::Rerender, None),
            Compared::UpToDate => (last_change(&told.exposed), None),
            Compared::Target(change) => {
                let small = effective.canonical().len() <= INLINE_BYTES_DEFAULT;
                (change, small.then(|| raw(effective)).flatten())
            }
            Compared::Hold | Compared::AskUpstream | Compared::ReplicaBehind => return,
        };
        let document = document.map(ToOwned::to_owned);
        let mut event = version_event(config, published, (told, effective), change, document);
        // What came to the branch under another version is no news to who was told it under this number.
        let is_known = compared == Compared::UpToDate && report.generation == event.generation;
        if let Some(running) = report.running.as_ref().filter(|_| is_known) {
            event.token = Token::new(&running.version, &running.digest).to_string();
            event.version.clone_from(&running.version);
        }
        self.assignments.push(event);
    }
}
