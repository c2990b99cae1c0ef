//! How a person with a browser logs in at an issuer: sent there, come back with a code, known by the token for it.
//!
//! Invariant: a session begins only in the browser that began the login, once, by an answer of the issuer that it was begun
//! at, with a token made for this very login. It lasts as the settings say, not as the token does, and ends with the key
//! that signed the token. What is deliberately absent: pages (`dashboard::login_by`), and when somebody must prove himself
//! anew; [`Prove::Anew`] is how.

use headwater_wire::Timestamp;
use http::HeaderMap;
use tracing::{info, warn};

use super::begun::{Begun, Opened, Prove, is_same};
use super::gate::Gate;
use super::identity::Identity;
use super::issuer::Issuer;
use super::jwt::{JwtRefused, Unproved};
use super::provider::NoUse;
use super::refused::Refused;
use super::role::Need;
use super::session::{By, Session};
use super::token::{BearerToken, TokenDigest};
use crate::clock;
use crate::outcall::quoted;

/// Longest code that is taken, in bytes.
const CODE_BYTES_MAX: usize = 8 << 10;

/// A login that goes on at the issuer.
pub(crate) struct Sent {
    /// Where the browser goes.
    pub address: String,
    /// What it keeps until it comes back.
    pub sealed: String,
}

/// A login that is done.
pub(crate) struct Done {
    /// The session.
    pub session: Session,
    /// Who it is.
    pub identity: Identity,
    /// The page to go on to.
    pub next: String,
}

/// Why nobody is logged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LoginRefused {
    /// There is no such issuer to log in at.
    Unknown,
    /// This browser has begun no login, or this process knows of none.
    NotBegun,
    /// It took too long.
    Late,
    /// It is an answer to another login.
    OtherLogin,
    /// It is the answer of another issuer.
    OtherIssuer,
    /// It was taken already.
    Again,
    /// The issuer says no, in a word of the protocol.
    Denied(String),
    /// It sent no code.
    NoCode,
    /// It cannot be asked, or does not take the code.
    Issuer(NoUse),
    /// Whoever it is, is not let in.
    Refused(Refused),
    /// Somebody else than who was to prove himself anew.
    SomebodyElse,
}

impl LoginRefused {
    /// Whether the browser has nothing to come back with any more.
    pub(crate) fn is_over(&self) -> bool {
        !matches!(self, Self::OtherLogin | Self::Unknown)
    }
}

impl Gate {
    /// The names of the issuers at which people log in.
    pub(crate) fn logins(&self) -> impl Iterator<Item = &str> {
        let issuers = self.issuers.iter();
        issuers
            .filter(|issuer| issuer.provider().is_some())
            .map(Issuer::settings_name)
    }

    fn login_at(&self, name: &str) -> Result<&Issuer, LoginRefused> {
        let mut issuers = self.issuers.iter();
        issuers
            .find(|issuer| issuer.settings_name() == name && issuer.provider().is_some())
            .ok_or(LoginRefused::Unknown)
    }

    /// Begins a login at an issuer. Where somebody in a session proves himself anew, the session that comes of it takes its
    /// place, and is for nobody else.
    pub(crate) async fn begin_login(
        &self,
        (issuer, next): (&str, &str),
        prove: Prove,
        headers: &HeaderMap,
    ) -> Result<Sent, LoginRefused> {
        let at = self.login_at(issuer)?;
        let provider = at.provider().ok_or(LoginRefused::Unknown)?;
        let unspecified = |_| LoginRefused::NotBegun;
        let mut begun = Begun::new(issuer, next, (prove, clock::now())).map_err(unspecified)?;
        if prove == Prove::Anew {
            begun.again = self.session_to_renew(headers);
        }
        let address = provider.address(&begun).await;
        let address = address.map_err(|no_use| self.told(issuer, LoginRefused::Issuer(no_use)))?;
        let sealed = self.seal.close(&begun).map_err(unspecified)?;
        Ok(Sent { address, sealed })
    }

    /// Who is in the session of a request, and what that is known by.
    fn session_to_renew(&self, headers: &HeaderMap) -> Option<(String, String)> {
        let now = clock::now();
        let (session, token) = self.open_session(headers, now)?;
        let identity = self.holder(&token, now).ok()?;
        Some((identity.name().to_owned(), session.to_string()))
    }

    /// Takes the answer of an issuer, which a browser brings with what it kept.
    pub(crate) async fn finish_login(
        &self,
        issuer: &str,
        sealed: Option<&str>,
        answer: &[u8],
    ) -> Result<Done, LoginRefused> {
        let done = self.take_answer(issuer, sealed, &Answer::read(answer)).await;
        match done {
            Ok(done) => {
                let name = done.identity.name();
                info!(token = name, issuer, "`{name}` has logged in by `{issuer}`");
                Ok(done)
            }
            Err(refused) => Err(self.told(issuer, refused)),
        }
    }

    /// A line for whoever runs the service, where he can do something about it. What strangers cause at will is told once in a
    /// while.
    fn told(&self, issuer: &str, refused: LoginRefused) -> LoginRefused {
        let hint = "look at `[issuer.NAME]`, and at what the provider has for this client: its redirect URI, its secret, its claims";
        let why = match &refused {
            LoginRefused::Issuer(NoUse::Silent(why) | NoUse::Refuses(why)) => why.clone(),
            LoginRefused::Issuer(NoUse::Busy) => "too many log in at once".to_owned(),
            LoginRefused::Denied(error) => format!("it answers `{error}`"),
            LoginRefused::Refused(refused) => refused.to_string(),
            LoginRefused::OtherIssuer => "the answer is of another issuer".to_owned(),
            LoginRefused::Unknown
            | LoginRefused::NotBegun
            | LoginRefused::Late
            | LoginRefused::OtherLogin
            | LoginRefused::Again
            | LoginRefused::NoCode
            | LoginRefused::SomebodyElse => return refused,
        };
        if self.untaken.is_due(&why) {
            warn!(hint, issuer, "nobody is logged in by `{issuer}`: {why}");
        }
        refused
    }

    async fn take_answer(
        &self,
        issuer: &str,
        sealed: Option<&str>,
        answer: &Answer,
    ) -> Result<Done, LoginRefused> {
        let at = self.login_at(issuer)?;
        let provider = at.provider().ok_or(LoginRefused::Unknown)?;
        let now = clock::now();
        let begun = match self.seal.open(sealed.ok_or(LoginRefused::NotBegun)?, now) {
            Opened::Good(begun) => begun,
            Opened::Late => return Err(LoginRefused::Late),
            Opened::None => return Err(LoginRefused::NotBegun),
        };
        let is_answer = answer
            .one("state")
            .is_some_and(|state| is_same(state, &begun.state));
        if !is_answer {
            return Err(LoginRefused::OtherLogin);
        }
        if !self.seal.take(&begun, now) {
            return Err(LoginRefused::Again);
        }
        let is_issuers = begun.issuer == issuer && answer.is_whole();
        if !is_issuers
            || !provider
                .answers_as(answer.one("iss"))
                .await
                .map_err(LoginRefused::Issuer)?
        {
            return Err(LoginRefused::OtherIssuer);
        }
        if let Some(error) = answer.one("error") {
            return Err(LoginRefused::Denied(quoted(error)));
        }
        let code = answer.one("code").filter(|code| code.len() <= CODE_BYTES_MAX);
        let code = code.ok_or(LoginRefused::NoCode)?;
        let token = provider
            .exchange(code, &begun)
            .await
            .map_err(LoginRefused::Issuer)?;
        self.begin_by(at, &token, &begun).await
    }

    async fn begin_by(&self, at: &Issuer, token: &str, begun: &Begun) -> Result<Done, LoginRefused> {
        let jwt = |refused| LoginRefused::Refused(Refused::Jwt(refused));
        let token = Unproved::read(token).map_err(jwt)?;
        if !at.is_named(&token) {
            return Err(jwt(JwtRefused::Issuer));
        }
        let known_by = BearerToken::random()
            .map_err(|_| LoginRefused::NotBegun)?
            .digest();
        let who = at.identify_login(&token, begun, known_by, &self.issued).await;
        let (identity, authenticated_at) = who.map_err(jwt)?;
        let is_for_pages = identity.role().may(Need::Read) && !identity.scope().has_configs();
        let is_expected = begun
            .again
            .as_ref()
            .is_none_or(|(name, _)| name == identity.name());
        if !is_for_pages || !is_expected {
            self.issued.end(&known_by);
            return Err(if is_expected {
                LoginRefused::Refused(Refused::NoPages)
            } else {
                LoginRefused::SomebodyElse
            });
        }
        let until = identity.expires().unwrap_or(Timestamp(i64::MAX));
        let session = self.begin_session((known_by, By::Issuer), (until, authenticated_at));
        let session = session.map_err(LoginRefused::Refused)?;
        let before = begun
            .again
            .as_ref()
            .and_then(|(_, before)| TokenDigest::read(before));
        if let Some(before) = before {
            self.end_session(&before);
        }
        Ok(Done {
            session,
            identity,
            next: begun.next.clone(),
        })
    }
}

/// What a browser brings from an issuer.
struct Answer(Vec<(String, String)>);

impl Answer {
    fn read(query: &[u8]) -> Self {
        Self(form_urlencoded::parse(query).into_owned().collect())
    }

    /// Whether each part is there once at most, as the protocol has it (RFC 6749, 3.1).
    fn is_whole(&self) -> bool {
        let parts = ["state", "iss", "code", "error"];
        parts
            .iter()
            .all(|part| self.0.iter().filter(|(name, _)| name == part).count() <= 1)
    }

    /// A part of it that is there and not empty.
    fn one(&self, part: &str) -> Option<&str> {
        let mut parts = self.0.iter();
        let found = parts.find(|(name, _)| name == part);
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }
}
