//! What an issuer offers to people with browsers (`OpenID` Connect, authorization code flow): where they are sent, and what a
//! code is exchanged for.
//!
//! Invariant: a code, a verifier and a secret go to the token endpoint of the issuer and nowhere else, over an encrypted
//! connection, without following redirects; no error and no line of the log has any of them. What is deliberately absent:
//! other flows, tokens for the issuer's own API, and its list of what is known of a person: what counts stands in the token.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Client, RequestBuilder, Url};
use serde::Deserialize;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::Instant;

use super::begun::{Begun, Prove};
use crate::outcall::{self, Silence, quoted};
use crate::settings::{LoginSettings, is_clear_text};

/// Where an issuer says what it offers.
pub(super) const DISCOVERY: &str = "/.well-known/openid-configuration";
/// What the issuer said of itself is believed for so long.
const KEEP: Duration = Duration::from_mins(10);
/// It is not asked again for so long after it did not answer, however many want to log in.
const PAUSE: Duration = Duration::from_secs(5);
/// Codes that are exchanged at once; each takes as long as one call may.
const EXCHANGES_MAX: usize = 32;

/// What an issuer says of itself, as far as people log in at it.
#[derive(Debug, Clone, Deserialize)]
struct Offer {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

/// What a code is exchanged for.
#[derive(Deserialize)]
struct Exchanged {
    id_token: String,
}

/// What the issuer says when it exchanges nothing.
#[derive(Deserialize)]
struct Refusal {
    error: String,
}

#[derive(Debug, Default)]
struct Asked {
    offer: Option<Offer>,
    /// When it was asked, and what was wrong if anything was.
    at: Option<(Instant, Option<String>)>,
}

/// Why an issuer cannot be made use of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoUse {
    /// It cannot be asked now.
    Silent(String),
    /// It does not take the code.
    Refuses(String),
    /// Too many log in at once.
    Busy,
}

/// One issuer at which people log in.
#[derive(Debug)]
pub(super) struct Provider {
    issuer: String,
    settings: LoginSettings,
    client: Client,
    asked: Mutex<Asked>,
    exchanges: Semaphore,
}

impl Provider {
    /// Of the settings; nothing is asked yet.
    pub(super) fn new(issuer: &str, settings: &LoginSettings, client: Client) -> Self {
        Self {
            issuer: issuer.to_owned(),
            settings: settings.clone(),
            client,
            asked: Mutex::default(),
            exchanges: Semaphore::new(EXCHANGES_MAX),
        }
    }

    /// How people log in.
    pub(super) fn settings(&self) -> &LoginSettings {
        &self.settings
    }

    /// Where a browser is sent that begins a login.
    pub(super) async fn address(&self, begun: &Begun) -> Result<String, NoUse> {
        let offer = self.offer().await?;
        let mut address: Url = offer
            .authorization_endpoint
            .parse()
            .map_err(|_| NoUse::Silent("it has no address at which people log in".to_owned()))?;
        let mut query = address.query_pairs_mut();
        query
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.settings.client_id)
            .append_pair("redirect_uri", &self.settings.redirect_uri)
            .append_pair("scope", &self.settings.scopes.join(" "))
            .append_pair("state", &begun.state)
            .append_pair("nonce", &begun.nonce)
            .append_pair("code_challenge", &begun.challenge())
            .append_pair("code_challenge_method", "S256");
        match begun.prove {
            Prove::Anew => {
                query.append_pair("prompt", "login").append_pair("max_age", "0");
            }
            Prove::Somehow => {}
        }
        drop(query);
        Ok(address.into())
    }

    /// Whether an answer is of this issuer, by what it says of that (RFC 9207); one that always says so must.
    pub(super) async fn answers_as(&self, iss: Option<&str>) -> Result<bool, NoUse> {
        match iss {
            Some(iss) => Ok(iss == self.issuer),
            None => Ok(!self.offer().await?.authorization_response_iss_parameter_supported),
        }
    }

    /// The token for a code.
    pub(super) async fn exchange(&self, code: &str, begun: &Begun) -> Result<String, NoUse> {
        let _turn = self.exchanges.try_acquire().map_err(|_| NoUse::Busy)?;
        let offer = self.offer().await?;
        let call = self.asking(&offer, code, begun)?;
        let answered = outcall::exchange(call).await;
        let (status, body) = answered.map_err(|silence| NoUse::Silent(silence.why()))?;
        if !status.is_success() {
            let refusal = serde_json::from_slice::<Refusal>(&body);
            let why = refusal.map_or_else(|_| status.to_string(), |refusal| quoted(&refusal.error));
            return Err(NoUse::Refuses(format!("it does not take the code: {why}")));
        }
        let exchanged = serde_json::from_slice::<Exchanged>(&body);
        exchanged
            .map(|exchanged| exchanged.id_token)
            .map_err(|_| NoUse::Refuses("it answered without an ID token".to_owned()))
    }

    /// The call that exchanges a code, with what this service proves itself by.
    fn asking(&self, offer: &Offer, code: &str, begun: &Begun) -> Result<RequestBuilder, NoUse> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "authorization_code")
            .append_pair("code", code)
            .append_pair("redirect_uri", &self.settings.redirect_uri)
            .append_pair("code_verifier", &begun.verifier);
        let mut call = self
            .client
            .post(&offer.token_endpoint)
            .header(USER_AGENT, "headwater")
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        let (id, methods) = (
            &self.settings.client_id,
            &offer.token_endpoint_auth_methods_supported,
        );
        let takes = |method: &str| {
            let mut methods = methods.iter().flatten();
            methods.any(|known| known == method)
        };
        match &self.settings.client_secret {
            None => {
                form.append_pair("client_id", id);
            }
            // What is taken where nothing is said (Discovery 1.0).
            Some(secret) if methods.is_none() || takes("client_secret_basic") => {
                let escaped = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
                let pair = format!("{}:{}", escaped(id), escaped(secret.expose()));
                call = call.header(AUTHORIZATION, format!("Basic {}", STANDARD.encode(pair)));
            }
            Some(secret) if takes("client_secret_post") => {
                form.append_pair("client_id", id)
                    .append_pair("client_secret", secret.expose());
            }
            Some(_) => {
                let why =
                    "it takes a client secret neither by `client_secret_basic` nor by `client_secret_post`";
                return Err(NoUse::Refuses(why.to_owned()));
            }
        }
        Ok(call.body(form.finish()))
    }

    /// What the issuer says of itself. Of many who ask at once the first looks, and the others wait for it.
    async fn offer(&self) -> Result<Offer, NoUse> {
        let mut asked = self.asked.lock().await;
        if let Some((at, wrong)) = &asked.at {
            match (wrong, &asked.offer) {
                (None, Some(offer)) if at.elapsed() < KEEP => return Ok(offer.clone()),
                (Some(_), Some(offer)) if at.elapsed() < PAUSE => return Ok(offer.clone()),
                (Some(wrong), None) if at.elapsed() < PAUSE => return Err(NoUse::Silent(wrong.clone())),
                (_, _) => {}
            }
        }
        let read = self.discover().await;
        asked.at = Some((Instant::now(), read.as_ref().err().cloned()));
        match (read, &asked.offer) {
            (Ok(offer), _) => {
                asked.offer = Some(offer.clone());
                Ok(offer)
            }
            // What it said before is as good until it says otherwise.
            (Err(_), Some(before)) => Ok(before.clone()),
            (Err(why), None) => Err(NoUse::Silent(why)),
        }
    }

    async fn discover(&self) -> Result<Offer, String> {
        let url = format!("{}{DISCOVERY}", self.issuer.trim_end_matches('/'));
        let call = self.client.get(url).header(USER_AGENT, "headwater");
        let body = outcall::answer(call).await.map_err(Silence::why)?;
        let offer: Offer = serde_json::from_slice(&body)
            .map_err(|_| "what it says of itself names no place to log in".to_owned())?;
        if offer.issuer.trim_end_matches('/') != self.issuer.trim_end_matches('/') {
            return Err("what it says of itself is of another issuer".to_owned());
        }
        if is_clear_text(&offer.authorization_endpoint) || is_clear_text(&offer.token_endpoint) {
            return Err("it has people log in where that could be read on the way".to_owned());
        }
        Ok(offer)
    }
}
