//! What a program reads its config from.
//!
//! Invariant: a reader sees the whole value of one version, never waits and never finds nothing. What is deliberately
//! absent: any way to change the value from here.

use std::fmt;
use std::ops::Deref;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use arc_swap::{ArcSwap, Cache, Guard};
use futures_util::{FutureExt, Stream, StreamExt};
use headwater_wire::{CommitId, ConfigName, Digest, ValueSource};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::client::Client;
use crate::slot::{Cell, Held};

/// The value of one config, always the newest that was good. Clones share it.
///
/// As long as a handle or the client itself lives, the value is kept up to date.
pub struct Handle<T> {
    config: ConfigName,
    cell: Arc<Cell<T>>,
    client: Client,
}

impl<T> Clone for Handle<T> {
    fn clone(&self) -> Self {
        Self {
            config: self.config.clone(),
            cell: Arc::clone(&self.cell),
            client: self.client.clone(),
        }
    }
}

impl<T> fmt::Debug for Handle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl<T> Handle<T> {
    pub(crate) fn new(config: ConfigName, cell: Arc<Cell<T>>, client: Client) -> Self {
        Self { config, cell, client }
    }

    /// The config.
    pub fn config(&self) -> &ConfigName {
        &self.config
    }

    /// The client that keeps it up to date.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The value now: a few nanoseconds, never a wait. Keep it for the work at hand, so that all of it sees one
    /// version, and not for longer: use [`Handle::snapshot`] for that.
    #[inline]
    pub fn load(&self) -> Loaded<T> {
        Loaded(self.cell.current.load())
    }

    /// The value now, to be kept.
    pub fn snapshot(&self) -> Arc<Held<T>> {
        self.cell.current.load_full()
    }

    /// A reader of its own for a hot loop: cheaper still, since it only looks whether there is news.
    pub fn reader(&self) -> Reader<T> {
        Reader {
            cache: Cache::new(Shared(Arc::clone(&self.cell))),
        }
    }

    /// Changes from now on. One that is slow to read them misses versions in between, never the newest.
    pub fn changes(&self) -> Changes<T> {
        let news = self.cell.changed.subscribe();
        let last = self.snapshot();
        Changes::new(Arc::clone(&self.cell), news, last)
    }
}

impl<T: Send + Sync + 'static> Handle<T> {
    /// Calls `listener` for each change, on a task of its own. A listener that panics or is slow harms neither the
    /// others nor the value. Dropping what is returned ends it.
    pub fn on_change(&self, mut listener: impl FnMut(Change<T>) + Send + 'static) -> Listener {
        let mut changes = self.changes();
        let task = tokio::spawn(async move {
            while let Some(change) = changes.next().await {
                // The next change may be one that it can take.
                std::panic::catch_unwind(AssertUnwindSafe(|| listener(change))).ok();
            }
        });
        Listener(task.abort_handle())
    }
}

/// A running listener; see [`Handle::on_change`].
#[derive(Debug)]
#[must_use = "the listener ends when this is dropped"]
pub struct Listener(AbortHandle);

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A value on loan. It is that of one version, whatever happens meanwhile.
pub struct Loaded<T>(Guard<Arc<Held<T>>>);

impl<T> Loaded<T> {
    /// Commit at which the content became what it is; none for the program's own default.
    pub fn version(&self) -> Option<&CommitId> {
        self.0.version()
    }

    /// Digest of the document; none for the program's own default.
    pub fn digest(&self) -> Option<&Digest> {
        self.0.digest()
    }

    /// Where it comes from.
    pub fn source(&self) -> ValueSource {
        self.0.source()
    }
}

impl<T> Deref for Loaded<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0.value
    }
}

impl<T: fmt::Debug> fmt::Debug for Loaded<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

/// A reader for one thread or task; see [`Handle::reader`].
pub struct Reader<T> {
    cache: Cache<Shared<T>, Arc<Held<T>>>,
}

/// What the cache of a reader looks at.
struct Shared<T>(Arc<Cell<T>>);

impl<T> Deref for Shared<T> {
    type Target = ArcSwap<Held<T>>;

    fn deref(&self) -> &Self::Target {
        &self.0.current
    }
}

impl<T> Reader<T> {
    /// The value now.
    #[inline]
    pub fn load(&mut self) -> &T {
        &self.cache.load().value
    }

    /// The value now, with its names.
    pub fn held(&mut self) -> &Held<T> {
        self.cache.load()
    }
}

impl<T> fmt::Debug for Reader<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}

/// One change.
#[derive(Debug)]
pub struct Change<T> {
    /// What this reader of changes saw before.
    pub old: Arc<Held<T>>,
    /// What stands now.
    pub new: Arc<Held<T>>,
}

impl<T> Change<T> {
    /// Commit at which the new content became what it is.
    pub fn version(&self) -> Option<&CommitId> {
        self.new.version()
    }
}

/// Stream of changes; see [`Handle::changes`].
pub struct Changes<T> {
    cell: Arc<Cell<T>>,
    last: Arc<Held<T>>,
    wait: Pin<Box<dyn Future<Output = Option<watch::Receiver<u64>>> + Send>>,
}

impl<T> Changes<T> {
    fn new(cell: Arc<Cell<T>>, news: watch::Receiver<u64>, last: Arc<Held<T>>) -> Self {
        let wait = next_news(news);
        Self { cell, last, wait }
    }
}

fn next_news(
    mut news: watch::Receiver<u64>,
) -> Pin<Box<dyn Future<Output = Option<watch::Receiver<u64>>> + Send>> {
    async move { news.changed().await.is_ok().then_some(news) }.boxed()
}

impl<T> Stream for Changes<T> {
    type Item = Change<T>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let Poll::Ready(news) = self.wait.as_mut().poll(context) else {
                return Poll::Pending;
            };
            let Some(news) = news else {
                return Poll::Ready(None);
            };
            self.wait = next_news(news);
            let new = self.cell.current.load_full();
            // A wake for what was already seen, or for a mere change of name, is no change.
            if Arc::ptr_eq(&new.value, &self.last.value) {
                continue;
            }
            let old = std::mem::replace(&mut self.last, Arc::clone(&new));
            return Poll::Ready(Some(Change { old, new }));
        }
    }
}

impl<T> fmt::Debug for Changes<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes").finish_non_exhaustive()
    }
}
