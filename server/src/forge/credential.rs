//! Who we are to a forge: a token in a file, or the key of a GitHub App.
//!
//! Invariant: a token is read again when the forge refuses the one we had, so that a rotated one works without a
//! restart. The key of an App never leaves this machine: it signs a short-lived claim, for which the forge hands out
//! a token that is good for an hour.

use std::path::{Path, PathBuf};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use headwater_wire::Timestamp;
use serde_json::json;

use super::api::ForgeError;
use crate::secret::Secret;

/// Longest file that is read as a token or key, in bytes.
const FILE_BYTES_MAX: u64 = 64 << 10;
/// How long a claim is good, in seconds; GitHub takes ten minutes at most.
const CLAIM_SECONDS: i64 = 9 * 60;
/// How far a claim is dated back, in seconds, for clocks that differ.
const CLAIM_SKEW_SECONDS: i64 = 60;
/// How long before its end a token of an installation is replaced, in ms.
const REFRESH_EARLY_MS: i64 = 10 * 60 * 1_000;

/// Who we are to a forge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// A token.
    Token {
        /// File that holds it.
        file: PathBuf,
    },
    /// An installation of a GitHub App.
    App {
        /// Id or client id of the App.
        app_id: String,
        /// PEM file with its private key.
        key_file: PathBuf,
        /// Id of the installation.
        installation_id: String,
    },
}

/// A token and how long to use it.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) token: Secret,
    /// None for one that does not end by itself.
    pub(super) ends_at: Option<Timestamp>,
}

impl Held {
    /// Whether it should be used still.
    pub(super) fn is_good(&self, now: Timestamp) -> bool {
        self.ends_at
            .is_none_or(|ends_at| ends_at.ms_since(now) > REFRESH_EARLY_MS)
    }
}

/// A token from its file.
pub(super) async fn read_token(file: &Path) -> Result<Secret, ForgeError> {
    let text = read(file).await?;
    let token = text.trim();
    if token.is_empty() || token.contains(char::is_whitespace) {
        return Err(unusable(file, "it holds no token"));
    }
    Ok(Secret::new(token))
}

/// The claim of an App at `now`: a JSON Web Token by RS256.
pub(super) async fn claim(app_id: &str, key_file: &Path, now: Timestamp) -> Result<Secret, ForgeError> {
    let pem = read(key_file).await?;
    let key = private_key(&pem).ok_or_else(|| unusable(key_file, "it holds no RSA key in PEM"))?;
    let seconds = now.0 / 1_000;
    let head = json!({"alg": "RS256", "typ": "JWT"});
    let body = json!({"iat": seconds - CLAIM_SKEW_SECONDS, "exp": seconds + CLAIM_SECONDS, "iss": app_id});
    let encode = |text: String| URL_SAFE_NO_PAD.encode(text);
    let signed = format!("{}.{}", encode(head.to_string()), encode(body.to_string()));
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(
        &RSA_PKCS1_SHA256,
        &SystemRandom::new(),
        signed.as_bytes(),
        &mut signature,
    )
    .map_err(|_| unusable(key_file, "it does not sign"))?;
    let signature = URL_SAFE_NO_PAD.encode(signature);
    Ok(Secret::new(format!("{signed}.{signature}")))
}

/// The key of a PEM file, in either of its two forms.
fn private_key(pem: &str) -> Option<RsaKeyPair> {
    let (_, rest) = pem.split_once("-----BEGIN ")?;
    let (kind, rest) = rest.split_once("-----")?;
    let (text, _) = rest.split_once("-----END ")?;
    let text: String = text.split_ascii_whitespace().collect();
    let der = STANDARD.decode(text).ok()?;
    match kind {
        "RSA PRIVATE KEY" => RsaKeyPair::from_der(&der).ok(),
        "PRIVATE KEY" => RsaKeyPair::from_pkcs8(&der).ok(),
        _ => None,
    }
}

async fn read(file: &Path) -> Result<String, ForgeError> {
    let size = tokio::fs::metadata(file).await.map(|metadata| metadata.len());
    if size.is_ok_and(|size| size > FILE_BYTES_MAX) {
        return Err(unusable(file, "it is too large"));
    }
    let text = tokio::fs::read_to_string(file).await;
    text.map_err(|error| unusable(file, &error.to_string()))
}

fn unusable(file: &Path, why: &str) -> ForgeError {
    ForgeError::Credentials(format!("cannot use `{}`: {why}", file.display()))
}
