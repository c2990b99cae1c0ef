//! From files to what handshakes are made with.
//!
//! Invariant: what was read is whole and fits together; everything that is wrong is told at once, and no line of a file
//! is repeated.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use headwater_wire::Timestamp;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig};

use super::presented::ends;
use super::{SOON_MS, TlsError};
use crate::settings::{ClientCertificates, TlsSettings};

/// Largest file, in bytes; lists of what was taken back can be long.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// Protocols over TLS, the preferred one first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

const CERTIFICATE: &str = "certificate of the service";
const KEY: &str = "key of the service";
const AUTHORITIES: &str = "list of authorities of clients";
const TAKEN_BACK: &str = "list of certificates that were taken back";

/// What was read, and what was made of it.
#[derive(Debug)]
pub(crate) struct Material {
    config: Arc<ServerConfig>,
    /// The bytes it was made of, to tell other files from the same.
    files: Vec<Vec<u8>>,
    cert_file: PathBuf,
    expires: Timestamp,
}

/// The files as they were read; `None` where one is not named.
struct Files {
    cert: Vec<u8>,
    key: Vec<u8>,
    authorities: Option<Vec<u8>>,
    taken_back: Option<Vec<u8>>,
}

impl Material {
    /// Reads the files of the settings.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub(crate) fn read(settings: &TlsSettings) -> Result<Self, Vec<TlsError>> {
        let files = Files::read(settings)?;
        let mut failed = Vec::new();
        let certs = keep(&mut failed, certificates(&settings.cert_file, &files.cert));
        let key = keep(&mut failed, key(&settings.key_file, &files.key));
        let verifier = keep(&mut failed, verifier(&settings.clients, &files));
        let (Some(certs), Some(key), Some(verifier)) = (certs, key, verifier) else {
            return Err(failed);
        };
        let expires = certs.first().and_then(ends).unwrap_or(Timestamp(i64::MAX));
        let config = config(settings, (certs, key), verifier).map_err(|error| vec![error])?;
        let Files {
            cert,
            key,
            authorities,
            taken_back,
        } = files;
        Ok(Self {
            config: Arc::new(config),
            files: vec![
                cert,
                key,
                authorities.unwrap_or_default(),
                taken_back.unwrap_or_default(),
            ],
            cert_file: settings.cert_file.clone(),
            expires,
        })
    }

    /// What a handshake is made with.
    pub(super) fn config(&self) -> Arc<ServerConfig> {
        self.config.clone()
    }

    /// When the certificate ends.
    pub(super) fn expires(&self) -> Timestamp {
        self.expires
    }

    /// Whether it was made of the same bytes.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.files == other.files
    }

    /// What a person should know of it.
    pub(super) fn warning(&self, now: Timestamp) -> Option<String> {
        let path = self.cert_file.display();
        let left = self.expires.0.saturating_sub(now.0);
        if left <= 0 {
            return Some(format!(
                "the certificate in `{path}` expired on {}; no client takes it",
                self.expires
            ));
        }
        (left < SOON_MS).then(|| format!("the certificate in `{path}` expires on {}", self.expires))
    }
}

impl Files {
    fn read(settings: &TlsSettings) -> Result<Self, Vec<TlsError>> {
        let mut failed = Vec::new();
        let cert = keep(&mut failed, bytes(CERTIFICATE, &settings.cert_file));
        let key = keep(&mut failed, bytes(KEY, &settings.key_file));
        let (authorities, taken_back) = match &settings.clients {
            ClientCertificates::Off => (None, None),
            ClientCertificates::Asked {
                ca_file, crl_file, ..
            } => (
                keep(&mut failed, bytes(AUTHORITIES, ca_file)),
                crl_file
                    .as_ref()
                    .and_then(|file| keep(&mut failed, bytes(TAKEN_BACK, file))),
            ),
        };
        match (cert, key) {
            (Some(cert), Some(key)) if failed.is_empty() => Ok(Self {
                cert,
                key,
                authorities,
                taken_back,
            }),
            _ => Err(failed),
        }
    }
}

fn keep<T>(failed: &mut Vec<TlsError>, result: Result<T, TlsError>) -> Option<T> {
    result.map_err(|error| failed.push(error)).ok()
}

fn bytes(what: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    let failed = |message: String| TlsError::File {
        what,
        path: path.to_owned(),
        message,
    };
    // A pipe would keep whoever opens it, and a device has no end.
    let file = std::fs::metadata(path).map_err(|error| failed(error.to_string()))?;
    if !file.is_file() {
        return Err(failed("it is no file".to_owned()));
    }
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut bytes))
        .map_err(|error| failed(error.to_string()))?;
    Ok(bytes)
}

/// All blocks of one kind in a file; at least one.
fn blocks<T: PemObject>(what: &'static str, path: &Path, bytes: &[u8]) -> Result<Vec<T>, TlsError> {
    let failed = |message: String| TlsError::Form {
        what,
        path: path.to_owned(),
        message,
    };
    let read: Result<Vec<T>, _> = T::pem_slice_iter(bytes).collect();
    let read = read.map_err(|_| failed("a block of it is damaged".to_owned()))?;
    if read.is_empty() {
        return Err(failed("there is no such block in it".to_owned()));
    }
    Ok(read)
}

fn certificates(path: &Path, bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    blocks(CERTIFICATE, path, bytes)
}

fn key(path: &Path, bytes: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(bytes).map_err(|_| TlsError::Form {
        what: KEY,
        path: path.to_owned(),
        message: "there is no key in it that is not itself encrypted".to_owned(),
    })
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// Looks at certificates of clients; `None` where nobody is asked for one.
fn verifier(
    clients: &ClientCertificates,
    files: &Files,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsError> {
    let ClientCertificates::Asked {
        ca_file,
        crl_file,
        is_required,
    } = clients
    else {
        return Ok(None);
    };
    let mut roots = RootCertStore::empty();
    let authorities = files.authorities.as_deref().unwrap_or_default();
    for authority in blocks::<CertificateDer<'static>>(AUTHORITIES, ca_file, authorities)? {
        roots.add(authority).map_err(|error| TlsError::Form {
            what: AUTHORITIES,
            path: ca_file.clone(),
            message: error.to_string(),
        })?;
    }
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
    if let Some(crl_file) = crl_file {
        let lists = files.taken_back.as_deref().unwrap_or_default();
        let lists = blocks::<CertificateRevocationListDer<'static>>(TAKEN_BACK, crl_file, lists)?;
        // An authority without a list is not believed: its certificates could not be taken back.
        builder = builder.with_crls(lists).only_check_end_entity_revocation();
    }
    if !is_required {
        builder = builder.allow_unauthenticated();
    }
    builder
        .build()
        .map(Some)
        .map_err(|error| TlsError::Setup(error.to_string()))
}

fn config(
    settings: &TlsSettings,
    (certs, key): (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>),
    verifier: Option<Arc<dyn ClientCertVerifier>>,
) -> Result<ServerConfig, TlsError> {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(|error| TlsError::Setup(error.to_string()))?;
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(certs, key).map_err(|error| {
        if matches!(error, rustls::Error::InconsistentKeys(_)) {
            TlsError::OtherKey {
                cert: settings.cert_file.clone(),
                key: settings.key_file.clone(),
            }
        } else {
            TlsError::Setup(error.to_string())
        }
    })?;
    config.alpn_protocols = PROTOCOLS.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(config)
}
