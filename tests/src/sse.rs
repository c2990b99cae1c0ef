//! A reader of event streams that keeps everything it was told.
//!
//! Invariant: a thread reads as fast as it can; tests look at the list of what came (level-triggered) and never race
//! with the stream. Dropping it closes the connection.

use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

use crate::http::{Ask, Reply, chunk};
use crate::wait::wait_for;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its name.
    pub name: String,
    /// Its id, if it has one.
    pub id: Option<String>,
    /// Its data.
    pub data: Value,
}

#[derive(Debug, Default)]
struct Seen {
    events: Vec<Event>,
    retries: Vec<u64>,
    comments: usize,
    ended: bool,
}

/// An open stream.
#[derive(Debug)]
pub struct Events {
    /// Head of the answer.
    pub reply: Reply,
    stream: TcpStream,
    seen: Arc<Mutex<Seen>>,
}

impl Events {
    /// Opens a stream, which must be granted.
    #[track_caller]
    pub fn open(addr: SocketAddr, ask: &Ask) -> Self {
        let (mut reader, status, headers) = ask.open(addr).expect("an answer");
        let reply = Reply {
            status,
            headers,
            body: Vec::new(),
        };
        assert_eq!(status, 200, "{reply:?}");
        let stream = reader.get_ref().try_clone().expect("a second handle");
        // Streams are quiet for long; the test decides when it has waited enough.
        stream
            .set_read_timeout(Some(Duration::from_mins(10)))
            .expect("a timeout");
        let seen = Arc::new(Mutex::new(Seen::default()));
        let shared = Arc::clone(&seen);
        drop(std::thread::spawn(move || {
            let mut text = String::new();
            while let Ok(Some(bytes)) = chunk(&mut reader) {
                text += &String::from_utf8_lossy(&bytes);
                while let Some((block, rest)) = text.split_once("\n\n") {
                    lock(&shared).take(block);
                    text = rest.to_owned();
                }
            }
            lock(&shared).ended = true;
        }));
        Self { reply, stream, seen }
    }

    /// Everything so far.
    pub fn all(&self) -> Vec<Event> {
        lock(&self.seen).events.clone()
    }

    /// Everything so far of one name.
    pub fn named(&self, name: &str) -> Vec<Event> {
        self.all()
            .into_iter()
            .filter(|event| event.name == name)
            .collect()
    }

    /// Waits until the list satisfies `is`, and returns it.
    #[track_caller]
    pub fn until(&self, what: &str, is: impl Fn(&[Event]) -> bool) -> Vec<Event> {
        wait_for(what, || Some(self.all()).filter(|events| is(events)))
    }

    /// Waits for a `version` event of this version.
    #[track_caller]
    pub fn until_version(&self, version: &impl std::fmt::Display) -> Vec<Event> {
        let version = version.to_string();
        self.until(&format!("told of {version}"), |events| {
            events
                .iter()
                .any(|event| event.name == "version" && event.data["version"] == version.as_str())
        })
    }

    /// Values of `retry:` so far, in ms.
    pub fn retries(&self) -> Vec<u64> {
        lock(&self.seen).retries.clone()
    }

    /// Number of comments so far.
    pub fn comments(&self) -> usize {
        lock(&self.seen).comments
    }

    /// Whether the server has ended the stream.
    pub fn ended(&self) -> bool {
        lock(&self.seen).ended
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        // The server may have closed already.
        self.stream.shutdown(Shutdown::Both).ok();
    }
}

impl Seen {
    fn take(&mut self, block: &str) {
        let (mut name, mut id, mut data) = (None, None, None);
        for line in block.lines() {
            match line
                .split_once(':')
                .map(|(field, value)| (field, value.trim_start()))
            {
                Some(("event", value)) => name = Some(value.to_owned()),
                Some(("id", value)) => id = Some(value.to_owned()),
                Some(("data", value)) => data = serde_json::from_str(value).ok(),
                Some(("retry", value)) => self.retries.extend(value.parse::<u64>()),
                Some(("", _)) => self.comments += 1,
                Some(_) | None => {}
            }
        }
        if let (Some(name), Some(data)) = (name, data) {
            self.events.push(Event { name, id, data });
        }
    }
}

fn lock(seen: &Mutex<Seen>) -> std::sync::MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}
