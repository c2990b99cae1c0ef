//! The token: the `ETag` of a config's answer, and the id of its events.
//!
//! Invariant: clients compare it for equality only. The service itself reads back which version it named, to say
//! how the target relates to what the client holds; a text that is no token of ours is simply not read.

use std::fmt;

use headwater_wire::{CommitId, Digest};

/// Generation of the renderer: raised when this program starts to write the same document differently. Clients that
/// hold a token of a newer renderer are not sent back and forth between two releases behind one address.
pub const RENDERER_EPOCH: u32 = 1;

/// `<version>.<epoch>.<first 16 digits of the digest>`, with `.<representation>` where it is not the snapshot body.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Token {
    /// Version it names.
    pub version: CommitId,
    /// Renderer that wrote the answer.
    pub epoch: u32,
    /// Beginning of the document's digest: two variants of one version differ here.
    pub digest: String,
    /// Which part and format of the document was asked for, if not the snapshot body.
    pub representation: Option<String>,
}

impl Token {
    /// Token of the snapshot body of `version` with a document of `digest`.
    pub fn new(version: &CommitId, digest: &Digest) -> Self {
        Self {
            version: version.clone(),
            epoch: RENDERER_EPOCH,
            digest: digest.hex().chars().take(16).collect(),
            representation: None,
        }
    }

    /// Reads one entity tag: bare, quoted, or weak (compressing proxies add `W/`). `None` if it is not ours.
    pub fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = text.strip_prefix("W/").unwrap_or(text);
        let text = text
            .strip_prefix('"')
            .and_then(|t| t.strip_suffix('"'))
            .unwrap_or(text);
        let mut parts = text.splitn(4, '.');
        let version = parts.next()?.parse().ok()?;
        let epoch = parts.next()?.parse().ok()?;
        let digest = parts.next()?.to_owned();
        let representation = parts.next().map(str::to_owned);
        let hex = digest.len() == 16 && digest.bytes().all(|b| b.is_ascii_hexdigit());
        hex.then_some(Self {
            version,
            epoch,
            digest,
            representation,
        })
    }

    /// Reads an `If-None-Match` list; tags that are not ours are skipped.
    pub fn read_list(header: &str) -> Vec<Self> {
        header.split(',').filter_map(Self::read).collect()
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.version, self.epoch, self.digest)?;
        match &self.representation {
            Some(representation) => write!(f, ".{representation}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> Token {
        let digest = format!("sha256:{}", "ab".repeat(32)).parse().unwrap();
        Token::new(&"c".repeat(40).parse().unwrap(), &digest)
    }

    #[test]
    fn a_token_is_read_bare_quoted_and_weak() {
        let token = token();
        for text in [
            format!("{token}"),
            format!("\"{token}\""),
            format!("W/\"{token}\""),
            format!(" {token} "),
        ] {
            assert_eq!(Token::read(&text), Some(token.clone()), "{text}");
        }
    }

    #[test]
    fn a_representation_comes_back() {
        let token = Token {
            representation: Some("toml.9f".into()),
            ..token()
        };
        assert_eq!(Token::read(&token.to_string()), Some(token));
    }

    #[test]
    fn what_is_not_ours_is_not_read() {
        for text in ["", "*", "\"abc\"", "\"v1.2.3\"", "W/\"\"", "a.b.c.d"] {
            assert_eq!(Token::read(text), None, "{text}");
        }
        assert_eq!(
            Token::read_list(&format!("\"x\", \"{}\", *", token())),
            vec![token()]
        );
    }
}
