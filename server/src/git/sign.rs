//! Signing a commit with an SSH key, by the `ssh-keygen` program.
//!
//! Invariant: the private key is read by `ssh-keygen` alone; it has no terminal, no agent and no prompt, so a key with
//! a passphrase fails at once. With Ed25519 and RSA keys equal commits get equal signatures; ECDSA and hardware keys
//! sign differently each time, and two pushers then make two commits. What is deliberately absent: GPG.

use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use super::error::{Cause, GitError, Phase};
use super::process::{Program, hermetic};
use super::stop::{Operation, Stop};

/// A signature takes milliseconds; hardware that waits for a touch is not for a service.
const SIGN_DEADLINE: Duration = Duration::from_secs(10);
/// Longest signature in armour, in bytes; one of RSA with 16,384 bits has about 6,000.
const SIGNATURE_BYTES_MAX: u64 = 16 << 10;
/// How an SSH signature begins.
pub(super) const ARMOUR: &str = "-----BEGIN SSH SIGNATURE-----";

/// The armoured signature of a commit's `payload`, without the last newline.
pub(super) fn ssh_signature(
    key_file: &Path,
    payload: &[u8],
    home: &Path,
    stop: &Stop,
) -> Result<String, GitError> {
    let operation = Operation::start(Phase::Sign, SIGN_DEADLINE, stop);
    std::fs::File::open(key_file).map_err(|error| {
        GitError::Settings(Cause::ours(&format!(
            "cannot use the signing key `{}`: {error}",
            key_file.display()
        )))
    })?;
    let mut command = hermetic("ssh-keygen", home);
    command
        .env("SSH_ASKPASS", "/bin/false")
        .env("SSH_ASKPASS_REQUIRE", "force")
        .args(["-Y", "sign", "-n", "git", "-f"])
        .arg(key_file);
    let mut program = Program::start(command, "ssh-keygen", operation.shared())?;
    let mut armour = String::new();
    if let Some((stdout, mut stdin)) = program.pipes() {
        // A program that ended early says why on its error stream.
        stdin.write_all(payload).ok();
        drop(stdin);
        stdout.take(SIGNATURE_BYTES_MAX).read_to_string(&mut armour).ok();
    }
    let ended = program.end();
    operation.shared().verdict()?;
    let armour = armour.trim_end();
    if ended.status.is_some_and(|status| status.success()) && armour.starts_with(ARMOUR) {
        return Ok(armour.to_owned());
    }
    Err(GitError::Settings(Cause::ours(&format!(
        "cannot sign with `{}`: {}",
        key_file.display(),
        ended.stderr.trim()
    ))))
}
