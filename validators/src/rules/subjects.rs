//! The documents that rules are run on, and what is said of one as a whole.
//!
//! Invariant: every document that an instance will get is there, with the one that it holds now.

use headwater_wire::ConfigName;
use serde_json::Value;

use super::before::Documents;
use super::cel::RunError;
use super::expression::Expression;
use super::question::QuestionedConfig;
use super::rule::{Check, OnCreate, Rule};
use super::selector::{self, Tokens};
use super::{Detail, Subject, Violation};
use crate::effective::Effective;
use crate::plan::Terms;
use crate::verdict::Config;

/// The documents of a config.
pub(super) struct Subjects<'a> {
    /// Each document.
    pub(super) documents: Vec<Subject<'a>>,
    /// Each step that an instance can take: to the document it will get, from the one it holds. A variant that is
    /// gone leaves its instances with the base document.
    pub(super) steps: Vec<Subject<'a>>,
}

pub(super) fn subjects<'a>(
    name: &'a ConfigName,
    terms: &'a Terms,
    config: &'a Config,
    old: Option<&'a Documents>,
) -> Subjects<'a> {
    let subject = |new, old| Subject {
        name,
        bindings: &terms.bindings,
        new,
        old,
    };
    let documents: Vec<_> = config
        .effectives()
        .map(|new| subject(new, old.map(|old| old.of(new.variant()))))
        .collect();
    let stays = |old: &&Effective| {
        config
            .variants()
            .iter()
            .any(|new| Some(new.name()) == old.variant())
    };
    let gone = old
        .into_iter()
        .flat_map(|old| &old.variants)
        .filter(|old| !stays(old));
    let steps = documents
        .iter()
        .copied()
        .chain(gone.map(|old| subject(config.base(), Some(old))));
    Subjects {
        steps: steps.collect(),
        documents,
    }
}

/// A document as a service may see it that is not the program it is for.
fn for_eyes(effective: &Effective) -> Value {
    effective.mask().value("", effective.document())
}

/// The documents that differ from what is exposed.
pub(super) fn changed(
    name: &ConfigName,
    config: Option<&Config>,
    old: Option<&Documents>,
) -> Vec<QuestionedConfig> {
    let questioned =
        |variant: Option<&str>, old: Option<&Effective>, new: Option<&Effective>| QuestionedConfig {
            name: name.clone(),
            variant: variant.map(str::to_owned),
            old: old.map(for_eyes),
            new: new.map(for_eyes),
        };
    let Some(config) = config else {
        return old
            .iter()
            .map(|old| questioned(None, Some(&old.base), None))
            .collect();
    };
    let pairs = config
        .effectives()
        .map(|new| (new, old.map(|old| old.of(new.variant()))));
    pairs
        .filter(|(new, old)| old.is_none_or(|old| old.digest() != new.digest()))
        .map(|(new, old)| questioned(new.variant(), old, Some(new)))
        .collect()
}

/// Whether there is an old value, or the rule wants none.
pub(super) fn can_be_measured(rule: &Rule, subject: &Subject<'_>) -> bool {
    // The rules about values look at each of them by themselves.
    if rule.says.on_create == OnCreate::Check || !matches!(rule.says.check, Check::Expr(..)) {
        return true;
    }
    subject.old.is_some_and(|old| match &rule.says.at {
        Some(at) => !at.find(old.document()).is_empty(),
        None => true,
    })
}

/// The violation of an expression that is false, at the first value that `at` names.
pub(super) fn untrue(rule: &Rule, test: &Expression, subject: &Subject<'_>) -> Violation {
    let violation =
        Violation::new("this does not hold: `{detail}`").detail(Detail::Value(test.text().into()));
    let (tokens, new) = place(rule, subject);
    let old = subject.old.and_then(|old| selector::at(old.document(), &tokens));
    violation.at(tokens).values(old, new)
}

/// The violation of a rule that could not be judged.
pub(super) fn failed(rule: &Rule, subject: Option<&Subject<'_>>, error: RunError) -> Violation {
    let sentence = format!("the rule `{}` cannot be judged here: {{detail}}", rule.id);
    let tokens = subject.map(|subject| place(rule, subject).0).unwrap_or_default();
    Violation::failed(&sentence)
        .detail(Detail::Words(error.message))
        .hint(error.hint)
        .at(tokens)
}

/// Where a rule points in a document: its first value, or where that would be.
fn place<'s>(rule: &Rule, subject: &Subject<'s>) -> (Tokens, Option<&'s Value>) {
    let Some(at) = &rule.says.at else {
        return (Tokens::new(), None);
    };
    match at.find(subject.new.document()).into_iter().next() {
        Some((tokens, value)) => (tokens, Some(value)),
        None => (at.fixed(), None),
    }
}
