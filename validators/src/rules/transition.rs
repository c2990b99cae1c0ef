//! Rules that measure a change: the old value is what is exposed now.
//!
//! Invariant: a value that such a rule guards cannot escape it by being removed. Only where a `*` stands for the
//! elements of a collection may a whole element go, if the rule is about numbers.

use std::collections::HashSet;

use serde_json::Value;

use super::rule::{Check, OnCreate, Says};
use super::selector::{self, Selector, Tokens};
use super::{Detail, Violation};

/// What is wrong with the step from `old` to `new`. `old` is `null` for a document that is new.
pub(super) fn check(says: &Says, old: &Value, new: &Value) -> Vec<Violation> {
    let Some(at) = &says.at else { return Vec::new() };
    let mut violations = Vec::new();
    for (tokens, value) in at.find(new) {
        let before = selector::at(old, &tokens);
        if before.is_none() && says.on_create == OnCreate::Skip {
            continue;
        }
        if let Some(wrong) = step(&says.check, before, value) {
            violations.push(wrong.at(tokens).values(before, Some(value)));
        }
    }
    for (tokens, before) in at.find(old) {
        if selector::at(new, &tokens).is_none() && !may_go(at, &says.check, new, &tokens) {
            let gone = Violation::new("this value may not be removed: `{old}`");
            violations.push(gone.at(tokens).values(Some(before), None));
        }
    }
    violations
}

/// Whether a whole element of a collection is gone, of which the rule guards a number.
fn may_go(at: &Selector, check: &Check, new: &Value, tokens: &Tokens) -> bool {
    let is_number = matches!(check, Check::MaxFactor(_) | Check::MaxDelta(_));
    let element = at.element().and_then(|length| tokens.get(..length));
    is_number && element.is_some_and(|element| selector::at(new, element).is_none())
}

/// What is wrong with one value, if anything is.
fn step(check: &Check, old: Option<&Value>, new: &Value) -> Option<Violation> {
    match check {
        Check::Immutable => {
            (old != Some(new)).then(|| Violation::new("this value may not change: `{old}` → `{new}`"))
        }
        Check::MaxFactor(factor) => match numbers(old, new) {
            Some((old, new)) if within_factor(old, new, *factor) => None,
            Some(_) => Some(too_far(&format!("{factor}×"))),
            None => Some(no_number()),
        },
        Check::MaxDelta(delta) => match numbers(old, new) {
            Some((before, after)) => {
                let distance = whole_distance(old, new).unwrap_or((after - before).abs());
                (distance > *delta).then(|| too_far(&delta.to_string()))
            }
            None => Some(no_number()),
        },
        Check::OnlyGrow => grown(old?, new),
        Check::Unique(_)
        | Check::Exists(_)
        | Check::MatchesPath(_)
        | Check::RequireTogether(_)
        | Check::DenyPath(_)
        | Check::Expr(..)
        | Check::Webhook(_) => None,
    }
}

/// Two numbers, the old one 0 if there was none.
fn numbers(old: Option<&Value>, new: &Value) -> Option<(f64, f64)> {
    Some((old.map_or(Some(0.0), Value::as_f64)?, new.as_f64()?))
}

/// How far two whole numbers are apart, also where they are too large to be floats.
#[expect(clippy::cast_precision_loss, reason = "the distance is compared with a float")]
fn whole_distance(old: Option<&Value>, new: &Value) -> Option<f64> {
    Some(old?.as_i64()?.abs_diff(new.as_i64()?) as f64)
}

/// Whether neither number is more than `factor` times the other. From 0, and across 0, no factor leads.
fn within_factor(old: f64, new: f64, factor: f64) -> bool {
    let (old, new) = if old < 0.0 { (-old, -new) } else { (old, new) };
    old.total_cmp(&new).is_eq() || (old > 0.0 && new > 0.0 && new <= old * factor && old <= new * factor)
}

fn too_far(most: &str) -> Violation {
    Violation::new(format!(
        "this value may not change by more than {most} in one step: `{{old}}` → `{{new}}`"
    ))
}

fn no_number() -> Violation {
    Violation::unfit("only numbers can be measured: `{old}` → `{new}`")
}

/// What is wrong with a value that may only grow.
fn grown(old: &Value, new: &Value) -> Option<Violation> {
    match (old, new) {
        (Value::Number(before), Value::Number(after)) => {
            let exact = before.as_i64().zip(after.as_i64());
            let falls = exact.map_or_else(
                || after.as_f64() < before.as_f64(),
                |(before, after)| after < before,
            );
            falls.then(|| Violation::new("this number may only grow: `{old}` → `{new}`"))
        }
        (Value::Array(before), Value::Array(after)) => {
            let there: HashSet<String> = after.iter().map(headwater_render::canonical).collect();
            let mut items = before.iter().enumerate();
            items
                .find(|(_, item)| !there.contains(&headwater_render::canonical(item)))
                .map(|(index, lost)| {
                    Violation::new("this list may only grow, and it lacks: `{detail}`")
                        .detail(Detail::Item(index, lost.clone()))
                })
        }
        (Value::Object(before), Value::Object(after)) => {
            before.keys().find(|key| !after.contains_key(*key)).map(|lost| {
                Violation::new("this object may only grow, and it lacks: `{detail}`")
                    .detail(Detail::Value(lost.clone().into()))
            })
        }
        _ => Some(Violation::unfit(
            "only numbers, lists and objects can grow: `{old}` → `{new}`",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_factor_holds_in_both_directions_and_never_leads_from_zero() {
        for (old, new, allowed) in [
            (10.0, 20.0, true),
            (10.0, 20.1, false),
            (10.0, 5.0, true),
            (10.0, 4.9, false),
            (-10.0, -20.0, true),
            (-10.0, 10.0, false),
            (0.0, 0.0, true),
            (0.0, 1.0, false),
            (1.0, 0.0, false),
        ] {
            assert_eq!(within_factor(old, new, 2.0), allowed, "{old} → {new}");
        }
    }

    #[test]
    fn whole_numbers_are_as_far_apart_as_they_are() {
        let (old, new) = (Value::from(i64::MAX - 3), Value::from(i64::MAX));
        assert!(step(&Check::MaxDelta(2.0), Some(&old), &new).is_some());
        assert!(step(&Check::MaxDelta(3.0), Some(&old), &new).is_none());
    }
}
