//! Whether a delivery was sent by who knows the secret.
//!
//! Invariant: secrets and signatures are compared in constant time and at equal length; a header that is missing,
//! empty, said twice or too short is as wrong as a wrong one. What is deliberately absent: SHA-1, which some forges
//! still send beside the real signature.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use headwater_wire::Timestamp;
use http::HeaderMap;

use crate::secret::Secret;

/// How far a signed time may be from ours, in ms, both ways (Standard Webhooks).
const CLOCK_SKEW_MS: i64 = 5 * 60 * 1_000;
/// What a secret of Standard Webhooks begins with; the rest is the key in base64.
const SIGNING_PREFIX: &str = "whsec_";

/// A header that is there exactly once, as text.
pub(super) fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() {
        return None;
    }
    value.to_str().ok()
}

/// Whether `hex` is the HMAC-SHA256 of `signed` under one of the secrets.
pub(super) fn is_hmac(secrets: &[Secret], signed: &[u8], hex: &str) -> bool {
    let Some(tag) = from_hex(hex) else { return false };
    any(secrets, |secret| {
        verifies(secret.expose().as_bytes(), signed, &tag)
    })
}

/// Whether `sent` is one of the secrets itself.
pub(super) fn is_token(secrets: &[Secret], sent: &str) -> bool {
    let sent = digest(&SHA256, sent.as_bytes());
    any(secrets, |secret| {
        let ours = digest(&SHA256, secret.expose().as_bytes());
        verify_slices_are_equal(sent.as_ref(), ours.as_ref()).is_ok()
    })
}

/// Whether the headers hold a signature by Standard Webhooks: base64 of the HMAC-SHA256 of `id.timestamp.body`, not
/// older than five minutes and not from the future.
pub(super) fn is_standard(secrets: &[Secret], headers: &HeaderMap, body: &[u8], now: Timestamp) -> bool {
    let said = (
        only(headers, "webhook-id"),
        only(headers, "webhook-timestamp"),
        only(headers, "webhook-signature"),
    );
    let (Some(id), Some(time), Some(signatures)) = said else {
        return false;
    };
    let is_recent = time.parse::<i64>().is_ok_and(|seconds| {
        let sent_at = Timestamp(seconds.saturating_mul(1_000));
        now.ms_since(sent_at).saturating_abs() <= CLOCK_SKEW_MS
    });
    if id.is_empty() || !is_recent {
        return false;
    }
    let mut signed = format!("{id}.{time}.").into_bytes();
    signed.extend_from_slice(body);
    let versioned = signatures
        .split_ascii_whitespace()
        .filter_map(|one| one.strip_prefix("v1,"));
    let tags: Vec<Vec<u8>> = versioned.filter_map(|text| STANDARD.decode(text).ok()).collect();
    any(secrets, |secret| {
        let Some(key) = signing_key(secret) else {
            return false;
        };
        tags.iter()
            .fold(false, |found, tag| found | verifies(&key, &signed, tag))
    })
}

/// Whether this secret signs by Standard Webhooks rather than being sent as it is.
pub(crate) fn is_signing(secret: &Secret) -> bool {
    secret.expose().starts_with(SIGNING_PREFIX)
}

/// The key of a Standard Webhooks secret: base64 behind `whsec_`, or the bytes of any other text; `None` if the
/// base64 is none.
pub(crate) fn signing_key(secret: &Secret) -> Option<Vec<u8>> {
    match secret.expose().strip_prefix(SIGNING_PREFIX) {
        Some(encoded) => STANDARD.decode(encoded).ok().filter(|key| !key.is_empty()),
        None => Some(secret.expose().as_bytes().to_vec()),
    }
}

/// Looks at every secret, so that the time taken does not tell which one it was.
fn any(secrets: &[Secret], is: impl Fn(&Secret) -> bool) -> bool {
    secrets.iter().fold(false, |found, secret| found | is(secret))
}

fn verifies(key: &[u8], signed: &[u8], tag: &[u8]) -> bool {
    // An empty key is what a forge uses where no secret was set.
    !key.is_empty() && hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, key), signed, tag).is_ok()
}

/// Exactly 32 bytes in hexadecimal, in either case.
fn from_hex(hex: &str) -> Option<[u8; 32]> {
    let digits: Option<Vec<u32>> = hex.chars().map(|c| c.to_digit(16)).collect();
    let digits = digits.filter(|digits| digits.len() == 64)?;
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::try_from(pair.iter().fold(0, |sum, digit| sum * 16 + digit)).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(texts: &[&str]) -> Vec<Secret> {
        texts.iter().map(|text| Secret::new(*text)).collect()
    }

    /// The example that GitHub publishes with its documentation of webhook signatures.
    #[test]
    fn the_published_example_verifies() {
        let hex = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        let secrets = secrets(&["It's a Secret to Everybody"]);
        assert!(is_hmac(&secrets, b"Hello, World!", hex));
        assert!(is_hmac(&secrets, b"Hello, World!", &hex.to_ascii_uppercase()));
        assert!(!is_hmac(&secrets, b"Hello, World?", hex));
    }

    #[test]
    fn what_is_no_whole_signature_never_verifies() {
        let hex = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        let secrets = secrets(&["It's a Secret to Everybody"]);
        for bad in [
            "",
            "00",
            hex.get(..62).unwrap(),
            &format!("{hex}00"),
            &hex.replace('7', "+"),
            &hex.replace('7', "é"),
        ] {
            assert!(!is_hmac(&secrets, b"Hello, World!", bad), "{bad}");
        }
        assert!(!is_hmac(&[], b"Hello, World!", hex));
    }

    #[test]
    fn a_signature_under_an_empty_key_never_verifies() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"");
        let tag = hmac::sign(&key, b"x");
        assert!(!verifies(b"", b"x", tag.as_ref()));
    }

    /// The example of the specification of Standard Webhooks.
    #[test]
    fn the_example_of_standard_webhooks_verifies_within_five_minutes() {
        let secrets = secrets(&["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]);
        let mut headers = HeaderMap::new();
        headers.insert("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek".parse().unwrap());
        headers.insert("webhook-timestamp", "1614265330".parse().unwrap());
        headers.insert(
            "webhook-signature",
            "v2,AAAA v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
                .parse()
                .unwrap(),
        );
        let body = br#"{"test": 2432232314}"#;
        let at = |seconds: i64| Timestamp((1_614_265_330 + seconds) * 1_000);
        for (seconds, good) in [(0, true), (299, true), (-299, true), (301, false), (-301, false)] {
            assert_eq!(
                is_standard(&secrets, &headers, body, at(seconds)),
                good,
                "{seconds}"
            );
        }
        headers.append("webhook-id", "another".parse().unwrap());
        assert!(!is_standard(&secrets, &headers, body, at(0)));
    }

    #[test]
    fn either_of_two_secrets_is_taken() {
        let both = secrets(&["an older secret", "a newer secret"]);
        assert!(is_token(&both, "an older secret"));
        assert!(is_token(&both, "a newer secret"));
        assert!(!is_token(&both, "a newer secre"));
        assert!(!is_token(&both, ""));
    }
}
