//! A tree as a flat list of names and texts, in the order of the rendering.
//!
//! Invariant: no two entries have one name. Empty lists and objects have no entry, since a flat list has no word for
//! them; null is the empty text.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Place;

use serde_json::{Map, Value};

use super::FormatError;

/// One step from the root to a value.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

/// One name with its value.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    /// Where the value stands, for messages.
    pub(super) pointer: String,
    pub(super) text: String,
}

/// Every value that is no container, named by `name`.
pub(super) fn entries(
    document: &Value,
    name: impl Fn(&[Step<'_>]) -> String,
) -> Result<Vec<Entry>, FormatError> {
    let root = object(document)?;
    let mut walk = Walk {
        name,
        seen: BTreeMap::new(),
        entries: Vec::new(),
    };
    walk.members(root, &mut Vec::new())?;
    Ok(walk.entries)
}

fn object(document: &Value) -> Result<&Map<String, Value>, FormatError> {
    let found = match document {
        Value::Object(map) => return Ok(map),
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
    };
    Err(FormatError::Root { found })
}

struct Walk<N> {
    name: N,
    /// Where each name was given.
    seen: BTreeMap<String, String>,
    entries: Vec<Entry>,
}

impl<N: Fn(&[Step<'_>]) -> String> Walk<N> {
    fn members<'a>(
        &mut self,
        map: &'a Map<String, Value>,
        path: &mut Vec<Step<'a>>,
    ) -> Result<(), FormatError> {
        let mut members: Vec<_> = map.iter().collect();
        members.sort_by_key(|(key, _)| *key);
        for (key, member) in members {
            path.push(Step::Key(key));
            self.value(member, path)?;
            path.pop();
        }
        Ok(())
    }

    fn value<'a>(&mut self, value: &'a Value, path: &mut Vec<Step<'a>>) -> Result<(), FormatError> {
        match value {
            Value::Object(map) => self.members(map, path),
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    path.push(Step::Index(index));
                    self.value(item, path)?;
                    path.pop();
                }
                Ok(())
            }
            Value::Null => self.entry(path, String::new()),
            Value::Bool(flag) => self.entry(path, flag.to_string()),
            Value::Number(_) => self.entry(path, headwater_render::canonical(value)),
            Value::String(text) => self.entry(path, text.clone()),
        }
    }

    fn entry(&mut self, path: &[Step<'_>], text: String) -> Result<(), FormatError> {
        let name = (self.name)(path);
        let pointer = pointer(path);
        match self.seen.entry(name.clone()) {
            Place::Occupied(first) => Err(FormatError::Collision {
                name,
                first: first.get().clone(),
                second: pointer,
            }),
            Place::Vacant(place) => {
                place.insert(pointer.clone());
                self.entries.push(Entry { name, pointer, text });
                Ok(())
            }
        }
    }
}

fn pointer(path: &[Step<'_>]) -> String {
    let step = |step: &Step<'_>| match step {
        Step::Key(key) => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
        Step::Index(index) => format!("/{index}"),
    };
    path.iter().map(step).collect()
}
