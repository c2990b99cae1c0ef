//! What a browser or a program says that it reads.

use http::HeaderMap;
use http::header::ACCEPT;

/// Whether a person reads the answer: pages are asked for by name, and nothing that programs read is liked better.
pub(crate) fn reads_pages(headers: &HeaderMap) -> bool {
    let pages = weight(headers, "text/html");
    let others = ["application/json", "application/problem+json"];
    pages > 0.0 && others.into_iter().all(|other| weight(headers, other) <= pages)
}

/// Whether the answer is to go on as events.
pub(crate) fn follows(headers: &HeaderMap) -> bool {
    weight(headers, "text/event-stream") > 0.0
}

/// How much a media type is liked that is asked for by name; nothing where it is not.
fn weight(headers: &HeaderMap, media_type: &str) -> f32 {
    let values = headers.get_all(ACCEPT).into_iter();
    let ranges = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    let weights = ranges.filter_map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let is_it = parts.next()?.eq_ignore_ascii_case(media_type);
        let said = parts.find_map(|part| part.strip_prefix("q=")?.parse().ok());
        is_it.then(|| said.unwrap_or(1.0))
    });
    weights.fold(0.0, f32::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(accept: &str) -> HeaderMap {
        HeaderMap::from_iter([(ACCEPT, accept.parse().unwrap())])
    }

    #[test]
    fn pages_are_for_whoever_names_them_and_likes_nothing_of_programs_better() {
        let reads = |accept: &str| reads_pages(&asked(accept));
        assert!(reads(
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
        ));
        assert!(reads("application/json;q=0.5, Text/HTML;q=0.7"));
        assert!(!reads("*/*"));
        assert!(!reads("application/json"));
        assert!(!reads("application/problem+json, text/html;q=0.9"));
        assert!(!reads("text/html;q=0"));
        assert!(!reads_pages(&HeaderMap::new()));
    }

    #[test]
    fn events_are_for_whoever_names_them() {
        assert!(follows(&asked("text/html, text/event-stream")));
        assert!(!follows(&asked("text/html")));
    }
}
