//! What a full fleet costs: memory, reports, a tally, counts, and what is kept of it.
//!
//! Run with `cargo bench -p headwater-core --bench fleet`, with `-- 1000` for a look at a small one. One thread, no network and no disk: these are the costs of
//! the decisions alone. Each figure is the median over rounds; memory is what the process grew by, so it needs Linux.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a program that prints figures"
)]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use headwater_core::rollout::{Course, Directive, Offer, Policy, RollCall, Rollout, Urgency, plan, tally};
use headwater_core::{
    ConfigFacts, Content, Fleet, INSTANCES_MAX, InstanceFilter, Moment, REPORT_CONFIGS_MAX, Target, Uptime,
    fleet_counts,
};
use headwater_wire::{
    CommitId, ConfigName, ConfigReport, Digest, FailPhase, Generation, InstanceId, InstanceReport,
    ReportError, ReportState, Running, Timestamp, ValueSource,
};

const ROUNDS: usize = 11;

fn id(number: usize) -> InstanceId {
    format!("payments-{number:06}").parse().unwrap()
}

fn config() -> ConfigName {
    "payments/prod".parse().unwrap()
}

fn version(number: usize) -> CommitId {
    format!("{number:040x}").parse().unwrap()
}

fn digest(number: usize) -> Digest {
    format!("sha256:{number:064x}").parse().unwrap()
}

/// As it comes from the network: every text of its own.
fn report(seq: u64, content: usize, state: ReportState) -> InstanceReport {
    let config_report = ConfigReport {
        running: Some(Running {
            version: version(content),
            digest: digest(content),
        }),
        generation: Generation(content as u64),
        state,
        error: None,
        prepared: None,
        source: ValueSource::Server,
    };
    InstanceReport {
        incarnation: 1_764_113_511_042,
        seq,
        labels: BTreeMap::from([("region".to_owned(), "eu-west".to_owned())]),
        client: "headwater-agent/0.1.0".to_owned(),
        configs: BTreeMap::from([(config(), config_report)]),
    }
}

fn now(ms: u64) -> Moment {
    Moment {
        at: Timestamp(1_764_113_511_042 + i64::try_from(ms).unwrap()),
        uptime: Uptime(ms),
    }
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<usize>().ok());
    pages.unwrap_or_default() * 4_096
}

/// Every instance reports once; gives the time that the fleet took of it.
fn all_report(
    fleet: &mut Fleet,
    ids: &[InstanceId],
    report: &dyn Fn() -> InstanceReport,
    at: Moment,
) -> Duration {
    let mut spent = Duration::ZERO;
    for id in ids {
        let report = report();
        let began = Instant::now();
        fleet.take(id, report, at).unwrap();
        spent += began.elapsed();
    }
    spent
}

fn median(mut work: impl FnMut() -> Duration) -> Duration {
    let mut times: Vec<Duration> = (0..ROUNDS).map(|_| work()).collect();
    times.sort();
    times[ROUNDS / 2]
}

fn timed<T>(work: impl FnOnce() -> T) -> Duration {
    let began = Instant::now();
    black_box(work());
    began.elapsed()
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

fn main() {
    let asked = std::env::args().find_map(|word| word.parse::<usize>().ok());
    let instances = asked.unwrap_or(INSTANCES_MAX).clamp(1, INSTANCES_MAX);
    let ids: Vec<InstanceId> = (0..instances).map(id).collect();
    let mut fleet = Fleet::default();
    let before = resident_bytes();
    let first = all_report(&mut fleet, &ids, &|| report(1, 1, ReportState::Confirmed), now(0));
    let bytes = resident_bytes().saturating_sub(before) / instances;
    println!("{instances} instances of one config");
    println!("  memory per instance            {bytes:>10} bytes");
    println!(
        "    of them by the estimate      {:>10} bytes",
        (fleet.bytes() + fleet.history_bytes()) / instances
    );
    println!(
        "  first report                   {:>10.2} µs",
        each(first, instances)
    );
    let mut seq = 1;
    let heartbeat = median(|| {
        seq += 1;
        all_report(
            &mut fleet,
            &ids,
            &|| report(seq, 1, ReportState::Confirmed),
            now(seq),
        )
    });
    println!(
        "  heartbeat                      {:>10.2} µs",
        each(heartbeat, instances)
    );
    let change = median(|| {
        seq += 1;
        let content = usize::try_from(seq).unwrap();
        all_report(
            &mut fleet,
            &ids,
            &|| report(seq, content, ReportState::Applied),
            now(seq),
        )
    });
    println!(
        "  report of other content        {:>10.2} µs",
        each(change, instances)
    );
    let bytes = resident_bytes().saturating_sub(before) / instances;
    println!("  memory after {ROUNDS:>2} changes        {bytes:>10} bytes");
    println!(
        "    of them by the estimate      {:>10} bytes",
        (fleet.bytes() + fleet.history_bytes()) / instances
    );
    members(&fleet, seq);
    drop(fleet);
    flood();
}

/// As many configs as a report may have, of which nobody else says the same.
fn flooded(number: usize) -> InstanceReport {
    let mut report = report(1, number, ReportState::Failed);
    let mut config = report.configs.remove(&config()).unwrap();
    config.error = Some(ReportError {
        phase: FailPhase::Validate,
        message: format!("{number:064}"),
    });
    let names = (0..REPORT_CONFIGS_MAX).map(|name| format!("payments/prod-{name}").parse().unwrap());
    report.configs = names.map(|name| (name, config.clone())).collect();
    report
}

/// A fleet that is filled on purpose.
fn flood() {
    let mut fleet = Fleet::default();
    let before = resident_bytes();
    let taken =
        (0..INSTANCES_MAX).take_while(|number| fleet.take(&id(*number), flooded(*number), now(0)).is_ok());
    let instances = taken.count();
    println!("filled by {instances} instances of {REPORT_CONFIGS_MAX} configs each");
    let mib = |bytes: usize| bytes >> 20;
    println!(
        "  memory                         {:>10} MiB",
        mib(resident_bytes().saturating_sub(before))
    );
    println!(
        "    of them by the estimate      {:>10} MiB",
        mib(fleet.bytes() + fleet.history_bytes())
    );
    let again = median(|| {
        timed(|| {
            fleet
                .take(&id(INSTANCES_MAX), flooded(INSTANCES_MAX), now(0))
                .is_err()
        })
    });
    println!("  one more, which is refused     {:>10.2} ms", ms(again));
}

fn each(all: Duration, instances: usize) -> f64 {
    all.as_secs_f64() * 1e6 / instances as f64
}

/// A rollout to content, whose only stage takes everybody and is open.
fn rollout(fleet: &Fleet, content: usize, at: Uptime) -> Rollout {
    let facts = |content: usize| ConfigFacts {
        version: version(content),
        content: Content {
            inputs: digest(content),
            documents: None,
        },
    };
    let mut stable = Target {
        version: version(0),
        source: None,
        horizon: None,
        content: facts(0).content,
        generation: Generation(1),
        past: Vec::new(),
        undoes: None,
    };
    let offer = Offer {
        id: "r-1".to_owned(),
        facts: facts(content),
        source: version(content),
        policy: Policy::immediate(),
        urgency: Urgency::Usual,
    };
    let mut course = Course::default();
    course.offer(&config(), &mut stable, offer, Generation(2));
    let due = course.rollout.as_ref().unwrap();
    let counted = tally(due, fleet.members(&config(), at), RollCall::Over);
    let step = plan(due, &counted, Timestamp(0)).unwrap();
    assert!(course.apply(&config(), &mut stable, step, Generation(3)));
    course.rollout.unwrap()
}

fn members(fleet: &Fleet, seq: u64) {
    let at = now(seq).uptime;
    let rollout = rollout(fleet, usize::try_from(seq).unwrap(), at);
    let taken = median(|| timed(|| tally(&rollout, fleet.members(&config(), at), RollCall::Over)));
    println!("  tally of a rollout             {:>10.1} ms", ms(taken));
    let counted = median(|| timed(|| fleet_counts(fleet.members(&config(), at), |_| None)));
    println!("  counts                         {:>10.1} ms", ms(counted));
    let other = "other".parse().unwrap();
    let nobody = median(|| timed(|| fleet.members(&other, at).count()));
    println!("  tally of a config of nobody    {:>10.4} ms", ms(nobody));
    let asked = &fleet.members(&config(), at).collect::<Vec<_>>();
    let told = median(|| {
        timed(|| {
            let told = asked
                .iter()
                .map(|member| rollout.directive(member.instance, member.labels));
            told.filter(|directive| matches!(directive, Directive::Target(_)))
                .count()
        })
    });
    println!(
        "  what one is to hold            {:>10.2} µs",
        each(told, asked.len())
    );
    let page = median(|| timed(|| fleet.list(&InstanceFilter::default(), (None, 1_000), at, |_, _| None)));
    println!("  page of 1,000                  {:>10.1} ms", ms(page));
    let piece = median(|| timed(|| fleet.kept(None, 500, at)));
    println!("  copy of 500, to be kept        {:>10.1} ms", ms(piece));
}
