//! What a plain YAML scalar means: the core schema of YAML 1.2.
//!
//! Invariant: only the words and digits the core schema lists are not text; `yes`, `12:30:45`, `1_000` and dates are
//! text. `014` is fourteen and `0o14` twelve. What is deliberately absent: YAML 1.1.

use super::super::{Fault, Range, Value, number};

/// The value of a plain scalar, or nothing where it is text.
pub(super) fn resolve(text: &str, range: Range) -> Option<Result<Value, Fault>> {
    if let Some(word) = word(text) {
        return Some(Ok(word));
    }
    if is_non_finite(text) {
        return Some(Err(number::not_finite(text, range)));
    }
    integer(text, range).or_else(|| is_float(text).then(|| float(text, range)))
}

/// `null` and the two truth values.
fn word(text: &str) -> Option<Value> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Some(Value::Null),
        "true" | "True" | "TRUE" => Some(Value::Bool(true)),
        "false" | "False" | "FALSE" => Some(Value::Bool(false)),
        _ => None,
    }
}

/// The value of an integer, where the text is one.
pub(super) fn integer(text: &str, range: Range) -> Option<Result<Value, Fault>> {
    let all = |digits: &str, is_digit: fn(&u8) -> bool| {
        !digits.is_empty() && digits.as_bytes().iter().all(is_digit)
    };
    if let Some(digits) = text.strip_prefix("0o") {
        return all(digits, |byte| (b'0'..=b'7').contains(byte))
            .then(|| number::integer(digits, 8, text, range));
    }
    if let Some(digits) = text.strip_prefix("0x") {
        return all(digits, u8::is_ascii_hexdigit).then(|| number::integer(digits, 16, text, range));
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    all(digits, u8::is_ascii_digit).then(|| number::integer(text, 10, text, range))
}

/// The value of a text for which [`is_float`] holds.
pub(super) fn float(text: &str, range: Range) -> Result<Value, Fault> {
    number::float(text, text, range)
}

/// Whether the text is a decimal fraction: digits, a point or an exponent, and a digit before the exponent.
pub(super) fn is_float(text: &str) -> bool {
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let has_digit = !whole.is_empty() || !fraction.is_empty();
    let has_exponent = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !digits.is_empty() && is_digits(digits)
    });
    has_digit && is_digits(whole) && is_digits(fraction) && has_exponent
}

/// Whether the text is a word for infinity or not-a-number.
fn is_non_finite(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN")
}
