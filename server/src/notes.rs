//! What became of commits, told in the repository itself: `git log --notes=headwater` shows it.
//!
//! Invariant: one writer for each repository, beside the pipeline and never waited for. What comes close together is
//! pushed together. Notes are a courtesy: where the upstream does not take them they are off, which is said once, and
//! tried again after an hour. What is deliberately absent: reading them; the store is what decisions are kept in.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use headwater_wire::{CommitId, Person, Timestamp};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::clock;
use crate::forge::desk::errors;
use crate::git::Mirror;
use crate::git::error::{GitError, Remedy};
use crate::git::intent::trailers;
use crate::git::notes::NoteText;
use crate::git::push::PushError;
use crate::git::read::Reader;
use crate::git::stop::Stop;
use crate::judge::Judged;
use crate::pipeline::git_thread::GitThreadError;
use crate::repo::Repo;
use crate::settings::NotesSettings;

const ADMITTED: &str = "Headwater-Verdict: admitted";
const REJECTED: &str = "Headwater-Verdict: rejected";
/// Commits whose notes may wait; of more, the oldest are dropped.
const WAITING_MAX: usize = 1_024;
/// Commits that one rollback is noted on.
const ROLLED_BACK_MAX: usize = 100;
/// Longest pause between two tries.
const PAUSE_MAX: Duration = Duration::from_mins(5);
/// How long an upstream that refused is left alone.
const REFUSED_PAUSE: Duration = Duration::from_hours(1);
/// How long the last notes may take when the process stops.
const LAST_DEADLINE: Duration = Duration::from_secs(3);

/// Notes that wait to be pushed.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    waiting: Mutex<Vec<Waiting>>,
    settled: Notify,
}

/// Lines for the note of one commit.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Waiting {
    commit: CommitId,
    lines: Vec<String>,
}

impl Notes {
    /// What the validators said.
    pub(crate) fn judged(&self, judged: &Judged) {
        let verdict = if judged.valid.is_some() {
            ADMITTED
        } else {
            REJECTED
        };
        self.add(&judged.commit, verdict.to_owned());
        if let Some(errors) = errors(&judged.findings) {
            self.add(&judged.commit, format!("Headwater-Reason: {errors}"));
        }
    }

    /// What was decided about a rollout that brings a commit, as one line.
    pub(crate) fn rollout(&self, commit: &CommitId, line: String) {
        self.add(commit, line);
    }

    /// When a commit was shown to clients, which is a verdict, too: that of a rollback was worked out before it came to
    /// the branch.
    pub(crate) fn published(&self, commit: &CommitId, at: Timestamp) {
        self.add(commit, ADMITTED.to_owned());
        self.add(commit, format!("Headwater-Published: {at}"));
    }

    /// That another commit took this one back.
    pub(crate) fn rolled_back(&self, commit: &CommitId, by: &CommitId) {
        self.add(commit, format!("Headwater-Rolled-Back-By: {by}"));
    }

    fn add(&self, commit: &CommitId, line: String) {
        let mut waiting = self.waiting();
        match waiting.iter_mut().find(|waiting| waiting.commit == *commit) {
            Some(waiting) if waiting.lines.contains(&line) => {}
            Some(waiting) => waiting.lines.push(line),
            None => waiting.push(Waiting {
                commit: commit.clone(),
                lines: vec![line],
            }),
        }
        let too_many = waiting.len().saturating_sub(WAITING_MAX);
        waiting.drain(..too_many);
    }

    /// All is said for now: what waits may be pushed. A verdict and what follows from it are one paragraph by that.
    pub(crate) fn settle(&self) {
        self.settled.notify_one();
    }

    /// Completes when something was settled since the last time.
    async fn settled(&self) {
        self.settled.notified().await;
    }

    fn take(&self) -> Vec<Waiting> {
        std::mem::take(&mut *self.waiting())
    }

    /// Puts back what could not be pushed, before what came since.
    fn give_back(&self, tried: Vec<Waiting>) {
        let since = self.take();
        *self.waiting() = tried;
        for Waiting { commit, lines } in since {
            for line in lines {
                self.add(&commit, line);
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Repo {
    /// Takes note of a verdict, where notes are written.
    pub(crate) fn note_verdict(&self, judged: &Judged) {
        if self.settings().notes.is_some() {
            self.outward.notes.judged(judged);
        }
    }

    /// Takes note of a publication and of what it takes back, where notes are written.
    pub(crate) fn note_published(&self, reader: &Reader, commit: &CommitId) {
        if self.settings().notes.is_none() {
            return;
        }
        self.outward.notes.published(commit, clock::now());
        // A history that cannot be read now costs a note and nothing else.
        for undone in taken_back(reader, commit).unwrap_or_default() {
            self.outward.notes.rolled_back(&undone, commit);
        }
    }
}

/// Commits that a commit takes back, if its trailers say so and its history bears them out.
fn taken_back(reader: &Reader, commit: &CommitId) -> Result<Vec<CommitId>, GitError> {
    let info = reader.commit(commit)?;
    let Some(parent) = info.parents.first() else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for (key, value) in trailers(&info.message) {
        let Ok(named) = value.parse::<CommitId>() else {
            continue;
        };
        if !reader.contains(&named) || !reader.is_ancestor(&named, parent)? {
            continue;
        }
        if key.eq_ignore_ascii_case("Reverts") {
            found.push(named);
        } else if key.eq_ignore_ascii_case("Rollback-To") && reader.commit(&named)?.tree == info.tree {
            // Only as a whole: where some paths went back, the commits between have not. What the target was made from
            // has stayed.
            found.extend(reader.first_parents_beyond(parent, &named, ROLLED_BACK_MAX)?);
        }
    }
    Ok(found)
}

/// What became of a try.
enum Pushed {
    Well,
    /// It may go well the next time.
    Later(String),
    /// Not before something changes.
    Refused(PushError),
}

/// The one writer of a repository's notes.
struct Writer {
    repo: Arc<Repo>,
    failures: u32,
    /// The settings that the upstream refused, and until when it is left alone.
    refused: Option<(NotesSettings, Instant)>,
}

/// Pushes what waits, until told to stop.
pub(crate) async fn write(repo: Arc<Repo>, cancel: CancellationToken) {
    let mut writer = Writer {
        repo,
        failures: 0,
        refused: None,
    };
    loop {
        // Cancel-safe: what waits is taken only when it is pushed.
        tokio::select! {
            () = cancel.cancelled() => break,
            () = writer.repo.outward.notes.settled() => {}
        }
        let pause = writer.round().await;
        tokio::select! {
            () = cancel.cancelled() => break,
            () = tokio::time::sleep(pause) => {}
        }
    }
    // What cannot be told in time is a note less.
    tokio::time::timeout(LAST_DEADLINE, writer.round()).await.ok();
}

impl Writer {
    /// Pushes what waits now. Says how long to wait before the next time.
    async fn round(&mut self) -> Duration {
        let Some(settings) = self.repo.settings().notes.clone() else {
            return Duration::ZERO;
        };
        let waiting = self.repo.outward.notes.take();
        let Some(like) = waiting.first().map(|waiting| waiting.commit.clone()) else {
            return Duration::ZERO;
        };
        if let Some((refused, until)) = &self.refused
            && *refused == settings
            && Instant::now() < *until
        {
            return settings.pause;
        }
        match self.push(&settings, &like, &waiting).await {
            Pushed::Well => {
                debug!(repo = %self.repo.name(), commits = waiting.len(), "noted what became of commits");
                (self.failures, self.refused) = (0, None);
                settings.pause
            }
            Pushed::Later(why) => {
                self.failures = self.failures.saturating_add(1);
                if self.failures == 1 {
                    info!(repo = %self.repo.name(), "notes could not be pushed, which is tried again: {why}");
                }
                self.repo.outward.notes.give_back(waiting);
                self.repo.outward.notes.settle();
                let longer = settings.pause.saturating_mul(1 << self.failures.min(9));
                longer.min(PAUSE_MAX)
            }
            Pushed::Refused(error) => {
                if self
                    .refused
                    .as_ref()
                    .is_none_or(|(refused, _)| *refused != settings)
                {
                    let hint = error.hint();
                    let why = error.one_line();
                    warn!(repo = %self.repo.name(), hint, "notes are off, the upstream does not take them: {why}");
                }
                self.refused = Some((settings.clone(), Instant::now() + REFUSED_PAUSE));
                settings.pause
            }
        }
    }

    async fn push(&self, settings: &NotesSettings, like: &CommitId, waiting: &[Waiting]) -> Pushed {
        let texts: Vec<NoteText> = waiting
            .iter()
            .map(|Waiting { commit, lines }| NoteText {
                commit: commit.clone(),
                text: lines.join("\n"),
            })
            .collect();
        let (name, email) = settings.committer.clone();
        let committer = Person {
            name,
            email,
            at: clock::now(),
        };
        let (repo, access) = (self.repo.settings(), settings.access.clone());
        let limits = repo.mirror_limits;
        let deadline = limits.fetch.saturating_add(limits.push);
        let work = move |annex: &mut Mirror, stop: &Stop| match annex
            .append_notes(&access, &texts, &committer, stop)
        {
            Err(PushError::Upstream(error)) => Err(error),
            other => Ok(other),
        };
        match self.repo.outward.noted.call(&repo, like, deadline, work).await {
            Ok(Ok(_)) => Pushed::Well,
            Ok(Err(error)) => match error.remedy() {
                Remedy::FixInput | Remedy::Reauthenticate | Remedy::Bug => Pushed::Refused(error),
                Remedy::Retry
                | Remedy::RefreshAndRedo
                | Remedy::FreeCapacity
                | Remedy::RepairMirror
                | Remedy::Stop => Pushed::Later(error.one_line()),
            },
            Err(GitThreadError::Git(error)) => Pushed::Later(error.one_line()),
            Err(error) => Pushed::Later(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(digit: char) -> CommitId {
        digit.to_string().repeat(40).parse().unwrap()
    }

    #[test]
    fn what_comes_close_together_is_one_paragraph_for_each_commit() {
        let notes = Notes::default();
        notes.published(&commit('a'), Timestamp(1_700_000_000_000));
        notes.rolled_back(&commit('b'), &commit('c'));
        notes.rolled_back(&commit('a'), &commit('c'));
        let waiting = notes.take();
        let texts: Vec<String> = waiting.iter().map(|waiting| waiting.lines.join("\n")).collect();
        insta::assert_snapshot!(texts.join("\n\n"), @"
        Headwater-Verdict: admitted
        Headwater-Published: 2023-11-14T22:13:20.000Z
        Headwater-Rolled-Back-By: cccccccccccccccccccccccccccccccccccccccc

        Headwater-Rolled-Back-By: cccccccccccccccccccccccccccccccccccccccc
        ");
        assert!(notes.take().is_empty());
    }

    #[test]
    fn what_could_not_be_pushed_stands_before_what_came_since() {
        let notes = Notes::default();
        notes.add(&commit('a'), "one".to_owned());
        let tried = notes.take();
        notes.add(&commit('b'), "two".to_owned());
        notes.add(&commit('a'), "three".to_owned());
        notes.give_back(tried);
        let lines: Vec<Vec<String>> = notes.take().into_iter().map(|waiting| waiting.lines).collect();
        assert_eq!(lines, [vec!["one", "three"], vec!["two"]]);
    }

    #[test]
    fn of_too_many_the_oldest_are_dropped() {
        let notes = Notes::default();
        for number in 0..WAITING_MAX + 3 {
            notes.add(&format!("{number:040x}").parse().unwrap(), String::new());
        }
        let waiting = notes.take();
        assert_eq!(waiting.len(), WAITING_MAX);
        assert_eq!(waiting[0].commit.as_str(), format!("{:040x}", 3));
    }
}
