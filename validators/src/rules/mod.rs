//! What a commit must keep to besides its schemas.
//!
//! Invariant: a rule that cannot be judged is a finding, never a pass; and a rule that measures a change holds for one
//! commit longer than its manifest says, so that a guard is never removed together with what it guards. What is
//! deliberately absent: the manifest's spelling of rules, and asking webhooks, which only the caller can do.

mod asking;
pub(crate) mod before;
pub(crate) mod cel;
pub(crate) mod checker;
pub(crate) mod expression;
pub(crate) mod finding;
pub(crate) mod old;
pub(crate) mod question;
pub(crate) mod reference;
pub(crate) mod rule;
pub(crate) mod selector;
mod shape;
mod steps;
mod subjects;
pub(crate) mod template;
mod transition;
mod unsaid;

use headwater_wire::{ConfigName, Related};
use serde_json::Value;

use crate::context::OldConfig;
use crate::effective::Effective;
use crate::pattern::Bindings;
use selector::Tokens;
use template::Template;

/// One document that is judged, and what it was.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) name: &'a ConfigName,
    /// The name that the rule knows the config by: where an exposed rule still holds, the exposed one.
    pub(crate) known_as: &'a ConfigName,
    /// Values of the config's placeholders, as the manifest of the rule has them.
    pub(crate) bindings: &'a Bindings,
    pub(crate) new: &'a Effective,
    /// The document that those instances hold now which will get this one.
    pub(crate) old: Option<&'a Effective>,
    /// What is known of `old` if it is not what is exposed.
    pub(crate) besides: Option<&'a OldConfig>,
}

/// Whose sentence is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Voice {
    /// The rule's message, if it has one.
    Rule,
    /// Ours: the rule could not be applied to the value, which its message does not speak of.
    Ours,
    /// Ours: the rule could not be judged at all.
    Failed,
}

/// What a sentence of ours names besides the old and the new value.
#[derive(Debug)]
enum Detail {
    /// It is as secret as the value that is refused.
    Value(Value),
    /// One item of the list that is refused, with its index there.
    Item(usize, Value),
    /// Words, with every value in them as it may be shown. Once a value is part of them, nothing can tell it any more.
    Words(String),
}

/// One value that a rule refuses.
#[derive(Debug)]
pub(crate) struct Violation {
    tokens: Tokens,
    sentence: Template,
    voice: Voice,
    old: Option<Value>,
    new: Option<Value>,
    detail: Option<Detail>,
    hint: Option<String>,
    related: Vec<Related>,
}

impl Violation {
    /// Of the whole document. The sentence may name `{old}`, `{new}` and `{detail}`, and holds no value itself.
    fn new(sentence: impl Into<String>) -> Self {
        Self {
            tokens: Tokens::new(),
            sentence: Template::ours(sentence),
            voice: Voice::Rule,
            old: None,
            new: None,
            detail: None,
            hint: None,
            related: Vec::new(),
        }
    }

    /// Of a value that the rule cannot be applied to.
    fn unfit(sentence: &str) -> Self {
        let voice = Voice::Ours;
        Self {
            voice,
            ..Self::new(sentence)
        }
    }

    /// Of a document that the rule could not be judged on.
    fn failed(sentence: &str) -> Self {
        let voice = Voice::Failed;
        Self {
            voice,
            ..Self::new(sentence)
        }
    }

    fn hint(self, hint: Option<String>) -> Self {
        Self { hint, ..self }
    }

    fn at(self, tokens: Tokens) -> Self {
        Self { tokens, ..self }
    }

    fn values(self, old: Option<&Value>, new: Option<&Value>) -> Self {
        let (old, new) = (old.cloned(), new.cloned());
        Self { old, new, ..self }
    }

    fn detail(self, detail: Detail) -> Self {
        let detail = Some(detail);
        Self { detail, ..self }
    }

    fn related(mut self, related: Related) -> Self {
        self.related.push(related);
        self
    }
}
