//! What differs between two documents, leaf by leaf.
//!
//! Invariant: changes are sorted by pointer, token by token; removing all that are gone and then setting all that are
//! new turns the old document into the new one, but for objects that lost their last key and for secrets, which are
//! compared and hidden: a difference is for eyes. Lists are compared as whole values, as they are merged.

use headwater_wire::Change;
use serde_json::{Map, Value};

use crate::effective::Effective;
use crate::pointer;
use crate::secrets::formats;
use crate::source::Resolver;

/// Changed leaves from `old` to `new`, each with the place that sets it. A missing side is a document without keys.
pub fn diff(old: Option<&Effective>, new: Option<&Effective>) -> Vec<Change> {
    let mut differ = Differ {
        old: Side::of(old),
        new: Side::of(new),
        pointer: String::new(),
        changes: Vec::new(),
    };
    differ.compare(old.map(Effective::document), new.map(Effective::document));
    differ.changes
}

struct Differ<'a> {
    old: Option<Side<'a>>,
    new: Option<Side<'a>>,
    pointer: String,
    changes: Vec<Change>,
}

impl Differ<'_> {
    fn compare(&mut self, old: Option<&Value>, new: Option<&Value>) {
        match (members(old), members(new)) {
            _ if old == new => {}
            (Some(old), Some(new)) => self.compare_members(old, new),
            // An object on one side only: its leaves come or go one by one, next to the scalar that they replace.
            (Some(gone), None) if !gone.is_empty() => {
                if new.is_some() {
                    self.record(None, new);
                }
                self.compare_members(gone, &Map::new());
            }
            (None, Some(fresh)) if !fresh.is_empty() => {
                if old.is_some() {
                    self.record(old, None);
                }
                self.compare_members(&Map::new(), fresh);
            }
            _ => self.record(old, new),
        }
    }

    fn compare_members(&mut self, old: &Map<String, Value>, new: &Map<String, Value>) {
        let mut keys: Vec<&String> = old.keys().chain(new.keys()).collect();
        keys.sort();
        keys.dedup();
        for key in keys {
            let length = self.pointer.len();
            pointer::push(&mut self.pointer, key);
            self.compare(old.get(key), new.get(key));
            self.pointer.truncate(length);
        }
    }

    fn record(&mut self, old: Option<&Value>, new: Option<&Value>) {
        let origin = |side: &Option<Side<'_>>, value: Option<&Value>| {
            let side = value.and(side.as_ref())?;
            side.effective.origin_with(&side.resolver, &self.pointer)
        };
        let change = Change {
            pointer: formats::redact(&self.pointer).into_owned(),
            old: old.map(|value| self.for_eyes(value)),
            new: new.map(|value| self.for_eyes(value)),
            old_origin: origin(&self.old, old),
            new_origin: origin(&self.new, new),
        };
        self.changes.push(change);
    }

    /// Hidden is what either side takes for a secret: the old manifest may not have said so yet.
    fn for_eyes(&self, value: &Value) -> Value {
        let sides = self.old.iter().chain(&self.new);
        sides.fold(value.clone(), |value, side| {
            side.effective.mask().value(&self.pointer, &value)
        })
    }
}

/// A document and the lines of its layers.
struct Side<'a> {
    effective: &'a Effective,
    resolver: Resolver<'a>,
}

impl<'a> Side<'a> {
    fn of(effective: Option<&'a Effective>) -> Option<Self> {
        effective.map(|effective| Self {
            effective,
            resolver: effective.resolver(),
        })
    }
}

/// The members of an object. An empty one that only one side has is a leaf.
fn members(value: Option<&Value>) -> Option<&Map<String, Value>> {
    value.and_then(Value::as_object)
}
