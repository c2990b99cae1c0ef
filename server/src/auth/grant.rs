//! What the word of another lets somebody do: which claims, which role, which bounds.
//!
//! Invariant: all claims of a grant must hold. What no grant is for lets nobody in.

use globset::GlobSet;
use headwater_wire::Timestamp;
use serde_json::{Map, Value};

use super::entry::Entry;
use super::identity::{Identity, Voucher};
use super::scope::{Scope, globs};
use super::token::TokenDigest;
use crate::settings::GrantSettings;

/// One grant of the settings.
#[derive(Debug)]
pub(super) struct Grant {
    settings: GrantSettings,
    scope: Scope,
    claims: Vec<(String, Option<GlobSet>)>,
}

impl Grant {
    /// Of the settings.
    pub(super) fn new(settings: &GrantSettings) -> Result<Self, globset::Error> {
        let labels = std::collections::BTreeMap::new();
        let claims = settings.claims.iter();
        Ok(Self {
            scope: Scope::new(&settings.repos, &settings.configs, &settings.instances, labels)?,
            claims: claims
                .map(|(claim, glob)| Ok((claim.clone(), globs(std::slice::from_ref(glob))?)))
                .collect::<Result<_, globset::Error>>()?,
            settings: settings.clone(),
        })
    }

    /// Whether it looks at a claim.
    pub(super) fn reads(&self, claim: &str) -> bool {
        self.claims.iter().any(|(read, _)| read == claim)
    }

    /// Whether it is for somebody of whom this is said. Of a claim that is a list, one element is enough.
    pub(super) fn takes(&self, said: &Map<String, Value>) -> bool {
        self.claims.iter().all(|(claim, globs)| {
            let is = |value: &Value| {
                let value = value.as_str();
                value.is_some_and(|value| globs.as_ref().is_some_and(|globs| globs.is_match(value)))
            };
            match said.get(claim) {
                Some(Value::Array(all)) => all.iter().any(is),
                Some(one) => is(one),
                None => false,
            }
        })
    }

    /// Whoever it lets in.
    pub(super) fn identity(
        &self,
        name: String,
        sent: TokenDigest,
        (expires, voucher): (Option<Timestamp>, Option<Voucher>),
    ) -> Identity {
        let entry = Entry {
            name,
            role: self.settings.role,
            digest: sent.to_string(),
            created: None,
            expires,
            repos: self.settings.repos.clone(),
            configs: self.settings.configs.clone(),
            instances: self.settings.instances.clone(),
            labels: std::collections::BTreeMap::new(),
            san: Vec::new(),
        };
        Identity::new(entry, self.scope.clone(), voucher)
    }
}
