//! How the service writes to the upstream, apart from how it reads.
//!
//! Invariant: writing is off unless it is allowed, and never uses the credentials for reading: whoever may read many
//! repositories need not be able to change one.

use std::time::Duration;

use super::access::{self, Rule, is_clear_text};
use super::draft::RepoDraft;
use crate::git::push::{PushMethod, WriteAccess};
use crate::git::revert::Signing;
use crate::git::upstream::{SshSettings, Upstream};
use crate::secret::{UpstreamUrl, UrlKind};

/// Most writes within a minute where nothing is said: far above what people do, far below what a loop does.
pub(super) const PER_MINUTE: u32 = 10;
/// Shortest time between two pushes of notes: they are read by people, and each is a commit of its own.
const NOTES_PAUSE: Duration = Duration::from_secs(10);
/// Who records commits where nothing is said.
pub(super) const COMMITTER_NAME: &str = "Headwater";
pub(super) const COMMITTER_EMAIL: &str = "headwater@localhost";

/// How a repository is written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteSettings {
    /// Whether it may be at all.
    pub allowed: bool,
    /// Where to, and who we are there.
    pub access: WriteAccess,
    /// Who records the commits.
    pub committer_name: String,
    /// The mail address of that.
    pub committer_email: String,
    /// Whether the commits are signed.
    pub signing: Signing,
    /// Most writes within a minute.
    pub per_minute: u32,
    /// Whether a person may insist on going back to content that does not validate.
    pub invalid_allowed: bool,
}

/// How what became of commits is noted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotesSettings {
    /// Where to, and who we are there.
    pub access: WriteAccess,
    /// Name and mail address of who records them.
    pub committer: (String, String),
    /// Shortest time between two pushes of them.
    pub pause: Duration,
}

impl WriteSettings {
    /// Nothing is written.
    pub fn read_only(upstream: &Upstream) -> Self {
        finish(&RepoDraft::default(), upstream)
    }
}

/// What the keys of a repository say about writing to what is read as `upstream`. Whether that is allowed is a key of
/// the service.
pub(super) fn finish(draft: &RepoDraft, upstream: &Upstream) -> WriteSettings {
    let ssh = upstream.ssh.clone().map(|ssh| SshSettings {
        key_file: draft.push_ssh_key_file.clone(),
        ..ssh
    });
    let files = (&draft.push_password_file, &draft.push_token_file);
    let credentials = access::credentials(files, draft.push_username.as_ref());
    let signing = draft.signing_key_file.clone();
    let or = |said: &Option<String>, default: &str| said.clone().unwrap_or_else(|| default.to_owned());
    WriteSettings {
        allowed: false,
        access: WriteAccess {
            upstream: Upstream {
                url: upstream.url.without_embedded(),
                credentials,
                ssh,
                ..upstream.clone()
            },
            method: draft.push_method,
        },
        committer_name: or(&draft.committer_name, COMMITTER_NAME),
        committer_email: or(&draft.committer_email, COMMITTER_EMAIL),
        signing: signing.map_or(Signing::Unsigned, Signing::SshKey),
        per_minute: draft.writes_per_minute.unwrap_or(PER_MINUTE),
        invalid_allowed: draft.allow_invalid,
    }
}

/// How notes are written, where anything is.
pub(super) fn notes(draft: &RepoDraft, write: &WriteSettings) -> Option<NotesSettings> {
    (write.allowed && !draft.notes_off).then(|| NotesSettings {
        access: write.access.clone(),
        committer: (write.committer_name.clone(), write.committer_email.clone()),
        pause: NOTES_PAUSE,
    })
}

/// Reads the word for a push method.
pub(super) fn method(text: &str) -> Result<PushMethod, String> {
    match text {
        "receive-pack" => Ok(PushMethod::ReceivePack),
        "git" => Ok(PushMethod::GitProgram),
        other => Err(format!("expected `receive-pack` or `git`, not `{other}`")),
    }
}

/// What does not fit together in that.
pub(super) fn rules(draft: &RepoDraft, url: &UpstreamUrl) -> [Rule; 6] {
    let has_secret = draft.push_password_file.is_some() || draft.push_token_file.is_some();
    let is_http = matches!(url.kind(), UrlKind::Http { .. });
    let is_ssh = matches!(url.kind(), UrlKind::Ssh { .. });
    [
        (
            draft.push_token_file.is_some() && draft.push_password_file.is_some(),
            "`push_token_file` and `push_password_file` are both set",
            "keep the one the upstream asks for",
        ),
        (
            draft.push_username.is_some() && !has_secret,
            "`push_username` is set without `push_password_file` or `push_token_file`",
            "name the file that holds the password or token",
        ),
        (
            has_secret && !is_http,
            "`push_token_file` and `push_password_file` are for http(s) addresses",
            "use an https address, or `push_ssh_key_file` for ssh",
        ),
        (
            has_secret && is_clear_text(url),
            "a password or token that may write would be sent in clear text to another machine",
            "use an https address",
        ),
        (
            draft.push_ssh_key_file.is_some() && !is_ssh,
            "`push_ssh_key_file` is for ssh addresses",
            "use an ssh address, or `push_token_file` for https",
        ),
        (
            draft.writes_per_minute == Some(0),
            "`writes_per_minute` is 0",
            "leave `allow_write` out instead",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::{Flags, load};
    use super::*;
    use crate::git::upstream::Credentials;

    fn settings(toml: &str) -> WriteSettings {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), toml).unwrap();
        let flags = Flags {
            file: Some(file.path().to_owned()),
            ..Flags::default()
        };
        load(&flags, &[]).unwrap().repos.remove(0).write
    }

    #[test]
    fn nothing_is_written_unless_that_is_allowed() {
        let write = settings("[[repo]]\nurl = \"/srv/x\"\n");
        assert!(!write.allowed && !write.invalid_allowed);
        assert_eq!(
            (write.committer_name.as_str(), write.per_minute, &write.signing),
            ("Headwater", 10, &Signing::Unsigned)
        );
        assert!(settings("allow_write = true\n[[repo]]\nurl = \"/srv/x\"\n").allowed);
    }

    #[test]
    fn who_reads_does_not_write() {
        let write = settings("[[repo]]\nurl = \"https://h/x\"\ntoken_file = \"reads\"\n");
        assert_eq!(write.access.upstream.credentials, Credentials::None);
        let write = settings(
            "[[repo]]\nurl = \"https://h/x\"\ntoken_file = \"reads\"\npush_token_file = \"writes\"\n",
        );
        let Credentials::Token { file, .. } = &write.access.upstream.credentials else {
            panic!("{:?}", write.access.upstream.credentials)
        };
        assert!(file.ends_with("writes"));
        let write = settings("[[repo]]\nurl = \"https://bot:reads@h/x\"\n");
        assert_eq!(write.access.upstream.url.embedded(), None);
        let ssh = "[[repo]]\nurl = \"ssh://git@h/x\"\nknown_hosts_file = \"k\"\nssh_key_file = \"reads\"\n";
        let write = settings(ssh);
        assert_eq!(write.access.upstream.ssh.unwrap().key_file, None);
    }
}
