//! Logins that people have begun at an issuer and not finished: each is kept by the browser that began it, sealed.
//!
//! Invariant: what is kept here does not grow with those who begin, so that nobody fills or pushes out anything by beginning;
//! a sealed login that was changed, is of another process or is too old is none. A state is taken once. Nothing of a login is
//! printed.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use headwater_wire::Timestamp;
use serde::{Deserialize, Serialize};

use super::token::TokenDigest;

/// How long somebody may take to log in, in ms.
pub(crate) const LOGIN_MS: i64 = 10 * 60 * 1_000;
/// States that are remembered as taken; the one that ends first gives way, and its code is still good only once.
const TAKEN_MAX: usize = 10_000;
/// Random bytes of a state, a nonce and a verifier: 43 characters, as RFC 7636 wants.
const RANDOM_BYTES: usize = 32;
/// Longest address that is gone on to, in bytes: a cookie has 4,096.
pub(crate) const NEXT_BYTES_MAX: usize = 1_500;
/// What the seal is for, so that it is none of anything else.
const PURPOSE: &[u8] = b"headwater login 1";

/// How an issuer is asked to let somebody prove himself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Prove {
    /// As it likes: he may have done so a while ago.
    Somehow,
    /// Anew, whatever it remembers of him.
    Anew,
}

/// A login that was begun.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Begun {
    /// Name of the issuer.
    pub issuer: String,
    /// What comes back with the browser.
    pub state: String,
    /// What comes back in the token.
    pub nonce: String,
    /// What the code is handed out for (RFC 7636).
    pub verifier: String,
    /// Page to go on to.
    pub next: String,
    /// When it was begun.
    pub at: Timestamp,
    /// How he is to prove himself.
    pub prove: Prove,
    /// Who is in the session that goes on by it, and what that session is known by.
    pub again: Option<(String, String)>,
}

impl Begun {
    /// A new one.
    pub(super) fn new(
        issuer: &str,
        next: &str,
        (prove, at): (Prove, Timestamp),
    ) -> Result<Self, Unspecified> {
        let next = if next.len() > NEXT_BYTES_MAX { "/" } else { next };
        Ok(Self {
            issuer: issuer.to_owned(),
            state: random()?,
            nonce: random()?,
            verifier: random()?,
            next: next.to_owned(),
            at,
            prove,
            again: None,
        })
    }

    /// What the issuer is shown of the verifier.
    pub(super) fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest(&SHA256, self.verifier.as_bytes()).as_ref())
    }

    /// When it is too late.
    fn until(&self) -> Timestamp {
        Timestamp(self.at.0.saturating_add(LOGIN_MS))
    }
}

/// Whether both are the same; how long it takes tells nothing of where they differ.
pub(super) fn is_same(sent: &str, ours: &str) -> bool {
    verify_slices_are_equal(sent.as_bytes(), ours.as_bytes()).is_ok()
}

fn random() -> Result<String, Unspecified> {
    let mut bytes = [0; RANDOM_BYTES];
    SystemRandom::new().fill(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// What became of a sealed login.
pub(super) enum Opened {
    /// It holds.
    Good(Box<Begun>),
    /// It did.
    Late,
    /// It is none of this process.
    None,
}

/// What seals logins, and remembers which have been taken.
pub(super) struct Seal {
    key: Option<RandomizedNonceKey>,
    taken: Mutex<HashMap<TokenDigest, Timestamp>>,
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[seal]")
    }
}

impl Default for Seal {
    /// With a key of this process.
    fn default() -> Self {
        let mut bytes = [0; 32];
        let key = SystemRandom::new().fill(&mut bytes);
        Self {
            key: key
                .and_then(|()| RandomizedNonceKey::new(&AES_256_GCM, &bytes))
                .ok(),
            taken: Mutex::default(),
        }
    }
}

impl Seal {
    /// For the browser to keep.
    pub(super) fn close(&self, begun: &Begun) -> Result<String, Unspecified> {
        let mut text = serde_json::to_vec(begun).map_err(|_| Unspecified)?;
        let key = self.key.as_ref().ok_or(Unspecified)?;
        let nonce = key.seal_in_place_append_tag(Aad::from(PURPOSE), &mut text)?;
        Ok(URL_SAFE_NO_PAD.encode([nonce.as_ref().as_slice(), &text].concat()))
    }

    /// What a browser kept.
    pub(super) fn open(&self, sealed: &str, now: Timestamp) -> Opened {
        match self.read(sealed) {
            Some(begun) if begun.until() <= now => Opened::Late,
            Some(begun) => Opened::Good(Box::new(begun)),
            None => Opened::None,
        }
    }

    fn read(&self, sealed: &str) -> Option<Begun> {
        let bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (nonce, text) = bytes.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut text = text.to_vec();
        let key = self.key.as_ref()?;
        let text = key.open_in_place(nonce, Aad::from(PURPOSE), &mut text).ok()?;
        serde_json::from_slice(text).ok()
    }

    /// Whether a login is taken for the first time; from now on it has been.
    pub(super) fn take(&self, begun: &Begun, now: Timestamp) -> bool {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.len() >= TAKEN_MAX {
            taken.retain(|_, until| *until > now);
        }
        if taken.len() >= TAKEN_MAX {
            let first = taken.iter().min_by_key(|(_, until)| **until);
            let first = first.map(|(state, _)| *state);
            first.and_then(|state| taken.remove(&state));
        }
        taken
            .insert(TokenDigest::of(&begun.state), begun.until())
            .is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun() -> Begun {
        Begun::new("sso", "/repos/default", (Prove::Somehow, Timestamp(1_000))).unwrap()
    }

    #[test]
    fn a_sealed_login_is_opened_by_the_process_that_sealed_it_and_in_time() {
        let (seal, begun) = (Seal::default(), begun());
        let sealed = seal.close(&begun).unwrap();
        assert!(
            matches!(seal.open(&sealed, Timestamp(1_001)), Opened::Good(open) if open.nonce == begun.nonce)
        );
        assert!(matches!(
            seal.open(&sealed, Timestamp(1_000 + LOGIN_MS)),
            Opened::Late
        ));
        assert!(matches!(
            Seal::default().open(&sealed, Timestamp(1_001)),
            Opened::None
        ));
        let mut bytes = URL_SAFE_NO_PAD.decode(&sealed).unwrap();
        bytes[20] ^= 1;
        let changed = URL_SAFE_NO_PAD.encode(bytes);
        for other in [changed.as_str(), "", "AAAA", "x y"] {
            assert!(
                matches!(seal.open(other, Timestamp(1_001)), Opened::None),
                "{other}"
            );
        }
    }

    #[test]
    fn a_sealed_login_fits_into_a_cookie_however_long_the_page_to_go_on_to_is() {
        for bytes in [NEXT_BYTES_MAX, NEXT_BYTES_MAX + 1] {
            let next = format!("/{}", "x".repeat(bytes - 1));
            let mut begun = Begun::new("sso", &next, (Prove::Anew, Timestamp(1_000))).unwrap();
            begun.again = Some(("sso:".to_owned() + &"n".repeat(200), "d".repeat(71)));
            let sealed = Seal::default().close(&begun).unwrap();
            assert!(sealed.len() < 3_800, "{}", sealed.len());
        }
    }

    #[test]
    fn a_state_is_taken_once_and_those_that_are_remembered_have_a_limit() {
        let (seal, first) = (Seal::default(), begun());
        assert!(seal.take(&first, Timestamp(1_001)));
        assert!(!seal.take(&first, Timestamp(1_002)));
        for _ in 0..TAKEN_MAX + 10 {
            assert!(seal.take(&begun(), Timestamp(1_003)));
        }
        assert!(seal.taken.lock().unwrap().len() <= TAKEN_MAX);
    }
}
