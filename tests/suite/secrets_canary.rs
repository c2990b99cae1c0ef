//! A service that holds a secret of every kind, each of which can be recognised, is used well and badly; then none of
//! them is in anything that it says, writes or starts, in whatever encoding.
//!
//! What is looked at: answers to everybody on every route, the log at its most talkative, spans, the files that it keeps, the
//! arguments and environments of its programs, and what the commands of a person say. What may have a secret: its own file,
//! and the request that must carry it.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use headwater_server::settings::{Flags, load};
use headwater_tests::authority::Authority;
use headwater_tests::canary::{Canaries, Children};
use headwater_tests::collector::Collector;
use headwater_tests::forge::TestForge;
use headwater_tests::git_http::{Fault, FaultOn, GitHttp, Required};
use headwater_tests::http::{Ask, Reply};
use headwater_tests::issuer::{Client, SigningKey, TestIssuer};
use headwater_tests::oracle::Oracle;
use headwater_tests::origin::TestOrigin;
use headwater_tests::wait::{wait_for, wait_until};
use headwater_wire::CommitId;
use serde_json::{Value, json};

use crate::auth::{address, routes};
use crate::command::{program, told};

/// A service with its upstream and everybody whom it speaks to.
struct Cage {
    canaries: Canaries,
    dir: tempfile::TempDir,
    origin: TestOrigin,
    git: GitHttp,
    forge: TestForge,
    issuer: TestIssuer,
    collector: Collector,
    target: Oracle,
    tokens: Vec<(&'static str, String)>,
    variables: Vec<(&'static str, String)>,
    hook_secret: String,
    proxy_secret: String,
    client_secret: String,
    password: String,
}

impl Cage {
    fn new(push_method: &str) -> Self {
        let mut canaries = Canaries::default();
        let dir = tempfile::tempdir().unwrap();
        let origin = TestOrigin::new();
        origin.allow_push();
        let git = GitHttp::plain(origin.root());
        let (hook_secret, proxy_secret) = (canaries.make("hook secret"), canaries.make("proxy secret"));
        let (password, client_secret) = (canaries.make("password"), canaries.make("client secret"));
        let forge_token = canaries.make("forge token");
        let mut cage = Self {
            git,
            forge: TestForge::start(&forge_token),
            issuer: TestIssuer::start(&[SigningKey::new("k", "ES256")]),
            collector: Collector::start(),
            target: Oracle::start(),
            tokens: Vec::new(),
            variables: Vec::new(),
            canaries,
            dir,
            origin,
            hook_secret,
            proxy_secret,
            client_secret,
            password,
        };
        cage.require_password();
        for role in ["instance", "reader", "operator", "admin"] {
            cage.make_token(role);
        }
        cage.write("forge", &forge_token);
        cage.write_settings(push_method);
        cage
    }

    fn require_password(&self) {
        let pair = STANDARD.encode(format!("robot:{}", self.password));
        self.git.require(Required::Header(format!("Basic {pair}")));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn make_token(&mut self, role: &'static str) {
        let mut command = program(self.dir.path());
        let made = told(command.args(["token", "create", role, "--role", role, "--file", "tokens.toml"]));
        let token = made
            .lines()
            .find(|line| line.starts_with("hw_"))
            .expect("a token");
        self.canaries.watch(role, token.strip_prefix("hw_").unwrap());
        self.tokens.push((role, token.to_owned()));
        self.write(&format!("token-{role}"), token);
    }

    fn token(&self, role: &str) -> &str {
        let (_, token) = self.tokens.iter().find(|(name, _)| *name == role).unwrap();
        token
    }

    /// A key whose letters are recognised, each line of them.
    fn watch_pem(&mut self, name: &str, pem: &str) {
        for line in pem
            .lines()
            .filter(|line| !line.starts_with("--") && line.len() > 40)
        {
            // The head of a private key is the same in all of them.
            self.canaries.watch(name, line.split_at(line.len() - 24).1);
        }
    }

    /// One secret of every kind, in files where there are files, and two in variables.
    fn write_settings(&mut self, push_method: &str) {
        for name in ["second", "calendar", "orders", "pager-secret"] {
            let secret = self.canaries.make(name);
            self.write(name, &secret);
        }
        let chat = self.canaries.make("chat address");
        self.write("chat", &format!("{}/{chat}", self.target.url()));
        for name in ["alertmanager", "prometheus"] {
            let secret = self.canaries.make(name);
            self.write(name, &secret);
        }
        self.write("hook", &self.hook_secret);
        self.write("password", &self.password);
        self.write("client", &self.client_secret);
        self.variables
            .push(("HEADWATER_PROXY_SECRET", self.proxy_secret.clone()));
        let header = self.canaries.make("header for the collector");
        let header = format!("authorization=Bearer%20{header}");
        self.variables.push(("OTEL_EXPORTER_OTLP_HEADERS", header));
        let embedded = self.canaries.make("password in an address");
        let key = self.path("signing");
        let status = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-C", "", "-N", "", "-f"])
            .arg(&key)
            .status();
        assert!(status.expect("ssh-keygen runs").success());
        let pem = std::fs::read_to_string(&key).unwrap();
        // Its second half: in the first stands the public key.
        let lines: Vec<&str> = pem.lines().collect();
        let secret = lines[lines.len() - 3];
        self.canaries
            .watch("signing key", secret.split_at(secret.len() - 30).1);
        let text = format!("{}{}", self.sources(push_method, &embedded), self.others());
        self.write("settings.toml", &text);
    }

    /// Settings of where commits come from, and who tells of them.
    fn sources(&self, push_method: &str, embedded: &str) -> String {
        let git = self.git.url();
        let closed = git.replace("http://", &format!("http://robot:{embedded}@"));
        let closed = closed.replace("origin.git", "nowhere.git");
        let collector = self.collector.url().replace("/v1/traces", "");
        let api = self.forge.api_url("/api/v1");
        format!(
            r#"
listen = "127.0.0.1:0"
data_dir = "data"
tokens_file = "tokens.toml"
public_url = "https://config.example.test"
allow_write = true
poll_interval = "1s"
log = "trace"

[telemetry]
otlp_endpoint = "{collector}"

[[repo]]
name = "default"
url = "{git}"
username = "robot"
password_file = "password"
push_username = "robot"
push_password_file = "password"
push_method = "{push_method}"
signing_key_file = "signing"

[[repo]]
name = "broken"
url = "{closed}"

[[hook]]
name = "github"
forge = "github"
repo = "default"
secret_file = "hook"
second_secret_file = "second"

[forge.main]
kind = "gitea"
api_url = "{api}"
project = "acme/config"
repo = "default"
token_file = "forge"
"#
        )
    }

    /// Settings of who may come, and who is asked and told.
    fn others(&self) -> String {
        let (target, issuer) = (self.target.url(), self.issuer.url());
        format!(
            r#"
[issuer.sso]
issuer = "{issuer}"
client_id = "hw"
client_secret_file = "client"

[grant.ops]
from = "sso"
claims = ["groups=ops"]
role = "operator"

[proxy_auth]
from = ["127.0.0.1"]
user_header = "X-Forwarded-User"
secret_header = "X-Proxy-Secret"
secret_env = "HEADWATER_PROXY_SECRET"

[grant.proxied]
from = "proxy"
claims = ["user=ann"]
role = "reader"

[webhook.calendar]
url = "{target}"
secret_file = "calendar"

[signal.orders]
kind = "webhook"
url = "{target}"
secret_file = "orders"

[signal.main]
kind = "prometheus"
url = "https://localhost:1"
token_file = "prometheus"

[alert.chat]
kind = "slack"
url_file = "chat"

[alert.pager]
kind = "webhook"
url = "{target}"
secret_file = "pager-secret"

[alert.ops]
kind = "alertmanager"
url = "http://127.0.0.1:1"
token_file = "alertmanager"
"#
        )
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = program(self.dir.path());
        command.args(args);
        command.envs(self.variables.iter().map(|(name, value)| (*name, value.as_str())));
        command
    }

    fn start(&self, format: &str) -> Service<'_> {
        let log = self.path("log");
        let mut command = self.command(&["serve", "--settings", "settings.toml", "--log-format", format]);
        let child = command
            .stdin(Stdio::null())
            .stdout(File::create(self.path("out")).unwrap())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let children = Children::of(child.id());
        let mut service = Service {
            cage: self,
            child,
            children,
            addr: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        let listening = wait_for("its address", || {
            let out = std::fs::read_to_string(self.path("out")).unwrap();
            out.ends_with('\n').then_some(out)
        });
        service.addr = listening.trim().rsplit_once("//").unwrap().1.parse().unwrap();
        service
    }
}

struct Service<'a> {
    cage: &'a Cage,
    child: std::process::Child,
    children: Children,
    addr: SocketAddr,
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
    fn ask(&self, what: &str, ask: &Ask) -> Reply {
        let reply = ask.send(self.addr);
        let head = format!("{:?}", reply.headers);
        self.cage.canaries.assert_none(what, head.as_bytes());
        self.cage.canaries.assert_none(what, &reply.body);
        reply
    }

    fn by(&self, role: &str, ask: Ask) -> Reply {
        let bearer = format!("Bearer {}", self.cage.token(role));
        self.ask(role, &ask.header("authorization", &bearer))
    }

    fn until_head(&self, head: &CommitId, state: &str) {
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
    fn used_well(&self) -> CommitId {
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

    fn hook(&self, secret: &str, commit: &CommitId) -> Reply {
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
    fn used_badly(&self, commit: &CommitId) {
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
    fn log_in(&self, secret: &str) {
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
    fn others_fail(&self) {
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

    fn until_source(&self, state: &str) {
        // A source that failed is asked again at once when somebody orders it, and otherwise after a while.
        wait_until(state, || {
            let repo = self.by("reader", Ask::get("/v1/repos/default")).json();
            repo["source_state"] == state
        });
    }

    /// Every address that the service has, by whoever may see the most and by nobody.
    fn looked_at(&self, commit: &CommitId) {
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
    fn commands(&self) {
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
    fn ended(mut self, may_be_in_environments: &[&str]) {
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

impl Cage {
    #[track_caller]
    fn says_nothing(&self, what: &str, command: &mut Command) {
        let output = command.output().expect("the program runs");
        self.canaries.assert_none(what, &output.stdout);
        self.canaries.assert_none(what, &output.stderr);
    }
}

fn nothing_tells(format: &str, push_method: &str, may_be_in_environments: &[&str]) {
    let cage = Cage::new(push_method);
    let service = cage.start(format);
    let commit = service.used_well();
    service.used_badly(&commit);
    service.others_fail();
    service.looked_at(&commit);
    service.commands();
    service.ended(may_be_in_environments);
}

#[test]
fn no_secret_is_told_by_a_service_that_logs_text() {
    nothing_tells("text", "receive-pack", &[]);
}

/// The program `git` is given the one credential that it must send in its environment, which this user alone can read.
#[test]
fn no_secret_is_told_by_a_service_that_logs_json_and_pushes_by_the_program() {
    nothing_tells("json", "git", &["password"]);
}

#[test]
fn settings_with_all_their_secrets_print_none_and_are_checked_without_a_word_of_them() {
    let cage = Cage::new("receive-pack");
    let mut checked = cage.command(&["serve", "--settings", "settings.toml", "--check-settings"]);
    let said = told(&mut checked);
    assert!(said.starts_with("exit 0"), "{said}");
    cage.canaries
        .assert_none("the check of good settings", said.as_bytes());
    let good = std::fs::read_to_string(cage.path("settings.toml")).unwrap();
    // Settings as a whole; relative paths are those of the directory of the file.
    let absolute = good
        .lines()
        .map(|line| match line.split_once("_file = \"") {
            Some((key, name)) => format!("{key}_file = \"{}/{name}\n", cage.dir.path().display()),
            None => format!("{line}\n"),
        })
        .collect::<String>();
    cage.write("absolute.toml", &absolute);
    let flags = Flags {
        file: Some(cage.path("absolute.toml")),
        ..Flags::default()
    };
    let environment: Vec<(String, String)> = cage
        .variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect();
    let settings = load(&flags, &environment).unwrap();
    assert_eq!(settings.alerts.len(), 3);
    cage.canaries
        .assert_none("settings", format!("{settings:?} {settings:#?}").as_bytes());
    mistakes_are_told_without_a_secret(&cage, &good);
    tokens_that_stand_where_digests_should(&cage);
}

fn mistakes_are_told_without_a_secret(cage: &Cage, good: &str) {
    let secret = &cage.password;
    for (mistake, text) in [
        (
            "a key that there is not",
            good.replace(
                "password_file = \"password\"",
                &format!("password = \"{secret}\""),
            ),
        ),
        ("an address that is none", good.replace("/nowhere.git", "")),
        ("no TOML", good.replace("/nowhere.git\"", "/nowhere.git")),
        (
            "two of one key",
            good.replace("/nowhere.git\"", "/nowhere.git\"\nurl = \"x\""),
        ),
        ("another scheme", good.replace("http://robot:", "gopher://robot:")),
        (
            "a password for ssh",
            good.replace("http://robot:", "ssh://robot:"),
        ),
        (
            "a place in an address",
            good.replace("http://127.0.0.1:1", &format!("http://x:{secret}@127.0.0.1:1")),
        ),
        (
            "a collector",
            good.replace(
                "endpoint = \"http://",
                &format!("otlp_endpoint = \"http://x:{secret}@"),
            ),
        ),
        ("a list", good.replace("http://robot:", "[http://robot:")),
    ] {
        assert_ne!(text, good, "{mistake}");
        cage.write("bad.toml", &text);
        let mut checked = cage.command(&["serve", "--settings", "bad.toml", "--check-settings"]);
        let said = told(&mut checked);
        assert!(said.starts_with("exit 1"), "{mistake}: {said}");
        cage.canaries.assert_none(mistake, said.as_bytes());
    }
    // What is no address in the file of one is a mistake as well.
    cage.write("chat", &format!("chat.example.test/{secret}"));
    let said = told(&mut cage.command(&["serve", "--settings", "settings.toml", "--check-settings"]));
    assert!(said.starts_with("exit 1"), "{said}");
    cage.canaries
        .assert_none("a secret address that is none", said.as_bytes());
    for (name, value) in [
        ("HEADWATER_REPO", format!("https://robot:{secret}@")),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            format!("http://x:{secret}@127.0.0.1:1"),
        ),
    ] {
        let mut command = program(cage.dir.path());
        let said = told(command.env(name, value).args(["serve", "--check-settings"]));
        cage.canaries.assert_none(name, said.as_bytes());
    }
}

fn tokens_that_stand_where_digests_should(cage: &Cage) {
    let token = cage.token("admin");
    for text in [
        format!("[[token]]\nname = \"x\"\nrole = \"admin\"\ndigest = \"{token}\"\n"),
        format!("[[token]]\nname = \"x\"\nrole = \"admin\"\ntoken = \"{token}\"\n"),
        format!("{token}\n"),
        format!("[[token]]\nname = \"x\"\nrole = \"admin\"\ndigest = \"sha256:{token}\n"),
    ] {
        cage.write("tokens.toml", &text);
        let said = told(&mut cage.command(&["serve", "--settings", "settings.toml"]));
        assert!(!said.starts_with("exit 0"), "{said}");
        cage.canaries.assert_none("a file of tokens", said.as_bytes());
        let said = told(&mut cage.command(&["token", "list", "--file", "tokens.toml"]));
        cage.canaries.assert_none("a list of tokens", said.as_bytes());
    }
}

#[test]
fn neither_a_key_of_tls_nor_a_token_is_told_by_a_service_and_its_clients_that_speak_tls() {
    let mut cage = Cage::new("receive-pack");
    let authority = Authority::new();
    let signed = authority.signs_host(&["localhost"]);
    signed.put(cage.dir.path(), "tls");
    cage.write("ca.pem", authority.pem());
    cage.watch_pem("TLS key", &signed.key_pem);
    let text = std::fs::read_to_string(cage.path("settings.toml")).unwrap();
    cage.write(
        "settings.toml",
        &format!("{text}\n[tls]\ncert_file = \"tls.pem\"\nkey_file = \"tls.key\"\n"),
    );
    let service = cage.start("text");
    let server = format!("https://localhost:{}", service.addr.port());
    cage.origin.commit(&[("app.json", Some("{\"v\": 1}"))], "first");
    for token in ["token-reader", "token-instance"] {
        for args in [&["configs"][..], &["status"], &["log"]] {
            let mut command =
                cage.command(&["--server", &server, "--ca-file", "ca.pem", "--token-file", token]);
            cage.says_nothing(args[0], command.args(["--repo", "default"]).args(args));
        }
    }
    headwater_tests::http::raw(service.addr, b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n");
    drop(service);
    let log = std::fs::read(cage.path("log")).unwrap();
    assert!(log.len() > 1_000);
    cage.canaries.assert_none("the log", &log);
    // A key that belongs to no certificate, and one that is cut.
    for key in [
        authority.signs_host(&["localhost"]).key_pem,
        signed.key_pem.split_at(120).0.to_owned(),
    ] {
        cage.watch_pem("another TLS key", &key);
        cage.write("tls.key", &key);
        let said = told(&mut cage.command(&["serve", "--settings", "settings.toml", "--check-settings"]));
        assert!(said.starts_with("exit 1"), "{said}");
        cage.canaries
            .assert_none("a key that does not fit", said.as_bytes());
    }
    assert!(Path::new("/proc/self").exists(), "processes can be looked at");
}
