//! Packs do not pile up: each fetch that brings something adds one, and maintenance folds them into few.
//!
//! Invariant: no object is ever dropped, so any commit that was published stays readable. gix cannot repack, so `git`
//! does, without any setting of the user and under a deadline; without `git` everything else goes on.
//! What is deliberately absent: `git gc`, which prunes, and a commit-graph.

use std::sync::atomic::Ordering;

use super::Mirror;
use super::error::{Cause, GitError, Phase};
use super::process::{Program, hermetic, trusting};
use super::stop::{Operation, Stop};

/// What maintenance did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Maintenance {
    /// There are few packs.
    NotNeeded {
        /// How many.
        packs: usize,
    },
    /// Packs were folded.
    Repacked {
        /// How many there were.
        before: usize,
        /// How many there are.
        after: usize,
    },
    /// `git` is not installed; said once, later the same as not needed.
    GitMissing {
        /// How many packs there are.
        packs: usize,
    },
}

impl Mirror {
    /// Folds packs if there are too many. Readers taken before stay valid; take a new one to be fast again.
    pub fn maintain(&mut self, stop: &Stop) -> Result<Maintenance, GitError> {
        let before = self.layout.pack_files(".pack")?.len();
        if before <= self.limits.packs_max {
            return Ok(Maintenance::NotNeeded { packs: before });
        }
        match self.repack(stop) {
            Err(GitError::ProgramMissing { .. }) if self.git_missing => {
                Ok(Maintenance::NotNeeded { packs: before })
            }
            Err(GitError::ProgramMissing { .. }) => {
                self.git_missing = true;
                Ok(Maintenance::GitMissing { packs: before })
            }
            Err(error) => Err(error),
            Ok(()) => {
                self.refresh_reader()?;
                Ok(Maintenance::Repacked {
                    before,
                    after: self.layout.pack_files(".pack")?.len(),
                })
            }
        }
    }

    fn repack(&self, stop: &Stop) -> Result<(), GitError> {
        let operation = Operation::start(Phase::Maintain, self.limits.maintain, stop);
        let mut command = hermetic("git", &self.layout.home);
        command
            .args(trusting(&self.layout.repository))
            .arg("--git-dir")
            .arg(&self.layout.repository);
        // Geometric: packs of doubling size, so the work per fetch stays small and nothing unreachable is dropped.
        command.args(["-c", "pack.threads=1", "-c", "pack.writeReverseIndex=false"]);
        command.args(["repack", "--geometric=2", "-d", "-q", "--no-write-bitmap-index"]);
        // From here on old readers must look at the disk again, even if the repack stops half-way.
        self.repacks.fetch_add(1, Ordering::AcqRel);
        let ended = Program::start(command, "git", operation.shared())?.run();
        operation.shared().verdict()?;
        if ended.status.is_some_and(|status| status.success()) {
            return Ok(());
        }
        let cause = Cause::new(&ended.stderr, &[]);
        if ["No space left", "Disk quota", "Read-only file system"]
            .iter()
            .any(|words| ended.stderr.contains(words))
        {
            return Err(GitError::StorageFull {
                dir: self.layout.dir.clone(),
                cause,
            });
        }
        Err(GitError::MirrorBroken {
            dir: self.layout.dir.clone(),
            cause,
        })
    }
}
