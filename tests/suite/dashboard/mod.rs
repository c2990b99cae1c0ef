//! The dashboard as a browser gets it, over HTTP against a real server: pages, forms, events; and in a real browser.

mod browser;
mod forms;
pub(crate) mod live;
mod pages;

use headwater_tests::http::{Ask, Reply};
use headwater_tests::origin::TestOrigin;
use headwater_tests::server::TestServer;
use headwater_tests::wait::wait_for;
use headwater_wire::CommitId;
use serde_json::{Value, json};

use crate::recovery::set;
use crate::rollout::{Program, all_run, one_has, origin, quick, slow, three, until};

/// What nobody should be able to do to a page by writing something somewhere.
const HOSTILE: &str =
    "<script>alert(1)</script><img src=x onerror=alert(2)> \"' \u{202e}evil\u{202c} & </title>";

/// The name of a file that steers what is read behind it.
const ODD_FILE: &str = "<b>\u{202e}txt.exe";

/// A service in the middle of things: a commit of everybody's, one that moves and waits, one that was rejected; an
/// instance that failed; and hostile text wherever anybody can write.
struct Site {
    origin: TestOrigin,
    server: TestServer,
    programs: Vec<Program>,
    first: CommitId,
    second: CommitId,
    /// Has a file whose name hides what it is.
    odd: CommitId,
    /// Has a file that cannot be read.
    rejected: CommitId,
}

impl Site {
    fn new() -> Self {
        let (origin, first) = origin(&slow());
        origin.allow_push();
        let server = quick(&origin).each(|repo| repo.write.allowed = true).start();
        let mut programs = three();
        until(server.addr(), &mut programs, "the first value", all_run(1));
        let second = set(&origin, 2);
        until(server.addr(), &mut programs, "one has it", one_has(2));
        let odd = origin.commit(&[(ODD_FILE, Some(HOSTILE))], HOSTILE);
        server.until_head(&odd, "rejected");
        let rejected = origin.commit(
            &[
                ("app.json", Some("{\"v\": ")),
                (ODD_FILE, None),
                ("<b>&amp;.txt", Some(HOSTILE)),
            ],
            HOSTILE,
        );
        server.until_head(&rejected, "rejected");
        let site = Self {
            origin,
            server,
            programs,
            first,
            second,
            odd,
            rejected,
        };
        site.report_hostile();
        site
    }

    /// An instance that says what nobody should.
    fn report_hostile(&self) {
        let config = json!({
            "generation": 1,
            "state": "failed",
            "error": {"phase": "validate", "message": HOSTILE},
        });
        let report = json!({
            "incarnation": 1, "seq": 1, "client": HOSTILE, "labels": {"zone": "<b>a</b>"}, "configs": {"app": config},
        });
        let ask = Ask::new("PUT", "/v1/repos/default/instances/odd-1");
        ask.body("application/json", report.to_string().as_bytes())
            .send(self.server.addr())
            .expect(200);
    }

    /// Lets the instance that was told the new value fail with it, and names it.
    fn fail(&self) -> String {
        let list = self.server.get("/v1/repos/default/instances").expect(200).json();
        let mut all = list["instances"].as_array().unwrap().iter();
        let is_told = |view: &&Value| view["standings"]["app"]["assigned"]["version"] == self.second.as_str();
        let view = all.find(is_told).expect("one was told").clone();
        let generation = &view["standings"]["app"]["assigned"]["generation"];
        let config = json!({
            "generation": generation,
            "state": "failed",
            "error": {"phase": "validate", "message": "v is <b>"},
        });
        let report =
            json!({"incarnation": view["incarnation"], "seq": 1_000_000, "configs": {"app": config}});
        let id = view["instance"].as_str().unwrap().to_owned();
        Ask::new("PUT", &format!("/v1/repos/default/instances/{id}"))
            .body("application/json", report.to_string().as_bytes())
            .send(self.server.addr())
            .expect(200);
        wait_for("the rollout blames it", || {
            let rollout = crate::rollout::rollout(&self.server);
            (rollout["failed_names"][0] == id).then_some(())
        });
        id
    }

    /// Address of the rollout that moves.
    fn rollout(&self) -> String {
        let view = crate::rollout::rollout(&self.server);
        format!("/repos/default/rollouts/{}", view["id"].as_str().unwrap())
    }

    /// Every page that there is to see, and a name for it.
    fn pages(&self) -> Vec<(&'static str, String)> {
        let commit = |commit: &CommitId| format!("/repos/default/commits/{commit}");
        let at = |page: &str| format!("/repos/default{page}");
        vec![
            ("fleet", at("")),
            ("commits", at("/commits")),
            ("commit", commit(&self.second)),
            ("commit-rejected", commit(&self.rejected)),
            ("commit-odd", commit(&self.odd)),
            ("rollouts", at("/rollouts")),
            ("rollout", self.rollout()),
            ("configs", at("/configs")),
            ("config", at("/configs/app")),
            ("key", at("/keys/app?pointer=%2Fv")),
            ("instances", at("/instances")),
            ("instance", at("/instances/odd-1")),
            ("audit", at("/audit")),
            ("sources", "/sources".to_owned()),
            ("confirm-pause", format!("{}/pause", self.rollout())),
            (
                "confirm-rollback",
                format!("/repos/default/rollback?to={}", self.first),
            ),
            ("problem", at("/commits/nowhere")),
        ]
    }
}

fn page(server: &TestServer, target: &str) -> Reply {
    let reply = server.get(target);
    assert_eq!(
        reply.header("content-type"),
        Some("text/html; charset=utf-8"),
        "{target}"
    );
    reply
}
