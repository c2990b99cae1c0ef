//! Values as an expression sees them.
//!
//! Invariant: a value of a document is a view of its tree and costs nothing to copy. What a number is, the tree
//! decides: an integer is one, everything else is a double. What is deliberately absent: unsigned integers, bytes and
//! points in time.

use std::cmp::Ordering;
use std::ops::Deref;
use std::rc::Rc;

use super::collection::{List, Map};
use super::scope::Tree;
use crate::document::{self, Node};

/// A value.
#[derive(Debug, Clone)]
pub(super) enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(Text<'a>),
    /// Milliseconds.
    Duration(i64),
    /// What `type(…)` says.
    Type(Type),
    List(List<'a>),
    Map(Map<'a>),
}

/// Text of a tree or of the expression, or made by it.
#[derive(Debug, Clone)]
pub(super) enum Text<'a> {
    Read(&'a str),
    Made(Rc<str>),
}

/// What kind of value there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Null,
    Bool,
    Int,
    Double,
    String,
    Duration,
    /// What types are of.
    Meta,
    List,
    Map,
}

impl Type {
    /// By the names that expressions have for them, and as a sentence has them.
    const ALL: [(&'static str, Self, &'static str); 9] = [
        ("null_type", Self::Null, "null"),
        ("bool", Self::Bool, "a boolean"),
        ("int", Self::Int, "an integer"),
        ("double", Self::Double, "a float"),
        ("string", Self::String, "a string"),
        ("duration", Self::Duration, "a duration"),
        ("type", Self::Meta, "a type"),
        ("list", Self::List, "a list"),
        ("map", Self::Map, "an object"),
    ];

    pub(super) fn named(name: &str) -> Option<Self> {
        let known = Self::ALL.iter().find(|(known, ..)| *known == name);
        known.map(|(_, kind, _)| *kind)
    }

    /// With its article, for a sentence; the same words as for documents.
    pub(super) fn in_words(self) -> &'static str {
        let known = Self::ALL.iter().find(|(_, kind, _)| *kind == self);
        known.map_or("", |(_, _, words)| words)
    }
}

impl<'a> Value<'a> {
    pub(super) fn text(made: impl Into<Rc<str>>) -> Self {
        Self::Text(Text::Made(made.into()))
    }

    pub(super) fn list(items: Vec<Self>) -> Self {
        Self::List(List::Made(Rc::new(items)))
    }

    pub(super) fn of(tree: Tree<'a>) -> Self {
        match tree {
            Tree::Node(node) => node.into(),
            Tree::Merged(merged) => match (merged.members(), merged.leaf()) {
                (Some(members), _) => Self::Map(Map::Merged(members)),
                (None, Some(leaf)) => leaf.into(),
                (None, None) => Self::Null,
            },
        }
    }

    pub(super) fn kind(&self) -> Type {
        match self {
            Self::Null => Type::Null,
            Self::Bool(_) => Type::Bool,
            Self::Int(_) => Type::Int,
            Self::Double(_) => Type::Double,
            Self::Text(_) => Type::String,
            Self::Duration(_) => Type::Duration,
            Self::Type(_) => Type::Meta,
            Self::List(_) => Type::List,
            Self::Map(_) => Type::Map,
        }
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Text::Read(text))
    }
}

impl<'a> From<&'a Node> for Value<'a> {
    fn from(node: &'a Node) -> Self {
        match &node.value {
            document::Value::Null => Self::Null,
            document::Value::Bool(value) => Self::Bool(*value),
            document::Value::Int(value) => Self::Int(*value),
            document::Value::Float(value) => Self::Double(*value),
            document::Value::Str(text) => Self::from(&**text),
            document::Value::Arr(items) => Self::List(List::Nodes(items)),
            document::Value::Obj(members) => Self::Map(Map::Members(members)),
        }
    }
}

impl PartialEq for Text<'_> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Text<'_> {}

impl PartialOrd for Text<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text<'_> {
    /// By code points, which UTF-8 sorts by its bytes.
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(&**other)
    }
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Read(text) => text,
            Self::Made(text) => text,
        }
    }
}
