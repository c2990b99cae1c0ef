//! Proving once more who one is: what somebody in a session is asked before an order that is grave.
//!
//! Invariant: a session alone, which is a browser that somebody may have left open, turns back, stops for good or gives
//! up nothing once its proof is old, neither by a form nor by the API. What carries a token or shows a certificate with
//! each request proves it each time, and is not asked.

use std::sync::PoisonError;
use std::time::Duration;

use headwater_wire::Timestamp;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Method};

use super::gate::Gate;
use super::refused::Refused;
use super::session::{By, session_of};
use crate::clock;

/// A proof at an issuer holds at least for so long: to come back from there, read the form and send it.
const AT_ISSUER: Duration = Duration::from_mins(2);

/// How somebody in a session proves again who he is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Again {
    /// By a token of his name.
    Token,
    /// At the issuer of that name, where he logged in.
    Issuer(String),
}

/// Somebody has just proved who he is. It goes with a request inside the process; nothing that comes in has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Proved(());

/// Why a proof is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotProved {
    /// It lets nobody in.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// It is of somebody else.
    #[error("the token is of `{token}`, and `{session}` has logged in: an order is of who has logged in")]
    Another {
        /// Whose token it is.
        token: String,
        /// Whose session it is.
        session: String,
    },
}

/// Whether an order needs a proof that is not old: what is grave, and cannot simply be undone.
pub(crate) fn is_grave(method: &Method, route: &str, order: Option<&str>) -> bool {
    let route = route.strip_prefix("/v1").unwrap_or(route);
    method == Method::POST
        && match route {
            // To confirm is as grave as what is confirmed, and which that is does not stand in the address.
            "/repos/{repo}/rollbacks" | "/repos/{repo}/accept" | "/repos/{repo}/orders/{id}/confirm" => true,
            "/repos/{repo}/rollouts/{id}/{order}" => order == Some("abort"),
            _ => false,
        }
}

impl Gate {
    /// For how long a proof holds from now on.
    pub(crate) fn ask_again_after(&self, after: Option<Duration>) {
        *self.reauth_after.lock().unwrap_or_else(PoisonError::into_inner) = after;
    }

    /// Whether who asks must prove again who he is before a grave order, and how.
    pub(crate) fn asks_again(&self, headers: &HeaderMap) -> Option<Again> {
        self.asks_again_at(headers, clock::now())
    }

    fn asks_again_at(&self, headers: &HeaderMap, now: Timestamp) -> Option<Again> {
        let after = (*self.reauth_after.lock().unwrap_or_else(PoisonError::into_inner))?;
        // A token counts more than a session, as for whom the request is from.
        if self.stands_open() || headers.contains_key(AUTHORIZATION) {
            return None;
        }
        let session = session_of(headers)?;
        let sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let open = sessions.get(&session).filter(|open| open.until > now)?.clone();
        drop(sessions);
        let after = match open.by {
            By::Token => after,
            By::Issuer => after.max(AT_ISSUER),
        };
        let after = i64::try_from(after.as_millis()).unwrap_or(i64::MAX);
        // A clock that was set back makes no proof younger than it is; one of which nobody knows the age is old.
        let is_fresh = |proved: Timestamp| proved <= now && now.0.saturating_sub(proved.0) < after;
        if open.authenticated_at.is_some_and(is_fresh) {
            return None;
        }
        match open.by {
            By::Token => Some(Again::Token),
            By::Issuer => {
                let holder = self.holder(&open.token, now).ok()?;
                holder
                    .voucher()
                    .map(|voucher| Again::Issuer(voucher.issuer.clone()))
            }
        }
    }

    /// Takes a token as the proof of who has logged in, and notes when.
    pub(crate) async fn prove(&self, headers: &HeaderMap, text: &str) -> Result<Proved, NotProved> {
        let of_session = self.identify(headers, None).await?;
        let (_, of_token) = self.bearer(text.trim()).await?;
        if of_token.name() != of_session.name() {
            return Err(NotProved::Another {
                token: of_token.name().to_owned(),
                session: of_session.name().to_owned(),
            });
        }
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let open = session_of(headers).and_then(|session| sessions.get_mut(&session));
        open.ok_or(Refused::Nobody)?.authenticated_at = Some(clock::now());
        drop(sessions);
        tracing::info!(
            token = of_session.name(),
            "`{}` has proved again who he is",
            of_session.name()
        );
        Ok(Proved(()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use http::HeaderValue;
    use http::header::COOKIE;

    use super::super::entry::{self, Entry};
    use super::super::role::Role;
    use super::super::session::Secure;
    use super::*;

    fn entry(name: &str) -> Entry {
        Entry {
            name: name.to_owned(),
            role: Role::Operator,
            digest: String::new(),
            san: Vec::new(),
            created: None,
            expires: None,
            repos: Vec::new(),
            configs: Vec::new(),
            instances: Vec::new(),
            labels: BTreeMap::new(),
        }
    }

    #[tokio::test]
    async fn a_proof_grows_old_and_is_renewed_by_a_token_of_the_same_name_alone() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tokens.toml");
        let ann = entry::create(&file, entry("ann")).unwrap();
        let bob = entry::create(&file, entry("bob")).unwrap();
        let gate = Gate::new(Some(&file)).unwrap();
        gate.ask_again_after(Some(Duration::from_mins(15)));
        let (session, _) = gate.log_in(ann.expose()).await.unwrap();
        let cookie = session.cookie(Secure::ClearText);
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, cookie.split(';').next().unwrap().parse().unwrap());
        let now = clock::now();
        let at = |minutes: i64| Timestamp(now.0 + minutes * 60_000);
        assert_eq!(gate.asks_again_at(&headers, at(14)), None);
        assert_eq!(gate.asks_again_at(&headers, at(16)), Some(Again::Token));
        assert_eq!(gate.asks_again_at(&headers, at(-1)), Some(Again::Token));
        assert_eq!(gate.asks_again_at(&HeaderMap::new(), at(16)), None);
        let mut with_token = headers.clone();
        with_token.insert(AUTHORIZATION, HeaderValue::from_static("Bearer x"));
        assert_eq!(gate.asks_again_at(&with_token, at(16)), None);

        let others = gate.prove(&headers, bob.expose()).await.unwrap_err();
        insta::assert_snapshot!(others, @"the token is of `bob`, and `ann` has logged in: an order is of who has logged in");
        gate.ask_again_after(Some(Duration::ZERO));
        assert_eq!(gate.asks_again(&headers), Some(Again::Token));
        gate.prove(&headers, ann.expose()).await.unwrap();
        gate.ask_again_after(None);
        assert_eq!(gate.asks_again_at(&headers, at(60)), None);
    }

    #[test]
    fn what_is_grave_needs_a_proof_and_what_only_waits_or_goes_on_does_not() {
        let grave = |route: &str, order| is_grave(&Method::POST, route, order);
        for prefix in ["", "/v1"] {
            assert!(grave(&format!("{prefix}/repos/{{repo}}/rollbacks"), None));
            assert!(grave(&format!("{prefix}/repos/{{repo}}/accept"), None));
            assert!(grave(
                &format!("{prefix}/repos/{{repo}}/orders/{{id}}/confirm"),
                None
            ));
            assert!(!grave(
                &format!("{prefix}/repos/{{repo}}/orders/{{id}}/withdraw"),
                None
            ));
            let order = format!("{prefix}/repos/{{repo}}/rollouts/{{id}}/{{order}}");
            assert!(grave(&order, Some("abort")) && !grave(&order, Some("pause")));
        }
        assert!(!grave("/v1/repos/{repo}/holds/{id}/release", None));
        assert!(!is_grave(&Method::GET, "/v1/repos/{repo}/rollbacks", None));
    }
}
