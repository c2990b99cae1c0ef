//! What [`crate::fuzzed`] tries of this room.

use super::entry::{self, rewritten};
use super::jwt::{Keys, Unproved};
use super::token::{BearerToken, TokenDigest};

/// The digest of a token, read twice.
pub(crate) fn bearer_token(text: &str) -> Option<String> {
    let digest = BearerToken::read(text).ok()?.digest().to_string();
    TokenDigest::read(&digest).map(|read| read.to_string())
}

/// What a token says that it is signed by, and whether it is.
pub(crate) fn json_web_token(text: &str, keys: &[u8]) -> Option<(&'static str, bool)> {
    let token = Unproved::read(text).ok()?;
    let keys = Keys::read(keys).unwrap_or_default();
    let signer = keys.signer(&token);
    Some((
        token.algorithm.as_str(),
        signer.is_ok_and(|signer| keys.has(&signer)),
    ))
}

/// The file of tokens as it would be written after a change.
pub(crate) fn tokens_file(text: &str) -> Result<String, String> {
    rewritten(entry::parse(text)?)
}
