//! Who was let in by the word of another: until the token ends, or the word counts no longer.
//!
//! Invariant: whoever is forgotten here has ended, so that nothing stays open for somebody whom nobody watches.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use headwater_wire::Timestamp;
use tracing::debug;

use super::identity::Identity;
use super::token::TokenDigest;

/// Most of them at once; the one that ends first gives way.
const ISSUED_MAX: usize = 20_000;

/// Those who are let in now, by the digest of what they sent.
#[derive(Debug, Default)]
pub(super) struct Issued(Mutex<HashMap<TokenDigest, Identity>>);

impl Issued {
    /// Who sent this before, and still is let in.
    pub(super) fn get(&self, sent: &TokenDigest) -> Option<Identity> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(sent).cloned()
    }

    /// Lets somebody in; if he was meanwhile, as who he is.
    pub(super) fn insert(&self, sent: TokenDigest, identity: Identity) -> Identity {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= ISSUED_MAX && !known.contains_key(&sent) {
            let first = known.iter().min_by_key(|(_, identity)| identity.expires());
            let first = first.map(|(sent, _)| *sent);
            if let Some(ended) = first.and_then(|first| known.remove(&first)) {
                ended.ended().cancel();
            }
        }
        known.entry(sent).or_insert(identity).clone()
    }

    /// Ends one of them.
    pub(super) fn end(&self, sent: &TokenDigest) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ended) = known.remove(sent) {
            ended.ended().cancel();
        }
    }

    /// Ends those whose time is over.
    pub(super) fn end_expired(&self, now: Timestamp) {
        self.retain(|identity| !identity.has_expired(now));
    }

    /// Ends all that do not stay.
    pub(super) fn retain(&self, stays: impl Fn(&Identity) -> bool) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, identity| {
            let stays = stays(identity);
            if !stays {
                debug!(token = identity.name(), "`{}` has ended", identity.name());
                identity.ended().cancel();
            }
            stays
        });
    }
}
