//! Whether a commit whose push got no answer is on the upstream after all.
//!
//! Invariant: the upstream's ref decides, never the memory of what was sent. Objects may be received for that; no ref
//! moves. What is deliberately absent: waiting, since a server may still be busy with a push that was cut; who finds that
//! it did not land may push again, because the compare-and-swap makes that harmless.

use headwater_wire::CommitId;

use super::{PushError, PushRef, WriteAccess, receive_pack};
use crate::git::Mirror;
use crate::git::object::to_commit_id;
use crate::git::stop::Stop;

/// Whether a commit is on the upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Landing {
    /// The ref is at the commit or at a descendant of it.
    Landed {
        /// Where it is.
        tip: CommitId,
    },
    /// It is not.
    NotLanded {
        /// Where it is; `None` if it does not exist.
        tip: Option<CommitId>,
    },
}

impl Mirror {
    /// Looks whether `commit`, which is in the mirror, is in what `target` of the upstream leads to.
    pub fn landed(
        &mut self,
        access: &WriteAccess,
        target: &PushRef,
        commit: &CommitId,
        stop: &Stop,
    ) -> Result<Landing, PushError> {
        let Some(tip) = self.tip_of(access, target, stop)? else {
            return Ok(Landing::NotLanded { tip: None });
        };
        if tip == *commit {
            return Ok(Landing::Landed { tip });
        }
        if self.reader.reachable(commit, &tip)? {
            Ok(Landing::Landed { tip })
        } else {
            Ok(Landing::NotLanded { tip: Some(tip) })
        }
    }

    /// Where `target` of the upstream is; `None` if it does not exist. Nothing is received.
    pub fn target_at(
        &self,
        access: &WriteAccess,
        target: &PushRef,
        stop: &Stop,
    ) -> Result<Option<CommitId>, PushError> {
        let tip = receive_pack::look(self, access, target, stop);
        let tip = tip.map_err(|error| PushError::before(target, error))?;
        Ok(tip.map(to_commit_id))
    }

    /// The same, as a commit that is in the mirror from now on.
    fn tip_of(
        &mut self,
        access: &WriteAccess,
        target: &PushRef,
        stop: &Stop,
    ) -> Result<Option<CommitId>, PushError> {
        let Some(tip) = self.target_at(access, target, stop)? else {
            return Ok(None);
        };
        if self.reader.contains(&tip) {
            return Ok(Some(tip));
        }
        let received = self.receive_ref(&access.upstream, &target.to_string(), stop);
        received.map_err(|error| PushError::before(target, error))
    }
}
