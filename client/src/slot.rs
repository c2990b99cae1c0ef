//! The place in the program where the value of one config stands, behind the hooks that guard it.
//!
//! Invariant: the value is replaced as a whole, and only after its document was read, the program's own check had
//! nothing against it and the `prepare` hook was ready. If the `activate` hook fails, the value before stands again. A
//! hook that panics or hangs has failed; it takes nothing else with it.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use headwater_wire::{CommitId, ConfigName, Digest, FailPhase, ReportError, ValueSource};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::decode::{clip, decode};
use crate::engine::{NoValue, Spare, Target};

/// A value and where it comes from.
#[derive(Debug)]
pub struct Held<T> {
    pub(crate) value: Arc<T>,
    pub(crate) target: Option<Target>,
    pub(crate) source: ValueSource,
}

impl<T> Held<T> {
    /// The value.
    pub fn value(&self) -> &Arc<T> {
        &self.value
    }

    /// Commit at which the content became what it is; none for the program's own default.
    pub fn version(&self) -> Option<&CommitId> {
        self.target.as_ref().map(|target| &target.version)
    }

    /// Digest of the document; none for the program's own default.
    pub fn digest(&self) -> Option<&Digest> {
        self.target.as_ref().map(|target| &target.digest)
    }

    /// Where it comes from.
    pub fn source(&self) -> ValueSource {
        self.source
    }
}

/// What a hook is given.
#[derive(Debug)]
pub struct Candidate<T> {
    /// Config.
    pub config: ConfigName,
    /// Commit at which the content became what it is.
    pub version: CommitId,
    /// Digest of the document.
    pub digest: Digest,
    /// Where it comes from.
    pub source: ValueSource,
    /// The value.
    pub value: Arc<T>,
}

impl<T> Clone for Candidate<T> {
    fn clone(&self) -> Self {
        Self {
            config: self.config.clone(),
            version: self.version.clone(),
            digest: self.digest.clone(),
            source: self.source,
            value: Arc::clone(&self.value),
        }
    }
}

pub(crate) type Check<T> = Arc<dyn Fn(&T) -> Result<(), String> + Send + Sync>;
pub(crate) type Hook<T> = Arc<dyn Fn(Candidate<T>) -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// What guards a value.
pub(crate) struct Guards<T> {
    pub(crate) checks: Vec<Check<T>>,
    pub(crate) prepare: Option<Hook<T>>,
    pub(crate) activate: Option<Hook<T>>,
    /// Longest run of one hook.
    pub(crate) hook_deadline: Duration,
}

impl<T> fmt::Debug for Guards<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guards")
            .field("checks", &self.checks.len())
            .finish_non_exhaustive()
    }
}

/// What readers see, and what wakes those who wait for changes.
#[derive(Debug)]
pub(crate) struct Cell<T> {
    pub(crate) current: ArcSwap<Held<T>>,
    pub(crate) changed: watch::Sender<u64>,
}

/// How a wait for the first value ended.
#[derive(Debug, Clone)]
pub(crate) enum First {
    /// Not yet.
    Waiting,
    /// There is a value.
    Ready,
    /// There is none, and no default; and what was last heard of the server.
    None(NoValue, Option<String>),
}

/// The place of one config's value.
pub(crate) struct TypedSlot<T> {
    config: ConfigName,
    guards: Guards<T>,
    default: Mutex<Option<T>>,
    spare: Spare,
    cell: OnceLock<Arc<Cell<T>>>,
    /// The value that was checked last, ready to be switched to.
    staged: Mutex<Option<(Digest, Arc<T>)>>,
    first: watch::Sender<First>,
    /// The program's hooks run one at a time, also where a value was given up while its hook still ran.
    turn: tokio::sync::Mutex<()>,
}

impl<T> fmt::Debug for TypedSlot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedSlot")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// A slot without its type, as the driver sees it.
pub(crate) trait Slot: Send + Sync + fmt::Debug {
    /// Reads, checks and prepares for a document.
    fn prepare(
        self: Arc<Self>,
        target: Target,
        source: ValueSource,
        document: Arc<str>,
    ) -> BoxFuture<'static, Result<(), ReportError>>;
    /// Switches to a document that was prepared for, or reads it again if another one was since.
    fn activate(
        self: Arc<Self>,
        target: Target,
        source: ValueSource,
        document: Arc<str>,
    ) -> BoxFuture<'static, Result<(), ReportError>>;
    /// What is left if nothing else is.
    fn spare(&self) -> Spare;
    /// The value goes by another name.
    fn rename(&self, target: &Target);
    /// There is no value; whether the program's own default stands in.
    fn no_value(&self, why: NoValue, detail: Option<String>) -> Spare;
}

impl<T: DeserializeOwned + Send + Sync + 'static> TypedSlot<T> {
    pub(crate) fn new(config: ConfigName, guards: Guards<T>, default: Option<T>, spare: Spare) -> Self {
        Self {
            config,
            guards,
            default: Mutex::new(default),
            spare,
            cell: OnceLock::new(),
            staged: Mutex::new(None),
            first: watch::Sender::new(First::Waiting),
            turn: tokio::sync::Mutex::default(),
        }
    }

    /// Waits until there is a value, or is known to be none.
    pub(crate) async fn first(&self) -> Result<Arc<Cell<T>>, (NoValue, Option<String>)> {
        let mut first = self.first.subscribe();
        loop {
            if let Some(cell) = self.cell.get() {
                return Ok(Arc::clone(cell));
            }
            if let First::None(why, detail) = &*first.borrow_and_update() {
                return Err((why.clone(), detail.clone()));
            }
            if first.changed().await.is_err() {
                return Err((NoValue::Unreachable, None));
            }
        }
    }

    /// Reads and checks off the runtime's threads: both are the program's code, and may take their time or panic.
    async fn read(self: &Arc<Self>, document: Arc<str>) -> Result<Arc<T>, ReportError> {
        let slot = Arc::clone(self);
        #[expect(
            clippy::disallowed_methods,
            reason = "the ban is for the service, whose blocking calls carry a span"
        )]
        let read = tokio::task::spawn_blocking(move || {
            let value: T = decode(&document)?;
            slot.guards.checks.iter().try_for_each(|check| check(&value))?;
            Ok::<_, String>(Arc::new(value))
        });
        let deadline = self.guards.hook_deadline;
        match timeout(deadline, read).await {
            Ok(Ok(Ok(value))) => Ok(value),
            Ok(Ok(Err(message))) => Err(fault(FailPhase::Validate, &message)),
            Ok(Err(_panic)) => Err(fault(
                FailPhase::Validate,
                "reading or checking the value panicked",
            )),
            Err(_) => Err(fault(FailPhase::Validate, &too_long("the check", deadline))),
        }
    }

    async fn run_hook(
        &self,
        hook: &Hook<T>,
        candidate: Candidate<T>,
        phase: FailPhase,
    ) -> Result<(), ReportError> {
        let deadline = self.guards.hook_deadline;
        // The hook may panic while it makes its future, too.
        let run = AssertUnwindSafe(async { hook(candidate).await }).catch_unwind();
        match timeout(deadline, run).await {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(message))) => Err(fault(phase, &message)),
            Ok(Err(_panic)) => Err(fault(phase, "the hook panicked")),
            Err(_) => Err(fault(phase, &too_long("the hook", deadline))),
        }
    }

    fn candidate(&self, target: &Target, source: ValueSource, value: &Arc<T>) -> Candidate<T> {
        Candidate {
            config: self.config.clone(),
            version: target.version.clone(),
            digest: target.digest.clone(),
            source,
            value: Arc::clone(value),
        }
    }

    fn staged(&self) -> std::sync::MutexGuard<'_, Option<(Digest, Arc<T>)>> {
        self.staged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first value is shown only after the hook has agreed, since there is nothing to go back to.
    async fn switch(&self, held: Held<T>) -> Result<(), ReportError> {
        let candidate = held
            .target
            .as_ref()
            .map(|target| self.candidate(target, held.source, &held.value));
        let held = Arc::new(held);
        let before = self.cell.get().map(|cell| cell.current.swap(Arc::clone(&held)));
        if let (Some(hook), Some(candidate)) = (&self.guards.activate, candidate)
            && let Err(error) = self.run_hook(hook, candidate, FailPhase::Activate).await
        {
            if let (Some(cell), Some(before)) = (self.cell.get(), before) {
                cell.current.store(before);
                // For who has seen the refused value meanwhile, going back is a change.
                cell.changed.send_modify(|count| *count = count.wrapping_add(1));
            }
            return Err(error);
        }
        self.show(held);
        Ok(())
    }

    fn show(&self, held: Arc<Held<T>>) {
        let cell = self.cell.get_or_init(|| {
            Arc::new(Cell {
                current: ArcSwap::new(held),
                changed: watch::Sender::new(0),
            })
        });
        cell.changed.send_modify(|count| *count = count.wrapping_add(1));
        self.first.send_replace(First::Ready);
    }
}

impl<T: DeserializeOwned + Send + Sync + 'static> Slot for TypedSlot<T> {
    fn prepare(
        self: Arc<Self>,
        target: Target,
        source: ValueSource,
        document: Arc<str>,
    ) -> BoxFuture<'static, Result<(), ReportError>> {
        async move {
            let _turn = self.turn.lock().await;
            let value = self.read(document).await?;
            if let Some(hook) = &self.guards.prepare {
                let candidate = self.candidate(&target, source, &value);
                self.run_hook(hook, candidate, FailPhase::Prepare).await?;
            }
            *self.staged() = Some((target.digest, value));
            Ok(())
        }
        .boxed()
    }

    fn activate(
        self: Arc<Self>,
        target: Target,
        source: ValueSource,
        document: Arc<str>,
    ) -> BoxFuture<'static, Result<(), ReportError>> {
        async move {
            let _turn = self.turn.lock().await;
            let staged = self.staged().take_if(|(digest, _)| *digest == target.digest);
            let value = match staged {
                Some((_, value)) => value,
                None => self.read(document).await?,
            };
            let target = Some(target);
            self.switch(Held {
                value,
                target,
                source,
            })
            .await
        }
        .boxed()
    }

    fn spare(&self) -> Spare {
        self.spare
    }

    fn rename(&self, target: &Target) {
        let Some(cell) = self.cell.get() else { return };
        let held = cell.current.load_full();
        cell.current.store(Arc::new(Held {
            value: Arc::clone(&held.value),
            target: Some(target.clone()),
            source: ValueSource::Server,
        }));
    }

    fn no_value(&self, why: NoValue, detail: Option<String>) -> Spare {
        let default = self.default.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(value) = default {
            self.show(Arc::new(Held {
                value: Arc::new(value),
                target: None,
                source: ValueSource::Default,
            }));
            Spare::Default
        } else {
            self.first.send_replace(First::None(why, detail));
            Spare::Nothing
        }
    }
}

fn too_long(what: &str, deadline: Duration) -> String {
    format!("{what} did not end within {} s", deadline.as_secs())
}

fn fault(phase: FailPhase, message: &str) -> ReportError {
    ReportError {
        phase,
        message: clip(message),
    }
}
