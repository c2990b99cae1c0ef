//! JSON pointers in which `*` is any key or index.
//!
//! Invariant: what is found is in the order of the document, keys sorted, so that findings are the same everywhere.

use serde_json::Value;

use crate::pointer;

/// A parsed pointer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selector {
    text: String,
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    Any,
}

/// A place in a document: the tokens of its pointer.
pub(crate) type Tokens = Vec<String>;

impl Selector {
    /// `None` if the text is no pointer.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let step = |token: String| if token == "*" { Step::Any } else { Step::Key(token) };
        Some(Self {
            text: text.to_owned(),
            steps: pointer::tokens(text)?.into_iter().map(step).collect(),
        })
    }

    /// The text it was parsed from.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// All values it names in `document`.
    pub(crate) fn find<'v>(&self, document: &'v Value) -> Vec<(Tokens, &'v Value)> {
        let mut found = vec![(Tokens::new(), document)];
        for step in &self.steps {
            found = found
                .into_iter()
                .flat_map(|(tokens, value)| step.below(&tokens, value))
                .collect();
        }
        found
    }

    /// The tokens up to the first `*`: where a value would be, if there were one.
    pub(crate) fn fixed(&self) -> Tokens {
        let keys = self.steps.iter().map_while(|step| match step {
            Step::Key(key) => Some(key.clone()),
            Step::Any => None,
        });
        keys.collect()
    }

    /// How many tokens of a place lead up to its last `*`: the element that the place is a part of.
    pub(crate) fn element(&self) -> Option<usize> {
        self.steps
            .iter()
            .rposition(|step| *step == Step::Any)
            .map(|last| last + 1)
    }
}

impl Step {
    fn below<'v>(&self, tokens: &Tokens, value: &'v Value) -> Vec<(Tokens, &'v Value)> {
        let with = |token: &str| {
            let mut tokens = tokens.clone();
            tokens.push(token.to_owned());
            tokens
        };
        match self {
            Self::Key(key) => at(value, std::slice::from_ref(key))
                .map(|child| (with(key), child))
                .into_iter()
                .collect(),
            Self::Any => match value {
                Value::Object(members) => {
                    let mut found: Vec<_> = members.iter().map(|(key, child)| (with(key), child)).collect();
                    found.sort_by(|(a, _), (b, _)| a.cmp(b));
                    found
                }
                Value::Array(items) => {
                    let item = |(index, child): (usize, &'v Value)| (with(&index.to_string()), child);
                    items.iter().enumerate().map(item).collect()
                }
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
            },
        }
    }
}

/// The value at a place, where there is one.
pub(crate) fn at<'v>(document: &'v Value, tokens: &[String]) -> Option<&'v Value> {
    tokens.iter().try_fold(document, |value, token| match value {
        Value::Object(members) => members.get(token),
        Value::Array(items) => items.get(token.parse::<usize>().ok()?),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(selector: &str) -> Vec<String> {
        let document = serde_json::json!({"a": {"x": 1, "y": [2, {"z": 3}]}, "b/c": {"x": 4}});
        let found = Selector::parse(selector).unwrap().find(&document);
        found
            .into_iter()
            .map(|(tokens, value)| format!("{} = {value}", tokens.join("|")))
            .collect()
    }

    #[test]
    fn a_star_is_any_key_or_index() {
        assert_eq!(found("/*/x"), ["a|x = 1", "b/c|x = 4"]);
        assert_eq!(found("/a/y/*"), ["a|y|0 = 2", "a|y|1 = {\"z\":3}"]);
        assert_eq!(found("/a/y/1/z"), ["a|y|1|z = 3"]);
        assert_eq!(found("/b~1c/x"), ["b/c|x = 4"]);
        assert!(found("/a/x/*").is_empty() && found("/nothing").is_empty());
        assert_eq!(found("").len(), 1);
        assert_eq!(Selector::parse("a"), None);
    }
}
