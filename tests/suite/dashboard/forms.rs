//! Forms: what people do, and what nobody else can do for them.

use super::*;

use crate::rollback::{holds, length};

/// A form as a browser has it: its token, the cookie that came with it, and what it hides.
struct Form {
    action: String,
    cookie: String,
    fields: Vec<(String, String)>,
}

impl Form {
    fn open(server: &TestServer, target: &str) -> Self {
        Self::of(&page(server, target).expect(200))
    }

    fn of(reply: &Reply) -> Self {
        let html = reply.text();
        let form = html.split("<form class=\"confirm\"").nth(1).expect("a form");
        let form = form.split("</form>").next().unwrap();
        let of = |text: &str, name: &str| {
            let value = text.split(&format!("{name}=\"")).nth(1)?.split('"').next()?;
            Some(value.replace("&amp;", "&"))
        };
        let hidden = form.split("<input type=\"hidden\"").skip(1);
        Self {
            action: of(form, "action").unwrap(),
            cookie: reply.must("set-cookie").split(';').next().unwrap().to_owned(),
            fields: hidden
                .map(|input| (of(input, "name").unwrap(), of(input, "value").unwrap()))
                .collect(),
        }
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    fn ask(&self) -> Ask {
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(&self.fields);
        Ask::new("POST", &self.action).body("application/x-www-form-urlencoded", body.finish().as_bytes())
    }

    /// Sends it as the browser does that it was given to.
    fn send(&self, server: &TestServer) -> Reply {
        self.ask()
            .header("cookie", &self.cookie)
            .header("sec-fetch-site", "same-origin")
            .send(server.addr())
    }
}

fn order(site: &Site, order: &str) -> Reply {
    Form::open(&site.server, &format!("{}/{order}", site.rollout()))
        .with("reason", "because <b>")
        .with("by", "Mia <mia@example.test>")
        .send(&site.server)
}

fn state(site: &Site) -> Value {
    crate::rollout::rollout(&site.server)["state"].clone()
}

#[test]
fn a_rollout_is_paused_resumed_promoted_and_aborted_by_forms() {
    let mut site = Site::new();
    let rollout = site.rollout();
    let paused = order(&site, "pause");
    assert_eq!(
        (paused.status, paused.header("location")),
        (303, Some(rollout.as_str()))
    );
    assert_eq!(state(&site), "paused");
    let told = page(&site.server, &rollout).text();
    assert!(
        told.contains("because &lt;b&gt;") && told.contains("Mia"),
        "{told}"
    );
    assert_eq!(order(&site, "resume").status, 303);
    assert_ne!(state(&site), "paused");
    assert_eq!(order(&site, "promote").status, 303);
    let addr = site.server.addr();
    until(addr, &mut site.programs, "all have it", all_run(2));
    // One that does not say who he is is somebody all the same.
    let unnamed = Form::open(&site.server, &format!("{rollout}/abort")).with("reason", "it is bad");
    assert_eq!(unnamed.send(&site.server).status, 303);
    until(addr, &mut site.programs, "all are back", all_run(1));
    let told = page(&site.server, &rollout).text();
    assert!(told.contains("somebody, not named"), "{told}");
    let audit = page(&site.server, "/repos/default/audit").text();
    for said in [
        "pause the rollout of app to",
        "Mia &lt;mia@example.test&gt;",
        "because: because &lt;b&gt;",
        "abort the rollout of app to",
        "somebody, not named",
        "because: it is bad",
    ] {
        assert!(audit.contains(said), "`{said}` is not in {audit}");
    }
}

#[test]
fn a_form_that_is_sent_twice_or_was_open_for_long_promotes_no_stage_that_it_did_not_show() {
    let site = Site::new();
    let target = format!("{}/promote", site.rollout());
    let open = || Form::open(&site.server, &target).with("reason", "looks well");
    let (form, open_for_long) = (open(), open());
    form.send(&site.server).expect(303);
    for stale in [form, open_for_long] {
        let refused = stale.send(&site.server).expect(409);
        let text = refused.text();
        assert!(text.contains("has gone on since it was looked at"), "{text}");
        // The page shows what is so now, and its form is for that.
        let steps = |form: &Form| {
            form.fields
                .iter()
                .find(|(name, _)| name == "expected_steps")
                .cloned()
        };
        assert_ne!(steps(&Form::of(&refused)), steps(&stale));
    }
    let told = site
        .server
        .get(&format!("/v1{}", site.rollout()))
        .expect(200)
        .json();
    let steps = told["timeline"].as_array().unwrap().iter();
    assert_eq!(
        steps.filter(|step| step["step"] == "promote").count(),
        1,
        "{told}"
    );
}

#[test]
fn an_order_that_does_not_fit_is_shown_above_the_same_form_with_what_was_typed() {
    let site = Site::new();
    let refused = order(&site, "resume").expect(409).text();
    assert!(refused.contains("does not take that order now"), "{refused}");
    assert!(refused.contains("value=\"because &lt;b&gt;\""), "{refused}");
    let form = Form::open(&site.server, &format!("{}/pause", site.rollout()));
    let silent = form.send(&site.server).expect(400).text();
    assert!(silent.contains("the reason is missing"), "{silent}");
}

#[test]
fn going_back_and_releasing_the_hold_are_forms_too() {
    let mut site = Site::new();
    let good = set(&site.origin, 3);
    site.server.until_head(&good, "published");
    // What the branch refuses stays held until a person decides.
    site.origin.hook("pre-receive", "echo no; exit 1");
    let back = Form::open(
        &site.server,
        &format!("/repos/default/rollback?to={}", site.first),
    );
    assert!(
        back.fields
            .contains(&("expected_tip".to_owned(), good.to_string()))
    );
    let done = back.with("reason", "it broke").send(&site.server).expect(303);
    let told = page(&site.server, done.must("location")).expect(200).text();
    assert!(
        told.contains("it broke") && told.contains("not in Git yet"),
        "{told}"
    );
    let addr = site.server.addr();
    until(addr, &mut site.programs, "all are back", all_run(1));
    let held = holds(&site.server);
    let id = held[0]["id"].as_str().unwrap();
    let fleet = page(&site.server, "/repos/default").text();
    assert!(
        fleet.contains("Held back") && fleet.contains("release…"),
        "{fleet}"
    );
    let release = Form::open(&site.server, &format!("/repos/default/holds/{id}/release"));
    let released = release
        .with("reason", "mended")
        .with("by", "Ada")
        .send(&site.server);
    assert_eq!(
        (released.status, released.header("location")),
        (303, Some("/repos/default"))
    );
    assert!(holds(&site.server).is_empty());
    let audit = page(&site.server, "/repos/default/audit").text();
    for said in [
        "lets come again what rollback",
        "<td>Ada</td>",
        "because: mended",
        "because: it broke",
    ] {
        assert!(audit.contains(said), "`{said}` is not in {audit}");
    }
}

#[test]
fn a_rollback_that_was_looked_at_before_the_branch_moved_does_nothing() {
    let site = Site::new();
    let form = Form::open(
        &site.server,
        &format!("/repos/default/rollback?to={}", site.first),
    );
    let newer = set(&site.origin, 4);
    site.server.until_head(&newer, "published");
    let before = length(&site.origin);
    let refused = form
        .with("reason", "it broke")
        .send(&site.server)
        .expect(409)
        .text();
    assert!(refused.contains("the tip is another one now"), "{refused}");
    assert_eq!(length(&site.origin), before);
}

#[test]
fn a_rewritten_history_is_accepted_by_a_form() {
    let site = Site::new();
    site.origin.force_reset("main", &site.first);
    let other = set(&site.origin, 7);
    site.server.until_head(&other, "held");
    let fleet = page(&site.server, "/repos/default").text();
    assert!(fleet.contains("accept the new history…"), "{fleet}");
    let form = Form::open(&site.server, &format!("/repos/default/accept?head={other}"));
    form.with("reason", "we meant it")
        .with("by", "Mia")
        .send(&site.server)
        .expect(303);
    wait_for("it is followed", || {
        (site.server.repo()["tip"] == other.to_string()).then_some(())
    });
    let audit = page(&site.server, "/repos/default/audit").text();
    assert!(
        audit.contains("takes a rewritten history") && audit.contains("<td>Mia</td>"),
        "{audit}"
    );
}

#[test]
fn a_form_is_taken_from_this_service_and_this_browser_alone() {
    let site = Site::new();
    let form = || Form::open(&site.server, &format!("{}/pause", site.rollout())).with("reason", "why");
    let without_cookie = form().ask().send(site.server.addr());
    assert_eq!(without_cookie.status, 403);
    let other = format!("headwater-form={}", "0".repeat(32));
    let others_cookie = form().ask().header("cookie", &other).send(site.server.addr());
    assert_eq!(others_cookie.status, 403);
    let form = form();
    let mine = form.ask().header("cookie", &form.cookie);
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "http://evil.test"),
        ("origin", "null"),
    ] {
        let reply = mine.clone().header(name, value).send(site.server.addr());
        assert_eq!(reply.status, 403, "{name}: {value}");
    }
    assert_ne!(state(&site), "paused");
    let cookie = page(&site.server, &format!("{}/pause", site.rollout()));
    let cookie = cookie.must("set-cookie");
    assert!(
        cookie.contains("SameSite=Strict") && cookie.contains("HttpOnly"),
        "{cookie}"
    );
}

#[test]
fn looking_does_nothing() {
    let site = Site::new();
    let before = (state(&site), length(&site.origin));
    for order in ["promote", "pause", "resume", "abort", "no-such-order"] {
        page(&site.server, &format!("{}/{order}?reason=x&by=y", site.rollout()));
    }
    page(
        &site.server,
        &format!("/repos/default/rollback?to={}&reason=x", site.first),
    );
    assert_eq!((state(&site), length(&site.origin)), before);
}
