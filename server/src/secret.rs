//! Values that must not be printed, and the address of an upstream without the parts that must not be printed.
//!
//! Invariant: neither `Display` nor `Debug` of a type in this file ever shows a credential, and an error of this file
//! never quotes its input, because the input may hold one. What is deliberately absent: serialisation.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Longest address in bytes; a longer one is a mistake, not a place.
const URL_BYTES_MAX: usize = 2_048;

/// A password or token. It can be compared and exposed on purpose, never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    /// Wraps `text`.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// The text itself; every call of this is a place to look at in a review.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// Why a text is not the address of an upstream. It never quotes the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamUrlError {
    /// Nothing at all.
    #[error("the address is empty")]
    Empty,
    /// Longer than the limit.
    #[error("the address is longer than {URL_BYTES_MAX} bytes")]
    TooLong,
    /// A control character, a space or a backslash.
    #[error("the address has a control character, a space or a backslash")]
    Character,
    /// A part that a program could take for an option.
    #[error("a part of the address begins with `-`")]
    OptionLike,
    /// `ext::…` and the like: a helper program in disguise.
    #[error("the address names a remote helper (`…::`)")]
    Helper,
    /// A scheme that is not accepted.
    #[error("the address has a scheme other than `https`, `http`, `ssh` and `file`")]
    Scheme,
    /// No host, or a host with characters outside those of host names.
    #[error("the address has no valid host")]
    Host,
    /// A port that is no number from 1 to 65535.
    #[error("the address has no valid port")]
    Port,
    /// No path, or a query or fragment behind it.
    #[error("the address has no valid path")]
    Path,
    /// A password for SSH, which takes keys only.
    #[error("the address has a password for ssh")]
    SshPassword,
}

impl UpstreamUrlError {
    /// What to write instead.
    pub fn hint(self) -> &'static str {
        match self {
            Self::SshPassword => "set a key file; passwords are not used for ssh",
            Self::Empty
            | Self::TooLong
            | Self::Character
            | Self::OptionLike
            | Self::Helper
            | Self::Scheme
            | Self::Host
            | Self::Port
            | Self::Path => {
                "write a local path, file:///path, https://host/path, ssh://user@host/path or user@host:path"
            }
        }
    }
}

/// Where the upstream is. Prints without user or password for HTTP, where a user name may itself be a token.
#[derive(Clone, PartialEq, Eq)]
pub struct UpstreamUrl {
    kind: UrlKind,
    embedded: Option<(String, Secret)>,
}

/// The parts of an address, by transport.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UrlKind {
    /// A directory of this machine, as it was written.
    Path(PathBuf),
    /// The same, written as `file://`.
    File(PathBuf),
    /// Smart HTTP.
    Http {
        /// Whether the connection is encrypted.
        scheme: HttpScheme,
        /// Host name or bracketed IPv6 address.
        host: String,
        /// Port, if it is not the scheme's own.
        port: Option<u16>,
        /// From the first slash on.
        path: String,
    },
    /// SSH.
    Ssh {
        /// `ssh://` or `user@host:path`.
        form: SshForm,
        /// Account on the host.
        user: Option<String>,
        /// Host name or bracketed IPv6 address.
        host: String,
        /// Port; only `ssh://` can say one.
        port: Option<u16>,
        /// As written: with its slash in `ssh://`, without in the short form unless absolute.
        path: String,
    },
}

/// How an SSH address is written; the short form has a path relative to the account's home.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SshForm {
    /// `ssh://user@host:port/path`.
    Url,
    /// `user@host:path`.
    Short,
}

/// `http` or `https`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpScheme {
    /// In clear text.
    Http,
    /// Encrypted.
    Https,
}

impl HttpScheme {
    /// As written before `://`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

impl UpstreamUrl {
    /// The parts.
    pub fn kind(&self) -> &UrlKind {
        &self.kind
    }

    /// User and password written into an HTTP address. Kept because people do it; better is a file.
    pub fn embedded(&self) -> Option<(&str, &Secret)> {
        self.embedded
            .as_ref()
            .map(|(user, password)| (user.as_str(), password))
    }

    /// The same address without user and password.
    #[must_use]
    pub fn without_embedded(&self) -> Self {
        Self {
            embedded: None,
            ..self.clone()
        }
    }

    /// Whether the host is this machine, so that clear text does not leave it.
    pub fn is_loopback(&self) -> bool {
        let (UrlKind::Http { host, .. } | UrlKind::Ssh { host, .. }) = &self.kind else {
            return true;
        };
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        bare.eq_ignore_ascii_case("localhost")
            || bare
                .parse::<std::net::IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    }

    /// The directory, if the upstream is on this machine.
    pub fn local_path(&self) -> Option<&Path> {
        match &self.kind {
            UrlKind::Path(path) | UrlKind::File(path) => Some(path),
            UrlKind::Http { .. } | UrlKind::Ssh { .. } => None,
        }
    }
}

impl fmt::Display for UpstreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            UrlKind::Path(path) => path.display().fmt(f),
            UrlKind::File(path) => write!(f, "file://{}", path.display()),
            UrlKind::Http {
                scheme,
                host,
                port,
                path,
            } => {
                write!(f, "{}://{host}{}{path}", scheme.as_str(), Port(*port))
            }
            UrlKind::Ssh {
                form: SshForm::Url,
                user,
                host,
                port,
                path,
            } => {
                write!(f, "ssh://{}{host}{}{path}", At(user.as_deref()), Port(*port))
            }
            UrlKind::Ssh {
                form: SshForm::Short,
                user,
                host,
                path,
                ..
            } => {
                write!(f, "{}{host}:{path}", At(user.as_deref()))
            }
        }
    }
}

impl fmt::Debug for UpstreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UpstreamUrl({self})")
    }
}

impl FromStr for UpstreamUrl {
    type Err = UpstreamUrlError;

    fn from_str(text: &str) -> Result<Self, UpstreamUrlError> {
        if text.is_empty() {
            return Err(UpstreamUrlError::Empty);
        }
        if text.len() > URL_BYTES_MAX {
            return Err(UpstreamUrlError::TooLong);
        }
        if text.starts_with('-') {
            return Err(UpstreamUrlError::OptionLike);
        }
        let first_part = text.split('/').next().unwrap_or(text);
        if first_part.contains("::") && !first_part.contains('[') {
            return Err(UpstreamUrlError::Helper);
        }
        if let Some((scheme, rest)) = text.split_once("://") {
            return parse_with_scheme(scheme, rest);
        }
        if let Some((authority, path)) = split_short_form(text) {
            return parse_short_form(authority, path);
        }
        if text.chars().any(char::is_control) {
            return Err(UpstreamUrlError::Character);
        }
        Ok(Self {
            kind: UrlKind::Path(text.into()),
            embedded: None,
        })
    }
}

struct Port(Option<u16>);

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

struct At<'a>(Option<&'a str>);

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |user| write!(f, "{user}@"))
    }
}

fn parse_with_scheme(scheme: &str, rest: &str) -> Result<UpstreamUrl, UpstreamUrlError> {
    let scheme = scheme.to_ascii_lowercase();
    if scheme == "file" {
        if !rest.starts_with('/') {
            return Err(UpstreamUrlError::Path);
        }
        if rest.chars().any(char::is_control) {
            return Err(UpstreamUrlError::Character);
        }
        return Ok(UpstreamUrl {
            kind: UrlKind::File(rest.into()),
            embedded: None,
        });
    }
    if rest.chars().any(|c| c.is_control() || c == ' ' || c == '\\') {
        return Err(UpstreamUrlError::Character);
    }
    let (authority, path) = match rest.find('/').and_then(|at| rest.split_at_checked(at)) {
        Some((authority, path)) if path.len() > 1 => (authority, path.to_owned()),
        _ => return Err(UpstreamUrlError::Path),
    };
    let (userinfo, place) = match authority.rsplit_once('@') {
        Some((userinfo, place)) => (Some(userinfo), place),
        None => (None, authority),
    };
    let (host, port) = parse_host_and_port(place)?;
    match scheme.as_str() {
        "https" => http(HttpScheme::Https, userinfo, host, port, path),
        "http" => http(HttpScheme::Http, userinfo, host, port, path),
        "ssh" => {
            let user = userinfo.map(parse_ssh_user).transpose()?;
            if path.trim_start_matches(['/', '~']).starts_with('-') {
                return Err(UpstreamUrlError::OptionLike);
            }
            Ok(UpstreamUrl {
                kind: UrlKind::Ssh {
                    form: SshForm::Url,
                    user,
                    host,
                    port,
                    path,
                },
                embedded: None,
            })
        }
        _ => Err(UpstreamUrlError::Scheme),
    }
}

fn http(
    scheme: HttpScheme,
    userinfo: Option<&str>,
    host: String,
    port: Option<u16>,
    path: String,
) -> Result<UpstreamUrl, UpstreamUrlError> {
    if path.contains(['?', '#']) {
        return Err(UpstreamUrlError::Path);
    }
    let embedded = userinfo.map(|text| {
        let (user, password) = text.split_once(':').unwrap_or((text, ""));
        (percent_decoded(user), Secret::new(percent_decoded(password)))
    });
    Ok(UpstreamUrl {
        kind: UrlKind::Http {
            scheme,
            host,
            port,
            path,
        },
        embedded,
    })
}

/// `user@host:path`, unless a slash stands before the colon, which makes it a local path as in Git.
fn split_short_form(text: &str) -> Option<(&str, &str)> {
    let from = text.find(']').unwrap_or(0);
    let colon = from + text.get(from..)?.find(':')?;
    let (authority, path) = text.split_at_checked(colon)?;
    (!authority.contains('/')).then_some((authority, path.get(1..)?))
}

fn parse_short_form(authority: &str, path: &str) -> Result<UpstreamUrl, UpstreamUrlError> {
    if authority
        .chars()
        .chain(path.chars())
        .any(|c| c.is_control() || c == ' ' || c == '\\')
    {
        return Err(UpstreamUrlError::Character);
    }
    if path.is_empty() {
        return Err(UpstreamUrlError::Path);
    }
    if path.starts_with('-') {
        return Err(UpstreamUrlError::OptionLike);
    }
    let (userinfo, host) = match authority.rsplit_once('@') {
        Some((userinfo, host)) => (Some(userinfo), host),
        None => (None, authority),
    };
    let user = userinfo.map(parse_ssh_user).transpose()?;
    let (host, port) = parse_host_and_port(host)?;
    let kind = UrlKind::Ssh {
        form: SshForm::Short,
        user,
        host,
        port,
        path: path.to_owned(),
    };
    Ok(UpstreamUrl { kind, embedded: None })
}

fn parse_ssh_user(text: &str) -> Result<String, UpstreamUrlError> {
    if text.starts_with('-') {
        return Err(UpstreamUrlError::OptionLike);
    }
    if text.contains(':') {
        return Err(UpstreamUrlError::SshPassword);
    }
    let valid = !text.is_empty()
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._-+".contains(c));
    if valid {
        Ok(text.to_owned())
    } else {
        Err(UpstreamUrlError::Host)
    }
}

fn parse_host_and_port(text: &str) -> Result<(String, Option<u16>), UpstreamUrlError> {
    if text.starts_with('-') {
        return Err(UpstreamUrlError::OptionLike);
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (text, None),
    };
    let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let valid = match bracketed {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
        }
    };
    if !valid {
        return Err(UpstreamUrlError::Host);
    }
    let port = port.map(|digits| digits.parse::<u16>().ok().filter(|port| *port > 0));
    match port {
        Some(None) => Err(UpstreamUrlError::Port),
        Some(Some(port)) => Ok((host.to_owned(), Some(port))),
        None => Ok((host.to_owned(), None)),
    }
}

/// Decodes `%XX`; what is no valid escape stays as it is, and bytes that are no UTF-8 become the replacement character.
pub(crate) fn percent_decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let digits = tail
            .get(..2)
            .filter(|two| first == b'%' && two.iter().all(u8::is_ascii_hexdigit));
        let escape = digits.and_then(|two| std::str::from_utf8(two).ok());
        if let Some(byte) = escape.and_then(|two| u8::from_str_radix(two, 16).ok()) {
            out.push(byte);
            rest = tail.get(2..).unwrap_or_default();
        } else {
            out.push(first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn url(text: &str) -> UpstreamUrl {
        text.parse().unwrap()
    }

    #[test]
    fn what_could_run_a_program_is_refused() {
        let cases = [
            ("--upload-pack=touch x", UpstreamUrlError::OptionLike),
            ("ext::sh -c id", UpstreamUrlError::Helper),
            ("fd::7/x", UpstreamUrlError::Helper),
            ("git://host/x", UpstreamUrlError::Scheme),
            ("ftp://host/x", UpstreamUrlError::Scheme),
            ("ssh://-oProxyCommand=id/x", UpstreamUrlError::OptionLike),
            ("ssh://-oProxyCommand@host/x", UpstreamUrlError::OptionLike),
            ("ssh://host/-x", UpstreamUrlError::OptionLike),
            ("host:-x", UpstreamUrlError::OptionLike),
            ("https://host/x?y", UpstreamUrlError::Path),
            ("https://host/", UpstreamUrlError::Path),
            ("https:///x", UpstreamUrlError::Host),
            ("https://ho st/x", UpstreamUrlError::Character),
            ("https://host:0/x", UpstreamUrlError::Port),
            ("https://host:99999/x", UpstreamUrlError::Port),
            ("ssh://a:b@host/x", UpstreamUrlError::SshPassword),
            ("file://host/x", UpstreamUrlError::Path),
            ("a\0b", UpstreamUrlError::Character),
            ("", UpstreamUrlError::Empty),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<UpstreamUrl>(), Err(expected), "{text:?}");
        }
    }

    #[test]
    fn credentials_in_an_address_are_kept_and_not_shown() {
        let both = url("https://bot:s3cr%40t@git.example.test:8443/a/b.git");
        assert_eq!(both.to_string(), "https://git.example.test:8443/a/b.git");
        assert_eq!(
            format!("{both:?}"),
            "UpstreamUrl(https://git.example.test:8443/a/b.git)"
        );
        let (user, password) = both.embedded().unwrap();
        assert_eq!((user, password.expose()), ("bot", "s3cr@t"));
        assert_eq!(url("https://tok3n@host/x").to_string(), "https://host/x");
        assert_eq!(format!("{:?}", Secret::new("s3cret")), "[secret]");
    }

    #[test]
    fn the_short_form_is_told_from_a_path_as_git_does() {
        assert!(matches!(
            url("git@host:a/b.git").kind(),
            UrlKind::Ssh {
                form: SshForm::Short,
                ..
            }
        ));
        assert!(matches!(url("host:a").kind(), UrlKind::Ssh { user: None, .. }));
        assert!(matches!(url("./dir:with-colon").kind(), UrlKind::Path(_)));
        assert!(matches!(url("/srv/git/a b.git").kind(), UrlKind::Path(_)));
        assert!(matches!(url("git@[::1]:a").kind(), UrlKind::Ssh { .. }));
    }

    #[test]
    fn only_true_escapes_are_decoded() {
        assert_eq!(percent_decoded("a%20b%2Fc%zz%+1%"), "a b/c%zz%+1%");
    }

    #[test]
    fn loopback_is_recognised() {
        for text in [
            "http://127.0.0.1:3000/x",
            "http://localhost/x",
            "http://[::1]:80/x",
        ] {
            assert!(url(text).is_loopback(), "{text}");
        }
        for text in ["http://example.test/x", "http://127.0.0.1.evil.test/x"] {
            assert!(!url(text).is_loopback(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_parses_to_the_same_address(
            form in 0_u8..5,
            user in proptest::option::of("[a-z][a-z0-9._-]{0,8}"),
            host in "[a-z0-9][a-z0-9.-]{0,20}|\\[::1\\]",
            port in proptest::option::of(1_u16..),
            path in "[a-zA-Z0-9._~%][a-zA-Z0-9._~%/-]{0,30}",
        ) {
            // What a program could take for an option is refused, behind the mark of a home too.
            prop_assume!(!path.trim_start_matches(['/', '~']).starts_with('-'));
            let at = user.map(|name| format!("{name}@")).unwrap_or_default();
            let colon = port.map(|number| format!(":{number}")).unwrap_or_default();
            let text = match form {
                0 => format!("https://{host}{colon}/{path}"),
                1 => format!("http://{host}{colon}/{path}"),
                2 => format!("ssh://{at}{host}{colon}/{path}"),
                3 => format!("{at}{host}:{path}"),
                _ => format!("/{path}"),
            };
            let parsed: UpstreamUrl = text.parse().unwrap();
            prop_assert_eq!(parsed.to_string(), text);
            prop_assert_eq!(parsed.to_string().parse::<UpstreamUrl>(), Ok(parsed));
        }

        #[test]
        fn no_text_makes_the_parser_fail_badly(text in ".{0,60}") {
            if let Ok(parsed) = text.parse::<UpstreamUrl>() {
                prop_assert_eq!(parsed.to_string().parse::<UpstreamUrl>().map(|again| again.to_string()), Ok(parsed.to_string()));
            }
        }
    }
}
