//! From a commit to its verdict and documents, under limits and a deadline.
//!
//! Invariant: a commit that is too much for the validators gets a verdict that says so; it is never tried in a loop.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use headwater_core::VerdictKind;
use headwater_validators::{
    Config, ConfigTree, Floor, Inputs, Limits, ValidTree, Verdict, tolerate_after, validate_after,
};
use headwater_wire::{CheckView, CommitId, ConfigName, Finding, Severity, Timestamp, VerdictState};
use tracing::debug;

use crate::earlier::{Earlier, Rehearsal};
use crate::git::error::GitError;
use crate::git::read::Reader;
use crate::measure::{self, Measure, Measured};
use crate::repo::RepoError;
use crate::sandbox::{self, End, Program, Queue, SandboxError, Turn};
use crate::store::{VALIDATOR_EPOCH, VerdictRecord};
use crate::task::{self, BlockingError};
use crate::tree::{self, RawEntry};
use crate::webhooks::Webhooks;

/// File size, number of files and time for what was admitted before.
const LENIENT_FILE_BYTES: u64 = 16 << 20;
const LENIENT_FILES: usize = 1_000_000;
const LENIENT_DEADLINE: Duration = Duration::from_mins(10);

/// Longest time to read the files of one commit: a disk that hangs must not hold up the repository for ever.
pub(crate) const READ_DEADLINE: Duration = Duration::from_mins(1);

/// A commit with what the validators said of it.
#[derive(Debug)]
pub(crate) struct Judged {
    /// The commit.
    pub commit: CommitId,
    /// All findings, sorted.
    pub findings: Vec<Finding>,
    /// Its documents, if it may be served.
    pub valid: Option<ValidTree>,
    /// Inputs of every config it declares; absent if its manifest cannot be read. They are known of rejected commits
    /// too, since a version depends on history alone.
    pub declared: Option<BTreeMap<ConfigName, Inputs>>,
    /// Names what instances held besides the tip when it was measured.
    pub old: Option<String>,
}

impl Judged {
    /// A rejection that was kept.
    pub(crate) fn rejected(commit: &CommitId, kept: &VerdictRecord) -> Self {
        Self {
            commit: commit.clone(),
            findings: kept.findings.clone(),
            valid: None,
            declared: None,
            old: kept.old.clone(),
        }
    }

    /// Decision of the validators.
    pub(crate) fn kind(&self) -> VerdictKind {
        if self.valid.is_some() {
            VerdictKind::Valid
        } else {
            VerdictKind::Invalid
        }
    }

    /// The same as the API says it.
    pub(crate) fn state(&self) -> VerdictState {
        if self.valid.is_some() {
            VerdictState::Admitted
        } else {
            VerdictState::Rejected
        }
    }

    /// A config, if it is valid and has it.
    pub(crate) fn config(&self, name: &ConfigName) -> Option<&Config> {
        self.valid.as_ref()?.configs().get(name)
    }

    /// Error findings alone.
    pub(crate) fn errors(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.is_error())
    }

    /// Whether it may be otherwise the next time: a child that somebody killed says as much of the machine as of the
    /// commit, and a webhook that is silent nothing of the commit at all.
    pub(crate) fn is_passing(&self) -> bool {
        self.errors()
            .any(|finding| matches!(finding.code.as_str(), End::CODE_PASSING | "webhook/unanswered"))
    }

    /// What the store keeps of it.
    pub(crate) fn record(&self, judged_at: Timestamp, rules: &Rules) -> VerdictRecord {
        VerdictRecord {
            state: self.state(),
            findings: self.findings.clone(),
            judged_at,
            validator_epoch: VALIDATOR_EPOCH,
            rules: rules.fingerprint(),
            old: self.old.clone(),
        }
    }
}

/// Whether the webhooks that rules name are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Questions {
    /// They are, and what they say counts.
    Put,
    /// They are not, and the verdict is that without them.
    Left,
}

/// What a verdict is worked out under.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    /// Ceiling of what a commit may hold.
    pub limits: Limits,
    /// Longest time for one verdict.
    pub deadline: Duration,
    /// What the settings insist on.
    pub floor: Floor,
    /// Webhooks that rules may ask; without them nobody is asked, and who must be has not answered.
    pub webhooks: Option<Arc<Webhooks>>,
    /// Whether they are asked at all.
    pub questions: Questions,
    /// Program whose children work out verdicts; without one they are worked out in this process, as tests do.
    pub program: Option<Program>,
    /// What the verdict is for.
    pub purpose: Purpose,
    /// Where children wait for their turn.
    pub queue: Queue,
    /// Whose turn it is.
    pub turn: Turn,
}

/// Why a commit is judged, which decides what becomes of errors. That a person goes back is no purpose: it follows from
/// the commit, see [`crate::measure`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Somebody has to know whether it may be exposed.
    #[default]
    Verdict,
    /// Its documents are wanted whatever is found in them: it was admitted before, or a person insists.
    Documents,
}

impl Rules {
    /// The rules for making the documents of what was admitted before: it is known to end well, so only what protects
    /// this process from a mistake of its own is left.
    pub(crate) fn lenient(&self) -> Self {
        let mut limits = self.limits.clone();
        limits.file_bytes = limits.file_bytes.max(LENIENT_FILE_BYTES);
        limits.files = limits.files.max(LENIENT_FILES);
        Self {
            limits,
            deadline: LENIENT_DEADLINE,
            floor: Floor::default(),
            webhooks: None,
            questions: Questions::Put,
            program: None,
            purpose: Purpose::Documents,
            queue: self.queue.clone(),
            turn: self.turn,
        }
    }

    /// The same rules in another turn.
    pub(crate) fn in_turn(&self, turn: Turn) -> Self {
        Self { turn, ..self.clone() }
    }

    /// The same rules for another purpose.
    pub(crate) fn to(&self, purpose: Purpose) -> Self {
        Self {
            purpose,
            ..self.clone()
        }
    }

    /// The rules for what is only proposed: anybody may propose, so nobody outside is told of it.
    pub(crate) fn for_proposals(&self) -> Self {
        Self {
            questions: Questions::Left,
            turn: Turn::Later,
            ..self.clone()
        }
    }

    /// The same without what the settings insist on, for what was exposed before.
    pub(crate) fn without_floor(&self) -> Self {
        Self {
            floor: Floor::default(),
            ..self.clone()
        }
    }

    /// Whether a verdict says nothing any more: a refusal for want of room or time once there is more of it, and one by
    /// the settings once they differ.
    pub(crate) fn outlive(&self, kept: &VerdictRecord) -> bool {
        let is_theirs = |finding: &Finding| {
            ["limit/", "floor/"]
                .iter()
                .any(|kind| finding.code.starts_with(kind))
        };
        kept.state == VerdictState::Rejected
            && kept.rules != self.fingerprint()
            && kept.findings.iter().any(is_theirs)
    }

    /// Names these rules: a refusal for want of time or room, or by the floor, holds only as long as they do. Another
    /// release may need less of both, or have mended what it crashed of.
    pub(crate) fn fingerprint(&self) -> String {
        let release = env!("CARGO_PKG_VERSION");
        let confinement = self.program.as_ref().map(|program| program.confinement);
        format!(
            "{release} {confinement:?} {:?} {:?} {:?}",
            self.limits, self.deadline, self.floor
        )
    }
}

/// Reads and judges `commit`.
///
/// # Errors
/// Only what may be different the next time: the mirror could not be read, or no child could be started.
pub(crate) async fn judge(
    reader: &Reader,
    commit: &CommitId,
    rules: &Rules,
    measure: Measure,
) -> Result<Judged, RepoError> {
    Ok(read_and_judge(reader, commit, rules, measure).await?.0)
}

/// The same, with what the next verdict may take something over from, if it is a good one.
pub(crate) async fn judge_to_keep(
    reader: &Reader,
    commit: &CommitId,
    rules: &Rules,
    measure: Measure,
) -> Result<(Judged, Option<Earlier>), RepoError> {
    let (judged, entries) = read_and_judge(reader, commit, rules, measure).await?;
    let kept = judged.valid.as_ref().zip(entries);
    let earlier = kept.map(|(valid, entries)| Earlier::new(commit.clone(), &entries, valid.clone()));
    Ok((judged, earlier))
}

/// The verdict, and the entries that it is about.
async fn read_and_judge(
    reader: &Reader,
    commit: &CommitId,
    rules: &Rules,
    measure: Measure,
) -> Result<(Judged, Option<Arc<[RawEntry]>>), RepoError> {
    let (reader, wanted, limits) = (reader.clone(), commit.clone(), rules.limits.clone());
    let old = measure.old.clone();
    let read = move || measure::read(&reader, &wanted, &limits, measure);
    let (outcome, entries) = match task::blocking(READ_DEADLINE, read).await? {
        Ok((entries, measured)) => (
            judge_shared(Arc::clone(&entries), rules, measured).await?,
            Some(entries),
        ),
        Err(error @ GitError::TooLarge { .. }) => (Outcome::refused(too_large(error.to_string())), None),
        Err(error) => return Err(error.into()),
    };
    let Outcome {
        findings,
        valid,
        declared,
    } = outcome;
    let judged = Judged {
        commit: commit.clone(),
        findings,
        valid,
        declared,
        old,
    };
    Ok((judged, entries))
}

/// What the validators said of some files.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// All findings, sorted.
    pub findings: Vec<Finding>,
    /// The documents, if the files may be served.
    pub valid: Option<ValidTree>,
    /// Inputs of every config; absent if the manifest cannot be read.
    pub declared: Option<BTreeMap<ConfigName, Inputs>>,
}

/// Judges files, in a child first if there is a program for it, and asks the webhooks that rules name.
pub(crate) async fn judge_entries(
    entries: Vec<RawEntry>,
    rules: &Rules,
    measured: Measured,
) -> Result<Outcome, RepoError> {
    judge_shared(entries.into(), rules, measured).await
}

async fn judge_shared(
    entries: Arc<[RawEntry]>,
    rules: &Rules,
    measured: Measured,
) -> Result<Outcome, RepoError> {
    let said = match try_out(&entries, rules, &measured).await? {
        Tried::EndsWell => None,
        Tried::Refused(findings) => Some(findings),
        Tried::Ended(end) => return Ok(Outcome::refused(end.finding())),
    };
    let (of_work, facts) = (rules.clone(), measured.measure.clone());
    let work = move || {
        let tree = tree::assemble(&entries);
        // What made the child refuse is not tried again here.
        let verdict = match said {
            Some(findings) => Err(findings),
            None => Ok(work_out(&tree, &of_work, &measured)),
        };
        let declared = match &verdict {
            // These were worked out as part of it.
            Ok(Verdict::Valid(valid)) if valid.has_manifest() => Some(inputs(valid)),
            Ok(_) | Err(_) => headwater_validators::declare(&tree, &of_work.limits),
        };
        (verdict, declared)
    };
    match task::blocking(rules.deadline, work).await {
        Ok((Ok(verdict), declared)) => Ok(Outcome::of(answered(verdict, rules, &facts).await, declared)),
        Ok((Err(findings), declared)) => Ok(Outcome {
            findings,
            valid: None,
            declared,
        }),
        Err(BlockingError::TimedOut(deadline)) => Ok(Outcome::refused(End::Deadline(deadline).finding())),
        Err(error @ BlockingError::Panicked) => {
            Ok(Outcome::refused(End::Crashed(error.to_string()).finding()))
        }
    }
}

/// The verdict, worked out in this process; of what the earlier tree settled, nothing is worked out again.
fn work_out(tree: &ConfigTree, rules: &Rules, measured: &Measured) -> Verdict {
    let trees = measured.trees();
    let context = measured.context(rules, &trees);
    match (rules.purpose, measured.measure.earlier.as_deref()) {
        (Purpose::Verdict, None) => headwater_validators::validate(tree, &context),
        (Purpose::Verdict, Some(earlier)) => validate_after(tree, &context, &earlier.valid),
        (Purpose::Documents, None) => headwater_validators::tolerate(tree, &context),
        (Purpose::Documents, Some(earlier)) => tolerate_after(tree, &context, &earlier.valid),
    }
}

fn inputs(valid: &ValidTree) -> BTreeMap<ConfigName, Inputs> {
    let configs = valid.configs().iter();
    configs
        .map(|(name, config)| (name.clone(), config.inputs().clone()))
        .collect()
}

/// What a child made of some files.
enum Tried {
    /// Working out the verdict ends, and what it is is found out here.
    EndsWell,
    /// They are refused for these findings.
    Refused(Vec<Finding>),
    /// It ended without an answer.
    Ended(End),
}

/// Lets a child work out the verdict, or that part of it which the earlier tree does not settle. Where something is wrong
/// with that part, all of the findings are wanted, so everything is judged.
async fn try_out(entries: &Arc<[RawEntry]>, rules: &Rules, measured: &Measured) -> Result<Tried, RepoError> {
    let Some(program) = &rules.program else {
        return Ok(Tried::EndsWell);
    };
    if let Some(rehearsal) = rehearsal(entries, rules, measured).await {
        match Box::pin(sandbox::rehearse(program, &rehearsal, rules)).await {
            Ok(is_well) if is_well || rules.purpose == Purpose::Documents => return Ok(Tried::EndsWell),
            Ok(_) => {}
            Err(SandboxError::Ended(end)) => return Ok(Tried::Ended(end)),
            Err(error) => return Err(not_begun(error)),
        }
    }
    match Box::pin(sandbox::judge(program, entries, (rules, measured))).await {
        Ok(view) if view.verdict == VerdictState::Admitted || rules.purpose == Purpose::Documents => {
            Ok(Tried::EndsWell)
        }
        Ok(view) => Ok(Tried::Refused(view.findings)),
        Err(SandboxError::Ended(end)) => Ok(Tried::Ended(end)),
        Err(error) => Err(not_begun(error)),
    }
}

/// Why no child said anything; nothing of it is the commit's doing.
fn not_begun(error: SandboxError) -> RepoError {
    match error {
        SandboxError::Crowded(_) => RepoError::Overloaded,
        SandboxError::Ended(_) | SandboxError::Start(_) | SandboxError::Unconfined(_) => error.into(),
    }
}

/// What is to be tried in a child instead of everything, if an earlier tree settles the rest.
async fn rehearsal(entries: &Arc<[RawEntry]>, rules: &Rules, measured: &Measured) -> Option<Rehearsal> {
    measured.measure.earlier.as_ref()?;
    let (entries, measured, limits) = (Arc::clone(entries), measured.clone(), rules.limits.clone());
    let work = move || Rehearsal::of(&entries, &measured, &limits);
    task::blocking(rules.deadline, work).await.ok()?
}

/// The verdict once the webhooks that it asks for have answered.
async fn answered(verdict: Verdict, rules: &Rules, measure: &Measure) -> Verdict {
    let questions = match &verdict {
        Verdict::Valid(valid) => valid.questions().to_vec(),
        Verdict::Invalid(_) => Vec::new(),
    };
    let is_asked = rules.questions == Questions::Put && rules.purpose != Purpose::Documents;
    if questions.is_empty() || !is_asked {
        return verdict;
    }
    let outcomes = match &rules.webhooks {
        Some(webhooks) => webhooks.ask(&questions, measure).await,
        None => Vec::new(),
    };
    verdict.answered(&outcomes)
}

impl Outcome {
    /// What follows from a verdict.
    pub(crate) fn of(verdict: Verdict, declared: Option<BTreeMap<ConfigName, Inputs>>) -> Self {
        let findings = verdict.findings().to_vec();
        let valid = match verdict {
            Verdict::Valid(valid) => Some(valid),
            Verdict::Invalid(_) => None,
        };
        Self {
            findings,
            valid,
            declared,
        }
    }

    /// Adds errors that were found elsewhere.
    pub(crate) fn reject(&mut self, errors: Vec<Finding>) {
        self.valid = None;
        self.findings.extend(errors);
        Finding::sort(&mut self.findings);
    }

    /// The same as it travels.
    pub(crate) fn view(&self) -> CheckView {
        CheckView {
            version: 1,
            verdict: if self.valid.is_some() {
                VerdictState::Admitted
            } else {
                VerdictState::Rejected
            },
            findings: self.findings.clone(),
        }
    }

    /// A rejection that no file can be blamed for. It is kept like any other, so its cost is paid once.
    pub(crate) fn refused(finding: Finding) -> Self {
        debug!(code = finding.code, "no verdict: {}", finding.message);
        Self {
            findings: vec![finding],
            valid: None,
            declared: None,
        }
    }
}

/// What is said of a tree that is too large to be read.
pub(crate) fn too_large(message: String) -> Finding {
    Finding::of_all("limit/tree", Severity::Error, message)
        .hint("look for very large or deeply recursive documents and schemas in this commit")
}
