//! Reads `[rollout.NAME]`.
//!
//! Invariant: a key that would do nothing in its place is a mistake, so that nobody relies on it.

pub(super) mod freeze;
pub(super) mod signal;
pub(super) mod stage;

use std::collections::BTreeMap;

use super::reader::Reader;
use crate::document::{Node, Range};
use crate::rollout::{Budget, Deadlines, Known, OnHalt, Quorum, RolloutKind, RolloutPolicy};

pub(super) const KEYS: &[&str] = &[
    "kind",
    "stages",
    "quorum",
    "deadlines",
    "abort",
    "on_halt",
    "sample_min",
    "known",
    "freeze",
    "signals",
];

pub(super) const ABORT_KEYS: &[&str] = &["failed", "unknown_after", "restarts"];

pub(super) const DEADLINES_KEYS: &[&str] = &["prepare", "expose", "roll_back"];

pub(super) const ON_HALT_KEYS: &[&str] = &["roll_back_after"];

const KINDS: &[(&str, RolloutKind)] = &[
    (RolloutKind::Immediate.as_str(), RolloutKind::Immediate),
    (RolloutKind::Staged.as_str(), RolloutKind::Staged),
    (RolloutKind::TwoPhase.as_str(), RolloutKind::TwoPhase),
];

const KNOWN: &[(&str, Known)] = &[("as-new", Known::AsNew), ("at-once", Known::AtOnce)];

/// What somebody who takes everybody at once has no use for.
const NOT_IMMEDIATE: &[&str] = &["stages", "quorum", "on_halt", "sample_min", "known", "signals"];

/// Reads `[rollout]`; a policy with a mistake is left out, and the mistake is a finding.
pub(super) fn read(reader: &mut Reader<'_>, root: &Node) -> BTreeMap<String, RolloutPolicy> {
    let Some(table) = root.get("rollout") else {
        return BTreeMap::new();
    };
    let mut policies = BTreeMap::new();
    if reader.object(table, "[rollout]") {
        for member in table.members() {
            let what = format!("[rollout.{}]", member.key);
            if let Some(policy) = read_policy(reader, &member.value, (member.key_range, &what)) {
                policies.insert(member.key.to_string(), policy);
            }
        }
    }
    policies
}

fn read_policy(reader: &mut Reader<'_>, node: &Node, owner: (Range, &str)) -> Option<RolloutPolicy> {
    reader.table(node, owner.1, KEYS);
    if node.get("kind").is_none() {
        reader.missing(owner, "kind");
    }
    let kind = reader.choice(node, "kind", KINDS);
    if let Some(kind) = kind {
        check_kind(reader, node, kind);
    }
    let stages = stage::read(reader, node, kind, owner);
    let quorum = read_quorum(reader, node);
    let deadlines = read_deadlines(reader, node);
    let budget = read_budget(reader, node);
    let on_halt = read_on_halt(reader, node);
    let sample_min = reader.integer(node, "sample_min", 1..=i64::from(u32::MAX));
    let known = reader.choice(node, "known", KNOWN);
    let freezes = freeze::read(reader, node);
    let signals = signal::read(reader, node, owner.1);
    signal::check_time(reader, node, (&signals, &stages), deadlines);
    let kind = kind?;
    Some(RolloutPolicy {
        kind,
        stages,
        quorum,
        deadlines,
        budget,
        on_halt: on_halt.unwrap_or(OnHalt::of_kind(kind)),
        sample_min: sample_min.map_or(0, |sample| sample.value.unsigned_abs()),
        known: known.unwrap_or_default(),
        freezes,
        signals,
    })
}

/// Keys that do nothing in a rollout of this kind.
fn check_kind(reader: &mut Reader<'_>, node: &Node, kind: RolloutKind) {
    let (idle, kind, other): (&[&str], _, _) = match kind {
        RolloutKind::Immediate => (NOT_IMMEDIATE, "an immediate", RolloutKind::Staged),
        RolloutKind::Staged => (&["quorum"], "a staged", RolloutKind::TwoPhase),
        RolloutKind::TwoPhase => return,
    };
    let idle = idle.iter().filter_map(|key| Some((*key, node.get(key)?)));
    let prepare = node
        .get("deadlines")
        .and_then(|deadlines| deadlines.get("prepare"));
    for (key, value) in idle.chain(prepare.map(|value| ("prepare", value))) {
        let message = format!("{kind} rollout has no use for `{key}`");
        let hint = format!("remove it, or write `kind = \"{}\"`", other.as_str());
        reader.error(value.range, "manifest/value", message, hint);
    }
}

/// `"all"`, or a share such as `"80%"`.
fn read_quorum(reader: &mut Reader<'_>, node: &Node) -> Quorum {
    let Some(text) = reader.string(node, "quorum") else {
        return Quorum::All;
    };
    let percent = text
        .value
        .strip_suffix('%')
        .and_then(|number| number.parse::<u8>().ok());
    match (text.value.as_str(), percent) {
        ("all" | "100%", _) => Quorum::All,
        (_, Some(percent @ 1..100)) => Quorum::Percent(percent),
        _ => {
            let message = format!("`quorum` is no share: `{}`", text.value);
            let hint = "write `\"all\"`, or a share from `\"1%\"` to `\"100%\"`";
            reader.error(text.range, "manifest/value", message, hint);
            Quorum::All
        }
    }
}

fn read_deadlines(reader: &mut Reader<'_>, node: &Node) -> Deadlines {
    let usual = Deadlines::default();
    let Some(table) = node.get("deadlines") else {
        return usual;
    };
    reader.table(table, "`deadlines`", DEADLINES_KEYS);
    Deadlines {
        prepare_ms: reader.some_time_ms(table, "prepare").unwrap_or(usual.prepare_ms),
        expose_ms: reader.some_time_ms(table, "expose").unwrap_or(usual.expose_ms),
        roll_back_ms: reader
            .some_time_ms(table, "roll_back")
            .unwrap_or(usual.roll_back_ms),
    }
}

fn read_budget(reader: &mut Reader<'_>, node: &Node) -> Budget {
    let usual = Budget::default();
    let Some(table) = node.get("abort") else {
        return usual;
    };
    reader.table(table, "`abort`", ABORT_KEYS);
    let failed = reader.integer(table, "failed", 1..=i64::from(u32::MAX));
    let restarts = reader.integer(table, "restarts", 1..=i64::from(u32::MAX));
    Budget {
        failed: failed.map_or(usual.failed, |failed| failed.value.unsigned_abs()),
        unknown_after_ms: reader.some_time_ms(table, "unknown_after"),
        restarts: restarts
            .and_then(|restarts| restarts.value.try_into().ok())
            .unwrap_or(usual.restarts),
    }
}

/// `"stay"`, or after how long it goes back by itself.
fn read_on_halt(reader: &mut Reader<'_>, node: &Node) -> Option<OnHalt> {
    let value = node.get("on_halt")?;
    if value.as_str().is_some() {
        return reader.choice(node, "on_halt", &[("stay", OnHalt::Stay)]);
    }
    if value.members().is_empty() {
        reader.wrong_type(
            value,
            "`on_halt`",
            "`\"stay\"` or `{ roll_back_after = \"10m\" }`",
        );
        return None;
    }
    reader.table(value, "`on_halt`", ON_HALT_KEYS);
    reader
        .duration_ms(value, "roll_back_after")
        .map(OnHalt::RollBackAfter)
}
