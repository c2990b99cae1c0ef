//! The service in the process of the test, on port 0, with a data directory that survives a restart.
//!
//! Invariant: everything goes through HTTP; nothing of the service's inside is looked at. A server polls every few
//! milliseconds, so that tests wait for states and need no wake. Dropping it stops it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use headwater_server::git::limits::MirrorLimits;
use headwater_server::git::list::BranchWanted;
use headwater_server::settings::{Flags, RepoSettings, Settings, load};
use headwater_server::{Addresses, Listeners};
use headwater_wire::CommitId;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::http::{Ask, Reply};
use crate::origin::TestOrigin;
use crate::sse::Events;
use crate::wait::wait_for;

/// Mean time between two looks at the upstream.
pub const POLL: Duration = Duration::from_millis(40);

/// A server that is not running: its settings and its data directory.
#[derive(Debug, Clone)]
pub struct Stopped {
    /// Keeps the directory until the last handle is gone.
    _data: Arc<tempfile::TempDir>,
    settings: Settings,
}

/// A running server.
#[derive(Debug)]
pub struct TestServer {
    stopped: Stopped,
    addr: SocketAddr,
    admin: Option<SocketAddr>,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    runtime: tokio::runtime::Runtime,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<()>,
}

impl Stopped {
    /// A server for one repository named `default`.
    pub fn of(url: &str) -> Self {
        let data = tempfile::tempdir().expect("a temporary directory");
        let mut settings = settings(url);
        settings.data_dir = data.path().join("data");
        settings.drain_deadline = Duration::from_secs(5);
        Self {
            _data: Arc::new(data),
            settings,
        }
    }

    /// The same with one more repository.
    #[must_use]
    pub fn and(mut self, name: &str, url: &str) -> Self {
        let mut repo = settings(url).repos.remove(0);
        repo.name = name.parse().expect("a repository name");
        self.settings.repos.push(repo);
        self
    }

    /// The same with other settings of every repository.
    #[must_use]
    pub fn each(mut self, change: impl Fn(&mut RepoSettings)) -> Self {
        self.settings.repos.iter_mut().for_each(change);
        self
    }

    /// The same with other settings.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// The same, following a named branch.
    #[must_use]
    pub fn branch(self, name: &str) -> Self {
        let branch: headwater_wire::BranchName = name.parse().expect("a branch name");
        self.each(|repo| repo.branch = BranchWanted::Named(branch.clone()))
    }

    /// The same with short deadlines, for upstreams that never answer.
    #[must_use]
    pub fn impatient(self) -> Self {
        self.each(|repo| {
            repo.mirror_limits = MirrorLimits {
                list: Duration::from_millis(400),
                fetch: Duration::from_millis(400),
                connect: Duration::from_secs(2),
                idle: Duration::from_millis(200),
                ..MirrorLimits::default()
            };
        })
    }

    /// The data directory.
    pub fn data_dir(&self) -> PathBuf {
        self.settings.data_dir.clone()
    }

    /// The directory of the mirror of `default`.
    pub fn mirror_dir(&self) -> PathBuf {
        self.data_dir().join("mirrors").join("default")
    }

    /// The settings it will start with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Starts it on a free port.
    pub fn start(self) -> TestServer {
        self.start_at(SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// Starts it where it was before, as a real service does.
    pub fn start_at(self, addr: SocketAddr) -> TestServer {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        // The listener of the life before goes with its runtime, which ends a moment after the service.
        let listener = wait_for("a free port", || runtime.block_on(TcpListener::bind(addr)).ok());
        let mut listeners = Listeners::from(listener);
        if let Some(admin) = &self.settings.admin {
            let bound = runtime.block_on(TcpListener::bind(admin.listen));
            listeners = listeners.with_admin(bound.expect("a free port"));
        }
        let Addresses { main: addr, admin } = listeners.addresses().expect("bound ports");
        let (stop, stopped) = oneshot::channel::<()>();
        let settings = self.settings.clone();
        let ended = runtime.spawn(async move {
            let shutdown = async {
                // A dropped handle stops it as well.
                stopped.await.ok();
            };
            headwater_server::run(settings, listeners, shutdown)
                .await
                .expect("the server starts");
        });
        TestServer {
            stopped: self,
            addr,
            admin,
            running: Some(Running { runtime, stop, ended }),
        }
    }
}

fn settings(url: &str) -> Settings {
    let flags = Flags {
        values: vec![("--repo", "url", url.to_owned())],
        ..Flags::default()
    };
    let mut settings = load(&flags, &[]).expect("good settings");
    for repo in &mut settings.repos {
        repo.poll_interval = POLL;
    }
    settings
}

impl TestServer {
    /// A running server for one origin.
    pub fn of(origin: &TestOrigin) -> Self {
        Stopped::of(&origin.path_url()).start()
    }

    /// Its address.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The address of its listener for administration, which its settings must want.
    #[track_caller]
    pub fn admin(&self) -> SocketAddr {
        self.admin.expect("a listener for administration")
    }

    /// Its data directory.
    pub fn data_dir(&self) -> PathBuf {
        self.stopped.data_dir()
    }

    /// The directory of the mirror of `default`.
    pub fn mirror_dir(&self) -> PathBuf {
        self.stopped.mirror_dir()
    }

    /// Stops it as a SIGTERM does.
    pub fn stop(mut self) -> Stopped {
        self.shut_down();
        self.stopped.clone()
    }

    /// Asks it to stop without waiting for the end.
    pub fn ask_to_stop(&mut self) -> impl FnOnce() + use<> {
        let running = self.running.take();
        let (runtime, ended) = running
            .map(|Running { runtime, stop, ended }| {
                // It may have stopped by itself.
                stop.send(()).ok();
                (runtime, ended)
            })
            .expect("a running server");
        move || {
            runtime.block_on(ended).expect("the server ends without a panic");
            // What still holds the store and the port goes with the last task.
            runtime.shutdown_timeout(Duration::from_secs(10));
        }
    }

    /// Stops and starts it on another port with the same data directory.
    #[must_use]
    pub fn restart(self) -> Self {
        self.stop().start()
    }

    fn shut_down(&mut self) {
        if let Some(Running { runtime, stop, ended }) = self.running.take() {
            if std::thread::panicking() {
                // Perhaps inside of another runtime, where nothing may be waited for.
                runtime.shutdown_background();
                return;
            }
            // It may have stopped by itself.
            stop.send(()).ok();
            let result = runtime.block_on(ended);
            // What still holds the store and the port goes with the last task.
            runtime.shutdown_timeout(Duration::from_secs(10));
            result.expect("the server ends without a panic");
        }
    }

    /// `GET`s an address.
    #[track_caller]
    pub fn get(&self, target: &str) -> Reply {
        Ask::get(target).send(self.addr)
    }

    /// Sends a request.
    #[track_caller]
    pub fn ask(&self, ask: &Ask) -> Reply {
        ask.send(self.addr)
    }

    /// `POST`s JSON.
    #[track_caller]
    pub fn post(&self, target: &str, body: &Value) -> Reply {
        Ask::new("POST", target)
            .body("application/json", body.to_string().as_bytes())
            .send(self.addr)
    }

    /// The current config of `default`, as it is answered to who holds `token`.
    #[track_caller]
    pub fn config(&self, config: &str, token: Option<&str>) -> Reply {
        let ask = Ask::get(&format!("/v1/repos/default/configs/{config}"));
        match token {
            None => ask.send(self.addr),
            Some(token) => ask.header("if-none-match", token).send(self.addr),
        }
    }

    /// Opens an event stream of `default`.
    #[track_caller]
    pub fn events(&self, query: &str) -> Events {
        Events::open(self.addr, &Ask::get(&format!("/v1/repos/default/events?{query}")))
    }

    /// The state of `default`.
    #[track_caller]
    pub fn repo(&self) -> Value {
        self.get("/v1/repos/default").expect(200).json()
    }

    /// Waits for a state of `default`, and returns it.
    #[track_caller]
    pub fn until(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        wait_for(what, || {
            last = self.repo();
            is(&last).then(|| last.clone())
        })
    }

    /// Waits until `commit` is the tip and nothing is open.
    #[track_caller]
    pub fn until_tip(&self, commit: &CommitId) -> Value {
        self.until(&format!("{commit} published"), |repo| {
            repo["tip"] == commit.as_str()
                && repo["head"] == commit.as_str()
                && repo["head_state"] == "published"
                && repo["source_state"] == "ok"
        })
    }

    /// Waits until `commit` is the head and was judged so.
    #[track_caller]
    pub fn until_head(&self, commit: &CommitId, state: &str) -> Value {
        self.until(&format!("{commit} {state}"), |repo| {
            repo["head"] == commit.as_str() && repo["head_state"] == state
        })
    }

    /// Waits until the upstream is in a state.
    #[track_caller]
    pub fn until_source(&self, state: &str) -> Value {
        self.until(&format!("the source {state}"), |repo| {
            repo["source_state"] == state
        })
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.shut_down();
    }
}

/// Flips bytes in the middle of every pack of a mirror, so that reading them fails. Says how many there were.
pub fn corrupt_packs(mirror: &Path) -> usize {
    let packs = mirror.join("repository.git").join("objects").join("pack");
    let mut corrupted = 0;
    for entry in std::fs::read_dir(packs).expect("packs").flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "pack") {
            let mut bytes = std::fs::read(&path).expect("a pack");
            let (from, to) = (12, bytes.len().saturating_sub(20));
            bytes
                .iter_mut()
                .take(to)
                .skip(from)
                .for_each(|byte| *byte ^= 0x55);
            // In place: who has the file open or mapped sees the damage, as of a failing disk.
            let mut permissions = std::fs::metadata(&path).expect("a pack").permissions();
            #[expect(
                clippy::permissions_set_readonly_false,
                reason = "a file of a temporary directory"
            )]
            permissions.set_readonly(false);
            std::fs::set_permissions(&path, permissions).expect("a pack that can be written");
            let mut file = std::fs::File::options().write(true).open(&path).expect("a pack");
            std::io::Write::write_all(&mut file, &bytes).expect("a damaged pack");
            corrupted += 1;
        }
    }
    corrupted
}
