//! Who is let in now: the tokens of the file as it was read last, those of issuers, and the sessions of people with
//! browsers.
//!
//! Invariant: what is not in the file is not let in, from the next reading on, and everything that is open for its
//! holder ends with it. A file that cannot be read changes nothing: it is being replaced, or somebody made a mistake,
//! and neither is a reason to shut everybody out; it is said until it is mended.

use std::collections::HashMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::future::join_all;
use headwater_wire::Timestamp;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info};

use super::begun::Seal;
use super::entry::{self, TokensError};
use super::identity::Identity;
use super::issued::Issued;
use super::issuer::Issuer;
use super::jwt::{JwtRefused, Unproved};
use super::proxy::ProxyAuth;
use super::refused::Refused;
use super::role::Need;
use super::scope::CertificateNames;
use super::session::{By, Open, Session, session_of};
use super::token::{BearerToken, NotAToken, TokenDigest};
use crate::clock;
use crate::seldom::SeldomOf;
use crate::settings::{IssuerSettings, SESSION_MAX};
use crate::tls::Presented;

/// How often the file is looked at: a token that was taken back is refused within this time and a little more.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Sessions of browsers at once; the one that was used longest ago gives way.
const SESSIONS_MAX: usize = 10_000;

/// The tokens of a file, by digest, and what the file looked like.
#[derive(Debug, Default)]
struct Known {
    holders: HashMap<TokenDigest, Identity>,
    /// Which certificates stand for whom, in the order of the file.
    certificates: Vec<(CertificateNames, TokenDigest)>,
    seen: Option<Seen>,
}

/// What tells that a file has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    inode: (u64, u64),
    bytes: u64,
    changed: (i64, i64),
}

impl Seen {
    fn of(file: &Metadata) -> Self {
        Self {
            inode: (file.dev(), file.ino()),
            bytes: file.len(),
            changed: (file.mtime(), file.mtime_nsec()),
        }
    }
}

/// Who is let in.
#[derive(Debug)]
pub(crate) struct Gate {
    file: Option<PathBuf>,
    known: ArcSwap<Known>,
    pub(super) issuers: Vec<Issuer>,
    /// Who was let in by the word of an issuer.
    pub(super) issued: Issued,
    /// Logins that were begun at one.
    pub(super) seal: Seal,
    /// Why nobody was logged in by one, as far as it was said.
    pub(super) untaken: SeldomOf,
    /// Proxies whose word counts for whoever asks through them.
    pub(super) proxy: Option<ProxyAuth>,
    /// Who was let in by a certificate that ends then: what is open for it ends with it.
    shown: Mutex<HashMap<(TokenDigest, Timestamp), Identity>>,
    pub(super) sessions: Mutex<HashMap<TokenDigest, Open>>,
    /// For how long a session's proof is good enough for a grave order; none, for ever.
    pub(super) reauth_after: Mutex<Option<Duration>>,
}

impl Gate {
    /// Reads the file of tokens; without one, nobody is asked who he is.
    pub(crate) fn new(file: Option<&Path>) -> Result<Self, TokensError> {
        let gate = Self {
            file: file.map(Path::to_owned),
            known: ArcSwap::default(),
            issuers: Vec::new(),
            issued: Issued::default(),
            seal: Seal::default(),
            untaken: SeldomOf::default(),
            proxy: None,
            shown: Mutex::default(),
            sessions: Mutex::default(),
            reauth_after: Mutex::default(),
        };
        if let Some(file) = &gate.file {
            gate.read(file)?;
        }
        Ok(gate)
    }

    /// The same gate, which also takes the word of these issuers.
    ///
    /// # Errors
    /// What of their settings cannot be used, such as a file of certificate authorities.
    pub(crate) fn with_issuers(mut self, issuers: &[IssuerSettings]) -> Result<Self, String> {
        self.issuers = issuers.iter().map(Issuer::new).collect::<Result<_, _>>()?;
        Ok(self)
    }

    /// Whether nobody is asked who he is.
    pub(crate) fn stands_open(&self) -> bool {
        !self.takes_tokens() && self.proxy.is_none()
    }

    /// Whether there are tokens that let somebody in.
    pub(crate) fn takes_tokens(&self) -> bool {
        self.file.is_some() || !self.issuers.is_empty()
    }

    /// Whom a request comes from. What it says itself counts more than whose connection it came by: a token, then a
    /// session, then the certificate that the client has shown.
    pub(crate) async fn identify(
        &self,
        headers: &HeaderMap,
        presented: Option<&Presented>,
    ) -> Result<Identity, Refused> {
        let mut sent = headers.get_all(AUTHORIZATION).iter();
        match sent.next() {
            // Which of two counts is nobody's guess.
            Some(_) if sent.next().is_some() => Err(Refused::Form(NotAToken::Form)),
            Some(value) => {
                let text = value.to_str().unwrap_or_default();
                let (scheme, token) = text.split_once(' ').unwrap_or_default();
                if !scheme.eq_ignore_ascii_case("bearer") {
                    return Err(Refused::Form(NotAToken::Form));
                }
                self.bearer(token.trim()).await.map(|(_, identity)| identity)
            }
            None => {
                let now = clock::now();
                match (self.in_session(headers, now), presented) {
                    (Some(token), _) => self.holder(&token, now),
                    (None, Some(presented)) => self.shown(presented, now),
                    (None, None) => Err(Refused::Nobody),
                }
            }
        }
    }

    /// Whose a token is, and what it is known by.
    pub(super) async fn bearer(&self, text: &str) -> Result<(TokenDigest, Identity), Refused> {
        let is_issued = !self.issuers.is_empty() && text.contains('.');
        let digest = if is_issued {
            TokenDigest::of(text)
        } else {
            BearerToken::read(text).map_err(Refused::Form)?.digest()
        };
        let held = self.holder(&digest, clock::now());
        let identity = match held {
            Err(Refused::Unknown) if is_issued => self.issued(text, digest).await?,
            held => held?,
        };
        Ok((digest, identity))
    }

    /// Whose the token of an issuer is that was not sent before.
    async fn issued(&self, text: &str, digest: TokenDigest) -> Result<Identity, Refused> {
        let token = Unproved::read(text).map_err(Refused::Jwt)?;
        let mut issuers = self.issuers.iter();
        let issuer = issuers
            .find(|issuer| issuer.is_named(&token))
            .ok_or(Refused::Jwt(JwtRefused::Issuer))?;
        let identity = issuer.identify(&token, digest, &self.issued).await;
        let identity = identity.map_err(Refused::Jwt)?;
        if identity.has_expired(clock::now()) {
            return Err(Refused::Expired);
        }
        Ok(identity)
    }

    pub(super) fn holder(&self, digest: &TokenDigest, now: Timestamp) -> Result<Identity, Refused> {
        let known = self.known.load().holders.get(digest).cloned();
        let identity = known
            .or_else(|| self.issued.get(digest))
            .ok_or(Refused::Unknown)?;
        if identity.has_expired(now) {
            return Err(Refused::Expired);
        }
        Ok(identity)
    }

    /// Those of the file who are let in now.
    pub(super) fn holders(&self) -> Vec<Identity> {
        self.known.load().holders.values().cloned().collect()
    }

    /// Whom a certificate stands for: the first entry that is about one of its names. A connection may outlive it.
    fn shown(&self, presented: &Presented, now: Timestamp) -> Result<Identity, Refused> {
        if presented.expires() <= now {
            return Err(Refused::CertificateExpired);
        }
        let known = self.known.load();
        let mut certificates = known.certificates.iter();
        let (_, key) = certificates
            .find(|(names, _)| names.take(presented.names()))
            .ok_or(Refused::Certificate)?;
        let (key, end) = (*key, presented.expires());
        let whole = self.holder(&key, now)?;
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let known = shown
            .get(&(key, end))
            .filter(|known| !known.ended().is_cancelled());
        if let Some(known) = known {
            return Ok(known.clone());
        }
        let identity = whole.until(end);
        shown.insert((key, end), identity.clone());
        Ok(identity)
    }

    /// The token whose session the cookie is of.
    pub(super) fn in_session(&self, headers: &HeaderMap, now: Timestamp) -> Option<TokenDigest> {
        self.open_session(headers, now).map(|(_, token)| token)
    }

    /// What the session of a request is known by, and the token that it is of.
    pub(super) fn open_session(
        &self,
        headers: &HeaderMap,
        now: Timestamp,
    ) -> Option<(TokenDigest, TokenDigest)> {
        let cookie = session_of(headers)?;
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let open = sessions.get_mut(&cookie).filter(|open| open.until > now)?;
        open.used = now;
        Some((cookie, open.token))
    }

    /// Begins a session for the holder of a token, who has a browser.
    pub(crate) async fn log_in(&self, text: &str) -> Result<(Session, Identity), Refused> {
        let (token, identity) = self.bearer(text.trim()).await?;
        let now = clock::now();
        if !identity.role().may(Need::Read) || identity.scope().has_configs() {
            return Err(Refused::NoPages);
        }
        let longest = i64::try_from(SESSION_MAX.as_millis()).unwrap_or(i64::MAX);
        let until = Timestamp(now.0.saturating_add(longest));
        let session = self.begin_session((token, By::Token), (until, Some(now)))?;
        Ok((session, identity))
    }

    /// Begins a session for whoever is known by `token`, who has proved himself.
    pub(super) fn begin_session(
        &self,
        (token, by): (TokenDigest, By),
        (until, authenticated_at): (Timestamp, Option<Timestamp>),
    ) -> Result<Session, Refused> {
        let now = clock::now();
        let cookie = BearerToken::random().map_err(|_| Refused::Unknown)?;
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|_, open| open.until > now);
        if sessions.len() >= SESSIONS_MAX {
            let oldest = sessions.iter().min_by_key(|(_, open)| open.used);
            let oldest = oldest.map(|(cookie, _)| *cookie);
            oldest.and_then(|cookie| sessions.remove(&cookie));
        }
        sessions.insert(
            cookie.digest(),
            Open {
                token,
                by,
                until,
                used: now,
                // An issuer's clock may be ahead of ours; nobody proves himself later than now.
                authenticated_at: authenticated_at.map(|at| at.min(now)),
            },
        );
        let lasts = u64::try_from(until.0.saturating_sub(now.0)).unwrap_or_default();
        Ok(Session::new(cookie, Duration::from_millis(lasts)))
    }

    /// Ends the session of a request, if it has one.
    pub(crate) fn log_out(&self, headers: &HeaderMap) {
        if let Some(session) = session_of(headers) {
            self.end_session(&session);
        }
    }

    /// Ends a session; whoever logged in at an issuer is let in by nothing else, and all that is open for him ends too.
    pub(super) fn end_session(&self, session: &TokenDigest) {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(ended) = sessions.remove(session) else {
            return;
        };
        drop(sessions);
        let at = ended.authenticated_at.map(|at| at.0);
        debug!(authenticated_at_ms = at, "a session was ended");
        match ended.by {
            By::Token => {}
            By::Issuer => self.issued.end(&ended.token),
        }
    }

    /// Looks at the file, and asks issuers for their keys, until the service stops.
    pub(crate) async fn follow(&self, stop: CancellationToken) {
        let issuers = self.issuers.iter();
        let issuers = issuers.map(|issuer| issuer.follow(&self.issued, stop.clone()));
        tokio::join!(self.follow_file(stop.clone()), join_all(issuers));
    }

    async fn follow_file(&self, stop: CancellationToken) {
        let mut told = None;
        while stop
            .run_until_cancelled(tokio::time::sleep(LOOK_EVERY))
            .await
            .is_some()
        {
            let looked = self.file.as_ref().map_or(Ok(()), |file| self.look(file));
            match looked {
                Ok(()) => told = None,
                Err(failed) => {
                    let text = failed.to_string();
                    if told.as_ref() != Some(&text) {
                        error!(
                            hint = failed.hint(),
                            "{failed}; those who were let in before still are"
                        );
                        told = Some(text);
                    }
                }
            }
            self.end_expired(clock::now());
        }
    }

    /// Reads the file again if it has changed.
    fn look(&self, file: &Path) -> Result<(), TokensError> {
        let seen = std::fs::metadata(file).map(|file| Seen::of(&file)).ok();
        if seen.is_some() && self.known.load().seen == seen {
            return Ok(());
        }
        self.read(file)
    }

    fn read(&self, file: &Path) -> Result<(), TokensError> {
        // Looked at first: a change between the two is seen at the next look.
        let seen = std::fs::metadata(file).map(|file| Seen::of(&file)).ok();
        let entries = entry::read(file)?;
        let before = self.known.load_full();
        let mut certificates = Vec::new();
        let mut holders = HashMap::with_capacity(entries.len());
        for entry in entries {
            let Some(digest) = entry.key() else {
                continue;
            };
            certificates.extend(entry.certificates().map(|names| (names, digest)));
            let same = before.holders.get(&digest).filter(|known| known.is_of(&entry));
            let identity = if let Some(same) = same {
                same.clone()
            } else {
                let scope = entry.scope().unwrap_or_default();
                Identity::new(entry, scope, None)
            };
            holders.insert(digest, identity);
        }
        let ended: Vec<Identity> = before
            .holders
            .iter()
            .filter(|(digest, identity)| holders.get(*digest).is_none_or(|now| !now.is_same(identity)))
            .map(|(_, identity)| identity.clone())
            .collect();
        info!(tokens = holders.len(), ended = ended.len(), "read the tokens");
        self.known.store(Arc::new(Known {
            holders,
            certificates,
            seen,
        }));
        for identity in ended {
            identity.ended().cancel();
        }
        Ok(())
    }

    fn end_expired(&self, now: Timestamp) {
        self.issued.end_expired(now);
        if let Some(proxy) = &self.proxy {
            proxy.end_expired(now);
        }
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.retain(|_, identity| {
            if identity.has_expired(now) {
                identity.ended().cancel();
            }
            identity.is_in_use() && !identity.ended().is_cancelled()
        });
        drop(shown);
        for identity in self.known.load().holders.values() {
            if identity.has_expired(now) && !identity.ended().is_cancelled() {
                info!(
                    token = identity.name(),
                    "the token `{}` has expired",
                    identity.name()
                );
                identity.ended().cancel();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use http::HeaderValue;
    use http::header::COOKIE;

    use super::super::entry::Entry;
    use super::super::role::Role;
    use super::super::session::Secure;
    use super::*;

    fn wish(name: &str, expires: Option<Timestamp>) -> Entry {
        Entry {
            name: name.to_owned(),
            role: Role::Reader,
            digest: String::new(),
            san: Vec::new(),
            created: None,
            expires,
            repos: Vec::new(),
            configs: Vec::new(),
            instances: Vec::new(),
            labels: BTreeMap::new(),
        }
    }

    fn bearing(text: &str) -> HeaderMap {
        [(
            AUTHORIZATION,
            HeaderValue::from_str(&format!("Bearer {text}")).unwrap(),
        )]
        .into_iter()
        .collect()
    }

    #[tokio::test]
    async fn a_token_is_let_in_until_it_is_taken_back_and_what_is_open_for_it_ends() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tokens.toml");
        let kept = entry::create(&file, wish("kept", None)).unwrap();
        let taken = entry::create(&file, wish("taken", None)).unwrap();
        let gate = Gate::new(Some(&file)).unwrap();
        let (kept_open, open) = (
            gate.identify(&bearing(kept.expose()), None).await.unwrap(),
            gate.identify(&bearing(taken.expose()), None).await.unwrap(),
        );
        assert_eq!(open.name(), "taken");
        entry::revoke(&file, "taken").unwrap();
        gate.look(&file).unwrap();
        assert!(open.ended().is_cancelled() && !kept_open.ended().is_cancelled());
        assert_eq!(
            gate.identify(&bearing(taken.expose()), None).await.unwrap_err(),
            Refused::Unknown
        );
        assert!(gate.identify(&bearing(kept.expose()), None).await.is_ok());
    }

    #[tokio::test]
    async fn a_file_with_a_mistake_shuts_nobody_out_and_lets_nobody_in() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tokens.toml");
        let token = entry::create(&file, wish("kept", None)).unwrap();
        let gate = Gate::new(Some(&file)).unwrap();
        std::fs::write(&file, "[[token]]\nname = 7\n").unwrap();
        assert!(gate.look(&file).is_err());
        assert!(gate.identify(&bearing(token.expose()), None).await.is_ok());
        assert!(
            Gate::new(Some(&file)).is_err(),
            "a service does not start with it"
        );
    }

    #[tokio::test]
    async fn an_expired_token_is_told_apart_from_an_unknown_one() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tokens.toml");
        let token = entry::create(&file, wish("old", Some(Timestamp(1)))).unwrap();
        let gate = Gate::new(Some(&file)).unwrap();
        assert_eq!(
            gate.identify(&bearing(token.expose()), None).await.unwrap_err(),
            Refused::Expired
        );
        let other = BearerToken::random().unwrap();
        assert_eq!(
            gate.identify(&bearing(other.expose()), None).await.unwrap_err(),
            Refused::Unknown
        );
        assert_eq!(
            gate.identify(&HeaderMap::new(), None).await.unwrap_err(),
            Refused::Nobody
        );
        assert_eq!(
            gate.identify(&bearing("hw_x"), None).await.unwrap_err(),
            Refused::Form(NotAToken::Form)
        );
    }

    #[tokio::test]
    async fn a_session_lasts_until_it_is_ended_or_its_token_is() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tokens.toml");
        let token = entry::create(&file, wish("person", None)).unwrap();
        let gate = Gate::new(Some(&file)).unwrap();
        let log_in = async || {
            let (session, _) = gate.log_in(token.expose()).await.unwrap();
            let cookie = session.cookie(Secure::Https);
            assert!(
                cookie.contains("HttpOnly")
                    && cookie.contains("SameSite=Strict")
                    && cookie.ends_with("Secure")
            );
            let pair = cookie.split(';').next().unwrap_or_default().to_owned();
            [(
                COOKIE,
                HeaderValue::from_str(&format!("theme=dark; {pair}")).unwrap(),
            )]
            .into_iter()
            .collect::<HeaderMap>()
        };
        let headers = log_in().await;
        assert_eq!(gate.identify(&headers, None).await.unwrap().name(), "person");
        gate.log_out(&headers);
        assert_eq!(gate.identify(&headers, None).await.unwrap_err(), Refused::Nobody);
        let headers = log_in().await;
        entry::revoke(&file, "person").unwrap();
        gate.look(&file).unwrap();
        assert_eq!(gate.identify(&headers, None).await.unwrap_err(), Refused::Unknown);
    }

    #[tokio::test]
    async fn a_certificate_is_whom_its_entry_says_and_a_token_counts_more() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tokens.toml");
        let entries = "[[certificate]]\nname = \"payments\"\nrole = \"reader\"\nsan = [\"URI:spiffe://prod/payments/*\"]\n";
        std::fs::write(&file, entries).unwrap();
        let token = entry::create(&file, wish("person", None)).unwrap();
        let gate = Gate::new(Some(&file)).unwrap();
        let forever = Timestamp(i64::MAX);
        let own = Presented::with(&["URI:spiffe://prod/payments/7"], forever);
        let other = Presented::with(&["URI:spiffe://prod/web/7"], forever);
        let nobody = HeaderMap::new();
        let open = gate.identify(&nobody, Some(&own)).await.unwrap();
        assert_eq!(open.name(), "payments");
        assert_eq!(
            gate.identify(&nobody, Some(&other)).await.unwrap_err(),
            Refused::Certificate
        );
        let old = Presented::with(&["URI:spiffe://prod/payments/7"], Timestamp(1));
        assert_eq!(
            gate.identify(&nobody, Some(&old)).await.unwrap_err(),
            Refused::CertificateExpired
        );
        // What is open for a certificate ends with it, and with nothing that another of the same entry has.
        let hour = Timestamp(clock::now().0 + 3_600_000);
        let soon = Presented::with(&["URI:spiffe://prod/payments/8"], hour);
        let ends = gate.identify(&nobody, Some(&soon)).await.unwrap();
        gate.end_expired(Timestamp(hour.0 - 1));
        assert!(!ends.ended().is_cancelled());
        gate.end_expired(hour);
        assert!(ends.ended().is_cancelled() && !open.ended().is_cancelled());
        let bearing_one = bearing(token.expose());
        assert_eq!(
            gate.identify(&bearing_one, Some(&own)).await.unwrap().name(),
            "person"
        );
        // A wrong token is not made good by a certificate.
        assert!(gate.identify(&bearing("hw_x"), Some(&own)).await.is_err());
        entry::revoke(&file, "payments").unwrap();
        gate.look(&file).unwrap();
        assert!(open.ended().is_cancelled());
        assert!(gate.identify(&nobody, Some(&own)).await.is_err());
    }
}
