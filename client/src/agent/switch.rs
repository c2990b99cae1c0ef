//! The one task that changes files: what became ready together is checked together, switched together, and told to
//! programs once.
//!
//! Invariant: when an activation is answered with an error, the files, and what programs were told of them, are those
//! of before. What is deliberately absent: which version is wanted, which is the library's decision.

mod gather;
mod notify;
mod told;

use std::collections::BTreeSet;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use headwater_wire::{CommitId, ConfigName, Digest, ValueSource};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::block_in_place;
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use super::board::Board;
use super::command::{Hook, Subject};
use super::files::{FileError, FileSet, Staged, Target};
use super::format::FileFormat;
use gather::{Gather, Waiting};
pub(crate) use notify::{Notify, PidFile, Supervised};
use told::Told;

/// Questions that may wait: a few for each config.
const MAILBOX_LEN: usize = 256;
/// How often the files are compared with what they should be, since anybody may have changed them.
const LOOK_INTERVAL: Duration = Duration::from_secs(30);

/// A value of a config, as it is to be written.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) config: ConfigName,
    pub(crate) version: CommitId,
    pub(crate) digest: Digest,
    pub(crate) source: ValueSource,
    pub(crate) document: Arc<Value>,
}

/// Why a value is not in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) cause: Cause,
    pub(crate) message: String,
}

/// Whether the files were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    Now,
    /// They were there already.
    Before,
}

/// Whether another try can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The value, or a command that looked at it.
    Value,
    /// This machine: its disk, its permissions.
    Machine,
    /// The agent is ending.
    Stopping,
}

impl Refusal {
    fn value(error: &dyn Error) -> Self {
        Self {
            cause: Cause::Value,
            message: chain(error),
        }
    }

    fn stopping() -> Self {
        Self {
            cause: Cause::Stopping,
            message: "the agent is ending".to_owned(),
        }
    }
}

impl From<FileError> for Refusal {
    fn from(error: FileError) -> Self {
        Self {
            cause: Cause::Machine,
            message: format!("{}; {}", chain(&error), error.hint()),
        }
    }
}

/// An error with its causes, on one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

type Answer = oneshot::Sender<Result<(), Refusal>>;

enum Ask {
    Prepare(Waiting),
    Activate(Waiting),
    Rename(Name),
}

/// What a value that is in use goes by.
#[derive(Debug, Clone)]
pub(crate) struct Name {
    pub(crate) config: ConfigName,
    pub(crate) version: CommitId,
    pub(crate) digest: Digest,
    pub(crate) source: ValueSource,
}

/// The handle of the task. Dropping the last one ends it.
#[derive(Debug, Clone)]
pub(crate) struct Switcher {
    asks: mpsc::Sender<Ask>,
}

impl Switcher {
    /// Whether the value could be used: it has a text in the format, and the check likes it.
    pub(crate) async fn prepare(&self, change: Change) -> Result<(), Refusal> {
        self.ask(change, Ask::Prepare).await
    }

    /// Puts the value into use.
    pub(crate) async fn activate(&self, change: Change) -> Result<(), Refusal> {
        self.ask(change, Ask::Activate).await
    }

    /// The same content goes by another name, as after a commit that brings back what an older one had. Files stay.
    pub(crate) async fn rename(&self, name: Name) {
        // The task has ended, and nobody reads the board any more.
        self.asks.send(Ask::Rename(name)).await.ok();
    }

    async fn ask(&self, change: Change, of: impl FnOnce(Waiting) -> Ask) -> Result<(), Refusal> {
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting { change, answer };
        if self.asks.send(of(waiting)).await.is_err() {
            return Err(Refusal::stopping());
        }
        answered.await.unwrap_or_else(|_| Err(Refusal::stopping()))
    }
}

/// Names the configs that have a value on its way here.
pub(crate) type OnTheWay = Arc<dyn Fn() -> BTreeSet<ConfigName> + Send + Sync>;

/// What the task needs.
pub(crate) struct SwitchSpec {
    pub(crate) configs: BTreeSet<ConfigName>,
    pub(crate) format: FileFormat,
    pub(crate) check: Option<Hook>,
    pub(crate) notify: Notify,
    pub(crate) on_the_way: OnTheWay,
    /// Where the agent remembers what it told programs.
    pub(crate) state_dir: std::path::PathBuf,
}

/// Starts the task. What is in use shows on the board.
pub(crate) fn start(
    spec: SwitchSpec,
    target: Target,
) -> Result<(Switcher, watch::Receiver<Arc<Board>>), FileError> {
    let files = target.read()?;
    let told = Told::open(
        &spec.state_dir,
        target.root().unwrap_or(Path::new("")),
        &spec.format,
    );
    let (asks, received) = mpsc::channel(MAILBOX_LEN);
    let board = watch::Sender::new(Arc::new(Board::default()));
    let shown = board.subscribe();
    let task = Task {
        spec,
        target,
        files,
        told,
        board,
        ready: BTreeSet::new(),
        preparing: Gather::default(),
        activating: Gather::default(),
    };
    tokio::spawn(task.run(received));
    Ok((Switcher { asks }, shown))
}

struct Task {
    spec: SwitchSpec,
    target: Target,
    /// What is in use.
    files: FileSet,
    told: Told,
    board: watch::Sender<Arc<Board>>,
    /// Prepared and not yet activated.
    ready: BTreeSet<ConfigName>,
    preparing: Gather,
    activating: Gather,
}

impl Task {
    async fn run(mut self, mut asks: mpsc::Receiver<Ask>) {
        let mut look_at = Instant::now() + LOOK_INTERVAL;
        loop {
            let preparing = self.preparing.due(&self.spec.configs);
            let activating = self.activating.due(&self.ready);
            // Cancel-safe: a received question is kept at once, and the other arms only wait.
            tokio::select! {
                biased;
                ask = asks.recv() => match ask {
                    Some(Ask::Prepare(waiting)) => self.preparing.add(waiting, Instant::now()),
                    Some(Ask::Activate(waiting)) => self.activating.add(waiting, Instant::now()),
                    Some(Ask::Rename(name)) => self.board.send_modify(|board| *board = Arc::new(board.renamed(&name))),
                    None => return,
                },
                () = until(activating) => {
                    if !self.activating.waits_for(&(self.spec.on_the_way)(), Instant::now()) {
                        let group = self.activating.take();
                        self.activate(group).await;
                    }
                }
                () = until(preparing) => {
                    if !self.preparing.waits_for(&(self.spec.on_the_way)(), Instant::now()) {
                        let group = self.preparing.take();
                        self.prepare(group).await;
                    }
                }
                () = sleep_until(look_at) => {
                    self.look().await;
                    look_at = Instant::now() + LOOK_INTERVAL;
                }
            }
        }
    }

    async fn prepare(&mut self, group: Vec<Waiting>) {
        let mut group = self.rendered(group);
        // A member that fails leaves the group, and the others are judged again without it: what will be used together
        // is what was checked together.
        loop {
            let before = group.len();
            match self.checked(&mut group).await {
                Ok(()) if group.len() == before => break,
                Ok(()) => {}
                Err(refusal) => return refuse(group, &refusal),
            }
        }
        for (waiting, _) in group {
            self.ready.insert(waiting.change.config.clone());
            waiting.answer(Ok(()));
        }
    }

    /// Runs the check on each member, and answers those that it refuses.
    async fn checked(&self, group: &mut Vec<(Waiting, Arc<str>)>) -> Result<(), Refusal> {
        let Some(check) = &self.spec.check else {
            return Ok(());
        };
        if group.is_empty() {
            return Ok(());
        }
        let set = self.with(group);
        let staged = block_in_place(|| self.target.stage(&set))?;
        let mut refused = Vec::new();
        for (waiting, text) in std::mem::take(group) {
            match check.run(&subject(&waiting.change, &staged)).await {
                Ok(_) => group.push((waiting, text)),
                Err(error) => refused.push((waiting, Refusal::value(&error))),
            }
        }
        block_in_place(|| drop(staged));
        for (waiting, refusal) in refused {
            waiting.answer(Err(refusal));
        }
        Ok(())
    }

    async fn activate(&mut self, group: Vec<Waiting>) {
        let group = self.rendered(group);
        for (waiting, _) in &group {
            self.ready.remove(&waiting.change.config);
        }
        if group.is_empty() {
            return;
        }
        let set = self.with(&group);
        let changes: Vec<Change> = group.iter().map(|(waiting, _)| waiting.change.clone()).collect();
        match self.switch(set, &changes).await {
            Ok(()) => {
                self.board
                    .send_modify(|board| *board = Arc::new(board.with(changes)));
                for (waiting, _) in group {
                    waiting.answer(Ok(()));
                }
            }
            Err(refusal) => refuse(group, &refusal),
        }
    }

    /// Puts a set of files into use and tells programs; or leaves everything as it was.
    async fn switch(&mut self, set: FileSet, changes: &[Change]) -> Result<(), Refusal> {
        let written = block_in_place(|| self.write(&set))?;
        let before = std::mem::replace(&mut self.files, set);
        let subject = self.subject(changes);
        match self.tell(&subject, written).await {
            Ok(()) => {
                if written == Written::Now {
                    say_written(changes);
                }
                Ok(())
            }
            Err(refusal) => {
                self.take_back(before, written, changes).await;
                Err(refusal)
            }
        }
    }

    fn write(&mut self, set: &FileSet) -> Result<Written, FileError> {
        if self.target.holds(set) {
            return Ok(Written::Before);
        }
        let staged = self.target.stage(set)?;
        self.target.switch(staged)?;
        Ok(Written::Now)
    }

    /// Tells programs what they were not told yet.
    async fn tell(&mut self, subject: &Subject, written: Written) -> Result<(), Refusal> {
        let is_complete = self
            .spec
            .configs
            .iter()
            .all(|config| self.files.contains_key(config));
        if written == Written::Now || !self.told.knows(&self.files) {
            self.spec.notify.commands(subject).await?;
        }
        if is_complete {
            self.spec.notify.program(written).await?;
        }
        self.told.remember(&self.files);
        Ok(())
    }

    /// The files of before, and the command once more for them. The program was not told of the new ones: it comes last,
    /// and does not fail.
    async fn take_back(&mut self, before: FileSet, written: Written, changes: &[Change]) {
        self.files = before;
        if written == Written::Before {
            return;
        }
        if let Err(error) = block_in_place(|| self.target.back()) {
            let error = chain(&error);
            warn!(%error, "the files of before could not be put back: {error}");
        }
        if self.files.is_empty() {
            return;
        }
        let configs: Vec<ConfigName> = changes.iter().map(|change| change.config.clone()).collect();
        let subject = self.at_home(self.board.borrow().subject(&configs));
        match self.spec.notify.commands(&subject).await {
            Ok(()) => self.told.remember(&self.files),
            Err(Refusal { message: error, .. }) => {
                warn!(%error, "the files of before are back, and the command fails for them too: {error}");
            }
        }
    }

    /// Writes again what somebody else changed or removed, and tells programs, which may have read it.
    async fn look(&mut self) {
        if self.files.is_empty() || block_in_place(|| self.target.holds(&self.files)) {
            return;
        }
        warn!("the files are not as they were written; they are written again");
        let configs: Vec<ConfigName> = self.files.keys().cloned().collect();
        let set = self.files.clone();
        let written = block_in_place(|| self.write(&set));
        let subject = self.at_home(self.board.borrow().subject(&configs));
        let told = match written {
            Ok(_) => self.spec.notify.commands(&subject).await,
            Err(error) => Err(error.into()),
        };
        if let Err(Refusal { message: error, .. }) = told {
            warn!(%error, "that did not go well: {error}");
        }
    }

    /// The members that still want an answer and have a text.
    fn rendered(&self, group: Vec<Waiting>) -> Vec<(Waiting, Arc<str>)> {
        let mut rendered = Vec::new();
        for waiting in group {
            if waiting.is_forgotten() {
                continue;
            }
            match self.spec.format.text(&waiting.change.document) {
                Ok(text) => rendered.push((waiting, Arc::from(text))),
                Err(error) => waiting.answer(Err(Refusal::value(&error))),
            }
        }
        rendered
    }

    fn with(&self, group: &[(Waiting, Arc<str>)]) -> FileSet {
        let mut set = self.files.clone();
        for (waiting, text) in group {
            set.insert(waiting.change.config.clone(), Arc::clone(text));
        }
        set
    }

    fn subject(&self, changes: &[Change]) -> Subject {
        let first = changes.first();
        self.at_home(Subject {
            configs: changes.iter().map(|change| change.config.clone()).collect(),
            version: first.map(|change| change.version.clone()),
            digest: first.map(|change| change.digest.clone()),
            ..Subject::default()
        })
    }

    /// With the paths at which programs find the files.
    fn at_home(&self, subject: Subject) -> Subject {
        let first = subject.configs.first();
        Subject {
            file: first.and_then(|config| self.target.path_of(config)),
            dir: self.target.root().map(Path::to_owned),
            ..subject
        }
    }
}

fn subject(change: &Change, staged: &Staged) -> Subject {
    Subject {
        file: staged.file(&change.config).map(Path::to_owned),
        dir: Some(staged.root().to_owned()),
        configs: vec![change.config.clone()],
        version: Some(change.version.clone()),
        digest: Some(change.digest.clone()),
    }
}

fn refuse(group: Vec<(Waiting, Arc<str>)>, refusal: &Refusal) {
    for (waiting, _) in group {
        waiting.answer(Err(refusal.clone()));
    }
}

fn say_written(changes: &[Change]) {
    for Change {
        config,
        version,
        source,
        ..
    } in changes
    {
        let version = version.short();
        let from = match source {
            ValueSource::Server => "",
            ValueSource::LastKnownGood => " from the last known good",
            ValueSource::Unconfirmed => " from disk, not confirmed yet",
            ValueSource::Default | ValueSource::Pinned | ValueSource::Other => " from elsewhere",
        };
        info!(config = %config, version, "{config} is at {version}{from}");
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::change;
