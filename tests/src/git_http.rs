//! `git http-backend` behind a real HTTP server on port 0, plain or with TLS, with faults to inject.
//!
//! Invariant: every request is recorded with its `Authorization`, so that a test can prove where credentials went.
//! The server stops when it is dropped. What is deliberately absent: any logic of Git; the real back end answers.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use http::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION, WWW_AUTHENTICATE};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::server::TlsStream;

use crate::authority::Authority;

/// What goes wrong with an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// Redirect to this base address, path kept.
    Redirect(String),
    /// This status and a body of HTML.
    Status(u16),
    /// Accept the request and never answer.
    Silent,
    /// Send this many bytes of the body, then nothing more, with the connection open.
    Stall(usize),
    /// Send the body one byte at a time, this far apart.
    Drip(Duration),
    /// Break the connection after this many bytes of the body.
    Truncate(usize),
    /// Wait before answering.
    Delay(Duration),
}

/// Which requests a fault hits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FaultOn {
    /// All of them.
    #[default]
    Every,
    /// Only those that carry a pack.
    Fetch,
    /// Only those that would move a ref.
    Push,
}

/// What a client must present.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Required {
    /// Nothing.
    #[default]
    Nothing,
    /// Exactly this value of the `Authorization` header.
    Header(String),
}

/// One request that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Method and path with query.
    pub line: String,
    /// The `Authorization` header.
    pub authorization: Option<String>,
}

/// A running server.
#[derive(Debug)]
pub struct GitHttp {
    addr: SocketAddr,
    tls: Option<PathBuf>,
    shared: Arc<Shared>,
    runtime: Option<tokio::runtime::Runtime>,
    _files: tempfile::TempDir,
}

#[derive(Debug)]
struct Shared {
    root: PathBuf,
    state: Mutex<Settings>,
}

#[derive(Debug, Default)]
struct Settings {
    fault: Fault,
    on: FaultOn,
    required: Required,
    seen: Vec<Seen>,
}

impl GitHttp {
    /// Serves the repositories below `root` in clear text.
    pub fn plain(root: &Path) -> Self {
        Self::start(root, None)
    }

    /// Serves them with TLS, under a certificate of an authority of its own.
    pub fn tls(root: &Path) -> Self {
        let (config, ca) = certificate();
        Self::start(root, Some((config, ca)))
    }

    fn start(root: &Path, tls: Option<(ServerConfig, String)>) -> Self {
        let files = tempfile::tempdir().expect("a temporary directory");
        let shared = Arc::new(Shared {
            root: root.to_owned(),
            state: Mutex::default(),
        });
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build();
        let runtime = runtime.expect("a runtime");
        let listener = runtime
            .block_on(TcpListener::bind("127.0.0.1:0"))
            .expect("a free port");
        let addr = listener.local_addr().expect("a bound port");
        let app = axum::Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&shared));
        let ca_file = tls.as_ref().map(|(_, pem)| {
            let file = files.path().join("ca.pem");
            std::fs::write(&file, pem).expect("the CA file is written");
            file
        });
        match tls {
            None => drop(runtime.spawn(async move { axum::serve(listener, app).await })),
            Some((config, _)) => {
                let acceptor = TlsAcceptor::from(Arc::new(config));
                drop(
                    runtime.spawn(async move { axum::serve(TlsListener { listener, acceptor }, app).await }),
                );
            }
        }
        Self {
            addr,
            tls: ca_file,
            shared,
            runtime: Some(runtime),
            _files: files,
        }
    }

    /// `http://127.0.0.1:PORT` or `https://localhost:PORT`.
    pub fn base(&self) -> String {
        match self.tls {
            None => format!("http://{}", self.addr),
            Some(_) => format!("https://localhost:{}", self.addr.port()),
        }
    }

    /// The address of the repository that [`TestOrigin`](crate::origin::TestOrigin) makes.
    pub fn url(&self) -> String {
        format!("{}/origin.git", self.base())
    }

    /// The authority's certificate, if the server has TLS.
    pub fn ca_file(&self) -> Option<&Path> {
        self.tls.as_deref()
    }

    /// Injects a fault into every answer from now on.
    pub fn fail_with(&self, fault: Fault) {
        self.fail_on(FaultOn::Every, fault);
    }

    /// Injects a fault into some answers from now on.
    pub fn fail_on(&self, on: FaultOn, fault: Fault) {
        let mut state = self.shared.lock();
        (state.fault, state.on) = (fault, on);
    }

    /// Asks for credentials from now on.
    pub fn require(&self, required: Required) {
        self.shared.lock().required = required;
    }

    /// All requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.lock().seen.clone()
    }
}

impl Drop for GitHttp {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Stalled answers never end, so they are not waited for.
            runtime.shutdown_background();
        }
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Settings> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Infallible> {
    let line = format!("{} {}", request.method(), request.uri());
    let header = request
        .headers()
        .get(AUTHORIZATION)
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let path = request
        .uri()
        .path_and_query()
        .map(ToString::to_string)
        .unwrap_or_default();
    let fetches = request.method() == http::Method::POST;
    let (fault, required) = {
        let mut state = shared.lock();
        state.seen.push(Seen {
            line,
            authorization: header.clone(),
        });
        (state.fault.clone(), state.required.clone())
    };
    if let Required::Header(wanted) = &required
        && header.as_ref() != Some(wanted)
    {
        let refused = Response::builder()
            .status(StatusCode::UNAUTHORIZED)
            .header(WWW_AUTHENTICATE, "Basic realm=\"x\"");
        return Ok(refused.body(Body::from("no")).expect("a response"));
    }
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 64 << 20).await.unwrap_or_default();
    let is_fetch = fetches && body.windows(13).any(|part| part == b"command=fetch");
    let is_push = fetches && parts.uri.path().ends_with("/git-receive-pack");
    let hit = match shared.lock().on {
        FaultOn::Every => true,
        FaultOn::Fetch => is_fetch,
        FaultOn::Push => is_push,
    };
    let fault = if hit { fault } else { Fault::None };
    match fault {
        Fault::Redirect(base) => {
            let moved = Response::builder()
                .status(StatusCode::FOUND)
                .header(LOCATION, format!("{base}{path}"));
            Ok(moved.body(Body::empty()).expect("a response"))
        }
        Fault::Status(status) => {
            let page = Body::from("<html>\u{1b}[31mno</html>");
            Ok(Response::builder()
                .status(status)
                .header(CONTENT_TYPE, "text/html")
                .body(page)
                .expect("a response"))
        }
        Fault::Silent => std::future::pending().await,
        Fault::Delay(wait) => {
            tokio::time::sleep(wait).await;
            Ok(backend(&shared.root, &parts, &body, &Fault::None).await)
        }
        fault @ (Fault::None | Fault::Stall(_) | Fault::Drip(_) | Fault::Truncate(_)) => {
            Ok(backend(&shared.root, &parts, &body, &fault).await)
        }
    }
}

/// Runs `git http-backend` as a CGI program.
async fn backend(root: &Path, parts: &http::request::Parts, body: &[u8], fault: &Fault) -> Response {
    let header = |name: &str| {
        parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    let mut command = tokio::process::Command::from(crate::origin::git());
    command
        .args(["-c", "safe.directory=*", "http-backend"])
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", parts.uri.path())
        .env("QUERY_STRING", parts.uri.query().unwrap_or_default())
        .env("REQUEST_METHOD", parts.method.as_str())
        .env("CONTENT_TYPE", header("content-type"))
        .env("GIT_PROTOCOL", header("git-protocol"))
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let mut child = command.spawn().expect("git http-backend runs");
    let mut stdin = child.stdin.take().expect("stdin is piped");
    let (written, output) = tokio::join!(
        async {
            let written = stdin.write_all(body).await;
            drop(stdin);
            written
        },
        child.wait_with_output()
    );
    let output = output.expect("git http-backend ends");
    // A back end that answers before it has read everything closes its input; that is its right.
    written.ok();
    let at = output
        .stdout
        .windows(4)
        .position(|part| part == b"\r\n\r\n")
        .unwrap_or(0);
    let (head, rest) = output
        .stdout
        .split_at_checked(at + 4)
        .unwrap_or((&[], &output.stdout));
    let mut response = Response::builder();
    for line in String::from_utf8_lossy(head).lines() {
        let Some((name, value)) = line.split_once(": ") else {
            continue;
        };
        response = match name {
            "Status" => response.status(value.split(' ').next().unwrap_or("500")),
            _ => response.header(name, value),
        };
    }
    response.body(faulty(rest.to_vec(), fault)).expect("a response")
}

fn faulty(bytes: Vec<u8>, fault: &Fault) -> Body {
    let part = |count: usize| bytes.get(..count.min(bytes.len())).unwrap_or_default().to_vec();
    match fault {
        Fault::Stall(count) => streamed(vec![part(*count)], Duration::ZERO, Ending::Never),
        Fault::Truncate(count) => streamed(vec![part(*count)], Duration::ZERO, Ending::Broken),
        Fault::Drip(wait) => streamed(
            bytes.iter().map(|byte| vec![*byte]).collect(),
            *wait,
            Ending::Proper,
        ),
        Fault::None | Fault::Redirect(_) | Fault::Status(_) | Fault::Silent | Fault::Delay(_) => {
            Body::from(bytes)
        }
    }
}

#[derive(Clone, Copy)]
enum Ending {
    Proper,
    Never,
    Broken,
}

fn streamed(chunks: Vec<Vec<u8>>, wait: Duration, ending: Ending) -> Body {
    let chunks = chunks.into_iter();
    Body::from_stream(futures_util::stream::unfold(
        (chunks, false),
        move |(mut chunks, ended)| async move {
            if ended {
                return None;
            }
            tokio::time::sleep(wait).await;
            match (chunks.next(), ending) {
                (Some(chunk), _) => Some((Ok(Bytes::from(chunk)), (chunks, false))),
                (None, Ending::Proper) => None,
                (None, Ending::Never) => std::future::pending().await,
                (None, Ending::Broken) => {
                    Some((Err(std::io::Error::other("broken on purpose")), (chunks, true)))
                }
            }
        },
    ))
}

/// Shakes hands before a connection is given to the server; clients that refuse our certificate are dropped.
struct TlsListener {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl axum::serve::Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let Ok((stream, addr)) = self.listener.accept().await else {
                continue;
            };
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, addr);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// A server configuration for `localhost` and the PEM of the authority that vouches for it.
pub fn certificate() -> (ServerConfig, String) {
    let authority = Authority::new();
    let server = authority.signs_host(&["localhost", "127.0.0.1"]);
    let provider = tokio_rustls::rustls::crypto::ring::default_provider();
    let config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .expect("protocol versions")
        .with_no_client_auth()
        .with_single_cert(
            vec![server.der.into()],
            PrivateKeyDer::Pkcs8(server.key_der.into()),
        )
        .expect("a server configuration");
    (config, authority.pem().to_owned())
}
