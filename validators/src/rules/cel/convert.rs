//! Functions that ask what a value is, or make another kind of it.
//!
//! Invariant: a message never quotes a value of a document, which may be a secret.

use super::arithmetic::as_double;
use super::compare;
use super::functions::Answer;
use super::machine::Machine;
use super::value::Value;
use super::wrong::Wrong;

pub(super) fn size<'a>(machine: &mut Machine<'a, '_>, arguments: &[Value<'a>]) -> Answer<'a> {
    let count = match arguments {
        [Value::List(list)] => list.len(),
        [Value::Map(map)] => map.len(),
        [Value::Text(text)] => {
            machine.meter.take_bytes(text.len())?;
            text.chars().count()
        }
        other => return Err(Wrong::takes("size", "a list, an object or a string", only(other))),
    };
    Ok(Value::Int(i64::try_from(count).unwrap_or(i64::MAX)))
}

#[expect(clippy::unnecessary_wraps, reason = "all functions of the table answer alike")]
pub(super) fn kind<'a>(_: &mut Machine<'a, '_>, arguments: &[Value<'a>]) -> Answer<'a> {
    Ok(Value::Type(only(arguments).kind()))
}

pub(super) fn int<'a>(_: &mut Machine<'a, '_>, arguments: &[Value<'a>]) -> Answer<'a> {
    let unfit = |what: &str| Wrong::new(format!("`int` finds no integer of 64 bits in the {what}"));
    match arguments {
        [Value::Int(value)] => Ok(Value::Int(*value)),
        [Value::Double(value)] => {
            let whole = compare::whole(*value).ok_or_else(|| unfit("float"))?;
            Ok(Value::Int(whole))
        }
        [Value::Text(text)] => {
            let value = text.parse().map_err(|_| unfit("string"))?;
            Ok(Value::Int(value))
        }
        other => Err(Wrong::takes("int", "a number or a string", only(other))),
    }
}

pub(super) fn double<'a>(machine: &mut Machine<'a, '_>, arguments: &[Value<'a>]) -> Answer<'a> {
    if let [Value::Text(text)] = arguments {
        machine.meter.take_bytes(text.len())?;
        let unfit = |_| Wrong::new("`double` finds no number in the string");
        return Ok(Value::Double(text.parse().map_err(unfit)?));
    }
    let value = only(arguments);
    let double = as_double(value);
    double
        .map(Value::Double)
        .ok_or_else(|| Wrong::takes("double", "a number or a string", value))
}

pub(super) fn boolean<'a>(_: &mut Machine<'a, '_>, arguments: &[Value<'a>]) -> Answer<'a> {
    match arguments {
        [Value::Bool(value)] => Ok(Value::Bool(*value)),
        [Value::Text(text)] => match &**text {
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            _other => Err(Wrong::new("`bool` takes the strings `true` and `false`")),
        },
        other => Err(Wrong::takes("bool", "a boolean or a string", only(other))),
    }
}

pub(super) fn string<'a>(machine: &mut Machine<'a, '_>, arguments: &[Value<'a>]) -> Answer<'a> {
    // The longest float has some three hundred digits.
    machine.meter.take_bytes(512)?;
    match arguments {
        [Value::Text(text)] => Ok(Value::Text(text.clone())),
        [Value::Int(value)] => Ok(Value::text(value.to_string())),
        [Value::Double(value)] => Ok(Value::text(value.to_string())),
        [Value::Bool(value)] => Ok(Value::text(value.to_string())),
        other => Err(Wrong::takes(
            "string",
            "a number, a boolean or a string",
            only(other),
        )),
    }
}

fn only<'v, 'a>(arguments: &'v [Value<'a>]) -> &'v Value<'a> {
    arguments.first().unwrap_or(&Value::Null)
}
