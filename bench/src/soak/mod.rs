//! Mode `soak`: a day of pushes, refused heads, reconnects and restarts of clients, pressed into minutes; what does not come
//! back to rest, grows.
//!
//! Every few seconds it is written down what the service holds: memory, descriptors, threads, connections, watches, packs and
//! the data directory. Over the second half, when pools and caches have filled, a line is fitted through each, and what it rises
//! by is held against a bound. There is no floor: the second half is measured against the first.

mod measure;

use std::thread;
use std::time::{Duration, Instant};

use clap::Args;

use self::measure::{Course, Measure};
use crate::Options;
use crate::crowd::Crowd;
use crate::deployment::Deployment;
use crate::failure::Failure;
use crate::history::{History, Size};
use crate::instances::Instances;
use crate::read::request;
use crate::report;
use crate::repository::CONFIG;

/// Pushes between two heads that are refused.
const REFUSED_EVERY: u32 = 5;
/// Pushes between two restarts of one instance.
const RESTART_EVERY: u32 = 3;
/// Readers who come and go between two pushes: half of them read, half of them watch and go without a word.
const PASSERS: usize = 20;
/// Shortest time between two samples.
const SAMPLE_EVERY: Duration = Duration::from_millis(500);

/// A day pressed into minutes, and whether anything grows
///
/// Fails if something grows in the second half by more than a bound that follows from the number of pushes.
#[derive(Debug, Args)]
pub(crate) struct Soak {
    #[command(flatten)]
    options: Options,
    /// How long, such as `90s`, `10m` or `8h` [default: 10m, quick: 6s]
    #[arg(long = "for", value_name = "TIME", value_parser = lasting)]
    length: Option<Duration>,
    /// Instances that follow the config [default: 100, quick: 10]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=5_000))]
    instances: Option<u32>,
    /// Files of the repository, all of them configs [default: 1000, quick: 30]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=49_000))]
    files: Option<u32>,
    /// Shortest time between two pushes, in ms
    #[arg(long, value_name = "MS", default_value_t = 200, value_parser = clap::value_parser!(u64).range(0..=3_600_000))]
    pause: u64,
}

/// What is done to the service.
struct World<'a> {
    service: Deployment<'a>,
    history: History,
    instances: Instances,
    pushes: u32,
}

impl Soak {
    /// Measures, prints, and fails if a bound does not hold.
    #[expect(clippy::print_stderr, reason = "a program that says how far it is")]
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let quick = self.options.quick;
        let length = self.length.unwrap_or(if quick {
            Duration::from_secs(6)
        } else {
            Duration::from_mins(10)
        });
        let dir = tempfile::tempdir()?;
        let files = self.files.unwrap_or(if quick { 30 } else { 1_000 });
        let size = Size {
            files,
            configs: files,
            commits: 1,
        };
        let history = History::create(&dir.path().join("upstream"), size)?;
        let service = Deployment::start(&self.options, &dir.path().join("service"), &history.path())?;
        service.published(history.tip())?;
        let count = self.instances.unwrap_or(if quick { 10 } else { 100 });
        let mut instances = Instances::start(service.served()?.address, count)?;
        instances.until_all_hold(history.tip(), Instant::now())?;
        let mut world = World {
            service,
            history,
            instances,
            pushes: 0,
        };
        let (started, mut course, mut told) = (Instant::now(), Course::default(), 0);
        course.sample(&world.service, (started, 0))?;
        while started.elapsed() < length {
            let due = Instant::now() + Duration::from_millis(self.pause);
            world.turn()?;
            if course.age(started) >= SAMPLE_EVERY {
                course.sample(&world.service, (started, world.pushes))?;
            }
            let minutes = started.elapsed().as_secs() / 60;
            if minutes > told {
                told = minutes;
                eprintln!("{minutes} min: {} pushes; {}", world.pushes, course.last());
            }
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        course.sample(&world.service, (started, world.pushes))?;
        let rows = Measure::ALL.map(|measure| course.row(measure));
        report::print("soak", &rows, &self.options);
        let broken: Vec<String> = Measure::ALL
            .iter()
            .filter_map(|measure| course.broken(*measure))
            .collect();
        if broken.is_empty() {
            return Ok(());
        }
        Err(Failure::new(format!(
            "bounds do not hold:\n  {}",
            broken.join("\n  ")
        )))
    }
}

impl World<'_> {
    /// A push, and what else happens between two of them. Comes back when every instance holds what was pushed.
    fn turn(&mut self) -> Result<(), Failure> {
        self.pushes += 1;
        if self.pushes.is_multiple_of(REFUSED_EVERY) {
            let bad = self.history.spoil()?;
            self.service.deliver(&bad)?;
            self.service.rejected(&bad)?;
        }
        let commit = self.history.change(1 + self.pushes % 7)?;
        self.service.deliver(&commit)?;
        if self.pushes.is_multiple_of(RESTART_EVERY) {
            let count = u32::try_from(self.instances.len()).unwrap_or(u32::MAX);
            self.instances
                .restart((self.pushes / RESTART_EVERY) % count.max(1));
        }
        self.pass(&commit)?;
        self.instances.until_all_hold(&commit, Instant::now()).map(drop)
    }

    /// Some come, ask, and are gone before or after they are answered.
    fn pass(&self, commit: &str) -> Result<(), Failure> {
        let served = self.service.served()?;
        let read = format!("/v1/repos/default/configs/{CONFIG}?min_version={commit}&wait=60");
        let watch = format!("/v1/repos/default/events?config={CONFIG}");
        let mut crowd = Crowd::connect(served.address, PASSERS)?;
        for number in 0..PASSERS {
            let path = if number.is_multiple_of(2) { &read } else { &watch };
            crowd.send(number, &request(served, path, ""))?;
        }
        let mut heard = 0;
        while heard < PASSERS / 2 {
            crowd.turn(Duration::from_secs(1), |_, inbox| {
                heard += usize::from(!inbox.is_empty());
                inbox.clear();
                Ok(())
            })?;
        }
        Ok(())
    }
}

/// A time with its unit.
fn lasting(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.len() - text.chars().next_back().map_or(0, char::len_utf8));
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        _ => return Err("a time is a number with `s`, `m` or `h` behind it, such as `10m`".to_owned()),
    };
    let number: u64 = number
        .parse()
        .map_err(|_| "there is no whole number before the unit".to_owned())?;
    match number.checked_mul(seconds) {
        Some(seconds) if (1..=7 * 24 * 3_600).contains(&seconds) => Ok(Duration::from_secs(seconds)),
        _ => Err("it takes from `1s` to `168h`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit_and_is_no_longer_than_a_week() {
        assert_eq!(lasting("10m"), Ok(Duration::from_mins(10)));
        assert_eq!(lasting("90s"), Ok(Duration::from_secs(90)));
        let bad = [
            "",
            "10",
            "m",
            "0s",
            "1w",
            "169h",
            "-1h",
            "é",
            "99999999999999999999h",
        ];
        assert!(bad.iter().all(|text| lasting(text).is_err()));
    }
}
