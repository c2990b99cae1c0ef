//! The suite: one binary, one module per noun.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::format_push_string,
    clippy::format_collect,
    clippy::type_complexity,
    reason = "a test that cannot go on panics, and its helpers stand outside of test functions"
)]

mod admin_listener;
mod admission;
mod agent;
mod agent_bench;
mod agent_program;
mod auth;
mod authors;
mod branches;
mod check;
mod check_deadline;
mod check_hostile;
mod check_message;
mod check_server;
mod checks;
mod client;
mod command;
mod compare;
mod dashboard;
mod demo;
mod events;
mod forge;
mod fuzz;
mod git_history;
mod git_hostile;
mod git_notes;
mod git_push;
mod git_read;
mod git_recovery;
mod git_revert;
mod git_support;
mod git_transport;
mod guards;
mod history;
mod init;
mod instances;
mod invariants;
mod issuers;
mod lane;
mod languages;
mod limits;
mod logs;
mod metrics;
mod notes;
mod oidc;
mod openapi;
mod people;
mod problems;
mod proposals;
mod proxies;
mod proxy_auth;
mod readers;
mod recovery;
mod reload;
mod reuse;
mod rollback;
mod rollout;
mod sample_repo;
mod sandbox;
mod sandbox_hostile;
mod second_person;
mod secrets_canary;
mod serve;
mod serve_by_commit;
mod signals;
mod signatures;
mod silence;
mod socket;
mod threats;
mod tidy;
mod tls;
mod traces;
mod watch;
mod webhooks;
