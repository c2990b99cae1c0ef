//! People at the dashboard: how they log in, what a page says of them, and what it offers them.

use std::time::Duration;

use headwater_tests::http::{Ask, Reply};

use crate::auth::House;

/// The form of the login page, as a browser has it.
struct LoginForm {
    cookie: String,
    form: String,
}

impl LoginForm {
    fn open(house: &House) -> Self {
        let page = house.server.get("/login").expect(200);
        let cookie = page.must("set-cookie").split(';').next().expect("a cookie");
        let html = page.text();
        let form = html.split("name=\"form\" value=\"").nth(1).expect("a field");
        Self {
            cookie: cookie.to_owned(),
            form: form.split('"').next().expect("a value").to_owned(),
        }
    }

    fn send(&self, house: &House, token: &str, cookie: Option<&str>) -> Reply {
        let body = format!(
            "token={token}&form={}&next=%2Frepos%2Fdefault%2Fcommits",
            self.form
        );
        let ask = Ask::new("POST", "/login").body("application/x-www-form-urlencoded", body.as_bytes());
        house.server.ask(&match cookie {
            Some(cookie) => ask.header("cookie", cookie),
            None => ask,
        })
    }
}

/// Logs somebody in, and gives the cookie of the session.
pub(super) fn log_in(house: &House, who: &str) -> String {
    let form = LoginForm::open(house);
    let done = form
        .send(house, &house.tokens[who], Some(&form.cookie))
        .expect(303);
    assert_eq!(done.must("location"), "/repos/default/commits");
    let cookie = done.must("set-cookie").split(';').next().expect("a cookie");
    cookie.to_owned()
}

pub(super) fn page(house: &House, cookie: &str, target: &str) -> Reply {
    let ask = Ask::get(target).header("accept", "text/html");
    house.server.ask(&ask.header("cookie", cookie))
}

#[test]
fn a_person_logs_in_with_a_token_and_out_again() {
    let house = House::with(&[]);
    let target = "/repos/default/commits?limit=5";
    let sent = page(&house, "a=b", target).expect(303);
    assert_eq!(
        sent.must("location"),
        "/login?next=%2Frepos%2Fdefault%2Fcommits%3Flimit%3D5"
    );
    let form = house.server.get(sent.must("location")).expect(200).text();
    assert!(
        form.contains("value=\"/repos/default/commits?limit=5\""),
        "{form}"
    );

    let form = LoginForm::open(&house);
    let refused = form.send(&house, "hw_nonsense", Some(&form.cookie)).expect(401);
    assert!(
        refused.text().contains("no token of this service"),
        "{}",
        refused.text()
    );
    let cookie = log_in(&house, "reader");
    assert!(
        !cookie.contains(&house.tokens["reader"]),
        "the cookie is not the token"
    );
    let shown = page(&house, &cookie, target).expect(200).text();
    assert!(
        shown.contains("v = 1"),
        "the page asks the API as whoever has logged in"
    );

    let order = Ask::new("POST", "/v1/repos/default/rollbacks").header("cookie", &cookie);
    house
        .server
        .ask(&order.body("application/json", b"{}"))
        .expect(403);
    house
        .server
        .ask(&Ask::new("POST", "/logout").header("cookie", &cookie))
        .expect(303);
    page(&house, &cookie, target).expect(303);
}

#[test]
fn nobody_is_logged_in_by_a_form_that_his_browser_was_not_given() {
    let house = House::with(&[]);
    let (form, other) = (LoginForm::open(&house), LoginForm::open(&house));
    for cookie in [None, Some(other.cookie.as_str()), Some("headwater-form=")] {
        let refused = form.send(&house, &house.tokens["operator"], cookie).expect(403);
        let given = refused.header("set-cookie").unwrap_or_default();
        assert!(!given.contains("headwater_session"), "{given}");
        assert!(
            refused.text().contains("not one that this browser was given"),
            "{}",
            refused.text()
        );
    }
    let token = &house.tokens["operator"];
    form.send(&house, token, Some(&form.cookie)).expect(303);
}

#[test]
fn a_page_says_who_looks_at_it_and_offers_what_he_may_order() {
    let house = House::with(&[("ann@example.org", &["--role", "operator"])]);
    let (reader, operator) = (log_in(&house, "reader"), log_in(&house, "ann@example.org"));
    let tip = house.get("reader", "/v1/repos/default").json()["tip"].clone();
    let tip = tip.as_str().expect("a tip");
    let commit = format!("/repos/default/commits/{tip}");
    let accept = format!("/repos/default/accept?head={tip}");

    let shown = page(&house, &operator, &commit).expect(200).text();
    assert!(
        shown.contains("ann@example.org <span class=\"quiet\">operator</span>"),
        "{shown}"
    );
    assert!(
        shown.contains("go back to it…") && !shown.contains("You may read"),
        "{shown}"
    );
    let form = page(&house, &operator, &accept).expect(200).text();
    assert!(form.contains("<form class=\"confirm\""), "{form}");

    let shown = page(&house, &reader, &commit).expect(200).text();
    assert!(
        shown.contains("reader <span class=\"quiet\">reader</span>"),
        "{shown}"
    );
    assert!(!shown.contains("go back to it…"), "{shown}");
    assert_eq!(shown.matches("You may read").count(), 1, "{shown}");
    // He may read what an order would do, and is given no form for it.
    let form = page(&house, &reader, &accept).expect(200).text();
    assert!(
        form.contains("no longer contains what is exposed") && !form.contains("<form class=\"confirm\""),
        "{form}"
    );
    let sent = Ask::new("POST", "/repos/default/accept")
        .header("accept", "text/html")
        .header("cookie", &reader)
        .body("application/x-www-form-urlencoded", b"reason=x");
    let refused = house.server.ask(&sent).expect(403).text();
    assert!(
        refused.contains("reader <span class=\"quiet\">reader</span>") && refused.contains("Log out"),
        "{refused}"
    );
}

/// A form to accept, as a browser with a session has it, and what it is sent with.
struct Accepting<'a> {
    house: &'a House,
    session: String,
    head: String,
}

impl Accepting<'_> {
    fn open(&self) -> String {
        let target = format!("/repos/default/accept?head={}", self.head);
        page(self.house, &self.session, &target).expect(200).text()
    }

    fn send(&self, proof: &str) -> Reply {
        let token = "0123456789abcdef0123456789abcdef";
        let body = format!(
            "token={token}&head={}&reason=we+meant+it&proof={proof}",
            self.head
        );
        let cookies = format!("{}; headwater-form={token}", self.session);
        let ask = Ask::new("POST", "/repos/default/accept").header("accept", "text/html");
        let ask = ask.header("cookie", &cookies);
        let ask = ask.body("application/x-www-form-urlencoded", body.as_bytes());
        self.house.server.ask(&ask)
    }

    /// The same order to the API, by the cookie alone.
    fn send_by_program(&self) -> Reply {
        let body = format!("{{\"head\": \"{}\", \"reason\": \"x\"}}", self.head);
        let ask = Ask::new("POST", "/v1/repos/default/accept").header("cookie", &self.session);
        self.house
            .server
            .ask(&ask.body("application/json", body.as_bytes()))
    }
}

#[test]
fn who_has_been_logged_in_for_long_proves_who_he_is_before_what_is_grave_and_loses_nothing_typed() {
    let house = House::set(&[], |settings| {
        settings.orders.reauth_after = Some(Duration::ZERO);
    });
    let head = house.get("reader", "/v1/repos/default").json()["tip"].clone();
    let accepting = Accepting {
        session: log_in(&house, "operator"),
        head: head.as_str().expect("a tip").to_owned(),
        house: &house,
    };
    assert!(accepting.open().contains("name=\"proof\" type=\"password\""));
    let bare = accepting.send("").expect(401).text();
    assert!(
        bare.contains("it is long ago that you proved who you are") && bare.contains("value=\"we meant it\""),
        "{bare}"
    );
    let others = accepting.send(&house.tokens["admin"]).expect(401).text();
    assert!(
        others.contains("the token is of `admin`, and `operator` has logged in"),
        "{others}"
    );
    assert!(!others.contains(&house.tokens["admin"]), "no page shows a token");
    let refused = accepting.send_by_program().expect(401).text();
    assert!(
        refused.contains("it is long ago that this session proved"),
        "{refused}"
    );
    // The order comes to where it is judged: this head is followed already.
    let own = accepting.send(&house.tokens["operator"]);
    assert_ne!(own.status, 401, "{}", own.text());
}

#[test]
fn who_has_just_logged_in_is_not_asked_again() {
    let house = House::with(&[]);
    let head = house.get("reader", "/v1/repos/default").json()["tip"].clone();
    let accepting = Accepting {
        session: log_in(&house, "operator"),
        head: head.as_str().expect("a tip").to_owned(),
        house: &house,
    };
    assert!(!accepting.open().contains("name=\"proof\""));
    assert_ne!(accepting.send_by_program().status, 401);
}
