//! Mode `watch`: how long until everybody who watches knows of a commit, and what an idle watcher weighs.
//!
//! Times are counted from the moment when the first watcher is told, in the service and in the floor alike: what goes
//! before (Git, the verdict) is no part of telling.

use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use memchr::memmem;

use crate::Options;
use crate::child::{Served, Serving};
use crate::crowd::{Crowd, answer, fits};
use crate::failure::Failure;
use crate::floor::PUSHED;
use crate::read::{published, request};
use crate::report::{self, Row, median, milliseconds, quantile};
use crate::repository::{CONFIG, Repository};

/// Longest wait for the last watcher of a round.
const PATIENCE: Duration = Duration::from_mins(2);
/// Bytes of an event of the floor: about what the service tells of one commit.
const EVENT_BYTES: usize = 400;

/// Telling many watchers of a commit, beside a bare loop over sockets
///
/// A commit is made in a repository that the service follows; every watcher waits for it on a connection of its own.
#[derive(Debug, Args)]
pub(crate) struct Watch {
    #[command(flatten)]
    options: Options,
    /// Watchers at once [default: 5000, quick: 50]
    #[arg(long, value_name = "COUNT")]
    watchers: Option<u32>,
    /// Watch by long polls instead of event streams
    #[arg(long)]
    long_poll: bool,
}

/// What one server did in all rounds.
#[derive(Default)]
struct Course {
    median_ms: Vec<f64>,
    slow_ms: Vec<f64>,
    last_ms: Vec<f64>,
    processor_us: Vec<f64>,
    idle_kib: f64,
}

impl Watch {
    /// Measures and prints.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let watchers = self
            .watchers
            .unwrap_or(if self.options.quick { 50 } else { 5000 });
        // As many ask the floor as ask the service, at the same time.
        fits(usize::try_from(watchers).unwrap_or(usize::MAX).saturating_mul(2))?;
        let dir = tempfile::tempdir()?;
        let mut repository = Repository::create(dir.path(), 200)?;
        let first = repository.change()?;
        let mut floor = Served::floor(Serving::Push, EVENT_BYTES)?;
        let service = Served::service(&self.options, &repository.path(), dir.path())?;
        let etag = published(&service, &first, "")?.etag.unwrap_or_default();
        let (mut bare, mut ours) = (Course::default(), Course::default());
        let asking = request(&floor, "/", "");
        let mut pushed = bare.gather(&floor, watchers, (&asking, "text/event-stream"))?;
        let asking = self.asking(&service, &etag);
        let until = if self.long_poll {
            None
        } else {
            Some(first.as_str())
        };
        let mut watching = match until {
            Some(first) => ours.gather(&service, watchers, (&asking, first))?,
            None => ours.hold(&service, watchers, &asking)?,
        };
        for _ in 0..self.options.rounds() {
            let before = floor.processor_time()?;
            floor.push()?;
            let times = told(&mut pushed, PUSHED)?.0;
            bare.note(&times, floor.processor_time()?.saturating_sub(before));
            let commit = repository.change()?;
            let before = service.processor_time()?;
            let (times, etag) = thread::scope(|scope| {
                let wish = scope.spawn(|| published(&service, &commit, ""));
                let told = told(&mut watching, &commit);
                wish.join()
                    .map_err(|_| Failure::new("the wish for a commit ended badly"))??;
                told
            })?;
            ours.note(&times, service.processor_time()?.saturating_sub(before));
            if self.long_poll {
                let etag = etag.ok_or_else(|| Failure::new("an answer has no entity tag"))?;
                ask_all(&mut watching, &self.asking(&service, &etag))?;
            }
        }
        let floor = median(&bare.last_ms);
        let name = if self.long_poll {
            "long poll"
        } else {
            "event stream"
        };
        let rows = [bare.row("floor: bare loop", floor), ours.row(name, floor)];
        report::print("watch", &rows, &self.options);
        Ok(())
    }

    fn asking(&self, service: &Served, etag: &str) -> Vec<u8> {
        if self.long_poll {
            let path = format!("/v1/repos/default/configs/{CONFIG}?wait=300");
            return request(service, &path, &format!("if-none-match: {etag}\r\n"));
        }
        request(service, &format!("/v1/repos/default/events?config={CONFIG}"), "")
    }
}

impl Course {
    /// Connects the watchers, and weighs them once each was told what there is.
    fn gather(
        &mut self,
        served: &Served,
        count: u32,
        (asking, marker): (&[u8], &str),
    ) -> Result<Crowd, Failure> {
        let before = served.resident_kib()?;
        let mut crowd = Crowd::connect(served.address, usize::try_from(count).unwrap_or(usize::MAX))?;
        ask_all(&mut crowd, asking)?;
        told(&mut crowd, marker)?;
        self.idle_kib = (served.resident_kib()? - before) / f64::from(count);
        Ok(crowd)
    }

    /// Connects watchers that are told nothing before something changes. Their weight is that of those whose requests
    /// were taken when another request, sent last, was answered: nearly all of them.
    fn hold(&mut self, served: &Served, count: u32, asking: &[u8]) -> Result<Crowd, Failure> {
        let before = served.resident_kib()?;
        let mut crowd = Crowd::connect(served.address, usize::try_from(count).unwrap_or(usize::MAX))?;
        ask_all(&mut crowd, asking)?;
        let mut last = Crowd::connect(served.address, 1)?;
        last.send(0, &request(served, "/livez", ""))?;
        told(&mut last, "HTTP/1.1 200")?;
        self.idle_kib = (served.resident_kib()? - before) / f64::from(count);
        Ok(crowd)
    }

    fn note(&mut self, times: &[Duration], spent: Duration) {
        let count = f64::from(u32::try_from(times.len()).unwrap_or(u32::MAX));
        let times = milliseconds(times);
        self.median_ms.push(median(&times));
        self.slow_ms.push(quantile(&times, 99));
        self.last_ms.push(quantile(&times, 100));
        self.processor_us.push(spent.as_secs_f64() * 1e6 / count);
    }

    fn row(&self, what: &str, floor: f64) -> Row {
        let last = median(&self.last_ms);
        Row {
            what: what.to_owned(),
            figures: vec![
                ("median_ms", median(&self.median_ms)),
                ("p99_ms", median(&self.slow_ms)),
                ("last_ms", last),
                ("times_floor", last / floor),
                ("processor_us_each", median(&self.processor_us)),
                ("idle_kib_each", self.idle_kib),
            ],
        }
    }
}

fn ask_all(crowd: &mut Crowd, asking: &[u8]) -> Result<(), Failure> {
    (0..crowd.len()).try_for_each(|number| crowd.send(number, asking))
}

/// Waits until everybody has read `marker`. When each did, counted from the first; and the entity tag of the last
/// answer, where there was a whole one.
fn told(crowd: &mut Crowd, marker: &str) -> Result<(Vec<Duration>, Option<String>), Failure> {
    let finder = memmem::Finder::new(marker);
    let (mut first, started) = (None, Instant::now());
    let mut seen = vec![false; crowd.len()];
    let (mut times, mut etag) = (Vec::with_capacity(crowd.len()), None);
    while times.len() < crowd.len() {
        crowd.turn(Duration::from_secs(1), |number, inbox| {
            if finder.find(inbox).is_none() {
                return Ok(());
            }
            // The answer to a long poll is taken whole; of a stream only the head is an answer.
            if inbox.starts_with(b"HTTP/") {
                let Some(head) = answer(inbox)? else {
                    return Ok(());
                };
                etag = head.etag.or(etag.take());
            }
            inbox.clear();
            let now = Instant::now();
            if let Some(seen) = seen.get_mut(number).filter(|seen| !**seen) {
                *seen = true;
                times.push(now - *first.get_or_insert(now));
            }
            Ok(())
        })?;
        if started.elapsed() > PATIENCE {
            let missing = crowd.len() - times.len();
            return Err(Failure::new(format!(
                "{missing} watchers were not told within two minutes"
            )));
        }
    }
    Ok((times, etag))
}
