//! A client: one instance, its configs, and the task that keeps them up to date.
//!
//! Invariant: the task lives as long as a [`Client`] or a [`Handle`](crate::Handle) does, and ends with the last of
//! them, or by [`Client::stop`].

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use headwater_wire::{ConfigName, ConfigReport, IdError, InstanceId, RepoName, Timestamp};
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, oneshot, watch};

use crate::api::{Api, RepoApi};
use crate::builder::{Deadlines, SetupError};
use crate::cache::Life;
use crate::driver::{Command, Driver, Place};
use crate::engine::{CrashSign, Engine, Identity, Rules};
use crate::identity::ClientIdentity;
use crate::open::ConfigBuilder;
use crate::query::Labels;
use crate::secret::BearerToken;
use crate::servers::Servers;
use crate::watch::{Transport, TransportChoice};

/// Commands that may wait for the task.
const MAILBOX_LEN: usize = 64;

/// Collects what a client needs; see [`Client::builder`].
#[derive(Debug)]
pub struct ClientBuilder {
    server: String,
    others: Vec<String>,
    repo: String,
    instance: Option<String>,
    labels: Labels,
    name: String,
    token: Option<BearerToken>,
    ca_pem: Option<Vec<u8>>,
    identity: Option<ClientIdentity>,
    deadlines: Deadlines,
    cache_dir: Option<PathBuf>,
    transport: TransportChoice,
    rules: Rules,
    seed: Option<u64>,
}

impl ClientBuilder {
    fn new(server: &str) -> Self {
        Self {
            server: server.to_owned(),
            others: Vec::new(),
            repo: "default".to_owned(),
            instance: None,
            labels: Labels::new(),
            name: concat!("headwater-client/", env!("CARGO_PKG_VERSION")).to_owned(),
            token: None,
            ca_pem: None,
            identity: None,
            deadlines: Deadlines::default(),
            cache_dir: None,
            transport: TransportChoice::default(),
            rules: Rules::default(),
            seed: None,
        }
    }

    /// One more address of the same service, used when those before it fail.
    #[must_use]
    pub fn server(mut self, server: &str) -> Self {
        self.others.push(server.to_owned());
        self
    }

    /// Repository; `default` if not said.
    #[must_use]
    pub fn repo(mut self, repo: &str) -> Self {
        repo.clone_into(&mut self.repo);
        self
    }

    /// Name of this running program, the same over its restarts. Without one it reports nothing, and sees only what
    /// is meant for everybody.
    #[must_use]
    pub fn instance(mut self, instance: &str) -> Self {
        self.instance = Some(instance.to_owned());
        self
    }

    /// A label, which chooses variants and stages.
    #[must_use]
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.labels.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Name and release of the program, shown where instances are listed.
    #[must_use]
    pub fn program(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// Sends this token with every request.
    #[must_use]
    pub fn token(mut self, token: Option<BearerToken>) -> Self {
        self.token = token;
        self
    }

    /// Trusts the authorities in this PEM text, and no longer those of the system.
    #[must_use]
    pub fn ca_pem(mut self, pem: Option<Vec<u8>>) -> Self {
        self.ca_pem = pem;
        self
    }

    /// Shows this certificate to servers that ask for one.
    #[must_use]
    pub fn client_identity(mut self, identity: Option<ClientIdentity>) -> Self {
        self.identity = identity;
        self
    }

    /// Other deadlines than the usual ones.
    #[must_use]
    pub fn deadlines(mut self, deadlines: Deadlines) -> Self {
        self.deadlines = deadlines;
        self
    }

    /// Where the last known good is kept, so that the program starts while the service is down. Several programs may
    /// share the directory.
    #[must_use]
    pub fn cache_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.cache_dir = Some(dir.into());
        self
    }

    /// How events come.
    #[must_use]
    pub fn transport(mut self, transport: TransportChoice) -> Self {
        self.transport = transport;
        self
    }

    /// How long new content must run before it becomes the last known good; a minute if not said. Longer than the
    /// slowest crash that a bad value can cause.
    #[must_use]
    pub fn probation(mut self, probation: Duration) -> Self {
        self.rules.probation = probation;
        self
    }

    /// How long a start waits for the server before it takes the last known good; 5 s if not said. A server that
    /// refuses the connection is not waited for.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.rules.patience = patience;
        self
    }

    /// What tells that the program died while content was on probation: that it begins again without [`Client::stop`],
    /// if not said.
    #[must_use]
    pub fn crash_sign(mut self, sign: CrashSign) -> Self {
        self.rules.sign = sign;
        self
    }

    /// Seed of all jitter; random if not said.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Starts the client on the current runtime. It does not wait for the server.
    pub async fn start(self) -> Result<Client, SetupError> {
        let repo: RepoName = self.repo.parse()?;
        let instance: Option<InstanceId> = self.instance.as_deref().map(str::parse).transpose()?;
        let api = |server: &String| {
            let api = Api::builder(server)
                .token(self.token.clone())
                .ca_pem(self.ca_pem.clone())
                .client_identity(self.identity.clone())
                .deadlines(self.deadlines)
                .build()?;
            Ok::<_, SetupError>(api.in_repo(&repo))
        };
        let others: Vec<RepoApi> = self.others.iter().map(api).collect::<Result<_, _>>()?;
        let servers = Servers::new(api(&self.server)?, others);
        let seed = self
            .seed
            .unwrap_or_else(|| RandomState::new().build_hasher().finish());
        let place = Place {
            servers,
            transport: self.transport,
            repo,
            instance,
            labels: self.labels,
            cache_dir: self.cache_dir,
            seed,
        };
        let (identity, trouble) = identity(&place, self.name).await;
        let engine = Engine::new(self.rules, identity, seed);
        let status = watch::Sender::new(Arc::new(ClientStatus {
            trouble,
            ..ClientStatus::default()
        }));
        let (commands, mailbox) = mpsc::channel(MAILBOX_LEN);
        let client = Client(Arc::new(Inner {
            commands,
            status: status.subscribe(),
        }));
        tokio::spawn(Driver::new(place, engine, mailbox, status).run());
        Ok(client)
    }
}

/// The life under which an instance reports, and what was wrong with the note of earlier ones.
async fn identity(place: &Place, client: String) -> (Option<Identity>, BTreeSet<String>) {
    let Some(instance) = place.instance.clone() else {
        return (None, BTreeSet::new());
    };
    let server = place.servers.first().server();
    let (dir, repo) = (place.cache_dir.clone(), place.repo.clone());
    let now = now();
    let begin = move || Life::begin(dir.as_deref(), &server, &repo, &instance, now);
    #[expect(
        clippy::disallowed_methods,
        reason = "the ban is for the service, whose blocking calls carry a span"
    )]
    let life = tokio::task::spawn_blocking(begin).await.ok();
    let incarnation = life.as_ref().map_or(1, |life| life.incarnation.0);
    let trouble = life.and_then(|life| life.trouble);
    let identity = Identity {
        incarnation,
        labels: place.labels.clone(),
        client,
    };
    (Some(identity), trouble.iter().map(ToString::to_string).collect())
}

fn now() -> Timestamp {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where the client reads a clock"
    )]
    let now = std::time::SystemTime::now();
    // A clock before 1970 is a broken one; the number of the life then comes from the disk or from the server.
    let since = now.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// One instance and its configs. Clones are the same client.
#[derive(Debug, Clone)]
pub struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    commands: mpsc::Sender<Command>,
    status: watch::Receiver<Arc<ClientStatus>>,
}

/// Where a client stands.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ClientStatus {
    /// How events come now; none while no server is reached.
    pub transport: Option<Transport>,
    /// Why no server is reached, or what the last call failed of, in one line.
    pub error: Option<String>,
    /// Each open config, in the words of the report.
    pub configs: BTreeMap<ConfigName, ConfigReport>,
    /// What is wrong with the cache on disk, until a write makes up for it; nothing of it stops the program.
    pub trouble: BTreeSet<String>,
    /// Another process reports under the same instance name.
    pub superseded: bool,
}

impl Client {
    /// Begins with the address of the service, such as `http://127.0.0.1:7171`.
    pub fn builder(server: &str) -> ClientBuilder {
        ClientBuilder::new(server)
    }

    /// A config, to be read as `T`; see [`ConfigBuilder`].
    pub fn config<T: DeserializeOwned + Send + Sync + 'static>(&self, name: &str) -> ConfigBuilder<T> {
        ConfigBuilder::new(self.clone(), name)
    }

    /// Tries again what was refused: a value whose check failed for a reason that is gone.
    pub async fn retry(&self, config: &ConfigName) {
        self.send(Command::Retry(config.clone())).await;
    }

    /// Says that what uses the config died and is being started again. While the content is on probation this counts
    /// against it, and the second time goes back to the last known good.
    pub async fn crashed(&self, config: &ConfigName) {
        self.send(Command::Crashed(config.clone())).await;
    }

    /// Says that the program is not well with what it runs: back to the last known good.
    pub async fn reject(&self, config: &ConfigName, why: &str) {
        self.send(Command::Rejected(config.clone(), crate::decode::clip(why)))
            .await;
    }

    /// Where it stands now.
    pub fn status(&self) -> Arc<ClientStatus> {
        self.0.status.borrow().clone()
    }

    /// Waits until `wanted` holds of where it stands; `None` if the client stopped before.
    pub async fn wait_until(
        &self,
        wanted: impl FnMut(&Arc<ClientStatus>) -> bool,
    ) -> Option<Arc<ClientStatus>> {
        let mut status = self.0.status.clone();
        status.wait_for(wanted).await.ok().map(|status| status.clone())
    }

    /// Ends in order: what is on probation is not blamed for it, and the service hears that this instance ends, if it can be
    /// reached within a second. Values stay readable.
    pub async fn stop(&self) {
        let (reply, stopped) = oneshot::channel();
        self.send(Command::Stop(reply)).await;
        // The task has ended already, or ends while it waits: both are what was asked for.
        stopped.await.ok();
    }

    pub(crate) async fn send(&self, command: Command) -> bool {
        self.0.commands.send(command).await.is_ok()
    }

    pub(crate) fn post(&self, command: Command) {
        // A full mailbox or an ended task: the command only tidies up.
        self.0.commands.try_send(command).ok();
    }
}

impl From<IdError> for SetupError {
    fn from(error: IdError) -> Self {
        Self::Name(error)
    }
}
