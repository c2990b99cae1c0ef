//! What a certificate of a client says, once a handshake has shown that it is his.
//!
//! Invariant: only names of the subject alternative name count, and only of two kinds: the common name is free text.

use headwater_wire::Timestamp;
use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;

/// A certificate that was looked at in the handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Presented {
    /// Its names, as `URI:…` and `DNS:…`.
    names: Vec<String>,
    /// When it ends.
    expires: Timestamp,
}

impl Presented {
    /// Reads the certificate of a peer; of one that cannot be read, no name counts.
    pub(crate) fn of(certificate: &CertificateDer<'_>) -> Self {
        let expires = ends(certificate).unwrap_or(Timestamp(0));
        let names = parse_x509_certificate(certificate).ok().and_then(|(_, read)| {
            let names = read.subject_alternative_name().ok()??;
            Some(names.value.general_names.iter().filter_map(name).collect())
        });
        Self {
            names: names.unwrap_or_default(),
            expires,
        }
    }

    /// Its names, as `URI:…` and `DNS:…`.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// When it ends.
    pub(crate) fn expires(&self) -> Timestamp {
        self.expires
    }

    /// One with these names, for tests of who may.
    #[cfg(test)]
    pub(crate) fn with(names: &[&str], expires: Timestamp) -> Self {
        Self {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            expires,
        }
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the kinds of names are the standard's, and two of them count"
)]
fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::URI(uri) => Some(format!("URI:{uri}")),
        GeneralName::DNSName(dns) => Some(format!("DNS:{}", dns.to_ascii_lowercase())),
        _ => None,
    }
}

/// When a certificate ends; `None` if it cannot be read.
pub(super) fn ends(certificate: &CertificateDer<'_>) -> Option<Timestamp> {
    let (_, read) = parse_x509_certificate(certificate).ok()?;
    let seconds = read.validity().not_after.timestamp();
    Some(Timestamp(seconds.saturating_mul(1_000)))
}
