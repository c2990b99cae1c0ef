//! That service while it runs: used well and badly, and looked at from outside.

use std::net::SocketAddr;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use headwater_tests::canary::Children;
use headwater_tests::git_http::{Fault, FaultOn, Required};
use headwater_tests::http::{Ask, Reply};
use headwater_tests::issuer::Client;
use headwater_tests::wait::wait_until;
use headwater_wire::CommitId;
use serde_json::{Value, json};

use crate::auth::{address, routes};

use super::cage::Cage;

pub(super) struct Service<'a> {
    pub(super) cage: &'a Cage,
    pub(super) child: std::process::Child,
    pub(super) children: Children,
    pub(super) addr: SocketAddr,
}

impl Drop for Service<'_> {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Service<'_> {
    /// Asks and looks at the answer.
    #[track_caller]
    pub(super) fn ask(&self, what: &str, ask: &Ask) -> Reply {
        let reply = ask.send(self.addr);
        let head = format!("{:?}", reply.headers);
        self.cage.canaries.assert_none(what, head.as_bytes());
        self.cage.canaries.assert_none(what, &reply.body);
        reply
    }

    pub(super) fn by(&self, role: &str, ask: Ask) -> Reply {
        let bearer = format!("Bearer {}", self.cage.token(role));
        self.ask(role, &ask.header("authorization", &bearer))
    }

    pub(super) fn until_head(&self, head: &CommitId, state: &str) {
        wait_until(&format!("{head} {state}"), || {
            let repo = self.by("reader", Ask::get("/v1/repos/default"));
            let repo = if repo.status == 200 {
                repo.json()
            } else {
                Value::Null
            };
            repo["head"] == head.as_str() && repo["head_state"] == state
        });
    }

    /// What people and programs do who may, and whose words are right.
    pub(super) fn used_well(&self) -> CommitId {
        let cage = self.cage;
        let first = cage.origin.commit(&[("app.json", Some("{\"v\": 1}"))], "first");
        self.until_head(&first, "published");
        let second = cage.origin.commit(&[("app.json", Some("{\"v\": 2}"))], "second");
        self.until_head(&second, "published");
        let report = json!({"incarnation": 1, "seq": 1, "configs": {}}).to_string();
        let put = Ask::new("PUT", "/v1/repos/default/instances/i-1");
        self.by("instance", put.body("application/json", report.as_bytes()))
            .expect(200);
        let back =
            json!({"to": first, "reason": "it broke", "requested_by": "Ann <ann@example.org>"}).to_string();
        let order = Ask::new("POST", "/v1/repos/default/rollbacks");
        self.by("operator", order.body("application/json", back.as_bytes()))
            .expect(201);
        wait_until("the signed commit on the branch", || {
            cage.origin.git(&["cat-file", "-p", "main"]).contains("gpgsig")
        });
        self.hook(&cage.hook_secret, &first);
        first
    }

    pub(super) fn hook(&self, secret: &str, commit: &CommitId) -> Reply {
        let body = json!({"ref": "refs/heads/main", "before": "1".repeat(40), "after": commit.as_str(),
            "repository": {"id": 7, "full_name": "acme/config", "clone_url": self.cage.git.url()}})
        .to_string();
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret.as_bytes());
        let tag = aws_lc_rs::hmac::sign(&key, body.as_bytes());
        let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let ask = Ask::new("POST", "/hooks/github")
            .header("x-github-event", "push")
            .header("x-github-delivery", &hex)
            .header("x-hub-signature-256", &format!("sha256={hex}"));
        self.ask(
            "the answer to a hook",
            &ask.body("application/json", body.as_bytes()),
        )
    }

    /// Secrets that are nearly right, in all places where one could stand.
    pub(super) fn used_badly(&self, commit: &CommitId) {
        let cage = self.cage;
        let nearly = |secret: &str| format!("{}x", secret.split_at(secret.len() - 1).0);
        let wrong = nearly(cage.token("admin"));
        for target in ["/v1/repos", "/metrics", "/repos/default", "/v1/admin/backup"] {
            for value in [
                format!("Bearer {wrong}"),
                format!("bearer  {wrong}"),
                format!("Basic {}", STANDARD.encode(format!("x:{wrong}"))),
                wrong.clone(),
                format!("Bearer {} {}", cage.token("reader"), wrong),
            ] {
                self.ask("a refusal", &Ask::get(target).header("authorization", &value));
            }
            for cookie in ["headwater_session", "__Host-headwater_session", "session"] {
                let cookie = format!("{cookie}={wrong}");
                self.ask("a refused session", &Ask::get(target).header("cookie", &cookie));
            }
            let proxied = Ask::get(target).header("x-forwarded-user", "ann");
            let proxied = proxied.header("x-proxy-secret", &nearly(&cage.proxy_secret));
            self.ask("a refused proxy", &proxied);
        }
        let true_proxy = Ask::get("/v1/repos").header("x-forwarded-user", "ann");
        self.ask(
            "a proxy",
            &true_proxy.header("x-proxy-secret", &cage.proxy_secret),
        )
        .expect(200);
        let form = format!("token={wrong}&form=x&next=%2F");
        let login = Ask::new("POST", "/login").body("application/x-www-form-urlencoded", form.as_bytes());
        self.ask("a refused login", &login);
        // Who puts it into an address is told of his address, and nobody else is.
        for target in [
            "/v1/repos?token=",
            "/v1/repos/default/configs/app?access_token=",
            "/login?next=/",
            "/v1/",
            "/v1/repos/",
        ] {
            Ask::get(&format!("{target}{}", cage.token("reader"))).send(self.addr);
        }
        assert_eq!(self.hook(&nearly(&cage.hook_secret), commit).status, 401);
        self.log_in("another secret");
        self.log_in(&cage.client_secret);
    }

    /// A login at the provider, which knows this secret.
    pub(super) fn log_in(&self, secret: &str) {
        self.cage.issuer.knows(Client {
            id: "hw".to_owned(),
            secret: Some(secret.to_owned()),
            method: "client_secret_basic",
            redirect_uri: "https://config.example.test/login/sso/callback".to_owned(),
        });
        self.cage
            .issuer
            .is_logged_in(&json!({"sub": "ann", "groups": ["ops"]}));
        let sent = self.ask("a login that begins", &Ask::get("/login/sso?next=%2F"));
        let (Some(location), Some(cookie)) = (sent.header("location"), sent.header("set-cookie")) else {
            panic!("{sent:?}");
        };
        let back = self.cage.issuer.log_in(location);
        let target = back
            .strip_prefix("https://config.example.test")
            .expect("our own address");
        let cookie = cookie.split(';').next().expect("a pair");
        self.ask("a login", &Ask::get(target).header("cookie", cookie));
    }

    /// Others fail: the upstream does not take the password, targets and forges refuse, and a commit has a secret in it.
    pub(super) fn others_fail(&self) {
        let cage = self.cage;
        cage.forge.take_only("another token");
        for _ in 0..4 {
            cage.target.next("500 Oops", "no");
        }
        let next = cage.origin.commit(&[("app.json", Some("{\"v\": 3}"))], "third");
        self.until_head(&next, "published");
        let bad = cage.origin.commit(&[("app.json", Some("{\"v\": \n"))], "broken");
        self.until_head(&bad, "rejected");
        wait_until("somebody to be told", || !cage.target.asked().is_empty());
        cage.git.fail_on(FaultOn::Every, Fault::Status(403));
        self.until_source("auth_failed");
        cage.git.fail_on(FaultOn::Every, Fault::None);
        self.until_source("ok");
        cage.git
            .require(Required::Header("Basic bm90aGluZw==".to_owned()));
        self.until_source("auth_failed");
        cage.require_password();
        self.until_source("ok");
    }

    pub(super) fn until_source(&self, state: &str) {
        // A source that failed is asked again at once when somebody orders it, and otherwise after a while.
        wait_until(state, || {
            let repo = self.by("reader", Ask::get("/v1/repos/default")).json();
            repo["source_state"] == state
        });
    }

    /// Every address that the service has, by whoever may see the most and by nobody.
    pub(super) fn looked_at(&self, commit: &CommitId) {
        for (method, route) in routes() {
            let is_stream = route.ends_with("/events") || route.ends_with("/socket");
            if method != "GET" || is_stream || route == "/login/{issuer}" {
                continue;
            }
            let target = address(&route).replace(&"0".repeat(40), commit.as_str());
            for accept in ["application/json", "text/html"] {
                let ask = Ask::get(&target).header("accept", accept);
                self.by("admin", ask.clone());
                self.by("instance", ask.clone());
                self.ask(&target, &ask);
            }
        }
        for repo in ["broken", "nowhere"] {
            self.by("reader", Ask::get(&format!("/v1/repos/{repo}")));
            self.by(
                "reader",
                Ask::get(&format!("/repos/{repo}")).header("accept", "text/html"),
            );
            self.by(
                "reader",
                Ask::get(&format!("/repos/{repo}/sources")).header("accept", "text/html"),
            );
        }
    }

    /// What the commands of a person say, with a token that is right and one that is not.
    pub(super) fn commands(&self) {
        let cage = self.cage;
        cage.write(
            "token-wrong",
            &format!("{}x", cage.token("reader").split_at(30).0),
        );
        let server = format!("http://{}", self.addr);
        for token in ["token-admin", "token-wrong", "token-instance"] {
            for args in [
                &["status"][..],
                &["configs"],
                &["log"],
                &["get", "nowhere"],
                &["instances"],
                &["holds"],
                &["rollback", "--to", "nowhere", "--reason", "x"],
                &["backup", "copy"],
            ] {
                let mut command = cage.command(&["--server", &server, "--token-file", token]);
                if args[0] != "backup" {
                    command.args(["--repo", "default"]);
                }
                cage.says_nothing(args[0], command.args(args));
            }
        }
        let copy = std::fs::read(cage.path("copy")).expect("a copy");
        cage.canaries.assert_none("a backup", &copy);
    }

    /// What is left of it, once it has ended.
    pub(super) fn ended(mut self, may_be_in_environments: &[&str]) {
        let cage = self.cage;
        let command = std::fs::read(format!("/proc/{}/cmdline", self.child.id())).unwrap();
        cage.canaries.assert_none("its own arguments", &command);
        let status = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status();
        assert!(status.unwrap().success());
        self.child.wait().unwrap();
        let programs = self.children.seen();
        assert!(!programs.is_empty(), "no program was seen");
        for (arguments, environment) in programs {
            cage.canaries
                .assert_none("the arguments of a program", &arguments);
            let mut found = cage.canaries.within(&environment);
            found.retain(|name| !may_be_in_environments.contains(name));
            let program = String::from_utf8_lossy(&arguments).replace('\0', " ");
            assert!(found.is_empty(), "{found:?} in the environment of {program}");
        }
        let log = std::fs::read(cage.path("log")).unwrap();
        assert!(log.len() > 10_000, "the log at its most talkative");
        cage.canaries.assert_none("the log", &log);
        let spans = cage.collector.spans();
        assert!(!spans.is_empty(), "there are spans");
        cage.canaries
            .assert_none("spans", format!("{spans:?}").as_bytes());
        let calls = cage.forge.statuses();
        cage.canaries
            .assert_none("what forges were told", format!("{calls:?}").as_bytes());
        assert!(cage.canaries.assert_none_below(&cage.path("data")) > 5);
    }
}
