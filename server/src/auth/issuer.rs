//! Somebody else who says who people and programs are: an OIDC provider, a CI, a cluster.
//!
//! Invariant: a token is taken only from an issuer of the settings, signed by a key that it has now, for this service,
//! for a bounded time, and for what a grant of the settings allows. Whoever sends tokens of unknown keys makes us ask the
//! issuer once in a while, and not once for each. What is deliberately absent: asking the issuer whether a single token was
//! taken back, which it can only be asked of tokens of other kinds; what its keys signed ends with the token's own time.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use headwater_wire::Timestamp;
use reqwest::Client;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::begun::{Begun, Prove, is_same};
use super::grant::Grant;
use super::identity::{Identity, Voucher};
use super::issued::Issued;
use super::jwt::{JwtRefused, Keys, Unproved};
use super::provider::{DISCOVERY, Provider};
use super::token::TokenDigest;
use crate::clock;
use crate::outcall::{self, Silence};
use crate::settings::{IssuerSettings, KeySource};
use crate::task;

/// How far the clock of an issuer may be from ours, in ms.
const LEEWAY_MS: i64 = 60_000;
/// Shortest time between two looks for a key that nobody knows.
const UNKNOWN_PAUSE: Duration = Duration::from_secs(30);
/// How often keys are fetched anyway: a key that was withdrawn lets nobody in after this time.
const FETCH_EVERY: Duration = Duration::from_mins(5);
/// The same for a file, and after a failure.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Keys are believed for so long where none can be fetched.
const KEEP: Duration = Duration::from_hours(6);
/// Longest time of one fetch; a request waits for it.
const DEADLINE: Duration = Duration::from_secs(5);
/// Largest file of keys, in bytes.
const FILE_BYTES_MAX: u64 = 64 << 10;
/// Longest name of somebody, in bytes.
const NAME_BYTES_MAX: usize = 200;

/// One issuer, and its keys as they were fetched last.
#[derive(Debug)]
pub(super) struct Issuer {
    settings: IssuerSettings,
    grants: Vec<Grant>,
    client: Client,
    provider: Option<Provider>,
    keys: ArcSwap<Keys>,
    /// When keys were fetched, and when somebody sent an unknown one that was looked for.
    fetched: Mutex<Fetched>,
}

#[derive(Debug, Default)]
struct Fetched {
    well: Option<Instant>,
    for_unknown: Option<Instant>,
}

/// Part of the document that says where an issuer's keys are (`OpenID` Connect Discovery 1.0).
#[derive(Deserialize)]
struct Discovered {
    issuer: String,
    jwks_uri: String,
}

impl Issuer {
    /// Of the settings, with no keys yet.
    pub(super) fn new(settings: &IssuerSettings) -> Result<Self, String> {
        let grants = settings.grants.iter().map(Grant::new).collect::<Result<_, _>>();
        let client = outcall::client(settings.ca_file.as_ref(), DEADLINE);
        let of = |why: String| format!("issuer `{}`: {why}", settings.name);
        let client = client.map_err(of)?;
        let login = settings.login.as_ref();
        Ok(Self {
            grants: grants.map_err(|error| of(error.to_string()))?,
            provider: login.map(|login| Provider::new(&settings.issuer, login, client.clone())),
            client,
            settings: settings.clone(),
            keys: ArcSwap::default(),
            fetched: Mutex::default(),
        })
    }

    /// Whether it is the one that a token names.
    pub(super) fn is_named(&self, token: &Unproved<'_>) -> bool {
        token.text("iss") == Some(&self.settings.issuer)
    }

    /// Its name in the settings.
    pub(super) fn settings_name(&self) -> &str {
        &self.settings.name
    }

    /// What it offers to people with browsers, if they log in at it.
    pub(super) fn provider(&self) -> Option<&Provider> {
        self.provider.as_ref()
    }

    /// Who sends a token, if it is true and lets him in; `sent` is its digest.
    pub(super) async fn identify(
        &self,
        token: &Unproved<'_>,
        sent: TokenDigest,
        issued: &Issued,
    ) -> Result<Identity, JwtRefused> {
        let key = self.signer(token, issued).await?;
        let audience = self.settings.audience.as_deref();
        let expires = self.holds(token, audience.ok_or(JwtRefused::Audience)?, clock::now())?;
        self.let_in(token, (sent, key, expires), issued)
    }

    /// Who has logged in by a token that was made for this login, for as long as a session lasts, and when he last proved
    /// himself, if that is known; `known_by` is what he is known by from now on.
    pub(super) async fn identify_login(
        &self,
        token: &Unproved<'_>,
        begun: &Begun,
        known_by: TokenDigest,
        issued: &Issued,
    ) -> Result<(Identity, Option<Timestamp>), JwtRefused> {
        let login = self.provider.as_ref().ok_or(JwtRefused::Audience)?.settings();
        let key = self.signer(token, issued).await?;
        let now = clock::now();
        if self.holds(token, &login.client_id, now)? <= now {
            return Err(JwtRefused::Lasting);
        }
        // Whom a token with several audiences was made for, it must say.
        let is_alone = match token.claims.get("aud") {
            Some(Value::Array(all)) => all.len() == 1,
            Some(_) | None => true,
        };
        let is_made_for_us = match token.claims.get("azp") {
            None => is_alone,
            Some(party) => party.as_str() == Some(&login.client_id),
        };
        if !is_made_for_us {
            return Err(JwtRefused::Audience);
        }
        if !token
            .text("nonce")
            .is_some_and(|nonce| is_same(nonce, &begun.nonce))
        {
            return Err(JwtRefused::Nonce);
        }
        let proved = token.claims.get("auth_time").and_then(seconds);
        let proved = proved.map(|proved| Timestamp(proved.min(now.0)));
        let is_anew = proved.is_some_and(|proved| proved.0 >= begun.at.0.saturating_sub(LEEWAY_MS));
        if begun.prove == Prove::Anew && !is_anew {
            return Err(JwtRefused::Old);
        }
        let longest = i64::try_from(login.session_max.as_millis()).unwrap_or(i64::MAX);
        let until = Timestamp(now.0.saturating_add(longest));
        let identity = self.let_in(token, (known_by, key, until), issued)?;
        Ok((identity, proved))
    }

    /// The key that has signed a token, looked for if nobody knows it yet.
    async fn signer(&self, token: &Unproved<'_>, issued: &Issued) -> Result<TokenDigest, JwtRefused> {
        if !self.settings.algorithms.contains(&token.algorithm) {
            return Err(JwtRefused::Algorithm);
        }
        let keys = self.keys.load_full();
        match keys.signer(token) {
            Err(JwtRefused::Key) if self.look_for_unknown(&keys, issued).await => {
                self.keys.load().signer(token)
            }
            known => known,
        }
    }

    /// Lets in whom a true token is of, for what the first grant says that fits.
    fn let_in(
        &self,
        token: &Unproved<'_>,
        (sent, key, expires): (TokenDigest, TokenDigest, Timestamp),
        issued: &Issued,
    ) -> Result<Identity, JwtRefused> {
        let name = self.name(token)?;
        let mut grants = self.grants.iter();
        let grant = grants.find(|grant| grant.takes(&token.claims));
        let grant = grant.ok_or(JwtRefused::Grant)?;
        let reads_mail = self.settings.name_claim == "email" || grant.reads("email");
        if reads_mail && token.claims.get("email_verified") != Some(&Value::Bool(true)) {
            return Err(JwtRefused::Unverified);
        }
        let voucher = Voucher {
            issuer: self.settings.name.clone(),
            key,
        };
        let identity = grant.identity(name, sent, (Some(expires), Some(voucher)));
        let identity = issued.insert(sent, identity);
        // The key may have been withdrawn while we looked.
        if self.keys.load().has(&key) {
            return Ok(identity);
        }
        self.end_unsigned(issued);
        Err(JwtRefused::Key)
    }

    /// Whether a token holds for this service now, which it calls `ours`, and until when.
    fn holds(&self, token: &Unproved<'_>, ours: &str, now: Timestamp) -> Result<Timestamp, JwtRefused> {
        let is_ours = |audience: &Value| audience.as_str() == Some(ours);
        let audience = match token.claims.get("aud") {
            Some(Value::Array(all)) => all.iter().any(is_ours),
            Some(one) => is_ours(one),
            None => false,
        };
        if !audience {
            return Err(JwtRefused::Audience);
        }
        let time = |name: &str| match token.claims.get(name) {
            None => Ok(None),
            Some(value) => seconds(value).map(Some).ok_or(JwtRefused::Form),
        };
        let expires = time("exp")?.ok_or(JwtRefused::Lasting)?;
        let (issued, from) = (time("iat")?, time("nbf")?);
        let soonest = now.0.saturating_add(LEEWAY_MS);
        if issued.into_iter().chain(from).any(|from| from > soonest) {
            return Err(JwtRefused::Early);
        }
        let longest = i64::try_from(self.settings.lifetime_max.as_millis()).unwrap_or(i64::MAX);
        if expires.saturating_sub(issued.unwrap_or(now.0)) > longest {
            return Err(JwtRefused::Lasting);
        }
        // Who has it is told that it has expired by the gate, which looks at all in one way.
        Ok(Timestamp(expires.saturating_add(LEEWAY_MS)))
    }

    /// Whose it is: the name of the issuer before it keeps it apart from those of the file.
    fn name(&self, token: &Unproved<'_>) -> Result<String, JwtRefused> {
        let claim = self.settings.name_claim.as_str();
        let name = token.text(claim).unwrap_or_default();
        let is_name =
            |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '@' | ':' | '/' | '|' | '+');
        if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.chars().all(is_name) {
            return Err(JwtRefused::Name);
        }
        Ok(format!("{}:{name}", self.settings.name))
    }

    /// Looks for a key that is not among `known`, and says whether it is worth looking at the token again. Of many who send
    /// one at once the first looks, and the others wait for it.
    async fn look_for_unknown(&self, known: &Arc<Keys>, issued: &Issued) -> bool {
        let mut fetched = self.fetched.lock().await;
        if !Arc::ptr_eq(known, &self.keys.load()) {
            return true;
        }
        if fetched
            .for_unknown
            .is_some_and(|before| before.elapsed() < UNKNOWN_PAUSE)
        {
            return false;
        }
        fetched.for_unknown = Some(Instant::now());
        self.fetch(&mut fetched, issued).await.is_ok()
    }

    /// Keeps the keys fresh until the service stops.
    pub(super) async fn follow(&self, issued: &Issued, stop: CancellationToken) {
        let mut told = None;
        loop {
            let fetched = {
                let mut fetched = self.fetched.lock().await;
                self.fetch(&mut fetched, issued).await
            };
            let pause = match &fetched {
                Ok(()) if self.settings.keys.is_remote() => FETCH_EVERY,
                Ok(()) | Err(_) => LOOK_EVERY,
            };
            self.tell(fetched, &mut told);
            if stop
                .run_until_cancelled(tokio::time::sleep(pause))
                .await
                .is_none()
            {
                return;
            }
        }
    }

    fn tell(&self, fetched: Result<(), String>, told: &mut Option<String>) {
        let name = &self.settings.name;
        match fetched {
            Ok(()) => *told = None,
            Err(why) if told.as_ref() != Some(&why) => {
                let hint =
                    "look at the issuer's `jwks_url` or `jwks_file`, and whether this machine reaches it";
                if self.keys.load().is_empty() {
                    error!(
                        hint,
                        issuer = name,
                        "no keys of the issuer `{name}`, so it lets nobody in: {why}"
                    );
                } else {
                    warn!(
                        hint,
                        issuer = name,
                        "no fresh keys of the issuer `{name}`, the old ones hold: {why}"
                    );
                }
                *told = Some(why);
            }
            Err(_) => {}
        }
    }

    /// Fetches the keys; a failure leaves the old ones, until they are too old.
    async fn fetch(&self, fetched: &mut Fetched, issued: &Issued) -> Result<(), String> {
        let read = self.read().await;
        let keys = match read.and_then(|bytes| Keys::read(&bytes)) {
            Ok(keys) => keys,
            Err(why) => {
                if fetched.well.is_none_or(|well| well.elapsed() > KEEP) && !self.keys.load().is_empty() {
                    self.keys.store(Keys::default().into());
                    self.end_unsigned(issued);
                }
                return Err(why);
            }
        };
        if fetched.well.is_none() {
            info!(
                issuer = self.settings.name,
                "read the keys of the issuer `{}`", self.settings.name
            );
        }
        fetched.well = Some(Instant::now());
        self.keys.store(keys.into());
        self.end_unsigned(issued);
        Ok(())
    }

    /// Ends whoever was let in by a key that the issuer has no longer.
    fn end_unsigned(&self, issued: &Issued) {
        let keys = self.keys.load();
        issued.retain(|identity| {
            let voucher = identity.voucher();
            let ours = voucher.filter(|voucher| voucher.issuer == self.settings.name);
            ours.is_none_or(|voucher| keys.has(&voucher.key))
        });
    }

    async fn read(&self) -> Result<Vec<u8>, String> {
        match &self.settings.keys {
            KeySource::File(file) => {
                let file: PathBuf = file.clone();
                let read = task::blocking(DEADLINE, move || read_file(&file)).await;
                read.map_err(|error| error.to_string())?
            }
            KeySource::Url(url) => self.get(url).await,
            KeySource::Discovery => {
                let url = format!("{}{DISCOVERY}", self.settings.issuer.trim_end_matches('/'));
                let found: Discovered = serde_json::from_slice(&self.get(&url).await?)
                    .map_err(|_| "what it says of itself cannot be read".to_owned())?;
                if found.issuer.trim_end_matches('/') != self.settings.issuer.trim_end_matches('/') {
                    return Err("what it says of itself is of another issuer".to_owned());
                }
                if crate::settings::is_clear_text(&found.jwks_uri) {
                    return Err("it has its keys where they could be changed on the way".to_owned());
                }
                self.get(&found.jwks_uri).await
            }
        }
    }

    async fn get(&self, url: &str) -> Result<Vec<u8>, String> {
        let call = self.client.get(url).header(http::header::USER_AGENT, "headwater");
        outcall::answer(call).await.map_err(Silence::why)
    }
}

fn read_file(file: &std::path::Path) -> Result<Vec<u8>, String> {
    use std::io::Read as _;
    let open = || {
        let mut bytes = Vec::new();
        std::fs::File::open(file)?
            .take(FILE_BYTES_MAX)
            .read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>(bytes)
    };
    open().map_err(|error| format!("cannot read `{}`: {error}", file.display()))
}

/// A time of a token, in ms. It is a number of seconds, which need not be whole (RFC 7519, 2).
fn seconds(value: &Value) -> Option<i64> {
    if let Some(whole) = value.as_i64() {
        return whole.checked_mul(1_000);
    }
    let since = Duration::try_from_secs_f64(value.as_f64()?).ok()?;
    i64::try_from(since.as_millis()).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_time_is_a_number_of_seconds_that_need_not_be_whole() {
        assert_eq!(seconds(&json!(1_700_000_000)), Some(1_700_000_000_000));
        assert_eq!(seconds(&json!(1_700_000_000.5)), Some(1_700_000_000_500));
        for wrong in [
            json!("1700000000"),
            json!(-0.5),
            json!(1e300),
            json!(i64::MAX),
            json!(null),
        ] {
            assert_eq!(seconds(&wrong), None, "{wrong}");
        }
    }
}
