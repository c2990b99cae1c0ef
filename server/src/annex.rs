//! An annex of a repository's mirror, for whatever is not publishing: its own thread, so that nothing done there can
//! hold up the followed branch, nor what is done in another annex.
//!
//! Invariant: one piece of work at a time, under a deadline. The thread starts with the first of it, so a repository
//! of which nothing is proposed, noted or pushed has none.

use std::path::{Path, PathBuf};
use std::time::Duration;

use headwater_wire::CommitId;
use tokio::sync::Mutex;

use crate::git::Mirror;
use crate::git::annex::{Wing, dir_of, limits_of};
use crate::git::error::GitError;
use crate::git::stop::Stop;
use crate::pipeline::git_thread::{GitThread, GitThreadError, Place};
use crate::settings::RepoSettings;

/// One annex of one repository.
#[derive(Debug)]
pub(crate) struct Annex {
    wing: Wing,
    dir: PathBuf,
    git_thread: Mutex<Option<GitThread>>,
}

impl Annex {
    /// An annex of the mirror in a directory. Nothing is made yet.
    pub(crate) fn of(mirror: &Path, wing: Wing) -> Self {
        Self {
            wing,
            dir: dir_of(mirror, wing),
            git_thread: Mutex::new(None),
        }
    }

    /// Does `work` in the annex; `like` is a commit of the mirror.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        settings: &RepoSettings,
        like: &CommitId,
        deadline: Duration,
        work: impl FnOnce(&mut Mirror, &Stop) -> Result<T, GitError> + Send + 'static,
    ) -> Result<T, GitThreadError> {
        let mut held = self.git_thread.lock().await;
        let settings = RepoSettings {
            mirror_limits: limits_of(&settings.mirror_limits),
            ..settings.clone()
        };
        let git_thread = match held.take() {
            Some(git_thread) => git_thread,
            None => self.start(&settings)?,
        };
        let git_thread = held.insert(git_thread);
        git_thread.aim(&settings)?;
        let like = like.clone();
        git_thread
            .call(deadline, move |mirror, stop| {
                mirror.in_annex(&like, |annex| work(annex, stop))
            })
            .await
    }

    fn start(&self, settings: &RepoSettings) -> Result<GitThread, GitThreadError> {
        let place = Place {
            dir: self.dir.clone(),
            upstream: settings.upstream.clone(),
            limits: settings.mirror_limits,
        };
        // A thread that cannot be started now may be the next time.
        GitThread::start(&format!("{}-{}", settings.name, self.wing.name()), place)
            .map_err(|_| GitThreadError::Ended)
    }
}
