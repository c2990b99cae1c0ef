//! Where the server is, and how an address below it is spelled.
//!
//! Invariant: a `ServerAddress` holds no credential, and every part of a path or query that came from a person is
//! percent-encoded, so that no name can leave its place in the address.

use std::fmt;
use std::str::FromStr;

use http::Uri;
use http::uri::{Authority, Scheme};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Everything except the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Why a text is not the address of a server. Never quotes the text if it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// No absolute `http` or `https` address.
    #[error("not an `http://` or `https://` address: `{0}`")]
    NotHttp(String),
    /// `user:password@` in front of the host.
    #[error("the server address holds credentials")]
    Credentials,
    /// `?…` behind the path.
    #[error("the server address has a query: `{0}`")]
    Query(String),
}

impl AddressError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotHttp(_) | Self::Query(_) => {
                "write it like `http://127.0.0.1:7171` or `https://config.example.org`"
            }
            Self::Credentials => "give the token in `HEADWATER_TOKEN` or a token file, never in an address",
        }
    }
}

/// Scheme, host, port and path prefix of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerAddress {
    scheme: Scheme,
    authority: Authority,
    /// Empty, or begins with `/` and does not end with one: the path under which a proxy shows the server.
    prefix: String,
}

impl ServerAddress {
    /// Whether the connection is encrypted.
    pub fn is_https(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    /// The address of `path`, which was built by [`PathBuilder`] and is therefore valid.
    pub(crate) fn uri(&self, path: &PathBuilder) -> Result<Uri, http::Error> {
        let path_and_query = format!("{}{}", self.prefix, path.text);
        Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(path_and_query)
            .build()
    }
}

impl FromStr for ServerAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text.contains('@') {
            return Err(AddressError::Credentials);
        }
        let not_http = || AddressError::NotHttp(text.chars().filter(|c| !c.is_control()).take(80).collect());
        let parts = text.trim().parse::<Uri>().map_err(|_| not_http())?.into_parts();
        let scheme = parts
            .scheme
            .filter(|s| *s == Scheme::HTTP || *s == Scheme::HTTPS)
            .ok_or_else(not_http)?;
        let authority = parts
            .authority
            .filter(|a| !a.host().is_empty())
            .ok_or_else(not_http)?;
        let path = parts.path_and_query;
        if path.as_ref().is_some_and(|path| path.query().is_some()) {
            return Err(AddressError::Query(text.to_owned()));
        }
        let prefix = path.map_or_else(String::new, |path| path.path().trim_end_matches('/').to_owned());
        Ok(Self {
            scheme,
            authority,
            prefix,
        })
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.authority, self.prefix)
    }
}

/// Builds the path and query of one call.
#[derive(Debug, Clone)]
pub(crate) struct PathBuilder {
    text: String,
    has_query: bool,
}

impl PathBuilder {
    /// Starts with a literal that needs no encoding, such as `/v1/repos`.
    pub(crate) fn new(literal: &str) -> Self {
        Self {
            text: literal.to_owned(),
            has_query: false,
        }
    }

    /// Appends `/` and a literal.
    pub(crate) fn literal(mut self, literal: &str) -> Self {
        self.text.push('/');
        self.text.push_str(literal);
        self
    }

    /// Appends `/` and one segment; a slash inside is encoded, so that `release/1.2` stays one segment.
    pub(crate) fn segment(mut self, segment: &str) -> Self {
        self.text.push('/');
        self.text.extend(utf8_percent_encode(segment, RESERVED));
        self
    }

    /// Appends `/` and a name whose slashes separate segments.
    pub(crate) fn name(self, name: &str) -> Self {
        name.split('/').fold(self, Self::segment)
    }

    /// Appends one query parameter.
    pub(crate) fn query(mut self, key: &str, value: &str) -> Self {
        self.text.push(if self.has_query { '&' } else { '?' });
        self.has_query = true;
        self.text.extend(utf8_percent_encode(key, RESERVED));
        self.text.push('=');
        self.text.extend(utf8_percent_encode(value, RESERVED));
        self
    }

    /// Appends one query parameter if there is a value.
    pub(crate) fn query_opt<T: fmt::Display>(self, key: &str, value: Option<T>) -> Self {
        match value {
            Some(value) => self.query(key, &value.to_string()),
            None => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> ServerAddress {
        text.parse().unwrap()
    }

    #[test]
    fn a_config_name_keeps_its_slashes_and_nothing_else() {
        let path = PathBuilder::new("/v1/repos")
            .segment("default")
            .literal("configs")
            .name("pay ments/prod?x#ü%2f+");
        let uri = address("http://127.0.0.1:7171").uri(&path).unwrap();
        assert_eq!(
            uri.to_string(),
            "http://127.0.0.1:7171/v1/repos/default/configs/pay%20ments/prod%3Fx%23%C3%BC%252f%2B"
        );
    }

    #[test]
    fn a_revision_with_a_slash_stays_one_segment_and_a_query_is_encoded() {
        let path = PathBuilder::new("/v1")
            .segment("release/1.2")
            .query("label.a&b", "c=d e")
            .query_opt("wait", Some(5));
        let uri = address("https://h.example/head/").uri(&path).unwrap();
        assert_eq!(
            uri.to_string(),
            "https://h.example/head/v1/release%2F1.2?label.a%26b=c%3Dd%20e&wait=5"
        );
    }

    #[test]
    fn an_address_with_a_password_is_refused_without_showing_it() {
        let error = "http://me:hunter2@host".parse::<ServerAddress>().unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }

    #[test]
    fn what_is_no_server_address_is_refused() {
        for bad in [
            "",
            "127.0.0.1:7171",
            "ftp://h",
            "/v1",
            "http://",
            "http://h\n/",
            "http://h/?a=b",
            "nonsense",
        ] {
            assert!(bad.parse::<ServerAddress>().is_err(), "{bad:?} was accepted");
        }
        assert_eq!(
            address("https://[::1]:8443/p/").to_string(),
            "https://[::1]:8443/p"
        );
    }
}
