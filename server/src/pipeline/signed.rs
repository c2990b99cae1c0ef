//! Whether those who signed what comes to the branch may: the policy of the settings, applied to a push.
//!
//! Invariant: a commit whose signature is refused is neither parsed nor exposed; what was exposed once stays so,
//! whatever the file of signers says later. What cannot be looked at ends the round, and the last good commit stays.

use std::path::PathBuf;
use std::sync::Arc;

use headwater_core::RepoState;
use headwater_wire::{CommitId, Finding, Severity};

use super::{Pipeline, RoundError};
use crate::clock;
use crate::git::read::Reader;
use crate::git::signature::{SignatureFault, read_signers};
use crate::judge::Judged;
use crate::measure::Against;
use crate::settings::SignaturePolicy;

/// Most commits whose signatures are looked at for one push: some ten seconds of work.
const COMMITS_MAX: usize = 1_000;
/// Most commits that are named in one refusal.
const NAMED_MAX: usize = 10;

/// What a refusal rests on: the policy, and the text of the file of signers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Basis {
    policy: SignaturePolicy,
    signers: String,
}

/// What was found out about the signatures of a push.
#[derive(Debug, Default)]
pub(super) struct Signatures {
    /// Commits that may not be exposed, nor anything after them, and why.
    faults: Vec<(CommitId, Finding)>,
    /// Commits that were looked at, whatever came of it.
    seen: Vec<CommitId>,
}

/// Whether a commit was rejected for who signed it.
pub(super) fn is_by_a_signature(findings: &[Finding]) -> bool {
    findings
        .iter()
        .any(|finding| finding.code.starts_with("signature/"))
}

impl Pipeline {
    /// Looks at the signatures that the policy asks for, before anything of the push is read.
    pub(super) async fn look_at_signatures(
        &mut self,
        reader: &Reader,
        head: &CommitId,
        state: &RepoState,
    ) -> Result<Signatures, RoundError> {
        self.refused_by = None;
        let policy = self.repo.settings().signatures.clone();
        let Some(signers) = policy.signers().cloned() else {
            return Ok(Signatures::default());
        };
        // What is exposed was admitted before.
        if state.tip.as_ref() == Some(head) {
            return Ok(Signatures {
                seen: vec![head.clone()],
                ..Signatures::default()
            });
        }
        let basis = Basis {
            policy: policy.clone(),
            signers: read_signers(&signers)?,
        };
        let is_accepted = state
            .accepted
            .as_ref()
            .is_some_and(|accepted| accepted.head == *head);
        // A person who accepts a head answers for what lies before it; a first start takes the past as it is.
        let base = state
            .tip
            .as_ref()
            .filter(|tip| !is_accepted && reader.contains(tip));
        let seen = match policy {
            SignaturePolicy::All(_) => reader.beyond(base, head, COMMITS_MAX + 1)?,
            SignaturePolicy::Off | SignaturePolicy::Head(_) => vec![head.clone()],
        };
        let mut faults = Vec::new();
        if seen.len() > COMMITS_MAX {
            faults.push((head.clone(), too_many()));
        } else {
            for commit in seen.iter().rev() {
                if let Some(fault) = self.fault(commit, &signers).await? {
                    faults.push((commit.clone(), finding(commit, &fault)));
                }
                if faults.len() == NAMED_MAX {
                    break;
                }
            }
        }
        self.refused_by = (!faults.is_empty()).then_some(basis);
        Ok(Signatures { faults, seen })
    }

    /// The verdict on a commit whose signatures may be good; of one that may not be exposed, only that.
    pub(super) async fn vetted(
        &self,
        reader: &Reader,
        commit: &CommitId,
        against: Against,
        signatures: &Signatures,
    ) -> Result<Arc<Judged>, RoundError> {
        let mut findings = Vec::new();
        for (faulty, finding) in &signatures.faults {
            if reader.is_ancestor(faulty, commit)? {
                findings.push(finding.clone());
            }
        }
        if findings.is_empty() {
            return self.verdict(reader, commit, against).await;
        }
        Finding::sort(&mut findings);
        let judged = Arc::new(Judged {
            commit: commit.clone(),
            findings,
            valid: None,
            declared: None,
            old: None,
        });
        self.repo.keep_verdict(&judged, clock::now()).await?;
        self.repo.note_verdict(&judged);
        self.repo.remember(&judged);
        Ok(judged)
    }

    /// Whether a good commit may be exposed as the newest: where only that one must be signed, one on the way to the
    /// head has not been looked at yet.
    pub(super) async fn may_lead(
        &self,
        reader: &Reader,
        commit: &CommitId,
        signatures: &Signatures,
    ) -> Result<bool, RoundError> {
        let signers: PathBuf = match self.repo.settings().signatures.signers() {
            Some(signers) if !signatures.seen.contains(commit) => signers.clone(),
            Some(_) | None => return Ok(true),
        };
        Ok(reader.contains(commit) && self.fault(commit, &signers).await?.is_none())
    }

    /// Whether the head was refused for who signed it, and who may has changed since.
    pub(super) fn signers_changed(&self) -> bool {
        let Some(basis) = &self.refused_by else {
            return false;
        };
        let policy = self.repo.settings().signatures.clone();
        let signers = policy.signers().map(|file| read_signers(file));
        match signers {
            None => true,
            // A file that cannot be read now lets nobody in.
            Some(Err(_)) => false,
            Some(Ok(signers)) => basis != &Basis { policy, signers },
        }
    }

    async fn fault(
        &self,
        commit: &CommitId,
        signers: &std::path::Path,
    ) -> Result<Option<SignatureFault>, RoundError> {
        let (commit, signers) = (commit.clone(), signers.to_owned());
        let deadline = self.repo.settings().mirror_limits.list;
        let job = move |mirror: &mut crate::git::Mirror, stop: &crate::git::stop::Stop| {
            mirror.signature_fault(&commit, &signers, stop)
        };
        let urgent = self.repo.urgent.any();
        Ok(self.git_thread.call_unless(urgent, deadline, job).await?)
    }
}

fn finding(commit: &CommitId, fault: &SignatureFault) -> Finding {
    let short = commit.short();
    let (code, message, hint) = match fault {
        SignatureFault::Unsigned => (
            "signature/missing",
            format!("commit {short} is not signed"),
            "sign it with an SSH key that the server allows: `git commit --amend --no-edit -S`",
        ),
        SignatureFault::Bad(cause) => (
            "signature/bad",
            format!("the signature of commit {short} is not one of what it says: {cause}"),
            "something changed the commit after it was signed; look at who pushed it, and sign it anew",
        ),
        SignatureFault::UnknownKey => (
            "signature/unknown-key",
            format!("commit {short} is signed with a key that is none of the allowed signers'"),
            "sign it with an allowed SSH key, or have the key added to the server's `allowed_signers_file`",
        ),
        SignatureFault::Expired => (
            "signature/expired-key",
            format!("the key that signed commit {short} is not allowed at the commit's time, or not for Git"),
            "sign it with a key that is allowed now, or have its dates changed in the server's `allowed_signers_file`",
        ),
    };
    Finding::of_all(code, Severity::Error, message).hint(hint)
}

fn too_many() -> Finding {
    let message = format!("more than {COMMITS_MAX} commits come at once, and all of them must be signed");
    Finding::of_all("signature/too-many", Severity::Error, message)
        .hint("push them in parts, or set `require_signatures = \"head\"` on the server for this push")
}
