//! Mode `commit`: what a start and a commit cost in repositories of growing size, beside what `git` takes to read the same.
//!
//! Times of a commit are counted from the delivery that tells of it until the commit is published. The floor is the program
//! `git`: a clone and all files for a start; for a commit a fetch, the names of what changed, and what they hold.
//! What is deliberately absent: the making of the commit, which is no part of either.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;

use crate::Options;
use crate::ask::Numbers;
use crate::deployment::Deployment;
use crate::failure::Failure;
use crate::history::{History, Size};
use crate::report::{self, Row, median, milliseconds, quantile};
use crate::repository::{bare, git, said};

/// Most starts of each size: one of a large repository takes long.
const STARTS_MAX: u32 = 3;

/// Starts and commits in repositories of growing size, beside `git`
///
/// A repository is made with so many files and commits; the service is started on it, killed and started again, and then
/// told of commits that change one file, and of commits that change many.
#[derive(Debug, Args)]
pub(crate) struct Commit {
    #[command(flatten)]
    options: Options,
    /// Sizes of repositories, in files [default: 1000,10000,100000; quick: 20,60]
    #[arg(long, value_name = "COUNT", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=199_000))]
    files: Vec<u32>,
    /// Files that are configs; the others lie beside them [default: 10000]
    #[arg(long, value_name = "COUNT", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(0..=49_000))]
    configs: u32,
    /// Commits before the first that is measured [default: 5000, quick: 20]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    commits: Option<u32>,
    /// Files that a commit changes which changes many [default: 1000, quick: 10]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(2..=100_000))]
    many: Option<u32>,
}

/// What is measured of one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// With an empty data directory.
    Cold,
    /// With the data of one that was killed.
    Restart,
    /// A commit that changes this many files.
    Changed(u32),
}

/// One thing that was measured, in all rounds.
struct Course {
    files: u32,
    what: What,
    ours: Vec<Duration>,
    git: Vec<Duration>,
    verdict_ms: Vec<f64>,
    verdicts: Vec<f64>,
    processor: Vec<Duration>,
    resident_kib: f64,
    peak_kib: f64,
}

impl Commit {
    /// Measures and prints.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let sizes = match self.files.as_slice() {
            [] if self.options.quick => &[20, 60],
            [] => &[1_000, 10_000, 100_000][..],
            asked => asked,
        };
        let mut courses = Vec::new();
        for files in sizes {
            courses.extend(self.of_size(*files)?);
        }
        let rows: Vec<Row> = courses.iter().map(|course| course.row(&courses)).collect();
        report::print("commit", &rows, &self.options);
        Ok(())
    }

    #[expect(clippy::print_stderr, reason = "a program that says how far it is")]
    fn of_size(&self, files: u32) -> Result<Vec<Course>, Failure> {
        let quick = self.options.quick;
        let dir = tempfile::tempdir()?;
        let size = Size {
            files,
            configs: self.configs,
            commits: self.commits.unwrap_or(if quick { 20 } else { 5_000 }),
        };
        eprintln!(
            "making a repository of {files} files and {} commits",
            size.commits
        );
        let mut history = History::create(&dir.path().join("upstream"), size)?;
        let (mut cold, mut restart) = (Course::of(files, What::Cold), Course::of(files, What::Restart));
        let mut at = None;
        for start in 0..self.options.rounds().min(STARTS_MAX) {
            let peer = Peer::at(dir.path().join(format!("git-{start}")));
            cold.git.push(peer.start(&history)?);
            // The one before is dropped first, so that no two run at once.
            drop(at.take());
            let place = dir.path().join(format!("service-{start}"));
            let mut service = cold.started(
                || Deployment::start(&self.options, &place, &history.path()),
                &history,
            )?;
            service.kill();
            restart.git.push(peer.read_all()?);
            let began = || service.begin().map(|()| service);
            at = Some((restart.started(began, &history)?, peer));
        }
        let (mut service, peer) = at.ok_or_else(|| Failure::new("there was no round"))?;
        let mut courses = vec![cold, restart];
        for many in [1, self.many.unwrap_or(if quick { 10 } else { 1_000 })] {
            let mut course = Course::of(files, What::Changed(many));
            service.served()?.forget_peak();
            for _ in 0..self.options.rounds() {
                let parent = history.tip().to_owned();
                let commit = course.told(&mut service, || history.change(many))?;
                course.git.push(peer.follow(&parent, &commit)?);
            }
            course.weigh(&service)?;
            courses.push(course);
        }
        Ok(courses)
    }
}

impl Course {
    fn of(files: u32, what: What) -> Self {
        Self {
            files,
            what,
            ours: Vec::new(),
            git: Vec::new(),
            verdict_ms: Vec::new(),
            verdicts: Vec::new(),
            processor: Vec::new(),
            resident_kib: 0.0,
            peak_kib: 0.0,
        }
    }

    /// A start, until the newest commit is published.
    fn started<'a>(
        &mut self,
        start: impl FnOnce() -> Result<Deployment<'a>, Failure>,
        history: &History,
    ) -> Result<Deployment<'a>, Failure> {
        let began = Instant::now();
        let service = start()?;
        service.published(history.tip())?;
        self.ours.push(began.elapsed());
        self.processor.push(service.served()?.time_with_children()?);
        let after = Verdicts::of(&service)?;
        self.verdicts.push(after.count);
        self.verdict_ms.push(after.seconds * 1e3);
        self.weigh(&service)?;
        Ok(service)
    }

    /// A commit, from the delivery until it is published. It is made just before, since the service goes on listing for a
    /// while after each delivery and would find it by itself.
    fn told(
        &mut self,
        service: &mut Deployment<'_>,
        change: impl FnOnce() -> Result<String, Failure>,
    ) -> Result<String, Failure> {
        Deployment::rest();
        let (before, spent) = (Verdicts::of(service)?, service.served()?.time_with_children()?);
        let commit = change()?;
        let began = Instant::now();
        service.deliver(&commit)?;
        service.published(&commit)?;
        self.ours.push(began.elapsed());
        self.processor
            .push(service.served()?.time_with_children()?.saturating_sub(spent));
        let after = Verdicts::of(service)?;
        self.verdicts.push(after.count - before.count);
        self.verdict_ms.push((after.seconds - before.seconds) * 1e3);
        Ok(commit)
    }

    fn weigh(&mut self, service: &Deployment<'_>) -> Result<(), Failure> {
        self.resident_kib = service.served()?.resident_kib()?;
        self.peak_kib = service.served()?.peak_kib()?;
        Ok(())
    }

    fn middle_ms(&self) -> f64 {
        median(&milliseconds(&self.ours))
    }

    /// The ratio to the smallest is what a repository costs for being large.
    fn row(&self, all: &[Self]) -> Row {
        let (ours, git) = (self.middle_ms(), median(&milliseconds(&self.git)));
        let smallest = all.iter().find(|course| course.what == self.what);
        let what = match self.what {
            What::Cold => "cold start".to_owned(),
            What::Restart => "start after a kill".to_owned(),
            What::Changed(1) => "one file changed".to_owned(),
            What::Changed(count) => format!("{count} files changed"),
        };
        Row {
            what: format!("{} files: {what}", self.files),
            figures: vec![
                ("median_ms", ours),
                ("p99_ms", quantile(&milliseconds(&self.ours), 99)),
                ("floor_git_ms", git),
                ("times_floor", ours / git),
                ("times_smallest", ours / smallest.map_or(ours, Self::middle_ms)),
                ("verdict_ms", median(&self.verdict_ms)),
                ("verdicts", median(&self.verdicts)),
                ("processor_ms", median(&milliseconds(&self.processor))),
                ("rss_mib", self.resident_kib / 1_024.0),
                ("peak_mib", self.peak_kib / 1_024.0),
            ],
        }
    }
}

/// What the service tells of the verdicts it has worked out since it started.
struct Verdicts {
    count: f64,
    seconds: f64,
}

impl Verdicts {
    fn of(service: &Deployment<'_>) -> Result<Self, Failure> {
        let numbers = Numbers::of(service.served()?.address)?;
        Ok(Self {
            count: numbers.sum("headwater_verdicts_total"),
            seconds: numbers.sum("headwater_verdict_duration_seconds_sum"),
        })
    }
}

/// The program `git` with a repository of its own.
struct Peer {
    dir: PathBuf,
}

impl Peer {
    fn at(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// A clone, and every file of the newest commit.
    fn start(&self, history: &History) -> Result<Duration, Failure> {
        let began = Instant::now();
        bare(&self.dir)?;
        said(&self.dir, &["remote", "add", "origin", &history.path()])?;
        fetch(&self.dir)?;
        self.read_all()?;
        Ok(began.elapsed())
    }

    /// Every file of the newest commit.
    fn read_all(&self) -> Result<Duration, Failure> {
        let began = Instant::now();
        git(&self.dir, &["archive", "--format=tar", "main"], b"")?;
        Ok(began.elapsed())
    }

    /// A fetch, what changed, and what it holds.
    fn follow(&self, parent: &str, commit: &str) -> Result<Duration, Failure> {
        let began = Instant::now();
        fetch(&self.dir)?;
        let changed = said(&self.dir, &["diff-tree", "-r", parent, commit])?;
        let blobs = changed.lines().filter_map(|line| line.split(' ').nth(3));
        let wanted: Vec<&str> = blobs.flat_map(|blob| [blob, "\n"]).collect();
        git(&self.dir, &["cat-file", "--batch"], wanted.concat().as_bytes())?;
        Ok(began.elapsed())
    }
}

fn fetch(dir: &Path) -> Result<(), Failure> {
    said(dir, &["fetch", "--quiet", "origin", "+main:main"]).map(drop)
}
