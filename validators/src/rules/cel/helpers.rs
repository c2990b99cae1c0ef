//! Functions that CEL does not have and rules about configs need.

use super::arithmetic::{self, as_double};
use super::compare;
use super::expression::Arithmetic;
use super::functions::Answer;
use super::machine::Machine;
use super::scope::Variable;
use super::text;
use super::value::{Text, Value};
use super::wrong::Wrong;
use crate::{duration, pointer};

/// What is said of a text that is no duration.
pub(super) const NO_DURATION: &str = "the string is no length of time";

/// What is said of a text that is no pointer.
pub(super) const NO_POINTER: &str = "the string is no JSON pointer";

/// How many times `b` goes into `a`, whichever kinds of numbers they are. Two zeros are alike, so their ratio is 1.
pub(super) fn ratio<'a>(_: &mut Machine<'a, '_>, arguments: &[Value<'a>]) -> Answer<'a> {
    let numbers = match arguments {
        [Value::Duration(a), Value::Duration(b)] => [as_double(&Value::Int(*a)), as_double(&Value::Int(*b))],
        [a, b] => [as_double(a), as_double(b)],
        _other => [None, None],
    };
    let [Some(a), Some(b)] = numbers else {
        let kinds: Vec<_> = arguments.iter().map(|value| value.kind().in_words()).collect();
        return Err(Wrong::new(format!(
            "`ratio` takes two numbers, found {}",
            kinds.join(" and ")
        )));
    };
    Ok(Value::Double(if a == 0.0 && b == 0.0 { 1.0 } else { a / b }))
}

/// All numbers of a list together; nothing together is 0.
pub(super) fn sum<'a>(machine: &mut Machine<'a, '_>, arguments: &[Value<'a>]) -> Answer<'a> {
    let [Value::List(list)] = arguments else {
        let found = arguments.first().unwrap_or(&Value::Null);
        return Err(Wrong::takes("sum", "a list of numbers", found));
    };
    let mut total = None;
    for item in list.iter() {
        machine.meter.take(1)?;
        if as_double(&item).is_none() && !matches!(item, Value::Duration(_)) {
            return Err(Wrong::takes("sum", "a list of numbers", &item));
        }
        total = Some(match total {
            Some(total) => arithmetic::compute(Arithmetic::Add, (&total, &item), &mut machine.meter)?,
            None => item,
        });
    }
    Ok(total.unwrap_or(Value::Int(0)))
}

/// Whether the value at a pointer differs between the old and the new document.
pub(super) fn changed<'a>(machine: &mut Machine<'a, '_>, arguments: &[Value<'a>]) -> Answer<'a> {
    let [Value::Text(text)] = arguments else {
        let found = arguments.first().unwrap_or(&Value::Null);
        return Err(Wrong::takes("changed", "a JSON pointer", found));
    };
    let tokens = pointer::tokens(text).ok_or_else(|| Wrong::new(NO_POINTER))?;
    let (new, old) = (machine.variable(Variable::New), machine.variable(Variable::Old));
    let new = at(machine, new, &tokens)?;
    let old = at(machine, old, &tokens)?;
    Ok(Value::Bool(match (new, old) {
        (Some(new), Some(old)) => !compare::equal(&new, &old, &mut machine.meter)?,
        (new, old) => new.is_some() != old.is_some(),
    }))
}

pub(super) fn glob<'a>(machine: &mut Machine<'a, '_>, arguments: &[Value<'a>]) -> Answer<'a> {
    let (path, pattern) = text::two(machine, "glob", arguments)?;
    machine.glob(path, pattern).map(Value::Bool)
}

pub(super) fn duration<'a>(_: &mut Machine<'a, '_>, arguments: &[Value<'a>]) -> Answer<'a> {
    match arguments {
        [Value::Duration(value)] => Ok(Value::Duration(*value)),
        [Value::Text(text)] => milliseconds(text)
            .map(Value::Duration)
            .ok_or_else(|| Wrong::hinted(NO_DURATION, "it looks like `90s`, `10m` or `1h30m`")),
        other => {
            let found = other.first().unwrap_or(&Value::Null);
            Err(Wrong::takes("duration", "a string such as `1m30s`", found))
        }
    }
}

/// The length of a time.
pub(super) fn milliseconds(text: &str) -> Option<i64> {
    i64::try_from(duration::parse_ms(text)?).ok()
}

/// The value that the tokens of a pointer lead to.
fn at<'a>(
    machine: &mut Machine<'a, '_>,
    root: Value<'a>,
    tokens: &[String],
) -> Result<Option<Value<'a>>, Wrong> {
    let mut here = root;
    for token in tokens {
        machine.meter.take(1)?;
        let next = match &here {
            Value::Map(map) => {
                machine.meter.take_items(map.reach())?;
                map.get(&Value::Text(Text::Made(token.as_str().into())))
            }
            Value::List(list) => token.parse().ok().and_then(|index| list.get(index)),
            Value::Null
            | Value::Bool(_)
            | Value::Int(_)
            | Value::Double(_)
            | Value::Text(_)
            | Value::Duration(_)
            | Value::Type(_) => None,
        };
        let Some(next) = next else { return Ok(None) };
        here = next;
    }
    Ok(Some(here))
}
