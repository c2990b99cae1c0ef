//! Pages, as they come over HTTP: whole, inert, and saying what people look for.

use super::*;

use std::path::Path;

use headwater_tests::server::Stopped;
use headwater_tests::wait::wait_until;
use serde_json::Value;

/// Nothing in a page is run or styled that is not a file of the service, and whoever wrote a text, it stays one.
fn assert_inert(target: &str, html: &str) {
    for script in html.split("<script").skip(1) {
        assert!(script.starts_with(" src=\"/assets/"), "{target}: <script{script}");
    }
    let lower = html.to_ascii_lowercase();
    for word in [
        "<style",
        " style=",
        "javascript:",
        "<img src=x",
        "<iframe",
        "http-equiv",
        "hx-on",
    ] {
        assert!(!lower.contains(word), "{target} has `{word}`");
    }
    let tags = html.split('<').skip(1).filter_map(|tag| tag.split('>').next());
    for tag in tags {
        // What stands between quotes is a value, whatever it says.
        let handler = tag
            .split('"')
            .step_by(2)
            .flat_map(str::split_whitespace)
            .find(|part| part.starts_with("on") && part.contains('='));
        assert!(handler.is_none(), "{target}: {tag}");
    }
    let steers = |c: char| {
        matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
            || (c.is_control() && c != '\n' && c != '\t')
    };
    assert!(
        !html.contains(steers),
        "{target} has a character that is not seen"
    );
}

/// Who listens to a page goes from heading to heading and finds no step left out, and every table says what it is of.
fn assert_can_be_listened_to(target: &str, html: &str) {
    let level = |rest: &str| match rest.as_bytes() {
        [level @ b'1'..=b'6', b'>' | b' ', ..] => Some(u32::from(level - b'0')),
        _ => None,
    };
    let levels: Vec<u32> = html.split("<h").skip(1).filter_map(level).collect();
    let first = levels.iter().filter(|level| **level == 1).count();
    let is_whole = levels.windows(2).all(|two| two[1] <= two[0] + 1);
    assert!(first == 1 && is_whole, "{target}: {levels:?}");
    assert!(!html.contains("<table>"), "{target} has a table without a name");
    let cells = html.matches("<th ").count();
    assert_eq!(cells, html.matches("<th scope=").count(), "{target}");
}

#[test]
fn every_page_is_whole_without_script_and_whatever_others_wrote_in_it_is_inert() {
    let site = Site::new();
    for (name, target) in site.pages() {
        let reply = page(&site.server, &target);
        assert_eq!(
            reply.status,
            if name == "problem" { 404 } else { 200 },
            "{target}: {}",
            reply.text()
        );
        let policy = reply.must("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'"),
            "{policy}"
        );
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(reply.must("x-content-type-options"), "nosniff");
        assert_eq!(reply.must("cache-control"), "no-store");
        let html = reply.text();
        assert_inert(&target, &html);
        assert_can_be_listened_to(&target, &html);
        assert!(html.contains("<h1>") && html.ends_with("</html>"), "{target}");
    }
    let told = |target: &str| page(&site.server, target).text();
    let rejected = told(&format!("/repos/default/commits/{}", site.rejected));
    assert!(
        rejected.contains("&lt;script&gt;alert(1)&lt;/script&gt;"),
        "{rejected}"
    );
    assert!(rejected.contains("\\u{202e}evil"), "{rejected}");
    let named = told(&format!("/repos/default/commits/{}", site.odd));
    assert!(named.contains("&lt;b&gt;\\u{202e}txt.exe"), "{named}");
    let odd = told("/repos/default/instances/odd-1");
    assert!(odd.contains("zone=&lt;b&gt;a&lt;/b&gt;"), "{odd}");
}

/// Gives an order, or asks for a rollback, with words that nobody should use, and tells what is answered.
fn post(site: &Site, target: &str, also: &Value) -> Value {
    // What cannot be seen is refused there.
    let text: String = HOSTILE.chars().filter(char::is_ascii).collect();
    let name = "M\" onclick='x' &amp; M <m@example.test>";
    let mut body = json!({"reason": text, "requested_by": name});
    body.as_object_mut()
        .unwrap()
        .extend(also.as_object().unwrap().clone());
    let ask = Ask::new("POST", &format!("/v1/repos/default{target}"));
    let reply = ask
        .body("application/json", body.to_string().as_bytes())
        .send(site.server.addr());
    assert!(reply.status < 300, "{target}: {}", reply.text());
    reply.json()
}

/// The pages beside those of [`Site::pages`], with hostile text in all that a form or an address takes.
fn hostile_pages(site: &Site) -> Vec<String> {
    let rollout = site.rollout();
    post(
        site,
        &format!("{}/pause", rollout.replace("/repos/default", "")),
        &json!({}),
    );
    // Refused by the branch, so that it stays what a person must decide.
    site.origin.hook("pre-receive", "echo '<b>no</b>'; exit 1");
    let back = post(site, "/rollbacks", &json!({"to": site.first}));
    let held = crate::rollback::holds(&site.server);
    let at = |page: String| format!("/repos/default{page}");
    let text = form_urlencoded::byte_serialize(HOSTILE.as_bytes()).collect::<String>();
    let mut pages = vec![
        at(format!("/rollbacks/{}", back["id"].as_str().unwrap())),
        at(format!(
            "/holds/{}/release?reason={text}",
            held[0]["id"].as_str().unwrap()
        )),
        at(format!("/accept?head={}&reason={text}&by={text}", site.rejected)),
        at("/rollbacks".to_owned()),
        at(format!("/rollback?to={text}")),
        at(format!("/rollback?to={}&reason={text}&by={text}", site.first)),
        at(format!("/nowhere/{text}")),
        format!("{rollout}/{text}"),
        format!("/repos/{text}"),
        // Those of an order that waits are looked at where one waits: `second_person`.
        at(format!("/orders/{text}")),
        at(format!("/orders/{text}/confirm?reason={text}")),
        at(format!("/orders/{text}/withdraw?reason={text}")),
    ];
    for (page, fields) in [
        (
            "/instances",
            &["instance", "config", "version", "label", "state", "after"][..],
        ),
        ("/commits", &["config", "before"]),
        ("/configs/app", &["label", "at"]),
        ("/keys/app", &["pointer", "variant"]),
        ("/audit", &["before"]),
        ("/rollouts", &["config"]),
    ] {
        pages.extend(fields.iter().map(|field| at(format!("{page}?{field}={text}"))));
    }
    for page in ["commits", "configs", "keys", "instances", "rollouts", "rollbacks"] {
        pages.push(at(format!("/{page}/{text}")));
    }
    pages
}

/// The addresses that the dashboard has, as its table of routes names them.
fn routes() -> Vec<String> {
    let table = Path::new(env!("CARGO_MANIFEST_DIR")).join("../server/src/dashboard/mod.rs");
    let table = std::fs::read_to_string(table).unwrap();
    let routes = table
        .split('"')
        .filter(|text| text.starts_with("/repos/") || *text == "/sources");
    routes.map(str::to_owned).collect()
}

fn is_at(route: &str, target: &str) -> bool {
    let target = target.split('?').next().unwrap();
    let mut parts = target.split('/');
    for wanted in route.split('/') {
        let is_rest = wanted.starts_with("{*");
        match parts.next() {
            Some(_) if is_rest => return true,
            Some(part) if part == wanted || wanted.starts_with('{') => {}
            Some(_) | None => return false,
        }
    }
    parts.next().is_none()
}

#[test]
fn what_nobody_should_write_is_inert_on_every_page_that_there_is() {
    let site = Site::new();
    let mut targets = hostile_pages(&site);
    targets.extend(site.pages().into_iter().map(|(_, target)| target));
    let routes = routes();
    assert!(routes.len() > 15, "{routes:?}");
    for route in routes {
        assert!(
            targets.iter().any(|target| is_at(&route, target)),
            "{route} is not looked at"
        );
    }
    for target in targets {
        let html = page(&site.server, &target).text();
        assert_inert(&target, &html);
        assert!(html.ends_with("</html>"), "{target}");
    }
    let told = |target: &str| page(&site.server, target).text();
    let audit = told("/repos/default/audit");
    assert!(audit.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{audit}");
    let rollout = told(&site.rollout());
    assert!(
        rollout.contains("&lt;img src=x onerror=alert(2)&gt;"),
        "{rollout}"
    );
}

#[test]
fn the_fleet_says_at_once_what_runs_where_what_failed_and_what_waits() {
    let site = Site::new();
    let html = page(&site.server, "/repos/default").text();
    for said in [
        site.first.short(),
        site.second.short(),
        site.rejected.short(),
        "rejected",
        "Why the head was rejected",
        "pause…",
        "abort…",
        "1 failed",
        "validate: &lt;script&gt;",
    ] {
        assert!(html.contains(said), "`{said}` is not in {html}");
    }
    // Whoever failed in a rollout says why wherever the rollout is told of.
    let failed = site.fail();
    for target in [
        "/repos/default".to_owned(),
        site.rollout(),
        format!("/repos/default/instances/{failed}"),
    ] {
        let html = page(&site.server, &target).text();
        assert!(html.contains("validate: v is &lt;b&gt;"), "{target}: {html}");
    }
}

#[test]
fn a_newcomer_finds_what_runs_where_who_changed_a_key_why_a_commit_is_rejected_and_what_a_rollback_does() {
    let site = Site::new();
    let told = |target: &str| page(&site.server, target).text();
    let one = told("/repos/default/instances?instance=i-1");
    assert!(one.contains(">i-1</a>") && !one.contains(">i-2</a>"), "{one}");
    let key = told("/repos/default/keys/app?pointer=%2Fv");
    assert!(key.contains(site.second.short()), "{key}");
    assert!(
        key.contains("<code>1</code>") && key.contains("<code>2</code>"),
        "{key}"
    );
    // Back to the very first commit, which nothing was before.
    assert!(
        key.contains(site.first.short()) && key.contains("back to its first admitted commit"),
        "{key}"
    );
    let document = told("/repos/default/configs/app");
    assert!(document.contains("app.json:1"), "{document}");
    assert!(!document.contains("earlier"), "{document}");
    // While a rollout moves it, one step back is what everybody holds.
    let back = format!(
        "/repos/default/rollback?to={}&amp;config=app\">go back to {}, which it had before",
        site.first,
        site.first.short()
    );
    assert!(document.contains(&back), "`{back}` is not in {document}");
    let rejected = told(&format!("/repos/default/commits/{}", site.rejected));
    assert!(
        rejected.contains("parse/json") && rejected.contains("app.json:1:"),
        "{rejected}"
    );
    let back = told(&format!("/repos/default/rollback?to={}", site.first));
    assert!(
        back.contains("Everything gets the content") && back.contains("/v</code>"),
        "{back}"
    );
    let take = told(&format!("/repos/default/rollback?revert={}", site.second));
    // What is rejected now has changed the same file again, so that it would be refused.
    assert!(
        take.contains("What this commit changed is undone")
            && take.contains("later commits changed the same"),
        "{take}"
    );
    // One instance has it by the rollout, which ends; nobody else would notice.
    let rollout = site.rollout();
    let id = rollout.rsplit('/').next().unwrap();
    for said in [
        "turns 1 config back".to_owned(),
        format!("ends rollout {id} of `app`"),
    ] {
        assert!(back.contains(&said), "{said}: {back}");
    }
}

#[test]
fn what_would_be_refused_is_said_before_anybody_asks_for_it_and_has_no_form() {
    let site = Site::new();
    let refused = |target: &str, status: u16, said: &str| {
        let html = page(&site.server, target).expect(status).text();
        assert!(html.contains(said), "`{said}` is not in {html}");
        assert!(!html.contains("<form class=\"confirm\""), "{target}: {html}");
    };
    let to = |commit: &CommitId| format!("/repos/default/rollback?to={commit}");
    // The branch has the tree of its rejected head already, but no instance does, and none ever will.
    refused(&to(&site.rejected), 409, "does not validate");
    refused(&to(&site.odd), 409, "does not validate");
    refused("/repos/default/rollback?to=HEAD~99", 404, "HEAD~99");
    let asked = site
        .server
        .get(&format!("/v1/repos/default/rollbacks/plan?to={}", site.odd));
    assert_eq!(asked.expect(409).json()["code"], "commit_rejected");
}

#[test]
fn instances_are_filtered_and_paged_by_the_address_alone() {
    let site = Site::new();
    for number in 0..60 {
        let report = json!({"incarnation": 1, "seq": 1, "labels": {"zone": "b"}, "configs": {"app": {"state": "pending"}}});
        Ask::new("PUT", &format!("/v1/repos/default/instances/many-{number:03}"))
            .body("application/json", report.to_string().as_bytes())
            .send(site.server.addr())
            .expect(200);
    }
    let rows = |html: &str| html.matches("<tr id=\"row-").count();
    let first = page(&site.server, "/repos/default/instances?label=zone%3Db").text();
    assert_eq!(rows(&first), 50);
    let next = first.split("href=\"").filter_map(|rest| rest.split('"').next());
    let next = next.into_iter().find(|href| href.contains("after=")).unwrap();
    let second = page(&site.server, &next.replace("&amp;", "&")).text();
    assert_eq!(rows(&second), 10);
    let failed = page(&site.server, "/repos/default/instances?state=failed").text();
    assert_eq!(rows(&failed), 1);
    assert!(failed.contains("<option value=\"failed\" selected>"), "{failed}");
    let wrong = site
        .server
        .get("/repos/default/instances?state=wrong")
        .expect(400)
        .text();
    assert!(wrong.contains("no such state: `wrong`"), "{wrong}");
}

#[test]
fn a_browser_that_opens_the_address_is_led_to_the_fleet_and_a_program_is_told_the_calls() {
    let site = Site::new();
    let root = Ask::get("/")
        .header("accept", "text/html,*/*;q=0.8")
        .send(site.server.addr());
    assert_eq!(
        (root.status, root.header("location")),
        (303, Some("/repos/default"))
    );
    let told = site.server.get("/").expect(200);
    assert!(told.text().contains("GET /v1/repos "), "{}", told.text());
    let nowhere = page(&site.server, "/repos/default/no/such/page");
    assert_eq!(nowhere.status, 404);
    let unknown = page(&site.server, "/repos/elsewhere");
    assert_eq!(unknown.status, 404);
    assert!(
        unknown.text().contains("no such repository"),
        "{}",
        unknown.text()
    );
}

#[test]
fn what_goes_wrong_is_a_page_for_people_and_a_problem_for_programs() {
    let site = Site::new();
    let at = |page: &str| format!("/repos/default{page}");
    let cases = [
        ("GET", "/nope".to_owned(), 404, "there is nothing at `/nope`"),
        ("POST", "/sources".to_owned(), 405, "does not take POST"),
        ("GET", "/repos/%ff/commits".to_owned(), 400, "cannot be read"),
        ("POST", at("/rollbacks"), 403, "the page is of another site"),
        ("GET", "/repos/elsewhere".to_owned(), 404, "no such repository"),
        ("GET", at("/commits/nowhere"), 404, "no such revision"),
        ("GET", at("/configs/none"), 404, "no such config"),
        ("GET", at("/instances/nobody"), 404, "no such instance"),
        ("GET", at("/rollouts/r-999"), 404, "no such rollout"),
        ("GET", at("/instances?state=%3Cb%3E"), 400, "no such state"),
    ];
    for (method, target, status, said) in cases {
        let site_of_it = if status == 403 {
            "cross-site"
        } else {
            "same-origin"
        };
        let ask = || Ask::new(method, &target).header("sec-fetch-site", site_of_it);
        let accept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        let shown = ask().header("accept", accept).send(site.server.addr());
        let html = shown.text();
        assert_eq!(shown.status, status, "{method} {target}: {html}");
        assert!(
            html.contains(said) && html.contains("class=\"menu\""),
            "{target}: {html}"
        );
        assert_inert(&target, &html);
        assert!(
            shown
                .must("content-security-policy")
                .starts_with("default-src 'none'")
        );
        assert_eq!(shown.must("cache-control"), "no-store");
        let is_page = method == "GET" && target.starts_with("/repos/") && status != 400;
        if !is_page && !target.contains('?') {
            let told = ask().send(site.server.addr());
            assert_eq!(told.status, status);
            assert_eq!(told.must("content-type"), "application/problem+json", "{target}");
        }
    }
    // What programs call is answered as they expect, whoever calls it.
    let called = Ask::get("/v1/repos/elsewhere").header("accept", "text/html");
    let called = called.send(site.server.addr()).expect(404);
    assert_eq!(called.must("content-type"), "application/problem+json");
}

#[test]
fn pages_of_a_repository_that_never_came_say_what_is_wrong_and_where_to_go() {
    let server = Stopped::of("/nowhere/to/be/found.git").start();
    wait_until("it is looked for", || {
        server.repo()["source_state"] == "not_found"
    });
    for target in [
        "/repos/default",
        "/repos/default/instances",
        "/repos/default/rollouts",
        "/sources",
    ] {
        let html = page(&server, target).expect(200).text();
        assert!(
            html.contains("not found") && html.contains("class=\"hint\""),
            "{target}: {html}"
        );
    }
    for target in [
        "/repos/default/commits",
        "/repos/default/configs",
        "/repos/default/audit",
    ] {
        let html = page(&server, target).expect(503).text();
        assert!(
            html.contains("no published commit yet") && html.contains("href=\"/sources\">"),
            "{target}: {html}"
        );
    }
}

#[test]
fn files_of_pages_are_named_by_their_content_and_kept_for_ever() {
    let site = Site::new();
    let html = page(&site.server, "/sources").text();
    let names: Vec<&str> = html
        .split('"')
        .filter(|text| text.starts_with("/assets/"))
        .collect();
    assert!(names.len() >= 5, "{names:?}");
    for name in names {
        let file = site.server.get(name).expect(200);
        assert!(file.must("cache-control").contains("immutable"), "{name}");
        assert_eq!(file.must("x-content-type-options"), "nosniff");
    }
    site.server.get("/assets/style.000000000000.css").expect(404);
}
