//! Rules about one document alone.

use serde_json::Value;

use super::rule::DeniedIn;
use super::selector::{self, Selector, Tokens};
use super::{Detail, Subject, Violation};
use crate::manifest::rules::CONFIG;
use crate::pattern::{Bindings, Pattern};

/// A value must be a text made of the config's placeholders.
pub(super) fn matches_path(pattern: &Pattern, at: &Selector, subject: &Subject<'_>) -> Vec<Violation> {
    let expected = Value::String(pattern.bind(&bindings(subject)).shown());
    let found = at.find(subject.new.document());
    let wrong = found.into_iter().filter(|(_, value)| **value != expected);
    wrong
        .map(|(tokens, value)| {
            Violation::new("this value must be `{detail}`, since its config says so: `{new}`")
                .at(tokens)
                .values(None, Some(value))
                .detail(Detail::Value(expected.clone()))
        })
        .collect()
}

/// The placeholders of the config, and its name.
pub(super) fn bindings(subject: &Subject<'_>) -> Bindings {
    let mut bindings = subject.bindings.clone();
    bindings.insert(CONFIG.to_owned(), subject.known_as.to_string());
    bindings
}

/// All keys are there, or none is.
pub(super) fn require_together(keys: &[Selector], at: Option<&Selector>, document: &Value) -> Vec<Violation> {
    let bases = at.map_or_else(|| vec![(Tokens::new(), document)], |at| at.find(document));
    bases
        .into_iter()
        .flat_map(|(tokens, value)| parted(keys, &tokens, value))
        .collect()
}

fn parted(keys: &[Selector], base: &Tokens, value: &Value) -> Vec<Violation> {
    let places: Vec<(&Selector, Option<Tokens>)> = keys
        .iter()
        .map(|key| (key, key.find(value).into_iter().next().map(|(tokens, _)| tokens)))
        .collect();
    let Some(present) = places.iter().find_map(|(_, tokens)| tokens.clone()) else {
        return Vec::new();
    };
    let absent = places.iter().filter(|(_, tokens)| tokens.is_none());
    absent
        .map(|(key, _)| {
            let tokens = base.iter().chain(&present).cloned().collect();
            Violation::new("this value needs another one beside it: `{detail}`")
                .at(tokens)
                .values(None, selector::at(value, &present))
                .detail(Detail::Words(key.text().to_owned()))
        })
        .collect()
}

/// The value is not set, or not by these files. A layer that sets it is at fault even if another one overrides it.
pub(super) fn deny_path(denied: &DeniedIn, at: &Selector, subject: &Subject<'_>) -> Vec<Violation> {
    let found = at.find(subject.new.document());
    let DeniedIn::Files(globs) = denied else {
        let refuse = |(tokens, value): (Tokens, &Value)| {
            Violation::new("this value may not be set: `{new}`")
                .at(tokens)
                .values(None, Some(value))
        };
        return found.into_iter().map(refuse).collect();
    };
    let matchers: Vec<_> = globs.iter().map(globset::Glob::compile_matcher).collect();
    let resolver = subject.new.resolver();
    let mut violations = Vec::new();
    for (tokens, value) in found {
        let (merged, _) = subject.new.merged().descend(&tokens);
        let setters = std::iter::once(&merged.origin())
            .chain(merged.overridden())
            .map(|place| place.layer)
            .collect::<Vec<_>>();
        let mut files = setters.into_iter().filter_map(|layer| resolver.path(layer));
        if let Some(file) = files.find(|file| matchers.iter().any(|glob| glob.is_match(file.as_str()))) {
            let wrong = Violation::new("this file may not set this value: `{detail}`")
                .detail(Detail::Words(file.to_string()));
            violations.push(wrong.at(tokens).values(None, Some(value)));
        }
    }
    violations
}
