//! People who log in to the dashboard at an `OpenID` provider, with a real small one: who gets in, who does not, and what is
//! told of it.

use headwater_server::settings::{Flags, IssuerSettings, load};
use headwater_tests::http::{Ask, Reply};
use headwater_tests::issuer::{Client, SigningKey, TestIssuer};
use headwater_tests::origin::TestOrigin;
use headwater_tests::server::{Stopped, TestServer};
use headwater_tests::wait::wait_for;
use serde_json::{Value, json};

use crate::issuers::now;
use crate::watch::set;

const PUBLIC: &str = "https://config.example.test";
const SECRET: &str = "a secret/with: marks, 0123456789";
const TARGET: &str = "/repos/default/commits?limit=5";

/// A service at which people log in by a provider.
struct House {
    issuer: TestIssuer,
    key: SigningKey,
    server: TestServer,
    _origin: TestOrigin,
}

/// A login as the browser has it that began it: what it keeps, and where it is sent.
struct Begun {
    kept: String,
    address: String,
}

impl House {
    fn new() -> Self {
        Self::with("client_secret_basic", Some(SECRET))
    }

    fn with(method: &'static str, secret: Option<&str>) -> Self {
        let key = SigningKey::new("k", "ES256");
        let (origin, issuer) = (TestOrigin::new(), TestIssuer::start(std::slice::from_ref(&key)));
        set(&origin, 1);
        issuer.knows(Client {
            id: "hw client".to_owned(),
            secret: secret.map(str::to_owned),
            method,
            redirect_uri: format!("{PUBLIC}/login/sso/callback"),
        });
        let issuers = settings(&issuer.url(), secret);
        let server = Stopped::of(origin.path().to_str().expect("a path"))
            .with(|settings| {
                settings.issuers = issuers;
                settings.public_url = Some(PUBLIC.to_owned());
            })
            .start();
        let house = Self {
            issuer,
            key,
            server,
            _origin: origin,
        };
        wait_for("the issuer's keys", || (house.issuer.fetches() > 0).then_some(()));
        wait_for("the first commit", || {
            (house.server.get("/readyz").status == 200).then_some(())
        });
        house.is(&json!({}));
        house
    }

    /// Whoever is at the provider is Ann, of whom it says something more or something else.
    fn is(&self, more: &Value) {
        let now = now();
        let mut person = json!({"sub": "ann", "groups": ["ops"], "iat": now, "exp": now + 60});
        for (name, value) in more.as_object().expect("claims") {
            person[name] = value.clone();
        }
        self.issuer.is_logged_in(&person);
    }

    fn begin(&self, query: &str) -> Begun {
        let sent = self.server.get(&format!("/login/sso?{query}")).expect(303);
        Begun {
            kept: pair(sent.must("set-cookie")),
            address: sent.must("location").to_owned(),
        }
    }

    /// Comes back from the provider, as the browser that keeps this.
    fn come_back(&self, back: &str, kept: Option<&str>) -> Reply {
        let target = back.strip_prefix(PUBLIC).expect("our own address");
        let ask = Ask::get(target).header("sec-fetch-site", "cross-site");
        self.server.ask(&match kept {
            Some(kept) => ask.header("cookie", kept),
            None => ask,
        })
    }

    fn log_in(&self, query: &str) -> Reply {
        let begun = self.begin(query);
        self.come_back(&self.issuer.log_in(&begun.address), Some(&begun.kept))
    }

    fn page(&self, session: &str) -> Reply {
        let ask = Ask::get(TARGET).header("accept", "text/html");
        self.server.ask(&ask.header("cookie", session))
    }
}

/// Nobody is logged in, and the page says why.
#[track_caller]
fn refuses(reply: Reply, status: u16, why: &str) {
    let reply = reply.expect(status);
    let text = reply.text();
    assert!(text.contains(why), "{why}: {text}");
    assert!(session(&reply).is_none(), "{reply:?}");
    assert!(
        text.contains("href=\"/login/sso?next="),
        "it can be begun again: {text}"
    );
    assert!(
        !text.contains("s3cret words") && !text.contains("code-"),
        "{text}"
    );
}

fn settings(url: &str, secret: Option<&str>) -> Vec<IssuerSettings> {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let secret_line = secret.map_or("", |_| "client_secret_env = \"OIDC_SECRET\"\n");
    let text = format!(
        "public_url = \"{PUBLIC}\"\n[issuer.sso]\nissuer = \"{url}\"\nclient_id = \"hw client\"\nsession_max = \"1h\"\n{secret_line}\
         [grant.ops]\nfrom = \"sso\"\nclaims = [\"groups=ops\"]\nrole = \"operator\"\n\
         [grant.dev]\nfrom = \"sso\"\nclaims = [\"groups=dev\"]\nrole = \"reader\"\nconfigs = [\"app\"]\n\
         [[repo]]\nurl = \"/srv/config\"\n"
    );
    std::fs::write(file.path(), text).expect("a file");
    let flags = Flags {
        file: Some(file.path().to_owned()),
        ..Flags::default()
    };
    let environment = [("OIDC_SECRET".to_owned(), secret.unwrap_or_default().to_owned())];
    load(&flags, &environment).expect("good settings").issuers
}

fn pair(cookie: &str) -> String {
    cookie.split(';').next().expect("a pair").to_owned()
}

/// The cookie of a session that an answer begins.
fn session(reply: &Reply) -> Option<&str> {
    let set = reply.headers.iter().filter(|(name, _)| name == "set-cookie");
    set.map(|(_, value)| value.as_str())
        .find(|cookie| cookie.starts_with("__Host-headwater_session=hw_"))
}

#[test]
fn a_person_logs_in_at_a_provider_sees_the_page_asked_for_and_logs_out() {
    for (method, secret) in [
        ("client_secret_basic", Some(SECRET)),
        ("client_secret_post", Some(SECRET)),
        ("none", None),
    ] {
        let house = House::with(method, secret);
        let form = house
            .server
            .get("/login?next=%2Frepos%2Fdefault%2Fcommits%3Flimit%3D5")
            .expect(200);
        let link = "href=\"/login/sso?next=%2Frepos%2Fdefault%2Fcommits%3Flimit%3D5\"";
        assert!(form.text().contains(link), "{}", form.text());
        let sent = house.server.get("/login/sso?next=%2Frepos").expect(303);
        let kept = sent.must("set-cookie");
        assert!(
            kept.starts_with("__Host-headwater_login=")
                && kept.ends_with("; Path=/; HttpOnly; SameSite=Lax; Max-Age=600; Secure"),
            "{kept}"
        );
        let done = house
            .log_in("next=%2Frepos%2Fdefault%2Fcommits%3Flimit%3D5")
            .expect(200);
        assert!(
            done.text().contains(&format!("content=\"0; url={TARGET}\"")),
            "{}",
            done.text()
        );
        assert_eq!(done.must("referrer-policy"), "no-referrer");
        let cookie = session(&done).expect("a session");
        // The token holds for a minute; the session for as long as the settings say.
        let (value, attributes) = cookie.split_once("; ").expect("attributes");
        assert!(
            attributes.starts_with("Path=/; HttpOnly; SameSite=Strict; Max-Age=3")
                && attributes.ends_with("; Secure"),
            "{attributes}"
        );
        let shown = house.page(value).expect(200).text();
        assert!(shown.contains("sso:ann") && shown.contains("operator"), "{shown}");
        // The cookie is none under its plain name, and no token.
        let plain = value.trim_start_matches("__Host-");
        house.page(plain).expect(303);
        let bearer = format!("Bearer {}", value.split_once('=').expect("a value").1);
        let ask = Ask::get("/v1/repos").header("authorization", &bearer);
        house.server.ask(&ask).expect(401);
        house
            .server
            .ask(&Ask::new("POST", "/logout").header("cookie", value))
            .expect(303);
        house.page(value).expect(303);
    }
}

#[test]
fn a_token_that_was_not_made_for_this_login_logs_nobody_in() {
    let house = House::new();
    let now = now();
    for (claims, why) in [
        (json!({"nonce": "another"}), "made for another login"),
        (json!({"nonce": null}), "made for another login"),
        (json!({"aud": "other"}), "its audience is not this one"),
        (
            json!({"aud": ["hw client", "other"]}),
            "its audience is not this one",
        ),
        (json!({"azp": "other"}), "its audience is not this one"),
        (
            json!({"iss": "https://evil.example.test"}),
            "of an issuer that is not known here",
        ),
        (
            json!({"iat": now - 900, "exp": now - 300}),
            "has no end, or lasts for longer",
        ),
        (
            json!({"groups": ["none"]}),
            "no grant of this service is for what it says",
        ),
        (
            json!({"groups": ["dev"]}),
            "this token is for a program, or for some configs alone",
        ),
    ] {
        house.is(&claims);
        refuses(house.log_in("next=%2F"), 403, why);
    }
    house.is(&json!({"aud": ["hw client", "other"], "azp": "hw client"}));
    house.log_in("next=%2F").expect(200);
    // Whoever has the provider's token has none of this service.
    let token = house.key.sign(&json!({"iss": house.issuer.url(), "aud": "hw client", "sub": "ann", "groups": ["ops"], "exp": now + 60}));
    let ask = Ask::get("/v1/repos").header("authorization", &format!("Bearer {token}"));
    house.server.ask(&ask).expect(401);
}

#[test]
fn an_answer_is_taken_once_and_only_from_the_browser_that_began() {
    let house = House::new();
    // The answer to somebody's own login, sent to another: his browser has begun none, or another.
    let (attackers, victims) = (house.begin("next=%2F"), house.begin("next=%2F"));
    let back = house.issuer.log_in(&attackers.address);
    refuses(house.come_back(&back, None), 403, "has not begun the login");
    refuses(
        house.come_back(&back, Some("__Host-headwater_login=AAAA")),
        403,
        "has not begun the login",
    );
    let tossed = attackers.kept.trim_start_matches("__Host-");
    refuses(
        house.come_back(&back, Some(tossed)),
        403,
        "has not begun the login",
    );
    let other = house.come_back(&back, Some(&victims.kept));
    assert_eq!(
        other
            .headers
            .iter()
            .filter(|(_, value)| value.contains("headwater_login=;"))
            .count(),
        0,
        "the own login goes on"
    );
    refuses(other, 403, "the answer is for another login");
    house
        .come_back(&house.issuer.log_in(&victims.address), Some(&victims.kept))
        .expect(200);
    // The same answer in the same browser is taken once.
    house.come_back(&back, Some(&attackers.kept)).expect(200);
    refuses(
        house.come_back(&back, Some(&attackers.kept)),
        403,
        "this login was used already",
    );
}

#[test]
fn an_answer_of_another_provider_or_a_doubtful_one_is_none() {
    let house = House::new();
    let with = |change: &dyn Fn(String) -> String| {
        let begun = house.begin("next=%2F");
        house.come_back(&change(house.issuer.log_in(&begun.address)), Some(&begun.kept))
    };
    let iss = "of another provider";
    refuses(with(&|back| back.replace("&iss=http", "&iss=https")), 403, iss);
    refuses(
        with(&|back| back.split("&iss=").next().expect("a part").to_owned()),
        403,
        iss,
    );
    refuses(with(&|back| back + "&code=code-1"), 403, iss);
    refuses(
        with(&|back| back.replace("code=", "error=access_denied&x=")),
        403,
        "it says `access_denied`",
    );
    refuses(with(&|back| back.replace("code=", "x=")), 400, "has no code");
    refuses(
        with(&|back| back.replace("code=", "code=x")),
        502,
        "does not take what it sent",
    );
    refuses(
        house.server.get("/login/other"),
        404,
        "nobody logs in with `other` here",
    );
    refuses(
        house.server.get("/login/other/callback?code=x"),
        404,
        "nobody logs in with",
    );
    let begun = house.begin("next=%2F");
    let back = house.issuer.log_in(&begun.address);
    house.issuer.breaks();
    refuses(
        house.come_back(&back, Some(&begun.kept)),
        502,
        "cannot be asked now",
    );
}

#[test]
fn a_login_leads_to_pages_of_this_service_alone() {
    let house = House::new();
    for hostile in [
        "https%3A%2F%2Fevil.example",
        "%2F%2Fevil.example",
        "%2F%5Cevil.example",
        "javascript%3Aalert(1)",
        "%2Fa%0D%0Aset-cookie%3A%20x",
    ] {
        let done = house.log_in(&format!("next={hostile}")).expect(200).text();
        assert!(done.contains("content=\"0; url=/\""), "{hostile}: {done}");
    }
    let done = house.log_in("next=%2Fa%22%3E%3Cscript%3E").expect(200).text();
    assert!(!done.contains("<script>"), "{done}");
}

#[test]
fn a_browser_that_comes_by_https_is_told_to_come_by_nothing_else() {
    let house = House::new();
    let told = house.server.get("/login").expect(200);
    assert_eq!(told.must("strict-transport-security"), "max-age=31536000");
    let open = TestServer::of(&TestOrigin::new());
    let told = open.get("/livez").expect(200);
    assert_eq!(told.header("strict-transport-security"), None);
}

#[test]
fn who_has_logged_in_long_ago_is_sent_to_the_provider_before_what_is_grave_and_comes_back_to_his_words() {
    let house = House::new();
    house.is(&json!({"auth_time": now() - 3_600}));
    let form = |session: &str| {
        let status = Ask::get("/v1/repos/default").header("cookie", session);
        let status = house.server.ask(&status).expect(200).json();
        let tip = status["tip"].as_str().expect("a tip").to_owned();
        let target = format!("/repos/default/accept?head={tip}&reason=we+meant+it");
        let ask = Ask::get(&target).header("accept", "text/html");
        house
            .server
            .ask(&ask.header("cookie", session))
            .expect(200)
            .text()
    };
    let old = house.log_in("next=%2F").expect(200);
    let old = pair(session(&old).expect("a session"));
    let asked = form(&old);
    assert!(!asked.contains("name=\"proof\""), "he has no token: {asked}");
    let (_, link) = asked
        .split_once("href=\"/login/sso?")
        .expect("a link to the provider");
    let (query, _) = link.split_once('"').expect("its end");
    let query = query.replace("&amp;", "&").replace("&#38;", "&");
    assert!(
        query.starts_with("prove=anew&next=%2Frepos%2Fdefault%2Faccept%3F"),
        "{query}"
    );
    // The provider's clock is a little ahead.
    house.is(&json!({"auth_time": now() + 30}));
    let back = house.log_in(&query).expect(200);
    assert!(back.text().contains("reason=we+meant+it"), "{}", back.text());
    let fresh = pair(session(&back).expect("a session"));
    assert!(!form(&fresh).contains("/login/sso?prove"));
}

#[test]
fn who_is_to_prove_himself_anew_must_have_done_so_just_now() {
    let house = House::new();
    let begun = house.begin("prove=anew");
    assert!(
        begun.address.contains("prompt=login&max_age=0"),
        "{}",
        begun.address
    );
    assert!(!house.begin("next=%2F").address.contains("prompt"));
    refuses(house.log_in("prove=anew"), 403, "has proved himself just now");
    house.is(&json!({"auth_time": now() - 3_600}));
    refuses(house.log_in("prove=anew"), 403, "has proved himself just now");
    house.is(&json!({"auth_time": now()}));
    let before = house.log_in("prove=anew").expect(200);
    let before = pair(session(&before).expect("a session"));
    // In a session, it is the same person, and the new session takes the place of the old one.
    let anew = |sub: &str| {
        house.is(&json!({"auth_time": now(), "sub": sub}));
        let ask = Ask::get("/login/sso?prove=anew").header("cookie", &before);
        let sent = house.server.ask(&ask).expect(303);
        let back = house.issuer.log_in(sent.must("location"));
        house.come_back(&back, Some(&pair(sent.must("set-cookie"))))
    };
    refuses(anew("mia"), 403, "somebody else has logged in");
    house.page(&before).expect(200);
    let after = anew("ann").expect(200);
    house.page(&before).expect(303);
    house.page(&pair(session(&after).expect("a session"))).expect(200);
}
