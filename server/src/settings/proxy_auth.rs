//! Proxies that have asked people who they are, and say so in a header: `[proxy_auth]`.
//!
//! Invariant: the header counts from the addresses that are named and from nobody else, and what it lets somebody do is
//! said by grants. Addresses that are everybody's are taken only with something that a proxy alone can prove.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use headwater_validators::document::{Member, Range};
use http::HeaderName;

use super::GrantSettings;
use super::hooks::secret;
use super::keys::{Key, path, put};
use super::source::{Mistake, Place};
use super::table::{Only, apply, only_table, set_variables};
use super::values::duration;
use crate::secret::Secret;

/// What grants say as `from`.
pub(super) const PROXY: &str = "proxy";
/// How long what somebody opened may stay open, unless it is said.
const OPEN_MAX: Duration = Duration::from_hours(1);
/// The same at least: every page that follows is opened anew as often.
const OPEN_MIN: Duration = Duration::from_mins(1);
/// Headers by which requests say other things, and of which none can be a name.
const TAKEN: [&str; 5] = ["authorization", "cookie", "host", "origin", "x-forwarded-for"];

/// Proxies whose word counts for whoever asks through them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyAuthSettings {
    /// Their addresses.
    pub from: Vec<Peers>,
    /// The header that says who asks.
    pub user_header: HeaderName,
    /// The header that says for which groups, with commas in between.
    pub groups_header: Option<HeaderName>,
    /// The header by which they prove what they are, and the secret in it.
    pub secret: Option<(HeaderName, Secret)>,
    /// Names of their certificates, of which they must show one; empty asks for none.
    pub san: Vec<String>,
    /// Longest time that what somebody opened stays open.
    pub open_max: Duration,
    /// What their word lets somebody do; the first that fits counts.
    pub grants: Vec<GrantSettings>,
}

impl ProxyAuthSettings {
    /// Whether an address is one of a proxy.
    pub(crate) fn names(&self, peer: IpAddr) -> bool {
        self.from.iter().any(|peers| peers.have(peer))
    }

    /// Whether any program of this machine is believed.
    pub(crate) fn believes_this_machine(&self) -> bool {
        let is_shared = self.from.iter().any(|peers| peers.first.is_loopback());
        is_shared && self.secret.is_none() && self.san.is_empty()
    }
}

/// Addresses that begin with the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peers {
    first: IpAddr,
    bits: u32,
}

/// An address as 128 bits, and how many of them are not of its own kind.
fn bits(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()), 96),
        IpAddr::V6(address) => (address.to_bits(), 0),
    }
}

impl Peers {
    /// Whether an address is one of them; one of the older kind is the same however it is written.
    fn have(self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        let ((ours, unused), (theirs, _)) = (bits(self.first), bits(peer));
        let shift = 128 - unused - self.bits;
        self.first.is_ipv4() == peer.is_ipv4()
            && ours.checked_shr(shift).unwrap_or_default() == theirs.checked_shr(shift).unwrap_or_default()
    }
}

impl FromStr for Peers {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("expected addresses such as `10.0.0.5` or `fd00::/8`, not `{text}`");
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let first: IpAddr = address.parse().map_err(|_| expected())?;
        let bits_max = 128 - bits(first).1;
        let length = length.map_or(Ok(bits_max), |length| length.parse().map_err(|_| expected()))?;
        if length > bits_max || first.to_canonical() != first {
            return Err(expected());
        }
        Ok(Self { first, bits: length })
    }
}

/// The values while they are being collected.
#[derive(Debug, Clone, Default)]
pub(super) struct ProxyAuthDraft {
    place: Option<Place>,
    from: Vec<Peers>,
    user_header: Option<HeaderName>,
    groups_header: Option<HeaderName>,
    secret_header: Option<HeaderName>,
    secret_file: Option<PathBuf>,
    secret_env: Option<String>,
    san: Vec<String>,
    open_max: Option<Duration>,
}

const PROXY_AUTH_KEYS: &[Key<ProxyAuthDraft>] = &[
    Key {
        name: "from",
        help: "addresses of the proxies, such as `10.0.0.5` or `fd00::/8`: those of their sockets",
        default: "",
        set: |draft, text| {
            put(
                &mut draft.from,
                text.split(',').map(|one| one.trim().parse()).collect(),
            )
        },
    },
    Key {
        name: "user_header",
        help: "header that says who asks",
        default: "",
        set: |draft, text| put(&mut draft.user_header, header(text).map(Some)),
    },
    Key {
        name: "groups_header",
        help: "header that says for which groups, with commas in between",
        default: "",
        set: |draft, text| put(&mut draft.groups_header, header(text).map(Some)),
    },
    Key {
        name: "secret_header",
        help: "header by which a proxy proves that it is one",
        default: "",
        set: |draft, text| put(&mut draft.secret_header, header(text).map(Some)),
    },
    Key {
        name: "secret_file",
        help: "file with the secret of `secret_header`",
        default: "",
        set: |draft, text| put(&mut draft.secret_file, path(text).map(Some)),
    },
    Key {
        name: "secret_env",
        help: "name of an environment variable with the secret, instead of `secret_file`",
        default: "",
        set: |draft, text| put(&mut draft.secret_env, Ok(Some(text.to_owned()))),
    },
    Key {
        name: "san",
        help: "names of a certificate that a proxy must show, such as `DNS:proxy.example`",
        default: "",
        set: |draft, text| {
            put(
                &mut draft.san,
                Ok(text.split(',').map(|one| one.trim().to_owned()).collect()),
            )
        },
    },
    Key {
        name: "open_max",
        help: "longest time that a stream or a socket stays open for whom a proxy has let in",
        default: "1h",
        set: |draft, text| put(&mut draft.open_max, duration(text).map(Some)),
    },
];

fn header(text: &str) -> Result<HeaderName, String> {
    let name: HeaderName = text
        .parse()
        .map_err(|_| format!("expected the name of a header, not `{text}`"))?;
    if TAKEN.contains(&name.as_str()) {
        return Err(format!("`{name}` says something else, or is anybody's to write"));
    }
    Ok(name)
}

impl Only for ProxyAuthDraft {
    const KEYS: &'static [Key<Self>] = PROXY_AUTH_KEYS;
    const VARIABLES: &'static str = "HEADWATER_PROXY_AUTH_";

    /// Reads the table of the file.
    fn read(&mut self, table: &Member, place: &dyn Fn(Range) -> Place, mistakes: &mut Vec<Mistake>) {
        self.place = Some(place(table.key_range));
        for member in only_table(table, place(table.key_range), mistakes) {
            apply(Self::KEYS, self, member, place(member.key_range), mistakes);
        }
    }

    /// Reads the variables.
    fn read_variables<'a>(&mut self, find: impl Fn(&str) -> Option<&'a str>, mistakes: &mut Vec<Mistake>) {
        let is_said = |key: &Key<Self>| find(&Self::variable(key.name)).is_some();
        if Self::KEYS.iter().any(is_said) {
            self.place.get_or_insert(Place::Whole);
        }
        set_variables(Self::KEYS, self, Self::variable, find, mistakes);
    }
}

impl ProxyAuthDraft {
    /// Whether the word of a proxy is to count.
    pub(super) fn is_said(&self) -> bool {
        self.place.is_some()
    }

    /// The values, where the word of a proxy counts.
    pub(super) fn finish(
        &self,
        grants: Vec<GrantSettings>,
        environment: &[(String, String)],
        mistakes: &mut Vec<Mistake>,
    ) -> Option<ProxyAuthSettings> {
        let place = self.place.clone()?;
        let mut mistake = |what: String, hint: &str| {
            mistakes.push(Mistake::new(place.clone(), format!("`[proxy_auth]` {what}")).hint(hint));
        };
        let files = (
            ("secret_file", &self.secret_file),
            ("secret_env", &self.secret_env),
        );
        let secret = match secret(files.0, files.1, environment).transpose() {
            Ok(secret) => secret,
            Err(what) => {
                mistake(
                    format!("has no secret that can be used: {what}"),
                    "make one with `openssl rand -hex 32`",
                );
                return None;
            }
        };
        let rules = self.rules(&grants, secret.as_ref());
        for (_, what, hint) in rules.into_iter().filter(|(applies, ..)| *applies) {
            mistake(what.to_owned(), hint);
        }
        if let Err(what) = crate::auth::certificate_names(&self.san) {
            mistake(
                format!("has a `san` that is none: {what}"),
                "see docs/security.md",
            );
        }
        Some(ProxyAuthSettings {
            from: self.from.clone(),
            user_header: self.user_header.clone()?,
            groups_header: self.groups_header.clone(),
            secret: self.secret_header.clone().zip(secret),
            san: self.san.clone(),
            open_max: self.open_max.unwrap_or(OPEN_MAX),
            grants,
        })
    }

    /// Each thing that may be wrong, whether it is, and what to do.
    fn rules(
        &self,
        grants: &[GrantSettings],
        secret: Option<&Secret>,
    ) -> [(bool, &'static str, &'static str); 6] {
        let has_secret = secret.is_some();
        let is_anybody = self.from.iter().any(|peers| peers.bits == 0);
        [
            (
                self.from.is_empty() || self.user_header.is_none(),
                "has no `from` or no `user_header`",
                "say which addresses the proxies have, and in which header they say who asks",
            ),
            (
                grants.is_empty(),
                "has no grant, so it would let nobody in",
                "say in `[grant.NAME]`, with `from = \"proxy\"`, what which users or groups may do",
            ),
            (
                has_secret != self.secret_header.is_some(),
                "has `secret_header` without `secret_file`, or the other way round",
                "set both, or none",
            ),
            (
                is_anybody && !has_secret && self.san.is_empty(),
                "would believe whoever reaches the service",
                "name the addresses of the proxies alone, or set `secret_header` and `secret_file`",
            ),
            (
                self.open_max.is_some_and(|open| open < OPEN_MIN),
                "has an `open_max` below a minute",
                "say `1m` or more",
            ),
            (
                self.user_header.is_some()
                    && (self.user_header == self.groups_header || self.user_header == self.secret_header),
                "has one header for two things",
                "give each its own",
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::super::webhooks::tests::read;
    use super::Peers;

    const PROXY: &str =
        "[proxy_auth]\nfrom = [\"10.0.0.5\", \"fd00::/8\"]\nuser_header = \"X-Forwarded-User\"\n";
    const GRANT: &str = "[grant.ops]\nfrom = \"proxy\"\nclaims = [\"groups=ops\"]\nrole = \"operator\"\n";

    #[test]
    fn a_proxy_has_its_grants_and_its_addresses() {
        let settings = read(&format!("{PROXY}{GRANT}")).unwrap();
        let proxy = settings.proxy_auth.unwrap();
        assert_eq!((proxy.grants.len(), proxy.open_max.as_secs()), (1, 3_600));
        for (peer, is_one) in [
            ("10.0.0.5", true),
            ("::ffff:10.0.0.5", true),
            ("10.0.0.6", false),
            ("fd12::1", true),
            ("fe80::1", false),
        ] {
            assert_eq!(proxy.names(peer.parse().unwrap()), is_one, "{peer}");
        }
    }

    #[test]
    fn what_is_no_range_of_addresses_is_told() {
        for good in ["0.0.0.0/0", "127.0.0.1/32", "::/0", "10.1.2.3/8"] {
            assert!(good.parse::<Peers>().is_ok(), "{good}");
        }
        for wrong in [
            "",
            "10.0.0.0/33",
            "::/129",
            "10.0.0/8",
            "proxy",
            "10.0.0.1/",
            "::ffff:10.0.0.1",
        ] {
            assert!(wrong.parse::<Peers>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_would_believe_anybody_or_let_nobody_in_is_told_before_the_start() {
        for (text, expected) in [
            (
                PROXY.to_owned(),
                "`[proxy_auth]` has no grant, so it would let nobody in",
            ),
            (GRANT.to_owned(), "grant `ops` is not `from` an issuer"),
            (
                format!("{}{GRANT}", PROXY.replace("fd00::/8", "0.0.0.0/0")),
                "`[proxy_auth]` would believe whoever reaches the service",
            ),
            (
                format!("{PROXY}secret_header = \"x-secret\"\n{GRANT}"),
                "`[proxy_auth]` has `secret_header` without `secret_file`, or the other way round",
            ),
            (
                format!("{}{GRANT}", PROXY.replace("X-Forwarded-User", "X-Forwarded-For")),
                "`user_header`: `x-forwarded-for` says something else, or is anybody's to write",
            ),
            (
                format!("{PROXY}san = \"proxy\"\n{GRANT}"),
                "`[proxy_auth]` has a `san` that is none: `proxy` does not begin with `URI:` or `DNS:`, as in `URI:spiffe://prod/*`",
            ),
        ] {
            let told = read(&text).unwrap_err();
            assert!(told.contains(&expected.to_owned()), "{text}: {told:?}");
        }
    }
}
