//! The attacks: how strong each is, and the processes that make it.
//!
//! Invariant: attackers are processes of their own, so that neither their descriptors nor their work are those of who
//! measures; each has an address of its own on loopback, and ends with its handle. No credential stands in an argument:
//! attackers read theirs from standard input.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use serde_json::Value;

use super::attacker::{BEGUN, ENOUGH};
use crate::failure::{Failure, while_doing};

/// Connections of one process: with room below the 20,000 descriptors that are usual.
const EACH_MAX: u32 = 12_500;
/// Longest time until attackers have tried all of their connections; a development build takes its time to accept them.
const BEGIN_DEADLINE: Duration = Duration::from_mins(5);
/// Longest time until attackers have said what they did.
const PATIENCE: Duration = Duration::from_mins(1);

/// What is done to the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Attack {
    /// Heads of requests that are sent a byte at a time, half of them after 60 KB in one go.
    Slowloris,
    /// Connections on which nothing is sent.
    HalfOpen,
    /// Event streams that nobody reads.
    Unread,
    /// Reports of nobody, of others, and with numbers that nobody can have come to.
    Reports,
    /// Good reports under more names than a fleet has room for.
    Names,
    /// Deliveries that are forged, repeated, or true and far too many.
    Webhooks,
    /// Deliveries whose bodies do not end.
    Unfinished,
    /// Upstreams that list three million refs.
    Upstream,
}

/// How strong an attack is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Strength {
    /// Processes, each with an address of its own.
    pub(crate) processes: u32,
    /// Connections that each has.
    pub(crate) connections: u32,
    /// Requests that each sends at least.
    pub(crate) requests: u32,
}

/// What the person who started this chose.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wish {
    /// Small numbers.
    pub(crate) quick: bool,
    /// Connections on which nothing is sent.
    pub(crate) half_open: Option<u32>,
    /// Bogus reports.
    pub(crate) reports: Option<u32>,
}

impl Attack {
    /// All of them, in the order in which they are made.
    pub(crate) const ALL: [Self; 8] = [
        Self::Slowloris,
        Self::HalfOpen,
        Self::Unread,
        Self::Reports,
        Self::Names,
        Self::Webhooks,
        Self::Unfinished,
        Self::Upstream,
    ];

    /// What a table calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Slowloris => "slowloris",
            Self::HalfOpen => "half-open connections",
            Self::Unread => "watchers that never read",
            Self::Reports => "bogus reports",
            Self::Names => "reports under new names",
            Self::Webhooks => "webhook flood",
            Self::Unfinished => "webhooks without an end",
            Self::Upstream => "upstreams of 3 M refs",
        }
    }

    /// The word for it on a command line.
    fn word(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// How strong it is. An upstream is attacked by nobody: it is the attacker.
    pub(crate) fn strength(self, wish: Wish) -> Strength {
        let held = |processes, connections| Strength {
            processes,
            connections,
            requests: 0,
        };
        let flood = |processes, connections, requests: u32| Strength {
            processes,
            connections,
            requests: requests.div_ceil(processes),
        };
        match (self, wish.quick) {
            (Self::Slowloris | Self::Unfinished, true) => held(1, 40),
            (Self::Slowloris, false) => held(4, 500),
            (Self::HalfOpen, quick) => {
                let all = wish.half_open.unwrap_or(if quick { 300 } else { 50_000 });
                let processes = all.div_ceil(EACH_MAX).max(1);
                held(processes, all.div_ceil(processes))
            }
            (Self::Unread, true) => held(1, 20),
            (Self::Unread, false) => held(2, 500),
            (Self::Reports, true) => flood(1, 4, wish.reports.unwrap_or(1_000)),
            (Self::Reports, false) => flood(2, 8, wish.reports.unwrap_or(1_000_000)),
            (Self::Names, true) => flood(1, 4, 500),
            (Self::Names, false) => flood(2, 8, 200_000),
            (Self::Webhooks, true) => flood(1, 4, 300),
            (Self::Webhooks, false) => flood(2, 8, 100_000),
            (Self::Unfinished, false) => held(2, 64),
            (Self::Upstream, _) => held(0, 0),
        }
    }

    /// Whether it may leave no connection for who comes anew: there are as many as the process has descriptors for, and
    /// who is there keeps his.
    pub(crate) fn takes_all_places(self) -> bool {
        self == Self::HalfOpen
    }

    /// Whether it may keep out deliveries: then polling finds what was pushed.
    pub(crate) fn keeps_deliveries_out(self) -> bool {
        matches!(self, Self::HalfOpen | Self::Unfinished)
    }
}

/// What attackers did.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Connections made and requests sent.
    pub(crate) made: u64,
    /// Answers by what was answered, `unexpected` among them.
    pub(crate) answers: BTreeMap<String, u64>,
    /// The first answer that should never be given.
    pub(crate) unexpected: Option<String>,
}

/// The processes of one attack.
pub(crate) struct Attackers(Vec<Process>);

struct Process {
    child: Child,
    orders: Option<ChildStdin>,
    said: Receiver<String>,
    enough: bool,
}

impl Attackers {
    /// Starts them, and waits until each has tried all of its connections.
    pub(crate) fn start(
        attack: Attack,
        strength: Strength,
        address: SocketAddr,
        credentials: &str,
    ) -> Result<Self, Failure> {
        let processes = (0..strength.processes)
            .map(|number| Process::start((attack, number), strength, address, credentials));
        let mut attackers = Self(processes.collect::<Result<_, _>>()?);
        for process in &mut attackers.0 {
            let first = process.said.recv_timeout(BEGIN_DEADLINE).ok();
            if first.as_deref() != Some(BEGUN) {
                return Err(Failure::new(format!("the {} did not begin", attack.name())));
            }
        }
        Ok(attackers)
    }

    /// Whether each has sent as much as it should.
    pub(crate) fn have_enough(&mut self) -> Result<bool, Failure> {
        for process in self.0.iter_mut().filter(|process| !process.enough) {
            match process.said.recv_timeout(Duration::ZERO) {
                Ok(line) => process.enough = line == ENOUGH,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(Failure::new("an attacker ended")),
            }
        }
        Ok(self.0.iter().all(|process| process.enough))
    }

    /// Ends them. What they did.
    pub(crate) fn end(mut self) -> Result<Tally, Failure> {
        let mut tally = Tally::default();
        for process in &mut self.0 {
            // Its input ends, and so does it.
            process.orders = None;
            tally.add(&process.last_word()?);
        }
        Ok(tally)
    }
}

impl Process {
    fn start(
        (attack, number): (Attack, u32),
        strength: Strength,
        address: SocketAddr,
        credentials: &str,
    ) -> Result<Self, Failure> {
        let program = std::env::current_exe().map_err(while_doing("this program cannot be found"))?;
        let mut child = Command::new(program)
            .args(["attacking", &attack.word(), &address.to_string()])
            .args([strength.connections, strength.requests, number].map(|figure| figure.to_string()))
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(while_doing("an attacker cannot be started"))?;
        let (mut orders, said) = (child.stdin.take(), child.stdout.take());
        let (say, hear) = channel();
        if let Some(said) = said {
            thread::spawn(move || {
                BufReader::new(said)
                    .lines()
                    .map_while(Result::ok)
                    .all(|line| say.send(line).is_ok())
            });
        }
        if let Some(orders) = &mut orders {
            writeln!(orders, "{credentials}")?;
        }
        Ok(Self {
            child,
            orders,
            said: hear,
            enough: false,
        })
    }

    /// The last line before it ended.
    fn last_word(&mut self) -> Result<String, Failure> {
        let (started, mut last) = (Instant::now(), String::new());
        loop {
            match self.said.recv_timeout(PATIENCE.saturating_sub(started.elapsed())) {
                Ok(line) => last = line,
                Err(RecvTimeoutError::Disconnected) => return Ok(last),
                Err(RecvTimeoutError::Timeout) => return Err(Failure::new("an attacker does not end")),
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.orders = None;
        // It may have ended already; then there is nothing to kill.
        self.child.kill().ok();
        drop(self.child.wait());
    }
}

impl Tally {
    fn add(&mut self, line: &str) {
        let said: Value = serde_json::from_str(line).unwrap_or_default();
        self.made += said["made"].as_u64().unwrap_or(0);
        for (answer, count) in said["answers"].as_object().into_iter().flatten() {
            *self.answers.entry(answer.clone()).or_default() += count.as_u64().unwrap_or(0);
        }
        if self.unexpected.is_none() {
            self.unexpected = said["unexpected"].as_str().map(str::to_owned);
        }
    }
}
