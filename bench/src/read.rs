//! Mode `read`: how many reads a second, and how long one takes.
//!
//! In turns: a canned answer from a bare event loop, the HTTP library of the service with nothing round it, and the
//! service: a config by its commit, the current one, and the current one to somebody who has it.

use std::time::{Duration, Instant};

use clap::Args;

use crate::Options;
use crate::child::{Served, Serving};
use crate::crowd::{Crowd, Head, answer};
use crate::failure::Failure;
use crate::report::{self, Row, median, milliseconds, quantile};
use crate::repository::{CONFIG, Repository};

/// Longest wait for one answer.
const PATIENCE: Duration = Duration::from_mins(1);

/// Reads of one config, beside a canned answer
///
/// Every connection asks again as soon as it is answered.
#[derive(Debug, Args)]
pub(crate) struct Read {
    #[command(flatten)]
    options: Options,
    /// Connections that ask
    #[arg(long, value_name = "COUNT", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    connections: u16,
    /// Size of the config, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 2048)]
    bytes: usize,
}

/// One thing that is asked for, and how it went.
struct Target {
    what: &'static str,
    crowd: Crowd,
    request: Vec<u8>,
    status: u16,
    per_second: Vec<f64>,
    median_ms: Vec<f64>,
    slow_ms: Vec<f64>,
    processor_us: Vec<f64>,
}

impl Read {
    /// Measures and prints.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let dir = tempfile::tempdir()?;
        let mut repository = Repository::create(dir.path(), self.bytes)?;
        let commit = repository.change()?;
        let floor = Served::floor(Serving::Canned, self.bytes)?;
        let twin = Served::floor(Serving::Twin, self.bytes)?;
        let service = Served::service(&self.options, &repository.path(), dir.path())?;
        let current = format!("/v1/repos/default/configs/{CONFIG}");
        let etag = published(&service, &commit, "")?.etag.unwrap_or_default();
        let by_commit = format!("/v1/repos/default/commits/{commit}/configs/{CONFIG}");
        let has_it = format!("if-none-match: {etag}\r\n");
        let mut targets = vec![
            (&floor, self.target("floor: canned", &floor, ("/", ""), 200)?),
            (&twin, self.target("bare HTTP library", &twin, ("/", ""), 200)?),
            (
                &service,
                self.target("by commit", &service, (&by_commit, ""), 200)?,
            ),
            (&service, self.target("current", &service, (&current, ""), 200)?),
            (
                &service,
                self.target("not modified", &service, (&current, &has_it), 304)?,
            ),
        ];
        let length = Duration::from_millis(if self.options.quick { 20 } else { 1000 });
        for _ in 0..self.options.rounds() {
            for (served, target) in &mut targets {
                target.round(served, length)?;
            }
        }
        let floor = targets
            .first()
            .map_or(0.0, |(_, floor)| median(&floor.per_second));
        let rows: Vec<Row> = targets.iter().map(|(_, target)| target.row(floor)).collect();
        report::print("read", &rows, &self.options);
        Ok(())
    }

    fn target(
        &self,
        what: &'static str,
        served: &Served,
        (path, header): (&str, &str),
        status: u16,
    ) -> Result<Target, Failure> {
        Ok(Target {
            what,
            crowd: Crowd::connect(served.address, usize::from(self.connections))?,
            request: request(served, path, header),
            status,
            per_second: Vec::new(),
            median_ms: Vec::new(),
            slow_ms: Vec::new(),
            processor_us: Vec::new(),
        })
    }
}

impl Target {
    /// Asks for as long as `length`, then takes what is still under way.
    fn round(&mut self, served: &Served, length: Duration) -> Result<(), Failure> {
        let (crowd, request, status) = (&mut self.crowd, &self.request, self.status);
        let (started, before) = (Instant::now(), served.processor_time()?);
        let mut asked = vec![started; crowd.len()];
        for number in 0..crowd.len() {
            crowd.send(number, request)?;
        }
        let (mut times, mut open, mut again) = (Vec::new(), crowd.len(), Vec::new());
        while open > 0 {
            let waited = times.len();
            crowd.turn(PATIENCE, |number, inbox| {
                let Some(head) = answer(inbox)? else {
                    return Ok(());
                };
                expect(&head, status)?;
                inbox.drain(..head.bytes);
                let now = Instant::now();
                times.extend(asked.get(number).map(|asked| now - *asked));
                if started.elapsed() < length {
                    again.push(number);
                } else {
                    open -= 1;
                }
                Ok(())
            })?;
            if times.len() == waited && started.elapsed() > PATIENCE {
                return Err(Failure::new("no answer came for a minute"));
            }
            for number in again.drain(..) {
                if let Some(asked) = asked.get_mut(number) {
                    *asked = Instant::now();
                }
                crowd.send(number, request)?;
            }
        }
        let count = f64::from(u32::try_from(times.len()).unwrap_or(u32::MAX));
        let spent = served.processor_time()?.saturating_sub(before);
        let times_ms = milliseconds(&times);
        self.per_second.push(count / started.elapsed().as_secs_f64());
        self.median_ms.push(median(&times_ms));
        self.slow_ms.push(quantile(&times_ms, 99));
        self.processor_us.push(spent.as_secs_f64() * 1e6 / count);
        Ok(())
    }

    fn row(&self, floor: f64) -> Row {
        let per_second = median(&self.per_second);
        Row {
            what: self.what.to_owned(),
            figures: vec![
                ("per_s", per_second),
                ("median_ms", median(&self.median_ms)),
                ("p99_ms", median(&self.slow_ms)),
                ("processor_us", median(&self.processor_us)),
                ("of_floor", per_second / floor),
            ],
        }
    }
}

/// A request on a connection that stays.
pub(crate) fn request(served: &Served, path: &str, header: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: {}\r\n{header}\r\n", served.address).into_bytes()
}

fn expect(head: &Head, status: u16) -> Result<(), Failure> {
    if head.status == status {
        return Ok(());
    }
    Err(Failure::new(format!(
        "answered with {} instead of {status}",
        head.status
    )))
}

/// Waits until the service has published a commit. The head of what it answers then. `header` is empty, or lines that end
/// with a line break each.
pub(crate) fn published(service: &Served, commit: &str, header: &str) -> Result<Head, Failure> {
    let mut crowd = Crowd::connect(service.address, 1)?;
    let path = format!("/v1/repos/default/configs/{CONFIG}?min_version={commit}&wait=60");
    crowd.send(0, &request(service, &path, header))?;
    let (started, mut found) = (Instant::now(), None);
    while found.is_none() {
        crowd.turn(PATIENCE, |_, inbox| {
            found = answer(inbox)?;
            Ok(())
        })?;
        if found.is_none() && started.elapsed() > PATIENCE {
            return Err(Failure::new("a commit was not published for a minute"));
        }
    }
    let head = found.ok_or_else(|| Failure::new("no answer"))?;
    expect(&head, 200)?;
    Ok(head)
}
