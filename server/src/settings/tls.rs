//! Certificates of the service and of its clients: `[tls]`, and the same keys of `[admin]`.
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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct TlsDraft {
    cert_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
    client_ca_file: Option<PathBuf>,
    client_crl_file: Option<PathBuf>,
    client_certificates: Wanted,
}

/// Whose certificates they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// The listener's for everybody.
    Main,
    /// The listener's for administration.
    Admin,
}

impl Whose {
    /// The table that names them.
    const fn table(self) -> &'static str {
        match self {
            Self::Main => "[tls]",
            Self::Admin => "[admin]",
        }
    }

    /// Where a file is named: in the table, or with a flag where there is one.
    fn place(self, flag: &str) -> String {
        match self {
            Self::Main => format!("`[tls]`, or with {flag}"),
            Self::Admin => "`[admin]`".to_owned(),
        }
    }
}

/// The keys, for every table that has them.
pub(super) const fn tls_keys<D: AsMut<TlsDraft>>() -> [Key<D>; 5] {
    [
        Key {
            name: "cert_file",
            help: "PEM file of the service's certificate and those between it and its authority; read again when it changes",
            default: "",
            set: |draft, text| put(&mut draft.as_mut().cert_file, path(text).map(Some)),
        },
        Key {
            name: "key_file",
            help: "PEM file of the certificate's key; read again when it changes",
            default: "",
            set: |draft, text| put(&mut draft.as_mut().key_file, path(text).map(Some)),
        },
        Key {
            name: "client_certificates",
            help: "whether clients have certificates: `off`, `optional`, or `required` of everybody",
            default: "off",
            set: |draft, text| put(&mut draft.as_mut().client_certificates, text.parse()),
        },
        Key {
            name: "client_ca_file",
            help: "PEM file of the authorities that sign certificates of clients; read again when it changes",
            default: "",
            set: |draft, text| put(&mut draft.as_mut().client_ca_file, path(text).map(Some)),
        },
        Key {
            name: "client_crl_file",
            help: "PEM file of the lists of certificates that these authorities took back; read again when it changes",
            default: "",
            set: |draft, text| put(&mut draft.as_mut().client_crl_file, path(text).map(Some)),
        },
    ]
}

impl AsMut<Self> for TlsDraft {
    fn as_mut(&mut self) -> &mut Self {
        self
    }
}

impl Only for TlsDraft {
    const KEYS: &'static [Key<Self>] = &tls_keys();
    const VARIABLES: &'static str = "HEADWATER_TLS_";
}

impl TlsDraft {
    /// The values, if TLS is wanted; what does not fit together, and files that cannot be used, are mistakes.
    pub(super) fn finish(&self, whose: Whose, mistakes: &mut Vec<Mistake>) -> Option<TlsSettings> {
        let broken = self.rules(whose).into_iter().filter(|(applies, ..)| *applies);
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

    /// What does not fit together: whether it is so, what is said of it, and what to do.
    fn rules(&self, whose: Whose) -> [(bool, String, String); 5] {
        let has_cert = self.cert_file.is_some();
        let has_key = self.key_file.is_some();
        let asks = self.client_certificates != Wanted::Off;
        let names_authorities = self.client_ca_file.is_some() || self.client_crl_file.is_some();
        let table = whose.table();
        let of = |key: &str| match whose {
            Whose::Main => format!("`{key}`"),
            Whose::Admin => format!("`{key}` of `{table}`"),
        };
        [
            (
                has_cert && !has_key,
                format!("{} is set without `key_file`", of("cert_file")),
                format!(
                    "name the file of the certificate's key in {}",
                    whose.place("--tls-key")
                ),
            ),
            (
                has_key && !has_cert,
                format!("{} is set without `cert_file`", of("key_file")),
                format!("name the file of the certificate in {}", whose.place("--tls-cert")),
            ),
            (
                (asks || names_authorities) && !has_cert && !has_key,
                match whose {
                    Whose::Main => "certificates of clients are asked for without TLS".to_owned(),
                    Whose::Admin => {
                        "certificates of clients are asked for by `[admin]` without TLS; those of `[tls]` are not its own"
                            .to_owned()
                    }
                },
                format!("set `cert_file` and `key_file` in `{table}`"),
            ),
            (
                asks && self.client_ca_file.is_none(),
                format!("{} is set without `client_ca_file`", of("client_certificates")),
                "name a file of the authorities that sign certificates of clients".to_owned(),
            ),
            (
                !asks && names_authorities,
                match whose {
                    Whose::Main => {
                        "authorities of clients are named, and no client is asked for a certificate".to_owned()
                    }
                    Whose::Admin => {
                        "authorities of clients are named in `[admin]`, and no client is asked for a certificate"
                            .to_owned()
                    }
                },
                "set `client_certificates` to `optional` or `required`, or leave the authorities out".to_owned(),
            ),
        ]
    }
}
