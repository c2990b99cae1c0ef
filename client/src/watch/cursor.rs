//! What a program runs, as far as a watch needs to know it.
//!
//! Invariant: a token stands here only once its content is applied, so that a request never claims what is not so.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use headwater_wire::ConfigName;

use crate::answer::Token;

/// Token of the content that runs, for each config; shared by the watch, which asks with it, and by who applies.
#[derive(Debug, Default)]
pub struct Cursors(Mutex<BTreeMap<ConfigName, Token>>);

impl Cursors {
    /// Nothing runs yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The content of `token` runs now.
    pub fn set(&self, config: &ConfigName, token: Token) {
        self.lock().insert(config.clone(), token);
    }

    /// Token of what runs.
    pub fn get(&self, config: &ConfigName) -> Option<Token> {
        self.lock().get(config).cloned()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<ConfigName, Token>> {
        // Each change is one insertion: a panic elsewhere cannot have left it half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
