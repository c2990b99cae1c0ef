//! Whom a request comes from.
//!
//! Invariant: whoever is let in has a name, a role, bounds and an end, however he said who he is.

use std::sync::Arc;

use headwater_wire::Timestamp;
use tokio_util::sync::CancellationToken;

use super::entry::Entry;
use super::role::Role;
use super::scope::Scope;
use super::token::TokenDigest;

/// Whom a request comes from.
#[derive(Debug, Clone)]
pub(crate) struct Identity(Arc<Holder>);

#[derive(Debug)]
struct Holder {
    entry: Entry,
    scope: Scope,
    voucher: Option<Voucher>,
    /// Cancelled when the token ends, and all that is open for it.
    ended: CancellationToken,
}

/// Who says so, where it is not our own file: an issuer, by a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Voucher {
    /// The issuer's name in the settings.
    pub issuer: String,
    /// What its key is known by.
    pub key: TokenDigest,
}

impl Identity {
    /// Of an entry, whose bounds are read already.
    pub(super) fn new(entry: Entry, scope: Scope, voucher: Option<Voucher>) -> Self {
        Self(Arc::new(Holder {
            entry,
            scope,
            voucher,
            ended: CancellationToken::new(),
        }))
    }

    /// The same until `end`, and no longer than this one.
    pub(super) fn until(&self, end: Timestamp) -> Self {
        let mut entry = self.0.entry.clone();
        entry.expires = Some(entry.expires.map_or(end, |expires| expires.min(end)));
        Self(Arc::new(Holder {
            entry,
            scope: self.0.scope.clone(),
            voucher: self.0.voucher.clone(),
            ended: self.0.ended.child_token(),
        }))
    }

    /// Whether anybody but one holder has it.
    pub(super) fn is_in_use(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    /// The name of the token.
    pub(crate) fn name(&self) -> &str {
        &self.0.entry.name
    }

    /// What it is for.
    pub(crate) fn role(&self) -> Role {
        self.0.entry.role
    }

    /// What it is bound to.
    pub(crate) fn scope(&self) -> &Scope {
        &self.0.scope
    }

    /// Cancelled when it is not let in any more.
    pub(crate) fn ended(&self) -> &CancellationToken {
        &self.0.ended
    }

    /// When it ends by itself, if it does.
    pub(super) fn expires(&self) -> Option<Timestamp> {
        self.0.entry.expires
    }

    pub(super) fn has_expired(&self, now: Timestamp) -> bool {
        self.expires().is_some_and(|expires| expires <= now)
    }

    /// Whether he is still let in.
    pub(crate) fn holds(&self, now: Timestamp) -> bool {
        !self.has_expired(now) && !self.0.ended.is_cancelled()
    }

    /// What tells this one from all others that there are at the same time.
    pub(crate) fn mark(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    /// Whether it is what an entry says.
    pub(super) fn is_of(&self, entry: &Entry) -> bool {
        self.0.entry == *entry
    }

    /// Whether both are one, and not only alike.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Who says so, where it is not our own file.
    pub(super) fn voucher(&self) -> Option<&Voucher> {
        self.0.voucher.as_ref()
    }
}
