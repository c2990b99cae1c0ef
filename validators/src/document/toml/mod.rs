//! TOML to the tree, by the parser's own spanned table and not by serde, which turns dates into objects and `nan`
//! into `null`.
//!
//! Invariant: numbers are converted here, so nothing is rounded; dates and times become RFC 3339 text with their
//! seconds. What is deliberately absent: the order of tables, which the parser sorts and this restores.

mod explain;
mod keys;
mod scan;

use toml::Spanned;
use toml::de::{DeTable, DeValue, Error};
use toml::value::Datetime;

use super::build::{Build, Stop};
use super::{FAULTS_MAX, Fault, Member, Node, Range, Value, number};

const CODE: &str = "parse/toml";

/// The tree of the document; what is wrong goes to `build`.
pub(super) fn parse(build: &mut Build<'_>) -> Result<Node, Stop> {
    scan::check(build)?;
    let text = build.text();
    let (root, errors) = DeTable::parse_recoverable(text);
    explain::syntax(build, &first_of_each_line(text, &errors));
    if build.is_full() {
        return Err(Stop);
    }
    let range = build.range(0..text.len());
    build.charge_nodes(1, range)?;
    let members = table(build, root.get_ref(), 1, range)?;
    Ok(Node {
        range,
        value: Value::Obj(members),
    })
}

fn node(build: &mut Build<'_>, value: &Spanned<DeValue<'_>>, depth: usize) -> Result<Node, Stop> {
    let range = build.range(value.span());
    build.charge_nodes(1, range)?;
    if build.is_full() {
        return Err(Stop);
    }
    let literal = build.slice(value.span());
    let value = match value.get_ref() {
        DeValue::String(text) => Value::Str(build.shared_text(text, range)?),
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::Integer(integer) => {
            let value = number::integer(integer.as_str(), integer.radix(), literal, range);
            or_null(build, value)
        }
        DeValue::Float(float) => {
            let value = number::float(float.as_str(), literal, range);
            or_null(build, value)
        }
        DeValue::Datetime(datetime) => Value::Str(build.shared_text(&rfc3339(*datetime), range)?),
        DeValue::Array(array) => {
            build.check_depth(depth, range)?;
            let items = array.iter().map(|item| node(build, item, depth + 1));
            Value::Arr(items.collect::<Result<_, _>>()?)
        }
        DeValue::Table(members) => Value::Obj(table(build, members, depth, range)?),
    };
    Ok(Node { range, value })
}

fn table(
    build: &mut Build<'_>,
    table: &DeTable<'_>,
    depth: usize,
    range: Range,
) -> Result<Vec<Member>, Stop> {
    build.check_depth(depth, range)?;
    let mut members = Vec::with_capacity(table.len());
    for (key, value) in table {
        let key_range = build.range(key.span());
        let key = build.shared_text(key.get_ref(), key_range)?;
        members.push(Member {
            key,
            key_range,
            value: node(build, value, depth + 1)?,
        });
    }
    members.sort_by_key(|member| member.key_range);
    Ok(members)
}

/// The errors worth telling: what follows the first one on a line is mostly its echo.
fn first_of_each_line<'a>(text: &str, errors: &'a [Error]) -> Vec<&'a Error> {
    let mut sorted: Vec<_> = errors
        .iter()
        .map(|error| (error.span().map_or(0, |span| span.start), error))
        .collect();
    sorted.sort_by_key(|&(start, _)| start);
    let mut kept: Vec<&Error> = Vec::new();
    let mut last = None;
    for (start, error) in sorted {
        let is_echo = last.is_some_and(|last| !text.get(last..start).unwrap_or_default().contains('\n'));
        if !is_echo && kept.len() < FAULTS_MAX {
            kept.push(error);
            last = Some(start);
        }
    }
    kept
}

/// A number that was refused leaves a hole; the document is refused anyway. Where the parser has said so already, its
/// word is enough.
fn or_null(build: &mut Build<'_>, value: Result<Value, Fault>) -> Value {
    value.unwrap_or_else(|fault| {
        if !build.has_fault_in(fault.range) {
            build.fault(fault);
        }
        Value::Null
    })
}

/// RFC 3339 asks for the seconds, TOML 1.1 does not.
fn rfc3339(mut datetime: Datetime) -> String {
    if let Some(time) = &mut datetime.time {
        time.second.get_or_insert(0);
    }
    datetime.to_string()
}
