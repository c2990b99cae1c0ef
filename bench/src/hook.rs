//! Deliveries of a webhook, signed as a forge signs them.

use std::net::SocketAddr;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use headwater_server::clock;

/// A secret of a hook. It protects nothing but this run.
pub(crate) const SECRET: &str = "of-a-benchmark-on-loopback-alone";

/// The secret, as what signs.
pub(crate) fn key() -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes())
}

/// A table of the settings: a hook of that name for repositories, whose secret lies in a file.
pub(crate) fn table(name: &str, repos: &str, secret_file: &str) -> String {
    format!(
        "\n[[hook]]\nname = \"{name}\"\nforge = \"generic\"\nrepo = {repos}\nsecret_file = \"{secret_file}\"\n"
    )
}

/// What tells of a commit on the branch.
pub(crate) fn told_of(commit: &str) -> String {
    format!("{{\"ref\":\"main\",\"commit\":\"{commit}\"}}")
}

/// A delivery to a hook by Standard Webhooks, under an id. What is signed need not be what is sent.
pub(crate) fn deliver(
    address: &SocketAddr,
    (hook, id): (&str, &str),
    (secret, signed): (&hmac::Key, &str),
    body: &str,
) -> String {
    let time = clock::now().0 / 1_000;
    let tag = hmac::sign(secret, format!("{id}.{time}.{signed}").as_bytes());
    let signature = STANDARD.encode(tag);
    format!(
        "POST /hooks/{hook} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\nwebhook-id: {id}\r\n\
         webhook-timestamp: {time}\r\nwebhook-signature: v1,{signature}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}
