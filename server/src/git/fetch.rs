//! Receiving objects, and moving our own ref once they are known to be complete.
//!
//! Invariant: [`Mirror::fetch`] moves no ref; a pack that turns out to be incomplete is deleted again, since gix would
//! otherwise take its commits for known at the next try. [`Mirror::adopt`] is a compare-and-swap, so a crash between
//! the two costs one more fetch. What is deliberately absent: the upstream's refs, pruning, shallow history.

use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use gix::remote::fetch::Status;
use headwater_wire::{BranchName, CommitId};

use super::Mirror;
use super::check;
use super::error::{Cause, GitError, Phase};
use super::list::{contradiction, full_name, name_of};
use super::object::{to_commit_id, to_object_id};
use super::read::known;
use super::refs;
use super::session::{Session, SessionSettings, with_connection};
use super::stop::{Operation, Stop};
use super::store::{ObjectFormat, sync_dir};
use super::upstream::Upstream;

/// What a fetch brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Where the branch is now, complete and readable. It may be newer than the listed head, which then is one of its
    /// ancestors or was here before.
    pub head: CommitId,
    /// Number of objects received; 0 if everything was here.
    pub objects: u32,
}

/// What gix left on disk.
struct Received {
    head: gix::ObjectId,
    objects: u32,
    files: Vec<PathBuf>,
}

impl Mirror {
    /// Receives what is new on `branch`, which was listed at `head`, and checks that it is complete. On success `head`
    /// is here, too; if the branch was moved to another history in between, the error says so.
    pub fn fetch(&mut self, branch: &BranchName, head: &CommitId, stop: &Stop) -> Result<Fetched, GitError> {
        self.look_at_damage()?;
        self.match_object_format(head)?;
        let operation = Operation::start(Phase::Fetch, self.limits.fetch, stop);
        let received = self.receive(&self.upstream, &full_name(branch), stop)?;
        let received = received.ok_or_else(|| GitError::BranchGone {
            branch: branch.clone(),
        })?;
        let repo = self.layout.open()?.to_thread_local();
        let have = refs::read(&repo, &refs::head_name(branch)).map_err(|error| self.layout.broken(&error))?;
        let checked = check::connected(&repo, received.head, have, &self.limits.read, operation.shared());
        if let Err(error) = checked {
            return Err(self.refuse(&received, error));
        }
        self.settle(&received)?;
        self.refresh_reader()?;
        if !self.reader.contains(head) {
            return Err(GitError::BranchMoved {
                branch: branch.clone(),
                actual: to_commit_id(received.head),
            });
        }
        self.refresh_tags(stop);
        Ok(Fetched {
            head: to_commit_id(received.head),
            objects: received.objects,
        })
    }

    /// Moves the recorded head of `branch` from `expected` to `head`, which a fetch has checked.
    pub fn adopt(
        &mut self,
        branch: &BranchName,
        head: &CommitId,
        expected: Option<&CommitId>,
    ) -> Result<(), GitError> {
        let repo = self.layout.open()?.to_thread_local();
        let new = known(&repo, head)?;
        let expected = expected.map(|commit| to_object_id(&repo, commit)).transpose()?;
        let name = refs::head_name(branch);
        refs::swap(&repo, &name, new, expected).map_err(|error| {
            let actual = self.recorded(branch);
            let expected = expected.map(to_commit_id);
            if actual == expected {
                self.layout.broken(&error)
            } else {
                GitError::HeadMoved {
                    branch: branch.clone(),
                    actual,
                }
            }
        })?;
        self.sync_ref(&name)
    }

    /// The recorded head of `branch`; none while there is doubt whether it can be read, so that it is fetched again.
    pub fn recorded(&self, branch: &BranchName) -> Option<CommitId> {
        if self.damaged.load(Ordering::Acquire) {
            return None;
        }
        let repo = self.layout.open().ok()?.to_thread_local();
        refs::read(&repo, &refs::head_name(branch))
            .ok()
            .flatten()
            .map(to_commit_id)
    }

    /// Keeps a published commit, even if the branch no longer leads to it.
    pub fn keep(&mut self, commit: &CommitId) -> Result<(), GitError> {
        let repo = self.layout.open()?.to_thread_local();
        let id = known(&repo, commit)?;
        let name = refs::served_name(id);
        refs::set(&repo, &name, id).map_err(|error| self.layout.broken(&error))?;
        self.sync_ref(&name)
    }

    /// Receives what a ref of `upstream` leads to and checks that it is complete; no ref of ours will hold it.
    pub(super) fn receive_ref(
        &mut self,
        upstream: &Upstream,
        full: &str,
        stop: &Stop,
    ) -> Result<Option<CommitId>, GitError> {
        self.receive_ref_onto(upstream, full, None, stop)
    }

    /// The same, looking only at what `have` does not lead to, which was checked before.
    pub(super) fn receive_ref_onto(
        &mut self,
        upstream: &Upstream,
        full: &str,
        have: Option<&CommitId>,
        stop: &Stop,
    ) -> Result<Option<CommitId>, GitError> {
        let operation = Operation::start(Phase::Fetch, self.limits.fetch, stop);
        let Some(received) = self.receive(upstream, full, stop)? else {
            return Ok(None);
        };
        if !received.files.is_empty() {
            let repo = self.layout.open()?.to_thread_local();
            let have = have.map(|commit| to_object_id(&repo, commit)).transpose()?;
            let checked = check::connected(&repo, received.head, have, &self.limits.read, operation.shared());
            if let Err(error) = checked {
                return Err(self.refuse(&received, error));
            }
            self.settle(&received)?;
            self.refresh_reader()?;
        }
        Ok(Some(to_commit_id(received.head)))
    }

    /// Receives what the ref called `full` leads to; `None` if there is no such ref.
    fn receive(&self, upstream: &Upstream, full: &str, stop: &Stop) -> Result<Option<Received>, GitError> {
        let repo = self.layout.open()?.to_thread_local();
        let settings = SessionSettings {
            upstream,
            limits: &self.limits,
            home: &self.layout.home,
        };
        let mut session = Session::open(&settings, Phase::Fetch, stop)?;
        let transport = session.take_transport()?;
        let pack_bytes_max = self.limits.pack_bytes_max;
        let outcome = with_connection(&repo, &[full.to_owned()], transport, |connection| {
            let prepared =
                connection.prepare_fetch(gix::progress::Discard, gix::remote::ref_map::Options::default())?;
            let listed = prepared
                .ref_map()
                .remote_refs
                .iter()
                .find(|listed| name_of(listed) == full);
            let head = listed.and_then(|listed| listed.unpack().1).map(ToOwned::to_owned);
            let Some(head) = head else { return Ok(None) };
            session.allow_bytes(pack_bytes_max);
            let outcome = prepared.receive(session.words(), session.interrupt())?;
            Ok(Some((head, outcome.status)))
        });
        let received = session.finish(outcome, &self.layout.dir);
        match received {
            Ok(found) => Ok(found.map(|(head, status)| to_received(head, status))),
            Err(error) => {
                self.remove_temporary_files();
                Err(self.blame(error))
            }
        }
    }

    /// After a reader missed something: is it in what we serve?
    fn look_at_damage(&mut self) -> Result<(), GitError> {
        if self.damaged.load(Ordering::Acquire) {
            self.layout
                .verify(&self.limits)
                .map_err(|error| GitError::MirrorBroken {
                    dir: self.layout.dir.clone(),
                    cause: Cause::ours(&error.one_line()),
                })?;
            self.damaged.store(false, Ordering::Release);
        }
        Ok(())
    }

    /// A damaged mirror fails in the midst of a conversation, which looks like a bad answer of the upstream.
    fn blame(&self, error: GitError) -> GitError {
        match (&error, self.layout.verify(&self.limits)) {
            (GitError::BadAnswer(_), Err(broken)) => GitError::MirrorBroken {
                dir: self.layout.dir.clone(),
                cause: Cause::ours(&broken.one_line()),
            },
            _ => error,
        }
    }

    /// Deletes an incomplete pack. If nothing came, the hole is in what we had, and the mirror starts anew.
    fn refuse(&mut self, received: &Received, error: GitError) -> GitError {
        for file in &received.files {
            // What cannot be deleted now is swept at the next start.
            fs::remove_file(file).ok();
        }
        if !matches!(error, GitError::Incomplete { .. }) || !received.files.is_empty() {
            return error;
        }
        let dir = self.layout.dir.clone();
        let broken = GitError::MirrorBroken {
            dir,
            cause: Cause::ours(&error.to_string()),
        };
        self.rebuild(&broken).err().unwrap_or(broken)
    }

    /// Flushes the pack, so that a ref written later never points to objects a power cut took, and drops its mark.
    fn settle(&self, received: &Received) -> Result<(), GitError> {
        let io = |error: std::io::Error| self.layout.io(&error);
        for file in &received.files {
            if file.extension().is_some_and(|extension| extension == "keep") {
                // Maintenance never drops objects, so the mark protects nothing and would only keep packs apart.
                fs::remove_file(file).map_err(io)?;
            } else {
                File::open(file).and_then(|file| file.sync_all()).map_err(io)?;
            }
        }
        if received.files.is_empty() {
            Ok(())
        } else {
            sync_dir(&self.layout.pack_dir()).map_err(io)
        }
    }

    fn sync_ref(&self, name: &str) -> Result<(), GitError> {
        let path = self.layout.repository.join(name);
        let io = |error: std::io::Error| self.layout.io(&error);
        File::open(&path).and_then(|file| file.sync_all()).map_err(io)?;
        path.parent().map_or(Ok(()), |dir| sync_dir(dir).map_err(io))
    }

    /// The hash function is chosen when a repository is made; an empty one can be made again.
    pub(super) fn match_object_format(&mut self, head: &CommitId) -> Result<(), GitError> {
        let repo = self.layout.open()?.to_thread_local();
        let format = ObjectFormat::of(head);
        let ours = if repo.object_hash() == gix::hash::Kind::Sha1 {
            ObjectFormat::Sha1
        } else {
            ObjectFormat::Sha256
        };
        if format == ours {
            return Ok(());
        }
        if refs::recorded_heads(&repo)
            .map_err(|error| self.layout.broken(&error))?
            .is_empty()
        {
            self.layout.reformat(format)?;
            return self.refresh_reader();
        }
        Err(contradiction(
            "the upstream names objects by another hash function than before",
        ))
    }

    /// A failed fetch may leave temporary packs; a process that lives long must not collect them.
    fn remove_temporary_files(&self) {
        let Ok(entries) = fs::read_dir(self.layout.pack_dir()) else {
            return;
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(".tmp") || name.starts_with("tmp_") || name.as_bytes().ends_with(b".keep") {
                // What cannot be deleted now is swept at the next start.
                fs::remove_file(entry.path()).ok();
            }
        }
    }
}

fn to_received(head: gix::ObjectId, status: Status) -> Received {
    match status {
        Status::NoPackReceived { .. } => Received {
            head,
            objects: 0,
            files: Vec::new(),
        },
        Status::Change {
            write_pack_bundle, ..
        } => {
            let objects = write_pack_bundle.index.num_objects;
            let paths = [
                write_pack_bundle.data_path,
                write_pack_bundle.index_path,
                write_pack_bundle.keep_path,
            ];
            Received {
                head,
                objects,
                files: paths.into_iter().flatten().collect(),
            }
        }
    }
}
