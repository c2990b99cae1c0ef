//! Messages with `{old}`, `{new}`, `{value}`, `{config}` and `{pointer}`.
//!
//! Invariant: whatever is filled in may be shown. A value is masked before, by itself and at its place: once it is part
//! of a sentence, nothing can tell it from the rest.

use headwater_wire::ConfigName;
use serde_json::Value;

use crate::pattern::is_placeholder;

/// What may stand in braces.
pub(crate) const NAMES: &[&str] = &["old", "new", "value", "config", "pointer"];

/// Longest value that is shown, in characters.
const VALUE_CHARS_MAX: usize = 80;

/// The same of what a sentence of ours names besides.
const DETAIL_CHARS_MAX: usize = 300;

/// A message before its values are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template(String);

/// What a message is about.
#[derive(Clone, Copy, Default)]
pub(crate) struct Facts<'a> {
    pub(crate) old: Option<&'a Value>,
    pub(crate) new: Option<&'a Value>,
    /// What a sentence of ours names besides.
    pub(crate) detail: Option<&'a Value>,
    pub(crate) config: Option<&'a ConfigName>,
    pub(crate) pointer: &'a str,
}

impl Template {
    /// The name in braces that nobody knows, if there is one.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let unknown = pieces(text).find_map(|(_, name)| name.filter(|name| !NAMES.contains(name)));
        match unknown {
            Some(name) => Err(name.to_owned()),
            None => Ok(Self(text.to_owned())),
        }
    }

    /// For our own sentences, whose names are known.
    pub(crate) fn ours(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The message.
    pub(crate) fn fill(&self, facts: &Facts<'_>) -> String {
        let mut text = String::new();
        for (literal, name) in pieces(&self.0) {
            text.push_str(literal);
            match name {
                None => {}
                Some("old") => text.push_str(&shown(facts.old, VALUE_CHARS_MAX)),
                Some("new" | "value") => text.push_str(&shown(facts.new, VALUE_CHARS_MAX)),
                Some("detail") => text.push_str(&shown(facts.detail, DETAIL_CHARS_MAX)),
                Some("config") => text.push_str(facts.config.map_or("", ConfigName::as_str)),
                Some("pointer") => text.push_str(facts.pointer),
                Some(other) => {
                    text.push('{');
                    text.push_str(other);
                    text.push('}');
                }
            }
        }
        text
    }
}

/// Literal text, each followed by a name in braces but the last.
fn pieces(text: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let here = rest?;
        let name_of = |open: usize| {
            let inner = here.get(open + 1..)?;
            let name = inner.split_once('}')?.0;
            is_placeholder(name).then_some((open, name))
        };
        let found = here.match_indices('{').find_map(|(open, _)| name_of(open));
        let Some((open, name)) = found else {
            rest = None;
            return Some((here, None));
        };
        rest = here.get(open + name.len() + 2..);
        Some((here.get(..open).unwrap_or_default(), Some(name)))
    })
}

/// A value in a sentence: text bare, all else as JSON, long ones cut.
fn shown(value: Option<&Value>, most: usize) -> String {
    let text = match value {
        None => return "nothing".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_take_the_place_of_their_names() {
        let (old, new) = (serde_json::json!(1), serde_json::json!("b"));
        let facts = Facts {
            old: Some(&old),
            new: Some(&new),
            detail: None,
            config: None,
            pointer: "/a",
        };
        let fill = |text: &str| Template::parse(text).unwrap().fill(&facts);
        assert_eq!(fill("{pointer}: {old} → {new}, {value}"), "/a: 1 → b, b");
        assert_eq!(fill("{ \"a\": {} } and {old"), "{ \"a\": {} } and {old");
        assert_eq!(fill("{{old}}"), "{1}");
        assert_eq!(Template::parse("{odl}"), Err("odl".to_owned()));
        let long = Value::String("é".repeat(100));
        assert_eq!(
            shown(Some(&long), VALUE_CHARS_MAX).chars().count(),
            VALUE_CHARS_MAX + 1
        );
    }
}
