//! What ties a form to the browser that it was given to: a value that is in the form and in a cookie.
//!
//! Invariant: a form is taken only with both, and both the same. Another site can neither read nor set them, so it can
//! send no form in the name of whoever looks at it, and cannot log him in as somebody else.

use axum::response::Response;
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue};

use crate::auth::cookie;

/// Cookie that a browser has to give back together with the form.
pub(crate) const FORM_COOKIE: &str = "headwater-form";

/// A value that nobody can guess.
pub(super) fn new_token() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// The value that the browser was given, if it is one of ours.
pub(super) fn token_of(headers: &HeaderMap) -> Option<String> {
    let found = cookie(headers, FORM_COOKIE)?;
    let is_ours = found.len() == 32 && found.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_ours.then(|| found.to_owned())
}

/// Whether the form that was sent is one that this browser was given.
pub(super) fn is_kept(headers: &HeaderMap, sent: Option<&str>) -> bool {
    let given = token_of(headers);
    given.is_some() && given.as_deref() == sent
}

/// Gives the browser the value, beside the page whose form has it.
pub(super) fn with_cookie(mut response: Response, token: &str) -> Response {
    let cookie = format!("{FORM_COOKIE}={token}; Path=/; SameSite=Strict; HttpOnly");
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

#[cfg(test)]
mod tests {
    use http::header::COOKIE;

    use super::*;

    fn of(cookies: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, cookies.parse().unwrap());
        headers
    }

    #[test]
    fn a_token_is_found_among_other_cookies_and_only_if_it_is_one_of_ours() {
        let token = new_token();
        let of = |cookies: &str| token_of(&of(cookies));
        assert_eq!(
            of(&format!("a=b; headwater-form={token}; c=d")),
            Some(token.clone())
        );
        assert_eq!(of(&format!("xheadwater-form={token}")), None);
        assert_eq!(of("headwater-form=; a=b"), None);
        assert_eq!(of("headwater-form=<script>"), None);
    }

    #[test]
    fn a_form_without_the_cookie_or_with_another_one_is_not_taken() {
        let token = new_token();
        let cookie = format!("headwater-form={token}");
        assert!(is_kept(&of(&cookie), Some(&token)));
        assert!(!is_kept(&of(&cookie), Some(&new_token())));
        assert!(!is_kept(&of(&cookie), None));
        assert!(!is_kept(&HeaderMap::new(), Some(&token)));
        assert!(!is_kept(&HeaderMap::new(), None));
    }
}
