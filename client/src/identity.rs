//! Who a client is by certificate.
//!
//! Invariant: the key is shown to nobody, not even by `Debug`.

use std::fmt;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::builder::SetupError;

/// A certificate, those between it and its authority, and its key, as PEM text.
#[derive(Clone)]
pub struct ClientIdentity {
    cert_pem: Vec<u8>,
    key_pem: Vec<u8>,
}

impl ClientIdentity {
    /// Of two texts, which may be the same one. They are read when a client is built.
    pub fn from_pem(cert_pem: impl Into<Vec<u8>>, key_pem: impl Into<Vec<u8>>) -> Self {
        Self {
            cert_pem: cert_pem.into(),
            key_pem: key_pem.into(),
        }
    }

    /// The certificates and the key.
    pub(crate) fn read(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), SetupError> {
        let certs: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.cert_pem).collect();
        let certs = certs.map_err(|error| SetupError::Identity(error.to_string().into()))?;
        if certs.is_empty() {
            return Err(SetupError::Identity("there is no certificate in it".into()));
        }
        let key = PrivateKeyDer::from_pem_slice(&self.key_pem)
            .map_err(|_| SetupError::Identity("there is no key in it that is not itself encrypted".into()))?;
        Ok((certs, key))
    }
}

impl fmt::Debug for ClientIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[certificate and key]")
    }
}
