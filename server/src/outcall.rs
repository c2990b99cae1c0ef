//! One call to an address of the settings: bounded, signed where the other side is to know who asks, errors told apart.
//!
//! Invariant: redirects and the proxies of the environment are not followed, every body has a limit, and no error names
//! the address, which may be a secret. What is deliberately absent: retries, since only the caller knows what waits.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use aws_lc_rs::hmac;
use headwater_validators::printable;
use http::StatusCode;
use http::header::{CONTENT_TYPE, USER_AGENT};
use reqwest::{Client, RequestBuilder, Response};

use crate::forge::api::{certificates, words};
use crate::secret::Secret;
use crate::trace;

/// Header with the HMAC-SHA256 of the body, in hex.
const SIGNATURE: &str = "headwater-signature";
/// Longest answer that is read, in bytes: a word and a reason.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// Longest text of another service that is told, in characters.
const TEXT_CHARS_MAX: usize = 200;

/// Why there is no answer, and whether asking again may help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Silence {
    /// It may.
    Passing(String),
    /// It will not, until somebody mends something.
    Lasting(String),
}

impl Silence {
    /// Why.
    pub(crate) fn why(self) -> String {
        match self {
            Self::Passing(why) | Self::Lasting(why) => why,
        }
    }
}

/// What calls, or why it cannot.
pub(crate) fn client(ca_file: Option<&PathBuf>, deadline: Duration) -> Result<Client, String> {
    let mut builder = Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(deadline)
        .referer(false)
        .no_proxy();
    if let Some(file) = ca_file {
        builder = builder.tls_certs_only(certificates(file).map_err(|error| error.to_string())?);
    }
    builder.build().map_err(words)
}

/// A call with a JSON body.
pub(crate) fn post(client: &Client, url: &str, body: Vec<u8>) -> RequestBuilder {
    let call = client.post(url).header(USER_AGENT, "headwater");
    let call = call.headers(trace::outward());
    call.header(CONTENT_TYPE, "application/json").body(body)
}

/// The same, with a signature.
pub(crate) fn post_signed(client: &Client, url: &str, body: &[u8], secret: &Secret) -> RequestBuilder {
    post(client, url, body.to_vec()).header(SIGNATURE, format!("sha256={}", hmac_hex(secret, body)))
}

/// Calls, and reads the answer to a call that succeeded.
pub(crate) async fn answer(call: RequestBuilder) -> Result<Vec<u8>, Silence> {
    match exchange(call).await? {
        (status, body) if status.is_success() => Ok(body),
        (status, _) => Err(Silence::Lasting(format!("it answered {status}"))),
    }
}

/// Calls, and reads the answer also where the other side will not do what it is asked.
pub(crate) async fn exchange(call: RequestBuilder) -> Result<(StatusCode, Vec<u8>), Silence> {
    let response = call
        .send()
        .await
        .map_err(|error| Silence::Passing(words(error)))?;
    let status = response.status();
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        return Err(Silence::Passing(format!("it answered {status}")));
    }
    if status.is_redirection() {
        return Err(Silence::Lasting("it redirects, which is not followed".to_owned()));
    }
    Ok((status, read(response).await?))
}

async fn read(mut response: Response) -> Result<Vec<u8>, Silence> {
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| Silence::Passing(words(error)))?
    {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(Silence::Lasting(format!(
                "its answer is longer than {ANSWER_BYTES_MAX} bytes"
            )));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn hmac_hex(secret: &Secret, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
    let mut hex = String::new();
    for byte in hmac::sign(&key, body).as_ref() {
        // Writing into a string cannot fail.
        write!(hex, "{byte:02x}").ok();
    }
    hex
}

/// A text of another service, in one line and not for too long.
pub(crate) fn quoted(text: &str) -> String {
    printable(&text.chars().take(TEXT_CHARS_MAX).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_signed_is_signed_as_others_sign_it() {
        // The second case of RFC 4231.
        let hex = hmac_hex(&Secret::new("Jefe"), b"what do ya want for nothing?");
        assert_eq!(
            hex,
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[test]
    fn a_text_of_others_is_one_line_and_not_long() {
        assert_eq!(quoted("a\nb\u{1b}[31m"), "a\\nb\\u{1b}[31m");
        assert_eq!(quoted(&"é".repeat(1_000)).chars().count(), TEXT_CHARS_MAX);
    }
}
