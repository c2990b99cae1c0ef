//! All keys of all tables, for `--help` and the documentation.

use super::admin::AdminDraft;
use super::alerts::AlertDraft;
use super::fleet::{FLEET_KEYS, fleet_variable};
use super::forges::ForgeDraft;
use super::hooks::HOOK_KEYS;
use super::issuers::{GrantDraft, IssuerDraft};
use super::keys::{Key, REPO_KEYS, SERVER_KEYS, hook_variable, repo_variable, variable};
use super::limits::LimitSettings;
use super::named::Named;
use super::orders::OrderSettings;
use super::proxy_auth::ProxyAuthDraft;
use super::signals::SignalDraft;
use super::table::Only;
use super::telemetry::TelemetryDraft;
use super::tls::TlsDraft;
use super::webhooks::WebhookDraft;

/// Name, default and meaning of one key, for `--help` and the documentation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyHelp {
    /// Name in the file.
    pub name: &'static str,
    /// Environment variable.
    pub variable: String,
    /// Default; empty if there is none.
    pub default: &'static str,
    /// One line for people.
    pub help: &'static str,
    /// Where in the file it stands.
    pub table: Table,
}

/// A part of the settings file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// The top.
    Server,
    /// `[[repo]]`.
    Repo,
    /// `[[hook]]`.
    Hook,
    /// `[forge.NAME]`.
    Forge,
    /// `[webhook.NAME]`.
    Webhook,
    /// `[signal.NAME]`.
    Signal,
    /// `[alert.NAME]`.
    Alert,
    /// `[issuer.NAME]`.
    Issuer,
    /// `[grant.NAME]`.
    Grant,
    /// `[fleet]`.
    Fleet,
    /// `[telemetry]`.
    Telemetry,
    /// `[tls]`.
    Tls,
    /// `[admin]`.
    Admin,
    /// `[limits]`.
    Limits,
    /// `[proxy_auth]`.
    ProxyAuth,
    /// `[orders]`.
    Orders,
}

/// All keys, in the order they are documented.
pub fn key_help() -> Vec<KeyHelp> {
    let mut all = help(SERVER_KEYS, Table::Server, variable);
    all.extend(help(REPO_KEYS, Table::Repo, repo_variable));
    all.extend(help(HOOK_KEYS, Table::Hook, hook_variable));
    all.extend(named_help::<ForgeDraft>(Table::Forge));
    all.extend(named_help::<WebhookDraft>(Table::Webhook));
    all.extend(named_help::<SignalDraft>(Table::Signal));
    all.extend(named_help::<AlertDraft>(Table::Alert));
    all.extend(named_help::<IssuerDraft>(Table::Issuer));
    all.extend(named_help::<GrantDraft>(Table::Grant));
    all.extend(help(FLEET_KEYS, Table::Fleet, fleet_variable));
    all.extend(only_help::<TelemetryDraft>(Table::Telemetry));
    all.extend(only_help::<TlsDraft>(Table::Tls));
    all.extend(only_help::<AdminDraft>(Table::Admin));
    all.extend(only_help::<LimitSettings>(Table::Limits));
    all.extend(only_help::<ProxyAuthDraft>(Table::ProxyAuth));
    all.extend(only_help::<OrderSettings>(Table::Orders));
    all
}

fn only_help<D: Only>(table: Table) -> Vec<KeyHelp> {
    help(D::KEYS, table, D::variable)
}

fn named_help<D: Named>(table: Table) -> Vec<KeyHelp> {
    help(D::KEYS, table, D::variable)
}

fn help<D>(keys: &[Key<D>], table: Table, variable: fn(&str) -> String) -> Vec<KeyHelp> {
    let row = |key: &Key<D>| KeyHelp {
        name: key.name,
        variable: variable(key.name),
        default: key.default,
        help: key.help,
        table,
    };
    keys.iter().map(row).collect()
}
