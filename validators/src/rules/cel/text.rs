//! Functions of text.

use super::functions::Answer;
use super::machine::Machine;
use super::value::{Text, Value};
use super::wrong::Wrong;

pub(super) fn contains<'a>(machine: &mut Machine<'a, '_>, arguments: &[Value<'a>]) -> Answer<'a> {
    let (text, part) = two(machine, "contains", arguments)?;
    Ok(Value::Bool(text.contains(&**part)))
}

pub(super) fn starts_with<'a>(machine: &mut Machine<'a, '_>, arguments: &[Value<'a>]) -> Answer<'a> {
    let (text, part) = two(machine, "startsWith", arguments)?;
    Ok(Value::Bool(text.starts_with(&**part)))
}

pub(super) fn ends_with<'a>(machine: &mut Machine<'a, '_>, arguments: &[Value<'a>]) -> Answer<'a> {
    let (text, part) = two(machine, "endsWith", arguments)?;
    Ok(Value::Bool(text.ends_with(&**part)))
}

pub(super) fn matches<'a>(machine: &mut Machine<'a, '_>, arguments: &[Value<'a>]) -> Answer<'a> {
    let (text, pattern) = two(machine, "matches", arguments)?;
    machine.matches(text, pattern).map(Value::Bool)
}

pub(super) fn lower_ascii<'a>(machine: &mut Machine<'a, '_>, arguments: &[Value<'a>]) -> Answer<'a> {
    let text = one(machine, "lowerAscii", arguments)?;
    Ok(Value::text(text.to_ascii_lowercase()))
}

pub(super) fn upper_ascii<'a>(machine: &mut Machine<'a, '_>, arguments: &[Value<'a>]) -> Answer<'a> {
    let text = one(machine, "upperAscii", arguments)?;
    Ok(Value::text(text.to_ascii_uppercase()))
}

pub(super) fn trim<'a>(machine: &mut Machine<'a, '_>, arguments: &[Value<'a>]) -> Answer<'a> {
    Ok(match one(machine, "trim", arguments)? {
        Text::Read(text) => Value::from(text.trim()),
        Text::Made(text) => Value::text(text.trim()),
    })
}

pub(super) fn split<'a>(machine: &mut Machine<'a, '_>, arguments: &[Value<'a>]) -> Answer<'a> {
    let (text, separator) = two(machine, "split", arguments)?;
    machine.meter.take_items(pieces(text, separator).count())?;
    Ok(Value::list(match text {
        Text::Read(text) => pieces(text, separator).map(Value::from).collect(),
        Text::Made(text) => pieces(text, separator).map(Value::text).collect(),
    }))
}

pub(super) fn join<'a>(machine: &mut Machine<'a, '_>, arguments: &[Value<'a>]) -> Answer<'a> {
    let [Value::List(list), Value::Text(separator)] = arguments else {
        return Err(Wrong::new(
            "`join` takes a list of strings and a string between them",
        ));
    };
    let mut joined = String::new();
    for (index, item) in list.iter().enumerate() {
        let Value::Text(text) = &item else {
            return Err(Wrong::takes("join", "a list of strings", &item));
        };
        machine.meter.take(1)?;
        machine
            .meter
            .take_bytes(text.len().saturating_add(separator.len()))?;
        if index > 0 {
            joined.push_str(separator);
        }
        joined.push_str(text);
    }
    Ok(Value::text(joined))
}

/// The one text of `who`, whose bytes are read.
fn one<'v, 'a>(
    machine: &mut Machine<'a, '_>,
    who: &str,
    arguments: &'v [Value<'a>],
) -> Result<&'v Text<'a>, Wrong> {
    match arguments.first() {
        Some(Value::Text(text)) => {
            machine.meter.take_bytes(text.len())?;
            Ok(text)
        }
        other => Err(Wrong::takes(who, "a string", other.unwrap_or(&Value::Null))),
    }
}

/// The two texts of `who`, whose bytes are read.
pub(super) fn two<'v, 'a>(
    machine: &mut Machine<'a, '_>,
    who: &str,
    arguments: &'v [Value<'a>],
) -> Result<(&'v Text<'a>, &'v Text<'a>), Wrong> {
    let first = one(machine, who, arguments)?;
    let second = one(machine, who, arguments.get(1..).unwrap_or_default())?;
    Ok((first, second))
}

/// Splitting by nothing gives characters, without the empty ends that Rust sees there.
fn pieces<'t>(text: &'t str, separator: &str) -> impl Iterator<Item = &'t str> {
    let by_character = separator.is_empty();
    text.split(separator)
        .filter(move |piece| !by_character || !piece.is_empty())
}
