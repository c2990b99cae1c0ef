//! The service as a process of its own, to be killed.
//!
//! Invariant: it is ended by its own handle only, and its standard error goes to nobody. The program is the one that
//! Cargo built for the suite.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use serde_json::Value;

use crate::http::Ask;
use crate::wait::wait_for;

/// A running process.
#[derive(Debug)]
pub struct Served {
    child: Child,
    addr: Option<SocketAddr>,
}

impl Served {
    /// Starts `program` (the suite's own `served`) and waits until it listens, or has ended.
    pub fn start(program: &str, url: &str, data_dir: &Path) -> Self {
        let mut command = Command::new(program);
        command.arg(url).arg(data_dir);
        Self::start_by(command)
    }

    /// The same, allowed to write to the upstream, with more options.
    pub fn start_writing(program: &str, url: &str, data_dir: &Path, options: &[String]) -> Self {
        let mut command = Command::new(program);
        command.arg(url).arg(data_dir).arg("--allow-write").args(options);
        Self::start_by(command)
    }

    /// Starts it by a command that says all: where to listen, or inside which network.
    pub fn start_by(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the service starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        Self {
            child,
            addr: line.trim().parse().ok(),
        }
    }

    /// Its address; it must be listening.
    #[track_caller]
    pub fn addr(&self) -> SocketAddr {
        self.addr.expect("it listens")
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The state of its repository.
    pub fn repo(&self) -> Value {
        Ask::get("/v1/repos/default").send(self.addr()).json()
    }

    /// Waits for a state of its repository.
    #[track_caller]
    pub fn until(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        wait_for(what, || Some(self.repo()).filter(|repo| is(repo)))
    }

    /// Kills it as `kill -9` does.
    pub fn kill(mut self) {
        self.end();
    }

    /// Sends it a signal by name.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([&format!("-{name}"), &self.child.id().to_string()])
            .status();
        assert!(status.expect("kill runs").success());
    }

    /// Waits for its end.
    pub fn wait(mut self) -> ExitStatus {
        self.child.wait().expect("it ends")
    }

    /// Descriptors it has open.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).map_or(0, Iterator::count)
    }

    fn end(&mut self) {
        // It may have ended by itself.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.end();
    }
}
