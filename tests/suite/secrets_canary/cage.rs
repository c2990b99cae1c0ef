//! A service with a secret of every kind, in files of its own, and everybody whom it speaks to.

use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use headwater_tests::canary::{Canaries, Children};
use headwater_tests::collector::Collector;
use headwater_tests::forge::TestForge;
use headwater_tests::git_http::{GitHttp, Required};
use headwater_tests::issuer::{SigningKey, TestIssuer};
use headwater_tests::oracle::Oracle;
use headwater_tests::origin::TestOrigin;
use headwater_tests::wait::wait_for;

use crate::command::{program, told};

use super::service::Service;

/// A service with its upstream and everybody whom it speaks to.
pub(super) struct Cage {
    pub(super) canaries: Canaries,
    pub(super) dir: tempfile::TempDir,
    pub(super) origin: TestOrigin,
    pub(super) git: GitHttp,
    pub(super) forge: TestForge,
    pub(super) issuer: TestIssuer,
    pub(super) collector: Collector,
    pub(super) target: Oracle,
    pub(super) tokens: Vec<(&'static str, String)>,
    pub(super) variables: Vec<(&'static str, String)>,
    pub(super) hook_secret: String,
    pub(super) proxy_secret: String,
    pub(super) client_secret: String,
    pub(super) password: String,
}

impl Cage {
    pub(super) fn new(push_method: &str) -> Self {
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

    pub(super) fn require_password(&self) {
        let pair = STANDARD.encode(format!("robot:{}", self.password));
        self.git.require(Required::Header(format!("Basic {pair}")));
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub(super) fn make_token(&mut self, role: &'static str) {
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

    pub(super) fn token(&self, role: &str) -> &str {
        let (_, token) = self.tokens.iter().find(|(name, _)| *name == role).unwrap();
        token
    }

    /// A key whose letters are recognised, each line of them.
    pub(super) fn watch_pem(&mut self, name: &str, pem: &str) {
        for line in pem
            .lines()
            .filter(|line| !line.starts_with("--") && line.len() > 40)
        {
            // The head of a private key is the same in all of them.
            self.canaries.watch(name, line.split_at(line.len() - 24).1);
        }
    }

    /// One secret of every kind, in files where there are files, and two in variables.
    pub(super) fn write_settings(&mut self, push_method: &str) {
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
    pub(super) fn sources(&self, push_method: &str, embedded: &str) -> String {
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
    pub(super) fn others(&self) -> String {
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

    pub(super) fn command(&self, args: &[&str]) -> Command {
        let mut command = program(self.dir.path());
        command.args(args);
        command.envs(self.variables.iter().map(|(name, value)| (*name, value.as_str())));
        command
    }

    pub(super) fn start(&self, format: &str) -> Service<'_> {
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

impl Cage {
    #[track_caller]
    pub(super) fn says_nothing(&self, what: &str, command: &mut Command) {
        let output = command.output().expect("the program runs");
        self.canaries.assert_none(what, &output.stdout);
        self.canaries.assert_none(what, &output.stderr);
    }
}
