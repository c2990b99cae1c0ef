//! From what the rooms hold to what the API shows.

use headwater_core::rollout::{Course, Left};
use headwater_core::{RepoState, Rollback, RollbackState};
use headwater_wire::{
    AcceptedView, BranchName, ConfigItem, ConfigList, ConfigName, HeadState, HoldList, HoldView, RepoView,
    SourceState, Timestamp,
};

use super::problem;
use crate::canary;
use crate::git::history::CommitInfo;
use crate::pipeline::source::is_stale;
use crate::publish::{Exposed, Published, STATUS_FINDINGS_MAX};
use crate::repo::Repo;

/// A repository now.
pub(crate) fn repo(repo: &Repo, published: &Published, now: Timestamp) -> RepoView {
    let (state, source) = (&published.state, &published.source);
    let rejected = state.head_state == HeadState::Rejected;
    let rejected_why = rejected.then(|| (rejection(published), Some(problem::mend_and_push(published))));
    let unwell = source.error.clone().map(|error| (error, source.hint.clone()));
    let faults = unwell
        .into_iter()
        .chain(rejected_why)
        .chain(canary_missing(repo, published))
        .chain(going_back(published));
    let (error, hint) = faults.reduce(together).unzip();
    RepoView {
        name: repo.name().clone(),
        url: repo.settings().upstream.url.to_string(),
        branch: state.branch.clone().or_else(|| wanted_branch(repo)),
        tip: state.tip.clone(),
        head: state.head.clone(),
        head_state: state.head_state,
        source_state: source.state,
        synced_at: source.synced_at,
        stale: source.stale || is_stale(source.synced_at, now, repo.poll_interval()),
        configs: published
            .snapshot
            .as_ref()
            .map_or(0, |snapshot| snapshot.configs.len()),
        error,
        hint: hint.flatten(),
        hook_silence: repo.bell().silence(),
        deliveries: repo.bell().deliveries(),
        accepted: state.accepted.as_ref().map(|accepted| AcceptedView {
            head: accepted.head.clone(),
            reason: accepted.reason.clone(),
            by: accepted.by.clone(),
            confirmed_by: accepted.confirmed_by.clone(),
            at: accepted.at,
        }),
        findings: published
            .head_findings
            .iter()
            .filter(|_| rejected)
            .take(STATUS_FINDINGS_MAX)
            .cloned()
            .collect(),
    }
}

fn canary_missing(repo: &Repo, published: &Published) -> Option<(String, Option<String>)> {
    let config = canary::missing(repo, published)?;
    let error = format!("the tip has no canary `{config}`");
    Some((error, Some(canary::MISSING_HINT.to_owned())))
}

fn wanted_branch(repo: &Repo) -> Option<BranchName> {
    repo.settings().branch.named().cloned()
}

fn rejection(published: &Published) -> String {
    let count = published.head_findings.len();
    format!(
        "the head was rejected: {count} error finding{}",
        if count == 1 { "" } else { "s" }
    )
}

/// Why a rollback is not in Git yet, and what a person can do; `None` if it need not be brought there.
pub(crate) fn git_pending(rollback: &Rollback) -> Option<(String, String)> {
    match &rollback.state {
        RollbackState::Effective => Some((
            "the upstream has not answered yet".to_owned(),
            "it is tried again by itself".to_owned(),
        )),
        RollbackState::GitPending { why, hint } => Some((why.clone(), hint.clone())),
        RollbackState::Pushed { .. }
        | RollbackState::Proposed { .. }
        | RollbackState::Superseded { .. }
        | RollbackState::Released { .. } => None,
    }
}

/// What is wrong, and what a person can do about it.
type Fault = (String, Option<String>);

/// One fault hides no other: a rollback matters most where the upstream is gone.
fn together((error, hint): Fault, (other, its_hint): Fault) -> Fault {
    let hints: Vec<String> = hint.into_iter().chain(its_hint).collect();
    let hint = (!hints.is_empty()).then(|| hints.join("; "));
    (format!("{error}; {other}"), hint)
}

/// What rollbacks have left to do, and what a person can do, each in one line.
fn going_back(published: &Published) -> Option<Fault> {
    let holding = withheld(published).map(|error| {
        let hint = "`headwater holds` tells what is held back, why, and how that ends";
        (error, Some(hint.to_owned()))
    });
    let mut newest_first = published.state.rollbacks.iter().rev();
    let pending = newest_first.find_map(|rollback| {
        let (why, hint) = git_pending(rollback)?;
        let error = format!("rollback {} is not in Git yet: {why}", rollback.id);
        Some((error, Some(hint)))
    });
    holding
        .into_iter()
        .chain(pending)
        .chain(left(published))
        .reduce(together)
}

/// What rollouts went back from and nobody has taken back in Git, as where the service may not write, in one line.
fn left(published: &Published) -> Option<Fault> {
    let state = &published.state;
    let is_left = |(config, course): &(&ConfigName, &Course)| {
        course.holding().is_some() && course.moving().is_none() && !state.withheld.contains_key(*config)
    };
    let (config, _) = state.courses.iter().find(is_left)?;
    let more = state.courses.iter().filter(is_left).count() - 1;
    let others = if more == 0 {
        String::new()
    } else {
        format!(" and {more} more")
    };
    let error =
        format!("a rollout went back from what the branch has of {config}{others}, which is held back");
    let hint = "mend it by a new commit; `headwater holds` tells what is held back, and why";
    Some((error, Some(hint.to_owned())))
}

/// What a rollback holds back, in one line.
fn withheld(published: &Published) -> Option<String> {
    let state = &published.state;
    let rollback = state
        .rollbacks
        .iter()
        .rev()
        .find(|rollback| state.holds_back(&rollback.id))?;
    let count = state.withheld.len();
    let plural = if count == 1 { "" } else { "s" };
    Some(format!(
        "rollback {} holds {count} config{plural} at earlier content: {}",
        rollback.id, rollback.reason
    ))
}

/// The configs of the tip.
pub(super) fn configs(published: &Published) -> Option<ConfigList> {
    let snapshot = published.snapshot.as_ref()?;
    let configs = snapshot
        .configs
        .iter()
        .map(|(name, exposed)| config_item(&published.state, name, exposed))
        .collect();
    Some(ConfigList {
        tip: snapshot.commit.clone(),
        configs,
    })
}

fn config_item(state: &RepoState, name: &ConfigName, exposed: &Exposed) -> ConfigItem {
    ConfigItem {
        name: name.clone(),
        version: exposed.target.version.clone(),
        digest: exposed.config.base().digest().clone(),
        generation: exposed.target.generation,
        variants: exposed
            .config
            .variants()
            .iter()
            .map(|variant| variant.name().to_owned())
            .collect(),
        rollout: exposed.config.rollout().map(str::to_owned),
        back_to: state.held_before(name).cloned(),
    }
}

/// What waits for a person.
pub(super) fn holds(published: &Published) -> HoldList {
    let state = &published.state;
    let rollbacks = state.rollbacks.iter();
    let rollbacks = rollbacks.filter(|rollback| rollback.is_open() || state.holds_back(&rollback.id));
    let by_rollback = rollbacks.map(|rollback| rollback_hold(state, rollback));
    let holds = state.hold.iter().map(|hold| HoldView {
        id: format!("history-{}", hold.head.short()),
        kind: SourceState::HistoryRewritten.as_str().to_owned(),
        head: hold.head.clone(),
        tip: published.state.tip.clone(),
        since: hold.since,
        hint: format!(
            "look at the new head, then run `headwater accept {} --reason …`",
            hold.head
        ),
        configs: Vec::new(),
        reason: None,
    });
    let courses = state.courses.iter();
    let by_rollout = courses.filter_map(|(config, course)| rollout_hold(state, config, course.holding()?));
    HoldList {
        holds: holds.chain(by_rollback).chain(by_rollout).collect(),
    }
}

/// Content that a rollout went back from.
fn rollout_hold(state: &RepoState, config: &ConfigName, left: &Left) -> Option<HoldView> {
    let head = state.tip.clone()?;
    let rollout = state.rollout(&left.id);
    let happenings = rollout
        .into_iter()
        .flat_map(|rollout| rollout.timeline.happenings.iter().rev());
    let went = happenings
        .into_iter()
        .find(|happening| happening.reason.is_some());
    Some(HoldView {
        id: left.id.clone(),
        kind: "rollout".to_owned(),
        tip: Some(head.clone()),
        head,
        since: if left.since == Timestamp::default() {
            went.map(|happening| happening.at).unwrap_or_default()
        } else {
            left.since
        },
        hint: format!(
            "it ends with a commit of other content; to let it come again, run `headwater release {} --reason …`",
            left.id
        ),
        configs: vec![config.clone()],
        reason: left
            .reason
            .clone()
            .or_else(|| went.and_then(|happening| happening.reason.clone())),
    })
}

/// A rollback that holds something back, or whose commit waits to come to the branch.
fn rollback_hold(state: &RepoState, rollback: &Rollback) -> HoldView {
    let held = state.withheld.iter().filter(|(_, held)| held.id == rollback.id);
    let configs: Vec<ConfigName> = held.map(|(config, _)| config.clone()).collect();
    let release = format!("run `headwater release {} --reason …`", rollback.id);
    let hint = if configs.is_empty() {
        format!(
            "it holds nothing back, but {}; to give it up, {release}",
            waits_for(&rollback.state)
        )
    } else {
        format!("it ends with a commit of other content; to expose what is held back, {release}")
    };
    HoldView {
        id: rollback.id.clone(),
        kind: "rollback".to_owned(),
        head: state.tip.clone().unwrap_or_else(|| rollback.base.clone()),
        tip: state.tip.clone(),
        since: rollback.at,
        hint,
        configs,
        reason: Some(rollback.reason.clone()),
    }
}

/// What keeps the commit of a rollback from the branch.
fn waits_for(state: &RollbackState) -> String {
    match state {
        RollbackState::GitPending { why, hint } => {
            format!("its commit is not on the branch: {why} (hint: {hint})")
        }
        RollbackState::Proposed { url, .. } => format!("its pull request is open: {url}"),
        RollbackState::Effective
        | RollbackState::Pushed { .. }
        | RollbackState::Superseded { .. }
        | RollbackState::Released { .. } => "its commit is on its way to the branch".to_owned(),
    }
}

/// A commit without its verdict.
pub(super) fn commit(
    info: CommitInfo,
    verdict: headwater_wire::VerdictView,
    configs_changed: Vec<ConfigName>,
) -> headwater_wire::CommitView {
    headwater_wire::CommitView {
        commit: info.commit,
        parents: info.parents,
        author: info.author,
        committer: info.committer,
        message: info.message,
        verdict,
        configs_changed,
        outcome: None,
    }
}
