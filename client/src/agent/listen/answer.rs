//! What is asked, and what is answered.

use std::time::Duration;

use bytes::Bytes;
use headwater_wire::ConfigName;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};

use crate::agent::board::Board;
use crate::agent::format::{FileFormat, FormatWord};
use crate::agent::switch::{Change, chain};

/// A body of an answer.
pub(super) type Body = Full<Bytes>;

/// Longest wait, in seconds, as at the server.
const WAIT_SECONDS_MAX: u64 = 300;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error("this address is for programs on this machine, which call it `localhost` or `127.0.0.1`")]
    Host,
    #[error("this address is not for web pages of other origins")]
    Origin,
    #[error("there is nothing at this address")]
    Path,
    #[error("this method is not allowed here")]
    Method,
    #[error("this agent has no config `{0}`")]
    Config(ConfigName),
    #[error("config `{0}` has no value yet")]
    NoValue(ConfigName),
    #[error("no value yet for {}", names(.0))]
    NotReady(Vec<ConfigName>),
    #[error("there is no value at `{0}`")]
    Pointer(String),
    #[error("{0}")]
    Parameter(&'static str),
    #[error("{0}")]
    Format(String),
}

fn names(configs: &[ConfigName]) -> String {
    let names: Vec<String> = configs.iter().map(|config| format!("`{config}`")).collect();
    names.join(", ")
}

impl Trouble {
    fn kind(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Host => (
                StatusCode::MISDIRECTED_REQUEST,
                "not_this_machine",
                "use `http://127.0.0.1:PORT`",
            ),
            Self::Origin => (
                StatusCode::FORBIDDEN,
                "other_origin",
                "ask from a program, not from a page",
            ),
            Self::Path => (
                StatusCode::NOT_FOUND,
                "no_such_address",
                "there are /v1/configs, /v1/configs/{config}, /status, /livez and /readyz",
            ),
            Self::Method => (
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "use GET, or POST to /v1/configs/{config}/retry",
            ),
            Self::Config(_) => (
                StatusCode::NOT_FOUND,
                "config_not_found",
                "name it with `--config` when the agent is started",
            ),
            Self::NoValue(_) | Self::NotReady(_) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "no_value",
                "/status says what the agent waits for",
            ),
            Self::Pointer(_) => (
                StatusCode::NOT_FOUND,
                "pointer_not_found",
                "leave out `pointer` to see the whole document",
            ),
            Self::Parameter(_) => (StatusCode::BAD_REQUEST, "invalid_parameter", "see docs/agent.md"),
            Self::Format(_) => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "not_renderable",
                "ask for `format=json`, which holds every document",
            ),
        }
    }
}

/// The parameters of a read.
#[derive(Debug, Default)]
pub(super) struct Query {
    pub(super) wait: Duration,
    pointer: Option<String>,
    format: Option<FormatWord>,
    if_none_match: Option<String>,
}

impl Query {
    pub(super) fn of<B>(request: &Request<B>) -> Result<Self, Trouble> {
        let mut query = Self {
            if_none_match: held(request.headers()),
            ..Self::default()
        };
        let text = request.uri().query().unwrap_or_default();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = decoded(value)?;
            match name {
                "wait" => query.wait = wait(&value)?,
                "pointer" if value.is_empty() || value.starts_with('/') => query.pointer = Some(value),
                "pointer" => {
                    return Err(Trouble::Parameter(
                        "a JSON pointer begins with a slash, such as `/pool/max`",
                    ));
                }
                "format" => query.format = Some(value.parse().map_err(Trouble::Parameter)?),
                _ => {
                    return Err(Trouble::Parameter(
                        "the parameters are `wait`, `pointer` and `format`",
                    ));
                }
            }
        }
        Ok(query)
    }

    /// Whether the caller has this already.
    pub(super) fn holds(&self, change: &Change) -> bool {
        self.if_none_match.as_deref() == Some(&tag(change))
    }
}

fn wait(value: &str) -> Result<Duration, Trouble> {
    match value.parse() {
        Ok(seconds @ 1..=WAIT_SECONDS_MAX) => Ok(Duration::from_secs(seconds)),
        Ok(_) | Err(_) => Err(Trouble::Parameter("`wait` is a number of seconds, 1 to 300")),
    }
}

fn decoded(value: &str) -> Result<String, Trouble> {
    percent_encoding::percent_decode_str(&value.replace('+', " "))
        .decode_utf8()
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| Trouble::Parameter("a parameter is not UTF-8"))
}

/// The token without quotes and without `W/`.
fn held(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(IF_NONE_MATCH)?.to_str().ok()?.trim();
    Some(text.trim_start_matches("W/").trim_matches('"').to_owned())
}

/// Another tag for another version, even if the content is the same.
fn tag(change: &Change) -> String {
    let digest = change.digest.hex().get(..20).unwrap_or_default();
    format!("{}-{digest}", change.version.short())
}

/// An answer that is none of trouble.
#[derive(Debug)]
pub(super) struct Answer {
    status: StatusCode,
    content_type: &'static str,
    body: String,
    etag: Option<String>,
    version: Option<String>,
}

impl Answer {
    fn of(content_type: &'static str, body: String) -> Self {
        Self {
            status: StatusCode::OK,
            content_type,
            body,
            etag: None,
            version: None,
        }
    }

    pub(super) fn text(text: &str) -> Self {
        Self::of("text/plain; charset=utf-8", text.to_owned())
    }

    pub(super) fn json(value: &Value) -> Self {
        Self::of("application/json", format!("{value}\n"))
    }

    /// It was heard, and what comes of it shows in the status.
    pub(super) fn accepted() -> Self {
        Self {
            status: StatusCode::ACCEPTED,
            ..Self::json(&json!({ "state": "retrying" }))
        }
    }

    fn about(mut self, change: &Change) -> Self {
        self.etag = Some(format!("\"{}\"", tag(change)));
        self.version = Some(change.version.to_string());
        self
    }
}

/// All configs that are in use.
pub(super) fn list(board: &Board) -> Answer {
    let configs: Vec<Value> = board.iter().map(summary).collect();
    Answer::json(&json!({ "configs": configs }))
}

fn summary(change: &Change) -> Value {
    json!({
        "name": change.config, "version": change.version, "digest": change.digest, "source": change.source.as_str(),
    })
}

/// One config, or a part of it.
pub(super) fn config(change: &Change, query: &Query) -> Result<Answer, Trouble> {
    let value = match &query.pointer {
        Some(pointer) => change
            .document
            .pointer(pointer)
            .ok_or_else(|| Trouble::Pointer(pointer.clone()))?,
        None => &change.document,
    };
    let answer = match (query.format, &query.pointer) {
        (Some(word), _) => rendered(value, word)?,
        (None, Some(_)) => Answer::json(value),
        (None, None) => Answer::json(&json!({
            "config": change.config, "version": change.version, "digest": change.digest,
            "source": change.source.as_str(), "document": value,
        })),
    };
    Ok(answer.about(change))
}

fn rendered(value: &Value, word: FormatWord) -> Result<Answer, Trouble> {
    let format = match word {
        FormatWord::Document(format) => FileFormat::Document(format),
        FormatWord::Env => FileFormat::Env {
            prefix: String::new(),
        },
        FormatWord::Properties => FileFormat::Properties,
    };
    match format.text(value) {
        Ok(text) => Ok(Answer::of(format.content_type(), text)),
        Err(error) => Err(Trouble::Format(chain(&error))),
    }
}

/// The caller has the newest one.
pub(super) fn unchanged(change: &Change) -> Answer {
    Answer {
        status: StatusCode::NOT_MODIFIED,
        ..Answer::text("").about(change)
    }
}

/// An answer as HTTP.
pub(super) fn response(method: &Method, result: Result<Answer, Trouble>) -> Response<Body> {
    let answer = result.unwrap_or_else(|trouble| {
        let (status, code, hint) = trouble.kind();
        let problem = json!({
            "status": status.as_u16(), "code": code, "title": trouble.to_string(), "hint": hint,
        });
        Answer {
            status,
            content_type: "application/problem+json",
            ..Answer::json(&problem)
        }
    });
    let mut response = Response::builder()
        .status(answer.status)
        .header(CACHE_CONTROL, "no-store")
        .header("x-content-type-options", "nosniff");
    if answer.status != StatusCode::NOT_MODIFIED {
        response = response.header(CONTENT_TYPE, answer.content_type);
    }
    if answer.status == StatusCode::METHOD_NOT_ALLOWED {
        response = response.header(ALLOW, "GET, HEAD, POST");
    }
    for (name, value) in [
        (ETAG.as_str(), answer.etag),
        ("headwater-version", answer.version),
    ] {
        if let Some(value) = value {
            response = response.header(name, value);
        }
    }
    let body = if *method == Method::HEAD {
        String::new()
    } else {
        answer.body
    };
    response
        .body(Full::new(Bytes::from(body)))
        .unwrap_or_else(|_| Response::new(Full::default()))
}
