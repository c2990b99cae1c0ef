//! A JSON Web Token (RFC 7519) and the public keys that may sign one (RFC 7517): read, and the signature looked at.
//!
//! Invariant: the key says which algorithm it is for, and a token that names another one is refused before anything
//! else, so that neither `none` nor a public key used as a shared secret lets anybody in. What is deliberately absent:
//! algorithms with a shared secret, encryption, keys that a token brings with it, and what the claims mean (`issuer`).

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::token::TokenDigest;

/// Longest token, in bytes; heads of requests have a limit of about this, too.
const TOKEN_BYTES_MAX: usize = 16 << 10;
/// Most keys of one issuer. Two are usual while one replaces the other.
const KEYS_MAX: usize = 64;

/// How a token may be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    /// RSA (PKCS #1 v1.5) with SHA-256, 2,048 bits at least.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// All that are taken.
    pub(crate) const ALL: [Self; 3] = [Self::Rs256, Self::Es256, Self::EdDsa];

    /// As tokens name it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Algorithm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut all = Self::ALL.into_iter();
        all.find(|known| known.as_str() == text)
            .ok_or_else(|| format!("expected `RS256`, `ES256` or `EdDSA`, not `{text}`"))
    }
}

/// Why a token of an issuer lets nobody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JwtRefused {
    /// It is none.
    #[error("that is neither a token of this service nor a JSON Web Token")]
    Form,
    /// It says things of itself that must be understood, and are not.
    #[error("the token's head names extensions that are not understood here")]
    Critical,
    /// It is signed otherwise than its issuer may sign.
    #[error("the token is signed by an algorithm that is not taken from its issuer")]
    Algorithm,
    /// Nobody knows who issued it.
    #[error("the token is of an issuer that is not known here")]
    Issuer,
    /// Its issuer has no such key.
    #[error("the token is signed by a key that its issuer does not have, or not any more")]
    Key,
    /// Its signature is wrong.
    #[error("the token's signature is wrong")]
    Signature,
    /// It is meant for another service.
    #[error("the token is meant for another service: its audience is not this one")]
    Audience,
    /// It holds from later on.
    #[error("the token does not hold yet; look at the clocks")]
    Early,
    /// It does not say until when it holds, or for longer than its issuer may say.
    #[error("the token has no end, or lasts for longer than is taken from its issuer")]
    Lasting,
    /// It does not say whose it is, in a way that can be told.
    #[error("the token does not say whose it is, or with characters that no name has here")]
    Name,
    /// Its mail address is not proved.
    #[error("the token's mail address has not been verified by its issuer")]
    Unverified,
    /// It was made for another login.
    #[error("the token was made for another login than this one")]
    Nonce,
    /// Its issuer has not asked anew who it is, or does not say when it did.
    #[error("the issuer does not say that whoever it is has proved himself just now (`auth_time`)")]
    Old,
    /// What it says lets nobody do anything.
    #[error("the token is good, and no grant of this service is for what it says")]
    Grant,
}

/// What stands in a token, before anybody has looked whether it is true.
#[derive(Debug)]
pub(super) struct Unproved<'a> {
    /// How it says to be signed.
    pub algorithm: Algorithm,
    /// Which key it says to be signed by.
    pub key_id: Option<String>,
    /// What it says.
    pub claims: Map<String, Value>,
    signed: &'a str,
    signature: Vec<u8>,
}

#[derive(Deserialize)]
struct Head {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

impl<'a> Unproved<'a> {
    /// Reads what somebody sent.
    pub(super) fn read(text: &'a str) -> Result<Self, JwtRefused> {
        if text.len() > TOKEN_BYTES_MAX {
            return Err(JwtRefused::Form);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(JwtRefused::Form)?;
        let (head, claims) = signed.split_once('.').ok_or(JwtRefused::Form)?;
        let bytes = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| JwtRefused::Form);
        let head: Head = serde_json::from_slice(&bytes(head)?).map_err(|_| JwtRefused::Form)?;
        if head.crit.is_some() {
            return Err(JwtRefused::Critical);
        }
        Ok(Self {
            algorithm: head.alg.parse().map_err(|_| JwtRefused::Algorithm)?,
            key_id: head.kid,
            claims: serde_json::from_slice(&bytes(claims)?).map_err(|_| JwtRefused::Form)?,
            signed,
            signature: bytes(signature)?,
        })
    }

    /// A claim that is a text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.claims.get(name).and_then(Value::as_str)
    }
}

/// The keys of an issuer.
#[derive(Debug, Clone, Default)]
pub(super) struct Keys(Vec<Key>);

#[derive(Debug, Clone)]
struct Key {
    id: Option<String>,
    known_by: TokenDigest,
    material: Material,
}

#[derive(Debug, Clone)]
enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    Ed25519(Vec<u8>),
}

#[derive(Deserialize)]
struct JwkSet {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    r#use: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl Keys {
    /// Reads a set. Keys for other purposes, which issuers have too, are left out.
    ///
    /// # Errors
    /// What is wrong with it; also where no key of it could be used, which is more likely a mistake than a wish.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        let set: JwkSet =
            serde_json::from_slice(bytes).map_err(|_| "it is no set of keys (RFC 7517)".to_owned())?;
        if set.keys.len() > KEYS_MAX {
            return Err(format!("it has more than {KEYS_MAX} keys"));
        }
        let jwks = set
            .keys
            .into_iter()
            .filter_map(|jwk| serde_json::from_value(jwk).ok());
        let keys: Vec<Key> = jwks.filter_map(|jwk| Key::of(&jwk)).collect();
        if keys.is_empty() {
            return Err("it has no public key for RS256, ES256 or EdDSA".to_owned());
        }
        Ok(Self(keys))
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a key is one of them.
    pub(super) fn has(&self, known_by: &TokenDigest) -> bool {
        self.0.iter().any(|key| key.known_by == *known_by)
    }

    /// By which of them a token is signed.
    pub(super) fn signer(&self, token: &Unproved<'_>) -> Result<TokenDigest, JwtRefused> {
        let fits = |key: &&Key| match &token.key_id {
            Some(id) => key.id.as_ref() == Some(id),
            None => key.algorithm() == token.algorithm,
        };
        let mut named = self.0.iter().filter(fits);
        let key = named.next().ok_or(JwtRefused::Key)?;
        // Which of two is meant is nobody's guess.
        if named.next().is_some() {
            return Err(JwtRefused::Key);
        }
        if key.algorithm() != token.algorithm {
            return Err(JwtRefused::Algorithm);
        }
        if !key.has_signed(token.signed.as_bytes(), &token.signature) {
            return Err(JwtRefused::Signature);
        }
        Ok(key.known_by)
    }
}

impl Key {
    fn of(jwk: &Jwk) -> Option<Self> {
        let bytes = |part: &Option<String>| URL_SAFE_NO_PAD.decode(part.as_ref()?).ok();
        let sized = |part: &Option<String>| bytes(part).filter(|bytes| bytes.len() == 32);
        let material = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", None) => {
                let number = |part| {
                    let bytes: Vec<u8> = bytes(part)?;
                    Some(bytes.into_iter().skip_while(|byte| *byte == 0).collect())
                };
                Material::Rsa {
                    n: number(&jwk.n)?,
                    e: number(&jwk.e)?,
                }
            }
            ("EC", Some("P-256")) => {
                // SEC 1: an uncompressed point.
                Material::P256([vec![4], sized(&jwk.x)?, sized(&jwk.y)?].concat())
            }
            ("OKP", Some("Ed25519")) => Material::Ed25519(sized(&jwk.x)?),
            _ => return None,
        };
        let key = Self {
            id: jwk.kid.clone(),
            known_by: TokenDigest::of(&format!("{:?} {material:?}", jwk.kid)),
            material,
        };
        let is_meant = jwk
            .alg
            .as_deref()
            .is_none_or(|alg| alg == key.algorithm().as_str() || alg == "Ed25519")
            && jwk.r#use.as_deref().is_none_or(|purpose| purpose == "sig");
        is_meant.then_some(key)
    }

    fn algorithm(&self) -> Algorithm {
        match self.material {
            Material::Rsa { .. } => Algorithm::Rs256,
            Material::P256(_) => Algorithm::Es256,
            Material::Ed25519(_) => Algorithm::EdDsa,
        }
    }

    fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Rsa { n, e } => {
                let key = RsaPublicKeyComponents { n, e };
                key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
                    .is_ok()
            }
            Material::P256(point) => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
                .verify(message, signature)
                .is_ok(),
            Material::Ed25519(key) => UnparsedPublicKey::new(&ED25519, key)
                .verify(message, signature)
                .is_ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// RFC 8037, appendix A: a key, and what it signed, which is no JSON.
    const ED25519_SET: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

    #[test]
    fn a_key_is_read_for_its_purpose_and_no_other() {
        let read = |set: &str| Keys::read(set.as_bytes()).map(|keys| keys.0.len());
        assert_eq!(read(ED25519_SET), Ok(1));
        let none = Err("it has no public key for RS256, ES256 or EdDSA".to_owned());
        assert_eq!(
            read(r#"{"keys":[{"kty":"oct","k":"c2VjcmV0","alg":"HS256"}]}"#),
            none
        );
        assert_eq!(
            read(&ED25519_SET.replace("\"kid\"", "\"use\":\"enc\",\"kid\"")),
            none
        );
        assert_eq!(
            read(&ED25519_SET.replace("\"kid\"", "\"alg\":\"RS256\",\"kid\"")),
            none
        );
        assert_eq!(read("{}"), Err("it is no set of keys (RFC 7517)".to_owned()));
    }

    #[test]
    fn what_was_signed_by_the_key_of_rfc_8037_is_known_as_signed_by_it() {
        let keys = Keys::read(ED25519_SET.as_bytes()).unwrap();
        let signed = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
        let signature = URL_SAFE_NO_PAD
            .decode("hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg")
            .unwrap();
        assert!(keys.0[0].has_signed(signed, &signature));
        assert!(!keys.0[0].has_signed(&signed[1..], &signature));
    }

    #[test]
    fn a_token_that_is_not_signed_or_by_a_shared_secret_is_refused_before_any_key_is_looked_at() {
        let of = |head: &str| {
            format!(
                "{}.{}.",
                URL_SAFE_NO_PAD.encode(head),
                URL_SAFE_NO_PAD.encode("{}")
            )
        };
        let told = |head: &str| Unproved::read(&of(head)).map(drop).unwrap_err();
        for algorithm in ["none", "None", "HS256", "RS384", "PS256", "ES256K", ""] {
            assert_eq!(
                told(&format!("{{\"alg\":\"{algorithm}\"}}")),
                JwtRefused::Algorithm,
                "{algorithm}"
            );
        }
        assert_eq!(
            told(r#"{"alg":"ES256","crit":["b64"],"b64":false}"#),
            JwtRefused::Critical
        );
        assert_eq!(told(r#"{"kid":"a"}"#), JwtRefused::Form);
        assert_eq!(told(r#"{"alg":"ES256","alg":"none"}"#), JwtRefused::Form);
    }

    proptest! {
        #[test]
        fn whatever_is_sent_is_read_without_a_panic(text in any::<String>(), bytes in any::<Vec<u8>>()) {
            Unproved::read(&text).ok();
            let part = URL_SAFE_NO_PAD.encode(&bytes);
            Unproved::read(&format!("{part}.{part}.{part}")).ok();
            Keys::read(&bytes).ok();
        }
    }
}
