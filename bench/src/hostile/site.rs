//! The deployment that is attacked: one service with tokens, webhooks and four repositories, limits at their defaults.
//!
//! Invariant: it is made anew for each attack, so that nothing that one leaves behind hides what the next takes. Those
//! who behave and those who do not have tokens of their own.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use aws_lc_rs::hmac;
use serde_json::Value;
use tempfile::TempDir;

use super::upstream::Upstream;
use crate::Options;
use crate::ask::asked;
use crate::child::{Served, measured};
use crate::failure::{Failure, while_doing};
use crate::hook::{self, SECRET, deliver};
use crate::read::published;
use crate::repository::{CONFIG, Repository};

/// Programs that behave, each with a token and an address.
pub(super) const PROGRAMS: u8 = 8;
/// Size of the config, in bytes.
pub(super) const CONFIG_BYTES: usize = 2_048;
/// How often the repository that is published from is listed where no delivery tells of it: rarely enough that deliveries
/// count, and often enough that nobody waits long where they are kept out.
const POLL: &str = "2s";

/// A service, and everything round it.
pub(super) struct Site {
    // Dropped first: it uses all the others.
    pub(super) service: Served,
    pub(super) upstream: Upstream,
    pub(super) repository: Repository,
    /// The first commit that was published.
    pub(super) first: String,
    /// Tokens of programs that behave.
    pub(super) tokens: Vec<String>,
    reader: String,
    hostile: String,
    stranger: String,
    secret: hmac::Key,
    dir: TempDir,
    deliveries: u64,
}

impl Site {
    /// Starts everything, and waits until the first commit is published.
    pub(super) fn start(options: &Options) -> Result<Self, Failure> {
        let dir = tempfile::tempdir()?;
        let mut repository = Repository::create(dir.path(), CONFIG_BYTES)?;
        let first = repository.change()?;
        let upstream = Upstream::start(first.clone(), repository.pack()?)?;
        let settings = write_settings(dir.path(), &repository, &upstream)?;
        let maker = Maker {
            program: measured(options)?,
            dir: dir.path(),
        };
        let bad = ["--instance", "bad-*", "--config", CONFIG];
        let tokens: Vec<String> = (0..PROGRAMS)
            .map(|number| {
                maker.token(
                    "tokens.toml",
                    &format!("program-{number}"),
                    &["--role", "instance"],
                )
            })
            .collect::<Result<_, _>>()?;
        let reader = maker.token("tokens.toml", "monitoring", &["--role", "reader"])?;
        let hostile = maker.token(
            "tokens.toml",
            "hostile",
            &[&["--role", "instance"], &bad[..]].concat(),
        )?;
        let stranger = maker.token("others.toml", "stranger", &["--role", "instance"])?;
        let log = File::create(dir.path().join("log"))?;
        let service = Served::by_settings(options, &settings, log)?;
        let site = Self {
            service,
            upstream,
            repository,
            first,
            tokens,
            reader,
            hostile,
            stranger,
            secret: hook::key(),
            dir,
            deliveries: 0,
        };
        let authorization = format!("authorization: Bearer {}\r\n", site.reader);
        published(&site.service, &site.first, &authorization)?;
        Ok(site)
    }

    /// What attackers are given: a token, one of another service, and the secret, to send what a busy forge sends.
    pub(super) fn credentials(&self) -> String {
        format!("{} {} {SECRET}", self.hostile, self.stranger)
    }

    /// Tells the service of a push, as a forge does. Whether it was taken.
    pub(super) fn deliver(&mut self, hook: &str, body: &str) -> bool {
        self.deliveries += 1;
        let (address, id) = (self.service.address, format!("push-{}", self.deliveries));
        let request = deliver(&address, (hook, &id), (&self.secret, body), body);
        asked(address, &request).is_ok_and(|(status, _)| status == 202)
    }

    /// The state of the source of a repository.
    pub(super) fn source_state(&self, repo: &str) -> Result<String, Failure> {
        let request = format!(
            "GET /v1/repos/{repo} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\n\r\n",
            self.service.address, self.reader
        );
        let (_, body) =
            asked(self.service.address, &request).map_err(while_doing("a state cannot be read"))?;
        let view: Value = serde_json::from_slice(&body).unwrap_or_default();
        Ok(view["source_state"].as_str().unwrap_or_default().to_owned())
    }

    /// Bytes of the log.
    pub(super) fn log_bytes(&self) -> Result<u64, Failure> {
        Ok(fs::metadata(self.dir.path().join("log"))?.len())
    }
}

/// Makes tokens by `headwater token`.
struct Maker<'a> {
    program: PathBuf,
    dir: &'a Path,
}

impl Maker<'_> {
    fn token(&self, file: &str, name: &str, bounds: &[&str]) -> Result<String, Failure> {
        let output = Command::new(&self.program)
            .args(["token", "create", name, "--file"])
            .arg(self.dir.join(file))
            .args(bounds)
            .env_clear()
            .output()
            .map_err(while_doing("a token cannot be made"))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(Failure::new(format!("a token cannot be made: {}", said.trim())));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

/// The file of settings.
fn write_settings(dir: &Path, repository: &Repository, upstream: &Upstream) -> Result<PathBuf, Failure> {
    fs::write(dir.join("secret"), SECRET)?;
    let (place, address) = (dir.display(), upstream.address);
    let mut text = format!(
        "listen = \"127.0.0.1:0\"\ndata_dir = \"{place}/data\"\ntokens_file = \"{place}/tokens.toml\"\n\
         log_format = \"json\"\n\n[[repo]]\nname = \"default\"\nurl = \"{}\"\nbranch = \"main\"\npoll_interval = \"{POLL}\"\n",
        repository.path()
    );
    let repos = ["quiet", "fickle", "old"].map(|name| {
        format!(
            "\n[[repo]]\nname = \"{name}\"\nurl = \"http://{address}/{name}.git\"\nbranch = \"main\"\npoll_interval = \"24h\"\n"
        )
    });
    let hooks = [
        ("push", "\"default\""),
        ("quiet", "\"quiet\""),
        ("lies", "[\"fickle\", \"old\"]"),
    ];
    let secret_file = format!("{place}/secret");
    let hooks = hooks.map(|(name, repos)| hook::table(name, repos, &secret_file));
    text += &(repos.concat() + &hooks.concat());
    let settings = dir.join("headwater-server.toml");
    fs::write(&settings, text)?;
    Ok(settings)
}
