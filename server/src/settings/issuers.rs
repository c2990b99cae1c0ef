//! Who else says who people and programs are, `[issuer.NAME]`, and what that lets them do, `[grant.NAME]`.
//!
//! Invariant: an issuer without a grant lets nobody in, so it is a mistake; and so is a grant without a claim, which would
//! let in everybody whom the issuer knows. Keys come by a way on which nobody can change them.

use std::path::PathBuf;
use std::time::Duration;

use super::forges::{http_address, is_clear_text};
use super::keys::{Key, path, put};
use super::logins::{self, Around, LoginDraft};
use super::named::{self, Named, Wrong, wrong};
use super::source::{Mistake, Place};
use super::values::duration;
use super::{GrantSettings, IssuerSettings, KeySource};
use crate::auth::{Algorithm, Role};

/// Longest time that a token may hold, unless it is said.
const LIFETIME_MAX: Duration = Duration::from_hours(24);

/// One issuer's values while they are being collected.
#[derive(Debug, Clone)]
pub(super) struct IssuerDraft {
    place: Place,
    name: String,
    issuer: Option<String>,
    audience: Option<String>,
    jwks_url: Option<String>,
    jwks_file: Option<PathBuf>,
    algorithms: Vec<Algorithm>,
    name_claim: String,
    lifetime_max: Duration,
    ca_file: Option<PathBuf>,
    login: LoginDraft,
}

const ISSUER_KEYS: &[Key<IssuerDraft>] = &[
    Key {
        name: "issuer",
        help: "what its tokens say as `iss`: its address, letter by letter",
        default: "",
        set: |draft, text| put(&mut draft.issuer, filled(text).map(Some)),
    },
    Key {
        name: "audience",
        help: "what its tokens for this service say as `aud`; where people only log in at it, none",
        default: "",
        set: |draft, text| put(&mut draft.audience, filled(text).map(Some)),
    },
    Key {
        name: "jwks_url",
        help: "address of its public keys; without it and `jwks_file` it is asked where they are",
        default: "",
        set: |draft, text| put(&mut draft.jwks_url, http_address(text).map(Some)),
    },
    Key {
        name: "jwks_file",
        help: "file with its public keys, instead of `jwks_url`; read again when it changes",
        default: "",
        set: |draft, text| put(&mut draft.jwks_file, path(text).map(Some)),
    },
    Key {
        name: "algorithms",
        help: "how its tokens may be signed",
        default: "RS256,ES256,EdDSA",
        set: |draft, text| {
            let all = text.split(',').map(|one| one.trim().parse());
            put(&mut draft.algorithms, all.collect())
        },
    },
    Key {
        name: "name_claim",
        help: "claim by which somebody is named in logs and decisions; `email` only where it is verified",
        default: "sub",
        set: |draft, text| put(&mut draft.name_claim, filled(text)),
    },
    Key {
        name: "lifetime_max",
        help: "longest time that a token of it may hold",
        default: "24h",
        set: |draft, text| put(&mut draft.lifetime_max, duration(text)),
    },
    Key {
        name: "ca_file",
        help: "PEM file with the only certificate authorities to trust",
        default: "",
        set: |draft, text| put(&mut draft.ca_file, path(text).map(Some)),
    },
    Key {
        name: "client_id",
        help: "what it calls this service: people log in to the dashboard at it; needs `public_url`",
        default: "",
        set: |draft, text| put(&mut draft.login.client_id, filled(text).map(Some)),
    },
    Key {
        name: "client_secret_file",
        help: "file with the secret of that client, if it has one; read at the start",
        default: "",
        set: |draft, text| put(&mut draft.login.client_secret_file, path(text).map(Some)),
    },
    Key {
        name: "client_secret_env",
        help: "name of an environment variable with the secret, instead of `client_secret_file`",
        default: "",
        set: |draft, text| put(&mut draft.login.client_secret_env, filled(text).map(Some)),
    },
    Key {
        name: "scopes",
        help: "what it is asked for when somebody logs in",
        default: "openid,email,profile",
        set: |draft, text| put(&mut draft.login.scopes, logins::scopes(text)),
    },
    Key {
        name: "session_max",
        help: "how long a browser stays logged in by it; at most `12h`",
        default: "12h",
        set: |draft, text| put(&mut draft.login.session_max, logins::session_max(text)),
    },
];

impl Named for IssuerDraft {
    const TABLE: &'static str = "issuer";
    const KEYS: &'static [Key<Self>] = ISSUER_KEYS;

    fn at(place: Place, name: &str) -> Self {
        Self {
            place,
            name: name.to_owned(),
            issuer: None,
            audience: None,
            jwks_url: None,
            jwks_file: None,
            algorithms: Algorithm::ALL.to_vec(),
            name_claim: "sub".to_owned(),
            lifetime_max: LIFETIME_MAX,
            ca_file: None,
            login: LoginDraft::default(),
        }
    }

    fn place(&self) -> &Place {
        &self.place
    }

    fn name(&self) -> &str {
        &self.name
    }
}

/// One grant's values while they are being collected.
#[derive(Debug, Clone)]
pub(super) struct GrantDraft {
    place: Place,
    name: String,
    from: Option<String>,
    claims: Vec<(String, String)>,
    role: Option<Role>,
    repos: Vec<String>,
    configs: Vec<String>,
    instances: Vec<String>,
}

const GRANT_KEYS: &[Key<GrantDraft>] = &[
    Key {
        name: "from",
        help: "name of the issuer whose word counts, or `proxy` for that of `[proxy_auth]`",
        default: "",
        set: |draft, text| put(&mut draft.from, filled(text).map(Some)),
    },
    Key {
        name: "claims",
        help: "what a token must say, all of it, each as `claim=glob`; of a claim that is a list, one element is enough",
        default: "",
        set: |draft, text| put(&mut draft.claims, text.split(',').map(claim).collect()),
    },
    Key {
        name: "role",
        help: "what it lets somebody do: `instance`, `reader`, `operator` or `admin`",
        default: "",
        set: |draft, text| {
            let role = <Role as clap::ValueEnum>::from_str(text, false);
            let expected = |_| format!("expected `instance`, `reader`, `operator` or `admin`, not `{text}`");
            put(&mut draft.role, role.map(Some).map_err(expected))
        },
    },
    Key {
        name: "repos",
        help: "globs of the repositories it is bound to",
        default: "",
        set: |draft, text| put(&mut draft.repos, Ok(list(text))),
    },
    Key {
        name: "configs",
        help: "globs of the configs it is bound to",
        default: "",
        set: |draft, text| put(&mut draft.configs, Ok(list(text))),
    },
    Key {
        name: "instances",
        help: "globs of the instances that it may speak for",
        default: "",
        set: |draft, text| put(&mut draft.instances, Ok(list(text))),
    },
];

impl Named for GrantDraft {
    const TABLE: &'static str = "grant";
    const KEYS: &'static [Key<Self>] = GRANT_KEYS;

    fn at(place: Place, name: &str) -> Self {
        Self {
            place,
            name: name.to_owned(),
            from: None,
            claims: Vec::new(),
            role: None,
            repos: Vec::new(),
            configs: Vec::new(),
            instances: Vec::new(),
        }
    }

    fn place(&self) -> &Place {
        &self.place
    }

    fn name(&self) -> &str {
        &self.name
    }
}

fn filled(text: &str) -> Result<String, String> {
    if text.is_empty() {
        Err("expected a text, not nothing".to_owned())
    } else {
        Ok(text.to_owned())
    }
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(|one| one.trim().to_owned()).collect()
}

fn claim(text: &str) -> Result<(String, String), String> {
    let parts = text.trim().split_once('=');
    let (claim, glob) = parts
        .filter(|(claim, glob)| !claim.is_empty() && !glob.is_empty())
        .ok_or_else(|| format!("expected `claim=glob`, not `{text}`"))?;
    Ok((claim.to_owned(), glob.to_owned()))
}

/// The issuers with their grants, the grants of whoever comes through a `proxy` (where one is believed), and what is
/// wrong with them.
pub(super) fn finish(
    issuers: &[IssuerDraft],
    (grants, proxy): (&[GrantDraft], Option<&str>),
    around: Around<'_>,
    mistakes: &mut Vec<Mistake>,
) -> (Vec<IssuerSettings>, Vec<GrantSettings>) {
    let known: Vec<&str> = issuers
        .iter()
        .map(|issuer| issuer.name.as_str())
        .chain(proxy)
        .collect();
    let granted = named::finish(grants, mistakes, |draft| whole_grant(draft, &known));
    let of_proxy = granted.iter().filter(|(from, _)| Some(from.as_str()) == proxy);
    let of_proxy = of_proxy.map(|(_, grant)| grant.clone()).collect();
    let issuers = named::finish(issuers, mistakes, |draft| {
        if Some(draft.name.as_str()) == proxy {
            return wrong(
                "has the name by which grants speak of `[proxy_auth]`",
                "name it otherwise",
            );
        }
        let same = issuers.iter().filter(|other| other.issuer == draft.issuer);
        if same.count() > 1 {
            return wrong(
                "has the `issuer` of another one",
                "keep one, and give it both grants",
            );
        }
        let named = grants
            .iter()
            .any(|grant| grant.from.as_deref() == Some(&draft.name));
        if !named {
            return wrong(
                "has no grant, so it would let nobody in",
                "say in `[grant.NAME]` what its tokens let somebody do",
            );
        }
        let own = granted.iter().filter(|(from, _)| *from == draft.name);
        whole(draft, own.map(|(_, grant)| grant.clone()).collect(), around)
    });
    (issuers, of_proxy)
}

fn whole(
    draft: &IssuerDraft,
    grants: Vec<GrantSettings>,
    around: Around<'_>,
) -> Result<IssuerSettings, Wrong> {
    let is_for_something = draft.audience.is_some() || draft.login.client_id.is_some();
    let Some(issuer) = draft.issuer.clone().filter(|_| is_for_something) else {
        return wrong(
            "has no `issuer`, or neither `audience` nor `client_id`",
            "say what its tokens for this service say as `iss` and as `aud`; for people who log in at it, say `client_id`",
        );
    };
    let keys = match (&draft.jwks_url, &draft.jwks_file) {
        (Some(_), Some(_)) => return wrong("has `jwks_url` and `jwks_file`", "keep one of them"),
        (Some(url), None) => KeySource::Url(url.clone()),
        (None, Some(file)) => KeySource::File(file.clone()),
        (None, None) => KeySource::Discovery,
    };
    let asked = match &keys {
        KeySource::Url(url) => Some(url),
        KeySource::Discovery => Some(&issuer),
        KeySource::File(_) => None,
    };
    if asked.is_some_and(|address| is_clear_text(address)) {
        return wrong(
            "has its keys where they could be changed on the way",
            "use an https address, or `jwks_file`",
        );
    }
    Ok(IssuerSettings {
        login: logins::finish(&draft.login, (&draft.name, &issuer), around)?,
        name: draft.name.clone(),
        audience: draft.audience.clone(),
        keys,
        algorithms: draft.algorithms.clone(),
        name_claim: draft.name_claim.clone(),
        lifetime_max: draft.lifetime_max,
        ca_file: draft.ca_file.clone(),
        grants,
        issuer,
    })
}

fn whole_grant(draft: &GrantDraft, known: &[&str]) -> Result<(String, GrantSettings), Wrong> {
    let Some(from) = draft.from.clone().filter(|from| known.contains(&from.as_str())) else {
        return wrong(
            "is not `from` an issuer",
            "name one of the `[issuer.NAME]` tables, or `proxy` where there is a `[proxy_auth]`",
        );
    };
    let Some(role) = draft.role else {
        return wrong("has no `role`", "say `instance`, `reader`, `operator` or `admin`");
    };
    if draft.claims.is_empty() {
        return wrong(
            "has no `claims`, so it would let in everybody whom the issuer knows",
            "say what a token must say, such as `claims = [\"groups=ops\"]`",
        );
    }
    if role != Role::Instance && !draft.instances.is_empty() {
        return wrong("is for no instance, so `instances` means nothing", "take it out");
    }
    let mut globs = draft.repos.iter().chain(&draft.configs).chain(&draft.instances);
    let claims = draft.claims.iter().map(|(_, glob)| glob);
    if let Some(glob) = globs
        .by_ref()
        .chain(claims)
        .find(|glob| globset::Glob::new(glob).is_err())
    {
        return wrong(format!("has `{glob}`, which is no glob"), "close its brackets");
    }
    let grant = GrantSettings {
        claims: draft.claims.clone(),
        role,
        repos: draft.repos.clone(),
        configs: draft.configs.clone(),
        instances: draft.instances.clone(),
    };
    Ok((from, grant))
}

#[cfg(test)]
mod tests {
    use super::super::webhooks::tests::read;

    const ISSUER: &str = "[issuer.ci]\nissuer = \"https://ci.example.test\"\naudience = \"headwater\"\n";
    const GRANT: &str = "[grant.deploy]\nfrom = \"ci\"\nclaims = [\"repository=acme/*\", \"ref=refs/heads/main\"]\nrole = \"operator\"\n";

    #[test]
    fn an_issuer_has_its_grants_and_what_is_not_said_is_careful() {
        let settings = read(&format!("{ISSUER}{GRANT}")).unwrap();
        let [issuer] = settings.issuers.as_slice() else {
            panic!()
        };
        assert_eq!(issuer.lifetime_max.as_secs(), 24 * 60 * 60);
        assert_eq!((issuer.name_claim.as_str(), issuer.grants.len()), ("sub", 1));
        assert_eq!(issuer.grants[0].claims.len(), 2);
    }

    #[test]
    fn what_would_let_in_anybody_or_nobody_is_told_before_the_start() {
        for (text, expected) in [
            (
                ISSUER.to_owned(),
                "issuer `ci` has no grant, so it would let nobody in",
            ),
            (GRANT.to_owned(), "grant `deploy` is not `from` an issuer"),
            (
                format!("{ISSUER}[grant.all]\nfrom = \"ci\"\nrole = \"reader\"\n"),
                "grant `all` has no `claims`, so it would let in everybody whom the issuer knows",
            ),
            (
                format!("{}{GRANT}", ISSUER.replace("https", "http")),
                "issuer `ci` has its keys where they could be changed on the way",
            ),
            (
                format!("{ISSUER}algorithms = [\"HS256\"]\n{GRANT}"),
                "`algorithms`: expected `RS256`, `ES256` or `EdDSA`, not `HS256`",
            ),
            (
                format!("{ISSUER}algorithms = \"none\"\n{GRANT}"),
                "`algorithms`: expected `RS256`, `ES256` or `EdDSA`, not `none`",
            ),
            (
                format!("{ISSUER}{}", ISSUER.replace("issuer.ci", "issuer.ci2")),
                "issuer `ci` has the `issuer` of another one",
            ),
        ] {
            let told = read(&text).unwrap_err();
            assert!(told.contains(&expected.to_owned()), "{text}: {told:?}");
        }
    }
}
