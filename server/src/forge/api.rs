//! Speaking to a forge: one request, with deadlines and limits, and errors told apart.
//!
//! Invariant: redirects are not followed, since they could carry the token elsewhere; every body has a limit. What is
//! deliberately absent: retries other than the one with a newly read token, since only the caller knows what waits.

use std::path::PathBuf;
use std::time::Duration;

use headwater_wire::{BranchName, CommitId};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use reqwest::{Client, Response, Url};
use serde_json::Value;
use tokio::sync::Mutex;

use super::ask::{
    ApiKind, Ask, PAGE_LEN, PullRequestDraft, Status, is_of, list_open, list_open_to, listed, open, status,
};
use super::checks::CheckRuns;
use super::credential::{Credential, Held, claim, read_token};
use crate::clock;
use crate::git::error::Remedy;
use crate::secret::Secret;
use crate::settings::ForgeSettings;
use crate::trace;

/// Longest time of one request.
const DEADLINE: Duration = Duration::from_secs(20);
/// Longest time to a connection.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
/// Longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 4 << 20;
/// Longest message of a forge that is told, in characters.
const MESSAGE_CHARS_MAX: usize = 200;
/// Pause where a forge limits the rate without saying for how long.
const RATE_PAUSE: Duration = Duration::from_mins(1);
/// Longest pause that a forge may ask for; its windows are an hour.
const RATE_PAUSE_MAX: Duration = Duration::from_hours(1);

/// Why a forge did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ForgeError {
    /// A setting cannot be used.
    #[error("the forge cannot be spoken to: {0}")]
    Settings(String),
    /// The token or key cannot be read.
    #[error("{0}")]
    Credentials(String),
    /// No connection, or it broke.
    #[error("the forge cannot be reached: {0}")]
    Unreachable(String),
    /// A deadline passed.
    #[error("the forge did not answer within {} s", DEADLINE.as_secs())]
    TimedOut,
    /// The forge refused the token, also one that was read anew.
    #[error("the forge refused the token")]
    Unauthorized,
    /// Too many requests; how long to wait.
    #[error("the forge limits the rate of requests for {} s", .0.as_secs())]
    RateLimited(Duration),
    /// The forge answered that it will not.
    #[error("the forge answered {status}: {message}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// Its own words, cut.
        message: String,
    },
    /// The forge is there under another address.
    #[error("the forge redirects, which is not followed")]
    Redirected,
    /// No JSON, or too much of it.
    #[error("the forge's answer cannot be read")]
    Unreadable,
}

impl ForgeError {
    /// What can be done about it.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Unreachable(_) | Self::TimedOut | Self::RateLimited(_) => Remedy::Retry,
            Self::Refused { status, .. } if *status >= 500 => Remedy::Retry,
            Self::Credentials(_) | Self::Unauthorized => Remedy::Reauthenticate,
            Self::Settings(_) | Self::Refused { .. } | Self::Redirected | Self::Unreadable => {
                Remedy::FixInput
            }
        }
    }

    /// What a person can do about it.
    pub fn hint(&self) -> &'static str {
        match self.remedy() {
            Remedy::Reauthenticate => {
                "put a token with access to statuses and pull requests into the token file"
            }
            Remedy::FixInput => "check `api_url`, `project` and the rights of the token",
            Remedy::Retry
            | Remedy::RefreshAndRedo
            | Remedy::FreeCapacity
            | Remedy::RepairMirror
            | Remedy::Stop
            | Remedy::Bug => "it is tried again by itself",
        }
    }
}

/// A pull request that is open now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenPullRequest {
    /// Its number in the project.
    pub number: u64,
    /// Its page.
    pub url: String,
}

/// A pull request of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedPullRequest {
    /// Its number in the project.
    pub number: u64,
    /// Newest commit of what is proposed.
    pub head: CommitId,
}

/// One forge, and one project of it.
#[derive(Debug)]
pub struct ForgeApi {
    kind: ApiKind,
    base: Url,
    project: String,
    credential: Credential,
    client: Client,
    held: Mutex<Option<Held>>,
    runs: CheckRuns,
}

/// Whether a token that was read before will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Take {
    Held,
    /// Another one than this, which was refused.
    Anew,
}

impl ForgeApi {
    /// Reads the CA file, connects to nothing.
    pub fn new(settings: &ForgeSettings) -> Result<Self, ForgeError> {
        let wrong = |why: &dyn std::fmt::Display| ForgeError::Settings(why.to_string());
        let base: Url = settings.api_url.parse().map_err(|error| wrong(&error))?;
        let mut builder = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_DEADLINE)
            .timeout(DEADLINE)
            .referer(false)
            .no_proxy();
        if let Some(file) = &settings.ca_file {
            builder = builder.tls_certs_only(certificates(file)?);
        }
        if let Some(proxy) = &settings.proxy {
            let proxy = reqwest::Proxy::all(proxy).map_err(|error| wrong(&error.without_url()))?;
            builder = builder.proxy(proxy);
        }
        Ok(Self {
            kind: settings.kind,
            base,
            project: settings.project.clone(),
            credential: settings.credential.clone(),
            client: builder.build().map_err(|error| wrong(&error.without_url()))?,
            held: Mutex::new(None),
            runs: CheckRuns::for_credential(&settings.credential),
        })
    }

    /// Whose API it has.
    pub(crate) fn kind(&self) -> ApiKind {
        self.kind
    }

    /// Tells how a commit stands: by a check run where the forge lets us, else by a commit status. Telling the same
    /// again is no error.
    pub async fn set_status(&self, wanted: &Status) -> Result<(), ForgeError> {
        if self.runs.are_taken() {
            match self.runs.tell(self, &self.project, wanted).await {
                Err(error) if self.runs.are_refused_by(&error) => {}
                other => return other,
            }
        }
        match self.send(&status(self.kind, &self.project, wanted)).await {
            // GitLab refuses what changes nothing.
            Err(ForgeError::Refused { status: 400, message })
                if message.contains("Cannot transition status") =>
            {
                Ok(())
            }
            other => other.map(drop),
        }
    }

    /// Opens a pull request, or finds the one that is open between the same branches: repeating the call gives the
    /// same answer.
    pub async fn open_pull_request(&self, draft: &PullRequestDraft) -> Result<OpenPullRequest, ForgeError> {
        match self.send(&open(self.kind, &self.project, draft)).await {
            Ok(opened) => self.pull_request(&opened),
            Err(ForgeError::Refused { status, message }) if matches!(status, 409 | 422) => {
                let list = self.send(&list_open(self.kind, &self.project, draft)).await?;
                let mut pulls = list.as_array().into_iter().flatten();
                match pulls.find(|pull| is_of(self.kind, pull, draft)) {
                    Some(pull) => self.pull_request(pull),
                    None => Err(ForgeError::Refused { status, message }),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// All open pull requests that go to `base`, as far as there are no more than `max`.
    pub async fn open_pull_requests(
        &self,
        base: &BranchName,
        max: usize,
    ) -> Result<Vec<ListedPullRequest>, ForgeError> {
        let mut found = Vec::new();
        for page in 1..=max.div_ceil(PAGE_LEN) {
            let answer = self
                .send(&list_open_to(self.kind, &self.project, base, page))
                .await?;
            let pulls = answer.as_array().ok_or(ForgeError::Unreadable)?;
            let here = pulls.iter().filter_map(|pull| listed(self.kind, pull, base));
            found.extend(here.map(|(number, head)| ListedPullRequest { number, head }));
            if pulls.len() < PAGE_LEN {
                break;
            }
        }
        Ok(found)
    }

    fn pull_request(&self, answer: &Value) -> Result<OpenPullRequest, ForgeError> {
        let (number, url) = match self.kind {
            ApiKind::GitHub | ApiKind::Gitea => ("number", "html_url"),
            ApiKind::GitLab => ("iid", "web_url"),
        };
        let number = answer.get(number).and_then(Value::as_u64);
        let url = answer.get(url).and_then(Value::as_str).map(str::to_owned);
        let (number, url) = number.zip(url).ok_or(ForgeError::Unreadable)?;
        Ok(OpenPullRequest { number, url })
    }

    /// Sends a request; once more if the token was refused and there is another one now.
    pub(super) async fn send(&self, ask: &Ask) -> Result<Value, ForgeError> {
        let token = self.token(Take::Held, None).await?;
        match self.exchange(ask, &token).await {
            Err(ForgeError::Unauthorized) => {
                let other = self.token(Take::Anew, Some(&token)).await?;
                if other == token {
                    return Err(ForgeError::Unauthorized);
                }
                self.exchange(ask, &other).await
            }
            other => other,
        }
    }

    /// A token to use now. The lock is held over the request for one, so that many callers ask for one token only.
    async fn token(&self, take: Take, refused: Option<&Secret>) -> Result<Secret, ForgeError> {
        let mut held = self.held.lock().await;
        if let Some(known) = held.as_ref().filter(|known| known.is_good(clock::now())) {
            // Another caller may have replaced the refused one already.
            let is_other = refused.is_some_and(|refused| *refused != known.token);
            if take == Take::Held || is_other {
                return Ok(known.token.clone());
            }
        }
        let got = match &self.credential {
            Credential::Token { file } => Held {
                token: read_token(file).await?,
                ends_at: None,
            },
            Credential::App {
                app_id,
                key_file,
                installation_id,
            } => {
                let claim = claim(app_id, key_file, clock::now()).await?;
                let path = ["app", "installations", installation_id, "access_tokens"];
                let ask = Ask::post(path, Value::Object(serde_json::Map::new()));
                let answer = self.exchange(&ask, &claim).await?;
                let text = |field: &str| answer.get(field).and_then(Value::as_str);
                let token = text("token").ok_or(ForgeError::Unreadable)?;
                let ends_at = text("expires_at").and_then(|time| time.parse().ok());
                Held {
                    token: Secret::new(token),
                    ends_at: Some(ends_at.ok_or(ForgeError::Unreadable)?),
                }
            }
        };
        let token = got.token.clone();
        *held = Some(got);
        Ok(token)
    }

    async fn exchange(&self, ask: &Ask, token: &Secret) -> Result<Value, ForgeError> {
        let mut url = self.base.clone();
        let segments = url.path_segments_mut();
        segments
            .map_err(|()| ForgeError::Settings("`api_url` is no http(s) address".to_owned()))?
            .pop_if_empty()
            .extend(&ask.segments);
        if !ask.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&ask.query);
        }
        let mut request = self
            .client
            .request(ask.method.clone(), url)
            .headers(trace::outward())
            .headers(self.headers(token)?);
        if let Some(body) = &ask.body {
            request = request
                .header(CONTENT_TYPE, "application/json")
                .body(body.to_string());
        }
        let response = request.send().await.map_err(told)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = read(response).await?;
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|_| ForgeError::Unreadable);
        }
        Err(refusal(status, &headers, &body))
    }

    fn headers(&self, token: &Secret) -> Result<HeaderMap, ForgeError> {
        let (name, value) = match self.kind {
            ApiKind::GitHub => (AUTHORIZATION, format!("Bearer {}", token.expose())),
            ApiKind::Gitea => (AUTHORIZATION, format!("token {}", token.expose())),
            ApiKind::GitLab => (
                HeaderName::from_static("private-token"),
                token.expose().to_owned(),
            ),
        };
        let mut value = HeaderValue::from_str(&value)
            .map_err(|_| ForgeError::Credentials("the token does not fit into a header".to_owned()))?;
        value.set_sensitive(true);
        let mut headers = HeaderMap::new();
        headers.insert(name, value);
        headers.insert(USER_AGENT, HeaderValue::from_static("headwater"));
        if self.kind == ApiKind::GitHub {
            headers.insert(ACCEPT, HeaderValue::from_static("application/vnd.github+json"));
            let version = HeaderName::from_static("x-github-api-version");
            headers.insert(version, HeaderValue::from_static("2022-11-28"));
        }
        Ok(headers)
    }
}

/// What an answer without success means.
fn refusal(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> ForgeError {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let is_limited = status == StatusCode::TOO_MANY_REQUESTS
        || headers.contains_key(RETRY_AFTER)
        || (status == StatusCode::FORBIDDEN && text("x-ratelimit-remaining") == Some("0"));
    if is_limited {
        let after = text("retry-after").and_then(|text| text.parse().ok());
        let reset = text("x-ratelimit-reset")
            .or_else(|| text("ratelimit-reset"))
            .and_then(|text| text.parse::<i64>().ok())
            .and_then(|at| u64::try_from(at.saturating_sub(clock::now().0 / 1_000)).ok());
        let pause = after.or(reset).map_or(RATE_PAUSE, Duration::from_secs);
        return ForgeError::RateLimited(pause.clamp(Duration::from_secs(1), RATE_PAUSE_MAX));
    }
    if status == StatusCode::UNAUTHORIZED {
        return ForgeError::Unauthorized;
    }
    if status.is_redirection() {
        return ForgeError::Redirected;
    }
    ForgeError::Refused {
        status: status.as_u16(),
        message: message(body),
    }
}

/// The forge's own words, for a log line: no control characters, and not too many.
fn message(body: &[u8]) -> String {
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    let said = value.get("message").or_else(|| value.get("error"));
    let text = match said {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => "no reason was given".to_owned(),
    };
    let printable = text.chars().filter(|c| !c.is_control());
    printable.take(MESSAGE_CHARS_MAX).collect()
}

async fn read(mut response: Response) -> Result<Vec<u8>, ForgeError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(told)? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(ForgeError::Unreadable);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// An error without the address, which is in the settings.
fn told(error: reqwest::Error) -> ForgeError {
    if error.is_timeout() {
        return ForgeError::TimedOut;
    }
    ForgeError::Unreachable(words(error))
}

/// All that an error says, without the address.
pub(crate) fn words(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

/// The certificate authorities of a file.
pub(crate) fn certificates(file: &PathBuf) -> Result<Vec<reqwest::Certificate>, ForgeError> {
    let bad = |why: &str| ForgeError::Settings(format!("cannot use `{}`: {why}", file.display()));
    let pem = std::fs::read(file).map_err(|error| bad(&error.to_string()))?;
    reqwest::Certificate::from_pem_bundle(&pem).map_err(|_| bad("it is no PEM file"))
}
