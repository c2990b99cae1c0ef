//! Numbers that mean the same in all three formats: integers that fit `i64`, finite floats.
//!
//! Invariant: no number is rounded to fit; what does not fit is a fault. The one exception is the precision of a
//! float, which every reader of decimal fractions shares. What is deliberately absent: which texts are numbers, which
//! differs by format.

use std::num::IntErrorKind;

use super::build::excerpt;
use super::{Fault, Range, Value};

/// The value of an integer's digits (an optional sign and nothing else besides), written as `literal` in the file.
pub(super) fn integer(digits: &str, radix: u32, literal: &str, range: Range) -> Result<Value, Fault> {
    i64::from_str_radix(digits, radix)
        .map(Value::Int)
        .map_err(|error| {
            if matches!(
                error.kind(),
                IntErrorKind::PosOverflow | IntErrorKind::NegOverflow
            ) {
                Fault::new(
                    "parse/number",
                    range,
                    format!("integer does not fit 64 bits: `{}`", excerpt(literal)),
                )
                .hint(format!(
                    "integers go from {} to {}; put longer digits in quotes",
                    i64::MIN,
                    i64::MAX
                ))
            } else {
                Fault::new(
                    "parse/number",
                    range,
                    format!("number has no valid digits: `{}`", excerpt(literal)),
                )
                .hint("write plain digits, or quote it if it is text")
            }
        })
}

/// The value of a decimal fraction, written as `literal` in the file.
pub(super) fn float(digits: &str, literal: &str, range: Range) -> Result<Value, Fault> {
    let Ok(value) = digits.parse::<f64>() else {
        return Err(Fault::new(
            "parse/number",
            range,
            format!("number cannot be read: `{}`", excerpt(literal)),
        )
        .hint("quote it if it is text"));
    };
    if value.is_finite() {
        return Ok(Value::Float(value));
    }
    if digits.bytes().any(|byte| byte.is_ascii_digit()) {
        return Err(Fault::new(
            "parse/number",
            range,
            format!("number is too large: `{}`", excerpt(literal)),
        )
        .hint(format!("the largest is {:e}", f64::MAX)));
    }
    Err(not_finite(literal, range))
}

/// The fault of an infinity or a not-a-number, which JSON has no word for.
pub(super) fn not_finite(literal: &str, range: Range) -> Fault {
    Fault::new(
        "parse/number",
        range,
        format!("not a finite number: `{}`", excerpt(literal)),
    )
    .hint("leave the key out, or quote a word that the program understands")
}
