//! Puts what is wrong with a merged document into the file, line and column that an author has to edit.
//!
//! Invariant: the finding is at the layer that won; the layers it overrides are related places.

use headwater_wire::{ConfigName, Finding, RepoPath, Severity, Span};

use super::violation::{Spot, Violation};
use crate::effective::Effective;
use crate::merge::{Merged, Place};
use crate::pointer;
use crate::source::Resolver;
use crate::suggest;

/// Most overridden layers that are shown with a finding.
const RELATED_MAX: usize = 5;

pub(crate) fn findings(
    violations: Vec<Violation>,
    config: &ConfigName,
    effective: &Effective,
) -> Vec<Finding> {
    let resolver = effective.resolver();
    violations
        .into_iter()
        .map(|violation| finding(violation, config, (effective, &resolver)))
        .collect()
}

fn finding(violation: Violation, config: &ConfigName, document: (&Effective, &Resolver<'_>)) -> Finding {
    let (effective, resolver) = document;
    let Violation {
        keyword,
        mut tokens,
        spot,
        message,
        hint,
    } = violation;
    if let Spot::Key(key) = &spot {
        tokens.push(key.clone());
    }
    let code = format!("schema/{keyword}");
    let mut finding = located(effective, resolver, (&tokens, &spot), |place| {
        Finding::new(&code, Severity::Error, place, message).config(config)
    });
    finding.hint = match &spot {
        Spot::Absent(_) => Some(could_set(effective.sources())),
        Spot::Value | Spot::Key(_) => hint,
    };
    finding
}

/// A finding about a place of a merged document: at the layer that won, with those it overrides.
pub(crate) fn located(
    effective: &Effective,
    resolver: &Resolver<'_>,
    (tokens, spot): (&[String], &Spot),
    finding: impl FnOnce((&str, Span)) -> Finding,
) -> Finding {
    let (merged, rest) = effective.merged().descend(tokens);
    let mut finding = finding(primary(merged, rest, spot, resolver));
    for token in tokens {
        pointer::push(finding.pointer.get_or_insert_default(), token);
    }
    for below in merged.overridden().iter().rev().take(RELATED_MAX) {
        let (path, span) = resolver.span(below.layer, below.key.unwrap_or(below.value));
        finding = finding.related(path, span, "overrides this value");
    }
    finding
}

/// A key where the key is meant or the value is an object, which may go on for pages; else the value.
fn primary<'a>(merged: &Merged, rest: &[String], spot: &Spot, resolver: &Resolver<'a>) -> (&'a str, Span) {
    let place = if rest.is_empty() {
        merged.origin()
    } else {
        merged.element(rest).unwrap_or(merged.origin())
    };
    let is_object = rest.is_empty() && merged.members().is_some();
    match (place.key, spot) {
        (Some(key), Spot::Key(_)) => resolver.span(place.layer, key),
        (Some(key), Spot::Value | Spot::Absent(_)) if is_object => resolver.span(place.layer, key),
        (None, _) if is_object => start(place, resolver),
        _ => resolver.span(place.layer, place.value),
    }
}

/// The document as a whole.
fn start<'a>(place: Place, resolver: &Resolver<'a>) -> (&'a str, Span) {
    (resolver.span(place.layer, place.value).0, Span::START)
}

fn could_set(sources: &[RepoPath]) -> String {
    match sources {
        [only] => format!("add it to `{only}`"),
        several => format!("add it to one of {}", suggest::list(several)),
    }
}
