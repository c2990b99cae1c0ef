//! The task that keeps on disk what instances said, so that a restart does not begin with nobody.
//!
//! Invariant: nobody waits for it. A fleet is copied in pieces, so that reports are taken meanwhile; writing takes a
//! small part of the time, however large the fleet; a disk that refuses costs what would have been kept, and no more.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use headwater_wire::{InstanceId, RepoName};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::http::App;
use crate::repo::Repo;
use crate::store::Store;
use crate::store::soft::Writing;
use crate::task;

/// Shortest time between two files.
const PAUSE: Duration = Duration::from_secs(5);
/// Longest time between two files while instances are heard, whose heartbeats alone are no change.
const PAUSE_MAX: Duration = Duration::from_mins(1);
/// A file may take so small a part of the time.
const SHARE: u32 = 20;
/// Longest time for one file.
const DEADLINE: Duration = Duration::from_mins(5);
/// Longest time for the file that is written when the service ends. Where it is too short, the one before stays.
const LAST_DEADLINE: Duration = Duration::from_secs(3);
/// Instances copied at once, while no report is taken.
const PIECE: usize = 500;

/// Where what instances said is kept.
pub(crate) struct SoftSink {
    data_dir: PathBuf,
    store: Arc<Store>,
    app: App,
    saved: Option<Saved>,
    failing: bool,
}

/// What was kept last, and when.
struct Saved {
    what: What,
    at: Instant,
}

/// What would be kept now, by its numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
struct What {
    changes: BTreeMap<RepoName, u64>,
    revision: u64,
}

impl SoftSink {
    pub(crate) fn new(data_dir: &Path, store: Arc<Store>, app: App) -> Self {
        Self {
            data_dir: data_dir.to_owned(),
            store,
            app,
            saved: None,
            failing: false,
        }
    }

    /// Keeps what changes until `stop`, and then once more.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut pause = PAUSE;
        loop {
            // Cancel-safe: both arms only wait.
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(pause) => {}
            }
            let began = Instant::now();
            if self.is_due(PAUSE_MAX) {
                self.save(DEADLINE).await;
            }
            pause = PAUSE.max(began.elapsed() * SHARE);
        }
        if self.is_due(Duration::ZERO) {
            self.save(LAST_DEADLINE).await;
        }
    }

    fn what(&self) -> What {
        let repos = self.app.repos();
        let changes = repos.iter().map(|(name, repo)| {
            let fleet = repo.fleet.read().unwrap_or_else(PoisonError::into_inner);
            (name.clone(), fleet.changes())
        });
        What {
            changes: changes.collect(),
            revision: self.store.witness().revision,
        }
    }

    fn is_due(&self, pause_max: Duration) -> bool {
        let Some(saved) = &self.saved else {
            return true;
        };
        saved.what != self.what() || saved.at.elapsed() >= pause_max
    }

    async fn save(&mut self, deadline: Duration) {
        // What changes while it is written is written again.
        let what = self.what();
        let (dir, store, repos) = (self.data_dir.clone(), self.store.clone(), self.app.repos());
        let until = Instant::now() + deadline;
        let written = task::blocking(deadline, move || write(&dir, (&store, &repos), until)).await;
        let error = match written {
            Ok(Ok(())) => {
                self.failing = false;
                self.saved = Some(Saved {
                    what,
                    at: Instant::now(),
                });
                return;
            }
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        if std::mem::replace(&mut self.failing, true) {
            debug!(%error, "what instances said can still not be kept: {error}");
        } else {
            let hint = "look at the disk of the data directory: is it full, or slow? after a restart instances are known as they report";
            warn!(%error, hint, "what instances said cannot be kept: {error}");
        }
    }
}

/// Writes the file, unless it takes longer than `until`.
fn write(
    data_dir: &Path,
    (store, repos): (&Store, &BTreeMap<RepoName, Arc<Repo>>),
    until: Instant,
) -> io::Result<()> {
    let mut writing = Writing::begin(data_dir, store.witness())?;
    for (name, repo) in repos {
        writing.repo(name)?;
        let mut after: Option<InstanceId> = None;
        loop {
            let kept = {
                let fleet = repo.fleet.read().unwrap_or_else(PoisonError::into_inner);
                fleet.kept(after.as_ref(), PIECE, repo.moment().uptime)
            };
            let Some(last) = kept.last() else {
                break;
            };
            if Instant::now() >= until {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "it takes too long"));
            }
            after = Some(last.instance.clone());
            writing.instances(kept)?;
        }
    }
    writing.end()
}
