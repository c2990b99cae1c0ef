//! From the text of an expression to a program.
//!
//! Invariant: what the crate `cel` and this room's recursion are given is small enough for the stack of any thread.

use std::thread;

use cel::common::ast::{EntryExpr, Expr as Parsed, IdedExpr, SourceInfo};
use cel::parser::ParseError;

use super::expression::{Constant, Expr, Kind, LoopKind};
use super::lower::Lowering;
use super::{Mistake, Program, ScopeKind};
use crate::document::Range;

/// Longest expression, in bytes.
const SOURCE_BYTES_MAX: usize = 4 << 10;

/// Deepest nesting, each operator in a row of them counted.
const DEPTH_MAX: usize = 96;

/// Deepest nesting of brackets and conditions that the parser, which recurses through a dozen rules for each, may see.
const PARSER_DEPTH_MAX: u16 = 24;

/// What that takes, many times over: a level of brackets takes some 100 KB where nothing is optimised. It is only
/// reserved, not used.
const PARSER_STACK_BYTES: usize = 32 << 20;

/// Most brackets, dots and operators: the parser recurses once for each in a row.
const SIGNS_MAX: usize = 1_000;

pub(super) fn load(text: &str, scope: ScopeKind) -> Result<Program, Vec<Mistake>> {
    let (parsed, places) = check_size(text)
        .and_then(|()| parse(text))
        .map_err(|mistake| vec![mistake])?;
    let mut lowering = Lowering::new(text, &places, scope);
    let root = lowering.expr(&parsed);
    let (mentions, patterns, mut mistakes) = lowering.finish();
    if mistakes.is_empty() {
        mistakes.extend(never_boolean(&root));
    }
    if mistakes.is_empty() {
        Ok(Program {
            root,
            mentions,
            patterns,
        })
    } else {
        mistakes.sort_by_key(|mistake| mistake.range);
        Err(mistakes)
    }
}

/// Reads the text on a stack of its own, so that what can be read does not depend on who asks.
fn parse(text: &str) -> Result<(IdedExpr, SourceInfo), Mistake> {
    // Without macros: they are calls like others here, so that a mistake in one is told where it is.
    let parser = || {
        cel::Env::default()
            .with_optional_support(false)
            .parser()
            .max_recursion_depth(PARSER_DEPTH_MAX)
            .parse_with_source_info(text)
    };
    let unread = || mistake(whole(text), "the expression cannot be read", EXAMPLE);
    let parsed = thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(PARSER_STACK_BYTES);
        let started = thread.spawn_scoped(scope, parser).map_err(|_| unread())?;
        started.join().map_err(|_| unread())
    })?;
    let (parsed, places) = parsed.map_err(|errors| syntax(text, errors.errors.first()))?;
    if is_too_deep(&parsed) {
        let limit = format!("is nested more than {DEPTH_MAX} levels deep, each operator in a row counted");
        return Err(too_deep(text, &limit));
    }
    Ok((parsed, places))
}

fn check_size(text: &str) -> Result<(), Mistake> {
    if text.trim().is_empty() {
        return Err(mistake(
            whole(text),
            "nothing is written here",
            "write what must be true, such as `new.pool.max <= 100`",
        ));
    }
    if text.len() > SOURCE_BYTES_MAX {
        return Err(mistake(
            whole(text),
            &format!("the expression is longer than {SOURCE_BYTES_MAX} bytes"),
            "make several rules of it",
        ));
    }
    let signs = text.bytes().filter(u8::is_ascii_punctuation);
    if signs.filter(|sign| !b"'\"_".contains(sign)).count() > SIGNS_MAX {
        let limit = format!("has more than {SIGNS_MAX} brackets, dots and operators");
        return Err(too_deep(text, &limit));
    }
    Ok(())
}

fn too_deep(text: &str, limit: &str) -> Mistake {
    mistake(
        whole(text),
        &format!("the expression {limit}"),
        "make several rules of it; a long `||` of comparisons is shorter as `value in ['a', 'b']`",
    )
}

fn mistake(range: Range, message: &str, hint: &str) -> Mistake {
    Mistake {
        range,
        message: message.to_owned(),
        hint: hint.to_owned(),
    }
}

fn whole(text: &str) -> Range {
    Range {
        start: 0,
        end: u32::try_from(text.len()).unwrap_or(u32::MAX),
    }
}

/// Without recursion, since how deep it is is the question.
fn is_too_deep(root: &IdedExpr) -> bool {
    let mut waiting = vec![(root, 1)];
    while let Some((expr, depth)) = waiting.pop() {
        if depth > DEPTH_MAX {
            return true;
        }
        waiting.extend(children(expr).into_iter().map(|child| (child, depth + 1)));
    }
    false
}

fn children(expr: &IdedExpr) -> Vec<&IdedExpr> {
    match &expr.expr {
        Parsed::Call(call) => call.target.as_deref().into_iter().chain(&call.args).collect(),
        Parsed::Select(select) => vec![&select.operand],
        Parsed::List(list) => list.elements.iter().collect(),
        Parsed::Map(map) => {
            let parts = map.entries.iter().map(|entry| match &entry.expr {
                EntryExpr::MapEntry(entry) => [Some(&entry.key), Some(&entry.value)],
                EntryExpr::StructField(field) => [Some(&field.value), None],
            });
            parts.flatten().flatten().collect()
        }
        // The first two are not lowered, so what is inside them does not count.
        Parsed::Struct(_)
        | Parsed::Comprehension(_)
        | Parsed::Unspecified
        | Parsed::Ident(_)
        | Parsed::Literal(_) => Vec::new(),
    }
}

/// A mistake if no run of the expression can give a boolean.
fn never_boolean(root: &Expr) -> Option<Mistake> {
    let gives = match &root.kind {
        Kind::Constant(Constant::Bool(_))
        | Kind::Variable(_)
        | Kind::Local(_)
        | Kind::Field(..)
        | Kind::Has(..)
        | Kind::Index(_)
        | Kind::Not(_)
        | Kind::Logic(..)
        | Kind::Choice(_)
        | Kind::Equal(_)
        | Kind::Order(..)
        | Kind::In(_)
        | Kind::Call(..) => None,
        Kind::Constant(_) => Some("a constant"),
        Kind::List(_) => Some("a list"),
        Kind::Map(_) => Some("a map"),
        Kind::Negate(_) | Kind::Arithmetic(..) => Some("a number"),
        Kind::Loop(parts) => match parts.what {
            LoopKind::Map | LoopKind::Filter => Some("a list"),
            LoopKind::All | LoopKind::Exists | LoopKind::ExistsOne => None,
        },
    };
    let message = format!("a rule must be true or false, and this is {}", gives?);
    Some(mistake(root.range, &message, "compare it with something"))
}

const EXAMPLE: &str = "an expression looks like `new.pool.max <= 100 && has(new.owner)`";

/// The first thing that the parser could not read, in our words.
fn syntax(text: &str, error: Option<&ParseError>) -> Mistake {
    let Some(error) = error else {
        return mistake(whole(text), "the expression cannot be read", EXAMPLE);
    };
    // Which of the two the parser says depends on the rule of its grammar that meets the limit.
    let is_limit =
        |said: &str| said.starts_with("Syntax error: OtherError(") && said.contains("Recursion limit of");
    if error.msg == "UNKNOWN" || is_limit(&error.msg) {
        let limit =
            format!("has more than {PARSER_DEPTH_MAX} brackets, calls or conditions inside each other");
        return too_deep(text, &limit);
    }
    let place = place(text, error.pos);
    let (range, word) = word_at(text, place);
    let Some(said) = error.msg.strip_prefix("Syntax error: ") else {
        return unsupported((range, word), &error.msg);
    };
    if said.contains("'<EOF>'") && said.starts_with("missing") || said.contains("input '<EOF>'") {
        return mistake(place, "the expression ends too early", EXAMPLE);
    }
    let hint = match word {
        "=" => "write `==` to compare",
        "and" | "or" | "not" => "write `&&`, `||` or `!`",
        "'" | "\"" => "close the quote",
        _ => EXAMPLE,
    };
    mistake(range, &format!("unexpected `{word}`"), hint)
}

/// What the parser refuses once it has read everything.
fn unsupported((range, word): (Range, &str), said: &str) -> Mistake {
    if said.contains("int literal") {
        let message = format!("integer does not fit 64 bits: `{word}`");
        return mistake(range, &message, "write it with a decimal point");
    }
    mistake(
        range,
        &format!("this cannot be used in a rule: {said}"),
        "`new['key']` looks up a key that is no name, and `has(new.pool)` asks whether there is one",
    )
}

/// The word at a place, or its one sign.
fn word_at(text: &str, place: Range) -> (Range, &str) {
    let start = usize::try_from(place.start).unwrap_or(usize::MAX);
    let rest = text.get(start..).unwrap_or_default();
    let letters = rest
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(rest.len());
    let sign = rest.chars().next().map_or(0, char::len_utf8);
    let word = rest.get(..letters.max(sign)).unwrap_or_default();
    let end = place
        .start
        .saturating_add(u32::try_from(word.len()).unwrap_or(u32::MAX));
    (Range { end, ..place }, word)
}

/// One character, by its 1-based line and column.
fn place(text: &str, (line, column): (isize, isize)) -> Range {
    let before = |position: isize| usize::try_from(position - 1).unwrap_or(0);
    let line_start: usize = text.split_inclusive('\n').take(before(line)).map(str::len).sum();
    let rest = text.get(line_start..).unwrap_or_default();
    let mut characters = rest.char_indices().skip(before(column));
    let (offset, width) = characters
        .next()
        .map_or((rest.len(), 0), |(offset, c)| (offset, c.len_utf8()));
    let start = line_start + offset;
    let bytes = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    Range {
        start: bytes(start),
        end: bytes(start + width),
    }
}
