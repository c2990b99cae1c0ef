//! How a client is set up: address, token, trusted authorities, deadlines.
//!
//! Invariant: a client that was built can be asked at once; nothing is connected before the first call.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::address::{AddressError, ServerAddress};
use crate::api::Api;
use crate::http::Connection;
use crate::identity::ClientIdentity;
use crate::secret::BearerToken;

/// Idle connections are closed before the server or a proxy does, which is usually after a minute.
const POOL_IDLE: Duration = Duration::from_secs(30);
/// Idle connections kept; a client talks to one server, a call at a time.
const POOL_IDLE_MAX: usize = 2;

/// How long each part of a call may take.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// Until the connection stands, name look-up included.
    pub connect: Duration,
    /// Until the first line of the answer, on top of the wait of a long poll.
    pub answer: Duration,
    /// Between two pieces of an answer.
    pub body_idle: Duration,
    /// Until the answer is whole, so that a byte now and then does not hold a call for ever.
    pub body: Duration,
    /// Between two pieces of an event stream; the server says something every 15 s ± 20 %.
    pub stream_idle: Duration,
    /// How long the server is asked to hold a long poll. Less than what a proxy in between allows a request that says
    /// nothing, which is often a minute.
    pub long_poll: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            answer: Duration::from_secs(10),
            body_idle: Duration::from_secs(10),
            body: Duration::from_mins(1),
            stream_idle: Duration::from_secs(40),
            long_poll: Duration::from_secs(50),
        }
    }
}

/// Why a client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The address is not one.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The name of the repository or of the instance is none.
    #[error(transparent)]
    Name(headwater_wire::IdError),
    /// The file of certificates has none, or a broken one.
    #[error("cannot read the certificates of the authority")]
    Authority(#[source] Box<dyn Error + Send + Sync>),
    /// The certificate of the client or its key cannot be used.
    #[error("cannot use the certificate of this client")]
    Identity(#[source] Box<dyn Error + Send + Sync>),
    /// This system has no trusted certificates.
    #[error("cannot find the certificates that this system trusts")]
    SystemRoots(#[source] std::io::Error),
    /// TLS cannot be set up.
    #[error("cannot set up TLS")]
    Tls(#[source] rustls::Error),
}

impl SetupError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Address(error) => error.hint(),
            Self::Name(_) => {
                "a repository has lower-case letters, digits, `.`, `_`, `-`; an instance letters, digits, `.`, `_`, `:`, `-`, and is not `.` or `..`"
            }
            Self::Authority(_) => {
                "the file must hold PEM blocks that begin with `-----BEGIN CERTIFICATE-----`"
            }
            Self::Identity(_) => "name PEM files of a certificate and of the key that belongs to it",
            Self::SystemRoots(_) => {
                "install the system's certificates, or name a file of them with `--ca-file`"
            }
            Self::Tls(_) => "this is a fault of the client; please report it",
        }
    }
}

/// Collects what a client needs; see [`Api::builder`].
#[derive(Debug)]
pub struct ApiBuilder {
    server: String,
    token: Option<BearerToken>,
    ca_pem: Option<Vec<u8>>,
    identity: Option<ClientIdentity>,
    deadlines: Deadlines,
}

impl ApiBuilder {
    pub(crate) fn new(server: &str) -> Self {
        Self {
            server: server.to_owned(),
            token: None,
            ca_pem: None,
            identity: None,
            deadlines: Deadlines::default(),
        }
    }

    /// Sends this token with every request.
    #[must_use]
    pub fn token(mut self, token: Option<BearerToken>) -> Self {
        self.token = token;
        self
    }

    /// Trusts the authorities in this PEM text, and no longer those of the system.
    #[must_use]
    pub fn ca_pem(mut self, pem: Option<Vec<u8>>) -> Self {
        self.ca_pem = pem;
        self
    }

    /// Shows this certificate to servers that ask for one.
    #[must_use]
    pub fn client_identity(mut self, identity: Option<ClientIdentity>) -> Self {
        self.identity = identity;
        self
    }

    /// Other deadlines than the usual ones.
    #[must_use]
    pub fn deadlines(mut self, deadlines: Deadlines) -> Self {
        self.deadlines = deadlines;
        self
    }

    /// The client. Nothing is connected yet.
    pub fn build(self) -> Result<Api, SetupError> {
        let address: ServerAddress = self.server.parse()?;
        let connector = connector(
            &address,
            (self.ca_pem.as_deref(), self.identity.as_ref()),
            self.deadlines.connect,
        )?;
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(POOL_IDLE)
            .pool_max_idle_per_host(POOL_IDLE_MAX)
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .build(connector);
        let connection = Connection {
            client,
            address,
            token: self.token,
            deadlines: self.deadlines,
        };
        Ok(Api::new(Arc::new(connection)))
    }
}

fn connector(
    address: &ServerAddress,
    (ca_pem, identity): (Option<&[u8]>, Option<&ClientIdentity>),
    connect: Duration,
) -> Result<HttpsConnector<HttpConnector>, SetupError> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(connect));
    let provider = rustls::crypto::ring::default_provider();
    let config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .map_err(SetupError::Tls)?;
    let config = match ca_pem {
        // A client without HTTPS works on a system without certificates.
        None if address.is_https() => config.with_native_roots().map_err(SetupError::SystemRoots)?,
        pem => config.with_root_certificates(roots(pem)?),
    };
    let config = match identity {
        None => config.with_no_client_auth(),
        Some(identity) => {
            let (certs, key) = identity.read()?;
            config
                .with_client_auth_cert(certs, key)
                .map_err(|error| SetupError::Identity(error.into()))?
        }
    };
    let builder = HttpsConnectorBuilder::new().with_tls_config(config);
    Ok(builder.https_or_http().enable_http1().wrap_connector(tcp))
}

fn roots(pem: Option<&[u8]>) -> Result<RootCertStore, SetupError> {
    let mut roots = RootCertStore::empty();
    let Some(pem) = pem else { return Ok(roots) };
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| SetupError::Authority(error.to_string().into()))?;
        roots
            .add(certificate)
            .map_err(|error| SetupError::Authority(error.into()))?;
    }
    if roots.is_empty() {
        Err(SetupError::Authority("there is no certificate in it".into()))
    } else {
        Ok(roots)
    }
}
