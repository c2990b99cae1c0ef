//! The text of a token: 256 random bits that can be told from a typing mistake and from other people's tokens.
//!
//! Invariant: neither `Display` nor `Debug` shows the text, and what is compared is its digest, so that neither a file
//! nor the time that an answer takes tells one.

use std::fmt::{self, Write as _};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};

/// What a token of this service begins with; scanners of secrets know it by that.
const PREFIX: &str = "hw_";
/// Random bytes in a token.
const RANDOM_BYTES: usize = 32;
/// Bytes of the checksum behind them, which tells a token that was cut or mistyped before anything is looked up.
const CHECK_BYTES: usize = 4;

/// A token as it is sent.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct BearerToken(String);

/// What is kept of a token: the SHA-256 of its text. Of 256 random bits that is enough; salt and slowness are for
/// passwords, which people choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TokenDigest([u8; 32]);

/// A text that is no token of this service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAToken {
    /// It begins otherwise, or has another length or other characters.
    #[error("that is no token of this service")]
    Form,
    /// It was cut or mistyped.
    #[error("the token was cut or mistyped: its checksum is wrong")]
    Checksum,
}

impl BearerToken {
    /// A new one, by the random numbers of the system.
    pub(crate) fn random() -> Result<Self, aws_lc_rs::error::Unspecified> {
        let mut bytes = [0; RANDOM_BYTES];
        SystemRandom::new().fill(&mut bytes)?;
        Ok(Self::of(&bytes))
    }

    fn of(bytes: &[u8; RANDOM_BYTES]) -> Self {
        let random = hex(bytes);
        let check = checksum(&random);
        Self(format!("{PREFIX}{random}{check}"))
    }

    /// Reads what somebody sent.
    pub(crate) fn read(text: &str) -> Result<Self, NotAToken> {
        let rest = text.strip_prefix(PREFIX).ok_or(NotAToken::Form)?;
        let is_hex = rest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let parts = rest.split_at_checked(2 * RANDOM_BYTES);
        let (random, check) = parts
            .filter(|(_, check)| is_hex && check.len() == 2 * CHECK_BYTES)
            .ok_or(NotAToken::Form)?;
        if checksum(random) != check {
            return Err(NotAToken::Checksum);
        }
        Ok(Self(text.to_owned()))
    }

    /// What is kept of it.
    pub(crate) fn digest(&self) -> TokenDigest {
        TokenDigest::of(&self.0)
    }

    /// The text, to be shown once to whoever asked for it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[token]")
    }
}

impl TokenDigest {
    /// The digest of a text that nobody can guess.
    pub(crate) fn of(text: &str) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
        Self(bytes)
    }

    /// Reads what [`Display`](fmt::Display) writes.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let digest: headwater_wire::Digest = text.parse().ok()?;
        let digits = digest.hex().as_bytes().chunks_exact(2);
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Display for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", hex(&self.0))
    }
}

/// The first bytes of the digest of everything before the checksum.
fn checksum(random: &str) -> String {
    let digest = digest(&SHA256, format!("{PREFIX}{random}").as_bytes());
    hex(digest.as_ref().get(..CHECK_BYTES).unwrap_or_default())
}

fn hex(bytes: &[u8]) -> String {
    let mut hex = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // A `String` takes everything.
        write!(hex, "{byte:02x}").ok();
    }
    hex
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_token_is_read_as_it_was_made_and_shown_to_nobody() {
        let token = BearerToken::of(&[7; RANDOM_BYTES]);
        assert_eq!(
            token.expose(),
            "hw_07070707070707070707070707070707070707070707070707070707070707074754f86a"
        );
        assert_eq!(
            BearerToken::read(token.expose()).unwrap().digest(),
            token.digest()
        );
        assert_eq!(format!("{token:?}"), "[token]");
        assert_ne!(
            BearerToken::random().unwrap().digest(),
            BearerToken::random().unwrap().digest()
        );
    }

    #[test]
    fn a_digest_is_read_as_it_is_written() {
        let digest = TokenDigest::of("x");
        assert_eq!(TokenDigest::read(&digest.to_string()), Some(digest));
        assert_eq!(TokenDigest::read("sha256:xyz"), None);
        assert_eq!(TokenDigest::read(""), None);
    }

    proptest! {
        #[test]
        fn one_wrong_character_is_noticed_before_anything_is_looked_up(
            bytes in any::<[u8; RANDOM_BYTES]>(),
            at in 3_usize..75,
            wrong in "[0-9a-f]",
        ) {
            let token = BearerToken::of(&bytes);
            let mut text = token.expose().to_owned();
            text.replace_range(at..=at, &wrong);
            prop_assert!(text == token.expose() || BearerToken::read(&text) == Err(NotAToken::Checksum));
            let cut = token.expose().get(..at).unwrap_or_default();
            prop_assert_eq!(BearerToken::read(cut), Err(NotAToken::Form));
        }

        #[test]
        fn whatever_is_sent_is_read_without_a_panic(text in any::<String>()) {
            BearerToken::read(&text).ok();
            BearerToken::read(&format!("hw_{text}")).ok();
            TokenDigest::read(&text);
        }
    }
}
