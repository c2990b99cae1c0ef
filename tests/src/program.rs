//! A program under test as a process of its own, and what it prints, line by line.
//!
//! Invariant: it is ended by its own handle only, also after a panic; what it printed is kept from the first line on, so
//! that a test can say that something was *not* printed.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use crate::wait::{wait_for, wait_until};

/// A running program.
#[derive(Debug)]
pub struct Program {
    child: Child,
    printed: Lines,
    complained: Lines,
}

type Lines = Arc<Mutex<Vec<String>>>;

impl Program {
    /// Starts it with its output taken and no input.
    pub fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let printed = collect(child.stdout.take().expect("a pipe"));
        let complained = collect(child.stderr.take().expect("a pipe"));
        Self {
            child,
            printed,
            complained,
        }
    }

    /// All that it has printed by now.
    pub fn printed(&self) -> Vec<String> {
        copy(&self.printed)
    }

    /// Waits for a line and returns it.
    #[track_caller]
    pub fn until(&mut self, what: &str, is: impl Fn(&str) -> bool) -> String {
        let mut dead = false;
        let mut last = None;
        wait_until(what, || {
            // Looked at first, so that the last words of a program that has ended are read.
            dead = self.child.try_wait().is_ok_and(|ended| ended.is_some());
            last = self.printed().into_iter().find(|line| is(line));
            dead || last.is_some()
        });
        last.unwrap_or_else(|| {
            panic!(
                "the program ended without it: {what}\nprinted: {:#?}\ncomplained: {:#?}",
                self.printed(),
                copy(&self.complained)
            )
        })
    }

    /// Asks it to end, as a service manager does, and waits for that.
    #[track_caller]
    pub fn terminate(mut self) -> ExitStatus {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(sent.expect("kill runs").success());
        wait_for("the end of the program", || self.child.try_wait().ok().flatten())
    }

    /// Waits until it ends by itself; its exit code, and what it complained of.
    #[track_caller]
    pub fn ended(mut self) -> (Option<i32>, Vec<String>) {
        let status = wait_for("the program to end by itself", || {
            self.child.try_wait().ok().flatten()
        });
        (status.code(), copy(&self.complained))
    }
}

#[expect(
    clippy::print_stderr,
    reason = "who reads a test that failed wants to see what the program said"
)]
impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.child.kill().ok();
        self.child.wait().ok();
        if std::thread::panicking() {
            let (printed, complained) = (self.printed(), copy(&self.complained));
            eprintln!("the program printed {printed:#?} and complained {complained:#?}");
        }
    }
}

fn collect(pipe: impl Read + Send + 'static) -> Lines {
    let lines = Lines::default();
    let sink = Arc::clone(&lines);
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            sink.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
    });
    lines
}

fn copy(lines: &Lines) -> Vec<String> {
    lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
}
