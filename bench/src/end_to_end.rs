//! Mode `end-to-end`: from `git push` until every program runs the new value, and until the service knows that it does.
//!
//! All times are counted from the beginning of `git push`. The floor is the same push to a repository that nobody follows.
//! The forge between push and delivery is this program, which takes no time for it.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;

use crate::Options;
use crate::ask::view;
use crate::deployment::Deployment;
use crate::failure::Failure;
use crate::instances::Instances;
use crate::report::{self, Row, milliseconds, quantile};
use crate::repository::{CONFIG, Repository, bare};

/// Descriptors of an instance in one process: its watch, and a connection for reports and documents.
const DESCRIPTORS_EACH: usize = 2;
/// Longest wait for the last report.
const PATIENCE: Duration = Duration::from_mins(2);
/// Pause between two looks at how many have reported.
const LOOK: Duration = Duration::from_millis(5);
/// Rounds if nobody says how many: the slowest of a hundred is to be seen.
const ROUNDS: u32 = 50;

/// From `git push` to the last program, beside the push alone
///
/// Pushes, tells the service by a signed webhook, and waits until each instance has switched and the service has its
/// report. The instances use the client library, in this process. Makes 50 rounds unless `--rounds` says otherwise.
#[derive(Debug, Args)]
pub(crate) struct EndToEnd {
    #[command(flatten)]
    options: Options,
    /// Instances that follow the config [default: 1000, quick: 10]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=9_000))]
    instances: Option<u32>,
    /// Size of the config, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 2048, value_parser = clap::value_parser!(u32).range(1..=500_000))]
    bytes: u32,
}

/// When each thing had happened, in all rounds.
#[derive(Default)]
struct Course {
    bare: Vec<Duration>,
    pushed: Vec<Duration>,
    taken: Vec<Duration>,
    first: Vec<Duration>,
    half: Vec<Duration>,
    slow: Vec<Duration>,
    last: Vec<Duration>,
    acked: Vec<Duration>,
}

impl EndToEnd {
    /// Measures and prints.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let quick = self.options.quick;
        let count = self.instances.unwrap_or(if quick { 10 } else { 1_000 });
        let instances = usize::try_from(count).unwrap_or(usize::MAX);
        crate::crowd::fits(instances.saturating_mul(DESCRIPTORS_EACH))?;
        let bytes = usize::try_from(self.bytes).unwrap_or(usize::MAX);
        let dir = tempfile::tempdir()?;
        let (followed, alone) = (
            Pushed::create(&dir, "followed", bytes)?,
            Pushed::create(&dir, "alone", bytes)?,
        );
        let (mut followed, mut alone) = (followed, alone);
        let first = followed.change()?;
        followed.push()?;
        let mut service = Deployment::start(&self.options, &dir.path().join("service"), &followed.url)?;
        service.published(&first)?;
        let address = service.served()?.address;
        let mut instances = Instances::start(address, count)?;
        instances.until_all_hold(&first, Instant::now())?;
        acked(address, &first, instances.len())?;
        let mut course = Course::default();
        let rounds = self.options.rounds.unwrap_or(if quick { 1 } else { ROUNDS });
        for _ in 0..rounds {
            alone.change()?;
            let started = Instant::now();
            alone.push()?;
            course.bare.push(started.elapsed());
            let commit = followed.change()?;
            Deployment::rest();
            let started = Instant::now();
            followed.push()?;
            course.pushed.push(started.elapsed());
            service.deliver(&commit)?;
            course.taken.push(started.elapsed());
            let mut times = instances.until_all_hold(&commit, started)?;
            acked(address, &commit, instances.len())?;
            course.acked.push(started.elapsed());
            times.sort();
            course.note(&times);
        }
        report::print("end-to-end", &course.rows(), &self.options);
        Ok(())
    }
}

/// A repository with commits, and the bare one that they are pushed to.
struct Pushed {
    repository: Repository,
    url: String,
}

impl Pushed {
    fn create(dir: &tempfile::TempDir, name: &str, bytes: usize) -> Result<Self, Failure> {
        let place = dir.path().join(name);
        std::fs::create_dir(&place)?;
        let forge = place.join("forge.git");
        bare(&forge)?;
        Ok(Self {
            repository: Repository::create(&place, bytes)?,
            url: forge.to_string_lossy().into_owned(),
        })
    }

    fn change(&mut self) -> Result<String, Failure> {
        self.repository.change()
    }

    fn push(&self) -> Result<(), Failure> {
        self.repository.push(&self.url)
    }
}

/// Waits until the service has been told by so many that they run a version.
fn acked(address: SocketAddr, version: &str, count: usize) -> Result<(), Failure> {
    let path = format!("/v1/repos/default/propagation?config={CONFIG}&version={version}");
    let started = Instant::now();
    loop {
        let arrived = view(address, &path)?["arrived"].as_u64().unwrap_or(0);
        if usize::try_from(arrived).is_ok_and(|arrived| arrived >= count) {
            return Ok(());
        }
        if started.elapsed() > PATIENCE {
            let missing = count - usize::try_from(arrived).unwrap_or(0);
            return Err(Failure::new(format!(
                "{missing} instances did not report {version} within two minutes"
            )));
        }
        thread::sleep(LOOK);
    }
}

impl Course {
    fn note(&mut self, times: &[Duration]) {
        let share = |percent: usize| {
            let rank = (times.len() * percent).div_ceil(100).max(1) - 1;
            times.get(rank).copied().unwrap_or_default()
        };
        self.first.push(share(0));
        self.half.push(share(50));
        self.slow.push(share(95));
        self.last.push(share(100));
    }

    fn rows(&self) -> Vec<Row> {
        let floor = quantile(&milliseconds(&self.bare), 50);
        let rows = [
            ("floor: git push alone", &self.bare),
            ("pushed", &self.pushed),
            ("delivery taken", &self.taken),
            ("first instance switched", &self.first),
            ("half of them switched", &self.half),
            ("95 of 100 switched", &self.slow),
            ("all switched", &self.last),
            ("all reported", &self.acked),
        ];
        let row = |(what, times): (&str, &Vec<Duration>)| {
            let times = milliseconds(times);
            Row {
                what: what.to_owned(),
                figures: vec![
                    ("p50_ms", quantile(&times, 50)),
                    ("p95_ms", quantile(&times, 95)),
                    ("p99_ms", quantile(&times, 99)),
                    ("times_floor", quantile(&times, 50) / floor),
                ],
            }
        };
        rows.map(row).into()
    }
}
