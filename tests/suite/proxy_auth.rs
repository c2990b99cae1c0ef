//! People whom a proxy in front has asked who they are: for whom its header counts, who is recorded, and what it is no
//! way round.

use headwater_server::settings::{Flags, ProxyAuthSettings, load};
use headwater_tests::http::{Ask, Reply};
use headwater_tests::origin::TestOrigin;
use headwater_tests::server::{Stopped, TestServer};
use headwater_tests::wait::wait_for;

use crate::watch::set;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// A service that believes a proxy, and nobody else.
struct House {
    server: TestServer,
    _origin: TestOrigin,
}

impl House {
    /// Behind a proxy at this address.
    fn behind(from: &str) -> Self {
        let origin = TestOrigin::new();
        let first = set(&origin, 1);
        let proxy = settings(from);
        let server = Stopped::of(origin.path().to_str().expect("a path"))
            .with(|settings| settings.proxy_auth = Some(proxy))
            .start();
        let house = Self {
            server,
            _origin: origin,
        };
        if from.starts_with("127.") {
            wait_for("the first commit", || {
                let repo = house.send("ann", "ops", Ask::get("/v1/repos/default"));
                (repo.status == 200 && repo.json()["tip"] == first.to_string()).then_some(())
            });
        }
        house
    }

    /// As the proxy sends it on.
    fn send(&self, user: &str, groups: &str, ask: Ask) -> Reply {
        let ask = ask
            .header("x-forwarded-user", user)
            .header("x-proxy-secret", SECRET);
        self.server.ask(&ask.header("x-forwarded-groups", groups))
    }

    fn get(&self, headers: &[(&str, &str)], target: &str) -> Reply {
        let ask = headers
            .iter()
            .fold(Ask::get(target), |ask, (name, value)| ask.header(name, value));
        self.server.ask(&ask)
    }
}

fn settings(from: &str) -> ProxyAuthSettings {
    let dir = tempfile::tempdir().expect("a directory");
    let (file, secret) = (dir.path().join("settings.toml"), dir.path().join("secret"));
    std::fs::write(&secret, SECRET).expect("a file");
    let text = format!(
        r#"
[proxy_auth]
from = ["{from}"]
user_header = "X-Forwarded-User"
groups_header = "X-Forwarded-Groups"
secret_header = "X-Proxy-Secret"
secret_file = "{}"

[grant.ops]
from = "proxy"
claims = ["groups=ops"]
role = "operator"

[grant.people]
from = "proxy"
claims = ["user=*@acme.test"]
role = "reader"

[[repo]]
url = "/srv/config"
"#,
        secret.display()
    );
    std::fs::write(&file, text).expect("a file");
    let flags = Flags {
        file: Some(file),
        ..Flags::default()
    };
    load(&flags, &[])
        .expect("good settings")
        .proxy_auth
        .expect("a proxy")
}

#[test]
fn whom_the_proxy_names_may_do_what_the_first_grant_says_that_fits() {
    let house = House::behind("127.0.0.0/8");
    let read = |user: &str, groups: &str| house.send(user, groups, Ask::get("/v1/repos"));
    read("ann", "all, ops").expect(200);
    read("mia@acme.test", "all").expect(200);
    let nobody = read("mallory", "all").expect(403);
    assert_eq!(nobody.code(), "forbidden");
    let order = |user: &str, groups: &str| {
        let body = br#"{"reason":"the proxy says who I am","mode":"tree","to":"HEAD"}"#;
        let ask = Ask::new("POST", "/v1/repos/default/rollbacks").body("application/json", body);
        house.send(user, groups, ask)
    };
    let refused = order("mia@acme.test", "all").expect(403);
    assert_eq!(
        refused.json()["detail"],
        "`proxy:mia@acme.test` has the role `reader`"
    );
    assert!(!order("ann", "ops").text().contains("has the role"));
    // A token counts more, and a wrong one is not made good by the header.
    let token = Ask::get("/v1/repos").header("authorization", "Bearer hw_x");
    house.send("ann", "ops", token).expect(401);
}

#[test]
fn the_header_is_no_way_in_for_anybody_else() {
    let (house, elsewhere) = (House::behind("127.0.0.1"), House::behind("10.0.0.5"));
    let ann = [("x-forwarded-user", "ann"), ("x-forwarded-groups", "ops")];
    let proof = ("x-proxy-secret", SECRET);
    let why = |house: &House, headers: &[(&str, &str)]| {
        let told = house.get(headers, "/v1/repos").expect(401).json();
        told["detail"].as_str().expect("a reason").to_owned()
    };
    let with = |more: &[(&'static str, &'static str)]| [&ann, more].concat();
    let said = [
        why(&house, &[]),
        why(&house, &ann),
        why(
            &house,
            &with(&[("x-proxy-secret", "fedcba9876543210fedcba9876543210")]),
        ),
        why(&house, &with(&[proof, ("x-forwarded-user", "root")])),
        why(&house, &with(&[proof, ("x-forwarded-groups", "admins")])),
        why(&elsewhere, &with(&[proof])),
        why(&elsewhere, &with(&[proof, ("x-forwarded-for", "10.0.0.5")])),
    ];
    insta::assert_snapshot!(said.join("\n"), @r"
    the request carries no token
    a header says who asks, and the proxy has not shown that it may say so
    a header says who asks, and the proxy has not shown that it may say so
    the header that says who asks, or for which groups, names several: it is there twice, or has a comma
    the header that says who asks, or for which groups, names several: it is there twice, or has a comma
    a header says who asks, and the connection is of no proxy that may say so
    a header says who asks, and the connection is of no proxy that may say so
    ");
    // Probes are answered whatever a header says.
    elsewhere.get(&with(&[]), "/livez").expect(200);
}

#[test]
fn the_dashboard_needs_no_login_says_who_looks_and_takes_no_form_of_another_site() {
    let house = House::behind("127.0.0.1");
    let page = |user: &str, groups: &str| {
        house.send(
            user,
            groups,
            Ask::get("/repos/default").header("accept", "text/html"),
        )
    };
    let ann = page("ann", "ops").expect(200).text();
    assert!(ann.contains("proxy:ann") && ann.contains("operator"), "{ann}");
    assert!(!ann.contains("Log out"));
    let mia = page("mia@acme.test", "").expect(200).text();
    assert!(mia.contains("You may read"), "{mia}");
    // Whoever is known and may nothing is told so, and not sent to log in again and again.
    assert!(page("mallory", "").expect(403).text().contains("no grant"));
    let form = |more: (&str, &str)| {
        let ask = Ask::new("POST", "/repos/default/accept").header(more.0, more.1);
        let ask = ask.body("application/x-www-form-urlencoded", b"reason=x&token=");
        house.send("ann", "ops", ask).expect(403)
    };
    form(("sec-fetch-site", "cross-site"));
    form(("origin", "https://evil.example"));
    // A form of this site, without the cookie that the browser was given with it.
    form(("sec-fetch-site", "same-origin"));
}
