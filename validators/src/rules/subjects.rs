//! The documents that rules are run on, and what is said of one as a whole.
//!
//! Invariant: every document that an instance will get is there, with the one that it holds now.

use headwater_wire::ConfigName;
use serde_json::Value;

use super::cel::RunError;
use super::expression::Expression;
use super::old::Old;
use super::question::QuestionedConfig;
use super::rule::{Check, OnCreate, Rule};
use super::selector::{self, Tokens};
use super::{Detail, Subject, Violation, steps};
use crate::effective::Effective;
use crate::plan::Terms;
use crate::verdict::{Config, Variant};

/// A config as a rule knows it.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) name: &'a ConfigName,
    /// The name and terms that the manifest of the rule gives it.
    pub(super) by: (&'a ConfigName, &'a Terms),
}

/// Each document of a config, by itself.
pub(super) fn documents<'a>(known: Known<'a>, config: &'a Config) -> Vec<Subject<'a>> {
    config.effectives().map(|new| subject(known, new, None)).collect()
}

/// Each step that an instance can take: to the document it will get, from the one it holds. Where nothing is held yet,
/// each document.
pub(super) fn transitions<'a>(known: Known<'a>, config: &'a Config, old: &'a [Old<'a>]) -> Vec<Subject<'a>> {
    if old.is_empty() {
        return documents(known, config);
    }
    let from = |held: &'a Old<'a>| {
        pairs(config, held).into_iter().map(|(old, new)| Subject {
            besides: held.besides,
            ..subject(known, new, Some(old))
        })
    };
    old.iter().flat_map(from).collect()
}

fn subject<'a>(known: Known<'a>, new: &'a Effective, old: Option<&'a Effective>) -> Subject<'a> {
    let (known_as, terms) = known.by;
    Subject {
        name: known.name,
        known_as,
        bindings: &terms.bindings,
        new,
        old,
        besides: None,
    }
}

/// What instances hold, beside what they will get.
fn pairs<'a>(config: &'a Config, old: &'a Old<'_>) -> Vec<(&'a Effective, &'a Effective)> {
    let old = &old.documents;
    let held: Vec<_> = old.variants.iter().map(|variant| &variant.when).collect();
    let wanted: Vec<_> = config.variants().iter().map(Variant::when).collect();
    let (before, now): (Vec<_>, Vec<_>) = (old.all().collect(), config.effectives().collect());
    let pair = |(from, to): (usize, usize)| Some((*before.get(from)?, *now.get(to)?));
    steps::possible(&held, &wanted)
        .into_iter()
        .filter_map(pair)
        .collect()
}

/// A document as a service may see it that is not the program it is for.
fn for_eyes(effective: &Effective) -> Value {
    effective.mask().value("", effective.document())
}

/// The steps to a document that differs from what instances hold.
pub(super) fn changed(name: &ConfigName, config: Option<&Config>, old: &[Old<'_>]) -> Vec<QuestionedConfig> {
    let questioned =
        |variant: Option<&str>, old: Option<&Effective>, new: Option<&Effective>| QuestionedConfig {
            name: name.clone(),
            variant: variant.map(str::to_owned),
            old: old.map(for_eyes),
            new: new.map(for_eyes),
        };
    let Some(config) = config else {
        let gone = old.iter().map(|old| &old.documents.base);
        return distinct(gone.map(|old| questioned(None, Some(old), None)));
    };
    if old.is_empty() {
        let created = config.effectives();
        return created
            .map(|new| questioned(new.variant(), None, Some(new)))
            .collect();
    }
    let changed = old
        .iter()
        .flat_map(|old| pairs(config, old))
        .filter(|(old, new)| old.digest() != new.digest());
    distinct(changed.map(|(old, new)| questioned(new.variant(), Some(old), Some(new))))
}

/// Each step once: several may start from equal documents.
fn distinct(all: impl Iterator<Item = QuestionedConfig>) -> Vec<QuestionedConfig> {
    let mut found: Vec<QuestionedConfig> = Vec::new();
    for questioned in all {
        if !found.contains(&questioned) {
            found.push(questioned);
        }
    }
    found
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
