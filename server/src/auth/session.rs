//! Sessions of people with browsers: the cookie, and what is kept of one.
//!
//! Invariant: what is kept is the digest of a cookie; its value exists where it is made and where it comes in.

use std::time::Duration;

use headwater_wire::Timestamp;
use http::HeaderMap;
use http::header::COOKIE;

use super::token::{BearerToken, TokenDigest};

/// Name of the cookie of a session.
pub(crate) const SESSION_COOKIE: &str = "headwater_session";

/// Value of the cookie of a new session.
#[derive(Debug)]
pub(crate) struct Session {
    cookie: BearerToken,
    /// How long the browser keeps it.
    lasts: Duration,
}

/// How a browser reaches the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Secure {
    /// Encrypted.
    Https,
    /// Not, as on this machine.
    #[default]
    ClearText,
}

/// Whom a session is of, and what else lets him in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// The holder of a token, which goes on when the session ends.
    Token,
    /// Who logged in at an issuer, and is let in by nothing but the session.
    Issuer,
}

/// A session that is open.
#[derive(Debug, Clone)]
pub(super) struct Open {
    /// What its holder is known by.
    pub token: TokenDigest,
    /// What else lets him in.
    pub by: By,
    /// When it ends.
    pub until: Timestamp,
    /// When something was asked in it last.
    pub used: Timestamp,
    /// When the person last proved himself; none, where an issuer that vouches for him does not say.
    pub authenticated_at: Option<Timestamp>,
}

impl Session {
    /// Of a cookie that the browser keeps for so long.
    pub(super) fn new(cookie: BearerToken, lasts: Duration) -> Self {
        Self { cookie, lasts }
    }

    /// The cookie, for as long as the session lasts. It is not sent with anything that another site begins.
    pub(crate) fn cookie(&self, is_secure: Secure) -> String {
        let secure = match is_secure {
            Secure::Https => "; Secure",
            Secure::ClearText => "",
        };
        let seconds = self.lasts.as_secs();
        format!(
            "{SESSION_COOKIE}={}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}",
            self.cookie.expose()
        )
    }

    /// The cookie that ends one.
    pub(crate) fn farewell() -> String {
        format!("{SESSION_COOKIE}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0")
    }
}

/// What a session is known by, if a request has one; whether it still is one is not looked at.
pub(crate) fn session_of(headers: &HeaderMap) -> Option<TokenDigest> {
    let text = cookie(headers, SESSION_COOKIE)?;
    BearerToken::read(text).ok().map(|cookie| cookie.digest())
}

/// The first cookie of a name.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, wanted: &str) -> Option<&'a str> {
    let sent = headers.get_all(COOKIE).iter();
    let sent = sent.filter_map(|value| value.to_str().ok());
    let mut pairs = sent
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == wanted).map(|(_, value)| value)
}
