//! Where verdicts are worked out: in a child of this program, as a server does, or in this process where none is to be
//! had.
//!
//! Invariant: whatever the files hold, a verdict is there within the deadline. A child is killed; work in this process
//! cannot be, so it is left behind, and ends with the process. What is deliberately absent: webhooks, which only a
//! server may ask, and the floor, which only its settings know.

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use headwater_validators::{Floor, Limits, Outcome as Answer, Verdict};

use crate::cli::failure::Failure;
use crate::git::error::Cause;
use crate::judge::{self, Outcome, Purpose, Questions, Rules};
use crate::measure::Measured;
use crate::process::THREAD_STACK_BYTES;
use crate::repo::RepoError;
use crate::sandbox::{Confinement, Program, Queue, Turn};
use crate::task::{self, BlockingError};
use crate::tree::RawEntry;

/// Works out verdicts under the rules of a server without settings of its own.
pub(super) struct Judging {
    rules: Rules,
    /// Why verdicts are not worked out in a child.
    unconfined: Option<Cause>,
}

impl Judging {
    /// Verdicts by children of `program`, each within `deadline`.
    pub(super) fn new(program: Option<PathBuf>, deadline: Duration) -> Self {
        Self {
            rules: Rules {
                limits: Limits::default(),
                deadline,
                floor: Floor::default(),
                webhooks: None,
                questions: Questions::Left,
                program: program.map(|path| Program {
                    path,
                    confinement: Confinement::default(),
                }),
                purpose: Purpose::Verdict,
                queue: Queue::default(),
                turn: Turn::First,
            },
            unconfined: None,
        }
    }

    /// What a tree may hold.
    pub(super) fn limits(&self) -> &Limits {
        &self.rules.limits
    }

    /// Longest time of one verdict.
    pub(super) fn deadline(&self) -> Duration {
        self.rules.deadline
    }

    /// What a person should know if verdicts could not be worked out in a process of their own.
    pub(super) fn note(&self) -> Option<String> {
        let why = self.unconfined.as_ref()?;
        Some(format!(
            "the verdict was worked out without a process of its own: {why}"
        ))
    }

    /// The verdict on a tree, with those rules that only a server can run said to be so.
    pub(super) fn judge(&mut self, entries: &[RawEntry], measured: &Measured) -> Result<Outcome, Failure> {
        let outcome = match self.attempt(entries, measured)? {
            Err(RepoError::Sandbox(error)) => {
                self.unconfined = Some(Cause::chain(&error, &[]));
                self.rules.program = None;
                self.attempt(entries, measured)?
            }
            other => other,
        };
        let outcome = outcome.map_err(|error| Failure::Verdict(Cause::chain(&error, &[])))?;
        Ok(without_webhooks(outcome))
    }

    fn attempt(
        &self,
        entries: &[RawEntry],
        measured: &Measured,
    ) -> Result<Result<Outcome, RepoError>, Failure> {
        on_threads(judge::judge_entries(
            entries.to_vec(),
            &self.rules,
            measured.clone(),
        ))
    }
}

/// The result of other work on what somebody wrote, unless it takes longer than it may.
pub(super) fn aside<T: Send + 'static>(
    deadline: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<Result<T, BlockingError>, Failure> {
    on_threads(async { task::blocking(deadline, work).await })
}

/// Runs `work` to its end. A thread that it left behind holds up nothing.
fn on_threads<T>(work: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .thread_stack_size(THREAD_STACK_BYTES)
        .enable_all()
        .build()
        .map_err(Failure::Runtime)?;
    let result = runtime.block_on(work);
    runtime.shutdown_background();
    Ok(result)
}

/// The same with what the rules say whose webhooks were not asked.
fn without_webhooks(outcome: Outcome) -> Outcome {
    let Outcome { valid, declared, .. } = &outcome;
    match valid {
        Some(valid) if !valid.questions().is_empty() => {
            let answers = vec![Answer::NotRun; valid.questions().len()];
            Outcome::of(Verdict::Valid(valid.clone()).answered(&answers), declared.clone())
        }
        Some(_) | None => outcome,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(program: Option<PathBuf>, deadline: Duration) -> (Outcome, Option<String>) {
        let mut judging = Judging::new(program, deadline);
        let outcome = judging.judge(&[], &Measured::default()).unwrap();
        (outcome, judging.note())
    }

    #[test]
    fn where_no_process_can_be_started_the_verdict_is_there_all_the_same_and_says_so() {
        let (outcome, note) = judged(Some("/nowhere/headwater".into()), Duration::from_secs(30));
        assert!(outcome.valid.is_some());
        insta::assert_snapshot!(note.unwrap(), @"the verdict was worked out without a process of its own: the verdict process could not be started: No such file or directory (os error 2)");
    }

    #[test]
    fn work_that_hangs_in_this_process_is_left_behind_at_the_deadline() {
        let deadline = Duration::from_millis(50);
        // It is let go when the test ends, so that no thread outlives it.
        let (let_go, held) = std::sync::mpsc::channel::<()>();
        let result = aside(deadline, move || held.recv().is_ok()).unwrap();
        assert_eq!(result, Err(BlockingError::TimedOut(deadline)));
        drop(let_go);
    }
}
