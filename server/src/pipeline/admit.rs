//! What a new head means: which commits are judged, which one is exposed.
//!
//! Invariant: the oldest new commit is judged first, each at most once; of the admitted ones the newest is exposed,
//! so that a push of many commits moves every watcher once. No config is taken from its instances by a commit on the way
//! to a head that is rejected.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use headwater_core::rollout::{Policy, Urgency};
use headwater_core::{
    Admission, AdmissionPolicy, Arrival, Candidate, Command, ConfigFacts, Content, Descent, RepoState,
    RollbackState, VerdictKind, decide,
};
use headwater_validators::{Limits, ValidTree};
use headwater_wire::{BranchName, CommitId, ConfigName, Finding, HeadState, VerdictState};
use opentelemetry::KeyValue;
use tokio::time::Instant;
use tracing::{Instrument, info, info_span, warn};

use super::git_thread::GitThreadError;
use super::rollback::branch::stock_of;
use super::signed::is_by_a_signature;
use super::{Pipeline, RoundError, versions};
use crate::clock;
use crate::git::error::GitError;
use crate::git::intent::trailers;
use crate::git::read::Reader;
use crate::judge::{Judged, judge_to_keep};
use crate::measure::{Against, Measure, new_commits};
use crate::publish::{Published, Snapshot};
use crate::trace;

/// Findings named in the one log line of a rejected commit.
const LOGGED_FINDINGS_MAX: usize = 3;

impl Pipeline {
    /// Decides about a head that is in the mirror.
    pub(super) async fn decide(
        &mut self,
        reader: &Reader,
        branch: &BranchName,
        head: CommitId,
    ) -> Result<(), RoundError> {
        let state = self.repo.board.read().state.clone();
        let descent = descent(reader, state.tip.as_ref(), &head)?;
        let policy = AdmissionPolicy {
            rewritten_history: self.repo.settings().rewritten_history,
            accepted: state.accepted.as_ref().map(|accepted| accepted.head.clone()),
        };
        let candidate = Candidate {
            commit: head.clone(),
            descent,
        };
        // A rewritten head is a question to a person, whatever its content: ask before any work is done.
        if decide(&candidate, VerdictKind::Valid, &policy) == Admission::Hold {
            return self.hold(head).await;
        }
        self.show(|published| {
            published.state.apply(Command::Judge(head.clone())).ok();
        });
        if candidate.descent == Descent::Rewritten {
            self.repo.forget_reachable();
            // Of a tip whose objects are gone with a lost mirror there is nothing to keep.
            if let Some(tip) = state.tip.as_ref().filter(|tip| reader.contains(tip)) {
                self.keep(tip).await?;
            }
        }
        self.adopt(branch, &candidate.commit).await?;
        let walk = self.walk(reader, &candidate, &state).await?;
        if let Some(good) = walk.good {
            trace::trying(|| trace::span("publish"), self.expose(reader, good)).await?;
        }
        match decide(&candidate, walk.head.kind(), &policy) {
            Admission::Reject => self.reject(&walk.head).await?,
            Admission::Admit | Admission::Hold => {}
        }
        self.repo.outward.notes.settle();
        Ok(())
    }

    /// The verdict on one commit: kept from before if it was a rejection that still holds, else worked out and kept.
    pub(super) async fn verdict(
        &self,
        reader: &Reader,
        commit: &CommitId,
        against: Against,
    ) -> Result<Arc<Judged>, RoundError> {
        let published = self.repo.board.read();
        let state = &published.state;
        let insisted = state.insists_on(commit);
        let kept = self.repo.kept_verdict(commit).await;
        // What a rollback has decided about is not measured again when it comes to the branch.
        let kept = kept.filter(|kept| state.is_decided(commit) || !against.outlives(kept));
        // What nobody was allowed to sign was not read. Whether that still holds was looked at before.
        let kept = kept.filter(|kept| !is_by_a_signature(&kept.findings));
        let rejected = kept.as_ref().filter(|kept| kept.state == VerdictState::Rejected);
        if let Some(kept) = rejected.filter(|_| !insisted) {
            return Ok(Arc::new(Judged::rejected(commit, kept)));
        }
        let was_admitted = kept.is_some() || insisted;
        // What was admitted stays admitted, however slow the machine is today and whatever the limits are now: it is
        // not measured again.
        let (rules, measure) = if was_admitted {
            (self.repo.rules().lenient(), Measure::default())
        } else {
            (
                self.repo.rules().clone(),
                self.repo.measure(commit, against).await?,
            )
        };
        let started = Instant::now();
        let span = info_span!("validate", commit.id = %commit);
        let judging = async {
            let judged = judge_to_keep(reader, commit, &rules, measure).await;
            if let Ok((judged, _)) = &judged {
                let verdict = if judged.valid.is_some() {
                    "valid"
                } else {
                    "invalid"
                };
                trace::say("headwater.verdict", verdict);
            }
            judged
        };
        let validate = || {
            let commit = KeyValue::new("vcs.ref.head.revision", commit.to_string());
            trace::span("validate").with_attributes([commit])
        };
        let (judged, earlier) = trace::trying(validate, judging.instrument(span)).await?;
        self.repo.flights.begin(commit);
        if let Some(earlier) = earlier {
            self.repo.set_earlier(earlier);
        }
        let judged = Arc::new(judged);
        if !was_admitted {
            self.repo.metrics.judged(&judged, started.elapsed());
            self.repo.keep_verdict(&judged, clock::now()).await?;
            self.repo.note_verdict(&judged);
        }
        self.repo.remember(&judged);
        Ok(judged)
    }

    /// Exposes a good commit: works out its versions, keeps the decision, then shows it.
    async fn expose(&self, reader: &Reader, judged: Arc<Judged>) -> Result<(), RoundError> {
        let Some(valid) = judged.valid.clone() else {
            return Ok(());
        };
        let commit = judged.commit.clone();
        let (known, limits) = (self.repo.known_at_tip(), self.repo.rules().limits.clone());
        let facts = {
            let (reader, judged) = (reader.clone(), judged.clone());
            let work = move || facts(&reader, &judged, known.as_ref(), &limits);
            crate::task::blocking(self.repo.settings().mirror_limits.fetch, work)
                .await
                .map_err(crate::repo::RepoError::from)??
        };
        let mut state = self.state_now();
        let urgency = urgency(reader, state.tip.as_ref(), &commit)?;
        for (id, commit) in self.landed(reader, &state, &commit).await? {
            info!(rollback = id, commit.id = %commit, "the branch has rollback {id} as {}", commit.short());
            state.apply(Command::Land { id, commit }).ok();
        }
        state.apply(Command::Condemn(still_there(&state, &judged))).ok();
        let before: BTreeSet<String> = state.withheld.values().map(|held| held.id.clone()).collect();
        let effects = state.apply(Command::Admit(Box::new(Arrival {
            commit: commit.clone(),
            depth: facts.depth,
            configs: facts.configs,
            policies: policies(&valid),
            urgency,
            at: clock::now(),
        })));
        self.begin_at_once(&mut state).await;
        for rollback in state
            .rollbacks
            .iter()
            .filter(|rollback| before.contains(&rollback.id))
        {
            if matches!(&rollback.state, RollbackState::Superseded { by } if *by == commit) {
                warn!(
                    rollback = rollback.id, commit.id = %commit, reason = rollback.reason,
                    "{} has other content for what rollback {} held back, which is exposed again with it",
                    commit.short(), rollback.id
                );
            }
        }
        let snapshot = self.snapshot(reader, &state, judged.clone()).await?;
        self.repo.keep_state(&state).await?;
        let moved = effects.map_or(0, |effects| effects.len());
        let tip_before = self.repo.board.read().state.tip.clone();
        self.show(|published| {
            published.state = state;
            published.snapshot = Some(snapshot);
            published.head_findings = Arc::from([]);
        });
        if tip_before.as_ref() != Some(&commit) {
            if let Some(listing) = self.last_listing {
                self.repo.metrics.exposed(listing.elapsed());
            }
            self.repo.note_published(reader, &commit);
            let warnings = judged.findings.len();
            info!(
                commit.id = %commit, configs = valid.configs().len(), findings = warnings, effects = moved,
                outcome = "admitted", "admitted {}", commit.short()
            );
        }
        Ok(())
    }

    /// Keeps the last good commit exposed and says why the head is not.
    async fn reject(&self, judged: &Judged) -> Result<(), RoundError> {
        let mut state = self.state_now();
        let meanwhile = self.repo.board.read().served_meanwhile();
        state.apply(Command::Reject(judged.commit.clone())).ok();
        self.repo.keep_state(&state).await?;
        let errors: Arc<[Finding]> = judged.errors().cloned().collect();
        let told: Vec<String> = errors.iter().take(LOGGED_FINDINGS_MAX).map(one_line).collect();
        let more = errors.len().saturating_sub(LOGGED_FINDINGS_MAX);
        let more = if more == 0 {
            String::new()
        } else {
            format!("; and {more} more")
        };
        warn!(
            commit.id = %judged.commit, findings = errors.len(), outcome = "rejected", hint = meanwhile,
            "rejected {}: {}{more}", judged.commit.short(), told.join("; ")
        );
        self.show(|published| {
            published.state = state;
            published.head_findings = errors;
        });
        Ok(())
    }

    /// Keeps the tip and says that a person must look at the head.
    async fn hold(&self, head: CommitId) -> Result<(), RoundError> {
        let is_new = self
            .repo
            .board
            .read()
            .state
            .hold
            .as_ref()
            .is_none_or(|hold| hold.head != head);
        self.apply(Command::Hold {
            head: head.clone(),
            at: clock::now(),
        })
        .await?;
        if is_new {
            warn!(
                commit.id = %head, outcome = "held",
                "held {}: the branch was reset or replaced and does not contain the tip any more", head.short()
            );
        }
        Ok(())
    }

    /// Keeps the objects of a commit that no branch holds: a tip that was replaced, so that clients which hold it can be
    /// told, or the commit of a rollback.
    pub(super) async fn keep(&self, commit: &CommitId) -> Result<(), GitThreadError> {
        let (commit, deadline) = (commit.clone(), self.repo.settings().mirror_limits.list);
        self.git_thread
            .call(deadline, move |mirror, _| mirror.keep(&commit))
            .await
    }

    /// At a start: opens the mirror and serves the tip that was exposed before, without asking the upstream.
    pub(super) async fn start_from_disk(&mut self) {
        if let Err(error) = self.restore().await {
            self.note(Err(error));
        }
    }

    async fn restore(&mut self) -> Result<(), RoundError> {
        let deadline = self.repo.settings().mirror_limits.list;
        let reader = self
            .git_thread
            .call(deadline, |mirror, _| Ok(mirror.reader()))
            .await?;
        let mut state = self.repo.board.read().state.clone();
        let Some(tip) = state.tip.clone().filter(|tip| reader.contains(tip)) else {
            return Ok(());
        };
        self.repo.set_reader(reader.clone());
        let judged = self.verdict(&reader, &tip, Against::default()).await?;
        if judged.valid.is_none() {
            return Ok(());
        }
        let sources = self.sources(&reader, &state, &judged).await?;
        let known = sources
            .iter()
            .map(|(_, source)| source)
            .chain([&judged])
            .flat_map(|judged| contents(judged));
        state.apply(Command::Recognise(known.collect())).ok();
        let snapshot = Arc::new(Snapshot::of(&state, judged, &stock_of(&sources), None));
        let head = match state
            .head
            .as_ref()
            .filter(|_| state.head_state == HeadState::Rejected)
        {
            Some(head) => self.repo.kept_verdict(head).await,
            None => None,
        };
        // Who may sign is looked at again: the settings or the file may say otherwise now.
        self.judge_again |= head.iter().any(|kept| is_by_a_signature(&kept.findings));
        let errors: Arc<[Finding]> = head
            .iter()
            .flat_map(|kept| kept.findings.iter().filter(|f| f.is_error()).cloned())
            .collect();
        self.show(|published: &mut Published| {
            published.state = state;
            published.snapshot = Some(snapshot);
            published.head_findings = errors;
            published.source.stale = true;
        });
        info!(commit.id = %tip, "serving {} from disk", tip.short());
        Ok(())
    }
}

/// What a commit has of every config that it gives a document.
pub(super) fn contents(judged: &Judged) -> impl Iterator<Item = (ConfigName, Content)> {
    let configs = judged.valid.iter().flat_map(ValidTree::configs);
    configs.map(|(name, config)| (name.clone(), Content::of(config)))
}

/// Contents of a commit that still have what a rollback took back, as far as it holds something back.
fn still_there(state: &RepoState, judged: &Judged) -> Vec<(ConfigName, Content)> {
    let has_it = |config: &ConfigName| {
        let both = state.withheld.get(config).zip(judged.config(config));
        both.is_some_and(|(held, now)| held.taken_back.iter().any(|taken_back| taken_back.is_in(now)))
    };
    contents(judged).filter(|(config, _)| has_it(config)).collect()
}

/// Whether a commit that comes now says, in a trailer, that it does not wait for what moves.
fn urgency(reader: &Reader, tip: Option<&CommitId>, commit: &CommitId) -> Result<Urgency, GitError> {
    for new in new_commits(reader, tip.filter(|tip| reader.contains(tip)), commit)? {
        let said = trailers(&reader.commit(&new)?.message);
        let is_emergency = |(name, value): &(String, String)| {
            name.eq_ignore_ascii_case("Headwater-Urgency") && value.trim().eq_ignore_ascii_case("emergency")
        };
        if said.iter().any(is_emergency) {
            return Ok(Urgency::Emergency);
        }
    }
    Ok(Urgency::Usual)
}

/// How those configs of a commit are moved that are not moved at once.
fn policies(valid: &ValidTree) -> BTreeMap<ConfigName, Policy> {
    let configs = valid.configs().iter();
    let policies = configs.map(|(name, config)| (name.clone(), Policy::of_config(valid, config)));
    policies.filter(|(_, policy)| !policy.is_immediate()).collect()
}

/// What the store needs to know of the configs of a commit: of those that it gives a document.
pub(super) struct Facts {
    pub(super) configs: BTreeMap<ConfigName, ConfigFacts>,
    depth: u64,
}

pub(super) fn facts(
    reader: &Reader,
    judged: &Judged,
    known: Option<&(CommitId, headwater_core::Known)>,
    limits: &Limits,
) -> Result<Facts, GitError> {
    let known = known.map(|(commit, known)| (commit, known));
    // The floor of the generation matters only where no decision is known.
    let depth = if known.is_none() {
        versions::depth(reader, &judged.commit)?
    } else {
        0
    };
    let declared = judged.declared.clone().unwrap_or_default();
    let found = versions::versions_at(reader, &judged.commit, declared, known, limits)?;
    let configs = contents(judged).filter_map(|(config, content)| {
        let version = found.get(&config)?.clone();
        Some((config, ConfigFacts { version, content }))
    });
    let configs = configs.collect();
    Ok(Facts { configs, depth })
}

/// How a new head relates to the tip.
fn descent(reader: &Reader, tip: Option<&CommitId>, head: &CommitId) -> Result<Descent, GitError> {
    match tip {
        None => Ok(Descent::First),
        Some(tip) if tip == head => Ok(Descent::FastForward),
        // A tip whose objects are gone cannot be compared; the mirror was lost and is being filled again.
        Some(tip) if !reader.contains(tip) => Ok(Descent::Rewritten),
        Some(tip) if reader.is_ancestor(tip, head)? => Ok(Descent::FastForward),
        Some(_) => Ok(Descent::Rewritten),
    }
}

/// A finding as one line of a log.
fn one_line(finding: &Finding) -> String {
    let Finding {
        code, span, message, ..
    } = finding;
    match finding.file() {
        Some(path) => format!("{code} at {path}:{}:{}: {message}", span.line, span.column),
        None => format!("{code}: {message}"),
    }
}
