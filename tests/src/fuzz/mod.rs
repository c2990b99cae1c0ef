//! What strangers' bytes are tried on: one function for each door, with the laws that hold for any bytes.
//!
//! `fuzz/` gives them to libFuzzer, which needs a nightly compiler; the suite runs them over `fuzz/corpus` and over
//! mutations of it with any compiler. Invariant: a target is a pure function of its bytes and panics where a law is
//! broken. What is deliberately absent: servers and files.

mod documents;
mod doors;
mod mutator;
mod names;

use headwater_server::forge::ForgeKind;

pub use mutator::Mutator;

/// A door.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, which the directory of its corpus and its program have, too.
    pub name: &'static str,
    /// Tries it.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target {
        name: "webhook_github",
        run: |bytes| doors::webhook(ForgeKind::GitHub, bytes),
    },
    Target {
        name: "webhook_gitea",
        run: |bytes| doors::webhook(ForgeKind::Gitea, bytes),
    },
    Target {
        name: "webhook_forgejo",
        run: |bytes| doors::webhook(ForgeKind::Forgejo, bytes),
    },
    Target {
        name: "webhook_gogs",
        run: |bytes| doors::webhook(ForgeKind::Gogs, bytes),
    },
    Target {
        name: "webhook_gitlab",
        run: |bytes| doors::webhook(ForgeKind::GitLab, bytes),
    },
    Target {
        name: "webhook_bitbucket_cloud",
        run: |bytes| doors::webhook(ForgeKind::BitbucketCloud, bytes),
    },
    Target {
        name: "webhook_bitbucket_data_center",
        run: |bytes| doors::webhook(ForgeKind::BitbucketDataCenter, bytes),
    },
    Target {
        name: "webhook_generic",
        run: |bytes| doors::webhook(ForgeKind::Generic, bytes),
    },
    Target {
        name: "document_toml",
        run: documents::toml,
    },
    Target {
        name: "document_yaml",
        run: documents::yaml,
    },
    Target {
        name: "document_json",
        run: documents::json,
    },
    Target {
        name: "manifest",
        run: documents::manifest,
    },
    Target {
        name: "message",
        run: documents::message,
    },
    Target {
        name: "names",
        run: names::names,
    },
    Target {
        name: "address",
        run: names::address,
    },
    Target {
        name: "token",
        run: doors::token,
    },
    Target {
        name: "json_web_token",
        run: doors::json_web_token,
    },
    Target {
        name: "tokens_file",
        run: doors::tokens_file,
    },
    Target {
        name: "query",
        run: doors::query,
    },
    Target {
        name: "report",
        run: doors::report,
    },
    Target {
        name: "socket_message",
        run: doors::socket_message,
    },
    Target {
        name: "trace_headers",
        run: doors::trace_headers,
    },
    Target {
        name: "event_stream",
        run: doors::event_stream,
    },
];

/// Tries the door of this name.
pub fn run(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name);
    let target = target.unwrap_or_else(|| panic!("there is no target `{name}`"));
    (target.run)(bytes);
}
