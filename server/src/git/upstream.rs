//! How to reach the upstream: address, credentials, trust.
//!
//! Invariant: secrets stay in files until a connection is made, and are read again for each one, so that a rotated
//! token works at the next try. What is deliberately absent: credential helpers, prompts, agents, and every setting
//! of the user's own Git or SSH configuration.

use std::path::{Path, PathBuf};

use super::error::{Cause, GitError};
use crate::secret::{Secret, UpstreamUrl, UrlKind};

/// Longest file that is read as a secret, in bytes; a longer one is the wrong file.
const SECRET_BYTES_MAX: u64 = 64 << 10;

/// Everything needed to reach one upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// Where it is.
    pub url: UpstreamUrl,
    /// Who we are, for HTTP.
    pub credentials: Credentials,
    /// PEM file with the only certificate authorities to trust; without it those of the system.
    pub ca_file: Option<PathBuf>,
    /// Proxy for HTTP, as a URL; proxies from the environment are ignored.
    pub proxy: Option<String>,
    /// Who we are and whom we trust, for SSH.
    pub ssh: Option<SshSettings>,
    /// Whether credentials may be sent over `http://` to another machine.
    pub clear_text: ClearText,
}

impl Upstream {
    /// An upstream that needs no credentials.
    pub fn new(url: UpstreamUrl) -> Self {
        Self {
            url,
            credentials: Credentials::None,
            ca_file: None,
            proxy: None,
            ssh: None,
            clear_text: ClearText::LoopbackOnly,
        }
    }
}

/// Where the credentials for HTTP are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Credentials {
    /// None, or those written into the address.
    #[default]
    None,
    /// User and password.
    Basic {
        /// User.
        username: String,
        /// File with the password.
        password_file: PathBuf,
    },
    /// A token in a file.
    Token {
        /// The file.
        file: PathBuf,
        /// How to send it.
        style: TokenStyle,
    },
}

/// How a token is sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TokenStyle {
    /// As the password of the user `x-access-token`; GitHub, GitLab, Gitea and Forgejo accept this.
    #[default]
    Basic,
    /// As `Authorization: Bearer`.
    Bearer,
}

/// Whether credentials may be sent in clear text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ClearText {
    /// Only to this machine.
    #[default]
    LoopbackOnly,
    /// Anywhere; somebody decided so.
    Allowed,
}

/// Key and trust for SSH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshSettings {
    /// Private key; no agent is asked.
    pub key_file: Option<PathBuf>,
    /// The only host keys to trust; there is no trust on first use.
    pub known_hosts_file: PathBuf,
    /// Port, if the address does not say one.
    pub port: Option<u16>,
}

/// An `Authorization` header, ready to send, and the texts that must not appear in an error.
pub(crate) struct Authorization {
    pub(crate) header: String,
    pub(crate) secrets: Vec<Secret>,
}

impl Upstream {
    /// Reads the secrets anew and makes the header for HTTP, if there is one.
    pub(crate) fn authorization(&self) -> Result<Option<Authorization>, GitError> {
        let UrlKind::Http { scheme, .. } = self.url.kind() else {
            return Ok(None);
        };
        let made = match &self.credentials {
            Credentials::Basic {
                username,
                password_file,
            } => basic(username, &read_secret(password_file)?),
            Credentials::Token {
                file,
                style: TokenStyle::Basic,
            } => basic("x-access-token", &read_secret(file)?),
            Credentials::Token {
                file,
                style: TokenStyle::Bearer,
            } => {
                let token = read_secret(file)?;
                Authorization {
                    header: format!("Bearer {}", token.expose()),
                    secrets: vec![token],
                }
            }
            Credentials::None => match self.url.embedded() {
                Some((user, password)) => basic(user, password),
                None => return Ok(None),
            },
        };
        let clear = *scheme == crate::secret::HttpScheme::Http;
        if clear && !self.url.is_loopback() && self.clear_text == ClearText::LoopbackOnly {
            let text = "credentials are not sent over `http://` to another machine; use `https://`";
            return Err(GitError::Settings(Cause::ours(text)));
        }
        Ok(Some(made))
    }
}

fn basic(username: &str, password: &Secret) -> Authorization {
    let encoded = base64(format!("{username}:{}", password.expose()).as_bytes());
    let mut secrets = vec![Secret::new(encoded.as_str()), password.clone()];
    if password.expose().is_empty() {
        secrets.push(Secret::new(username));
    }
    Authorization {
        header: format!("Basic {encoded}"),
        secrets,
    }
}

/// First line of a file, without the white space around it.
fn read_secret(path: &Path) -> Result<Secret, GitError> {
    use std::io::Read;
    let bad = |why: &str| GitError::Settings(Cause::ours(&format!("cannot use `{}`: {why}", path.display())));
    let file = std::fs::File::open(path).map_err(|error| bad(&error.to_string()))?;
    let mut text = String::new();
    file.take(SECRET_BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(|error| bad(&error.to_string()))?;
    let line = text.lines().next().unwrap_or_default().trim();
    if line.is_empty() || line.chars().any(char::is_control) {
        return Err(bad("it holds no single line of text"));
    }
    Ok(Secret::new(line))
}

/// Base64 with padding (RFC 4648 §4): too small a thing for a dependency.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |bits: u32| {
        ALPHABET
            .get((bits & 63) as usize)
            .map_or('=', |byte| char::from(*byte))
    };
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| chunk.get(at).copied().map_or(0, u32::from);
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        out.extend([digit(bits >> 18), digit(bits >> 12)]);
        out.push(if chunk.len() > 1 { digit(bits >> 6) } else { '=' });
        out.push(if chunk.len() > 2 { digit(bits) } else { '=' });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_matches_the_vectors_of_the_rfc() {
        let cases = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("foobar", "Zm9vYmFy"),
        ];
        for (text, expected) in cases {
            assert_eq!(base64(text.as_bytes()), expected);
        }
    }

    #[test]
    fn credentials_do_not_leave_the_machine_in_clear_text() {
        let mut upstream = Upstream::new("http://bot:secret@example.test/x".parse().unwrap());
        let Err(error) = upstream.authorization() else {
            panic!("they were sent")
        };
        assert!(matches!(error, GitError::Settings(_)), "{error:?}");
        assert!(!format!("{error:?} {}", error.one_line()).contains("secret@"));
        upstream.clear_text = ClearText::Allowed;
        assert!(upstream.authorization().is_ok());
        let loopback = Upstream::new("http://bot:secret@127.0.0.1:1/x".parse().unwrap());
        assert_eq!(
            loopback.authorization().unwrap().unwrap().header,
            "Basic Ym90OnNlY3JldA=="
        );
    }

    #[test]
    fn a_secret_is_read_anew_each_time() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        let mut upstream = Upstream::new("https://example.test/x".parse().unwrap());
        upstream.credentials = Credentials::Token {
            file: file.clone(),
            style: TokenStyle::Bearer,
        };
        assert!(upstream.authorization().is_err());
        for token in ["one", "two"] {
            std::fs::write(&file, format!("{token}\n")).unwrap();
            assert_eq!(
                upstream.authorization().unwrap().unwrap().header,
                format!("Bearer {token}")
            );
        }
    }
}
