//! The headers of W3C Trace Context, level 1: `traceparent` and `tracestate`.
//!
//! Invariant: a header that is not exactly what the standard says is no header, so nobody can put a text of his own into
//! a trace; a `tracestate` that is too long or broken is left out, and its `traceparent` counts.

use std::str::FromStr;

use headwater_validators::printable;
use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

use super::origin;

const PARENT: HeaderName = HeaderName::from_static("traceparent");
const STATE: HeaderName = HeaderName::from_static("tracestate");

/// Longest `traceparent`, in bytes: the one there is has 55, later ones may go on.
const PARENT_BYTES_MAX: usize = 128;
/// Longest `tracestate` that is handed on, in bytes: what the standard asks for at least.
const STATE_BYTES_MAX: usize = 512;

/// The context that a request was sent with.
pub(super) fn read(headers: &HeaderMap) -> Option<SpanContext> {
    let mut parents = headers.get_all(PARENT).iter();
    let parent = parents.next()?.to_str().ok()?;
    if parents.next().is_some() {
        return None;
    }
    let (trace, span, flags) = parts(parent)?;
    let context = SpanContext::new(trace, span, flags, true, state(headers));
    context.is_valid().then_some(context)
}

fn parts(parent: &str) -> Option<(TraceId, SpanId, TraceFlags)> {
    let mut parts = parent.splitn(5, '-');
    let [version, trace, span, flags] =
        [2, 32, 16, 2].map(|len| parts.next().filter(|part| is_hex(part, len)));
    let (version, rest) = (version?, parts.next());
    if version == "ff" || (version == "00" && rest.is_some()) || parent.len() > PARENT_BYTES_MAX {
        return None;
    }
    let flags = u8::from_str_radix(flags?, 16).ok()?;
    Some((
        TraceId::from_hex(trace?).ok()?,
        SpanId::from_hex(span?).ok()?,
        TraceFlags::new(flags) & TraceFlags::SAMPLED,
    ))
}

fn is_hex(part: &str, len: usize) -> bool {
    part.len() == len && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn state(headers: &HeaderMap) -> TraceState {
    let mut all = String::new();
    for value in headers.get_all(STATE) {
        let Ok(text) = value.to_str() else {
            return TraceState::default();
        };
        if all.len() + text.len() > STATE_BYTES_MAX {
            return TraceState::default();
        }
        if !all.is_empty() {
            all.push(',');
        }
        all.push_str(text);
    }
    if printable(&all) != all {
        return TraceState::default();
    }
    TraceState::from_str(&all).unwrap_or_default()
}

/// The headers for whoever is called from here; none outside of a trace.
pub(crate) fn outward() -> HeaderMap {
    let mut headers = HeaderMap::new();
    let Some(here) = origin() else {
        return headers;
    };
    let (trace, span, flags) = (
        here.trace_id(),
        here.span_id(),
        here.trace_flags() & TraceFlags::SAMPLED,
    );
    if let Ok(parent) = HeaderValue::try_from(format!("00-{trace}-{span}-{flags:02x}")) {
        headers.insert(PARENT, parent);
    }
    let state = here.trace_state().header();
    if let (false, Ok(state)) = (state.is_empty(), HeaderValue::try_from(state)) {
        headers.insert(STATE, state);
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn read_one(parent: &str, state: &str) -> Option<SpanContext> {
        let mut headers = HeaderMap::new();
        headers.insert(PARENT, HeaderValue::from_bytes(parent.as_bytes()).unwrap());
        headers.insert(STATE, HeaderValue::from_bytes(state.as_bytes()).unwrap());
        read(&headers)
    }

    #[test]
    fn a_parent_is_read_with_its_state() {
        let context = read_one(GOOD, "vendor=opaque,other=1").unwrap();
        assert_eq!(context.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(context.span_id().to_string(), "00f067aa0ba902b7");
        assert!(context.is_sampled() && context.is_remote());
        assert_eq!(context.trace_state().header(), "vendor=opaque,other=1");
        let later = "02-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-09-more";
        assert!(read_one(later, "").unwrap().is_sampled());
        assert!(!read_one(&GOOD.replace("-01", "-00"), "").unwrap().is_sampled());
    }

    #[test]
    fn what_is_not_exactly_a_parent_is_none() {
        let (trace, span) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
        for bad in [
            String::new(),
            "00".to_owned(),
            format!("00-{trace}-{span}"),
            format!("00-{trace}-{span}-"),
            format!("00-{trace}-{span}-1"),
            format!("00-{trace}-{span}-01-more"),
            format!(" 00-{trace}-{span}-01"),
            format!("00-{trace}0-{span}-01"),
            format!("00-{}-{span}-01", &trace.replacen('4', "", 1)),
            format!("00-{}-{span}-01", trace.to_uppercase()),
            format!("00-{trace}-{}-01", span.to_uppercase()),
            format!("00-{}-{span}-01", "0".repeat(32)),
            format!("00-{trace}-{}-01", "0".repeat(16)),
            format!("00-{}-{span}-01", trace.replacen('4', "+", 1)),
            format!("00-{}-{span}-01", trace.replacen('4', "g", 1)),
            format!("ff-{trace}-{span}-01"),
            format!("0-{trace}-{span}-01"),
            format!("02-{trace}-{span}-01-{}", "x".repeat(PARENT_BYTES_MAX)),
        ] {
            assert_eq!(read_one(&bad, ""), None, "{bad}");
        }
        let mut twice = HeaderMap::new();
        twice.append(PARENT, HeaderValue::from_static(GOOD));
        twice.append(PARENT, HeaderValue::from_static(GOOD));
        assert_eq!(read(&twice), None);
    }

    #[test]
    fn a_state_that_is_too_long_or_broken_is_left_out() {
        for state in [
            "x".repeat(10_000),
            format!("a={}", "b".repeat(600)),
            "no pair".to_owned(),
        ] {
            let context = read_one(GOOD, &state).unwrap();
            assert_eq!(context.trace_state().header(), "", "{} bytes", state.len());
        }
    }

    #[test]
    fn outside_of_a_trace_nothing_is_sent_along() {
        assert!(outward().is_empty());
    }
}
