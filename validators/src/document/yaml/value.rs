//! One value of a YAML document: what a scalar means under its tag, and which tags are known.
//!
//! Invariant: a tag can only confirm what the core schema says or turn a scalar into text; anything else is a fault. What
//! is deliberately absent: tags that make objects, sets, dates or bytes.

use std::sync::Arc;

use granit_parser::{ScalarStyle, Span, Tag};

use super::super::build::{Build, Stop, excerpt};
use super::super::{Fault, Node, Range, Value};
use super::{range_of, scalar};

/// A finished value.
#[derive(Debug, Clone)]
pub(super) struct Done {
    pub(super) node: Node,
    /// What a scalar says, which is its name where it is a key.
    pub(super) text: Option<Arc<str>>,
    pub(super) form: Form,
}

/// What a value looks like, where that matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Nothing is written.
    Empty,
    /// A plain `<<`.
    MergeKey,
    Other,
}

/// One scalar as the parser reports it.
pub(super) struct Scalar<'a> {
    pub(super) text: &'a str,
    pub(super) style: ScalarStyle,
    pub(super) tag: Option<&'a Tag>,
}

impl Scalar<'_> {
    pub(super) fn build(&self, build: &mut Build<'_>, range: Range, span: &Span) -> Result<Done, Stop> {
        let is_plain = self.style == ScalarStyle::Plain;
        let text: Arc<str> = build.shared_text(self.text, range)?;
        let value = match self.tag {
            None if is_plain => {
                scalar::resolve(self.text, range).unwrap_or_else(|| Ok(Value::Str(Arc::clone(&text))))
            }
            None => Ok(Value::Str(Arc::clone(&text))),
            Some(tag) => tagged(build, tag, &text, range, span),
        };
        let value = value.unwrap_or_else(|fault| {
            build.fault(fault);
            Value::Null
        });
        let form = match self.text {
            "" if is_plain && self.tag.is_none() => Form::Empty,
            "<<" if is_plain && self.tag.is_none() => Form::MergeKey,
            _ => Form::Other,
        };
        Ok(Done {
            node: Node { range, value },
            text: Some(text),
            form,
        })
    }
}

fn tagged(build: &Build<'_>, tag: &Tag, text: &Arc<str>, range: Range, span: &Span) -> Result<Value, Fault> {
    let mismatch = |expected: &str| {
        let message = format!("value is not {expected}, as its tag says: `{}`", excerpt(text));
        Fault::new("parse/tag", range, message).hint("fix the value or delete the tag")
    };
    let resolved = || scalar::resolve(text, range);
    if is_non_specific(tag) {
        return Ok(Value::Str(Arc::clone(text)));
    }
    match tag.core_suffix() {
        Some("str") => Ok(Value::Str(Arc::clone(text))),
        Some("int") => scalar::integer(text, range).unwrap_or_else(|| Err(mismatch("an integer"))),
        Some("float") if scalar::is_float(text) => scalar::float(text, range),
        Some("float") => Err(mismatch("a float")),
        Some("bool") => match resolved() {
            Some(Ok(value @ Value::Bool(_))) => Ok(value),
            _ => Err(mismatch("a boolean")),
        },
        Some("null") => match resolved() {
            Some(Ok(Value::Null)) => Ok(Value::Null),
            _ => Err(mismatch("null")),
        },
        Some("seq") => Err(mismatch("a list")),
        Some("map") => Err(mismatch("an object")),
        _ => Err(unknown_tag(build, tag, span)),
    }
}

/// `!` alone, which says: do not guess.
fn is_non_specific(tag: &Tag) -> bool {
    tag.original() == "!"
}

pub(super) fn check_tag(build: &mut Build<'_>, tag: Option<&Tag>, expected: &str, span: &Span) {
    let Some(tag) = tag.filter(|tag| !is_non_specific(tag)) else {
        return;
    };
    let fault = match tag.core_suffix() {
        Some(found) if found == expected => return,
        Some(_) => {
            let range = tag_range(build, span);
            Fault::new(
                "parse/tag",
                range,
                format!("value is not what its tag says: `{}`", excerpt(&tag.original())),
            )
            .hint("fix the value or delete the tag")
        }
        None => unknown_tag(build, tag, span),
    };
    build.fault(fault);
}

fn unknown_tag(build: &Build<'_>, tag: &Tag, span: &Span) -> Fault {
    let message = format!("tag is not known: `{}`", excerpt(&tag.original()));
    Fault::new("parse/tag", tag_range(build, span), message)
        .hint("delete it; a config is plain data, so only the tags of YAML's core schema are read")
}

fn tag_range(build: &Build<'_>, span: &Span) -> Range {
    range_of(build, &span.tag_span().unwrap_or(*span))
}
