//! The one thread that may write a repository's mirror.
//!
//! Invariant: jobs run one after the other and each has a deadline; a job that is stuck holds up this repository
//! alone, and a job that nobody waits for any more is told to end. The mailbox is bounded: a full one is an answer, not
//! a wait. What is deliberately absent: pushing, which waits for hooks of the upstream; it has a thread of its own.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use tokio::sync::oneshot;
use tracing::{Span, error};

use crate::git::Mirror;
use crate::git::error::GitError;
use crate::git::limits::MirrorLimits;
use crate::git::stop::Stop;
use crate::git::upstream::Upstream;
use crate::settings::RepoSettings;

/// Jobs that may wait: the pipeline asks one at a time, and a stuck thread must not collect more.
const MAILBOX_LEN: usize = 4;

/// How much longer than a job's own deadline the caller waits before it calls the thread stuck.
const GRACE: Duration = Duration::from_secs(5);

type Job = Box<dyn FnOnce(&mut Slot) + Send>;

/// Why a job gave no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GitThreadError {
    /// What Git or the disk said.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The thread is still busy with an earlier job, which has passed its deadline.
    #[error("the repository's Git thread is stuck in an earlier call")]
    Stuck,
    /// The thread ended, which is a fault of this program.
    #[error("the repository's Git thread has ended")]
    Ended,
    /// Something that may not wait came in between; the job was told to end.
    #[error("it was put off for something more urgent")]
    PutOff,
}

/// Handle of the thread.
#[derive(Debug)]
pub(crate) struct GitThread {
    mailbox: SyncSender<Job>,
    stop: Stop,
    /// What the thread was told to follow last.
    aim: (Upstream, MirrorLimits),
}

/// Whoever waits for a job. When he goes, with its result or without, the job is told to end.
struct Wanted(Stop);

impl Drop for Wanted {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// The mirror, opened by the first job that needs it and dropped when it proves broken.
struct Slot {
    place: Place,
    mirror: Option<Mirror>,
}

/// Where a mirror is and how it is opened.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// Its directory.
    pub dir: PathBuf,
    /// What it mirrors.
    pub upstream: Upstream,
    /// Deadlines and sizes.
    pub limits: MirrorLimits,
}

impl GitThread {
    /// Starts the thread; the mirror is opened by the first job.
    pub(crate) fn start(name: &str, place: Place) -> std::io::Result<Self> {
        let (mailbox, jobs) = sync_channel(MAILBOX_LEN);
        let aim = (place.upstream.clone(), place.limits);
        let builder = std::thread::Builder::new().name(format!("git-{name}"));
        builder.spawn(move || work(&jobs, Slot { place, mirror: None }))?;
        Ok(Self {
            mailbox,
            stop: Stop::new(),
            aim,
        })
    }

    /// Runs `job` on the thread with the open mirror, and waits for its result at most `deadline` and some grace. If the
    /// wait is given up, the job is told to end.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        deadline: Duration,
        job: impl FnOnce(&mut Mirror, &Stop) -> Result<T, GitError> + Send + 'static,
    ) -> Result<T, GitThreadError> {
        let stop = self.stop.part();
        let _wanted = Wanted(stop.clone());
        let (reply, answer) = oneshot::channel();
        let span = Span::current();
        let job: Job = Box::new(move |slot| {
            let result = span.in_scope(|| slot.with_mirror(|mirror| job(mirror, &stop)));
            // A caller that has given up needs no answer.
            reply.send(result).ok();
        });
        self.post(job)?;
        match tokio::time::timeout(deadline + GRACE, answer).await {
            Ok(Ok(result)) => Ok(result?),
            Ok(Err(_)) => Err(GitThreadError::Ended),
            Err(_) => Err(GitThreadError::Stuck),
        }
    }

    /// The same, given up as soon as `urgent` completes, so that whoever may not wait finds the thread free.
    pub(crate) async fn call_unless<T: Send + 'static>(
        &self,
        urgent: impl Future<Output = ()>,
        deadline: Duration,
        job: impl FnOnce(&mut Mirror, &Stop) -> Result<T, GitError> + Send + 'static,
    ) -> Result<T, GitThreadError> {
        // Cancel-safe: a job that is told to end leaves a valid mirror, and nobody has acted on its result.
        tokio::select! {
            biased;
            result = self.call(deadline, job) => result,
            () = urgent => Err(GitThreadError::PutOff),
        }
    }

    /// Follows what the settings say now. The mirror is opened anew if they name another upstream or other limits.
    pub(crate) fn aim(&mut self, settings: &RepoSettings) -> Result<(), GitThreadError> {
        let aim = (settings.upstream.clone(), settings.mirror_limits);
        if self.aim == aim {
            return Ok(());
        }
        let (upstream, limits) = aim.clone();
        let job: Job = Box::new(move |slot| {
            slot.mirror = None;
            slot.place.upstream = upstream;
            slot.place.limits = limits;
        });
        self.post(job)?;
        self.aim = aim;
        Ok(())
    }

    fn post(&self, job: Job) -> Result<(), GitThreadError> {
        self.mailbox.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => GitThreadError::Stuck,
            TrySendError::Disconnected(_) => GitThreadError::Ended,
        })
    }

    /// Asks the job that is running to end soon; used when the process stops.
    pub(crate) fn interrupt(&self) {
        self.stop.stop();
    }
}

impl Drop for GitThread {
    fn drop(&mut self) {
        self.interrupt();
    }
}

impl Slot {
    fn with_mirror<T>(
        &mut self,
        job: impl FnOnce(&mut Mirror) -> Result<T, GitError>,
    ) -> Result<T, GitError> {
        let mut mirror = match self.mirror.take() {
            Some(mirror) => mirror,
            None => Mirror::open(&self.place.dir, self.place.upstream.clone(), self.place.limits)?,
        };
        let result = job(&mut mirror);
        // A broken mirror is opened again by the next job, which sets it aside and starts an empty one.
        if !matches!(result, Err(GitError::MirrorBroken { .. })) {
            self.mirror = Some(mirror);
        }
        result
    }
}

/// Runs jobs until the handle is dropped. A panic of one job must not end the repository, so it is caught and the
/// mirror is opened anew.
fn work(jobs: &Receiver<Job>, mut slot: Slot) {
    while let Ok(job) = jobs.recv() {
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| job(&mut slot)));
        if caught.is_err() {
            error!("a Git call panicked; the mirror is opened anew");
            slot.mirror = None;
        }
    }
}
