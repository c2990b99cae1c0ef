//! Lists and maps as an expression sees them.
//!
//! Invariant: the order of a walk is the same on every machine.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use super::scope::{CommitFacts, ConfigFacts, Scope, Tree};
use super::value::{Text, Value};
use crate::document::{Member, Node};
use crate::merge::Merged;

/// What a config has besides its placeholders, which cannot hide these.
const CONFIG_KEYS: [&str; 2] = ["doc", "name"];

const COMMIT_KEYS: [&str; 3] = ["author", "id", "message"];

/// A list.
#[derive(Debug, Clone)]
pub(super) enum List<'a> {
    /// Of a document.
    Nodes(&'a [Node]),
    /// The configs of the commit.
    Configs(&'a Scope<'a>),
    /// Made by the expression.
    Made(Rc<Vec<Value<'a>>>),
}

/// An object of a document, or a map.
#[derive(Debug, Clone)]
pub(super) enum Map<'a> {
    /// An object of one file.
    Members(&'a [Member]),
    /// An object of a merged document.
    Merged(&'a BTreeMap<Arc<str>, Merged>),
    /// The documents of the commit.
    Files(&'a [(&'a str, &'a Node)]),
    Config(&'a ConfigFacts<'a>, &'a Scope<'a>),
    Commit(&'a CommitFacts<'a>),
    /// Made by the expression.
    Made(Rc<BTreeMap<Key<'a>, Value<'a>>>),
}

/// Key of a map that the expression made; documents have text only.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key<'a> {
    Bool(bool),
    Int(i64),
    Text(Text<'a>),
}

impl<'a> List<'a> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Nodes(nodes) => nodes.len(),
            Self::Configs(scope) => scope.configs.len(),
            Self::Made(items) => items.len(),
        }
    }

    pub(super) fn get(&self, index: usize) -> Option<Value<'a>> {
        match self {
            Self::Nodes(nodes) => nodes.get(index).map(Value::from),
            Self::Configs(scope) => {
                let config = scope.configs.get(index)?;
                Some(Value::Map(Map::Config(config, scope)))
            }
            Self::Made(items) => items.get(index).cloned(),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Value<'a>> + '_ {
        (0..self.len()).filter_map(|index| self.get(index))
    }
}

impl<'a> Map<'a> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Members(members) => members.len(),
            Self::Merged(members) => members.len(),
            Self::Files(files) => files.len(),
            Self::Config(config, _) => config.bindings.len() + CONFIG_KEYS.len(),
            Self::Commit(_) => COMMIT_KEYS.len(),
            Self::Made(entries) => entries.len(),
        }
    }

    /// The value of a key; of a config also `null` for a placeholder that only other configs have.
    pub(super) fn get(&self, key: &Value<'a>) -> Option<Value<'a>> {
        if let Self::Made(entries) = self {
            return entries.get(&Key::of(key)?).cloned();
        }
        let Value::Text(text) = key else { return None };
        self.text(text)
            .or_else(|| self.has_elsewhere(text).then_some(Value::Null))
    }

    /// Whether the key is there.
    pub(super) fn has(&self, key: &Value<'a>) -> bool {
        match (self, key) {
            (Self::Made(entries), _) => Key::of(key).is_some_and(|key| entries.contains_key(&key)),
            (_, Value::Text(text)) => self.text(text).is_some(),
            (_, _) => false,
        }
    }

    /// Keys, in the order of a walk.
    pub(super) fn keys(&self) -> Vec<Value<'a>> {
        match self {
            Self::Members(members) => members.iter().map(|member| Value::from(&*member.key)).collect(),
            Self::Merged(members) => members.keys().map(|key| Value::from(&**key)).collect(),
            Self::Files(files) => files.iter().map(|(path, _)| Value::from(*path)).collect(),
            Self::Config(config, _) => {
                let bound = config.bindings.keys().map(String::as_str);
                CONFIG_KEYS.into_iter().chain(bound).map(Value::from).collect()
            }
            Self::Commit(_) => COMMIT_KEYS.into_iter().map(Value::from).collect(),
            Self::Made(entries) => entries.keys().map(Key::value).collect(),
        }
    }

    /// How many members one look-up goes through.
    pub(super) fn reach(&self) -> usize {
        match self {
            Self::Members(members) => members.len(),
            Self::Merged(_) | Self::Files(_) | Self::Config(..) | Self::Commit(_) | Self::Made(_) => 0,
        }
    }

    fn text(&self, key: &str) -> Option<Value<'a>> {
        match self {
            Self::Members(members) => {
                let member = members.iter().find(|member| *member.key == *key)?;
                Some(Value::from(&member.value))
            }
            Self::Merged(members) => Some(Value::of(Tree::Merged(members.get(key)?))),
            Self::Files(files) => {
                let index = files.binary_search_by(|(path, _)| (*path).cmp(key)).ok()?;
                files.get(index).map(|(_, node)| Value::from(*node))
            }
            Self::Config(config, _) => match key {
                "name" => Some(config.name.into()),
                "doc" => Some(Value::of(config.doc)),
                placeholder => config.bindings.get(placeholder).map(|text| text.as_str().into()),
            },
            Self::Commit(commit) => match key {
                "id" => Some(commit.id.into()),
                "author" => Some(commit.author.into()),
                "message" => Some(commit.message.into()),
                _ => None,
            },
            Self::Made(_) => None,
        }
    }

    fn has_elsewhere(&self, key: &str) -> bool {
        matches!(self, Self::Config(_, scope) if scope.placeholders.contains(key))
    }
}

impl<'a> Key<'a> {
    /// The key that a value is, if it can be one.
    pub(super) fn of(value: &Value<'a>) -> Option<Self> {
        match value {
            Value::Bool(value) => Some(Self::Bool(*value)),
            Value::Int(value) => Some(Self::Int(*value)),
            Value::Text(text) => Some(Self::Text(text.clone())),
            Value::Null
            | Value::Double(_)
            | Value::Duration(_)
            | Value::Type(_)
            | Value::List(_)
            | Value::Map(_) => None,
        }
    }

    fn value(&self) -> Value<'a> {
        match self {
            Self::Bool(value) => Value::Bool(*value),
            Self::Int(value) => Value::Int(*value),
            Self::Text(text) => Value::Text(text.clone()),
        }
    }
}
