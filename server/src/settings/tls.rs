//! Certificates of the service and of its clients: `[tls]`.
//!
//! Invariant: settings that are good name files that make a working listener now, so that a certificate that belongs to
//! another key is told before anything starts. What is deliberately absent: protocol versions and ciphers, of which the
//! library offers no bad ones.

use std::path::PathBuf;
use std::str::FromStr;

use super::keys::{Key, path, put};
use super::source::{Mistake, Place};
use super::table::Only;
use crate::tls::Material;

/// Where certificates lie, and whether clients must have one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSettings {
    /// PEM file of the service's own certificate, and of those between it and its authority.
    pub cert_file: PathBuf,
    /// PEM file of its key.
    pub key_file: PathBuf,
    /// Who is asked for a certificate, and by whom it must be signed.
    pub clients: ClientCertificates,
}

/// Whether clients have certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientCertificates {
    /// They are not asked for one.
    Off,
    /// They may or must have one.
    Asked {
        /// PEM file of the authorities that may sign one.
        ca_file: PathBuf,
        /// PEM file of lists of those that were taken back.
        crl_file: Option<PathBuf>,
        /// Whether nobody is let in without.
        is_required: bool,
    },
}

/// The word of `client_certificates`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Wanted {
    #[default]
    Off,
    Optional,
    Required,
}

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            "optional" => Ok(Self::Optional),
            "required" => Ok(Self::Required),
            _ => Err(format!("expected `off`, `optional` or `required`, not `{text}`")),
        }
    }
}

/// The values while they are being collected.
#[derive(Debug, Clone, Default)]
pub(super) struct TlsDraft {
    cert_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
    client_ca_file: Option<PathBuf>,
    client_crl_file: Option<PathBuf>,
    client_certificates: Wanted,
}

const TLS_KEYS: &[Key<TlsDraft>] = &[
    Key {
        name: "cert_file",
        help: "PEM file of the service's certificate and those between it and its authority; read again when it changes",
        default: "",
        set: |draft, text| put(&mut draft.cert_file, path(text).map(Some)),
    },
    Key {
        name: "key_file",
        help: "PEM file of the certificate's key; read again when it changes",
        default: "",
        set: |draft, text| put(&mut draft.key_file, path(text).map(Some)),
    },
    Key {
        name: "client_certificates",
        help: "whether clients have certificates: `off`, `optional`, or `required` of everybody",
        default: "off",
        set: |draft, text| put(&mut draft.client_certificates, text.parse()),
    },
    Key {
        name: "client_ca_file",
        help: "PEM file of the authorities that sign certificates of clients; read again when it changes",
        default: "",
        set: |draft, text| put(&mut draft.client_ca_file, path(text).map(Some)),
    },
    Key {
        name: "client_crl_file",
        help: "PEM file of the lists of certificates that these authorities took back; read again when it changes",
        default: "",
        set: |draft, text| put(&mut draft.client_crl_file, path(text).map(Some)),
    },
];

impl Only for TlsDraft {
    const KEYS: &'static [Key<Self>] = TLS_KEYS;
    const VARIABLES: &'static str = "HEADWATER_TLS_";
}

impl TlsDraft {
    /// The values, if TLS is wanted; what does not fit together, and files that cannot be used, are mistakes.
    pub(super) fn finish(&self, mistakes: &mut Vec<Mistake>) -> Option<TlsSettings> {
        let broken = self.rules().into_iter().filter(|(applies, ..)| *applies);
        let broken: Vec<_> = broken
            .map(|(_, what, hint)| Mistake::new(Place::Whole, what).hint(hint))
            .collect();
        let is_whole = broken.is_empty();
        mistakes.extend(broken);
        let settings = TlsSettings {
            cert_file: self.cert_file.clone()?,
            key_file: self.key_file.clone()?,
            clients: self.clients(),
        };
        if is_whole {
            let failed = Material::read(&settings).err().unwrap_or_default();
            mistakes.extend(
                failed
                    .into_iter()
                    .map(|failed| Mistake::new(Place::Whole, failed.to_string()).hint(failed.hint())),
            );
        }
        Some(settings)
    }

    fn clients(&self) -> ClientCertificates {
        match (&self.client_ca_file, self.client_certificates) {
            (None, _) | (_, Wanted::Off) => ClientCertificates::Off,
            (Some(ca_file), wanted) => ClientCertificates::Asked {
                ca_file: ca_file.clone(),
                crl_file: self.client_crl_file.clone(),
                is_required: wanted == Wanted::Required,
            },
        }
    }

    fn rules(&self) -> [(bool, &'static str, &'static str); 5] {
        let has_cert = self.cert_file.is_some();
        let has_key = self.key_file.is_some();
        let asks = self.client_certificates != Wanted::Off;
        let names_authorities = self.client_ca_file.is_some() || self.client_crl_file.is_some();
        [
            (
                has_cert && !has_key,
                "`cert_file` is set without `key_file`",
                "name the file of the certificate's key in `[tls]`, or with --tls-key",
            ),
            (
                has_key && !has_cert,
                "`key_file` is set without `cert_file`",
                "name the file of the certificate in `[tls]`, or with --tls-cert",
            ),
            (
                (asks || names_authorities) && !has_cert && !has_key,
                "certificates of clients are asked for without TLS",
                "set `cert_file` and `key_file` in `[tls]`",
            ),
            (
                asks && self.client_ca_file.is_none(),
                "`client_certificates` is set without `client_ca_file`",
                "name a file of the authorities that sign certificates of clients",
            ),
            (
                !asks && names_authorities,
                "authorities of clients are named, and no client is asked for a certificate",
                "set `client_certificates` to `optional` or `required`, or leave the authorities out",
            ),
        ]
    }
}
