//! Whole commands, from the arguments to exit code, standard output and standard error, against a real server that
//! answers hand-made values.

mod accept;
mod backup;
mod configs;
mod diff;
mod ending;
mod explain;
mod get;
mod help;
mod instances;
mod log;
mod rollback;
mod rollouts;
mod status;
mod watch;

use std::ffi::OsString;
use std::io::{self, Write};
use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, Uri};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use headwater_wire::{
    Change, CommitId, CommitPage, CommitView, ConfigDiff, DiffView, ExplainEntry, ExplainView, FileDiff,
    Finding, HeadState, Origin, Person, Problem, ProblemCode, RepoList, RepoView, Severity, SnapshotBody,
    SourceState, Span, Timestamp, VerdictState, VerdictView,
};
use serde::Serialize;
use serde_json::json;

use super::out::Paint;
use super::{Environment, run};

const NOW: i64 = 1_800_000_000_000;

fn environment() -> Environment {
    let now = || Timestamp(NOW);
    Environment {
        server: Some("http://from-the-environment.invalid".into()),
        token: None,
        trust: super::Trust::default(),
        variables: Vec::new(),
        git_index_file: None,
        git_objects: crate::git::quarantine::ObjectDirs::default(),
        git_author_email: None,
        verdict_program: None,
        out_paint: Paint::Plain,
        err_paint: Paint::Plain,
        now,
        seed: 1,
    }
}

fn ago(seconds: i64) -> Timestamp {
    Timestamp(NOW - seconds * 1_000)
}

fn commit_id(digit: char) -> CommitId {
    digit.to_string().repeat(40).parse().unwrap()
}

/// Exit code, output and errors of one run, the server's address taken out.
fn headwater_in(environment: &Environment, server: &str, args: &[&str]) -> String {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let args: Vec<OsString> = ["headwater", "--server", server]
        .iter()
        .chain(args)
        .map(OsString::from)
        .collect();
    let code = run(args, environment, &mut out, &mut err);
    let mut told = format!("exit {code}\n{}", String::from_utf8(out).unwrap());
    if !err.is_empty() {
        told.push_str("--- standard error\n");
        told.push_str(&String::from_utf8(err).unwrap());
    }
    told.replace(server, "SERVER")
}

fn headwater(server: &str, args: &[&str]) -> String {
    headwater_in(&environment(), server, args)
}

/// Serves a router on a thread of its own, since the command has its own runtime.
fn serve(router: Router) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, router).await.unwrap();
        });
    });
    server
}

/// A router that answers this value at this path.
fn answering<T: Serialize>(path: &str, value: &T) -> Router {
    let body: Arc<str> = serde_json::to_string(value).unwrap().into();
    Router::new().route(path, get(move || async move { body.to_string() }))
}

fn refusing(path: &str, problem: &Problem) -> Router {
    let status = StatusCode::from_u16(problem.status).unwrap();
    let body: Arc<str> = serde_json::to_string(problem).unwrap().into();
    let answer = move || async move {
        (
            status,
            [("content-type", "application/problem+json")],
            body.to_string(),
        )
            .into_response()
    };
    Router::new().route(path, get(answer.clone()).post(answer))
}

fn repo(name: &str) -> RepoView {
    RepoView {
        name: name.parse().unwrap(),
        url: "https://forge.example/acme/config.git".into(),
        branch: Some("main".parse().unwrap()),
        tip: Some(commit_id('a')),
        head: Some(commit_id('a')),
        head_state: HeadState::Published,
        source_state: SourceState::Ok,
        synced_at: Some(ago(3)),
        stale: false,
        configs: 12,
        error: None,
        hint: None,
        hook_silence: None,
        deliveries: Vec::new(),
        accepted: None,
        findings: Vec::new(),
    }
}

fn finding() -> Finding {
    let span = |line, column| Span {
        line,
        column,
        end_line: line,
        end_column: column + 1,
    };
    Finding::new(
        "schema/type",
        Severity::Error,
        ("services/payments/base.toml", span(12, 7)),
        "`pool.max` must be an integer, not `\"ten\"`",
    )
    .pointer("/pool/max")
    .config(&"payments/prod".parse().unwrap())
    .related(
        "schemas/payments.schema.json",
        span(4, 20),
        "the type is set here",
    )
    .hint("write the number without quotes")
}

/// One repository named `default`, so that the command can choose it, and one more route.
fn one_repo(more: Router) -> String {
    serve(
        answering(
            "/v1/repos",
            &RepoList {
                repos: vec![repo("default")],
            },
        )
        .merge(more),
    )
}

fn origin(path: &str, line: u32) -> Origin {
    Origin {
        path: path.into(),
        line,
        column: 1,
    }
}
