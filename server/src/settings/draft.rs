//! From three sources to one [`Settings`], with all mistakes at once.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use headwater_core::RewrittenHistory;
use headwater_render::Format;
use headwater_validators::document::lines::LineIndex;
use headwater_validators::document::{self, Member, Node, ParseOptions, Range, Value};
use headwater_validators::{Floor, Limits};
use headwater_wire::{BranchName, ConfigName, RepoName};

use super::access;
use super::admin::AdminDraft;
use super::alerts::{self, AlertDraft};
use super::fleet::{FLEET_KEYS, FleetDraft, fleet_variable};
use super::forges::{self, ForgeDraft};
use super::hooks::{self, HOOK_KEYS, HookDraft};
use super::issuers::{self, GrantDraft, IssuerDraft};
use super::keys::{Key, REPO_KEYS, SERVER_KEYS, hook_variable, repo_variable, variable};
use super::limits::LimitSettings;
use super::logins::Around;
use super::named::{self, Named as _};
use super::orders::{self, AsksWho, OrderSettings};
use super::proxy_auth::{PROXY, ProxyAuthDraft};
use super::repos::{finish_repo, repo_name};
use super::signals::{self, SignalDraft};
use super::signatures::RequireSignatures;
use super::source::{Flags, Mistake, Place};
use super::table::{Only as _, apply, members, set, set_only, table_lacks};
use super::telemetry::TelemetryDraft;
use super::tls::{TlsDraft, Whose};
use super::webhooks::{self, WebhookDraft};
use super::{Confinement, RepoSettings, Settings, VERDICT_DEADLINE};
use crate::git::push::PushMethod;
use crate::secret::UpstreamUrl;
use crate::telemetry::LogFormat;

/// File that is read when none is named.
const DEFAULT_FILE: &str = "headwater-server.toml";

/// Server-wide values while they are being collected.
#[derive(Debug, Clone)]
pub struct ServerDraft {
    pub(super) listen: SocketAddr,
    pub(super) data_dir: PathBuf,
    pub(super) poll_interval: Duration,
    pub(super) allow_write: bool,
    pub(super) tokens_file: Option<PathBuf>,
    pub(super) insecure_no_auth: bool,
    pub(super) drain_deadline: Duration,
    pub(super) verdict_deadline: Duration,
    pub(super) verdict_confinement: Confinement,
    pub(super) log_format: LogFormat,
    pub(super) log_filter: String,
    pub(super) limits: Limits,
    pub(super) floor: Floor,
    pub(super) public_url: Option<String>,
    pub(super) allowed_hosts: Vec<String>,
    pub(super) connections_max: Option<usize>,
}

impl Default for ServerDraft {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7171),
            data_dir: PathBuf::from("./headwater-data"),
            poll_interval: Duration::from_secs(30),
            allow_write: false,
            tokens_file: None,
            insecure_no_auth: false,
            drain_deadline: Duration::from_secs(10),
            verdict_deadline: VERDICT_DEADLINE,
            verdict_confinement: Confinement::default(),
            log_format: LogFormat::Auto,
            log_filter: "info".to_owned(),
            limits: Limits::default(),
            floor: Floor::default(),
            public_url: None,
            allowed_hosts: Vec::new(),
            connections_max: None,
        }
    }
}

/// One repository's values while they are being collected.
#[derive(Debug, Clone, Default)]
pub(super) struct RepoDraft {
    pub(super) name: Option<RepoName>,
    pub(super) url: Option<UpstreamUrl>,
    pub(super) branch: Option<BranchName>,
    pub(super) poll_interval: Option<Duration>,
    pub(super) rewritten_history: RewrittenHistory,
    pub(super) require_signatures: RequireSignatures,
    pub(super) allowed_signers_file: Option<PathBuf>,
    pub(super) username: Option<String>,
    pub(super) password_file: Option<PathBuf>,
    pub(super) token_file: Option<PathBuf>,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) proxy: Option<String>,
    pub(super) ssh_key_file: Option<PathBuf>,
    pub(super) known_hosts_file: Option<PathBuf>,
    pub(super) forge_repo: Option<String>,
    pub(super) push_method: PushMethod,
    pub(super) push_username: Option<String>,
    pub(super) push_password_file: Option<PathBuf>,
    pub(super) push_token_file: Option<PathBuf>,
    pub(super) push_ssh_key_file: Option<PathBuf>,
    pub(super) signing_key_file: Option<PathBuf>,
    pub(super) committer_name: Option<String>,
    pub(super) committer_email: Option<String>,
    pub(super) writes_per_minute: Option<u32>,
    pub(super) allow_invalid: bool,
    pub(super) notes_off: bool,
    pub(super) canary: Option<ConfigName>,
    pub(super) canary_every: Option<Duration>,
}

/// Reads file, environment and flags. `environment` is the list of variables, so that tests need not set any.
///
/// # Errors
/// All mistakes found, sorted by place.
pub fn load(flags: &Flags, environment: &[(String, String)]) -> Result<Settings, Vec<Mistake>> {
    let mut loading = Loading::default();
    loading.read_file(flags.file.as_deref());
    loading.read_environment(environment);
    loading.read_flags(flags);
    loading.finish(environment)
}

#[derive(Default)]
struct Loading {
    server: ServerDraft,
    repos: Vec<RepoDraft>,
    hooks: Vec<HookDraft>,
    forges: Vec<ForgeDraft>,
    webhooks: Vec<WebhookDraft>,
    signals: Vec<SignalDraft>,
    alerts: Vec<AlertDraft>,
    issuers: Vec<IssuerDraft>,
    grants: Vec<GrantDraft>,
    fleet: FleetDraft,
    telemetry: TelemetryDraft,
    tls: TlsDraft,
    admin: AdminDraft,
    limits: LimitSettings,
    proxy_auth: ProxyAuthDraft,
    orders: OrderSettings,
    mistakes: Vec<Mistake>,
}

impl Loading {
    fn read_file(&mut self, named: Option<&Path>) {
        let path = named.unwrap_or(Path::new(DEFAULT_FILE));
        let file = path.display().to_string();
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => return,
            Err(error) => {
                self.mistakes.push(Mistake::new(
                    Place::Whole,
                    format!("cannot read `{file}`: {error}"),
                ));
                return;
            }
        };
        let text = String::from_utf8_lossy(&bytes);
        let lines = LineIndex::new(text.as_ref());
        let place = |range: Range| Place::File {
            file: file.clone(),
            line: lines.span(range).line,
        };
        match document::parse(Format::Toml, &bytes, &ParseOptions::default()) {
            Ok(root) => self.read_document(&root, &place),
            Err(faults) => {
                let told = faults
                    .into_iter()
                    .map(|fault| Mistake::new(place(fault.range), fault.message));
                self.mistakes.extend(told);
            }
        }
    }

    fn read_document(&mut self, root: &Node, place: &dyn Fn(Range) -> Place) {
        for member in members(root) {
            let mistakes = &mut self.mistakes;
            match &*member.key {
                "repo" => self.read_repos(member, place),
                "hook" => self.read_hooks(member, place),
                "fleet" => self.fleet.read(member, place, mistakes),
                "telemetry" => self.telemetry.read(member, place, mistakes),
                "tls" => self.tls.read(member, place, mistakes),
                "admin" => self.admin.read(member, place, mistakes),
                "limits" => self.limits.read(member, place, mistakes),
                "proxy_auth" => self.proxy_auth.read(member, place, mistakes),
                "orders" => self.orders.read(member, place, mistakes),
                ForgeDraft::TABLE => named::read(&mut self.forges, member, place, mistakes),
                WebhookDraft::TABLE => named::read(&mut self.webhooks, member, place, mistakes),
                SignalDraft::TABLE => named::read(&mut self.signals, member, place, mistakes),
                AlertDraft::TABLE => named::read(&mut self.alerts, member, place, mistakes),
                IssuerDraft::TABLE => named::read(&mut self.issuers, member, place, mistakes),
                GrantDraft::TABLE => named::read(&mut self.grants, member, place, mistakes),
                _ => apply(
                    SERVER_KEYS,
                    &mut self.server,
                    member,
                    place(member.key_range),
                    mistakes,
                ),
            }
        }
    }

    fn read_repos(&mut self, member: &Member, place: &dyn Fn(Range) -> Place) {
        for table in self.tables(member, place) {
            let mut draft = RepoDraft::default();
            for member in members(table) {
                apply(
                    REPO_KEYS,
                    &mut draft,
                    member,
                    place(member.key_range),
                    &mut self.mistakes,
                );
            }
            if draft.url.is_none() && table_lacks(table, "url") {
                self.mistakes
                    .push(Mistake::new(place(table.range), "this repository has no `url`"));
            }
            self.repos.push(draft);
        }
    }

    fn read_hooks(&mut self, member: &Member, place: &dyn Fn(Range) -> Place) {
        for table in self.tables(member, place) {
            let mut draft = HookDraft::at(place(table.range));
            for member in members(table) {
                let at = place(member.key_range);
                apply(HOOK_KEYS, &mut draft, member, at, &mut self.mistakes);
            }
            self.hooks.push(draft);
        }
    }

    /// The tables of a list of them.
    fn tables<'a>(&mut self, member: &'a Member, place: &dyn Fn(Range) -> Place) -> &'a [Node] {
        if let Value::Arr(tables) = &member.value.value {
            return tables;
        }
        let key = &member.key;
        let message = format!("`{key}` is not a list of tables");
        let mistake = Mistake::new(place(member.key_range), message);
        self.mistakes
            .push(mistake.hint(format!("write `[[{key}]]`, once for each")));
        &[]
    }

    fn read_environment(&mut self, environment: &[(String, String)]) {
        let find = |name: &str| {
            environment
                .iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.as_str())
        };
        for key in SERVER_KEYS {
            let name = variable(key.name);
            if let Some(text) = find(&name) {
                set(
                    key,
                    &mut self.server,
                    text,
                    Place::Environment(name),
                    &mut self.mistakes,
                );
            }
        }
        for key in REPO_KEYS {
            let name = repo_variable(key.name);
            if let Some(text) = find(&name) {
                self.set_only_repo(key, text, Place::Environment(name));
            }
        }
        for key in HOOK_KEYS {
            let name = hook_variable(key.name);
            if let Some(text) = find(&name) {
                let value = (key, text, Place::Environment(name));
                set_only(
                    &mut self.hooks,
                    || HookDraft::at(Place::Whole),
                    value,
                    ("hook", "[[hook]]"),
                    &mut self.mistakes,
                );
            }
        }
        for key in FLEET_KEYS {
            let name = fleet_variable(key.name);
            if let Some(text) = find(&name) {
                let at = Place::Environment(name);
                set(key, self.fleet.at(at.clone()), text, at, &mut self.mistakes);
            }
        }
        self.telemetry.read_variables(find, &mut self.mistakes);
        self.tls.read_variables(find, &mut self.mistakes);
        self.admin.read_variables(find, &mut self.mistakes);
        self.limits.read_variables(find, &mut self.mistakes);
        self.proxy_auth.read_variables(find, &mut self.mistakes);
        self.orders.read_variables(find, &mut self.mistakes);
        named::read_variables(&mut self.forges, &find, &mut self.mistakes);
        named::read_variables(&mut self.webhooks, &find, &mut self.mistakes);
        named::read_variables(&mut self.signals, &find, &mut self.mistakes);
        named::read_variables(&mut self.alerts, &find, &mut self.mistakes);
        named::read_variables(&mut self.issuers, &find, &mut self.mistakes);
        named::read_variables(&mut self.grants, &find, &mut self.mistakes);
    }

    fn read_flags(&mut self, flags: &Flags) {
        for (flag, name, text) in &flags.values {
            let place = Place::Flag((*flag).to_owned());
            if let Some(key) = SERVER_KEYS.iter().find(|key| key.name == *name) {
                set(key, &mut self.server, text, place, &mut self.mistakes);
            } else if let Some(key) = REPO_KEYS.iter().find(|key| key.name == *name) {
                self.set_only_repo(key, text, place);
            } else if let Some(key) = TlsDraft::KEYS.iter().find(|key| key.name == *name) {
                set(key, &mut self.tls, text, place, &mut self.mistakes);
            }
        }
    }

    /// Sets a value of the one repository, which exists from the first such value on.
    fn set_only_repo(&mut self, key: &Key<RepoDraft>, text: &str, place: Place) {
        if self.repos.len() > 1 {
            let message = "several repositories are set, so it is not clear which one is meant";
            self.mistakes
                .push(Mistake::new(place, message).hint("set it in that repository's `[[repo]]` table"));
            return;
        }
        if self.repos.is_empty() {
            self.repos.push(RepoDraft::default());
        }
        if let Some(draft) = self.repos.first_mut() {
            let at = place.clone();
            set(key, draft, text, place, &mut self.mistakes);
            let embedded = draft.url.as_ref().and_then(|url| url.embedded());
            if key.name == "url" && embedded.is_some_and(|(_, password)| !password.expose().is_empty()) {
                let message = "a password in an address given here can be read by everybody on this machine";
                let hint = "put it into a file, and name that with `password_file` or `token_file`";
                self.mistakes.push(Mistake::new(at, message).hint(hint));
            }
        }
    }

    fn finish(mut self, environment: &[(String, String)]) -> Result<Settings, Vec<Mistake>> {
        self.check_whole();
        let repos: Vec<RepoSettings> = self
            .repos
            .iter()
            .filter_map(|draft| finish_repo(draft, &self.server))
            .collect();
        let hooks = hooks::finish(&self.hooks, &repos, environment, &mut self.mistakes);
        let forges = forges::finish(&self.forges, &repos, &mut self.mistakes);
        let webhooks = webhooks::finish(&self.webhooks, environment, &mut self.mistakes);
        let signals = signals::finish(&self.signals, environment, &mut self.mistakes);
        let alerts = alerts::finish(&self.alerts, &repos, environment, &mut self.mistakes);
        let around = Around {
            public_url: self.server.public_url.as_deref(),
            environment,
        };
        let proxy = self.proxy_auth.is_said().then_some(PROXY);
        let granted = (self.grants.as_slice(), proxy);
        let (issuers, grants) = issuers::finish(&self.issuers, granted, around, &mut self.mistakes);
        let proxy_auth = self.proxy_auth.finish(grants, environment, &mut self.mistakes);
        let fleet = self.fleet.finish(&mut self.mistakes);
        let tls = self.tls.finish(Whose::Main, &mut self.mistakes);
        let admin = self.admin.finish(self.server.listen, &mut self.mistakes);
        if !self.mistakes.is_empty() {
            self.mistakes.sort();
            return Err(self.mistakes);
        }
        let server = self.server;
        let names = webhooks.iter().map(|webhook| webhook.name.clone());
        let floor = Floor {
            webhooks: Some(names.collect()),
            signals: Some(signals::kinds(&signals)),
            ..server.floor
        };
        Ok(Settings {
            listen: server.listen,
            tls,
            admin,
            data_dir: server.data_dir,
            tokens_file: server.tokens_file,
            issuers,
            proxy_auth,
            orders: self.orders,
            drain_deadline: server.drain_deadline,
            allow_write: server.allow_write,
            log_format: server.log_format,
            log_filter: server.log_filter,
            limits: server.limits,
            floor,
            verdict_deadline: server.verdict_deadline,
            verdict_program: None,
            verdict_confinement: server.verdict_confinement,
            repos,
            hooks,
            forges,
            webhooks,
            signals,
            alerts,
            public_url: server.public_url,
            allowed_hosts: server.allowed_hosts,
            connections_max: server.connections_max,
            caller_limits: self.limits,
            telemetry: self.telemetry.finish(),
            fleet,
        })
    }

    /// What no single key can see.
    fn check_whole(&mut self) {
        let server = &self.server;
        let asks = server.tokens_file.is_some()
            || server.insecure_no_auth
            || !self.issuers.is_empty()
            || self.proxy_auth.is_said();
        let listeners = [Some(server.listen), self.admin.listen()];
        let open = listeners
            .into_iter()
            .flatten()
            .filter(|listen| !listen.ip().is_loopback() && !asks);
        self.mistakes.extend(open.map(|listen| {
            let message = format!(
                "listening on `{listen}` would let other machines in, and nobody would be asked who they are"
            );
            Mistake::new(Place::Whole, message).hint(
                "set `tokens_file`, an `[issuer.NAME]` or `[proxy_auth]`, listen on 127.0.0.1 behind a proxy that authenticates, or say --insecure-no-auth",
            )
        }));
        let asks_who = match (asks, server.insecure_no_auth) {
            (true, false) => AsksWho::Yes,
            (true, true) => AsksWho::NoAsItWasSaid,
            (false, _) => AsksWho::No,
        };
        if let Some((message, hint)) = orders::tells_nobody_apart(&self.orders, asks_who) {
            self.mistakes.push(Mistake::new(Place::Whole, message).hint(hint));
        }
        let has_url = self.repos.iter().any(|repo| repo.url.is_some());
        if self.repos.is_empty() || (self.repos.len() == 1 && !has_url && self.mistakes.is_empty()) {
            let hint =
                "say `headwater serve --repo URL_OR_PATH`, or add a `[[repo]]` table to the settings file";
            self.mistakes
                .push(Mistake::new(Place::Whole, "there is no repository to follow").hint(hint));
        }
        let mut names = std::collections::BTreeSet::new();
        for repo in &self.repos {
            let name = repo_name(repo);
            if name.as_ref().is_some_and(|name| !names.insert(name.clone())) {
                let name = name.map_or_else(String::new, |name| name.to_string());
                let message = format!("two repositories are named `{name}`");
                self.mistakes
                    .push(Mistake::new(Place::Whole, message).hint("give each `[[repo]]` its own `name`"));
            }
            self.mistakes.extend(access::mistakes(repo));
        }
    }
}
