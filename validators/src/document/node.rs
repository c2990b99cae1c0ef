//! Looking into a tree.
//!
//! Invariant: every walk is bounded by the depth that parsing allowed. What is deliberately absent: any change of a
//! tree.

use super::{Member, Node, Value};

impl Node {
    /// The value of a key, where this is an object that has it. It looks at one member after the other: whoever asks for
    /// many keys of a large object makes an index first.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.member(key).map(|member| &member.value)
    }

    /// The key and its value, where this is an object that has it.
    pub fn member(&self, key: &str) -> Option<&Member> {
        self.members().iter().find(|member| &*member.key == key)
    }

    /// The members of an object; none of anything else.
    pub fn members(&self) -> &[Member] {
        match &self.value {
            Value::Obj(members) => members,
            Value::Null
            | Value::Bool(_)
            | Value::Int(_)
            | Value::Float(_)
            | Value::Str(_)
            | Value::Arr(_) => &[],
        }
    }

    /// The elements of a list; none of anything else.
    pub fn items(&self) -> &[Self] {
        match &self.value {
            Value::Arr(items) => items,
            Value::Null
            | Value::Bool(_)
            | Value::Int(_)
            | Value::Float(_)
            | Value::Str(_)
            | Value::Obj(_) => &[],
        }
    }

    /// The text, where this is one.
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::Str(text) => Some(text),
            Value::Null
            | Value::Bool(_)
            | Value::Int(_)
            | Value::Float(_)
            | Value::Arr(_)
            | Value::Obj(_) => None,
        }
    }

    /// The value at a JSON pointer (RFC 6901), where there is one; the empty pointer is this node.
    pub fn at(&self, pointer: &str) -> Option<&Self> {
        if pointer.is_empty() {
            return Some(self);
        }
        let mut node = self;
        for token in pointer.strip_prefix('/')?.split('/') {
            node = match &node.value {
                Value::Obj(_) => node.get(&unescape(token)?)?,
                Value::Arr(items) => items.get(index(token)?)?,
                Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Str(_) => {
                    return None;
                }
            };
        }
        Some(node)
    }

    /// The same value without its places.
    pub fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Int(value) => (*value).into(),
            Value::Float(value) => (*value).into(),
            Value::Str(text) => serde_json::Value::String(text.to_string()),
            Value::Arr(items) => items.iter().map(Self::to_json).collect(),
            Value::Obj(members) => members
                .iter()
                .map(|m| (m.key.to_string(), m.value.to_json()))
                .collect(),
        }
    }
}

impl Value {
    /// What it is, with its article, for a sentence: `expected a list, found an integer`.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Int(_) => "an integer",
            Self::Float(_) => "a float",
            Self::Str(_) => "a string",
            Self::Arr(_) => "a list",
            Self::Obj(_) => "an object",
        }
    }
}

/// One segment of a pointer without its escapes; `None` where a `~` is followed by neither `0` nor `1`.
fn unescape(token: &str) -> Option<String> {
    let mut text = String::with_capacity(token.len());
    let mut rest = token.chars();
    while let Some(c) = rest.next() {
        text.push(match c {
            '~' => match rest.next()? {
                '0' => '~',
                '1' => '/',
                _ => return None,
            },
            other => other,
        });
    }
    Some(text)
}

/// The index that a segment names: digits without a leading zero.
fn index(token: &str) -> Option<usize> {
    let plain = token == "0" || (!token.starts_with('0') && token.bytes().all(|byte| byte.is_ascii_digit()));
    plain.then(|| token.parse().ok()).flatten()
}
