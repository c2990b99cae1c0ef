//! Mode `herd`: everybody at once: who was told of a change reads it, and who lost a service that was killed comes back.
//!
//! The floor of both is a bare event loop that gives the same bytes to as many. Who comes back first comes with no pause
//! and no jitter, which is worse than what the client library does; then the library does it. After a change the time counts
//! from the first who is told, after a kill from when the service listens again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use clap::Args;

use crate::Options;
use crate::child::{Served, Serving};
use crate::crowd::{Crowd, answer, fits};
use crate::deployment::Deployment;
use crate::failure::Failure;
use crate::instances::Instances;
use crate::read::{published, request};
use crate::report::{self, Row, median, milliseconds, quantile};
use crate::repository::{CONFIG, Repository};

/// Longest wait for the last answer.
const PATIENCE: Duration = Duration::from_mins(2);
/// Rounds if nobody says how many.
const ROUNDS: u32 = 5;

/// Everybody at once, after a change and after a restart, beside a bare loop
///
/// Fails if anybody is not answered, or answered with anything else than the new version. Makes five rounds unless
/// `--rounds` says otherwise.
#[derive(Debug, Args)]
pub(crate) struct Herd {
    #[command(flatten)]
    options: Options,
    /// Readers on bare connections [default: 5000, quick: 50]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    readers: Option<u32>,
    /// Instances that use the client library [default: 500, quick: 10]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=9_000))]
    instances: Option<u32>,
    /// Size of the config, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 2048, value_parser = clap::value_parser!(u32).range(1..=500_000))]
    bytes: u32,
}

/// How many answers there were of each status that is wrong.
type Wrong = BTreeMap<u16, u32>;

/// One kind of herd, in all rounds.
#[derive(Default)]
struct Course {
    median_ms: Vec<f64>,
    slow_ms: Vec<f64>,
    all_ms: Vec<f64>,
    /// Answers that were not 200, by status.
    wrong: Wrong,
    peak_kib: f64,
}

impl Herd {
    /// Measures and prints.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let quick = self.options.quick;
        let readers = self.readers.unwrap_or(if quick { 50 } else { 5_000 });
        let count = self.instances.unwrap_or(if quick { 10 } else { 500 });
        let (readers, instances) = (usize_of(readers), usize_of(count));
        fits(readers.max(instances.saturating_mul(2)))?;
        let rounds = self.options.rounds.unwrap_or(if quick { 1 } else { ROUNDS });
        let dir = tempfile::tempdir()?;
        let mut repository = Repository::create(dir.path(), usize_of(self.bytes))?;
        let first = repository.change()?;
        let mut service = Deployment::start(&self.options, &dir.path().join("service"), &repository.path())?;
        service.published(&first)?;
        let mut courses: [Course; 5] = Default::default();
        let [bare_told, told, bare_back, back, library] = &mut courses;
        for _ in 0..rounds {
            self.floor(readers, (&mut *bare_told, &mut *bare_back))?;
            told.change(&mut service, &mut repository, readers)?;
            back.come_back(&mut service, &mut repository, readers)?;
        }
        let address = service.served()?.address;
        let mut crowd = Instances::start(address, count)?;
        crowd.until_all_hold(&repository.tip()?, Instant::now())?;
        for _ in 0..rounds {
            service.kill();
            let commit = repository.change()?;
            service.begin()?;
            let started = Instant::now();
            library.note(&crowd.until_all_hold(&commit, started)?);
            library.weigh(service.served()?)?;
        }
        let floors = [bare_told, bare_back].map(|course| median(&course.all_ms));
        let rows = [
            ("after a change: bare loop", 0),
            ("after a change: service", 0),
            ("after a kill: bare loop", 1),
            ("after a kill: service", 1),
            ("after a kill: client library", 1),
        ];
        let rows = rows.iter().zip(&courses);
        let rows: Vec<Row> = rows
            .map(|((what, floor), course)| course.row(what, floors.get(*floor).copied().unwrap_or_default()))
            .collect();
        report::print("herd", &rows, &self.options);
        let wrong = courses.iter().flat_map(|course| &course.wrong);
        let wrong: Vec<String> = wrong
            .map(|(status, count)| format!("{count} with {status}"))
            .collect();
        if wrong.is_empty() {
            return Ok(());
        }
        Err(Failure::new(format!(
            "readers were answered wrongly: {}",
            wrong.join(", ")
        )))
    }

    /// Both herds at the bare loop.
    fn floor(&self, readers: usize, (told, back): (&mut Course, &mut Course)) -> Result<(), Failure> {
        let mut floor = Served::floor(Serving::Herd, usize_of(self.bytes))?;
        let asking = request(&floor, "/", "");
        let started = Instant::now();
        let mut crowd = gathered(&floor, readers, &asking)?;
        let (times, _) = answered(&mut crowd, Some(started), None)?;
        back.note(&times);
        back.weigh(&floor)?;
        // The next answers come to those who have asked for none.
        floor.push()?;
        let (times, _) = answered(&mut crowd, None, Some(&asking))?;
        told.note(&times);
        told.weigh(&floor)
    }
}

fn usize_of(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

impl Course {
    /// Everybody waits by a long poll, is told of a commit, and reads it by that.
    fn change(
        &mut self,
        service: &mut Deployment<'_>,
        repository: &mut Repository,
        readers: usize,
    ) -> Result<(), Failure> {
        let served = service.served()?;
        let etag = published(served, &repository.tip()?, "")?
            .etag
            .unwrap_or_default();
        let path = format!("/v1/repos/default/configs/{CONFIG}?wait=300");
        let wait = request(served, &path, &format!("if-none-match: {etag}\r\n"));
        served.forget_peak();
        let mut crowd = gathered(served, readers, &wait)?;
        // One who asks last is answered when those before him are held: nearly all of them.
        drop(published(served, &repository.tip()?, "")?);
        let commit = repository.change()?;
        service.deliver(&commit)?;
        let served = service.served()?;
        let path = format!("/v1/repos/default/commits/{commit}/configs/{CONFIG}");
        let read = request(served, &path, "");
        let (times, wrong) = answered(&mut crowd, None, Some(&read))?;
        self.note(&times);
        self.count(wrong);
        self.weigh(served)
    }

    /// The service is killed, a commit is made, and everybody comes when it listens again.
    fn come_back(
        &mut self,
        service: &mut Deployment<'_>,
        repository: &mut Repository,
        readers: usize,
    ) -> Result<(), Failure> {
        service.kill();
        let commit = repository.change()?;
        service.begin()?;
        let started = Instant::now();
        let served = service.served()?;
        let path = format!("/v1/repos/default/configs/{CONFIG}?min_version={commit}&wait=60");
        let mut crowd = gathered(served, readers, &request(served, &path, ""))?;
        let (times, wrong) = answered(&mut crowd, Some(started), None)?;
        self.note(&times);
        self.count(wrong);
        self.weigh(served)
    }

    fn note(&mut self, times: &[Duration]) {
        let times = milliseconds(times);
        self.median_ms.push(median(&times));
        self.slow_ms.push(quantile(&times, 99));
        self.all_ms.push(quantile(&times, 100));
    }

    fn count(&mut self, wrong: Wrong) {
        for (status, count) in wrong {
            *self.wrong.entry(status).or_default() += count;
        }
    }

    fn weigh(&mut self, served: &Served) -> Result<(), Failure> {
        self.peak_kib = self.peak_kib.max(served.peak_kib()?);
        Ok(())
    }

    fn row(&self, what: &str, floor: f64) -> Row {
        let all = median(&self.all_ms);
        Row {
            what: what.to_owned(),
            figures: vec![
                ("median_ms", median(&self.median_ms)),
                ("p99_ms", median(&self.slow_ms)),
                ("all_ms", all),
                ("times_floor", all / floor),
                (
                    "errors",
                    self.wrong.values().copied().map(f64::from).sum::<f64>() + 0.0,
                ),
                ("peak_mib", self.peak_kib / 1_024.0),
            ],
        }
    }
}

/// Connects so many, each of whom asks.
fn gathered(served: &Served, count: usize, asking: &[u8]) -> Result<Crowd, Failure> {
    let mut crowd = Crowd::connect(served.address, count)?;
    (0..count).try_for_each(|number| crowd.send(number, asking))?;
    Ok(crowd)
}

/// Waits until everybody has his last answer: the first, or the one to what he asks `then`. When each had it,
/// counted from `since` or else from the first answer of all; and the answers that were wrong.
fn answered(
    crowd: &mut Crowd,
    since: Option<Instant>,
    then: Option<&[u8]>,
) -> Result<(Vec<Duration>, Wrong), Failure> {
    let (mut since, started, mut wrong) = (since, Instant::now(), Wrong::new());
    let mut answers = vec![0_u8; crowd.len()];
    let mut times = Vec::with_capacity(crowd.len());
    let mut asking = Vec::new();
    while times.len() < crowd.len() {
        crowd.turn(Duration::from_secs(1), |number, inbox| {
            let Some(head) = answer(inbox)? else {
                return Ok(());
            };
            let now = Instant::now();
            let since = *since.get_or_insert(now);
            if head.status != 200 {
                *wrong.entry(head.status).or_default() += 1;
            }
            inbox.drain(..head.bytes);
            let earlier = answers
                .get_mut(number)
                .map_or(1, |count| std::mem::replace(count, 1));
            if earlier == 0 && then.is_some() {
                asking.push(number);
            } else {
                times.push(now - since);
            }
            Ok(())
        })?;
        for number in asking.drain(..) {
            crowd.send(number, then.unwrap_or_default())?;
        }
        if started.elapsed() > PATIENCE {
            let missing = crowd.len() - times.len();
            return Err(Failure::new(format!(
                "{missing} readers were not answered within two minutes"
            )));
        }
    }
    Ok((times, wrong))
}
