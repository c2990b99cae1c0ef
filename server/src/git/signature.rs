//! Whether a commit is signed by somebody who may: its SSH signature against a file of allowed signers, by the
//! `ssh-keygen` program, as `git verify-commit` does it.
//!
//! Invariant: only bytes of the commit itself and the file that the settings name decide; no setting of a user, of the
//! machine or of the repository is read. What cannot be checked is an error, and never a good signature. What is
//! deliberately absent: signatures of other kinds, and whether the signer is the author that the commit names.

use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use headwater_wire::{CommitId, Timestamp};

use super::Mirror;
use super::error::{Cause, GitError, Phase};
use super::process::{Ended, Program, hermetic};
use super::read::{Reader, known};
use super::sign::ARMOUR;
use super::stop::{Operation, Stop};

/// Longest time for all calls about one commit; each takes some milliseconds.
const CHECK_DEADLINE: Duration = Duration::from_secs(10);
/// Longest file of allowed signers, in bytes: some thousand keys.
const SIGNERS_BYTES_MAX: u64 = 1 << 20;
/// Most that is read of what the program prints, in bytes: principals of one key.
const PRINTED_BYTES_MAX: u64 = 16 << 10;
/// Principals of one key that are tried.
const PRINCIPALS_MAX: usize = 16;
/// What every signature begins with, once it is decoded: the magic and the version.
const PREAMBLE: &[u8] = b"SSHSIG\0\0\0\x01";
/// What Git's signatures are for.
const NAMESPACE: &str = "git";

/// What is wrong with the signature of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignatureFault {
    /// There is none.
    Unsigned,
    /// There is one that is not of these bytes, is not for Git, or cannot be read.
    Bad(Cause),
    /// It is good, and its key is none of the allowed signers'; or it is of another kind than SSH.
    UnknownKey,
    /// Its key is an allowed signer's, but not at the time that the commit names, or not for Git.
    Expired,
}

/// A commit, taken apart.
struct Signed {
    /// All bytes but the signatures.
    payload: Vec<u8>,
    /// The signature, in armour.
    signature: Option<String>,
}

impl Mirror {
    /// What is wrong with the signature of a commit, if anything is. `signers` is a file in the format of
    /// `ssh-keygen`'s `ALLOWED SIGNERS`; what it says of times is held against when the commit says it was recorded.
    ///
    /// # Errors
    /// The file or the program cannot be had, or the commit is not here.
    pub fn signature_fault(
        &self,
        commit: &CommitId,
        signers: &Path,
        stop: &Stop,
    ) -> Result<Option<SignatureFault>, GitError> {
        let listed = read_signers(signers)?;
        let raw = self.reader.raw_commit(commit)?;
        let signed = take_apart(&raw);
        let Some(armour) = signed.signature else {
            return Ok(Some(SignatureFault::Unsigned));
        };
        if !armour.starts_with(ARMOUR) {
            return Ok(Some(SignatureFault::UnknownKey));
        }
        let home = &self.layout.home;
        let file = signature_file(home, &armour)?;
        let check = Check {
            operation: Operation::start(Phase::Verify, CHECK_DEADLINE, stop),
            home,
            signature: file.path(),
            signers,
            at: verify_time(self.reader.commit(commit)?.committer.at),
        };
        let sound = check.run("check-novalidate", &[], &signed.payload)?;
        if !sound.is_good() {
            return Ok(Some(SignatureFault::Bad(Cause::ours(sound.ended.stderr.trim()))));
        }
        if check.is_allowed(&signed.payload)? {
            return Ok(None);
        }
        Ok(Some(if is_listed(&armour, &listed) {
            SignatureFault::Expired
        } else {
            SignatureFault::UnknownKey
        }))
    }
}

impl Reader {
    /// The bytes of a commit.
    fn raw_commit(&self, commit: &CommitId) -> Result<Vec<u8>, GitError> {
        let repo = self.local();
        let id = known(&repo, commit)?;
        let object = repo.find_commit(id).map_err(|error| self.broken(&error))?;
        Ok(object.data.clone())
    }

    /// Commits that `head` has and `base` has not, by whatever way they came in, newest first; at most `max`. Without
    /// `base` it is `head` alone.
    pub fn beyond(
        &self,
        base: Option<&CommitId>,
        head: &CommitId,
        max: usize,
    ) -> Result<Vec<CommitId>, GitError> {
        let Some(base) = base else {
            return Ok(vec![head.clone()]);
        };
        let repo = self.walking();
        let (base, head) = (known(&repo, base)?, known(&repo, head)?);
        let walk = repo
            .rev_walk([head])
            .with_hidden([base])
            .all()
            .map_err(|error| self.broken(&error))?;
        walk.take(max)
            .map(|info| match info {
                Ok(info) => Ok(super::object::to_commit_id(info.id)),
                Err(error) => Err(self.broken(&error)),
            })
            .collect()
    }
}

/// The calls about one signature.
struct Check<'a> {
    operation: Operation,
    home: &'a Path,
    signature: &'a Path,
    signers: &'a Path,
    at: String,
}

/// What one call said.
struct Said {
    ended: Ended,
    printed: String,
}

impl Said {
    fn is_good(&self) -> bool {
        self.ended.status.is_some_and(|status| status.success())
    }
}

impl Check<'_> {
    /// Whether one of those who the key is listed for may sign for Git at that time.
    fn is_allowed(&self, payload: &[u8]) -> Result<bool, GitError> {
        let found = self.run("find-principals", &[], &[])?;
        if !found.is_good() {
            return Ok(false);
        }
        for principal in found.printed.lines().take(PRINCIPALS_MAX) {
            if self.run("verify", &["-I", principal], payload)?.is_good() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn run(&self, what: &str, more: &[&str], payload: &[u8]) -> Result<Said, GitError> {
        let mut command = hermetic("ssh-keygen", self.home);
        // Times in the file that name no zone are UTC, wherever the machine is.
        command.env("TZ", "UTC").args(["-Y", what]);
        match what {
            "find-principals" => command.arg("-f").arg(self.signers),
            "verify" => command.args(["-n", NAMESPACE, "-f"]).arg(self.signers),
            _ => command.args(["-n", NAMESPACE]),
        };
        command
            .args(more)
            .arg("-s")
            .arg(self.signature)
            .arg(format!("-Overify-time={}", self.at));
        let mut program = Program::start(command, "ssh-keygen", self.operation.shared())?;
        let mut printed = String::new();
        if let Some((stdout, mut stdin)) = program.pipes() {
            // A program that ended early says why by how it ended.
            stdin.write_all(payload).ok();
            drop(stdin);
            stdout.take(PRINTED_BYTES_MAX).read_to_string(&mut printed).ok();
        }
        let ended = program.end();
        self.operation.shared().verdict()?;
        Ok(Said { ended, printed })
    }
}

/// The file of allowed signers. One that is missing or too long lets nobody in, and is told.
pub(crate) fn read_signers(file: &Path) -> Result<String, GitError> {
    let settings = |why: &str| {
        GitError::Settings(Cause::ours(&format!(
            "cannot use `allowed_signers_file` `{}`: {why}",
            file.display()
        )))
    };
    let mut text = String::new();
    let opened = std::fs::File::open(file).map_err(|error| settings(&error.to_string()))?;
    let read = opened.take(SIGNERS_BYTES_MAX + 1).read_to_string(&mut text);
    read.map_err(|error| settings(&error.to_string()))?;
    if text.len() as u64 > SIGNERS_BYTES_MAX {
        return Err(settings("it is longer than 1 MiB"));
    }
    Ok(text)
}

fn signature_file(home: &Path, armour: &str) -> Result<tempfile::NamedTempFile, GitError> {
    let written = tempfile::NamedTempFile::new_in(home).and_then(|mut file| {
        file.write_all(armour.as_bytes())?;
        file.write_all(b"\n")?;
        file.flush()?;
        Ok(file)
    });
    written.map_err(|error| GitError::StorageFull {
        dir: home.to_owned(),
        cause: Cause::ours(&error.to_string()),
    })
}

/// Splits a commit into its signature and the rest. Both headers that Git has for signatures are left out of the rest,
/// as Git does it, and the first one counts. A second one of the same name stays in the rest, so that it is good only
/// if it was there when the commit was signed.
fn take_apart(raw: &[u8]) -> Signed {
    let mut signed = Signed {
        payload: Vec::with_capacity(raw.len()),
        signature: None,
    };
    let mut armour: Option<Vec<u8>> = None;
    let mut in_signature = false;
    let mut rest = raw;
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let (line, after) = rest.split_at(end + 1);
        if line == b"\n" {
            break;
        }
        let begins = [b"gpgsig ".as_slice(), b"gpgsig-sha256 ".as_slice()];
        let first = begins.iter().find_map(|begin| line.strip_prefix(*begin));
        if let (Some(first), None) = (first, &armour) {
            in_signature = true;
            armour = Some(first.to_vec());
        } else if let (true, Some(more), Some(armour)) = (in_signature, line.strip_prefix(b" "), &mut armour)
        {
            armour.extend_from_slice(more);
        } else {
            in_signature = false;
            signed.payload.extend_from_slice(line);
        }
        rest = after;
    }
    signed.payload.extend_from_slice(rest);
    signed.signature = armour.map(|armour| String::from_utf8_lossy(&armour).trim_end().to_owned());
    signed
}

/// Whether the key of a signature stands in the file, for whatever time and purpose.
fn is_listed(armour: &str, signers: &str) -> bool {
    let body: String = armour.lines().filter(|line| !line.starts_with('-')).collect();
    let Ok(decoded) = STANDARD.decode(body.trim()) else {
        return false;
    };
    let Some((length, rest)) = decoded
        .strip_prefix(PREAMBLE)
        .and_then(<[u8]>::split_first_chunk::<4>)
    else {
        return false;
    };
    let key = usize::try_from(u32::from_be_bytes(*length))
        .ok()
        .and_then(|length| rest.get(..length));
    key.is_some_and(|key| {
        let key = STANDARD.encode(key);
        let lines = signers.lines().filter(|line| !line.trim_start().starts_with('#'));
        lines
            .flat_map(str::split_ascii_whitespace)
            .any(|word| word == key)
    })
}

/// A time as `ssh-keygen` reads it: `20260131120000`.
fn verify_time(at: Timestamp) -> String {
    let text = at.to_string();
    text.chars().filter(char::is_ascii_digit).take(14).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_taken_apart_at_its_signature_alone() {
        let raw = b"tree 1\nauthor a\ngpgsig -----BEGIN\n one\n \n -----END\ncommitter c\n\ngpgsig in the message\n x\n";
        let signed = take_apart(raw);
        assert_eq!(signed.signature.unwrap(), "-----BEGIN\none\n\n-----END");
        assert_eq!(
            signed.payload,
            b"tree 1\nauthor a\ncommitter c\n\ngpgsig in the message\n x\n"
        );
    }

    #[test]
    fn a_second_signature_is_part_of_what_was_signed() {
        let signed = take_apart(b"tree 1\ngpgsig A\ngpgsig B\n c\n\nm");
        assert_eq!(signed.signature.unwrap(), "A");
        assert_eq!(signed.payload, b"tree 1\ngpgsig B\n c\n\nm");
        assert!(take_apart(b"tree 1\n\ngpgsig A\n").signature.is_none());
        assert!(take_apart(b"").signature.is_none());
    }

    #[test]
    fn times_are_written_as_the_program_reads_them() {
        assert_eq!(
            verify_time(Timestamp::from_seconds(1_700_000_000)),
            "20231114221320"
        );
    }
}
