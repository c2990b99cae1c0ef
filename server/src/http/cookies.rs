//! How cookies are called on the way: under names that only this very host can set, where it is reached by https.
//!
//! Invariant: where the settings say that browsers come by https, a cookie of ours goes out as `__Host-…` with `Secure`, and one
//! under its plain name is none: a page of a neighbouring name, or whoever answers in its place without encryption, could have
//! set it. Inside of this layer, cookies have their plain names alone.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue};

use super::door::Door;
use super::state::App;
use crate::auth::{SESSION_COOKIE, Secure};
use crate::dashboard::{FORM_COOKIE, LOGIN_COOKIE};

/// What browsers keep to one host (RFC 6265bis).
const PREFIX: &str = "__Host-";
/// Cookies of this service.
const OURS: [&str; 3] = [SESSION_COOKIE, FORM_COOKIE, LOGIN_COOKIE];

/// A layer round all routes.
pub(super) async fn rename(
    State((app, door)): State<(App, Door)>,
    mut request: Request,
    next: Next,
) -> Response {
    match app.hosts().reached(door) {
        Secure::ClearText => next.run(request).await,
        Secure::Https => {
            inward(request.headers_mut());
            let mut response = next.run(request).await;
            outward(response.headers_mut());
            response
        }
    }
}

fn inward(headers: &mut HeaderMap) {
    let sent: Vec<HeaderValue> = headers.get_all(COOKIE).iter().cloned().collect();
    headers.remove(COOKIE);
    for value in sent {
        let Ok(pairs) = value.to_str() else { continue };
        let pairs = pairs.split(';').map(str::trim);
        let pairs: Vec<&str> = pairs
            .filter(|pair| !is_ours(pair))
            .map(|pair| {
                pair.strip_prefix(PREFIX)
                    .filter(|bare| is_ours(bare))
                    .unwrap_or(pair)
            })
            .collect();
        if let Ok(value) = HeaderValue::from_str(&pairs.join("; ")) {
            headers.append(COOKIE, value);
        }
    }
}

fn outward(headers: &mut HeaderMap) {
    let set: Vec<HeaderValue> = headers.get_all(SET_COOKIE).iter().cloned().collect();
    headers.remove(SET_COOKIE);
    for value in set {
        let renamed = value.to_str().ok().filter(|cookie| is_ours(cookie));
        let renamed = renamed.map(|cookie| {
            let bare = cookie.strip_suffix("; Secure").unwrap_or(cookie);
            format!("{PREFIX}{bare}; Secure")
        });
        let renamed = renamed.and_then(|cookie| HeaderValue::from_str(&cookie).ok());
        headers.append(SET_COOKIE, renamed.unwrap_or(value));
    }
}

fn is_ours(pair: &str) -> bool {
    let name = pair.split('=').next().unwrap_or_default().trim();
    OURS.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_of_ours_comes_in_under_its_guarded_name_alone() {
        let mut headers = HeaderMap::new();
        let sent = "theme=dark; headwater_session=tossed; __Host-headwater_session=own; __Host-other=1";
        headers.insert(COOKIE, sent.parse().unwrap());
        inward(&mut headers);
        assert_eq!(
            headers[COOKIE],
            "theme=dark; headwater_session=own; __Host-other=1"
        );
    }

    #[test]
    fn a_cookie_of_ours_goes_out_under_its_guarded_name_and_encrypted() {
        let mut headers = HeaderMap::new();
        for set in [
            "headwater_session=a; Path=/; Secure",
            "headwater-form=b; Path=/",
            "other=c",
        ] {
            headers.append(SET_COOKIE, set.parse().unwrap());
        }
        outward(&mut headers);
        let all: Vec<_> = headers.get_all(SET_COOKIE).iter().collect();
        assert_eq!(
            all,
            [
                "__Host-headwater_session=a; Path=/; Secure",
                "__Host-headwater-form=b; Path=/; Secure",
                "other=c"
            ]
        );
    }
}
