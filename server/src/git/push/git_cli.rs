//! The same push by the `git` program: for servers that our own words do not suit, and as a second opinion in tests.
//!
//! Invariant: the lease names the expected value, so `git` compares as we do; the ancestor test before it stands in for
//! the check that a lease switches off. Secrets go through the environment of the child, never its arguments.
//! What is deliberately absent: hooks and settings of anybody.

use std::io::Read;
use std::process::Command;

use super::{Answer, Job, PushError};
use crate::git::error::{Cause, GitError, Phase};
use crate::git::process::{Ended, Program, hermetic, trusting};
use crate::git::session::{quoted, ssh_command_line, words_of_program};
use crate::git::stop::Operation;
use crate::secret::UrlKind;

/// Most bytes of the report on standard output that are read.
const REPORT_BYTES_MAX: u64 = 64 << 10;

pub(super) fn push(job: &Job<'_>) -> Result<Answer, PushError> {
    let operation = Operation::start(Phase::Push, job.mirror.limits.push, job.stop);
    let mut program = Program::start(command(job)?, "git", operation.shared())?;
    let mut report = Vec::new();
    if let Some((stdout, stdin)) = program.pipes() {
        drop(stdin);
        // What is missing of a cut report shows in what could be read.
        stdout.take(REPORT_BYTES_MAX).read_to_end(&mut report).ok();
    }
    let ended = program.end();
    let report = String::from_utf8_lossy(&report).into_owned();
    if let Some(answer) = status(&report, &ended, &job.target.to_string()) {
        return Ok(answer);
    }
    if let Err(ended) = operation.shared().verdict() {
        return Err(job.unknown(&ended.one_line()));
    }
    Err(failure(job, &ended))
}

fn command(job: &Job<'_>) -> Result<Command, GitError> {
    let layout = &job.mirror.layout;
    let upstream = &job.access.upstream;
    let mut command = hermetic("git", &layout.home);
    command.env("GIT_ALLOW_PROTOCOL", "file:http:https:ssh");
    command
        .args(trusting(&layout.repository))
        .arg("--git-dir")
        .arg(&layout.repository);
    command.args([
        "-c",
        "core.hooksPath=/dev/null",
        "-c",
        "http.followRedirects=false",
    ]);
    command.args(["-c", "pack.threads=1", "-c", "core.askPass=/bin/false"]);
    let mut settings: Vec<(&str, String)> = Vec::new();
    if let Some(authorization) = upstream.authorization()? {
        settings.push((
            "http.extraHeader",
            format!("Authorization: {}", authorization.header),
        ));
    }
    if let Some(file) = &upstream.ca_file {
        settings.push(("http.sslCAInfo", file.display().to_string()));
    }
    settings.push(("http.proxy", upstream.proxy.clone().unwrap_or_default()));
    command.env("GIT_CONFIG_COUNT", settings.len().to_string());
    for (number, (key, value)) in settings.iter().enumerate() {
        command.env(format!("GIT_CONFIG_KEY_{number}"), key);
        command.env(format!("GIT_CONFIG_VALUE_{number}"), value);
    }
    command.args([
        "push",
        "--porcelain",
        "--atomic",
        "--no-verify",
        "--no-signed",
        "--no-follow-tags",
    ]);
    command.arg("--recurse-submodules=no");
    let old = job.expected.map(|id| id.to_string()).unwrap_or_default();
    command.arg(format!("--force-with-lease={}:{old}", job.target));
    match upstream.url.kind() {
        UrlKind::Ssh { .. } => {
            command.env(
                "GIT_SSH_COMMAND",
                ssh_command_line(&job.access.settings(job.mirror))?,
            );
            command.env("GIT_SSH_VARIANT", "ssh");
        }
        UrlKind::Path(path) | UrlKind::File(path) => {
            let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
            let trust = quoted(&format!("safe.directory={}", path.display()));
            command.arg(format!(
                "--receive-pack=git -c {trust} -c receive.autogc=false receive-pack"
            ));
            command
                .arg("--")
                .arg(&path)
                .arg(format!("{}:{}", job.new, job.target));
            return Ok(command);
        }
        UrlKind::Http { .. } => {}
    }
    command.arg("--").arg(upstream.url.to_string());
    command.arg(format!("{}:{}", job.new, job.target));
    Ok(command)
}

/// The line about our ref: a flag, `from:to`, a summary with the reason in brackets.
fn status(report: &str, ended: &Ended, name: &str) -> Option<Answer> {
    let line = report.lines().find(|line| {
        let refs = line.split('\t').nth(1).unwrap_or_default();
        refs.split_once(':').is_some_and(|(_, to)| to == name)
    })?;
    let mut parts = line.split('\t');
    let (flag, _refs, summary) = (parts.next()?, parts.next()?, parts.next().unwrap_or_default());
    match flag {
        "=" => Some(Answer::AlreadyThere),
        "!" => {
            let reason = summary.split_once(" (").map_or(summary, |(_, reason)| reason);
            let reason = reason.strip_suffix(')').unwrap_or(reason).to_owned();
            // No answer of the server: `git` sets this when the connection broke.
            if reason.contains("remote failed to report status") || reason.contains("unable to parse") {
                return Some(Answer::Silence);
            }
            let said = ended
                .stderr
                .lines()
                .filter_map(|line| line.strip_prefix("remote:"))
                .map(str::trim)
                .collect::<Vec<_>>()
                .join("\n");
            Some(Answer::No { reason, said })
        }
        _ => Some(Answer::Moved),
    }
}

/// Without a line about the ref: a reason that comes before anything is sent, or we do not know.
fn failure(job: &Job<'_>, ended: &Ended) -> PushError {
    let authorization = job.access.upstream.authorization().ok().flatten();
    let secrets = authorization.map(|made| made.secrets).unwrap_or_default();
    // The words of hooks mean nothing here, whatever they are about.
    let (remote, own): (Vec<&str>, Vec<&str>) =
        ended.stderr.lines().partition(|line| line.starts_with("remote:"));
    let own = own.join("\n");
    let says = |any: &[&str]| any.iter().any(|part| own.contains(part));
    let cause = Cause::new(&own, &secrets);
    if says(&["returned error: 401", "returned error: 403"]) {
        return GitError::AuthFailed(cause).into();
    }
    if !remote.is_empty() || says(&["unexpected disconnect", "hung up unexpectedly"]) {
        return job.unknown(cause.as_str());
    }
    if says(&["Could not resolve", "Connection refused", "Failed to connect"]) {
        return GitError::Unreachable(cause).into();
    }
    match words_of_program(&own, &secrets) {
        Some(error @ (GitError::AuthFailed(_) | GitError::HostKey(_) | GitError::NotFound(_))) => {
            error.into()
        }
        _ => job.unknown(cause.as_str()),
    }
}
