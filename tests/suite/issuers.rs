//! Tokens of an issuer: who is let in by them, who is not and why, and how the issuer's keys come and go.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use headwater_server::settings::{Flags, IssuerSettings, load};
use headwater_tests::http::{Ask, Reply};
use headwater_tests::issuer::{SigningKey, TestIssuer, unsigned};
use headwater_tests::origin::TestOrigin;
use headwater_tests::server::{Stopped, TestServer};
use headwater_tests::sse::Events;
use headwater_tests::wait::wait_for;
use serde_json::{Value, json};

use crate::watch::set;

const GRANTS: &str = r#"
[grant.ops]
from = "sso"
claims = ["groups=ops"]
role = "operator"

[grant.mail]
from = "sso"
claims = ["email=*@acme.test"]
role = "reader"

[grant.payments]
from = "sso"
claims = ["groups=dev-*", "team=payments"]
role = "instance"
configs = ["payments/*"]
"#;

/// A service that takes the word of an issuer, and nobody else's.
struct House {
    issuer: TestIssuer,
    server: TestServer,
    _origin: TestOrigin,
}

impl House {
    fn of(keys: &[SigningKey]) -> Self {
        let (origin, issuer) = (TestOrigin::new(), TestIssuer::start(keys));
        let first = set(&origin, 1);
        let issuers = settings(&issuer.url());
        let server = Stopped::of(origin.path().to_str().expect("a path"))
            .with(|settings| settings.issuers = issuers)
            .start();
        let house = Self {
            issuer,
            server,
            _origin: origin,
        };
        wait_for("the issuer's keys", || (house.issuer.fetches() > 0).then_some(()));
        wait_for("the first commit", || {
            let repo = house.get(&keys[0].sign(&house.says("ops")), "/v1/repos/default");
            (repo.status == 200 && repo.json()["tip"] == first.to_string()).then_some(())
        });
        house
    }

    /// What a good token of somebody in a group says.
    fn says(&self, group: &str) -> Value {
        let now = now();
        json!({
            "iss": self.issuer.url(), "aud": ["other", "headwater"], "sub": "ann@example.org", "groups": ["all", group],
            "team": "payments", "iat": now, "exp": now + 600,
        })
    }

    fn get(&self, token: &str, target: &str) -> Reply {
        let bearer = format!("Bearer {token}");
        self.server
            .ask(&Ask::get(target).header("authorization", &bearer))
    }

    fn why(&self, token: &str) -> String {
        let refused = self.get(token, "/v1/repos").expect(401).json();
        refused["detail"].as_str().expect("a reason").to_owned()
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "tokens hold by the clock of the service, which is that of the machine"
)]
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(since.expect("a time").as_secs()).expect("a time")
}

fn settings(url: &str) -> Vec<IssuerSettings> {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let issuer = format!("[issuer.sso]\nissuer = \"{url}\"\naudience = \"headwater\"\n");
    let text = format!("{issuer}{GRANTS}[[repo]]\nurl = \"/srv/config\"\n");
    std::fs::write(file.path(), text).expect("a file");
    let flags = Flags {
        file: Some(file.path().to_owned()),
        ..Flags::default()
    };
    load(&flags, &[]).expect("good settings").issuers
}

#[test]
fn a_token_of_an_issuer_lets_its_holder_do_what_the_first_grant_says_that_fits() {
    let keys = ["RS256", "ES256", "EdDSA"].map(|algorithm| SigningKey::new(algorithm, algorithm));
    let house = House::of(&keys);
    for key in &keys {
        house.get(&key.sign(&house.says("ops")), "/v1/repos").expect(200);
        let bound = key.sign(&house.says("dev-7"));
        house.get(&bound, "/v1/repos").expect(403);
        house.get(&bound, "/v1/repos/default/configs/app").expect(403);
        house
            .get(&bound, "/v1/repos/default/configs/payments/x")
            .expect(404);
    }
    // A mail address counts only where its issuer has verified it, and is asked for only where it counts.
    let mail = |verified: bool| {
        let mut claims = house.says("none");
        claims["email"] = "mia@acme.test".into();
        claims["email_verified"] = verified.into();
        keys[0].sign(&claims)
    };
    house.get(&mail(true), "/v1/repos").expect(200);
    house.get(&mail(false), "/v1/repos").expect(401);
    // Nobody else is let in, also not by a token of this service.
    house.server.get("/v1/repos").expect(401);
    // Who it is of is told where it is recorded and where it is refused.
    let told = house.get(&keys[0].sign(&house.says("dev-7")), "/v1/repos").json();
    assert_eq!(
        told["detail"], "`sso:ann@example.org` has the role `instance`",
        "{told}"
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "the table is all of it")]
fn a_token_that_is_wrong_in_any_way_lets_nobody_in() {
    let (rsa, ec) = (SigningKey::new("r", "RS256"), SigningKey::new("e", "ES256"));
    let house = House::of(&[rsa.clone(), ec.clone()]);
    let good = house.says("ops");
    let but = |changes: Value| {
        let mut claims = good.clone();
        for (name, value) in changes.as_object().expect("changes") {
            claims[name] = value.clone();
        }
        claims
    };
    let without = |name: &str| {
        let mut claims = good.clone();
        claims.as_object_mut().expect("claims").remove(name);
        claims
    };
    let signed = |claims: &Value| ec.sign(claims);
    let now = now();
    let unknown = SigningKey::new("e", "ES256");
    let unsigned_token = format!("{}.", unsigned(&json!({"alg": "none"}), &good));
    let secret = rsa.public()["n"].as_str().expect("a number").to_owned();
    let hmac = {
        let signed = unsigned(&json!({"alg": "HS256", "kid": "r"}), &good);
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret.as_bytes());
        let tag = aws_lc_rs::hmac::sign(&key, signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
    };
    let mut changed = signed(&good);
    changed.replace_range(changed.rfind('.').expect("a part") + 1.., "AAAA");
    let tokens = [
        ("alg none", unsigned_token),
        ("a public key as a secret", hmac),
        (
            "the key of another algorithm",
            ec.sign_under(&json!({"alg": "RS256", "kid": "e"}), &good),
        ),
        ("another key of that name", unknown.sign(&good)),
        ("a key nobody knows", SigningKey::new("x", "EdDSA").sign(&good)),
        ("no signature", changed),
        (
            "an extension",
            ec.sign_under(
                &json!({"alg": "ES256", "kid": "e", "crit": ["b64"], "b64": false}),
                &good,
            ),
        ),
        (
            "another issuer",
            signed(&but(json!({"iss": "https://evil.example.test"}))),
        ),
        ("another audience", signed(&but(json!({"aud": "other"})))),
        ("no audience", signed(&without("aud"))),
        (
            "expired",
            signed(&but(json!({"iat": now - 900, "exp": now - 300}))),
        ),
        ("without an end", signed(&without("exp"))),
        ("an end that is no time", signed(&but(json!({"exp": "never"})))),
        ("for a year", signed(&but(json!({"exp": now + 365 * 86_400})))),
        (
            "for a year, said to be issued then",
            signed(&but(
                json!({"iat": now + 365 * 86_400 - 60, "exp": now + 365 * 86_400}),
            )),
        ),
        ("not yet", signed(&but(json!({"nbf": now + 600})))),
        ("nobody's", signed(&without("sub"))),
        ("a name with a line", signed(&but(json!({"sub": "a\nb"})))),
        ("no grant", signed(&but(json!({"groups": ["all"]})))),
        (
            "half a grant",
            signed(&but(json!({"groups": ["dev-7"], "team": "web"}))),
        ),
        ("nonsense", "a.b.c".to_owned()),
    ];
    let told: BTreeMap<&str, String> = tokens
        .iter()
        .map(|(what, token)| (*what, house.why(token)))
        .collect();
    let (algorithm, key) = (
        "by an algorithm that is not taken",
        "by a key that its issuer does not have",
    );
    let expected = [
        ("alg none", algorithm),
        ("a public key as a secret", algorithm),
        ("the key of another algorithm", algorithm),
        ("another key of that name", "signature is wrong"),
        ("a key nobody knows", key),
        ("no signature", "signature is wrong"),
        ("an extension", "extensions that are not understood"),
        ("another issuer", "of an issuer that is not known"),
        ("another audience", "meant for another service"),
        ("no audience", "meant for another service"),
        ("expired", "has expired"),
        ("without an end", "has no end"),
        ("an end that is no time", "neither a token of this service nor"),
        ("for a year", "lasts for longer"),
        ("for a year, said to be issued then", "does not hold yet"),
        ("not yet", "does not hold yet"),
        ("nobody's", "does not say whose it is"),
        ("a name with a line", "does not say whose it is"),
        ("no grant", "no grant of this service"),
        ("half a grant", "no grant of this service"),
        ("nonsense", "neither a token of this service nor"),
    ];
    assert_eq!(expected.len(), tokens.len());
    for (what, expected) in expected {
        assert!(told[what].contains(expected), "{what}: {}", told[what]);
    }
    house.get(&signed(&good), "/v1/repos").expect(200);
}

#[test]
fn a_new_key_is_found_when_it_is_first_used_and_what_a_withdrawn_one_opened_ends() {
    let (old, new) = (SigningKey::new("old", "EdDSA"), SigningKey::new("new", "EdDSA"));
    let house = House::of(std::slice::from_ref(&old));
    let token = old.sign(&house.says("ops"));
    let ask = Ask::get("/v1/repos/default/events?config=app");
    let open = Events::open(
        house.server.addr(),
        &ask.header("authorization", &format!("Bearer {token}")),
    );
    open.until("its first event", |events| !events.is_empty());
    let before = house.issuer.fetches();

    house.issuer.has(std::slice::from_ref(&new));
    house.get(&new.sign(&house.says("ops")), "/v1/repos").expect(200);
    wait_for("the stream to end", || open.ended().then_some(()));
    assert!(house.why(&token).contains("does not have, or not any more"));

    // Whoever sends one unknown key after the other does not make us ask for each.
    for number in 0..40 {
        let unknown = SigningKey::new(&format!("u{number}"), "EdDSA");
        house.why(&unknown.sign(&house.says("ops")));
    }
    let asked = house.issuer.fetches() - before;
    assert!(asked <= 3, "{asked} fetches for 42 tokens");
}

#[test]
fn the_keys_that_are_known_hold_while_the_issuer_cannot_be_asked() {
    let key = SigningKey::new("a", "ES256");
    let house = House::of(std::slice::from_ref(&key));
    house.issuer.breaks();
    house.why(&SigningKey::new("b", "ES256").sign(&house.says("ops")));
    house.get(&key.sign(&house.says("ops")), "/v1/repos").expect(200);
}
