//! Programs that use the client library, in this process: each is an instance of its own, with its own connection and reports.
//!
//! Invariant: what one holds is told by its own handle, after the switch. They end with this.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use headwater_client::{Client, Handle};
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::failure::Failure;
use crate::repository::CONFIG;

/// Longest wait for the last of them.
const PATIENCE: Duration = Duration::from_mins(5);
/// Pause before one that found no value begins anew.
const REST: Duration = Duration::from_millis(200);

/// One of them switched.
struct Switched {
    number: u32,
    version: String,
    at: Instant,
}

/// All of them, at work until this is dropped.
pub(crate) struct Instances {
    address: SocketAddr,
    tell: Sender<Switched>,
    switched: Receiver<Switched>,
    tasks: Vec<JoinHandle<()>>,
    /// What each was last known to hold, and since when.
    held: HashMap<u32, (String, Instant)>,
    runtime: Runtime,
}

impl Instances {
    /// Starts so many, and waits for nobody.
    pub(crate) fn start(address: SocketAddr, count: u32) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let (tell, switched) = channel();
        let mut instances = Self {
            address,
            tell,
            switched,
            tasks: Vec::new(),
            held: HashMap::new(),
            runtime,
        };
        instances.tasks = (0..count).map(|number| instances.begin(number)).collect();
        Ok(instances)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Has one die without a word, and start again under its name.
    pub(crate) fn restart(&mut self, number: u32) {
        let task = self.begin(number);
        let place = usize::try_from(number).unwrap_or(usize::MAX);
        if let Some(old) = self.tasks.get_mut(place) {
            // With its task go its handle and its client.
            std::mem::replace(old, task).abort();
        }
        self.held.remove(&number);
    }

    /// Waits until everybody holds a version. How long after `since` each did.
    pub(crate) fn until_all_hold(&mut self, version: &str, since: Instant) -> Result<Vec<Duration>, Failure> {
        let started = Instant::now();
        loop {
            let times: Vec<Duration> = self
                .held
                .values()
                .filter(|(held, _)| held == version)
                .map(|(_, at)| at.saturating_duration_since(since))
                .collect();
            if times.len() >= self.len() {
                return Ok(times);
            }
            let missing = self.len() - times.len();
            // At least so many have to be heard of before it is worth another look.
            for _ in 0..missing {
                let left = PATIENCE.saturating_sub(started.elapsed());
                let switched = self.switched.recv_timeout(left).map_err(|_| {
                    Failure::new(format!(
                        "{missing} instances did not come to hold {version} within five minutes"
                    ))
                })?;
                self.held.insert(switched.number, (switched.version, switched.at));
            }
        }
    }

    fn begin(&self, number: u32) -> JoinHandle<()> {
        let (address, tell) = (format!("http://{}", self.address), self.tell.clone());
        self.runtime.spawn(async move {
            while let Some(handle) = open(&address, number).await {
                follow(&handle, number, &tell).await;
            }
        })
    }
}

/// An instance that has a value. It asks until it has one, as a program does that is started again when it ends.
async fn open(address: &str, number: u32) -> Option<Handle<Value>> {
    loop {
        let client = Client::builder(address)
            .instance(&format!("bench-{number}"))
            .start();
        let client = client.await.ok()?;
        if let Ok(handle) = client.config(CONFIG).open().await {
            return Some(handle);
        }
        tokio::time::sleep(REST).await;
    }
}

/// Tells of each switch, for as long as there is news.
async fn follow(handle: &Handle<Value>, number: u32, tell: &Sender<Switched>) {
    let mut changes = handle.changes();
    let mut version = handle.snapshot().version().map(ToString::to_string);
    loop {
        let switched = Switched {
            number,
            version: version.unwrap_or_default(),
            at: Instant::now(),
        };
        // Nobody listens any more when all is over.
        tell.send(switched).ok();
        let Some(change) = changes.next().await else {
            return;
        };
        version = change.version().map(ToString::to_string);
    }
}
