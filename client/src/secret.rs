//! A bearer token that cannot be printed.
//!
//! Invariant: the text leaves this type only as a header value marked sensitive.

use std::fmt;
use std::str::FromStr;

use http::HeaderValue;

/// Longest token, in bytes. Servers and proxies cut header lines at 8 KiB.
const TOKEN_BYTES_MAX: usize = 4_096;

/// Why a text cannot be a bearer token. The text itself is never part of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Nothing, or only white space.
    #[error("the token is empty")]
    Empty,
    /// White space inside, a control character or a character outside ASCII.
    #[error("the token has a character that cannot stand in a header")]
    Character,
    /// Longer than a header line may be.
    #[error("the token is longer than {TOKEN_BYTES_MAX} bytes")]
    TooLong,
}

/// Credential sent as `Authorization: Bearer …`.
#[derive(Clone)]
pub struct BearerToken(HeaderValue);

impl BearerToken {
    /// Value of the `Authorization` header, marked so that no layer below prints it.
    pub(crate) fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl FromStr for BearerToken {
    type Err = TokenError;

    /// White space around the token is dropped, since files end with a line feed.
    fn from_str(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(TokenError::Empty);
        }
        if text.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::TooLong);
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(TokenError::Character);
        }
        let mut value =
            HeaderValue::from_str(&format!("Bearer {text}")).map_err(|_| TokenError::Character)?;
        value.set_sensitive(true);
        Ok(Self(value))
    }
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerToken(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_never_shows_in_debug_output() {
        let token: BearerToken = "  s3cret-value\n".parse().unwrap();
        assert_eq!(
            format!("{token:?} {:?}", token.header()),
            "BearerToken(…) Sensitive"
        );
        assert_eq!(token.header().as_bytes(), b"Bearer s3cret-value");
    }

    #[test]
    fn a_text_that_cannot_be_a_header_is_refused_without_being_quoted() {
        for (bad, error) in [
            (" \n", TokenError::Empty),
            ("a b", TokenError::Character),
            ("ü", TokenError::Character),
        ] {
            assert_eq!(bad.parse::<BearerToken>().unwrap_err(), error);
        }
        assert_eq!(
            "x".repeat(5_000).parse::<BearerToken>().unwrap_err(),
            TokenError::TooLong
        );
    }
}
