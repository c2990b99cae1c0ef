//! Mode `hostile`: what those who behave see, and what the service takes, while others mean harm.
//!
//! Each attack is made on a service of its own, beside programs that read at a fixed rate and watchers that must be told
//! of every commit: first in the calm, then attacked. Figures are printed beside those of the calm; bounds that do not
//! hold are told, and make the end of the program a failure.

mod attack;
mod attacker;
mod behaved;
mod bounds;
mod flood;
mod phase;
mod site;
mod upstream;

use std::thread;
use std::time::Duration;

use clap::Args;

use self::attack::{Attack, Attackers, Strength, Tally, Wish};
pub(crate) use self::attacker::Order;
use self::behaved::{Behaved, Numbers};
use self::bounds::{Case, DESCRIPTORS_LEFT, Seen, as_f64};
use self::phase::{Measured, Phase};
use self::site::Site;
use crate::Options;
use crate::failure::Failure;
use crate::report::{self, Row, median};

/// Repositories whose upstreams lie.
const LIARS: [&str; 2] = ["fickle", "old"];
/// How long to wait for the state of a source that lies, in tries of a second.
const STATE_TRIES: usize = 30;

/// Those who behave, beside those who do not
///
/// Everybody who behaves is served as in the calm, and memory stays within bounds that follow from the limits of the
/// service; otherwise this fails. Makes one round unless `--rounds` says more.
#[derive(Debug, Args)]
pub(crate) struct Hostile {
    #[command(flatten)]
    options: Options,
    /// Make this attack alone; may be repeated [default: all of them]
    #[arg(long, value_name = "ATTACK", value_enum)]
    only: Vec<Attack>,
    /// Connections on which nothing is sent [default: 50000, quick: 300]
    #[arg(long, value_name = "COUNT")]
    half_open: Option<u32>,
    /// Bogus reports [default: 1000000, quick: 1000]
    #[arg(long, value_name = "COUNT")]
    reports: Option<u32>,
    /// Watchers that behave [default: 300, quick: 20]
    #[arg(long, value_name = "COUNT")]
    watchers: Option<u32>,
    /// Shortest time of each attack, and of the calm before it, in seconds [default: 10, quick: 1]
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<u64>,
}

/// One attack and the calm before it.
struct Outcome {
    attack: Attack,
    strength: Strength,
    calm: Measured,
    beside: Measured,
    made: u64,
    grown_mib: (f64, f64),
    broken: Vec<String>,
}

impl Hostile {
    /// Measures, prints, and fails if a bound does not hold.
    #[expect(clippy::print_stderr, reason = "a program that says how far it is")]
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let attacks = if self.only.is_empty() {
            Attack::ALL.to_vec()
        } else {
            self.only.clone()
        };
        let mut outcomes = Vec::new();
        for _ in 0..self.options.rounds.unwrap_or(1) {
            for attack in &attacks {
                let (outcome, tally) = self.attacked(*attack)?;
                eprintln!("{}", told(&outcome, &tally));
                outcomes.push(outcome);
            }
        }
        report::print("hostile", &rows(&attacks, &outcomes), &self.options);
        let broken: Vec<String> = outcomes.into_iter().flat_map(|outcome| outcome.broken).collect();
        if broken.is_empty() {
            return Ok(());
        }
        Err(Failure::new(format!(
            "bounds do not hold:\n  {}",
            broken.join("\n  ")
        )))
    }

    /// One attack on a service of its own.
    fn attacked(&self, attack: Attack) -> Result<(Outcome, Tally), Failure> {
        let quick = self.options.quick;
        let wish = Wish {
            quick,
            half_open: self.half_open,
            reports: self.reports,
        };
        let numbers = Numbers {
            readers: if quick { 8 } else { 32 },
            reads_per_second: if quick { 80 } else { 200 },
            watchers: self.watchers.unwrap_or(if quick { 20 } else { 300 }),
        };
        let window = Duration::from_secs(self.seconds.unwrap_or(if quick { 1 } else { 10 }));
        let site = Site::start(&self.options)?;
        let behaved = Behaved::start(&site, numbers)?;
        let mut phase = Phase { site, behaved };
        let calm = phase.measure(window, |_| Ok(true))?;
        let (strength, listed) = (attack.strength(wish), phase.site.upstream.listed());
        let address = phase.site.service.address;
        let mut attackers = Attackers::start(attack, strength, address, &phase.site.credentials())?;
        if attack == Attack::Upstream {
            phase.site.upstream.lie();
        }
        let beside = phase.measure(window, |site| {
            // A push to those who lie, so that they are asked.
            if attack == Attack::Upstream {
                site.deliver("lies", "{}");
            }
            attackers.have_enough()
        })?;
        let upstream = seen(attack, &phase.site, listed)?;
        let tally = attackers.end()?;
        let left_open = phase.left_open(calm.descriptors + DESCRIPTORS_LEFT)?;
        let case = Case {
            attack,
            strength,
            calm: &calm,
            beside: &beside,
            tally: &tally,
            upstream,
            left_open,
            quick,
        };
        let (grown_mib, broken) = ((case.grown_mib(), case.grown_mib_max()), case.broken());
        let outcome = Outcome {
            attack,
            strength,
            calm,
            beside,
            made: tally.made,
            grown_mib,
            broken,
        };
        Ok((outcome, tally))
    }
}

/// What upstreams saw since `listed`. The state of one that lies is waited for: its answer may be under way.
fn seen(attack: Attack, site: &Site, listed: u64) -> Result<Seen, Failure> {
    let mut states = Vec::new();
    for liar in LIARS.iter().filter(|_| attack == Attack::Upstream) {
        let mut state = site.source_state(liar)?;
        for _ in 0..STATE_TRIES {
            if state == "bad_answer" {
                break;
            }
            thread::sleep(Duration::from_secs(1));
            state = site.source_state(liar)?;
        }
        states.push(state);
    }
    Ok(Seen {
        listed: site.upstream.listed() - listed,
        lied: site.upstream.lied(),
        states,
    })
}

/// What an attack did, for whoever waits.
fn told(outcome: &Outcome, tally: &Tally) -> String {
    let Strength {
        processes,
        connections,
        ..
    } = outcome.strength;
    let answers: Vec<String> = tally
        .answers
        .iter()
        .map(|(answer, count)| format!("{answer}: {count}"))
        .collect();
    format!(
        "{}: processes {processes}, connections of each {connections}; for {:.0} s; made {}; answers {}",
        outcome.attack.name(),
        outcome.beside.length.as_secs_f64(),
        tally.made,
        if answers.is_empty() {
            "none".to_owned()
        } else {
            answers.join(", ")
        }
    )
}

/// The calm, and each attack, in all rounds.
fn rows(attacks: &[Attack], outcomes: &[Outcome]) -> Vec<Row> {
    let calm: Vec<&Measured> = outcomes.iter().map(|outcome| &outcome.calm).collect();
    let mut rows = vec![row("calm", &calm, [1.0, 0.0, 0.0, 0.0])];
    for attack in attacks {
        let own: Vec<&Outcome> = outcomes
            .iter()
            .filter(|outcome| outcome.attack == *attack)
            .collect();
        let beside: Vec<&Measured> = own.iter().map(|outcome| &outcome.beside).collect();
        let middle = |figure: &dyn Fn(&Outcome) -> f64| {
            median(&own.iter().map(|outcome| figure(outcome)).collect::<Vec<_>>())
        };
        let ratio = |outcome: &Outcome| outcome.beside.read_ms(99) / outcome.calm.read_ms(99);
        let figures = [
            middle(&ratio),
            middle(&|outcome| outcome.grown_mib.0),
            middle(&|outcome| outcome.grown_mib.1),
            middle(&|outcome| as_f64(outcome.made)),
        ];
        rows.push(row(attack.name(), &beside, figures));
    }
    rows
}

fn row(what: &str, all: &[&Measured], [to_calm, grown, grown_max, made]: [f64; 4]) -> Row {
    let middle = |figure: &dyn Fn(&Measured) -> f64| {
        median(&all.iter().map(|measured| figure(measured)).collect::<Vec<_>>())
    };
    let count = |count: usize| as_f64(u64::try_from(count).unwrap_or(u64::MAX));
    Row {
        what: what.to_owned(),
        figures: vec![
            ("p50_ms", middle(&|measured| measured.read_ms(50))),
            ("p99_ms", middle(&|measured| measured.read_ms(99))),
            ("max_ms", middle(&|measured| measured.read_ms(100))),
            ("p99_to_calm", to_calm),
            ("reads", middle(&|measured| count(measured.samples.reads.len()))),
            ("failed", middle(&|measured| as_f64(measured.samples.failed))),
            ("all_told_ms", middle(&Measured::told_ms)),
            (
                "new_refused",
                middle(&|measured| as_f64(measured.samples.refused)),
            ),
            (
                "hooks_refused",
                middle(&|measured| as_f64(measured.deliveries_refused)),
            ),
            ("rss_mib", middle(&|measured| measured.resident_kib / 1_024.0)),
            ("peak_mib", middle(&|measured| measured.peak_kib / 1_024.0)),
            ("grown_mib", grown),
            ("grown_mib_max", grown_max),
            ("descriptors", middle(&|measured| count(measured.descriptors))),
            (
                "log_kib",
                middle(&|measured| as_f64(measured.log_bytes) / 1_024.0),
            ),
            ("made", made),
        ],
    }
}
