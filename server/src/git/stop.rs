//! Stopping: a flag from outside, a deadline from the limits, and the watchdog that makes both reach blocking work.
//!
//! Invariant: while an `Operation` lives, at most 50 ms after the flag is raised or the deadline passes the
//! interrupt flag of the work is set and its child process group is killed. Work that only looks at the flag between
//! reads is bounded by the read's own timeout on top. What is deliberately absent: asynchronous cancellation.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::error::{GitError, Phase};

/// How often the watchdog looks; a person does not notice this delay at shutdown.
const WATCH_INTERVAL: Duration = Duration::from_millis(50);

/// A request to stop, given by whoever owns the work. Clones share the flag.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    flag: Arc<AtomicBool>,
    /// Flag of whoever gave a part of the work away.
    above: Option<Arc<AtomicBool>>,
}

impl Stop {
    /// A flag that is not raised.
    pub fn new() -> Self {
        Self::default()
    }

    /// A flag for a part of the work: raised with this one, or alone.
    #[must_use]
    pub fn part(&self) -> Self {
        Self {
            flag: Arc::default(),
            above: Some(Arc::clone(&self.flag)),
        }
    }

    /// Raises the flag; it stays raised.
    pub fn stop(&self) {
        self.flag.store(true, Ordering::Release);
    }

    /// Whether the flag is raised.
    pub fn is_stopped(&self) -> bool {
        let above = self.above.as_ref();
        self.flag.load(Ordering::Acquire) || above.is_some_and(|flag| flag.load(Ordering::Acquire))
    }
}

/// One bounded piece of work: its deadline, its interrupt flag and the process group to kill with it.
#[derive(Debug)]
pub(crate) struct Operation {
    shared: Arc<Shared>,
    watchdog: Option<JoinHandle<()>>,
}

/// What the work, the watchdog and the readers of the transport share.
#[derive(Debug)]
pub(crate) struct Shared {
    phase: Phase,
    started: Instant,
    deadline: Instant,
    stop: Stop,
    interrupt: AtomicBool,
    finished: AtomicBool,
    group: Mutex<Option<rustix::process::Pid>>,
}

impl Operation {
    /// Starts the clock and the watchdog.
    pub(crate) fn start(phase: Phase, limit: Duration, stop: &Stop) -> Self {
        let started = Instant::now();
        let shared = Arc::new(Shared {
            phase,
            started,
            deadline: started + limit,
            stop: stop.clone(),
            interrupt: AtomicBool::new(false),
            finished: AtomicBool::new(false),
            group: Mutex::new(None),
        });
        let watched = Arc::clone(&shared);
        let watchdog = std::thread::Builder::new()
            .name("git-watchdog".to_owned())
            .spawn(move || watched.watch());
        // Without a thread the readers still look at the deadline themselves, so the work goes on.
        Self {
            shared,
            watchdog: watchdog.ok(),
        }
    }

    /// The part that readers hold.
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        self.shared.finished.store(true, Ordering::Release);
        if let Some(watchdog) = self.watchdog.take() {
            watchdog.thread().unpark();
            // A watchdog that panicked has nothing left to tell.
            drop(watchdog.join());
        }
    }
}

impl Shared {
    /// The flag that gix looks at between reads.
    pub(crate) fn interrupt(&self) -> &AtomicBool {
        &self.interrupt
    }

    /// Time left until the deadline.
    pub(crate) fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Why the work must end now, if it must.
    pub(crate) fn verdict(&self) -> Result<(), GitError> {
        if self.stop.is_stopped() {
            return Err(GitError::Cancelled);
        }
        if self.remaining().is_zero() {
            return Err(self.timed_out());
        }
        Ok(())
    }

    /// The error of a wait that took too long.
    pub(crate) fn timed_out(&self) -> GitError {
        let waited_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        GitError::TimedOut {
            phase: self.phase,
            waited_ms,
        }
    }

    /// Tells the watchdog which process group belongs to this work; `None` before its leader is reaped, so that a
    /// reused id is never killed.
    pub(crate) fn set_group(&self, group: Option<rustix::process::Pid>) {
        *self.group.lock().unwrap_or_else(PoisonError::into_inner) = group;
    }

    /// Kills the process group now, if there is one.
    pub(crate) fn kill_group(&self) {
        let group = self.group.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(group) = *group {
            // It fails only if all members are gone already, which is what we want.
            rustix::process::kill_process_group(group, rustix::process::Signal::KILL).ok();
        }
    }

    fn watch(&self) {
        while !self.finished.load(Ordering::Acquire) {
            if self.verdict().is_err() {
                self.interrupt.store(true, Ordering::Release);
                self.kill_group();
            }
            std::thread::park_timeout(WATCH_INTERVAL);
        }
    }
}
