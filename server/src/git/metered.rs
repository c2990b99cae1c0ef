//! What every transport shares: bytes are counted, deadlines are looked at, and the first failure is remembered.
//!
//! Invariant: no reader handed to gix returns data after the deadline, after a request to stop, or beyond the byte
//! limit of its phase; the reason is kept here as a [`GitError`], since gix would only keep words.
//! What is deliberately absent: knowledge of any transport.

use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::error::{Cause, GitError};
use super::stop::Shared;
use crate::secret::Secret;

/// Shared by a transport and whoever asks afterwards what went wrong.
#[derive(Debug)]
pub(crate) struct Meter {
    pub(crate) work: Arc<Shared>,
    pub(crate) secrets: Vec<Secret>,
    bytes_left: AtomicU64,
    failure: Mutex<Option<GitError>>,
}

impl Meter {
    pub(crate) fn new(work: Arc<Shared>, secrets: Vec<Secret>, bytes_max: u64) -> Arc<Self> {
        Arc::new(Self {
            work,
            secrets,
            bytes_left: AtomicU64::new(bytes_max),
            failure: Mutex::new(None),
        })
    }

    /// Gives a new byte limit, when a new phase begins on the same connection.
    pub(crate) fn allow(&self, bytes_max: u64) {
        self.bytes_left.store(bytes_max, Ordering::Release);
    }

    /// Remembers the first failure and makes an error for the layers between, which they only pass on.
    pub(crate) fn fail(&self, error: GitError) -> std::io::Error {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        let text = failure.get_or_insert(error).to_string();
        std::io::Error::other(text)
    }

    /// The first failure, if any.
    pub(crate) fn failure(&self) -> Option<GitError> {
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn count(&self, read: usize) -> std::io::Result<()> {
        let read = u64::try_from(read).unwrap_or(u64::MAX);
        let left = self.bytes_left.load(Ordering::Acquire);
        if read > left {
            let cause = Cause::ours("the answer is larger than the limit");
            return Err(self.fail(GitError::BadAnswer(cause)));
        }
        self.bytes_left.store(left - read, Ordering::Release);
        Ok(())
    }
}

/// A reader under a [`Meter`].
pub(crate) struct Metered<R> {
    inner: R,
    meter: Arc<Meter>,
}

impl<R> Metered<R> {
    pub(crate) fn new(inner: R, meter: Arc<Meter>) -> Self {
        Self { inner, meter }
    }
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.meter
            .work
            .verdict()
            .map_err(|error| self.meter.fail(error))?;
        match self.inner.read(buffer) {
            Ok(read) => self.meter.count(read).map(|()| read),
            Err(error) if error.kind() == std::io::ErrorKind::TimedOut => {
                let timed_out = self
                    .meter
                    .work
                    .verdict()
                    .err()
                    .unwrap_or_else(|| self.meter.work.timed_out());
                Err(self.meter.fail(timed_out))
            }
            Err(error) => {
                let ended = self.meter.work.verdict().err();
                let broken = || GitError::Unreachable(Cause::chain(&error, &self.meter.secrets));
                Err(self.meter.fail(ended.unwrap_or_else(broken)))
            }
        }
    }
}
