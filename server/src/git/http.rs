//! Smart HTTP for gix over reqwest: our trust, our credentials, our deadlines.
//!
//! Invariant: a request goes to the configured host or nowhere; no redirect is followed, so no `Authorization` ever
//! reaches another place. A status other than 200 becomes a typed error before gix sees a byte of the answer.
//! What is deliberately absent: cookies, proxies of the environment, helpers of the user's Git configuration.

use std::any::Any;
use std::io::{BufRead, BufReader, Cursor, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gix_transport::client::blocking_io::http::{GetResponse, Http, PostBodyDataKind, PostResponse};
use reqwest::StatusCode;
use reqwest::blocking::{Client, RequestBuilder, Response};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, LOCATION};

use super::error::{Cause, GitError};
use super::limits::MirrorLimits;
use super::metered::{Meter, Metered};
use super::upstream::Upstream;

/// Largest request we send: wants and haves of a negotiation round are far below it.
const REQUEST_BYTES_MAX: usize = 8 << 20;

/// One HTTP client for one conversation.
pub(crate) struct HttpWire {
    client: Client,
    authorization: Option<HeaderValue>,
    idle: Duration,
    meter: Arc<Meter>,
}

impl HttpWire {
    /// Builds the client; reads the CA file, connects to nothing.
    pub(crate) fn new(
        upstream: &Upstream,
        authorization: Option<&str>,
        limits: &MirrorLimits,
        meter: Arc<Meter>,
    ) -> Result<Self, GitError> {
        let settings = |error: &(dyn std::error::Error + 'static)| {
            GitError::Settings(Cause::chain(error, &meter.secrets))
        };
        let mut builder = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(limits.connect)
            .timeout(limits.idle)
            .referer(false)
            .no_proxy();
        if let Some(file) = &upstream.ca_file {
            builder = builder.tls_certs_only(read_certificates(file)?);
        }
        if let Some(proxy) = &upstream.proxy {
            builder =
                builder.proxy(reqwest::Proxy::all(proxy).map_err(|error| settings(&error.without_url()))?);
        }
        let client = builder.build().map_err(|error| settings(&error.without_url()))?;
        let authorization = authorization
            .map(|text| {
                let mut value = HeaderValue::from_str(text).map_err(|_| {
                    GitError::Settings(Cause::ours("the credentials do not fit into a header"))
                })?;
                value.set_sensitive(true);
                Ok::<_, GitError>(value)
            })
            .transpose()?;
        Ok(Self {
            client,
            authorization,
            idle: limits.idle,
            meter,
        })
    }

    fn prepare(
        &self,
        request: RequestBuilder,
        lines: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> RequestBuilder {
        let mut headers = HeaderMap::new();
        for line in lines {
            let Some((name, value)) = line.as_ref().split_once(':') else {
                continue;
            };
            let parsed = (
                name.trim().parse::<HeaderName>(),
                HeaderValue::from_str(value.trim()),
            );
            if let (Ok(name), Ok(value)) = parsed {
                headers.insert(name, value);
            }
        }
        if let Some(authorization) = &self.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        let wait = self
            .idle
            .min(self.meter.work.remaining())
            .max(Duration::from_millis(1));
        request.headers(headers).timeout(wait)
    }

    fn sender(&self) -> Sender {
        Sender {
            meter: Arc::clone(&self.meter),
            with_credentials: self.authorization.is_some(),
        }
    }
}

impl Http for HttpWire {
    type Headers = Box<dyn BufRead + Send + Unpin>;
    type ResponseBody = Box<dyn BufRead + Send>;
    type PostBody = PostBody;

    fn get(
        &mut self,
        url: &str,
        _base_url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> gix::Result<GetResponse<Self::Headers, Self::ResponseBody>> {
        let request = self.prepare(self.client.get(url), headers);
        let (headers, body) = self.sender().send(request).map_err(gix::Error::from_error)?;
        Ok(GetResponse {
            headers: Box::new(headers),
            body,
        })
    }

    fn post(
        &mut self,
        url: &str,
        _base_url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
        _kind: PostBodyDataKind,
    ) -> gix::Result<PostResponse<Self::Headers, Self::ResponseBody, Self::PostBody>> {
        let request = self.prepare(self.client.post(url), headers);
        let exchange = Exchange {
            state: State::Collecting {
                request: Box::new(request),
                body: Vec::new(),
            },
            sender: self.sender(),
        };
        let exchange = Arc::new(Mutex::new(exchange));
        Ok(PostResponse {
            post_body: PostBody(Arc::clone(&exchange)),
            headers: Box::new(BufReader::new(LateHeaders(Arc::clone(&exchange)))),
            body: Box::new(BufReader::with_capacity(
                64 << 10,
                LateBody { exchange, body: None },
            )),
        })
    }

    fn configure(&mut self, _config: &dyn Any) -> gix::Result<()> {
        Ok(())
    }
}

type Body = Box<dyn BufRead + Send>;

/// Sends one request and turns every failure into a [`GitError`] of the meter.
struct Sender {
    meter: Arc<Meter>,
    with_credentials: bool,
}

impl Sender {
    fn send(&self, request: RequestBuilder) -> std::io::Result<(Cursor<Vec<u8>>, Body)> {
        self.meter
            .work
            .verdict()
            .map_err(|error| self.meter.fail(error))?;
        let response = request
            .send()
            .map_err(|error| self.meter.fail(self.classify(error)))?;
        if let Some(error) = self.refused(&response) {
            return Err(self.meter.fail(error));
        }
        let mut headers = Vec::new();
        for (name, value) in response.headers() {
            headers.extend_from_slice(name.as_str().as_bytes());
            headers.push(b':');
            headers.extend_from_slice(value.as_bytes());
            headers.push(b'\n');
        }
        let body = Metered::new(Answer(response), Arc::clone(&self.meter));
        Ok((
            Cursor::new(headers),
            Box::new(BufReader::with_capacity(64 << 10, body)),
        ))
    }

    fn classify(&self, error: reqwest::Error) -> GitError {
        if let Err(ended) = self.meter.work.verdict() {
            return ended;
        }
        if error.is_timeout() && !error.is_connect() {
            return self.meter.work.timed_out();
        }
        GitError::Unreachable(Cause::chain(&error.without_url(), &self.meter.secrets))
    }

    fn refused(&self, response: &Response) -> Option<GitError> {
        let status = response.status();
        let cause = || Cause::ours(&format!("HTTP status {}", status.as_u16()));
        match status {
            StatusCode::OK => None,
            StatusCode::UNAUTHORIZED if !self.with_credentials => Some(GitError::AuthRequired),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Some(GitError::AuthFailed(cause())),
            StatusCode::NOT_FOUND | StatusCode::GONE => Some(GitError::NotFound(cause())),
            status if status.is_redirection() => Some(GitError::BadAnswer(redirect_cause(response))),
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
                Some(GitError::Unreachable(cause()))
            }
            StatusCode::PROXY_AUTHENTICATION_REQUIRED => Some(GitError::Unreachable(cause())),
            status if status.is_server_error() => Some(GitError::Unreachable(cause())),
            _ => Some(GitError::BadAnswer(cause())),
        }
    }
}

/// The body of an answer, whose time-outs can be told from other failures.
struct Answer(Response);

impl Read for Answer {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer).map_err(|error| {
            let inner = error
                .get_ref()
                .and_then(|inner| inner.downcast_ref::<reqwest::Error>());
            if inner.is_some_and(reqwest::Error::is_timeout) {
                return std::io::ErrorKind::TimedOut.into();
            }
            error
        })
    }
}

/// Names the target without user and query, which often hold a session or a token.
fn redirect_cause(response: &Response) -> Cause {
    let target = response
        .headers()
        .get(LOCATION)
        .and_then(|value| value.to_str().ok());
    let joined = target.and_then(|target| response.url().join(target).ok());
    let place = joined.as_ref().and_then(|url| {
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let path = url.path().trim_end_matches("/info/refs");
        Some(format!("{}://{}{port}{path}", url.scheme(), url.host_str()?))
    });
    let place = place.unwrap_or_else(|| "an unnamed place".to_owned());
    let status = response.status().as_u16();
    Cause::ours(&format!(
        "HTTP status {status} redirects to `{place}`; redirects are not followed, set the final address"
    ))
}

fn read_certificates(file: &std::path::Path) -> Result<Vec<reqwest::Certificate>, GitError> {
    let bad = |why: &str| GitError::Settings(Cause::ours(&format!("cannot use `{}`: {why}", file.display())));
    let pem = std::fs::read(file).map_err(|error| bad(&error.to_string()))?;
    let certificates = reqwest::Certificate::from_pem_bundle(&pem).map_err(|_| bad("it is no PEM file"))?;
    if certificates.is_empty() {
        Err(bad("it holds no certificate"))
    } else {
        Ok(certificates)
    }
}

/// A POST whose body gix writes first, whose answer it reads later: sent at the first read.
struct Exchange {
    state: State,
    sender: Sender,
}

enum State {
    Collecting {
        request: Box<RequestBuilder>,
        body: Vec<u8>,
    },
    Answered {
        headers: Cursor<Vec<u8>>,
        body: Option<Body>,
    },
    Over,
}

impl Exchange {
    fn answer(&mut self) -> std::io::Result<(&mut Cursor<Vec<u8>>, &mut Option<Body>)> {
        if matches!(self.state, State::Collecting { .. })
            && let State::Collecting { request, body } = std::mem::replace(&mut self.state, State::Over)
        {
            let (headers, body) = self.sender.send(request.body(body))?;
            self.state = State::Answered {
                headers,
                body: Some(body),
            };
        }
        match &mut self.state {
            State::Answered { headers, body } => Ok((headers, body)),
            State::Collecting { .. } | State::Over => Err(std::io::Error::other("the request failed before")),
        }
    }
}

/// Collects the body of a POST.
pub(crate) struct PostBody(Arc<Mutex<Exchange>>);

impl Write for PostBody {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut exchange = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let State::Collecting { body, .. } = &mut exchange.state else {
            return Err(std::io::Error::other("the request was sent already"));
        };
        if body.len().saturating_add(bytes.len()) > REQUEST_BYTES_MAX {
            return Err(std::io::Error::other("the request is larger than the limit"));
        }
        body.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

struct LateHeaders(Arc<Mutex<Exchange>>);

impl Read for LateHeaders {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let mut exchange = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        exchange.answer()?.0.read(buffer)
    }
}

struct LateBody {
    exchange: Arc<Mutex<Exchange>>,
    body: Option<Body>,
}

impl Read for LateBody {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.body.is_none() {
            let mut exchange = self.exchange.lock().unwrap_or_else(PoisonError::into_inner);
            self.body = exchange.answer()?.1.take();
        }
        self.body.as_mut().map_or(Ok(0), |body| body.read(buffer))
    }
}
