//! What an instance is told to hold, and the fence that keeps late words out.
//!
//! Invariant: order comes from the generation alone, never from commits, clocks or arrival. What is deliberately
//! absent: content, which the engine never sees.

use headwater_wire::{ChangeKind, CommitId, ConfigName, Digest, Generation, Phase, VersionEvent};
use serde::{Deserialize, Serialize};

use crate::answer::Token;

/// One content with its names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Commit at which the content became what it is.
    pub version: CommitId,
    /// Digest of the document's canonical rendering: two targets with one digest are one content.
    pub digest: Digest,
    /// What to say to the server when this is held.
    pub token: Token,
    /// Fence number of the word that named it.
    pub generation: Generation,
}

/// One word of the server about one config.
#[derive(Debug, Clone, PartialEq)]
pub struct Directive {
    /// Config.
    pub config: ConfigName,
    /// Whether to run it or only to get ready for it.
    pub phase: Phase,
    /// How it relates to what was held.
    pub change: ChangeKind,
    /// The content.
    pub target: Target,
}

impl From<&VersionEvent> for Directive {
    fn from(event: &VersionEvent) -> Self {
        Self {
            config: event.config.clone(),
            phase: event.phase,
            change: event.change,
            target: Target {
                version: event.version.clone(),
                digest: event.digest.clone(),
                token: Token::new(&event.token),
                generation: event.generation,
            },
        }
    }
}

/// The highest word that was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fence {
    /// Its generation.
    pub generation: Generation,
    /// Its phase: of one generation, `active` follows `prepare` and never the other way round.
    pub phase: Phase,
    /// The version it named: one generation names one version.
    pub version: CommitId,
}

/// Whether a word may pass the fence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passage {
    /// It is newer than every word before.
    New,
    /// It repeats the newest word, perhaps in another rendering of the same version.
    Again,
    /// It is older, or contradicts the newest.
    Stale,
}

impl Fence {
    pub(crate) fn of(directive: &Directive) -> Self {
        Self {
            generation: directive.target.generation,
            phase: directive.phase,
            version: directive.target.version.clone(),
        }
    }

    pub(crate) fn judge(&self, directive: &Directive) -> Passage {
        let generation = directive.target.generation;
        if generation != self.generation {
            return if generation > self.generation {
                Passage::New
            } else {
                Passage::Stale
            };
        }
        if directive.target.version != self.version {
            return Passage::Stale;
        }
        match (self.phase, directive.phase) {
            (Phase::Prepare, Phase::Active) => Passage::New,
            (Phase::Active, Phase::Prepare) => Passage::Stale,
            (Phase::Active | Phase::Prepare | Phase::Other, _) => Passage::Again,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::tests::{active, prepare};

    #[test]
    fn only_a_higher_generation_or_the_word_to_activate_passes() {
        let fence = Fence::of(&prepare(7, "b"));
        assert_eq!(fence.judge(&active(7, "b")), Passage::New);
        assert_eq!(fence.judge(&prepare(8, "a")), Passage::New);
        assert_eq!(fence.judge(&prepare(7, "b")), Passage::Again);
        assert_eq!(fence.judge(&active(7, "a")), Passage::Stale);
        assert_eq!(fence.judge(&active(6, "b")), Passage::Stale);
        assert_eq!(Fence::of(&active(7, "b")).judge(&prepare(7, "b")), Passage::Stale);
    }
}
