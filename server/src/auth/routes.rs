//! The one table of route and need: what each address lets somebody do, and how it names what it is about.
//!
//! Invariant: a route without a row is nobody's, so that a new one is not open because somebody forgot it.

use http::Method;

use super::role::Need;

/// How a token that is bound to configs may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bound {
    /// It tells nothing of any config's content.
    Free,
    /// The config stands in the path.
    Path,
    /// Configs stand in the query, as `config=`.
    Query,
    /// The handler looks at the configs itself.
    Handler,
    /// It tells of all configs at once.
    All,
}

/// Method, route, what it needs, how it names configs.
type Row = (Method, &'static str, Need, Bound);

/// The addresses of the API.
#[rustfmt::skip]
const API: &[Row] = &[
    (Method::GET, "/livez", Need::Nothing, Bound::Free),
    (Method::GET, "/readyz", Need::Nothing, Bound::Free),
    // Deliveries prove themselves by their signatures.
    (Method::POST, "/hooks/{hook}", Need::Nothing, Bound::Free),
    (Method::GET, "/metrics", Need::Read, Bound::All),
    (Method::GET, "/openapi.json", Need::Nothing, Bound::Free),
    (Method::GET, "/v1/admin/backup", Need::Administer, Bound::All),
    (Method::GET, "/v1/repos", Need::Read, Bound::All),
    (Method::GET, "/v1/repos/{repo}", Need::Read, Bound::All),
    (Method::GET, "/v1/repos/{repo}/configs", Need::Read, Bound::All),
    (Method::GET, "/v1/repos/{repo}/configs/{*config}", Need::Fetch, Bound::Path),
    (Method::GET, "/v1/repos/{repo}/events", Need::Fetch, Bound::Query),
    (Method::GET, "/v1/repos/{repo}/socket", Need::Fetch, Bound::Query),
    (Method::GET, "/v1/repos/{repo}/fleet", Need::Read, Bound::All),
    (Method::GET, "/v1/repos/{repo}/propagation", Need::Read, Bound::Query),
    (Method::GET, "/v1/repos/{repo}/instances", Need::Read, Bound::All),
    (Method::GET, "/v1/repos/{repo}/instances/{instance}", Need::Read, Bound::All),
    (Method::PUT, "/v1/repos/{repo}/instances/{instance}", Need::Report, Bound::Handler),
    (Method::DELETE, "/v1/repos/{repo}/instances/{instance}", Need::End, Bound::Handler),
    (Method::GET, "/v1/repos/{repo}/commits", Need::Read, Bound::All),
    (Method::GET, "/v1/repos/{repo}/commits/{rev}", Need::Read, Bound::All),
    (Method::GET, "/v1/repos/{repo}/commits/{commit}/configs/{*config}", Need::Fetch, Bound::Path),
    (Method::GET, "/v1/repos/{repo}/commits/{commit}/files/{*path}", Need::Read, Bound::All),
    (Method::GET, "/v1/repos/{repo}/proposals/{commit}", Need::Read, Bound::All),
    (Method::GET, "/v1/repos/{repo}/diff", Need::Read, Bound::All),
    (Method::GET, "/v1/repos/{repo}/explain/{*config}", Need::Read, Bound::Path),
    // Judges what is sent, and changes nothing.
    (Method::POST, "/v1/repos/{repo}/checks", Need::Read, Bound::All),
    (Method::POST, "/v1/repos/{repo}/accept", Need::Order, Bound::All),
    (Method::GET, "/v1/repos/{repo}/holds", Need::Read, Bound::All),
    (Method::POST, "/v1/repos/{repo}/holds/{id}/release", Need::Order, Bound::All),
    (Method::GET, "/v1/repos/{repo}/rollbacks", Need::Read, Bound::All),
    (Method::POST, "/v1/repos/{repo}/rollbacks", Need::Order, Bound::All),
    (Method::GET, "/v1/repos/{repo}/rollbacks/plan", Need::Read, Bound::All),
    (Method::GET, "/v1/repos/{repo}/rollbacks/{id}", Need::Read, Bound::All),
    (Method::GET, "/v1/repos/{repo}/plan", Need::Read, Bound::All),
    (Method::GET, "/v1/repos/{repo}/rollouts", Need::Read, Bound::All),
    (Method::GET, "/v1/repos/{repo}/rollouts/{id}", Need::Read, Bound::All),
    (Method::POST, "/v1/repos/{repo}/rollouts/{id}/{order}", Need::Order, Bound::All),
    (Method::GET, "/v1/repos/{repo}/orders", Need::Read, Bound::All),
    (Method::GET, "/v1/repos/{repo}/orders/{id}", Need::Read, Bound::All),
    (Method::POST, "/v1/repos/{repo}/orders/{id}/confirm", Need::Order, Bound::All),
    (Method::POST, "/v1/repos/{repo}/orders/{id}/withdraw", Need::Order, Bound::All),
];

/// The addresses of the dashboard that are not what [`PAGES`] begins with.
const DOORS: &[Row] = &[
    (Method::GET, "/assets/{name}", Need::Nothing, Bound::Free),
    (Method::GET, "/login", Need::Nothing, Bound::Free),
    (Method::POST, "/login", Need::Nothing, Bound::Free),
    // What comes back from an issuer proves itself by what the browser kept.
    (Method::GET, "/login/{issuer}", Need::Nothing, Bound::Free),
    (
        Method::GET,
        "/login/{issuer}/callback",
        Need::Nothing,
        Bound::Free,
    ),
    (Method::POST, "/logout", Need::Nothing, Bound::Free),
    (Method::GET, "/", Need::Read, Bound::All),
    (Method::GET, "/sources", Need::Read, Bound::All),
];

/// What the addresses of pages begin with. A form asks the API, which looks again.
const PAGES: &str = "/repos/{repo}";

/// What a route needs; none, if it is nobody's.
pub(crate) fn need(method: &Method, route: &str) -> Option<(Need, Bound)> {
    // Whoever may read may ask whether there is something to read.
    let method = if method == Method::HEAD {
        &Method::GET
    } else {
        method
    };
    let mut rows = API.iter().chain(DOORS);
    if let Some((.., need, bound)) = rows.find(|(known, path, ..)| known == method && *path == route) {
        return Some((*need, *bound));
    }
    let is_page = route
        .strip_prefix(PAGES)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    match *method {
        Method::GET if is_page => Some((Need::Read, Bound::All)),
        Method::POST if is_page => Some((Need::Order, Bound::All)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_without_a_row_is_nobodys() {
        assert_eq!(need(&Method::GET, "/v1/secrets"), None);
        assert_eq!(need(&Method::DELETE, "/v1/repos"), None);
        assert_eq!(need(&Method::PUT, "/repos/{repo}"), None);
        assert_eq!(need(&Method::GET, "/repos/{repo}x"), None);
    }

    #[test]
    fn a_page_needs_what_the_answer_it_shows_needs() {
        let pages = API
            .iter()
            .filter_map(|(method, path, need, _)| Some((method, path.strip_prefix("/v1")?, need)));
        for (method, path, wanted) in pages.filter(|(_, path, _)| path.starts_with(PAGES)) {
            if *method == Method::POST && path.ends_with("/checks") {
                continue;
            }
            if let Some((need, _)) = need(method, path) {
                assert!(need.least() >= wanted.least(), "{method} {path}");
            }
        }
    }
}
