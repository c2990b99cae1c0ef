//! Members of objects and elements of lists.
//!
//! Invariant: what is not there is an error that names what is there, and never `null`.

use super::collection::{List, Map};
use super::compare;
use super::machine::Machine;
use super::value::Value;
use super::wrong::Wrong;
use crate::suggest;

/// Most keys among which a misspelt one is looked for.
const CANDIDATES_MAX: usize = 100;

/// Steps of comparing a misspelt key with one of them.
const CANDIDATE_STEPS: usize = 8;

impl<'a> Machine<'a, '_> {
    /// A member of an object or an element of a list.
    pub(super) fn member(&mut self, of: &Value<'a>, key: &Value<'a>) -> Result<Value<'a>, Wrong> {
        match (of, key) {
            (Value::Map(map), _) => {
                self.meter.take_items(map.reach())?;
                match map.get(key) {
                    Some(value) => Ok(value),
                    None => Err(self.no_such_key(map, key)?),
                }
            }
            (Value::List(list), Value::Int(_) | Value::Double(_)) => element(list, key),
            (Value::List(_), Value::Text(name)) => Err(Wrong::hinted(
                format!("a list has no keys: `{}`", &**name),
                "name an element, as in `list[0]`, or loop with `all`, `exists` or `map`",
            )),
            (_, Value::Text(name)) => Err(Wrong::new(format!(
                "{} has no keys: `{}`",
                of.kind().in_words(),
                &**name
            ))),
            (_, _) => Err(Wrong::new(format!(
                "{} has no elements to look up",
                of.kind().in_words()
            ))),
        }
    }

    pub(super) fn has(&mut self, of: &Value<'a>, name: &'a str) -> Result<Value<'a>, Wrong> {
        let Value::Map(map) = of else {
            return Err(Wrong::takes("has", "a field of an object", of));
        };
        self.meter.take_items(map.reach())?;
        Ok(Value::Bool(map.has(&Value::from(name))))
    }

    fn no_such_key(&mut self, map: &Map<'a>, key: &Value<'a>) -> Result<Wrong, Wrong> {
        let Value::Text(name) = key else {
            return Ok(Wrong::new(format!(
                "no such key; it is {}",
                key.kind().in_words()
            )));
        };
        self.meter.take_items(map.len())?;
        let keys = map.keys();
        let candidates: Vec<&str> = keys
            .iter()
            .filter_map(|key| {
                if let Value::Text(text) = key {
                    Some(&**text)
                } else {
                    None
                }
            })
            .take(CANDIDATES_MAX)
            .collect();
        self.meter.take_items(candidates.len() * CANDIDATE_STEPS)?;
        let hint = if candidates.is_empty() {
            "the object is empty".to_owned()
        } else {
            suggest::hint(name, &candidates)
        };
        Ok(Wrong::hinted(format!("no such key: `{}`", &**name), hint))
    }
}

fn element<'a>(list: &List<'a>, index: &Value<'a>) -> Result<Value<'a>, Wrong> {
    let Some(position) = position(index) else {
        return Err(Wrong::new("an index is a whole number"));
    };
    let found = usize::try_from(position)
        .ok()
        .and_then(|position| list.get(position));
    found.ok_or_else(|| {
        Wrong::hinted(
            format!("no such element: `{position}`"),
            format!("the list has {} elements, the first is 0", list.len()),
        )
    })
}

/// An integer, or a float that is worth one.
fn position(index: &Value<'_>) -> Option<i64> {
    if let Value::Double(double) = index {
        return compare::whole(*double).filter(|_| double.fract() == 0.0);
    }
    if let Value::Int(int) = index {
        Some(*int)
    } else {
        None
    }
}
