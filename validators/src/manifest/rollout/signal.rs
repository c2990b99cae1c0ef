//! Reads `[[rollout.NAME.signals]]`: who is asked while a stage bakes, and how often.
//!
//! Invariant: a signal has one source, and a policy has each name once.

use std::collections::BTreeSet;

use super::super::reader::Reader;
use crate::document::{Node, Range};
use crate::rollout::{BAKE_UNSAID_MS, Bound, Deadlines, SignalPolicy, SignalSource, Stage};

pub(in super::super) const KEYS: &[&str] = &[
    "name",
    "prometheus",
    "webhook",
    "passes_min",
    "unclear_max",
    "interval",
];

pub(in super::super) const PROMETHEUS_KEYS: &[&str] = &["server", "query", "pass_if"];

/// Times a signal must say yes, unless it is said: the first answer may still be about the time before.
const PASSES_MIN: u32 = 3;
/// Answers that are none before the rollout stops, unless it is said.
const UNCLEAR_MAX: u32 = 5;
const INTERVAL_MS: u64 = 30_000;
/// Shortest time between two questions: who answers has others to answer, too.
const INTERVAL_MIN_MS: u64 = 5_000;
const INTERVAL_MAX_MS: u64 = 3_600_000;
/// Most signals of a policy: each is asked in every stage of every config that has it.
const SIGNALS_MAX: usize = 32;

pub(super) fn read(reader: &mut Reader<'_>, policy: &Node, owner: &str) -> Vec<SignalPolicy> {
    let mut names = BTreeSet::new();
    let mut signals = Vec::new();
    let tables = reader.list(policy, "signals");
    if tables.len() > SIGNALS_MAX
        && let Some(list) = policy.get("signals")
    {
        let message = format!("{owner} has more signals than {SIGNALS_MAX}: `{}`", tables.len());
        let hint = "let one query or webhook speak for several";
        reader.error(list.range, "manifest/value", message, hint);
        return signals;
    }
    for table in tables {
        let Some(signal) = read_one(reader, table) else {
            continue;
        };
        if !names.insert(signal.name.clone()) {
            let message = format!("{owner} has two signals of one name: `{}`", signal.name);
            reader.error(table.range, "manifest/value", message, "give each its own `name`");
        }
        signals.push(signal);
    }
    signals
}

/// What a signal must say while a stage bakes, it must have the time to say: the bake, and then as long as a stage may
/// take to run the content.
pub(super) fn check_time(
    reader: &mut Reader<'_>,
    policy: &Node,
    (signals, stages): (&[SignalPolicy], &[Stage]),
    deadlines: Deadlines,
) {
    let bake_ms = stages.iter().map(Stage::bake_ms).min().unwrap_or(BAKE_UNSAID_MS);
    let most_ms = bake_ms.saturating_add(deadlines.expose_ms);
    let late = signals
        .iter()
        .find(|signal| signal.interval_ms.saturating_mul(signal.passes_min.into()) > most_ms);
    if let Some((signal, list)) = late.zip(policy.get("signals")) {
        let message = format!(
            "no stage has the time for {} answers of a signal: `{}`",
            signal.passes_min, signal.name
        );
        let hint =
            "ask for fewer by `passes_min`, more often by `interval`, or let each stage `bake` for longer";
        reader.error(list.range, "manifest/value", message, hint);
    }
}

fn read_one(reader: &mut Reader<'_>, table: &Node) -> Option<SignalPolicy> {
    const WHAT: &str = "a signal";
    reader.table(table, WHAT, KEYS);
    let name = reader.required_string(table, "name", (table.range, WHAT));
    let source = read_source(reader, (table, WHAT));
    let times = |reader: &mut Reader<'_>, key: &str, usual: u32| {
        let times = reader.integer(table, key, 1..=i64::from(u16::MAX));
        times
            .and_then(|times| times.value.try_into().ok())
            .unwrap_or(usual)
    };
    let passes_min = times(reader, "passes_min", PASSES_MIN);
    let unclear_max = times(reader, "unclear_max", UNCLEAR_MAX);
    let interval_ms = read_interval(reader, table);
    Some(SignalPolicy {
        name: name?.value,
        source: source?,
        passes_min,
        unclear_max,
        interval_ms,
    })
}

fn read_source(reader: &mut Reader<'_>, (table, what): (&Node, &str)) -> Option<SignalSource> {
    match (table.get("prometheus"), table.get("webhook")) {
        (Some(prometheus), None) => read_prometheus(reader, prometheus),
        (None, Some(_)) => {
            let server = reader.setting_name(table, "webhook")?;
            Some(SignalSource::Webhook { server })
        }
        (both, _) => {
            let (message, range): (_, Range) = match both {
                Some(prometheus) => ("has two sources", prometheus.range),
                None => ("does not say who is asked", table.range),
            };
            let hint = "write either `prometheus = { server = …, query = …, pass_if = … }` or `webhook = …`";
            reader.error(range, "manifest/value", format!("{what} {message}"), hint);
            None
        }
    }
}

fn read_prometheus(reader: &mut Reader<'_>, table: &Node) -> Option<SignalSource> {
    const WHAT: &str = "`prometheus`";
    reader.table(table, WHAT, PROMETHEUS_KEYS);
    if table.members().is_empty() {
        return None;
    }
    let owner = (table.range, WHAT);
    if table.get("server").is_none() {
        reader.missing(owner, "server");
    }
    let server = reader.setting_name(table, "server");
    let query = reader.required_string(table, "query", owner);
    let bound = reader.required_string(table, "pass_if", owner);
    let pass_if = bound.and_then(|text| match text.value.parse::<Bound>() {
        Ok(bound) => Some(bound),
        Err(error) => {
            let message = format!("`pass_if` is {error}: `{}`", text.value);
            let hint = "write `<`, `<=`, `>` or `>=` and a number; the comparison does not belong into the query, \
                        which would answer nothing where it does not hold";
            reader.error(text.range, "manifest/value", message, hint);
            None
        }
    });
    Some(SignalSource::Prometheus {
        server: server?,
        query: query?.value,
        pass_if: pass_if?,
    })
}

fn read_interval(reader: &mut Reader<'_>, table: &Node) -> u64 {
    let Some(interval_ms) = reader.duration_ms(table, "interval") else {
        return INTERVAL_MS;
    };
    if !(INTERVAL_MIN_MS..=INTERVAL_MAX_MS).contains(&interval_ms)
        && let Some(node) = table.get("interval")
    {
        let message = "`interval` is out of range";
        reader.error(
            node.range,
            "manifest/value",
            message,
            "write a time from `5s` to `1h`",
        );
        return INTERVAL_MS;
    }
    interval_ms
}
