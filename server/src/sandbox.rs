//! A verdict in a child process that can be killed.
//!
//! Why: no validator can be stopped from within. A schema may take exponential time, a document may take all memory,
//! and a crash of the service for one commit would come back at every start. The child is this same program; it
//! confines itself before it reads a byte, and what it says is only a verdict: the documents are made here, once it is
//! known that making them ends well.
//!
//! Invariant: the child gets the files on standard input and nothing else: no path, no address, no credential. It has
//! less stack than the service's own threads, so that what ends well there ends well here.

mod confine;
mod end;
mod filter;
mod frames;
mod queue;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::{ExitCode, Stdio};
use std::thread;
use std::time::Duration;

use headwater_validators::{rehearse as rehearse_configs, validate};
use headwater_wire::{CheckView, VerdictState};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufWriter};
use tokio::process::{Child, Command};
use tracing::debug;

use self::confine::Terms;
pub use self::confine::{Confinement, FilterNeed, MemoryBytes};
pub(crate) use self::end::End;
use self::frames::Input;
use self::queue::Crowded;
pub(crate) use self::queue::{Queue, Turn};
use crate::earlier::Rehearsal;
use crate::judge::Rules;
use crate::measure::Measured;
use crate::process::THREAD_STACK_BYTES;
use crate::tree::RawEntry;

/// Argument that makes this program judge its standard input; not for people.
pub const ARGUMENT: &str = "verdict-child";

/// Stack of the thread that judges, in bytes.
const STACK_BYTES: usize = 2 << 20;
const _: () = assert!(
    STACK_BYTES < THREAD_STACK_BYTES,
    "what ends well in a child must end well in the service"
);
/// Bytes written to a child at once: what a pipe holds.
const WRITE_BYTES: usize = 64 << 10;
/// Largest answer of a child, in bytes: its findings, which are limited in number and length.
const ANSWER_BYTES_MAX: u64 = 16 << 20;
/// Longest last words of a child, in bytes: enough for how Rust's library says what it ends for.
const LAST_WORDS_BYTES_MAX: u64 = 4 << 10;

/// Exit code of a child that read nothing, since it could not be confined as it must be.
const UNCONFINED: u8 = 3;
/// Exit code of a child whose validators panicked, as Rust gives it.
const PANICKED: u8 = 101;

/// A program whose children work out verdicts, and what they are held to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Program {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// What its children are held to.
    pub(crate) confinement: Confinement,
}

/// Why a child gave no verdict.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SandboxError {
    /// It ended without an answer: killed for its time, its memory or what it tried, or crashed.
    #[error(transparent)]
    Ended(End),
    /// It could not be started; this says nothing about the commit.
    #[error("the verdict process could not be started")]
    Start(#[source] io::Error),
    /// It could not be confined; this says nothing about the commit.
    #[error("the verdict process could not be confined: {0}")]
    Unconfined(String),
    /// It was not started, since too many others wait.
    #[error(transparent)]
    Crowded(#[from] Crowded),
}

/// What a child said.
struct Answer {
    view: CheckView,
    /// Its last words; the reason, if it could not filter its system calls.
    said: String,
}

/// Judges `entries` in a child of `program`.
pub(crate) async fn judge(
    program: &Program,
    entries: &[RawEntry],
    (rules, measured): (&Rules, &Measured),
) -> Result<CheckView, SandboxError> {
    let input = Input::new(entries, (rules, measured), None).map_err(SandboxError::Start)?;
    in_turn(program, &input, rules).await
}

/// Tries in a child what has to be worked out of a commit. Whether nothing is wrong with it.
pub(crate) async fn rehearse(
    program: &Program,
    rehearsal: &Rehearsal,
    rules: &Rules,
) -> Result<bool, SandboxError> {
    let Rehearsal {
        entries,
        measured,
        work,
    } = rehearsal;
    let input = Input::new(entries, (rules, measured), Some(&work.configs)).map_err(SandboxError::Start)?;
    let view = in_turn(program, &input, rules).await?;
    Ok(view.verdict == VerdictState::Admitted)
}

async fn in_turn(program: &Program, input: &Input<'_>, rules: &Rules) -> Result<CheckView, SandboxError> {
    let _place = rules.queue.enter(rules.turn).await?;
    let answer = match attempt(program, input, rules.deadline).await {
        // It was not the service, so it may have been meant for somebody else: once more, and no oftener.
        Err(SandboxError::Ended(end)) if end.is_passing() => attempt(program, input, rules.deadline).await,
        answer => answer,
    };
    Ok(answer?.view)
}

/// Judges nothing at all in a child. Gives the reason if system calls of verdicts cannot be filtered here.
pub(crate) async fn probe(program: &Program, rules: &Rules) -> Result<Option<String>, SandboxError> {
    let nothing = Measured::default();
    let input = Input::new(&[], (rules, &nothing), None).map_err(SandboxError::Start)?;
    let said = attempt(program, &input, rules.deadline).await?.said;
    Ok((!said.is_empty()).then_some(said))
}

async fn attempt(program: &Program, input: &Input<'_>, deadline: Duration) -> Result<Answer, SandboxError> {
    let terms = Terms {
        confinement: program.confinement,
        cpu_seconds: deadline.as_secs() + 1,
    };
    let mut child = Command::new(&program.path)
        .arg(ARGUMENT)
        .args(terms.to_arguments())
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(SandboxError::Start)?;
    if let Ok(result) = tokio::time::timeout(deadline, converse(&mut child, input, terms)).await {
        return result;
    }
    // The child is killed when it is dropped, too; what the kill says does not matter.
    child.start_kill().ok();
    Err(SandboxError::Ended(End::Deadline(deadline)))
}

/// Writes the input, reads the answer, waits for the end.
async fn converse(child: &mut Child, input: &Input<'_>, terms: Terms) -> Result<Answer, SandboxError> {
    let (Some(stdin), Some(stdout), Some(stderr)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(SandboxError::Start(io::ErrorKind::BrokenPipe.into()));
    };
    let write = async {
        // A child that dies while reading is told by its exit, not by the broken pipe.
        let mut stdin = BufWriter::with_capacity(WRITE_BYTES, stdin);
        for frame in input.frames() {
            if stdin.write_all(&frame).await.is_err() {
                return;
            }
        }
        stdin.flush().await.ok();
    };
    let (mut answer, mut said) = (Vec::new(), Vec::new());
    let (mut stdout, mut stderr) = (stdout.take(ANSWER_BYTES_MAX), stderr.take(LAST_WORDS_BYTES_MAX));
    let (read, heard, ()) = tokio::join!(
        stdout.read_to_end(&mut answer),
        stderr.read_to_end(&mut said),
        write
    );
    let status = child.wait().await.map_err(SandboxError::Start)?;
    let said = String::from_utf8_lossy(&said).trim().to_owned();
    if status.code() == Some(UNCONFINED.into()) {
        return Err(SandboxError::Unconfined(said));
    }
    let is_whole = status.success() && read.is_ok() && heard.is_ok();
    match serde_json::from_slice(&answer) {
        Ok(view) if is_whole => Ok(Answer { view, said }),
        _ => {
            debug!(%status, "a verdict ended without an answer: {said:?}");
            Err(SandboxError::Ended(End::of(status, &said, terms)))
        }
    }
}

/// The child: confines itself, then judges what it reads and says its verdict.
pub fn child() -> ExitCode {
    child_that(judge_input)
}

/// A child that does something else once it is confined; what that could be is the concern of tests alone.
#[expect(clippy::print_stderr, reason = "the parent reads it")]
pub fn child_that(work: impl FnOnce() -> io::Result<()> + Send + 'static) -> ExitCode {
    let Some(terms) = Terms::of_arguments(std::env::args().skip(2)) else {
        return ExitCode::from(UNCONFINED);
    };
    match confine::confine(terms) {
        Ok(None) => {}
        Ok(Some(reason)) => eprintln!("{reason}"),
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(UNCONFINED);
        }
    }
    let worker = thread::Builder::new().stack_size(STACK_BYTES).spawn(work);
    match worker.map(thread::JoinHandle::join) {
        Ok(Ok(Ok(()))) => ExitCode::SUCCESS,
        Ok(Err(_panic)) => ExitCode::from(PANICKED),
        Ok(Ok(Err(_))) | Err(_) => ExitCode::FAILURE,
    }
}

fn judge_input() -> io::Result<()> {
    let mut stdin = io::stdin().lock();
    let received = frames::receive(&mut stdin)?;
    let view = match received.only() {
        None => validate(&received.tree, &received.context()).view(),
        Some(only) if rehearse_configs(&received.tree, &received.context(), only) => {
            rehearsed(VerdictState::Admitted)
        }
        Some(_) => rehearsed(VerdictState::Rejected),
    };
    let mut stdout = io::stdout().lock();
    serde_json::to_writer(&mut stdout, &view)?;
    stdout.flush()
}

/// A rehearsal has no findings: whoever wants them has everything judged.
fn rehearsed(verdict: VerdictState) -> CheckView {
    CheckView {
        version: 1,
        verdict,
        findings: Vec::new(),
    }
}
