//! What is measured, as processes of their own: floors, twins and the service.
//!
//! Invariant: a child ends with its handle. Nothing of the settings of who runs this reaches one: it has `PATH` and no
//! other variable. A child is on the first processor, if there are two, so that who asks does not slow who answers.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use clap::ValueEnum;

use crate::Options;
use crate::failure::{Failure, while_doing};

/// The unit in which Linux tells programs of processor time, in ms.
const TICK_MS: u64 = 10;

/// What a child of this program serves.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Serving {
    /// The same bytes to every request, from a bare event loop.
    Canned,
    /// The same bytes to every watcher when told so, from a bare event loop.
    Push,
    /// The same bytes to every request, and once more to everybody when told so, from a bare event loop.
    Herd,
    /// The same bytes through the HTTP library of the service, and nothing round it.
    Twin,
}

/// A process that serves.
pub(crate) struct Served {
    child: Child,
    orders: Option<ChildStdin>,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl Served {
    /// Starts a floor or twin with answers of that many bytes.
    pub(crate) fn floor(what: Serving, bytes: usize) -> Result<Self, Failure> {
        let name = match what {
            Serving::Canned => "canned",
            Serving::Push => "push",
            Serving::Herd => "herd",
            Serving::Twin => "twin",
        };
        let own = std::env::current_exe().map_err(while_doing("this program cannot be found"))?;
        Self::start(&own, &["serving", name, &bytes.to_string()])
    }

    /// Starts the service on a repository, with its data below `dir`.
    pub(crate) fn service(options: &Options, repository: &str, dir: &Path) -> Result<Self, Failure> {
        let data = dir.join("data");
        let args = [
            "serve",
            "--repo",
            repository,
            "--listen",
            "127.0.0.1:0",
            "--log",
            "warn",
        ];
        let data = data.to_string_lossy();
        Self::start(&measured(options)?, &[&args[..], &["--data-dir", &data]].concat())
    }

    /// Starts the service by a file of settings; its log goes to `log`.
    pub(crate) fn by_settings(options: &Options, settings: &Path, log: File) -> Result<Self, Failure> {
        let program = measured(options)?;
        let mut command = pinned(&program);
        command.arg("serve").arg("--settings").arg(settings).stderr(log);
        Self::listening(&program, command)
    }

    fn start(program: &Path, args: &[&str]) -> Result<Self, Failure> {
        let mut command = pinned(program);
        command.args(args);
        Self::listening(program, command)
    }

    /// Starts it, and reads where it listens.
    fn listening(program: &Path, mut command: Command) -> Result<Self, Failure> {
        command.env_clear();
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        let starting = format!("{} cannot be started", program.display());
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(while_doing(&starting))?;
        let (orders, said) = (child.stdin.take(), child.stdout.take());
        let mut served = Self {
            child,
            orders,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        let said = said.ok_or_else(|| Failure::new("a child has no output"))?;
        for line in BufReader::new(said).lines() {
            let line = line?;
            let address = line
                .split("http://")
                .nth(1)
                .and_then(|rest| rest.trim().parse().ok());
            if let Some(address) = address {
                served.address = address;
                return Ok(served);
            }
        }
        Err(Failure::new(format!(
            "{} ended before it listened",
            program.display()
        )))
    }

    /// Tells a floor to push once.
    pub(crate) fn push(&mut self) -> Result<(), Failure> {
        let orders = self
            .orders
            .as_mut()
            .ok_or_else(|| Failure::new("a child takes no orders"))?;
        orders.write_all(b"\n")?;
        Ok(orders.flush()?)
    }

    /// Memory of the process that is resident now, in KiB.
    pub(crate) fn resident_kib(&self) -> Result<f64, Failure> {
        self.status_kib("VmRSS:")
    }

    /// The most memory that was resident since the start, or since the last [`forget_peak`](Self::forget_peak), in KiB.
    pub(crate) fn peak_kib(&self) -> Result<f64, Failure> {
        self.status_kib("VmHWM:")
    }

    /// Begins a new peak. Where the kernel cannot do that, the peak stays that since the start, which is no smaller.
    pub(crate) fn forget_peak(&self) {
        fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5").ok();
    }

    /// Descriptors that it has open.
    pub(crate) fn descriptors(&self) -> Result<usize, Failure> {
        Ok(fs::read_dir(format!("/proc/{}/fd", self.child.id()))?.count())
    }

    fn status_kib(&self, name: &str) -> Result<f64, Failure> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok())
            .ok_or_else(|| Failure::new("the kernel does not say how much memory a process has"))
    }

    /// Processor time so far, also of threads that have ended and of children that it has waited for, to a hundredth of a
    /// second.
    pub(crate) fn time_with_children(&self) -> Result<Duration, Failure> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The name, in parentheses, may have anything in it. Behind it, the twelfth and three more are the times.
        let numbers = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let ticks: u64 = numbers
            .skip(11)
            .take(4)
            .filter_map(|number| number.parse::<u64>().ok())
            .sum();
        Ok(Duration::from_millis(ticks * TICK_MS))
    }

    /// Processor time of all its threads so far.
    pub(crate) fn processor_time(&self) -> Result<Duration, Failure> {
        let mut nanoseconds = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            // A thread may end between the listing and the reading.
            let stat = fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
            nanoseconds += stat
                .split(' ')
                .next()
                .and_then(|time| time.parse::<u64>().ok())
                .unwrap_or(0);
        }
        Ok(Duration::from_nanos(nanoseconds))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to kill.
        if self.child.kill().is_ok() {
            drop(self.child.wait());
        }
    }
}

/// The build of `headwater` that is measured.
pub(crate) fn measured(options: &Options) -> Result<PathBuf, Failure> {
    match &options.server {
        Some(program) => Ok(program.clone()),
        None => std::env::current_exe().map_err(while_doing("this program cannot be found")),
    }
}

/// The program on the first processor, where that can be had.
fn pinned(program: &Path) -> Command {
    let several = std::thread::available_parallelism().is_ok_and(|count| count.get() > 1);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|dir| dir.join("taskset").is_file());
    if !several || !found {
        return Command::new(program);
    }
    let mut command = Command::new("taskset");
    command.args(["-c", "0"]).arg(program);
    command
}
