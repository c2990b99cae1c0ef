//! Equality and order.
//!
//! Invariant: numbers are compared by what they are worth, exactly; values of different kinds are unequal and have no
//! order. What is deliberately absent: an order of lists and objects.

use std::cmp::Ordering;

use super::budget::{Meter, Spent};
use super::collection::{List, Map};
use super::expression::Order;
use super::value::Value;
use super::wrong::Wrong;

/// Whether two values are the same.
pub(super) fn equal<'a>(a: &Value<'a>, b: &Value<'a>, meter: &mut Meter<'_>) -> Result<bool, Spent> {
    meter.take(1)?;
    Ok(match (a, b) {
        (Value::Null, Value::Null) => true,
        (Value::Text(a), Value::Text(b)) => {
            meter.take_bytes(a.len().min(b.len()))?;
            a == b
        }
        (Value::Type(a), Value::Type(b)) => a == b,
        (Value::List(a), Value::List(b)) => equal_lists(a, b, meter)?,
        (Value::Map(a), Value::Map(b)) => equal_maps(a, b, meter)?,
        (a, b) => matches!(order(a, b), Ok(Some(Ordering::Equal))),
    })
}

fn equal_lists<'a>(a: &List<'a>, b: &List<'a>, meter: &mut Meter<'_>) -> Result<bool, Spent> {
    if a.len() != b.len() {
        return Ok(false);
    }
    for (a, b) in a.iter().zip(b.iter()) {
        if !equal(&a, &b, meter)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn equal_maps<'a>(a: &Map<'a>, b: &Map<'a>, meter: &mut Meter<'_>) -> Result<bool, Spent> {
    if a.len() != b.len() {
        return Ok(false);
    }
    meter.take_items(a.len())?;
    for key in a.keys() {
        meter.take_items(a.reach() + b.reach())?;
        let (Some(ours), Some(theirs)) = (a.get(&key), b.get(&key)) else {
            return Ok(false);
        };
        if !b.has(&key) || !equal(&ours, &theirs, meter)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether a list holds a value, or a map a key.
pub(super) fn contains<'a>(
    container: &Value<'a>,
    value: &Value<'a>,
    meter: &mut Meter<'_>,
) -> Result<bool, Wrong> {
    match container {
        Value::Map(map) => {
            meter.take_items(map.reach())?;
            Ok(map.has(value))
        }
        Value::List(list) => {
            for item in list.iter() {
                if equal(&item, value, meter)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        Value::Null
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Double(_)
        | Value::Text(_)
        | Value::Duration(_)
        | Value::Type(_) => Err(Wrong::hinted(
            format!(
                "`in` looks into a list or an object, found {}",
                container.kind().in_words()
            ),
            "write `text.contains(part)` to look into a string",
        )),
    }
}

/// Whether `a` stands to `b` as `how` says.
pub(super) fn ordered<'a>(
    how: Order,
    (a, b): (&Value<'a>, &Value<'a>),
    meter: &mut Meter<'_>,
) -> Result<bool, Wrong> {
    if let (Value::Text(a), Value::Text(b)) = (a, b) {
        meter.take_bytes(a.len().min(b.len()))?;
    }
    let order = order(a, b).map_err(|Unordered| {
        let (left, right) = (a.kind().in_words(), b.kind().in_words());
        Wrong::new(format!("`{}` does not compare {left} and {right}", how.sign()))
    })?;
    Ok(match how {
        Order::Less => order == Some(Ordering::Less),
        Order::AtMost => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        Order::Greater => order == Some(Ordering::Greater),
        Order::AtLeast => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
    })
}

/// There is no order between values of these kinds.
struct Unordered;

/// `None` where a float is no number.
fn order(a: &Value<'_>, b: &Value<'_>) -> Result<Option<Ordering>, Unordered> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) | (Value::Duration(a), Value::Duration(b)) => Ok(Some(a.cmp(b))),
        (Value::Double(a), Value::Double(b)) => Ok(a.partial_cmp(b)),
        (Value::Int(a), Value::Double(b)) => Ok(mixed(*a, *b)),
        (Value::Double(a), Value::Int(b)) => Ok(mixed(*b, *a).map(Ordering::reverse)),
        (Value::Text(a), Value::Text(b)) => Ok(Some(a.cmp(b))),
        (Value::Bool(a), Value::Bool(b)) => Ok(Some(a.cmp(b))),
        (_, _) => Err(Unordered),
    }
}

/// An integer beside a float, without rounding either.
fn mixed(int: i64, double: f64) -> Option<Ordering> {
    let Some(whole) = whole(double) else {
        return 0.0.partial_cmp(&double);
    };
    // The fraction of -1.0 is -0.0, which is no less than nothing.
    Some(
        int.cmp(&whole)
            .then_with(|| 0.0_f64.total_cmp(&(double.fract() + 0.0))),
    )
}

/// The whole part of a float, where that is an integer.
#[expect(
    clippy::cast_possible_truncation,
    reason = "what would be cut off is refused first"
)]
pub(super) fn whole(double: f64) -> Option<i64> {
    /// 2⁶³, the first float that is above every integer; its negative is an integer.
    const ABOVE: f64 = 9_223_372_036_854_775_808.0;
    (-ABOVE..ABOVE).contains(&double).then_some(double as i64)
}
