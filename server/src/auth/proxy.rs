//! People whom a proxy in front has asked who they are: it says so in a header.
//!
//! Invariant: the header counts only on a connection that one of the proxies of the settings has opened, by the address of
//! its socket and by whatever else it must prove; what a header says of addresses never counts. A header that nobody may
//! send is no way in, and none to be shut out by: who is let in without it is let in with it.

use std::net::IpAddr;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use headwater_wire::Timestamp;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value};

use super::gate::Gate;
use super::grant::Grant;
use super::identity::Identity;
use super::issued::Issued;
use super::refused::Refused;
use super::scope::CertificateNames;
use super::token::TokenDigest;
use crate::clock;
use crate::settings::ProxyAuthSettings;
use crate::tls::Presented;

/// Longest name of a person, in bytes.
const USER_BYTES_MAX: usize = 256;
/// Longest list of groups, in bytes.
const GROUPS_BYTES_MAX: usize = 16 << 10;
/// What stands before the names, in logs and decisions.
const PREFIX: &str = "proxy";

/// Why the word of a proxy lets nobody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ProxyRefused {
    /// It comes from somebody else.
    #[error("a header says who asks, and the connection is of no proxy that may say so")]
    Stranger,
    /// It comes from an address of one, which does not prove that it is.
    #[error("a header says who asks, and the proxy has not shown that it may say so")]
    Unproved,
    /// Somebody before the proxy has written the header, too.
    #[error(
        "the header that says who asks, or for which groups, names several: it is there twice, or has a comma"
    )]
    Several,
    /// What it says is no name.
    #[error(
        "the header that says who asks, or for which groups, is empty, too long, or has a control character"
    )]
    Form,
    /// It names somebody for whom there is no grant.
    #[error("no grant is for whoever the proxy says asks")]
    Grant,
}

impl ProxyRefused {
    /// What can be done about it.
    pub(super) fn hint(self) -> &'static str {
        match self {
            Self::Stranger => {
                "ask through the proxy; whoever runs this service names the addresses of its proxies as `from` in \
                 `[proxy_auth]`. Without the header, a token is asked for as ever"
            }
            Self::Unproved => {
                "the proxy has to send the header `secret_header` with the secret, or show a certificate that `san` \
                 names, as `[proxy_auth]` of the service says"
            }
            Self::Several => {
                "have the proxy replace what its clients send of that header; groups stand in one header, with commas"
            }
            Self::Form => "have the proxy send a name, and groups with commas in between",
            Self::Grant => {
                "whoever runs this service says in a `[grant.NAME]` table `from = \"proxy\"` what that user or group may do"
            }
        }
    }
}

/// Whose connection a request came by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Came<'a> {
    /// The address of the socket.
    pub(crate) peer: Option<IpAddr>,
    /// The certificate that the peer has shown.
    pub(crate) presented: Option<&'a Presented>,
}

/// The proxies, and what their word lets somebody do.
#[derive(Debug)]
pub(super) struct ProxyAuth {
    settings: ProxyAuthSettings,
    san: Option<CertificateNames>,
    grants: Vec<Grant>,
    /// Who was let in. Apart from those with tokens, so that no text that somebody sends is taken for one of these.
    let_in: Issued,
}

impl ProxyAuth {
    fn new(settings: &ProxyAuthSettings) -> Result<Self, String> {
        let san = Some(settings.san.as_slice()).filter(|san| !san.is_empty());
        let grants = settings.grants.iter().map(Grant::new).collect::<Result<_, _>>();
        Ok(Self {
            san: san.map(CertificateNames::new).transpose()?,
            grants: grants.map_err(|error| error.to_string())?,
            let_in: Issued::default(),
            settings: settings.clone(),
        })
    }

    /// Ends those whose time is over.
    pub(super) fn end_expired(&self, now: Timestamp) {
        self.let_in.end_expired(now);
    }

    /// Whether the header is there, whoever has sent it.
    fn is_said(&self, headers: &HeaderMap) -> bool {
        headers.contains_key(&self.settings.user_header)
    }

    /// Whom a proxy says to ask; `None` where it says nothing, or says it that may not.
    fn identify(
        &self,
        headers: &HeaderMap,
        came: Came<'_>,
        now: Timestamp,
    ) -> Option<Result<Identity, ProxyRefused>> {
        let is_proxy = came.peer.is_some_and(|peer| self.settings.names(peer));
        (is_proxy && self.is_said(headers)).then(|| {
            if !self.is_proved(headers, came.presented, now) {
                return Err(ProxyRefused::Unproved);
            }
            let user = user(headers, &self.settings.user_header)?;
            let groups = match &self.settings.groups_header {
                Some(header) => groups(headers, header)?,
                None => Vec::new(),
            };
            self.let_in(&user, groups, now)
        })
    }

    /// Whether everything that a proxy has to prove besides its address is proved.
    fn is_proved(&self, headers: &HeaderMap, presented: Option<&Presented>, now: Timestamp) -> bool {
        let has_secret = self.settings.secret.as_ref().is_none_or(|(header, secret)| {
            let sent = only(headers, header).ok().flatten().unwrap_or_default();
            let [sent, ours] = [sent, secret.expose().as_bytes()].map(|text| digest(&SHA256, text));
            // Digests have one length, so that the time tells nothing of the secret's.
            verify_slices_are_equal(sent.as_ref(), ours.as_ref()).is_ok()
        });
        let has_certificate = self.san.as_ref().is_none_or(|san| {
            presented.is_some_and(|presented| presented.expires() > now && san.take(presented.names()))
        });
        has_secret && has_certificate
    }

    fn let_in(&self, user: &str, groups: Vec<String>, now: Timestamp) -> Result<Identity, ProxyRefused> {
        // Somebody is the same for half of the time, so that what he opens lasts for at least as long, and ends by itself.
        let half = i64::try_from(self.settings.open_max.as_millis() / 2)
            .unwrap_or(i64::MAX)
            .max(1);
        let turn = now.0.div_euclid(half);
        let sent = TokenDigest::of(&format!("{turn}\n{user}\n{}", groups.join("\n")));
        if let Some(known) = self.let_in.get(&sent) {
            return Ok(known);
        }
        let said: Map<String, Value> = [
            ("user".to_owned(), user.into()),
            ("groups".to_owned(), groups.into()),
        ]
        .into_iter()
        .collect();
        let mut grants = self.grants.iter();
        let grant = grants
            .find(|grant| grant.takes(&said))
            .ok_or(ProxyRefused::Grant)?;
        let end = Timestamp(turn.saturating_add(2).saturating_mul(half));
        let identity = grant.identity(format!("{PREFIX}:{user}"), sent, (Some(end), None));
        Ok(self.let_in.insert(sent, identity))
    }
}

/// The only value of a header, if it is there.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a [u8]>, ProxyRefused> {
    let mut sent = headers.get_all(name).iter();
    match (sent.next(), sent.next()) {
        (_, Some(_)) => Err(ProxyRefused::Several),
        (one, None) => Ok(one.map(HeaderValue::as_bytes)),
    }
}

fn text(bytes: &[u8], bytes_max: usize) -> Result<&str, ProxyRefused> {
    let text = std::str::from_utf8(bytes).map_err(|_| ProxyRefused::Form)?;
    if bytes.len() > bytes_max || text.chars().any(char::is_control) {
        return Err(ProxyRefused::Form);
    }
    Ok(text.trim())
}

/// Who asks. A comma is what one who puts headers together writes between two.
fn user(headers: &HeaderMap, name: &HeaderName) -> Result<String, ProxyRefused> {
    let user = text(only(headers, name)?.unwrap_or_default(), USER_BYTES_MAX)?;
    match user {
        "" => Err(ProxyRefused::Form),
        several if several.contains(',') => Err(ProxyRefused::Several),
        one => Ok(one.to_owned()),
    }
}

/// For which groups; none where the header is not there.
fn groups(headers: &HeaderMap, name: &HeaderName) -> Result<Vec<String>, ProxyRefused> {
    let groups = text(only(headers, name)?.unwrap_or_default(), GROUPS_BYTES_MAX)?;
    let groups = groups.split(',').map(str::trim).filter(|group| !group.is_empty());
    Ok(groups.map(str::to_owned).collect())
}

impl Gate {
    /// The same gate, which also takes the word of these proxies.
    ///
    /// # Errors
    /// What of their settings cannot be used, such as a pattern that is none.
    pub(crate) fn with_proxy(mut self, settings: Option<&ProxyAuthSettings>) -> Result<Self, String> {
        self.proxy = settings.map(ProxyAuth::new).transpose()?;
        Ok(self)
    }

    /// Whom a request comes from, by all that counts: a token, then a session, then the word of a proxy, then the
    /// certificate of the connection.
    pub(crate) async fn who(&self, headers: &HeaderMap, came: Came<'_>) -> Result<Identity, Refused> {
        let now = clock::now();
        let says_himself = headers.contains_key(AUTHORIZATION) || self.in_session(headers, now).is_some();
        let proxy = self.proxy.as_ref().filter(|_| !says_himself);
        if let Some(told) = proxy.and_then(|proxy| proxy.identify(headers, came, now)) {
            return told.map_err(Refused::Proxy);
        }
        let found = self.identify(headers, came.presented).await;
        match found {
            Err(Refused::Nobody | Refused::Certificate | Refused::CertificateExpired)
                if proxy.is_some_and(|proxy| proxy.is_said(headers)) =>
            {
                Err(Refused::Proxy(ProxyRefused::Stranger))
            }
            found => found,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::settings::{Peers, ProxyAuthSettings};

    fn settings() -> ProxyAuthSettings {
        ProxyAuthSettings {
            from: vec!["10.0.0.0/8".parse::<Peers>().unwrap(), "::1".parse().unwrap()],
            user_header: HeaderName::from_static("x-user"),
            groups_header: Some(HeaderName::from_static("x-groups")),
            secret: None,
            san: Vec::new(),
            open_max: Duration::from_hours(1),
            grants: vec![crate::settings::GrantSettings {
                claims: vec![("groups".to_owned(), "ops".to_owned())],
                role: crate::auth::Role::Operator,
                repos: Vec::new(),
                configs: Vec::new(),
                instances: Vec::new(),
            }],
        }
    }

    fn said(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    fn from(peer: &str) -> Came<'static> {
        Came {
            peer: Some(peer.parse().unwrap()),
            presented: None,
        }
    }

    fn told(proxy: &ProxyAuth, headers: &HeaderMap, peer: &str, now: i64) -> String {
        match proxy.identify(headers, from(peer), Timestamp(now)) {
            None => "ignored".to_owned(),
            Some(Ok(identity)) => format!("{} {}", identity.name(), identity.role()),
            Some(Err(refused)) => format!("{refused:?}"),
        }
    }

    #[test]
    fn the_header_counts_from_a_proxy_alone_and_once() {
        let proxy = ProxyAuth::new(&settings()).unwrap();
        let ann = said(&[("x-user", "ann"), ("x-groups", "all, ops")]);
        for (headers, peer, expected) in [
            (&ann, "10.1.2.3", "proxy:ann operator"),
            (&ann, "::ffff:10.1.2.3", "proxy:ann operator"),
            (&ann, "::1", "proxy:ann operator"),
            (&ann, "127.0.0.1", "ignored"),
            (&ann, "11.0.0.1", "ignored"),
            (&said(&[("x-groups", "ops")]), "10.1.2.3", "ignored"),
            (&said(&[("x-user", "ann")]), "10.1.2.3", "Grant"),
            (
                &said(&[("x-user", "ann"), ("x-user", "bob"), ("x-groups", "ops")]),
                "::1",
                "Several",
            ),
            (
                &said(&[("x-user", "ann,bob"), ("x-groups", "ops")]),
                "::1",
                "Several",
            ),
            (
                &said(&[("x-user", "ann"), ("x-groups", "all"), ("x-groups", "ops")]),
                "::1",
                "Several",
            ),
            (&said(&[("x-user", ""), ("x-groups", "ops")]), "::1", "Form"),
            (
                &said(&[("x-user", &"a".repeat(257)), ("x-groups", "ops")]),
                "::1",
                "Form",
            ),
        ] {
            assert_eq!(told(&proxy, headers, peer, 0), expected, "{headers:?} {peer}");
        }
    }

    #[test]
    fn a_proxy_proves_what_it_has_to_prove() {
        let ann = [("x-user", "ann"), ("x-groups", "ops")];
        let with = |more: &[(&'static str, &str)]| said(&[&ann, more].concat());
        let secret = crate::secret::Secret::new("s3cret-s3cret-s3cret");
        let proxy = ProxyAuth::new(&ProxyAuthSettings {
            secret: Some((HeaderName::from_static("x-secret"), secret)),
            ..settings()
        });
        let proxy = proxy.unwrap();
        let good = ("x-secret", "s3cret-s3cret-s3cret");
        assert_eq!(told(&proxy, &with(&[good]), "::1", 0), "proxy:ann operator");
        for wrong in [&[][..], &[("x-secret", "s3cret")], &[good, good]] {
            assert_eq!(told(&proxy, &with(wrong), "::1", 0), "Unproved", "{wrong:?}");
        }
        let proxy = ProxyAuth::new(&ProxyAuthSettings {
            san: vec!["DNS:proxy.example".to_owned()],
            ..settings()
        });
        let proxy = proxy.unwrap();
        let shown = |name: &str, end: i64| {
            let presented = Presented::with(&[name], Timestamp(end));
            let came = Came {
                presented: Some(&presented),
                ..from("::1")
            };
            proxy
                .identify(&with(&[]), came, Timestamp(1))
                .unwrap()
                .map(|who| who.name().to_owned())
        };
        assert_eq!(shown("DNS:proxy.example", 2), Ok("proxy:ann".to_owned()));
        assert_eq!(shown("DNS:other.example", 2), Err(ProxyRefused::Unproved));
        assert_eq!(shown("DNS:proxy.example", 1), Err(ProxyRefused::Unproved));
        assert_eq!(told(&proxy, &with(&[]), "::1", 0), "Unproved");
    }

    #[test]
    fn what_is_open_for_somebody_ends_within_the_time_and_not_before_half_of_it() {
        let proxy = ProxyAuth::new(&settings()).unwrap();
        let ann = said(&[("x-user", "ann"), ("x-groups", "ops")]);
        let open = |now: i64| {
            proxy
                .identify(&ann, from("::1"), Timestamp(now))
                .unwrap()
                .unwrap()
        };
        let half = 1_800_000;
        let (first, again) = (open(half + 1), open(2 * half - 1));
        assert!(first.is_same(&again));
        let later = open(2 * half);
        assert!(!first.is_same(&later));
        proxy.end_expired(Timestamp(3 * half - 1));
        assert!(!first.ended().is_cancelled());
        proxy.end_expired(Timestamp(3 * half));
        assert!(first.ended().is_cancelled() && !later.ended().is_cancelled());
    }
}
