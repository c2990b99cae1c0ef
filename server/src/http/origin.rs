//! Whose page a browser asks for.
//!
//! Invariant: nothing is changed, and no WebSocket opened, for a page of another site. A browser lets any page send a
//! form anywhere and open a WebSocket anywhere, and says only whose page it is; whoever has a browser and can reach
//! this service must not lend that to every site he visits. What is deliberately absent: cross-origin sharing. A page
//! of another site reads nothing here either, for it is never told that it may.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use headwater_wire::{Problem, ProblemCode};
use http::header::{HOST, ORIGIN};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::problem::Result;

/// Where a request comes from, in the words of a browser that knows (W3C Fetch Metadata).
const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Refuses to change anything for a page of another site.
pub(super) async fn guard(request: Request, next: Next) -> Response {
    if !request.method().is_safe()
        && let Err(refused) = refuse_other_sites(request.headers())
    {
        return refused.into_response();
    }
    next.run(request).await
}

/// Programs other than browsers send neither header. The newer one is believed first: it holds behind a proxy that
/// asks under another host name, too.
pub(super) fn refuse_other_sites(headers: &HeaderMap) -> Result<()> {
    let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_ascii_lowercase();
    let origin = headers.get(ORIGIN).map(text);
    let is_ours = match headers.get(SITE).map(text).as_deref() {
        // The latter is a person at the address bar.
        Some("same-origin" | "none") => true,
        // A page of another port of this host is `same-site`.
        Some(_) => false,
        None => origin
            .as_deref()
            .is_none_or(|origin| is_of_host(origin, headers.get(HOST).map(text))),
    };
    if is_ours {
        return Ok(());
    }
    let detail = match origin {
        Some(origin) => format!("the page is of `{}`", origin.escape_debug()),
        None => "the page is of another site".to_owned(),
    };
    Err(Problem::new(ProblemCode::OriginNotAllowed, detail)
        .hint("programs other than browsers send neither `origin` nor `sec-fetch-site`")
        .into())
}

fn is_of_host(origin: &str, host: Option<String>) -> bool {
    let site = origin.split_once("://").map(|(_, site)| site);
    host.is_some_and(|host| !host.is_empty() && site == Some(host.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_taken(pairs: &[(&'static str, &str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, value.parse().unwrap());
        }
        refuse_other_sites(&headers).is_ok()
    }

    #[test]
    fn only_a_page_of_this_very_service_is_taken() {
        let asked = |origin: &str, host: &str| is_taken(&[("origin", origin), ("host", host)]);
        assert!(is_taken(&[("host", "127.0.0.1:7171")]));
        assert!(asked("http://127.0.0.1:7171", "127.0.0.1:7171"));
        assert!(asked("https://Config.example", "config.example"));
        assert!(!asked("http://evil.example", "127.0.0.1:7171"));
        assert!(!asked("http://127.0.0.1:8000", "127.0.0.1:7171"));
        assert!(!asked("null", "127.0.0.1:7171"));
        assert!(!asked("", ""));
        assert!(!is_taken(&[("origin", "http://127.0.0.1:7171")]));
    }

    #[test]
    fn what_the_browser_says_of_the_site_counts_more_than_the_names() {
        let asked = |site: &str, origin: &str| {
            is_taken(&[
                ("sec-fetch-site", site),
                ("origin", origin),
                ("host", "inner:7171"),
            ])
        };
        assert!(asked("same-origin", "https://config.example"));
        assert!(asked("none", "https://config.example"));
        assert!(!asked("same-site", "http://inner:7171"));
        assert!(!asked("cross-site", "http://inner:7171"));
        assert!(!asked("", "http://inner:7171"));
        assert!(!is_taken(&[("sec-fetch-site", "cross-site")]));
    }
}
