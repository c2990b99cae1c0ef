//! The first page: of the only repository, or the list of them; and a word to programs.

use axum::response::{IntoResponse, Redirect, Response};
use headwater_wire::RepoName;
use http::HeaderMap;

use super::accept::reads_pages;
use super::asked::Links;

/// What a program is told that opens the address.
const WORDS: &str = "Headwater serves configuration from Git.\n\n\
     GET /v1/repos                                    what is followed, and how it is\n\
     GET /v1/repos/{repo}/configs                     the configs of the newest admitted commit\n\
     GET /v1/repos/{repo}/configs/{config}            what to run now; ?wait=50 waits for the next change\n\
     GET /v1/repos/{repo}/events?config={config}      the same as a stream of events\n\
     GET /v1/repos/{repo}/commits                     who changed what, and what became of it\n\
     GET /livez, /readyz                              probes\n\
     GET /metrics                                     numbers for Prometheus\n\n\
     The dashboard is at /sources.\n";

/// `GET /`: a browser is sent to the dashboard.
pub(crate) fn index<'a>(headers: &HeaderMap, mut repos: impl Iterator<Item = &'a RepoName>) -> Response {
    if !reads_pages(headers) {
        return WORDS.into_response();
    }
    match (repos.next(), repos.next()) {
        (Some(only), None) => Redirect::to(&Links::to(only).root().into_text()).into_response(),
        (_, _) => Redirect::to("/sources").into_response(),
    }
}
