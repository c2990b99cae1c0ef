//! `+`, `-`, `*`, `/` and `%`.
//!
//! Invariant: integers never wrap. An integer beside a float counts as a float, because whether a document says `2` or
//! `2.0` is no decision of its author.

use std::rc::Rc;

use super::budget::Meter;
use super::collection::List;
use super::expression::Arithmetic;
use super::value::{Text, Value};
use super::wrong::Wrong;

/// What `a` and `b` make.
pub(super) fn compute<'a>(
    how: Arithmetic,
    (a, b): (&Value<'a>, &Value<'a>),
    meter: &mut Meter<'_>,
) -> Result<Value<'a>, Wrong> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => ints(how, *a, *b).map(Value::Int),
        (Value::Duration(a), Value::Duration(b)) if matches!(how, Arithmetic::Add | Arithmetic::Subtract) => {
            ints(how, *a, *b).map(Value::Duration)
        }
        (Value::Duration(a), Value::Int(b)) if matches!(how, Arithmetic::Multiply | Arithmetic::Divide) => {
            ints(how, *a, *b).map(Value::Duration)
        }
        (Value::Int(a), Value::Duration(b)) if how == Arithmetic::Multiply => {
            ints(how, *a, *b).map(Value::Duration)
        }
        (Value::Text(a), Value::Text(b)) if how == Arithmetic::Add => joined(a, b, meter),
        (Value::List(a), Value::List(b)) if how == Arithmetic::Add => chained(a, b, meter),
        (a, b) => match (as_double(a), as_double(b)) {
            (Some(a), Some(b)) if how != Arithmetic::Remainder => Ok(Value::Double(doubles(how, a, b))),
            (_, _) => Err(no_such(how, a, b)),
        },
    }
}

/// `-value`.
pub(super) fn negated<'a>(value: &Value<'a>) -> Result<Value<'a>, Wrong> {
    let overflow = || Wrong::new("`-` leaves the range of integers");
    match value {
        Value::Int(value) => Ok(Value::Int(value.checked_neg().ok_or_else(overflow)?)),
        Value::Duration(value) => Ok(Value::Duration(value.checked_neg().ok_or_else(overflow)?)),
        Value::Double(value) => Ok(Value::Double(-value)),
        Value::Null | Value::Bool(_) | Value::Text(_) | Value::Type(_) | Value::List(_) | Value::Map(_) => {
            Err(Wrong::takes("-", "a number", value))
        }
    }
}

/// A number as a float.
#[expect(
    clippy::cast_precision_loss,
    reason = "that is what a float beside an integer means"
)]
pub(super) fn as_double(value: &Value<'_>) -> Option<f64> {
    match value {
        Value::Int(value) => Some(*value as f64),
        Value::Double(value) => Some(*value),
        Value::Null
        | Value::Bool(_)
        | Value::Text(_)
        | Value::Duration(_)
        | Value::Type(_)
        | Value::List(_)
        | Value::Map(_) => None,
    }
}

fn ints(how: Arithmetic, a: i64, b: i64) -> Result<i64, Wrong> {
    let divides = matches!(how, Arithmetic::Divide | Arithmetic::Remainder);
    if divides && b == 0 {
        return Err(Wrong::hinted(
            format!("`{}` by zero", how.sign()),
            "`ratio(a, b)` divides by zero too: it is infinite then",
        ));
    }
    let result = match how {
        Arithmetic::Add => a.checked_add(b),
        Arithmetic::Subtract => a.checked_sub(b),
        Arithmetic::Multiply => a.checked_mul(b),
        Arithmetic::Divide => a.checked_div(b),
        Arithmetic::Remainder => a.checked_rem(b),
    };
    result.ok_or_else(|| {
        Wrong::hinted(
            format!("`{}` leaves the range of integers", how.sign()),
            "write `double(…)` around one of the two",
        )
    })
}

fn doubles(how: Arithmetic, a: f64, b: f64) -> f64 {
    match how {
        Arithmetic::Add => a + b,
        Arithmetic::Subtract => a - b,
        Arithmetic::Multiply => a * b,
        Arithmetic::Divide => a / b,
        Arithmetic::Remainder => a % b,
    }
}

fn joined<'a>(a: &str, b: &str, meter: &mut Meter<'_>) -> Result<Value<'a>, Wrong> {
    meter.take_bytes(a.len().saturating_add(b.len()))?;
    Ok(Value::Text(Text::Made(Rc::from([a, b].concat()))))
}

fn chained<'a>(a: &List<'a>, b: &List<'a>, meter: &mut Meter<'_>) -> Result<Value<'a>, Wrong> {
    meter.take_items(a.len().saturating_add(b.len()))?;
    Ok(Value::list(a.iter().chain(b.iter()).collect()))
}

fn no_such(how: Arithmetic, a: &Value<'_>, b: &Value<'_>) -> Wrong {
    let message = format!(
        "`{}` does not take {} and {}",
        how.sign(),
        a.kind().in_words(),
        b.kind().in_words()
    );
    match (how, a, b) {
        (Arithmetic::Add, Value::Text(_), _) | (Arithmetic::Add, _, Value::Text(_)) => Wrong::hinted(
            message,
            "`string(…)` makes text of a number, `double(…)` a number of text",
        ),
        (Arithmetic::Remainder, _, _) => Wrong::hinted(message, "`%` is for integers"),
        (_, Value::Text(_), _) | (_, _, Value::Text(_)) => Wrong::hinted(
            message,
            "`double(…)` makes a number of text, `duration(…)` a length of time",
        ),
        (_, _, _) => Wrong::new(message),
    }
}
