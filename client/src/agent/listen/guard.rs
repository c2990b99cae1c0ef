//! Who may ask: programs, not web pages.
//!
//! Invariant: a page that made its own name resolve to this machine sends that name as `Host`, and a page that sends a
//! request across origins says so in `Origin`; both are refused.

use std::net::{IpAddr, SocketAddr};

use http::header::{HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, HeaderName};

use super::answer::Trouble;

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Lets a request through, or says what is wrong with it.
pub(super) fn check(headers: &HeaderMap, addr: Option<SocketAddr>) -> Result<(), Trouble> {
    let mut hosts = headers.get_all(HOST).iter();
    let host = hosts.next().and_then(|host| host.to_str().ok());
    let is_ours = host.is_some_and(|host| is_here(host, addr)) && hosts.next().is_none();
    if !is_ours {
        return Err(Trouble::Host);
    }
    let origin = headers
        .get(ORIGIN)
        .map(|origin| origin.to_str().unwrap_or_default());
    let is_ours = |origin: &str| {
        origin
            .split_once("://")
            .is_some_and(|(_, authority)| is_here(authority, addr))
    };
    let site = headers
        .get(FETCH_SITE)
        .map_or("none", |site| site.to_str().unwrap_or_default());
    if origin.is_some_and(|origin| !is_ours(origin)) || !matches!(site, "none" | "same-origin") {
        return Err(Trouble::Origin);
    }
    Ok(())
}

/// Whether a `HOST[:PORT]` is this machine, by a name that no other machine can take.
fn is_here(text: &str, addr: Option<SocketAddr>) -> bool {
    let Ok(authority) = text.parse::<Authority>() else {
        return false;
    };
    let host = authority.host();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<IpAddr>() {
        Ok(ip) => ip.is_loopback() || addr.is_some_and(|addr| addr.ip() == ip || addr.ip().is_unspecified()),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(pairs: &[(HeaderName, &str)]) -> Result<(), Trouble> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, value.parse().unwrap());
        }
        check(&headers, Some("127.0.0.1:7172".parse().unwrap()))
    }

    #[test]
    fn names_of_this_machine_are_let_in() {
        for host in [
            "127.0.0.1:7172",
            "localhost",
            "LOCALHOST:1",
            "[::1]:7172",
            "127.1.2.3",
        ] {
            assert!(verdict(&[(HOST, host)]).is_ok(), "{host}");
        }
    }

    #[test]
    fn a_name_that_was_made_to_resolve_here_is_refused() {
        for host in [
            "evil.example",
            "evil.example:7172",
            "localhost.evil.example",
            "10.0.0.1",
            "",
            "a b",
        ] {
            assert!(matches!(verdict(&[(HOST, host)]), Err(Trouble::Host)), "{host}");
        }
        assert!(matches!(verdict(&[]), Err(Trouble::Host)));
        let twice = [(HOST, "localhost"), (HOST, "evil.example")];
        assert!(matches!(verdict(&twice), Err(Trouble::Host)));
    }

    #[test]
    fn a_page_of_another_origin_is_refused() {
        for origin in ["https://evil.example", "null", "http://127.0.0.1.evil.example"] {
            let headers = [(HOST, "127.0.0.1:7172"), (ORIGIN, origin)];
            assert!(matches!(verdict(&headers), Err(Trouble::Origin)), "{origin}");
        }
        let headers = [(HOST, "127.0.0.1:7172"), (FETCH_SITE, "cross-site")];
        assert!(matches!(verdict(&headers), Err(Trouble::Origin)));
        let headers = [(HOST, "127.0.0.1:7172"), (ORIGIN, "http://localhost:7172")];
        assert!(verdict(&headers).is_ok());
    }
}
