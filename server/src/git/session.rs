//! One conversation with the upstream: a transport for gix under our limits, and afterwards the reason if it failed.
//!
//! Invariant: a session is used once; when it is gone no child, no thread and no connection of it is left.
//! What is deliberately absent: `Remote::connect` of gix, which would start `ssh` and `git` in our environment, without
//! a deadline, and with their words on our error stream.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use gix::remote::Connection;
use gix_transport::Protocol;
use gix_transport::client::blocking_io::Transport;
use gix_transport::client::blocking_io::http::Transport as HttpTransport;
use gix_transport::client::git::ConnectMode;
use gix_transport::client::git::blocking_io::Connection as PipeTransport;

use super::error::{Cause, GitError, Phase, is_object_too_large, is_storage_gix};
use super::http::HttpWire;
use super::limits::MirrorLimits;
use super::metered::{Meter, Metered};
use super::process::{Ended, Program, hermetic, trusting};
use super::stop::{Operation, Stop};
use super::upstream::{SshSettings, Upstream};
use super::words::RemoteWords;
use crate::secret::{Secret, SshForm, UrlKind, percent_decoded};

/// gix wants a URL for its remote, but the transport is ours: this one appears in its texts and is never dialled.
const NOMINAL_URL: &str = "https://upstream.invalid/repository";

pub(crate) type AnyTransport = Box<dyn Transport + Send>;

/// A conversation under a deadline.
pub(crate) struct Session {
    operation: Operation,
    meter: Arc<Meter>,
    words: RemoteWords,
    /// Largest object that gix makes room for, in bytes.
    object_bytes_max: u64,
    program: Option<Program>,
    transport: Option<AnyTransport>,
}

/// Where a session is opened from and what limits it.
pub(crate) struct SessionSettings<'a> {
    pub(crate) upstream: &'a Upstream,
    pub(crate) limits: &'a MirrorLimits,
    pub(crate) home: &'a Path,
}

impl Session {
    /// Prepares the transport; for HTTP nothing is sent yet, for SSH and local paths the program is started.
    pub(crate) fn open(settings: &SessionSettings<'_>, phase: Phase, stop: &Stop) -> Result<Self, GitError> {
        let limit = match phase {
            Phase::List => settings.limits.list,
            Phase::Fetch => settings.limits.fetch,
            Phase::Push => settings.limits.push,
            Phase::Maintain | Phase::Sign | Phase::Verify => settings.limits.maintain,
        };
        let operation = Operation::start(phase, limit, stop);
        let authorization = settings.upstream.authorization()?;
        let secrets = authorization
            .as_ref()
            .map(|made| made.secrets.clone())
            .unwrap_or_default();
        let meter = Meter::new(
            Arc::clone(operation.shared()),
            secrets,
            settings.limits.listing_bytes_max,
        );
        let mut session = Self {
            operation,
            meter,
            words: RemoteWords::default(),
            object_bytes_max: settings.limits.object_bytes_max,
            program: None,
            transport: None,
        };
        let url = &settings.upstream.url;
        if let UrlKind::Http { .. } = url.kind() {
            let header = authorization.as_ref().map(|made| made.header.as_str());
            session.transport = Some(session.http(settings, phase, header)?);
        } else {
            let (command, name) = match url.kind() {
                UrlKind::Ssh { .. } => (ssh_command(settings, service(phase))?, "ssh"),
                UrlKind::Path(path) | UrlKind::File(path) => {
                    (local_command(settings, path, service(phase))?, "git")
                }
                UrlKind::Http { .. } => {
                    return Err(GitError::Settings(Cause::ours("not a program's transport")));
                }
            };
            session.transport = Some(session.pipe(command, name)?);
        }
        Ok(session)
    }

    fn http(
        &self,
        settings: &SessionSettings<'_>,
        phase: Phase,
        header: Option<&str>,
    ) -> Result<AnyTransport, GitError> {
        let mut limits = *settings.limits;
        if phase == Phase::Push {
            // Hooks may be silent for as long as they work, and giving up on them leaves the outcome unknown.
            limits.idle = limits.push;
        }
        let wire = HttpWire::new(settings.upstream, header, &limits, Arc::clone(&self.meter))?;
        let url = gix::url::parse(settings.upstream.url.to_string().as_bytes())
            .map_err(|error| GitError::Settings(Cause::gix(&error, &self.meter.secrets)))?;
        Ok(Box::new(HttpTransport::new_http(wire, url, Protocol::V2, false)))
    }

    fn pipe(&mut self, command: Command, name: &'static str) -> Result<AnyTransport, GitError> {
        let mut program = Program::start(command, name, self.operation.shared())?;
        let pipes = program.pipes();
        self.program = Some(program);
        let (stdout, stdin) =
            pipes.ok_or_else(|| GitError::Unreachable(Cause::ours("the program has no pipes")))?;
        let reader = Metered::new(stdout, Arc::clone(&self.meter));
        let no_host = None::<(&str, Option<u16>)>;
        let transport = PipeTransport::new(
            reader,
            stdin,
            Protocol::V2,
            "",
            no_host,
            ConnectMode::Process,
            false,
        );
        Ok(Box::new(transport.custom_url(Some(NOMINAL_URL.into()))))
    }

    /// The transport; a session has one.
    pub(crate) fn take_transport(&mut self) -> Result<AnyTransport, GitError> {
        self.transport
            .take()
            .ok_or_else(|| GitError::Unreachable(Cause::ours("the session was used already")))
    }

    /// From here on an answer may have this many bytes.
    pub(crate) fn allow_bytes(&self, bytes_max: u64) {
        self.meter.allow(bytes_max);
    }

    /// The flag gix looks at while it receives.
    pub(crate) fn interrupt(&self) -> &std::sync::atomic::AtomicBool {
        self.operation.shared().interrupt()
    }

    /// Why the work must end now, if it must.
    pub(crate) fn verdict(&self) -> Result<(), GitError> {
        self.operation.shared().verdict()
    }

    /// Where gix puts what the upstream says.
    pub(crate) fn words(&self) -> RemoteWords {
        self.words.clone()
    }

    /// Ends the conversation and turns a failure of gix into ours. The transport must be dropped before.
    pub(crate) fn finish<T>(mut self, result: gix::Result<T>, mirror: &Path) -> Result<T, GitError> {
        drop(self.transport.take());
        let ended = self.program.take().map(Program::end);
        match result {
            Ok(value) => Ok(value),
            Err(error) => Err(self.explain(&error, ended.as_ref(), mirror)),
        }
    }

    /// The most specific reason: our own deadline, the transport's failure, the program's words, then gix's.
    fn explain(&self, error: &gix::Error, ended: Option<&Ended>, mirror: &Path) -> GitError {
        if let Err(ended) = self.operation.shared().verdict() {
            return ended;
        }
        if let Some(failure) = self.meter.failure() {
            return failure;
        }
        let cause = Cause::gix(error, &self.meter.secrets);
        if is_storage_gix(error) {
            return GitError::StorageFull {
                dir: mirror.to_owned(),
                cause,
            };
        }
        if is_object_too_large(error) {
            return GitError::ObjectTooLarge {
                max: self.object_bytes_max,
            };
        }
        if let Some(words) = self.words.said() {
            return GitError::BadAnswer(Cause::new(
                &format!("the upstream said: {words}"),
                &self.meter.secrets,
            ));
        }
        if let Some(error) = ended.and_then(|ended| program_said(ended, &self.meter)) {
            return error;
        }
        GitError::BadAnswer(cause)
    }
}

/// A connection over `transport` that asks for `refspecs` and never for credentials.
pub(crate) fn with_connection<T>(
    repo: &gix::Repository,
    refspecs: &[String],
    transport: AnyTransport,
    work: impl FnOnce(Connection<'_, '_, '_, AnyTransport>) -> gix::Result<T>,
) -> gix::Result<T> {
    let mut remote = repo
        .remote_at_without_url_rewrite(NOMINAL_URL)?
        .with_fetch_tags(gix::remote::fetch::Tags::None);
    remote.replace_refspecs(refspecs.iter().map(String::as_str), gix::remote::Direction::Fetch)?;
    let connection = remote
        .to_connection_with_transport(transport)
        .with_credentials(|_action| Ok(None));
    work(connection)
}

/// The program of Git that answers on the other side.
fn service(phase: Phase) -> &'static str {
    match phase {
        Phase::Push => "receive-pack",
        Phase::List | Phase::Fetch | Phase::Maintain | Phase::Sign | Phase::Verify => "upload-pack",
    }
}

fn local_command(settings: &SessionSettings<'_>, path: &Path, service: &str) -> Result<Command, GitError> {
    let path =
        std::path::absolute(path).map_err(|error| GitError::NotFound(Cause::ours(&error.to_string())))?;
    if !path.exists() {
        return Err(GitError::NotFound(Cause::ours(&format!(
            "no such directory: `{}`",
            path.display()
        ))));
    }
    let mut command = hermetic("git", settings.home);
    command.args(trusting(&path)).args(trusting(&path.join(".git")));
    // Its upkeep belongs to whoever owns it, and would be killed with the rest of our processes.
    command.args(["-c", "receive.autogc=false"]);
    command.arg(service).arg("--").arg(path);
    Ok(command)
}

fn ssh_command(settings: &SessionSettings<'_>, service: &str) -> Result<Command, GitError> {
    let (mut command, port, rest) = ssh_program(settings)?;
    if let Some(port) = port {
        command.arg("-p").arg(port.to_string());
    }
    if let Some(user) = rest.user {
        command.arg("-l").arg(user);
    }
    let bare_host = rest.host.trim_start_matches('[').trim_end_matches(']');
    command.arg("--").arg(bare_host).arg(format!(
        "git-{service} {}",
        quoted(&remote_path(rest.form, rest.path))
    ));
    Ok(command)
}

/// Whom `ssh` shall reach.
struct SshPlace<'a> {
    form: SshForm,
    user: Option<&'a str>,
    host: &'a str,
    path: &'a str,
}

/// `ssh` with our trust and our key, before any word about the place; and the port, if one is set.
fn ssh_program<'a>(
    settings: &'a SessionSettings<'_>,
) -> Result<(Command, Option<u16>, SshPlace<'a>), GitError> {
    let UrlKind::Ssh {
        form,
        user,
        host,
        port,
        path,
    } = settings.upstream.url.kind()
    else {
        return Err(GitError::Settings(Cause::ours("not an address for ssh")));
    };
    let Some(ssh) = &settings.upstream.ssh else {
        return Err(GitError::Settings(Cause::ours(
            "an address for ssh needs a known_hosts file",
        )));
    };
    for file in [Some(&ssh.known_hosts_file), ssh.key_file.as_ref()]
        .into_iter()
        .flatten()
    {
        let readable = std::fs::File::open(file);
        readable.map_err(|error| {
            GitError::Settings(Cause::ours(&format!("cannot use `{}`: {error}", file.display())))
        })?;
    }
    let mut command = hermetic("ssh", settings.home);
    command.args(["-T", "-F", "/dev/null"]);
    for option in ssh_options(ssh, settings.limits.connect) {
        command.arg("-o").arg(option);
    }
    let place = SshPlace {
        form: *form,
        user: user.as_deref(),
        host,
        path,
    };
    Ok((command, port.or(ssh.port), place))
}

/// The same for the environment of `git`, which adds user, host and command itself.
pub(super) fn ssh_command_line(settings: &SessionSettings<'_>) -> Result<String, GitError> {
    let (command, port, _place) = ssh_program(settings)?;
    let mut words = vec!["ssh".to_owned()];
    words.extend(command.get_args().map(|word| quoted(&word.to_string_lossy())));
    if let Some(port) = port {
        words.extend(["-p".to_owned(), port.to_string()]);
    }
    Ok(words.join(" "))
}

fn ssh_options(ssh: &SshSettings, connect: Duration) -> Vec<String> {
    let file = |path: &Path| format!("\"{}\"", path.display().to_string().replace('%', "%%"));
    let mut options = vec![
        "BatchMode=yes".to_owned(),
        "StrictHostKeyChecking=yes".to_owned(),
        format!("UserKnownHostsFile={}", file(&ssh.known_hosts_file)),
        "GlobalKnownHostsFile=/dev/null".to_owned(),
        "UpdateHostKeys=no".to_owned(),
        "IdentitiesOnly=yes".to_owned(),
        "IdentityAgent=none".to_owned(),
        "PreferredAuthentications=publickey".to_owned(),
        "ControlPath=none".to_owned(),
        "ClearAllForwardings=yes".to_owned(),
        "SendEnv=GIT_PROTOCOL".to_owned(),
        format!("ConnectTimeout={}", connect.as_secs().max(1)),
        "ServerAliveInterval=5".to_owned(),
        "ServerAliveCountMax=3".to_owned(),
    ];
    let identity = ssh.key_file.as_deref().map_or_else(|| "none".to_owned(), file);
    options.push(format!("IdentityFile={identity}"));
    options
}

/// The path the host shall open: escapes of `ssh://` are decoded and `/~name` loses its slash, as Git does it.
fn remote_path(form: SshForm, path: &str) -> String {
    match form {
        SshForm::Short => path.to_owned(),
        SshForm::Url => {
            let decoded = percent_decoded(path);
            decoded
                .strip_prefix('/')
                .filter(|rest| rest.starts_with('~'))
                .map_or(decoded.clone(), str::to_owned)
        }
    }
}

/// In single quotes for the shell on the host, as Git does it.
pub(super) fn quoted(text: &str) -> String {
    let inner = text.replace('\'', "'\\''").replace('!', "'\\!'");
    format!("'{inner}'")
}

/// What the words of `ssh` or `git` mean; `None` if they said nothing.
fn program_said(ended: &Ended, meter: &Meter) -> Option<GitError> {
    let timed_out = ["timed out", "Timeout, server"];
    if timed_out.iter().any(|part| ended.stderr.contains(part)) {
        return Some(meter.work.timed_out());
    }
    words_of_program(&ended.stderr, &meter.secrets)
}

/// The same, apart from deadlines.
pub(super) fn words_of_program(stderr: &str, secrets: &[Secret]) -> Option<GitError> {
    let words = stderr.trim();
    if words.is_empty() {
        return None;
    }
    let cause = Cause::new(words, secrets);
    let says = |any: &[&str]| any.iter().any(|part| words.contains(part));
    Some(
        if says(&[
            "Host key verification failed",
            "HOST IDENTIFICATION HAS CHANGED",
            "host key is known",
        ]) {
            GitError::HostKey(cause)
        } else if says(&[
            "Permission denied",
            "UNPROTECTED PRIVATE KEY",
            "Too many authentication failures",
            "marked as read only",
            "Write access to repository not granted",
        ]) || says(&[
            "Authentication failed",
            "could not read Username",
            "could not read Password",
        ]) {
            GitError::AuthFailed(cause)
        } else if says(&[
            "Could not resolve",
            "Connection refused",
            "Connection reset",
            "Connection closed",
        ]) || says(&[
            "No route to host",
            "Network is unreachable",
            "Broken pipe",
            "kex_exchange_identification",
        ]) {
            GitError::Unreachable(cause)
        } else if says(&[
            "does not appear to be a git repository",
            "not a git repository",
            "not found",
            "No such file",
        ]) || says(&["could not be found", "Cannot find repository"])
        {
            // Some hosts say so where rights are missing, too; the hint tells.
            GitError::NotFound(cause)
        } else if says(&[
            "not authorized",
            "access denied",
            "don't have permission",
            "Access denied",
            "not allowed to push",
            "denied to ",
        ]) {
            GitError::AuthFailed(cause)
        } else {
            GitError::BadAnswer(cause)
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_reaches_the_host_as_one_word() {
        assert_eq!(quoted("/a b/c'd!e"), r"'/a b/c'\''d'\!'e'");
        assert_eq!(remote_path(SshForm::Url, "/~bot/a%20b"), "~bot/a b");
        assert_eq!(remote_path(SshForm::Url, "/srv/x"), "/srv/x");
        assert_eq!(remote_path(SshForm::Short, "a%20b"), "a%20b");
    }

    #[test]
    fn a_file_name_with_a_percent_sign_or_a_space_stays_one_file_for_ssh() {
        let settings = SshSettings {
            key_file: None,
            known_hosts_file: "/a b/k%h".into(),
            port: None,
        };
        let options = ssh_options(&settings, Duration::from_secs(10));
        assert!(options.contains(&"UserKnownHostsFile=\"/a b/k%%h\"".to_owned()));
        assert!(options.contains(&"IdentityFile=none".to_owned()));
    }
}
