//! Rules about several files: what a value names is there, and no two configs have one value.

use std::collections::BTreeMap;

use globset::Glob;
use headwater_wire::{ConfigName, Related, RepoPath};
use serde_json::Value;

use super::rule::{Target, TargetPlace};
use super::selector::{self, Selector, Tokens};
use super::{Detail, Subject, Violation, shape};
use crate::collect::Collector;
use crate::library::Library;
use crate::manifest::rules::VALUE;
use crate::pattern::Pattern;
use crate::pointer;
use crate::source::Resolver;
use crate::tree::ConfigTree;
use crate::verdict::Config;

/// Where a namesake is looked for.
pub(crate) struct World<'a, 't> {
    pub(crate) tree: &'t ConfigTree,
    pub(crate) library: &'a mut Library<'t>,
    pub(crate) configs: &'a BTreeMap<ConfigName, Config>,
    pub(crate) found: &'a mut Collector,
}

impl World<'_, '_> {
    /// Every value at `at` names something that is there.
    pub(super) fn exists(&mut self, target: &Target, at: &Selector, subject: &Subject<'_>) -> Vec<Violation> {
        let mut violations = Vec::new();
        let mut read = BTreeMap::new();
        for (tokens, value) in at.find(subject.new.document()) {
            let wrong = match name(value) {
                None => Some(Violation::unfit(
                    "only a text, a number or a boolean can name something: `{new}`",
                )),
                Some(name) => {
                    let shown = subject.new.mask().value(&pointer::text(&tokens), value);
                    let shown = self::name(&shown).unwrap_or_default();
                    self.missing(target, (&name, &shown), (subject, &mut read))
                }
            };
            if let Some(wrong) = wrong {
                violations.push(wrong.at(tokens).values(None, Some(value)));
            }
        }
        violations
    }

    /// What is missing, if anything is. The value comes as it is, and as it may be shown: what is looked for is made of
    /// the one, and what is said of the other. `read` are the files that other values of the document named.
    fn missing(
        &mut self,
        target: &Target,
        (name, shown): (&str, &str),
        (subject, read): (&Subject<'_>, &mut BTreeMap<RepoPath, Value>),
    ) -> Option<Violation> {
        let with = |value: &str| {
            let mut bindings = shape::bindings(subject);
            bindings.insert(VALUE.to_owned(), value.to_owned());
            bindings
        };
        let (bindings, for_eyes) = (with(name), with(shown));
        let (what, document) = match &target.place {
            TargetPlace::File(pattern) => {
                let said = pattern.bind(&for_eyes).shown();
                match self.file(&pattern.bind(&bindings)) {
                    None => return Some(absent("file", said)),
                    Some(_) if target.key.is_none() => return None,
                    Some(path) => {
                        // A file that cannot be read is a finding of its own.
                        let source = self.library.source(&path, self.found)?;
                        let said = if name == shown { path.to_string() } else { said };
                        let document = read.entry(path).or_insert_with(|| source.root.to_json());
                        (format!("`{said}`"), &*document)
                    }
                }
            }
            TargetPlace::Config(pattern) => {
                let said = pattern.bind(&for_eyes).shown();
                match self.configs.get(pattern.bind(&bindings).shown().as_str()) {
                    None => return Some(absent("config", said)),
                    Some(config) => (format!("the config `{said}`"), config.base().document()),
                }
            }
            TargetPlace::Document => ("this document".to_owned(), subject.new.document()),
        };
        // The value is one key, whatever characters it has.
        let key = |value: &str| Some(target.key.as_ref()?.bind(&with(&escaped(value))).shown());
        let tokens = pointer::tokens(&key(name)?)?;
        let is_there = selector::at(document, &tokens).is_some();
        (!is_there).then(|| {
            let words = format!("`{}` in {what}", key(shown).unwrap_or_default());
            Violation::new("this value names something that is not there: {detail}")
                .detail(Detail::Words(words))
        })
    }

    /// The first of the alternatives that is there.
    fn file(&self, pattern: &Pattern) -> Option<RepoPath> {
        let choices = pattern.choices()?;
        let found = choices.iter().find_map(|choice| self.tree.entry(choice));
        found.map(|(path, _)| path.clone())
    }
}

fn absent(what: &str, name: String) -> Violation {
    Violation::new(format!(
        "this value names a {what} that is not there: `{{detail}}`"
    ))
    .detail(Detail::Words(name))
}

/// A token of a pointer.
fn escaped(name: &str) -> String {
    let mut text = String::new();
    pointer::push(&mut text, name);
    text.split_off(1)
}

fn name(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::String(_) | Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Values that two places have, of which the second is at fault. The documents of one config are alternatives, so they
/// may share what other configs may not.
pub(super) fn unique<'a>(
    across: &Glob,
    at: &Selector,
    subjects: &[Subject<'a>],
) -> Vec<(Subject<'a>, Vec<Violation>)> {
    let group = across.compile_matcher();
    let mut first: BTreeMap<String, (Subject<'a>, Tokens)> = BTreeMap::new();
    let mut lines: BTreeMap<(&ConfigName, Option<&str>), Resolver<'a>> = BTreeMap::new();
    let mut found = Vec::new();
    for subject in subjects
        .iter()
        .filter(|subject| group.is_match(subject.name.as_str()))
    {
        let mut violations = Vec::new();
        for (tokens, value) in at.find(subject.new.document()) {
            let key = headwater_render::canonical(value);
            let Some((holder, place)) = first.get(&key) else {
                first.insert(key, (*subject, tokens));
                continue;
            };
            let is_same = holder.name == subject.name
                && (*place == tokens || holder.new.variant() != subject.new.variant());
            if !is_same {
                let resolver = lines
                    .entry((holder.name, holder.new.variant()))
                    .or_insert_with(|| holder.new.resolver());
                let wrong = Violation::new("another config has this value: `{new}`")
                    .values(None, Some(value))
                    .related(holder_of(holder, place, resolver));
                violations.push(wrong.at(tokens));
            }
        }
        if !violations.is_empty() {
            found.push((*subject, violations));
        }
    }
    found
}

/// Where the other one is.
fn holder_of(holder: &Subject<'_>, place: &Tokens, resolver: &Resolver<'_>) -> Related {
    let (path, span) = holder.new.span_with(resolver, place);
    let note = format!("the value of `{}`", holder.name);
    Related { path, span, note }
}
