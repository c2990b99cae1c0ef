//! What the operator wants: file, environment and flags, read once and checked as a whole.
//!
//! Invariant: a [`Settings`] is complete and consistent; all mistakes of all three sources are reported together,
//! each with the place it stands at. Later sources win: file, then environment, then flags.

mod access;
mod admin;
mod alerts;
mod draft;
mod fleet;
mod forges;
mod help;
mod hooks;
mod issuers;
mod keys;
mod limits;
mod logins;
mod named;
mod orders;
mod proxy_auth;
mod repos;
mod signals;
mod signatures;
mod source;
mod table;
mod telemetry;
mod tls;
mod values;
mod webhooks;
mod write;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use headwater_core::RewrittenHistory;
use headwater_validators::{Floor, Limits};
use headwater_wire::{ConfigName, HookName, RepoName};

pub use crate::alerts::event::EventKind;
use crate::auth::{Algorithm, Role};
use crate::forge::{ApiKind, Credential, ForgeKind};
use crate::git::limits::MirrorLimits;
use crate::git::list::BranchWanted;
use crate::git::upstream::Upstream;
use crate::sandbox::Confinement;
use crate::secret::Secret;
use crate::telemetry::LogFormat;

pub use admin::AdminSettings;
pub use draft::{ServerDraft, load};
pub use fleet::FleetSettings;
pub(crate) use forges::is_clear_text;
pub use help::{KeyHelp, Table, key_help};
pub use limits::LimitSettings;
pub use logins::LoginSettings;
pub(crate) use logins::SESSION_MAX;
pub use orders::OrderSettings;
pub use proxy_auth::{Peers, ProxyAuthSettings};
pub use source::{Flags, Mistake};
pub use telemetry::TraceSettings;
pub use tls::{ClientCertificates, TlsSettings};
pub(crate) use values::duration;
pub use write::{NotesSettings, WriteSettings};

/// How much later than polling a webhook may come: forges queue them for some seconds, and a listing of ours may be
/// quicker than the queue.
pub(crate) const HOOK_GRACE: Duration = Duration::from_mins(1);
/// How often a canary is touched where nothing else is said.
const CANARY_EVERY: Duration = Duration::from_hours(1);
/// Longest time for one verdict, unless another is set: far above any honest tree's.
pub(crate) const VERDICT_DEADLINE: Duration = Duration::from_secs(30);

/// How often open pull requests are listed where webhooks may have been missed.
pub const RELIST: Duration = Duration::from_mins(15);

/// Everything `serve` needs to know.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Address to listen on.
    pub listen: SocketAddr,
    /// Certificates of the listener; without them, it speaks in clear text.
    pub tls: Option<TlsSettings>,
    /// The listener for administration; with one, the other gives no orders.
    pub admin: Option<AdminSettings>,
    /// Directory for mirrors and decisions; owned by one process.
    pub data_dir: PathBuf,
    /// File of the tokens that let somebody in; without one, nobody is asked.
    pub tokens_file: Option<PathBuf>,
    /// Who else says who people and programs are.
    pub issuers: Vec<IssuerSettings>,
    /// Proxies that have asked people who they are.
    pub proxy_auth: Option<ProxyAuthSettings>,
    /// How long open requests may take to finish after a SIGTERM.
    pub drain_deadline: Duration,
    /// Whether reverts and notes may be pushed to the upstream.
    pub allow_write: bool,
    /// How log lines look.
    pub log_format: LogFormat,
    /// Which log lines are written.
    pub log_filter: String,
    /// Ceiling of what a commit may hold.
    pub limits: Limits,
    /// What no manifest can lower.
    pub floor: Floor,
    /// Longest time one verdict may take, wall clock.
    pub verdict_deadline: Duration,
    /// Program whose children work out verdicts (`sandbox::ARGUMENT`); this program, where it runs as a process.
    pub verdict_program: Option<PathBuf>,
    /// What those children are held to.
    pub verdict_confinement: Confinement,
    /// When instances report, and when they are given up.
    pub fleet: FleetSettings,
    /// What is asked of people before grave orders.
    pub orders: OrderSettings,
    /// Repositories to follow; at least one.
    pub repos: Vec<RepoSettings>,
    /// Webhooks to take.
    pub hooks: Vec<HookSettings>,
    /// Forges to speak to; at most one for each repository.
    pub forges: Vec<ForgeSettings>,
    /// Webhooks that rules may ask.
    pub webhooks: Vec<WebhookSettings>,
    /// What the signals of rollouts may ask.
    pub signals: Vec<SignalSettings>,
    /// Who is told when something needs a person.
    pub alerts: Vec<AlertSettings>,
    /// Where people reach this service, for links to it.
    pub public_url: Option<String>,
    /// Names by which the service is reached, beside addresses in figures, this machine's and that of `public_url`: `name`,
    /// `.name` for it and all below it, or `*` for all.
    pub allowed_hosts: Vec<String>,
    /// Most connections at once; without it, as many as there are descriptors for.
    pub connections_max: Option<usize>,
    /// What one caller may have at once.
    pub caller_limits: LimitSettings,
    /// Where traces are sent; without it, there are none.
    pub telemetry: Option<TraceSettings>,
}

/// Somebody whose word counts for who people and programs are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerSettings {
    /// Its name in the settings, which stands before the names it gives.
    pub name: String,
    /// What its tokens say as `iss`.
    pub issuer: String,
    /// What they say as `aud`; without it, none is taken but those by which people log in.
    pub audience: Option<String>,
    /// Where its public keys are.
    pub keys: KeySource,
    /// How its tokens may be signed.
    pub(crate) algorithms: Vec<Algorithm>,
    /// The claim by which somebody is named.
    pub name_claim: String,
    /// Longest time that a token may hold.
    pub lifetime_max: Duration,
    /// PEM file with the only certificate authorities to trust.
    pub ca_file: Option<PathBuf>,
    /// What its word lets somebody do; the first that fits counts.
    pub grants: Vec<GrantSettings>,
    /// How people log in to the dashboard at it, if they do.
    pub login: Option<LoginSettings>,
}

/// Where the public keys of an issuer are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// In a file.
    File(PathBuf),
    /// At an address.
    Url(String),
    /// Where the issuer says, at its own address.
    Discovery,
}

impl KeySource {
    /// Whether somebody is asked for them.
    pub(crate) fn is_remote(&self) -> bool {
        matches!(self, Self::Url(_) | Self::Discovery)
    }
}

/// What the word of an issuer lets somebody do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantSettings {
    /// Claims that must hold, and the globs of their values.
    pub claims: Vec<(String, String)>,
    /// What it is for.
    pub(crate) role: Role,
    /// Repositories it is bound to.
    pub repos: Vec<String>,
    /// Configs it is bound to.
    pub configs: Vec<String>,
    /// Instances it may speak for.
    pub instances: Vec<String>,
}

impl Settings {
    /// What is allowed, and should be known: of good settings, in a sentence each with what to do.
    pub(crate) fn warnings(&self) -> Vec<(String, &'static str)> {
        let mut warnings = Vec::new();
        let is_behind_proxy = self
            .public_url
            .as_ref()
            .is_some_and(|url| url.starts_with("https://"));
        if self.tls.is_none() && !self.listen.ip().is_loopback() && !is_behind_proxy {
            let hint = "set `cert_file` and `key_file` in `[tls]`; where a proxy in front encrypts, set `public_url` to its https address";
            warnings.push((in_clear_text(self.listen), hint));
        }
        if let Some(admin) = self.admin.as_ref().filter(|admin| admin.tls.is_none())
            && !admin.listen.ip().is_loopback()
        {
            let hint = "set `cert_file` and `key_file` in `[admin]`; those of `[tls]` are not its own";
            warnings.push((in_clear_text(admin.listen), hint));
        }
        let proxy = self.proxy_auth.as_ref();
        if proxy.is_some_and(ProxyAuthSettings::believes_this_machine) {
            warnings.push((
                "every program of this machine can say in a header of `[proxy_auth]` that it is anybody"
                    .to_owned(),
                "set `secret_header` and `secret_file` in `[proxy_auth]`",
            ));
        }
        let of_admin = self.admin.as_ref().and_then(|admin| admin.tls.as_ref());
        let certificates = self.tls.iter().chain(of_admin);
        let ending = certificates.filter_map(|tls| crate::tls::warning(tls, crate::clock::now()));
        let hint = "put a newer certificate into its place; no restart is needed";
        warnings.extend(ending.map(|message| (message, hint)));
        warnings
    }
}

fn in_clear_text(listen: SocketAddr) -> String {
    format!("connections to `{listen}` are not encrypted: who is on the way reads configs and tokens")
}

/// One forge to speak to about one repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForgeSettings {
    /// Its name in the settings.
    pub name: String,
    /// Whose API it has.
    pub kind: ApiKind,
    /// Where the API begins.
    pub api_url: String,
    /// The repository there: `owner/name`, or an id at GitLab.
    pub project: String,
    /// The repository here.
    pub repo: RepoName,
    /// Who we are.
    pub credential: Credential,
    /// PEM file with the only certificate authorities to trust.
    pub ca_file: Option<PathBuf>,
    /// Proxy, as a URL.
    pub proxy: Option<String>,
    /// Name under which commit statuses appear.
    pub context: String,
    /// Whether pull requests are judged.
    pub pull_requests: PullRequests,
    /// Time between two listings of the open pull requests, for what no webhook told of.
    pub relist: Duration,
}

/// Whether pull requests are judged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PullRequests {
    /// They are, and the forge is told.
    #[default]
    Judge,
    /// They are not looked at.
    Ignore,
}

/// One webhook that rules may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookSettings {
    /// Its name, which rules say.
    pub name: String,
    /// The address that is asked.
    pub url: String,
    /// Signs what it is asked.
    pub secret: Secret,
    /// PEM file with the only certificate authorities to trust.
    pub ca_file: Option<PathBuf>,
    /// Longest time of one request.
    pub deadline: Duration,
}

/// One of what the signals of rollouts may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignalSettings {
    /// Its name, which policies say.
    pub name: String,
    /// The address that is asked.
    pub url: String,
    /// How it is asked.
    pub kind: SignalKind,
    /// PEM file with the only certificate authorities to trust.
    pub ca_file: Option<PathBuf>,
    /// Longest time of one request.
    pub deadline: Duration,
}

/// How a signal is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignalKind {
    /// By a query.
    Prometheus {
        /// Lets us in.
        token: Option<Secret>,
    },
    /// By a signed question.
    Webhook {
        /// Signs it.
        secret: Secret,
    },
}

impl SignalKind {
    /// The word of the settings, and of manifests.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Prometheus { .. } => "prometheus",
            Self::Webhook { .. } => "webhook",
        }
    }
}

/// One who is told when something needs a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertSettings {
    /// Its name in the settings.
    pub name: String,
    /// The address that is told; of a chat, whoever knows it may write there.
    pub url: Secret,
    /// How it is told.
    pub kind: AlertKind,
    /// PEM file with the only certificate authorities to trust.
    pub ca_file: Option<PathBuf>,
    /// Repositories it is told of; empty is all.
    pub repos: Vec<RepoName>,
    /// What it is told.
    pub events: BTreeSet<EventKind>,
    /// How long a rollout may wait for a person before it is told.
    pub stuck_after: Duration,
}

/// How one is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AlertKind {
    /// Signed JSON of our own.
    Webhook {
        /// Signs it.
        secret: Secret,
    },
    /// The incoming webhooks of Slack, which other chats take too.
    Slack,
    /// The API of Prometheus' Alertmanager.
    Alertmanager {
        /// Lets us in.
        token: Option<Secret>,
    },
}

/// One webhook to take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookSettings {
    /// Its name, the last part of its address.
    pub name: HookName,
    /// Who sends it.
    pub forge: ForgeKind,
    /// Repositories of this service that it wakes; at least one.
    pub repos: Vec<RepoName>,
    /// Secrets that sign it, each enough: one, or two while it is being replaced.
    pub secrets: Vec<Secret>,
}

/// One repository to follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepoSettings {
    /// Its name in this service.
    pub name: RepoName,
    /// Where it is and how to get in.
    pub upstream: Upstream,
    /// Which branch to follow.
    pub branch: BranchWanted,
    /// Mean time between two listings of the upstream; each is spread by ± 20 %.
    pub poll_interval: Duration,
    /// What to do when the branch was reset or replaced.
    pub rewritten_history: RewrittenHistory,
    /// Whose commits are exposed.
    pub signatures: SignaturePolicy,
    /// Deadlines and sizes of the mirror.
    pub mirror_limits: MirrorLimits,
    /// Id or full name at its forge, where the address does not tell it.
    pub forge_repo: Option<String>,
    /// How much later than polling a webhook may tell of a change before hooks count as silent.
    pub hook_grace: Duration,
    /// Whether and how it is written to.
    pub write: WriteSettings,
    /// How what became of commits is noted there; none where it is not.
    pub notes: Option<NotesSettings>,
    /// The config that shows whether the way from a commit to programs is whole.
    pub canary: Option<CanarySettings>,
}

/// Which commits must be signed before anything of them is exposed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum SignaturePolicy {
    /// None.
    #[default]
    Off,
    /// The one that is exposed.
    Head(PathBuf),
    /// That one, and all that come to the branch with it.
    All(PathBuf),
}

impl SignaturePolicy {
    /// The file of allowed signers, where anybody must sign.
    pub fn signers(&self) -> Option<&PathBuf> {
        match self {
            Self::Off => None,
            Self::Head(file) | Self::All(file) => Some(file),
        }
    }
}

/// A config that somebody touches on a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanarySettings {
    /// Which config it is.
    pub config: ConfigName,
    /// How often its content becomes another.
    pub every: Duration,
}
