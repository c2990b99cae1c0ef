//! One request and its answer: deadlines, limits, and errors told apart.
//!
//! Invariant: every wait has a deadline and every body a limit. What is deliberately absent: redirects, which could
//! carry the token to another host, and retries, since only the caller knows what may be repeated.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, LOCATION, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use tokio::time::timeout;

use crate::address::{PathBuilder, ServerAddress};
use crate::builder::Deadlines;
use crate::error::{ApiError, Stage};
use crate::secret::BearerToken;

/// Longest answer, in bytes; the server's own limit for one file is far below.
const BODY_BYTES_MAX: usize = 16 << 20;
/// Largest backup.
const BACKUP_BYTES_MAX: usize = 1 << 30;
/// Longest description of an error, in bytes.
const PROBLEM_BYTES_MAX: usize = 1 << 20;
/// A client of one server, shared by all clones of an `Api`.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    pub(crate) address: ServerAddress,
    pub(crate) token: Option<BearerToken>,
    pub(crate) deadlines: Deadlines,
}

/// One request before it is sent.
#[derive(Debug)]
pub(crate) struct Call {
    method: Method,
    path: PathBuilder,
    headers: HeaderMap,
    body: Bytes,
    wait: Duration,
}

impl Call {
    pub(crate) fn get(path: PathBuilder) -> Self {
        let headers = HeaderMap::new();
        Self {
            method: Method::GET,
            path,
            headers,
            body: Bytes::new(),
            wait: Duration::ZERO,
        }
    }

    pub(crate) fn post(path: PathBuilder, json: Vec<u8>) -> Self {
        let mut call = Self::get(path).header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        call.method = Method::POST;
        call.body = json.into();
        call
    }

    pub(crate) fn put(path: PathBuilder, json: Vec<u8>) -> Self {
        let mut call = Self::post(path, json);
        call.method = Method::PUT;
        call
    }

    pub(crate) fn delete(path: PathBuilder) -> Self {
        let mut call = Self::get(path);
        call.method = Method::DELETE;
        call
    }

    pub(crate) fn header(mut self, name: http::HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// How long the server was asked to hold the answer.
    pub(crate) fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }
}

impl Connection {
    pub(crate) fn server(&self) -> String {
        self.address.to_string()
    }

    /// Sends the request; an answer with a status of 400 or more, or a redirect, is an error.
    pub(crate) async fn send(&self, call: Call) -> Result<Response<Incoming>, ApiError> {
        let response = self.exchange(call).await?;
        let status = response.status();
        if status.is_success() || status == StatusCode::NOT_MODIFIED {
            Ok(response)
        } else {
            Err(self.refusal(response).await)
        }
    }

    /// Sends the request, whose answer must turn the connection into one of another protocol.
    pub(crate) async fn upgrade(&self, call: Call) -> Result<Response<Incoming>, ApiError> {
        let response = self.exchange(call).await?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            Ok(response)
        } else {
            Err(self.refusal(response).await)
        }
    }

    async fn exchange(&self, call: Call) -> Result<Response<Incoming>, ApiError> {
        let Call {
            method,
            path,
            headers,
            body,
            wait,
        } = call;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = self.address.uri(&path)?;
        *request.headers_mut() = headers;
        let headers = request.headers_mut();
        headers.entry(ACCEPT).or_insert(HeaderValue::from_static(
            "application/json, application/problem+json",
        ));
        let agent = concat!("headwater-client/", env!("CARGO_PKG_VERSION"));
        headers.insert(USER_AGENT, HeaderValue::from_static(agent));
        if let Some(token) = &self.token {
            headers.insert(AUTHORIZATION, token.header());
        }
        let waited = self.deadlines.answer + wait;
        match timeout(waited, self.client.request(request)).await {
            Err(_) => Err(self.timed_out(Stage::Answer, waited)),
            Ok(Err(error)) => Err(self.connection_error(&error)),
            Ok(Ok(response)) => Ok(response),
        }
    }

    pub(crate) fn timed_out(&self, stage: Stage, waited: Duration) -> ApiError {
        ApiError::TimedOut {
            server: self.server(),
            stage,
            waited,
        }
    }

    /// The whole body of a backup, which may be larger than others.
    pub(crate) async fn backup_body(&self, response: Response<Incoming>) -> Result<Bytes, ApiError> {
        self.body_within(response.into_body(), BACKUP_BYTES_MAX).await
    }

    /// The whole body, within the limit and the deadlines.
    pub(crate) async fn body(&self, response: Response<Incoming>) -> Result<Bytes, ApiError> {
        self.body_within(response.into_body(), BODY_BYTES_MAX).await
    }

    async fn body_within(&self, body: Incoming, limit: usize) -> Result<Bytes, ApiError> {
        let waited = self.deadlines.body;
        timeout(waited, self.read_pieces(body, limit))
            .await
            .map_err(|_| self.timed_out(Stage::Body, waited))?
    }

    async fn read_pieces(&self, mut body: Incoming, limit: usize) -> Result<Bytes, ApiError> {
        let too_large = || ApiError::TooLarge {
            server: self.server(),
            limit,
        };
        if body.size_hint().lower() > limit as u64 {
            return Err(too_large());
        }
        let mut read = Vec::new();
        let waited = self.deadlines.body_idle;
        loop {
            let frame = match timeout(waited, body.frame()).await {
                Err(_) => return Err(self.timed_out(Stage::Body, waited)),
                Ok(None) => return Ok(read.into()),
                Ok(Some(frame)) => frame.map_err(|error| self.cut_off(error))?,
            };
            if let Some(piece) = frame.data_ref() {
                if read.len() + piece.len() > limit {
                    return Err(too_large());
                }
                read.extend_from_slice(piece);
            }
        }
    }

    pub(crate) fn cut_off(&self, error: impl Into<Box<dyn Error + Send + Sync>>) -> ApiError {
        ApiError::CutOff {
            server: self.server(),
            source: error.into(),
        }
    }

    pub(crate) fn malformed(
        &self,
        expected: &'static str,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> ApiError {
        ApiError::Malformed {
            server: self.server(),
            expected,
            source: source.into(),
        }
    }

    /// What an error answer says: a problem of Headwater, or somebody else's page.
    async fn refusal(&self, response: Response<Incoming>) -> ApiError {
        let (head, body) = response.into_parts();
        let text = |name| {
            head.headers
                .get(name)
                .and_then(|value: &HeaderValue| value.to_str().ok())
        };
        let retry_after = text(RETRY_AFTER)
            .and_then(|text| text.parse().ok())
            .map(Duration::from_secs);
        let location = text(LOCATION).map(|text| text.chars().take(200).collect());
        let body = self
            .body_within(body, PROBLEM_BYTES_MAX)
            .await
            .unwrap_or_default();
        match serde_json::from_slice(&body) {
            Ok(problem) => ApiError::Problem {
                problem: Box::new(problem),
                retry_after,
            },
            Err(_) => ApiError::Status {
                server: self.server(),
                status: head.status.as_u16(),
                location,
                retry_after,
            },
        }
    }

    /// Tells a refused connection, a bad certificate, a silent host and a babbling one apart.
    fn connection_error(&self, error: &hyper_util::client::legacy::Error) -> ApiError {
        let server = self.server();
        let connecting = error.is_connect();
        let causes = causes(error);
        let io = causes
            .iter()
            .find_map(|cause| cause.downcast_ref::<std::io::Error>());
        if causes.iter().any(|cause| is_tls(*cause)) {
            return ApiError::Untrusted {
                server,
                source: innermost(&causes),
            };
        }
        if connecting && io.is_some_and(|io| io.kind() == std::io::ErrorKind::TimedOut) {
            return ApiError::TimedOut {
                server,
                stage: Stage::Connect,
                waited: self.deadlines.connect,
            };
        }
        if connecting {
            return ApiError::Unreachable {
                server,
                source: innermost(&causes),
            };
        }
        let parse = causes
            .iter()
            .filter_map(|cause| cause.downcast_ref::<hyper::Error>())
            .any(hyper::Error::is_parse);
        if parse {
            return ApiError::Malformed {
                server,
                expected: "an HTTP answer",
                source: innermost(&causes),
            };
        }
        ApiError::CutOff {
            server,
            source: innermost(&causes),
        }
    }
}

/// The error and everything below it, also what an `io::Error` wraps without naming it as its source.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> Vec<&'a (dyn Error + 'static)> {
    let mut causes = vec![error];
    while let Some(last) = causes.last().copied() {
        let wrapped = last
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref);
        let next = match wrapped {
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => last.source(),
        };
        match next {
            Some(next) => causes.push(next),
            None => break,
        }
    }
    causes
}

fn is_tls(cause: &(dyn Error + 'static)) -> bool {
    cause.is::<rustls::Error>()
}

/// The cause that says most, as a text: the chain above it only says where it was noticed.
fn innermost(causes: &[&(dyn Error + 'static)]) -> Box<dyn Error + Send + Sync> {
    causes.last().map(ToString::to_string).unwrap_or_default().into()
}
