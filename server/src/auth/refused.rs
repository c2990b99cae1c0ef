//! Why somebody is not let in, and what he can do about it.
//!
//! Invariant: what is said helps whoever made a mistake, and tells a stranger no name, address or secret of the settings
//! but the header by which he tried.

use super::jwt::JwtRefused;
use super::proxy::ProxyRefused;
use super::token::NotAToken;

/// Why somebody is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// He does not say who he is.
    #[error("the request carries no token")]
    Nobody,
    /// His certificate is nobody's of the file.
    #[error(
        "the request carries no token, and no entry of the file of tokens is about the names of its certificate"
    )]
    Certificate,
    /// His certificate was good when the connection began.
    #[error("the certificate of the connection has expired")]
    CertificateExpired,
    /// What he sends is no token of this service.
    #[error(transparent)]
    Form(NotAToken),
    /// It is one, and not known, or not any more.
    #[error("the token is not known here: it was taken back, or is of another service")]
    Unknown,
    /// It is of an issuer, and lets nobody in.
    #[error(transparent)]
    Jwt(JwtRefused),
    /// A header says who he is, and lets nobody in.
    #[error(transparent)]
    Proxy(ProxyRefused),
    /// It has expired.
    #[error("the token has expired")]
    Expired,
    /// It is for programs, or bound to some configs.
    #[error("pages tell of all configs, and this token is for a program, or for some configs alone")]
    NoPages,
}

/// What to do about most of them.
const SEND_TOKEN: &str =
    "send `authorization: Bearer TOKEN`; whoever runs this service makes one with `headwater token create`";

impl Refused {
    /// What he can do about it.
    pub(crate) fn hint(self) -> &'static str {
        match self {
            Self::Certificate => {
                "whoever runs this service names one of the certificate's subject alternative names as `san` of a \
                 `[[certificate]]` table in the file of tokens; a token beside the certificate will do, too"
            }
            Self::CertificateExpired => "connect anew with a certificate that holds",
            Self::Proxy(refused) => refused.hint(),
            Self::Nobody | Self::Form(_) | Self::Unknown | Self::Jwt(_) | Self::Expired | Self::NoPages => {
                SEND_TOKEN
            }
        }
    }

    /// Whether it is known who asks, and he is let in for nothing: saying it again would not help.
    pub(crate) fn is_known(self) -> bool {
        self == Self::Proxy(ProxyRefused::Grant)
    }

    /// Whether somebody could log in instead.
    pub(crate) fn can_log_in(self) -> bool {
        !matches!(self, Self::Proxy(_))
    }
}
