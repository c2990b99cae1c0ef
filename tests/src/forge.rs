//! A forge in the process of the test: it keeps statuses, check runs and pull requests, wants tokens, limits rates and
//! protects branches, in the words of GitHub, Gitea and GitLab.
//!
//! Invariant: every call is recorded with its credentials. Which forge it is follows from the address, as with the
//! real ones: `/api/v4` is GitLab, `/api/v1` Gitea, anything else GitHub. What is deliberately absent: Git; the
//! repository is that of [`TestOrigin`].

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use headwater_server::forge::{ApiKind, Credential};
use headwater_server::settings::{ForgeSettings, PullRequests, RELIST};
use headwater_wire::CommitId;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::origin::TestOrigin;

/// Annotations that one request may carry, as with GitHub.
const ANNOTATIONS_MAX: usize = 50;

/// One call that arrived.
#[derive(Debug, Clone, PartialEq)]
pub struct Called {
    /// Method and path with query.
    pub line: String,
    /// Who asked, as it was said.
    pub authorization: String,
    /// The body, if it was JSON.
    pub body: Value,
}

/// An answer that is given instead of the right one.
#[derive(Debug, Clone)]
pub struct Instead {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: Vec<(&'static str, String)>,
    /// How long it takes.
    pub delay: Duration,
}

impl Instead {
    /// An answer with a status.
    pub fn status(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            delay: Duration::ZERO,
        }
    }

    /// The same with a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// A commit status as it was set.
#[derive(Debug, Clone, PartialEq)]
pub struct SetStatus {
    /// The commit.
    pub commit: String,
    /// The state, in the forge's word.
    pub state: String,
    /// The whole body.
    pub body: Value,
}

/// The running forge.
#[derive(Debug)]
pub struct TestForge {
    addr: SocketAddr,
    shared: Arc<Mutex<Kept>>,
    runtime: Option<tokio::runtime::Runtime>,
}

#[derive(Debug, Default)]
struct Kept {
    tokens: BTreeSet<String>,
    instead: VecDeque<Instead>,
    calls: Vec<Called>,
    statuses: Vec<SetStatus>,
    pulls: Vec<Value>,
    runs: Vec<Value>,
    takes_runs: bool,
    protected: BTreeSet<String>,
    installations: u32,
}

impl TestForge {
    /// A forge that takes this token.
    pub fn start(token: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let listener = runtime
            .block_on(TcpListener::bind("127.0.0.1:0"))
            .expect("a free port");
        let addr = listener.local_addr().expect("a bound port");
        let shared: Arc<Mutex<Kept>> = Arc::default();
        let app = axum::Router::new().fallback(answer).with_state(shared.clone());
        drop(runtime.spawn(async move { axum::serve(listener, app).await }));
        let forge = Self {
            addr,
            shared,
            runtime: Some(runtime),
        };
        forge.take_only(token);
        forge.lock().takes_runs = true;
        forge
    }

    /// Where its API begins: `""` for GitHub, `/api/v1`, `/api/v4`.
    pub fn api_url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes this token and no other from now on.
    pub fn take_only(&self, token: &str) {
        self.lock().tokens = BTreeSet::from([token.to_owned()]);
    }

    /// Answers the next calls so, in order, whatever they ask.
    pub fn answer_instead(&self, answers: impl IntoIterator<Item = Instead>) {
        self.lock().instead.extend(answers);
    }

    /// Protects a branch: pushes to it are refused by the repository, and the API says so.
    pub fn protect(&self, origin: &TestOrigin, branch: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        self.lock().protected.insert(branch.to_owned());
        let hook = origin.path().join("hooks").join("update");
        std::fs::create_dir_all(hook.parent().expect("a directory")).expect("a directory of hooks");
        let refused = "GH006: Protected branch update failed. Changes must be made through a pull request.";
        let names: Vec<String> = self.lock().protected.iter().cloned().collect();
        let cases: String = names.iter().fold(String::new(), |cases, name| {
            cases + &format!("refs/heads/{name}) echo '{refused}' >&2; exit 1;;\n")
        });
        std::fs::write(&hook, format!("#!/bin/sh\ncase \"$1\" in\n{cases}esac\n")).expect("a hook");
        std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).expect("a program");
    }

    /// All calls so far.
    pub fn calls(&self) -> Vec<Called> {
        self.lock().calls.clone()
    }

    /// All statuses so far, in order.
    pub fn statuses(&self) -> Vec<SetStatus> {
        self.lock().statuses.clone()
    }

    /// States of one commit so far, in order.
    pub fn states(&self, commit: &str) -> Vec<String> {
        let of = self
            .statuses()
            .into_iter()
            .filter(|status| status.commit == commit);
        of.map(|status| status.state).collect()
    }

    /// Opens a pull request from wherever `head` is, also a fork, or moves it there: the repository has its ref, as forges
    /// make it, and the API lists it.
    pub fn propose(&self, origin: &TestOrigin, number: u64, head: &CommitId) {
        for name in ["pull", "merge-requests"] {
            origin.git(&["update-ref", &format!("refs/{name}/{number}/head"), head.as_str()]);
        }
        self.list_pull(number, head);
    }

    /// The same for the API alone, as before the repository shows it.
    pub fn list_pull(&self, number: u64, head: &CommitId) {
        self.close(number);
        let pull = json!({
            "number": number, "iid": number, "state": "open",
            "head": {"ref": "feature", "sha": head.as_str()}, "base": {"ref": "main"},
            "source_branch": "feature", "target_branch": "main", "sha": head.as_str(),
        });
        self.lock().pulls.push(pull);
    }

    /// Closes a pull request: it is not listed any more, and the repository keeps its ref.
    pub fn close(&self, number: u64) {
        self.lock().pulls.retain(|pull| pull["number"] != number);
    }

    /// Takes no check runs from now on: the App lacks the permission.
    pub fn refuse_runs(&self) {
        self.lock().takes_runs = false;
    }

    /// All check runs so far, each as it is after all of its updates, with all of its annotations.
    pub fn runs(&self) -> Vec<Value> {
        self.lock().runs.clone()
    }

    /// All pull requests so far.
    pub fn pulls(&self) -> Vec<Value> {
        self.lock().pulls.clone()
    }
}

impl Drop for TestForge {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Settings for a forge with the words of Gitea that holds the one repository as `acme/config`.
pub fn gitea(api_url: String, token_file: PathBuf) -> ForgeSettings {
    ForgeSettings {
        name: "forge".to_owned(),
        kind: ApiKind::Gitea,
        api_url,
        project: "acme/config".to_owned(),
        repo: "default".parse().expect("a name"),
        credential: Credential::Token { file: token_file },
        ca_file: None,
        proxy: None,
        context: "headwater".to_owned(),
        pull_requests: PullRequests::Judge,
        relist: RELIST,
    }
}

/// What the three write differently.
struct Dialect {
    head: &'static str,
    base: &'static str,
    number: &'static str,
    url: &'static str,
    conflict: u16,
}

async fn answer(State(shared): State<Arc<Mutex<Kept>>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap_or_default();
    let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let path = parts.uri.path().to_owned();
    let token = token(&parts.headers);
    let instead = {
        let mut kept = shared.lock().unwrap_or_else(PoisonError::into_inner);
        kept.calls.push(Called {
            line: format!("{} {}", parts.method, parts.uri),
            authorization: token.clone(),
            body: body.clone(),
        });
        kept.instead.pop_front()
    };
    if let Some(instead) = instead {
        tokio::time::sleep(instead.delay).await;
        let mut response = Response::builder().status(instead.status);
        for (name, value) in instead.headers {
            response = response.header(name, value);
        }
        return response
            .body(Body::from(r#"{"message": "not now"}"#))
            .expect("a response");
    }
    let (status, answer) = {
        let mut kept = shared.lock().unwrap_or_else(PoisonError::into_inner);
        kept.act(&parts.method, &path, &token, body)
    };
    Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(Body::from(answer.to_string()))
        .expect("a response")
}

/// The token of a call, however it is said.
fn token(headers: &HeaderMap) -> String {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let said = text("private-token")
        .or_else(|| text("authorization"))
        .unwrap_or_default();
    let bare = said
        .strip_prefix("Bearer ")
        .or_else(|| said.strip_prefix("token "));
    bare.unwrap_or(said).to_owned()
}

impl Kept {
    fn act(&mut self, method: &http::Method, path: &str, token: &str, body: Value) -> (StatusCode, Value) {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        if let ["app", "installations", _, "access_tokens"] = parts.as_slice() {
            self.installations += 1;
            let token = format!("installation-{}", self.installations);
            self.tokens = BTreeSet::from([token.clone()]);
            return (
                StatusCode::CREATED,
                json!({"token": token, "expires_at": "2999-01-01T00:00:00Z"}),
            );
        }
        if !self.tokens.contains(token) {
            return (StatusCode::UNAUTHORIZED, json!({"message": "Bad credentials"}));
        }
        let dialect = if path.starts_with("/api/v4") {
            Dialect {
                head: "source_branch",
                base: "target_branch",
                number: "iid",
                url: "web_url",
                conflict: 409,
            }
        } else {
            let conflict = if path.starts_with("/api/v1") { 409 } else { 422 };
            Dialect {
                head: "head",
                base: "base",
                number: "number",
                url: "html_url",
                conflict,
            }
        };
        match (method.as_str(), parts.as_slice()) {
            ("POST", [.., "statuses", commit]) => {
                let state = body["state"].as_str().unwrap_or_default().to_owned();
                let commit = (*commit).to_owned();
                self.statuses.push(SetStatus {
                    commit,
                    state,
                    body: body.clone(),
                });
                (StatusCode::CREATED, body)
            }
            ("POST" | "PATCH", [.., "check-runs"] | [.., "check-runs", _]) if !self.takes_runs => {
                let message = "Resource not accessible by integration";
                (StatusCode::FORBIDDEN, json!({"message": message}))
            }
            ("POST", [.., "check-runs"]) => {
                let mut run = body;
                run["id"] = json!(self.runs.len() + 1);
                self.runs.push(run.clone());
                (StatusCode::CREATED, run)
            }
            ("PATCH", [.., "check-runs", id]) => self.update_run(id, &body),
            ("POST", [.., "pulls" | "merge_requests"]) => self.open(&dialect, &body),
            ("GET", [.., "pulls" | "merge_requests"]) => (StatusCode::OK, Value::from(self.pulls.clone())),
            ("GET", [.., "branches", branch]) => {
                let is_protected = self.protected.contains(*branch);
                (StatusCode::OK, json!({"name": branch, "protected": is_protected}))
            }
            _ => (StatusCode::NOT_FOUND, json!({"message": "Not Found"})),
        }
    }

    /// Replaces what is given, and adds annotations to those that are there.
    fn update_run(&mut self, id: &str, body: &Value) -> (StatusCode, Value) {
        let number: usize = id.parse().unwrap_or_default();
        let added = body["output"]["annotations"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let Some(run) = number.checked_sub(1).and_then(|at| self.runs.get_mut(at)) else {
            return (StatusCode::NOT_FOUND, json!({"message": "Not Found"}));
        };
        if added.len() > ANNOTATIONS_MAX {
            let message = "No more than 50 items are allowed";
            return (StatusCode::UNPROCESSABLE_ENTITY, json!({"message": message}));
        }
        let mut all = run["output"]["annotations"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        all.extend(added);
        for (name, value) in body.as_object().into_iter().flatten() {
            run[name] = value.clone();
        }
        run["output"]["annotations"] = Value::from(all);
        (StatusCode::OK, run.clone())
    }

    fn open(&mut self, dialect: &Dialect, body: &Value) -> (StatusCode, Value) {
        let (head, base) = (&body[dialect.head], &body[dialect.base]);
        let is_same = |pull: &Value| {
            let at = |name: &str| {
                if dialect.number == "iid" {
                    pull[name].clone()
                } else {
                    pull[name]["ref"].clone()
                }
            };
            at(dialect.head) == *head && at(dialect.base) == *base
        };
        if self.pulls.iter().any(is_same) {
            let status = StatusCode::from_u16(dialect.conflict).expect("a status");
            return (status, json!({"message": "it exists already"}));
        }
        let number = self.pulls.len() + 1;
        let mut pull = body.clone();
        pull[dialect.number] = json!(number);
        pull[dialect.url] = json!(format!("https://forge.example.test/pull/{number}"));
        if dialect.number == "number" {
            pull[dialect.head] = json!({"ref": head});
            pull[dialect.base] = json!({"ref": base});
        }
        self.pulls.push(pull.clone());
        (StatusCode::CREATED, pull)
    }
}
