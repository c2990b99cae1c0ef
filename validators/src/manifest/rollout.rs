//! `[rollout.NAME]`: how a new version of a config travels through the fleet.
//!
//! Invariant: what is here is well formed. What it means, and how it is carried out, is not decided here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::reader::Reader;
use crate::document::{Node, Range};

/// A policy of the manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolloutPolicy {
    /// How it moves.
    pub kind: RolloutKind,
    /// Stages in order; empty unless the manifest has some.
    pub stages: Vec<Stage>,
    /// Failed instances at which it aborts by itself.
    pub abort_failed: Option<u32>,
    /// Silence of an instance after which it counts against the rollout, in ms.
    pub abort_unknown_after_ms: Option<u64>,
}

/// How a rollout moves, the most careless first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RolloutKind {
    /// Everyone at once.
    Immediate,
    /// Stage by stage.
    Staged,
    /// Prepared everywhere, then activated.
    TwoPhase,
}

/// One step of a rollout: who is in it, and how long it must stay quiet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stage {
    /// Labels an instance must have, each a glob.
    pub labels: BTreeMap<String, String>,
    /// Share of the fleet, 1 to 100.
    pub percent: Option<u8>,
    /// Number of instances.
    pub count: Option<u32>,
    /// Quiet time before the next stage, in ms.
    pub bake_time_ms: Option<u64>,
}

impl RolloutKind {
    /// The word of the manifest.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Immediate => "immediate",
            Self::Staged => "staged",
            Self::TwoPhase => "two-phase",
        }
    }
}

pub(super) const KEYS: &[&str] = &["kind", "stages", "abort"];

pub(super) const STAGE_KEYS: &[&str] = &["labels", "percent", "count", "bake"];

pub(super) const ABORT_KEYS: &[&str] = &["failed", "unknown_after"];

const KINDS: &[(&str, RolloutKind)] = &[
    (RolloutKind::Immediate.as_str(), RolloutKind::Immediate),
    (RolloutKind::Staged.as_str(), RolloutKind::Staged),
    (RolloutKind::TwoPhase.as_str(), RolloutKind::TwoPhase),
];

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
    let stages: Vec<Stage> = reader
        .list(node, "stages")
        .iter()
        .map(|stage| read_stage(reader, stage))
        .collect();
    match (kind, node.get("stages")) {
        (Some(RolloutKind::Staged), None) => reader.missing(owner, "stages"),
        (Some(RolloutKind::Staged), Some(list)) if stages.is_empty() => {
            reader.error(
                list.range,
                "manifest/value",
                "a staged rollout has no stage",
                "add one, such as `{ percent = 100 }`",
            );
        }
        (Some(RolloutKind::Immediate), Some(list)) => {
            reader.error(
                list.range,
                "manifest/value",
                "an immediate rollout has stages",
                "remove them, or write `kind = \"staged\"`",
            );
        }
        _ => check_order(reader, node, &stages),
    }
    let (abort_failed, abort_unknown_after_ms) = node
        .get("abort")
        .map_or((None, None), |abort| read_abort(reader, abort));
    Some(RolloutPolicy {
        kind: kind?,
        stages,
        abort_failed,
        abort_unknown_after_ms,
    })
}

fn read_stage(reader: &mut Reader<'_>, node: &Node) -> Stage {
    reader.table(node, "a stage", STAGE_KEYS);
    let labels = reader.string_map(node, "labels");
    let stage = Stage {
        labels: labels
            .into_iter()
            .map(|(label, glob)| (label, glob.value))
            .collect(),
        percent: reader
            .integer(node, "percent", 1..=100)
            .and_then(|percent| percent.value.try_into().ok()),
        count: reader
            .integer(node, "count", 1..=i64::from(u32::MAX))
            .and_then(|count| count.value.try_into().ok()),
        bake_time_ms: reader.duration_ms(node, "bake"),
    };
    if ["labels", "percent", "count"]
        .iter()
        .all(|key| node.get(key).is_none())
    {
        reader.error(
            node.range,
            "manifest/value",
            "a stage does not say who is in it",
            "add `labels`, `percent` or `count`",
        );
    }
    stage
}

/// Shares only grow: a stage smaller than one before it would take nobody in.
fn check_order(reader: &mut Reader<'_>, node: &Node, stages: &[Stage]) {
    let mut reached = 0;
    for (stage, item) in stages
        .iter()
        .zip(node.get("stages").map(Node::items).unwrap_or_default())
    {
        let Some(percent) = stage.percent else { continue };
        if percent < reached {
            let message = format!("a stage takes less than the stage before it: `{percent}`");
            reader.error(
                item.range,
                "manifest/value",
                message,
                format!("write {reached} or more, or reorder the stages"),
            );
        }
        reached = reached.max(percent);
    }
}

fn read_abort(reader: &mut Reader<'_>, node: &Node) -> (Option<u32>, Option<u64>) {
    reader.table(node, "`abort`", ABORT_KEYS);
    let failed = reader
        .integer(node, "failed", 1..=i64::from(u32::MAX))
        .and_then(|failed| failed.value.try_into().ok());
    (failed, reader.duration_ms(node, "unknown_after"))
}
