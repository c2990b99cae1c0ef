//! The tables of keys: one row each for the file, the environment and the documentation.

use std::path::PathBuf;

use headwater_core::RewrittenHistory;

use super::draft::{RepoDraft, ServerDraft};
use super::forges::http_address;
use super::values::{
    boolean, duration, duration_ms, host_name, log_filter, number, percent, poll_interval, rollout,
    socket_address, told_file,
};
use super::write::{self, COMMITTER_EMAIL, COMMITTER_NAME};

/// One key: how it is named, what it means, how its text becomes a value.
pub(super) struct Key<D> {
    /// Name in the file; `HEADWATER_` and the upper-case name is the variable.
    pub(super) name: &'static str,
    /// One line for people.
    pub(super) help: &'static str,
    /// Default, as a person would write it; empty if there is none.
    pub(super) default: &'static str,
    /// Reads the text into the draft, or says what was expected.
    pub(super) set: fn(&mut D, &str) -> Result<(), String>,
}

/// The variable of a server key.
pub(super) fn variable(key: &str) -> String {
    format!("HEADWATER_{}", key.to_ascii_uppercase())
}

/// The variable of a repository key; it speaks of the only repository. The two that everybody needs are short.
pub(super) fn repo_variable(key: &str) -> String {
    match key {
        "url" => "HEADWATER_REPO".to_owned(),
        "branch" => "HEADWATER_BRANCH".to_owned(),
        other => format!("HEADWATER_REPO_{}", other.to_ascii_uppercase()),
    }
}

/// The variable of a hook key; it speaks of the only hook.
pub(super) fn hook_variable(key: &str) -> String {
    format!("HEADWATER_HOOK_{}", key.to_ascii_uppercase())
}

pub(super) const SERVER_KEYS: &[Key<ServerDraft>] = &[
    Key {
        name: "listen",
        help: "address and port to listen on",
        default: "127.0.0.1:7171",
        set: |draft, text| put(&mut draft.listen, socket_address(text, "127.0.0.1:7171")),
    },
    Key {
        name: "data_dir",
        help: "directory for mirrors and decisions, owned by one process",
        default: "./headwater-data",
        set: |draft, text| put(&mut draft.data_dir, path(text)),
    },
    Key {
        name: "poll_interval",
        help: "mean time between two listings of an upstream, spread by ± 20 %",
        default: "30s",
        set: |draft, text| put(&mut draft.poll_interval, poll_interval(text)),
    },
    Key {
        name: "allow_write",
        help: "whether reverts and notes may be pushed to the upstream",
        default: "false",
        set: |draft, text| put(&mut draft.allow_write, boolean(text)),
    },
    Key {
        name: "tokens_file",
        help: "file of `headwater token`: who may ask, and what; read again when it changes; without it anybody may",
        default: "",
        set: |draft, text| put(&mut draft.tokens_file, path(text).map(Some)),
    },
    Key {
        name: "insecure_no_auth",
        help: "listen on an address that other machines reach although nobody is asked who they are",
        default: "false",
        set: |draft, text| put(&mut draft.insecure_no_auth, boolean(text)),
    },
    Key {
        name: "drain_deadline",
        help: "how long open requests may take to finish after SIGTERM",
        default: "10s",
        set: |draft, text| put(&mut draft.drain_deadline, duration(text)),
    },
    Key {
        name: "verdict_deadline",
        help: "longest time one commit's verdict may take",
        default: "30s",
        set: |draft, text| put(&mut draft.verdict_deadline, duration(text)),
    },
    Key {
        name: "verdict_bytes_max",
        help: "most memory one commit's verdict may take, in bytes",
        default: "2147483648",
        set: |draft, text| put(&mut draft.verdict_confinement.memory_bytes_max, text.parse()),
    },
    Key {
        name: "sandbox",
        help: "filter of a verdict's system calls: `required`, `preferred` where there are filters, or `limits` without",
        default: "preferred",
        set: |draft, text| put(&mut draft.verdict_confinement.filter, text.parse()),
    },
    Key {
        name: "file_bytes_max",
        help: "largest config file, in bytes",
        default: "1048576",
        set: |draft, text| put(&mut draft.limits.file_bytes, number(text)),
    },
    Key {
        name: "files_max",
        help: "most config files in one commit",
        default: "200000",
        set: |draft, text| put(&mut draft.limits.files, number(text)),
    },
    Key {
        name: "minimum_rollout",
        help: "the most careless rollout a config may have: `immediate`, `staged` or `two-phase`",
        default: "immediate",
        set: |draft, text| put(&mut draft.floor.rollout, rollout(text).map(Some)),
    },
    Key {
        name: "minimum_bake",
        help: "shortest time that each stage of a rollout must bake; without it, the manifest says",
        default: "",
        set: |draft, text| put(&mut draft.floor.bake_min_ms, duration_ms(text)),
    },
    Key {
        name: "first_stage_percent_max",
        help: "largest share that the first stage of a rollout may take; without it, the manifest says",
        default: "",
        set: |draft, text| put(&mut draft.floor.first_percent_max, percent(text).map(Some)),
    },
    Key {
        name: "manifest_owners",
        help: "mail addresses of those whose commits may change `headwater.toml`; without any, everybody's may",
        default: "",
        set: |draft, text| {
            draft.floor.manifest_owners = text.split(',').map(|owner| owner.trim().to_owned()).collect();
            Ok(())
        },
    },
    Key {
        name: "public_url",
        help: "address at which people reach this service, for links from commit statuses",
        default: "",
        set: |draft, text| put(&mut draft.public_url, http_address(text).map(Some)),
    },
    Key {
        name: "allowed_hosts",
        help: "names by which the service is reached, such as `config.example.test`, or `.example.test` for all below it",
        default: "",
        set: |draft, text| put(&mut draft.allowed_hosts, text.split(',').map(host_name).collect()),
    },
    Key {
        name: "connections_max",
        help: "most connections at once; without it, as many as there are file descriptors for",
        default: "",
        set: |draft, text| put(&mut draft.connections_max, number(text).map(Some)),
    },
    Key {
        name: "log_format",
        help: "`text`, `json`, or `auto`: text on a terminal",
        default: "auto",
        set: |draft, text| put(&mut draft.log_format, text.parse()),
    },
    Key {
        name: "log",
        help: "level (`error`, `warn`, `info`, `debug`) or a list such as `info,headwater_server::git=debug`",
        default: "info",
        set: |draft, text| put(&mut draft.log_filter, log_filter(text)),
    },
];

pub(super) const REPO_KEYS: &[Key<RepoDraft>] = &[
    Key {
        name: "name",
        help: "name in this service: lower-case letters, digits, `.`, `_`, `-`",
        default: "default",
        set: |draft, text| {
            draft.name = Some(text.parse().map_err(|e: headwater_wire::IdError| e.to_string())?);
            Ok(())
        },
    },
    Key {
        name: "url",
        help: "path, file://, http(s):// or ssh:// address, or user@host:path; never with a password in it",
        default: "",
        set: |draft, text| put(&mut draft.url, text.parse().map(Some).map_err(|e| format!("{e}"))),
    },
    Key {
        name: "branch",
        help: "branch to follow; without it, the default branch of the upstream",
        default: "",
        set: |draft, text| {
            draft.branch = Some(text.parse().map_err(|e: headwater_wire::IdError| e.to_string())?);
            Ok(())
        },
    },
    Key {
        name: "poll_interval",
        help: "as above, for this repository",
        default: "",
        set: |draft, text| put(&mut draft.poll_interval, poll_interval(text).map(Some)),
    },
    Key {
        name: "rewritten_history",
        help: "`hold` serves the last good commit until a person accepts the new head; `follow` takes it",
        default: "hold",
        set: |draft, text| {
            draft.rewritten_history = match text {
                "hold" => RewrittenHistory::Hold,
                "follow" => RewrittenHistory::Follow,
                other => return Err(format!("expected `hold` or `follow`, not `{other}`")),
            };
            Ok(())
        },
    },
    Key {
        name: "require_signatures",
        help: "commits that must have an SSH signature of an allowed signer: `off`, `head` the exposed one, `all` that come",
        default: "off",
        set: |draft, text| put(&mut draft.require_signatures, text.parse()),
    },
    Key {
        name: "allowed_signers_file",
        help: "who may sign, in the format of `ssh-keygen`; read again when it changes",
        default: "",
        set: |draft, text| put(&mut draft.allowed_signers_file, told_file(text).map(Some)),
    },
    Key {
        name: "username",
        help: "user for a password or token over http(s)",
        default: "",
        set: |draft, text| put(&mut draft.username, Ok(Some(text.to_owned()))),
    },
    Key {
        name: "password_file",
        help: "file with the password of `username`; read again at every connection",
        default: "",
        set: |draft, text| put(&mut draft.password_file, path(text).map(Some)),
    },
    Key {
        name: "token_file",
        help: "file with an access token for http(s); read again at every connection",
        default: "",
        set: |draft, text| put(&mut draft.token_file, path(text).map(Some)),
    },
    Key {
        name: "ca_file",
        help: "PEM file with the certificate authority of the upstream",
        default: "",
        set: |draft, text| put(&mut draft.ca_file, path(text).map(Some)),
    },
    Key {
        name: "proxy",
        help: "address of an HTTP proxy; the environment's proxy variables are not read",
        default: "",
        set: |draft, text| put(&mut draft.proxy, Ok(Some(text.to_owned()))),
    },
    Key {
        name: "ssh_key_file",
        help: "private key for ssh",
        default: "",
        set: |draft, text| put(&mut draft.ssh_key_file, told_file(text).map(Some)),
    },
    Key {
        name: "known_hosts_file",
        help: "pinned host keys for ssh; a host that is not in it is refused",
        default: "",
        set: |draft, text| put(&mut draft.known_hosts_file, told_file(text).map(Some)),
    },
    Key {
        name: "forge_repo",
        help: "id or `owner/name` at the forge, for webhooks, where the path of `url` is not its name there",
        default: "",
        set: |draft, text| put(&mut draft.forge_repo, Ok(Some(text.to_owned()))),
    },
    Key {
        name: "push_username",
        help: "user for a password or token that may write; the ones for reading are never used to write",
        default: "",
        set: |draft, text| put(&mut draft.push_username, Ok(Some(text.to_owned()))),
    },
    Key {
        name: "push_password_file",
        help: "file with the password of `push_username`",
        default: "",
        set: |draft, text| put(&mut draft.push_password_file, path(text).map(Some)),
    },
    Key {
        name: "push_token_file",
        help: "file with an access token that may write",
        default: "",
        set: |draft, text| put(&mut draft.push_token_file, path(text).map(Some)),
    },
    Key {
        name: "push_ssh_key_file",
        help: "private key for ssh that may write",
        default: "",
        set: |draft, text| put(&mut draft.push_ssh_key_file, told_file(text).map(Some)),
    },
    Key {
        name: "push_method",
        help: "`receive-pack`, or `git` for servers that it does not suit",
        default: "receive-pack",
        set: |draft, text| put(&mut draft.push_method, write::method(text)),
    },
    Key {
        name: "signing_key_file",
        help: "private SSH key without passphrase that signs the commits of rollbacks",
        default: "",
        set: |draft, text| put(&mut draft.signing_key_file, told_file(text).map(Some)),
    },
    Key {
        name: "committer_name",
        help: "who records the commits of rollbacks",
        default: COMMITTER_NAME,
        set: |draft, text| put(&mut draft.committer_name, Ok(Some(text.to_owned()))),
    },
    Key {
        name: "committer_email",
        help: "the mail address of that",
        default: COMMITTER_EMAIL,
        set: |draft, text| put(&mut draft.committer_email, Ok(Some(text.to_owned()))),
    },
    Key {
        name: "writes_per_minute",
        help: "most pushes within a minute",
        default: "10",
        set: |draft, text| put(&mut draft.writes_per_minute, number(text).map(Some)),
    },
    Key {
        name: "allow_invalid",
        help: "whether a person may insist on going back to content that does not validate",
        default: "false",
        set: |draft, text| put(&mut draft.allow_invalid, boolean(text)),
    },
    Key {
        name: "notes",
        help: "`push` notes what became of commits in `refs/notes/headwater` where writing is allowed; `off` does not",
        default: "push",
        set: |draft, text| {
            draft.notes_off = match text {
                "push" => false,
                "off" => true,
                other => return Err(format!("expected `push` or `off`, not `{other}`")),
            };
            Ok(())
        },
    },
    Key {
        name: "canary",
        help: "config that a job touches on a schedule; an alert tells when that does not come through",
        default: "",
        set: |draft, text| {
            draft.canary = Some(text.parse().map_err(|e: headwater_wire::IdError| e.to_string())?);
            Ok(())
        },
    },
    Key {
        name: "canary_every",
        help: "how often that job runs",
        default: "1h",
        set: |draft, text| put(&mut draft.canary_every, poll_interval(text).map(Some)),
    },
];

/// Puts a value that could be read; the error goes up as it is.
pub(super) fn put<T>(slot: &mut T, value: Result<T, String>) -> Result<(), String> {
    *slot = value?;
    Ok(())
}

pub(super) fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() {
        Err("expected a path, not nothing".to_owned())
    } else {
        Ok(PathBuf::from(text))
    }
}
