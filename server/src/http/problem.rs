//! Errors as answers: one table from a room's error to a [`Problem`].

use axum::response::{IntoResponse, Response};
use headwater_core::Refusal;
use headwater_wire::{CommitId, ConfigName, Finding, Problem, ProblemCode, RepoName};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use tracing::{error, warn};

use crate::git::error::Remedy;
use crate::git::read::ReadError;
use crate::git::revert::RevertError;
use crate::pipeline::AcceptError;
use crate::pipeline::rollback::RollbackError;
use crate::publish::Published;
use crate::repo::RepoError;

/// A problem on its way out. Boxed, since it travels in every handler's result.
#[derive(Debug)]
pub(super) struct Answer(Box<Problem>);

/// What a handler returns.
pub(super) type Result<T = Response> = std::result::Result<T, Answer>;

impl Answer {
    /// What kind of problem it is.
    pub(super) fn code(&self) -> ProblemCode {
        self.0.code
    }

    /// The problem, where it is told otherwise than as an answer.
    pub(super) fn into_problem(self) -> Problem {
        *self.0
    }
}

impl From<Problem> for Answer {
    fn from(problem: Problem) -> Self {
        Self(Box::new(problem))
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self.0).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if matches!(
            status,
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
        ) {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("2"));
        }
        if let Some(wait_ms) = self.0.retry_after_ms {
            headers.insert(RETRY_AFTER, HeaderValue::from(wait_ms.div_ceil(1_000)));
        }
        response.extensions_mut().insert(Told(self.0));
        response
    }
}

/// The problem of an answer, for the layer that adds the request id.
#[derive(Debug, Clone)]
pub(super) struct Told(pub Box<Problem>);

/// A parameter, header or body that is not what the call takes.
pub(super) fn bad_request(detail: impl Into<String>, hint: impl Into<String>) -> Answer {
    Problem::new(ProblemCode::BadRequest, detail).hint(hint).into()
}

/// No such repository.
pub(super) fn repo_not_found(name: &str) -> Answer {
    Problem::new(
        ProblemCode::RepoNotFound,
        format!("this service follows no repository `{name}`"),
    )
    .hint("GET /v1/repos lists the repositories")
    .into()
}

/// No such config at a commit.
pub(super) fn config_not_found(config: &ConfigName, commit: &CommitId, near: Option<&str>) -> Answer {
    let hint = near.map_or_else(
        || "GET /v1/repos/{repo}/configs lists the configs of the tip".to_owned(),
        |near| format!("did you mean `{near}`?"),
    );
    Problem::new(
        ProblemCode::ConfigNotFound,
        format!("there is no config `{config}` at {}", commit.short()),
    )
    .hint(hint)
    .into()
}

/// Nothing is published yet.
pub(super) fn not_ready(repo: &RepoName, why: Option<&str>) -> Answer {
    let detail = match why {
        Some(why) => format!("`{repo}` has no published commit yet: {why}"),
        None => format!("`{repo}` has no published commit yet"),
    };
    Problem::new(ProblemCode::NotReady, detail)
        .hint("GET /v1/repos/{repo} tells the state of the source")
        .into()
}

/// The commit is not reachable from the followed branch.
pub(super) fn commit_not_here(commit: &CommitId) -> Answer {
    Problem::new(
        ProblemCode::CommitNotHere,
        format!("the followed branch does not reach {commit}"),
    )
    .hint("push it to the followed branch; if it was pushed just now, try again in a second")
    .into()
}

/// What to do about a commit that failed admission.
pub(super) fn mend_and_push(published: &Published) -> String {
    format!(
        "mend what the findings name and push again; {}",
        published.served_meanwhile()
    )
}

/// The commit failed admission.
pub(super) fn commit_rejected(published: &Published, commit: &CommitId, findings: Vec<Finding>) -> Answer {
    Problem::new(
        ProblemCode::CommitRejected,
        format!("{} failed admission and is not served", commit.short()),
    )
    .hint(mend_and_push(published))
    .findings(findings)
    .into()
}

/// `GET` of an address that no route has.
pub(super) async fn not_found(uri: http::Uri) -> Answer {
    Problem::new(
        ProblemCode::NotFound,
        format!("there is nothing at `{}`", uri.path()),
    )
    .hint("the API begins at /v1/repos")
    .into()
}

/// An address that takes another method.
pub(super) async fn method_not_allowed(method: http::Method, uri: http::Uri) -> Answer {
    Problem::new(
        ProblemCode::MethodNotAllowed,
        format!("`{}` does not take {method}", uri.path()),
    )
    .hint("the `allow` header names the methods it takes")
    .into()
}

impl From<RepoError> for Answer {
    fn from(error: RepoError) -> Self {
        match error {
            RepoError::NotReady => Problem::new(ProblemCode::NotReady, error.to_string())
                .hint("GET /v1/repos/{repo} tells the state of the source")
                .into(),
            RepoError::Overloaded => Problem::new(ProblemCode::Overloaded, error.to_string())
                .hint("try again after a pause")
                .into(),
            RepoError::Ended => Problem::new(ProblemCode::Overloaded, "the service is stopping".to_owned())
                .hint("try again; another process will answer")
                .into(),
            RepoError::Sandbox(ref failed) => {
                error!(error = %failed, "a verdict could not be worked out: {failed}");
                Problem::new(ProblemCode::Overloaded, error.to_string())
                    .hint("try again after a pause")
                    .into()
            }
            RepoError::Blocking(ref timed_out) => {
                error!(error = %timed_out, "a read did not finish: {timed_out}");
                Problem::new(ProblemCode::DeadlineExceeded, error.to_string())
                    .hint("try again after a pause")
                    .into()
            }
            RepoError::Read(error) => error.into(),
            RepoError::Git(error) => {
                let code = match error.remedy() {
                    Remedy::FixInput => ProblemCode::BadRequest,
                    Remedy::Retry | Remedy::RefreshAndRedo | Remedy::FreeCapacity => ProblemCode::Overloaded,
                    Remedy::RepairMirror => {
                        warn!(error = error.one_line(), "a read failed: {}", error.one_line());
                        ProblemCode::MirrorBroken
                    }
                    Remedy::Reauthenticate | Remedy::Stop | Remedy::Bug => {
                        error!(error = error.one_line(), "a read failed: {}", error.one_line());
                        ProblemCode::Internal
                    }
                };
                // The error's own words name the directory, which is nobody's business outside.
                let detail = if code == ProblemCode::MirrorBroken {
                    "an object could not be read from the mirror".to_owned()
                } else {
                    error.to_string()
                };
                Problem::new(code, detail).hint(error.hint()).into()
            }
        }
    }
}

impl From<ReadError> for Answer {
    fn from(error: ReadError) -> Self {
        let text = error.to_string();
        let (code, hint) = match error {
            ReadError::FileNotFound { .. } => (
                ProblemCode::FileNotFound,
                "`git ls-tree -r COMMIT` lists the files of a commit",
            ),
            ReadError::NotAFile { .. } => (
                ProblemCode::NotAFile,
                "directories, links and submodules are never followed; name a file",
            ),
            ReadError::TooLarge { .. } => (ProblemCode::TooLarge, "read it from the upstream with Git"),
            ReadError::Git(error) => return RepoError::Git(error).into(),
        };
        Problem::new(code, text).hint(hint).into()
    }
}

impl From<RollbackError> for Answer {
    fn from(error: RollbackError) -> Self {
        let detail = error.to_string();
        let conflict =
            |detail: String, hint: String| Problem::new(ProblemCode::RevertConflict, detail).hint(hint);
        match error {
            RollbackError::Refused(refusal) => AcceptError::Refused(refusal).into(),
            RollbackError::HistoryHeld(head) => Problem::new(ProblemCode::HeadMoved, detail)
                .hint(format!(
                    "look at {head}, then accept that head or reset the branch"
                ))
                .actual(head)
                .into(),
            RollbackError::RolledBack { .. } => Problem::new(ProblemCode::RolledBack, detail)
                .hint("choose an earlier commit, or name this one by its hash if its content is to come back")
                .into(),
            RollbackError::TipMoved(actual) => Problem::new(ProblemCode::TipMoved, detail)
                .hint("look at what came in between, then ask again")
                .actual(actual)
                .into(),
            RollbackError::Revert(error) => reverted(&error).into(),
            RollbackError::Invalid(findings) => Problem::new(ProblemCode::CommitRejected, detail)
                .hint("choose another commit, or mend what the findings name by a commit of your own")
                .findings(findings)
                .into(),
            RollbackError::NoSuchConfig(_) => Problem::new(ProblemCode::ConfigNotFound, detail)
                .hint("GET /v1/repos/{repo}/configs lists the configs of the tip")
                .into(),
            RollbackError::Entangled(_, others) => conflict(detail, "roll back without `config`".to_owned())
                .paths(others.iter().map(ToString::to_string).collect())
                .into(),
            RollbackError::Repo(error) => error.into(),
            RollbackError::GitThread(_) | RollbackError::Round(_) => {
                warn!(%error, "a rollback did not come about: {error}");
                Problem::new(ProblemCode::Overloaded, "the mirror cannot be written now")
                    .hint("nothing has happened; try again after a pause")
                    .into()
            }
            RollbackError::Store(failure) => AcceptError::Store(failure).into(),
        }
    }
}

/// Why an order that waits for a second person was not kept, confirmed or withdrawn.
fn order_refused(refusal: &Refusal) -> Problem {
    let (code, hint) = match refusal {
        Refusal::OrderEnded(_) => (
            ProblemCode::OrderEnded,
            "GET /v1/repos/{repo}/orders tells what became of it; if it is still meant, give it again",
        ),
        Refusal::SamePerson(_) => (
            ProblemCode::OtherPersonNeeded,
            "somebody with another name confirms it; whoever gave it can withdraw it. In an emergency push a revert to Git",
        ),
        Refusal::NotTheGiver(_) => (
            ProblemCode::OtherPersonNeeded,
            "do not confirm it, and it runs out",
        ),
        Refusal::NotAsSeen(_) => (
            ProblemCode::OrderOutdated,
            "nothing has happened; look at it as it is now, then give the order again if it is still meant",
        ),
        Refusal::TooManyOrders => (
            ProblemCode::TooManyRequests,
            "confirm or withdraw some of them: GET /v1/repos/{repo}/orders",
        ),
        Refusal::NoSuchOrder(_)
        | Refusal::NothingHeld
        | Refusal::HeadMoved { .. }
        | Refusal::NotHeld(_)
        | Refusal::NotReleased(_)
        | Refusal::NoSuchRollout(_)
        | Refusal::OrderRefused(_)
        | Refusal::MovedOn => (
            ProblemCode::OrderNotFound,
            "GET /v1/repos/{repo}/orders lists those that wait",
        ),
    };
    Problem::new(code, refusal.to_string()).hint(hint)
}

/// Why there is no commit that would go back.
fn reverted(error: &RevertError) -> Problem {
    let (code, paths) = match error {
        RevertError::NothingToDo { .. } => (ProblemCode::NothingToDo, &[][..]),
        RevertError::Conflict { paths, .. } | RevertError::Obstructed { paths } => {
            (ProblemCode::RevertConflict, paths.as_slice())
        }
        RevertError::Mainline { .. } => (ProblemCode::BadRequest, &[][..]),
        RevertError::ForbiddenName(_) => (ProblemCode::RevertConflict, &[][..]),
        RevertError::Git(_) => {
            error!(%error, "the commit of a rollback could not be written: {error}");
            (ProblemCode::Internal, &[][..])
        }
    };
    Problem::new(code, error.to_string())
        .hint(error.hint())
        .paths(paths.to_vec())
}

impl From<AcceptError> for Answer {
    fn from(error: AcceptError) -> Self {
        let detail = error.to_string();
        match error {
            // Of rollouts nothing is asked by this way.
            AcceptError::Refused(
                Refusal::NothingHeld
                | Refusal::NotHeld(_)
                | Refusal::NoSuchRollout(_)
                | Refusal::OrderRefused(_)
                | Refusal::MovedOn,
            ) => Problem::new(ProblemCode::NothingHeld, detail)
                .hint("GET /v1/repos/{repo}/holds lists what waits for a person")
                .into(),
            AcceptError::Refused(Refusal::NotReleased(configs)) => {
                let names = configs.iter().map(ToString::to_string).collect();
                Problem::new(ProblemCode::NotReleased, detail)
                    .hint(
                        "bring it back by a commit of your own, so that its policy releases it; other configs can go back \
                         alone",
                    )
                    .paths(names)
                    .into()
            }
            AcceptError::Refused(Refusal::HeadMoved { actual }) => {
                Problem::new(ProblemCode::HeadMoved, detail)
                    .hint(format!("look at {actual}, then accept that head"))
                    .actual(actual)
                    .into()
            }
            AcceptError::Refused(
                refusal @ (Refusal::NoSuchOrder(_)
                | Refusal::OrderEnded(_)
                | Refusal::SamePerson(_)
                | Refusal::NotTheGiver(_)
                | Refusal::NotAsSeen(_)
                | Refusal::TooManyOrders),
            ) => order_refused(&refusal).into(),
            AcceptError::Store(_) => Problem::new(ProblemCode::Overloaded, "the decision could not be kept")
                .hint("free space on the disk of the data directory, then repeat")
                .into(),
        }
    }
}
