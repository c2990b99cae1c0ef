//! A small client of `git receive-pack`: one command, one pack, one report.
//!
//! Invariant: nothing is sent unless the upstream lists the ref where it is expected; before the pack is sent a failure
//! is definite, after that it is unknown, except where the HTTP status says that the request was not taken. Every
//! answer is read under the session's deadline and byte limits. What is deliberately absent: push options, certificates,
//! and reports of more than one ref.

use std::io::Write;

use gix::protocol::Handshake;
use gix_transport::Service;
use gix_transport::client::blocking_io::Transport;
use gix_transport::client::{MessageKind, WriteMode};

use super::pack::Wanted;
use super::{Answer, Job, PushError, PushRef, WriteAccess};
use crate::git::Mirror;
use crate::git::error::{Cause, GitError, Phase};
use crate::git::list::name_of;
use crate::git::session::{AnyTransport, Session};
use crate::git::stop::Stop;
use crate::secret::UrlKind;

/// Most bytes of a report with all the words of hooks.
const REPORT_BYTES_MAX: u64 = 1 << 20;
/// Most bytes of a hook's words that are kept.
const WORDS_BYTES_MAX: usize = 8 << 10;
const AGENT: &str = concat!("agent=headwater/", env!("CARGO_PKG_VERSION"));

/// How far the conversation went, which decides what its failure means.
enum Outcome {
    /// The upstream was listed; nothing was sent.
    Listed(Answer),
    /// We cannot or need not send.
    Withheld(PushError),
    /// Command and pack were sent, and this came back.
    Sent(gix::Result<Report>),
}

/// Whether status and words come on bands of their own.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bands {
    /// The status alone.
    One,
    /// Status, words, and the last words of a server that fails.
    Several,
}

/// What the upstream reported.
#[derive(Debug, Default)]
struct Report {
    /// Packet lines of the status.
    status: Vec<u8>,
    /// What hooks and server said beside it.
    said: Vec<u8>,
}

/// Pushes; see the module for what a failure means.
pub(super) fn push(job: &Job<'_>, repo: &gix::Repository) -> Result<Answer, PushError> {
    let mut session = Session::open(&job.access.settings(job.mirror), Phase::Push, job.stop)?;
    let mut transport = session.take_transport()?;
    let spoken = converse(job, repo, &session, &mut transport);
    drop(transport);
    let dir = &job.mirror.layout.dir;
    let name = job.target.to_string();
    match spoken {
        Err(error) => {
            let error = session.finish::<()>(Err(error), dir).err();
            Err(error.map_or_else(
                || job.unknown("no reason given"),
                |error| PushError::before(job.target, error),
            ))
        }
        Ok(Outcome::Listed(answer)) => Ok(answer),
        Ok(Outcome::Withheld(error)) => Err(error),
        Ok(Outcome::Sent(report)) => match session.finish(report, dir) {
            Ok(report) => Ok(report.answer(&name)),
            Err(error) => Err(job.after(error)),
        },
    }
}

/// Where the ref is, by the service that would move it: a copy that only answers readers may lag behind.
pub(in crate::git) fn look(
    mirror: &Mirror,
    access: &WriteAccess,
    target: &PushRef,
    stop: &Stop,
) -> Result<Option<gix::ObjectId>, GitError> {
    let mut session = Session::open(&access.settings(mirror), Phase::Push, stop)?;
    let mut transport = session.take_transport()?;
    let listed = shake_hands(&mut transport).map(|shake| value_of(&shake, &target.to_string()));
    drop(transport);
    session.finish(listed, &mirror.layout.dir)
}

fn shake_hands(transport: &mut AnyTransport) -> gix::Result<Handshake> {
    let shake = gix::protocol::handshake(
        transport,
        Service::ReceivePack,
        |_action| Ok(None),
        Vec::new(),
        &mut gix::progress::Discard,
    )?;
    // Without a list, which comes with what the server can do, every ref would look as if it did not exist.
    if shake.refs.is_none() || report_of(&shake).is_none() {
        return Err(gix::Error::from_error(gix::error::corruption(
            "the upstream does not say where its refs are and that it reports what becomes of a push",
        )));
    }
    Ok(shake)
}

/// The kind of report that can be had.
fn report_of(shake: &Handshake) -> Option<&'static str> {
    let kinds = ["report-status-v2", "report-status"];
    kinds.into_iter().find(|kind| shake.capabilities.contains(kind))
}

fn value_of(shake: &Handshake, name: &str) -> Option<gix::ObjectId> {
    let refs = shake.refs.iter().flatten();
    refs.filter(|listed| name_of(listed) == name)
        .find_map(|listed| listed.unpack().1.map(ToOwned::to_owned))
}

fn converse(
    job: &Job<'_>,
    repo: &gix::Repository,
    session: &Session,
    transport: &mut AnyTransport,
) -> gix::Result<Outcome> {
    let shake = shake_hands(transport)?;
    let name = job.target.to_string();
    let actual = value_of(&shake, &name);
    if actual == Some(job.new) {
        return Ok(Outcome::Listed(Answer::AlreadyThere));
    }
    if actual != job.expected {
        return Ok(Outcome::Listed(Answer::Elsewhere(actual)));
    }
    let theirs: Vec<gix::ObjectId> = shake
        .refs
        .iter()
        .flatten()
        .filter_map(|listed| listed.unpack().1.map(ToOwned::to_owned))
        .collect();
    let wanted = Wanted {
        repo,
        layout: &job.mirror.layout,
        target: job.target,
        new: job.new,
        theirs: &theirs,
        sources: &job.sources,
        bytes_max: job.mirror.limits.push_bytes_max,
        verdict: &|| session.verdict(),
    };
    let prepared = command(job, &shake, &name).map_err(PushError::from);
    let mut request = match prepared {
        Ok(line) => line,
        Err(error) => return Ok(Outcome::Withheld(error)),
    };
    match wanted.pack() {
        Ok(pack) => request.extend_from_slice(&pack),
        Err(error) => return Ok(Outcome::Withheld(error)),
    }
    session.allow_bytes(REPORT_BYTES_MAX);
    let bands = if shake.capabilities.contains("side-band-64k") {
        Bands::Several
    } else {
        Bands::One
    };
    Ok(Outcome::Sent(exchange(transport, &request, bands)))
}

/// The one command with what we can do, and the end of commands.
fn command(job: &Job<'_>, shake: &Handshake, name: &str) -> Result<Vec<u8>, GitError> {
    let has = |capability: &str| shake.capabilities.contains(capability);
    let mut capabilities: Vec<String> = report_of(shake).map(str::to_owned).into_iter().collect();
    let useful = ["atomic", "side-band-64k", "quiet"].into_iter();
    capabilities.extend(useful.filter(|name| has(name)).map(str::to_owned));
    let format = job.new.kind().to_string();
    let theirs = shake.capabilities.capability("object-format");
    let theirs = theirs.and_then(|capability| capability.value().map(ToString::to_string));
    if theirs.as_deref().unwrap_or("sha1") != format {
        let why = "the upstream names objects by another hash function";
        return Err(GitError::BadAnswer(Cause::ours(why)));
    }
    if theirs.is_some() {
        capabilities.push(format!("object-format={format}"));
    }
    if has("agent") {
        capabilities.push(AGENT.to_owned());
    }
    let old = job.expected.unwrap_or_else(|| job.new.kind().null());
    let line = format!("{old} {} {name}\0 {}", job.new, capabilities.join(" "));
    Ok(format!("{:04x}{line}0000", line.len() + 4).into_bytes())
}

/// Sends everything and reads the report to its end.
fn exchange(transport: &mut AnyTransport, request: &[u8], bands: Bands) -> gix::Result<Report> {
    let writer = transport
        .request(WriteMode::Binary, MessageKind::Flush, false)
        .map_err(gix::Error::from_error)?;
    let (mut writer, mut reader) = writer.into_parts();
    let sent = writer.write_all(request).and_then(|()| writer.flush());
    // The reader waits for the writer with some transports.
    drop(writer);
    let mut report = Report::default();
    while let Some(line) = reader.readline() {
        let line = match line {
            Ok(line) => line?,
            // A server that hangs up while we write has said why on its error stream.
            Err(error) => return Err(gix::Error::from_error(sent.err().unwrap_or(error))),
        };
        report.take(line.as_slice().unwrap_or_default(), bands);
    }
    match sent {
        Err(error) if report.status.is_empty() => Err(gix::Error::from_error(error)),
        Ok(()) | Err(_) => Ok(report),
    }
}

impl Report {
    fn take(&mut self, line: &[u8], bands: Bands) {
        match line.split_first() {
            Some((1, status)) if bands == Bands::Several => self.status.extend_from_slice(status),
            Some((_, words)) if bands == Bands::Several => {
                let room = WORDS_BYTES_MAX.saturating_sub(self.said.len());
                self.said.extend(words.iter().take(room));
            }
            _ => {
                // Without bands each line is one of the status; it is framed again, so that both read alike.
                let length = format!("{:04x}", line.len() + 4);
                self.status.extend_from_slice(length.as_bytes());
                self.status.extend_from_slice(line);
            }
        }
    }

    /// What became of the ref called `name`.
    fn answer(&self, name: &str) -> Answer {
        let said = String::from_utf8_lossy(&self.said).into_owned();
        let mut unpacked = None;
        for line in packet_lines(&self.status) {
            let text = String::from_utf8_lossy(line);
            let mut words = text.trim_end().splitn(3, ' ');
            match (words.next(), words.next(), words.next()) {
                (Some("ok"), Some(known), _) if known == name => return Answer::Moved,
                (Some("ng"), Some(known), reason) if known == name => {
                    let reason = reason.unwrap_or("no reason given").to_owned();
                    return Answer::No { reason, said };
                }
                (Some("unpack"), Some(first), rest) if first != "ok" => {
                    unpacked = Some(format!("{first} {}", rest.unwrap_or_default()));
                }
                _ => {}
            }
        }
        match unpacked {
            Some(reason) => Answer::No { reason, said },
            None => Answer::Silence,
        }
    }
}

/// The data lines of a run of packet lines; a broken one ends it.
fn packet_lines(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    while let Some((length, rest)) = bytes.split_at_checked(4) {
        let length = std::str::from_utf8(length).ok();
        let Some(length) = length.and_then(|hex| usize::from_str_radix(hex, 16).ok()) else {
            break;
        };
        let Some((line, rest)) = rest.split_at_checked(length.saturating_sub(4)) else {
            break;
        };
        if length > 4 {
            lines.push(line);
        }
        bytes = rest;
    }
    lines
}

impl Job<'_> {
    /// The ref may have been moved or not.
    pub(super) fn unknown(&self, why: &str) -> PushError {
        PushError::Unknown {
            target: self.target.clone(),
            cause: Cause::ours(why),
        }
    }

    /// A failure after everything may have been sent. Only an HTTP status tells that the request was not taken; the
    /// words of a program may be those of a hook.
    pub(super) fn after(&self, error: GitError) -> PushError {
        let by_status = matches!(self.access.upstream.url.kind(), UrlKind::Http { .. });
        if by_status
            && matches!(
                error,
                GitError::AuthRequired | GitError::AuthFailed(_) | GitError::NotFound(_)
            )
        {
            return error.into();
        }
        self.unknown(&error.one_line())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(status: &[&str], said: &str) -> Report {
        let framed = status.iter().map(|line| format!("{:04x}{line}", line.len() + 4));
        Report {
            status: framed.collect::<String>().into_bytes(),
            said: said.as_bytes().to_vec(),
        }
    }

    #[test]
    fn a_report_is_read_for_the_one_ref_it_is_about() {
        let name = "refs/heads/main";
        let ok = report(&["unpack ok\n", "ok refs/heads/main\n", "option refname x\n"], "");
        assert!(matches!(ok.answer(name), Answer::Moved));
        let other = report(&["unpack ok\n", "ok refs/heads/mainly\n"], "");
        assert!(matches!(other.answer(name), Answer::Silence));
        let no = report(&["unpack ok\n", "ng refs/heads/main hook declined\n"], "no\n");
        assert!(
            matches!(no.answer(name), Answer::No { reason, said } if reason == "hook declined" && said == "no\n")
        );
        let disk = report(&["unpack index-pack abnormal exit\n"], "");
        assert!(matches!(disk.answer(name), Answer::No { reason, .. } if reason.starts_with("index-pack")));
        for broken in [&b"zzzz"[..], b"00ffunpack", b"0001", b"", b"000"] {
            let report = Report {
                status: broken.to_vec(),
                said: Vec::new(),
            };
            assert!(matches!(report.answer(name), Answer::Silence));
        }
    }
}
