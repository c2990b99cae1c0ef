//! The service as it is run: by a file of settings, with a webhook that tells of pushes, and a data directory that outlives it.
//!
//! Invariant: it is started again at the same address, so that whoever was connected finds it where it was.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::Options;
use crate::ask::{asked, got, view};
use crate::child::Served;
use crate::failure::{Failure, while_doing};
use crate::hook;
use crate::repository::CONFIG;

/// How often the upstream is listed where no delivery tells of it.
const POLL: &str = "1m";
/// A little longer than the service waits between two listings that somebody asks for: a push that comes earlier is kept
/// waiting, which is no work.
const QUIET: Duration = Duration::from_millis(2_200);
/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(5);
/// Longest wait for a commit to be published: a large repository takes long in a build for development.
const PATIENCE: Duration = Duration::from_mins(15);

/// A service on one repository.
pub(crate) struct Deployment<'a> {
    /// The process; none while it is down.
    served: Option<Served>,
    options: &'a Options,
    dir: PathBuf,
    url: String,
    listen: String,
    deliveries: u64,
}

impl<'a> Deployment<'a> {
    /// Starts one whose data, settings and log lie below `dir`.
    pub(crate) fn start(options: &'a Options, dir: &Path, url: &str) -> Result<Self, Failure> {
        fs::create_dir_all(dir)?;
        let mut deployment = Self {
            served: None,
            options,
            dir: dir.to_owned(),
            url: url.to_owned(),
            listen: "127.0.0.1:0".to_owned(),
            deliveries: 0,
        };
        deployment.begin()?;
        Ok(deployment)
    }

    /// Kills it; it has no time to put anything in order.
    pub(crate) fn kill(&mut self) {
        self.served = None;
    }

    /// Starts it where it was.
    pub(crate) fn begin(&mut self) -> Result<(), Failure> {
        self.kill();
        let place = self.dir.display();
        let secret = format!("{place}/secret");
        fs::write(&secret, hook::SECRET)?;
        let text = format!(
            "listen = \"{}\"\ndata_dir = \"{place}/data\"\nlog = \"warn\"\n\n[[repo]]\nname = \"default\"\nurl = \"{}\"\n\
             branch = \"main\"\npoll_interval = \"{POLL}\"\n{}",
            self.listen,
            self.url,
            hook::table("push", "\"default\"", &secret)
        );
        let settings = self.dir.join("headwater-server.toml");
        fs::write(&settings, text)?;
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.dir.join("log"))?;
        let served =
            Served::by_settings(self.options, &settings, log).map_err(|failure| self.said(&failure))?;
        self.listen = served.address.to_string();
        self.served = Some(served);
        Ok(())
    }

    /// The process.
    pub(crate) fn served(&self) -> Result<&Served, Failure> {
        self.served
            .as_ref()
            .ok_or_else(|| Failure::new("the service is down"))
    }

    /// Where it keeps what it has.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// Lets so much time pass that the next push comes to a service that has rested.
    pub(crate) fn rest() {
        std::thread::sleep(QUIET);
    }

    /// Tells it of a commit, as a forge does after a push, and waits until it took that.
    pub(crate) fn deliver(&mut self, commit: &str) -> Result<(), Failure> {
        self.deliveries += 1;
        let (address, id) = (self.served()?.address, format!("push-{}", self.deliveries));
        let body = hook::told_of(commit);
        let request = hook::deliver(&address, ("push", &id), (&hook::key(), &body), &body);
        let (status, _) = asked(address, &request).map_err(while_doing("a delivery is not answered"))?;
        if status == 202 {
            return Ok(());
        }
        Err(Failure::new(format!("a delivery was answered with {status}")))
    }

    /// Waits until a commit is published, and handed out. It is looked at from outside: a read with `min_version` asks for a
    /// listing of its own first, and waits for that.
    pub(crate) fn published(&self, commit: &str) -> Result<(), Failure> {
        let read = format!("/v1/repos/default/configs/{CONFIG}");
        self.until(|address| {
            let is_tip = view(address, "/v1/repos/default")?["tip"] == commit;
            Ok(is_tip && got(address, &read)?.0 == 200)
        })
        .map_err(|why| self.said(&Failure::new(format!("{commit} was not published: {why}"))))
    }

    /// Waits until a commit is looked at and refused.
    pub(crate) fn rejected(&self, commit: &str) -> Result<(), Failure> {
        let state = |view: &serde_json::Value| view["head"] == commit && view["head_state"] == "rejected";
        self.until(|address| Ok(state(&view(address, "/v1/repos/default")?)))
            .map_err(|why| Failure::new(format!("{commit} was not refused: {why}")))
    }

    fn until(&self, is_so: impl Fn(std::net::SocketAddr) -> Result<bool, Failure>) -> Result<(), Failure> {
        let (address, started) = (self.served()?.address, Instant::now());
        while !is_so(address)? {
            if started.elapsed() > PATIENCE {
                return Err(Failure::new("it took more than a quarter of an hour"));
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    /// A failure with the end of the log, which knows why.
    fn said(&self, failure: &Failure) -> Failure {
        let log = fs::read_to_string(self.dir.join("log")).unwrap_or_default();
        let last = log.lines().last().unwrap_or("the log is empty");
        Failure::new(format!("{failure}\nthe log ends with: {last}"))
    }
}
