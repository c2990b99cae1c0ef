//! Encrypted connections: which certificate is shown, whose are taken, and what a handshake tells of a client.
//!
//! Invariant: a listener always has a certificate that worked when it was read; files that do not work any more change
//! nothing but the log, and connections that stand are never touched by other files. What is deliberately absent: who
//! may do what, which `auth` knows, and certificates that are fetched from an authority.

mod material;
mod presented;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use headwater_wire::Timestamp;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::clock;
use crate::metrics::TlsMetrics;
use crate::settings::TlsSettings;
use crate::task::blocking;

pub(crate) use material::Material;
pub(crate) use presented::Presented;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Longest time for one look; the next one tries again.
const LOOK_DEADLINE: Duration = Duration::from_secs(10);
/// A certificate that ends sooner than this is told of at the start, in ms: 14 days.
const SOON_MS: i64 = 14 * 24 * 60 * 60 * 1_000;

/// Why files make no listener.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TlsError {
    /// One cannot be read.
    #[error("cannot read `{}`, the {what}: {message}", path.display())]
    File {
        /// What it should be.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        message: String,
    },
    /// One holds something else.
    #[error("`{}` is no {what}: {message}", path.display())]
    Form {
        /// What it should be.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// The key is of another certificate.
    #[error("the key in `{}` does not belong to the certificate in `{}`", key.display(), cert.display())]
    OtherKey {
        /// File of the certificate.
        cert: PathBuf,
        /// File of the key.
        key: PathBuf,
    },
    /// They do not work together.
    #[error("cannot set up TLS: {0}")]
    Setup(String),
}

impl TlsError {
    /// What a person can do about it.
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::File { .. } => "name a file that the user of the service can read",
            Self::Form { .. } => "the file must hold PEM blocks: `-----BEGIN …-----`",
            Self::OtherKey { .. } => {
                "name the key that the certificate was made for, and its certificate first in the file"
            }
            Self::Setup(_) => "see the section on TLS in docs/security.md",
        }
    }
}

/// The certificate that is shown now, and the files that it came from.
#[derive(Debug)]
pub(crate) struct Tls {
    settings: TlsSettings,
    material: ArcSwap<Material>,
    /// What was said of files that do not work, so that it is said once.
    told: Mutex<Option<String>>,
    metrics: TlsMetrics,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub(crate) fn new(settings: &TlsSettings, metrics: TlsMetrics) -> Result<Self, Vec<TlsError>> {
        let material = Material::read(settings)?;
        metrics.expires(material.expires());
        Ok(Self {
            settings: settings.clone(),
            material: ArcSwap::from_pointee(material),
            told: Mutex::default(),
            metrics,
        })
    }

    /// What the next handshake is made with.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.material.load().config())
    }

    /// What is counted of handshakes.
    pub(crate) fn metrics(&self) -> &TlsMetrics {
        &self.metrics
    }

    /// Looks at the files until the service stops.
    pub(crate) async fn follow(self: Arc<Self>, stop: CancellationToken) {
        while stop
            .run_until_cancelled(tokio::time::sleep(LOOK_EVERY))
            .await
            .is_some()
        {
            self.look().await;
        }
    }

    /// Reads the files, and takes them if they are others and work.
    pub(crate) async fn look(self: &Arc<Self>) {
        let this = self.clone();
        let read = blocking(LOOK_DEADLINE, move || Material::read(&this.settings)).await;
        match read {
            Ok(Ok(material)) => self.take(material),
            Ok(Err(failed)) => {
                let texts: Vec<_> = failed.iter().map(ToString::to_string).collect();
                let hint = failed.first().map_or("", TlsError::hint);
                self.keep(texts.join("; "), hint);
            }
            Err(error) => self.keep(error.to_string(), "is the disk that they lie on well?"),
        }
    }

    fn take(&self, material: Material) {
        let now = clock::now();
        if material.expires() <= now && self.material.load().expires() > now {
            let text = material.warning(now).unwrap_or_default();
            self.keep(text, "put a certificate there that has not ended");
            return;
        }
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let before = self.material.load();
        if before.is_same(&material) {
            return;
        }
        info!(
            expires = %material.expires(),
            "other certificates are used from now on; connections that stand go on"
        );
        if let Some(warning) = material.warning(now) {
            warn!("{warning}");
        }
        self.metrics.expires(material.expires());
        self.material.store(Arc::new(material));
    }

    fn keep(&self, text: String, hint: &str) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.as_ref() != Some(&text) {
            error!(hint, "{text}; the certificates of before are still used");
            *told = Some(text);
        }
    }
}

/// What a person should know of the files of good settings.
pub(crate) fn warning(settings: &TlsSettings, now: Timestamp) -> Option<String> {
    Material::read(settings).ok()?.warning(now)
}

#[cfg(test)]
mod tests;
