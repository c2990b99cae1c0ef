//! Reads `stages` of `[rollout.NAME]`: who comes when.
//!
//! Invariant: each stage may take somebody whom those before it left, so that none is waited for in vain.

use std::collections::BTreeMap;

use globset::Glob;

use super::super::reader::Reader;
use crate::document::{Node, Range};
use crate::rollout::{Begins, RolloutKind, Stage};

pub(in super::super) const KEYS: &[&str] = &["labels", "percent", "count", "bake", "approval"];

/// Most stages of a policy: one for each of a hundred shares, and some by labels.
const STAGES_MAX: usize = 128;

pub(super) fn read(
    reader: &mut Reader<'_>,
    node: &Node,
    kind: Option<RolloutKind>,
    owner: (Range, &str),
) -> Vec<Stage> {
    let items = reader.list(node, "stages");
    if items.len() > STAGES_MAX
        && let Some(list) = node.get("stages")
    {
        let message = format!("a rollout has more stages than {STAGES_MAX}: `{}`", items.len());
        reader.error(
            list.range,
            "manifest/value",
            message,
            "let each take more instances",
        );
        return Vec::new();
    }
    let stages: Vec<Stage> = items.iter().map(|stage| read_one(reader, stage)).collect();
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
        (Some(RolloutKind::Immediate), _) => {}
        _ => check_order(reader, items.iter().zip(&stages)),
    }
    stages
}

fn read_one(reader: &mut Reader<'_>, node: &Node) -> Stage {
    reader.table(node, "a stage", KEYS);
    let stage = Stage {
        labels: read_labels(reader, node),
        percent: reader
            .integer(node, "percent", 1..=100)
            .and_then(|percent| percent.value.try_into().ok()),
        count: reader
            .integer(node, "count", 1..=i64::from(u32::MAX))
            .and_then(|count| count.value.try_into().ok()),
        bake_time_ms: reader.some_time_ms(node, "bake"),
        begins: match reader.boolean(node, "approval") {
            Some(true) => Begins::WithApproval,
            Some(false) | None => Begins::ByItself,
        },
    };
    let (percent, count) = (node.get("percent"), node.get("count"));
    if let (Some(percent), Some(_)) = (percent, count) {
        let message = "a stage has a share and a number";
        let hint = "write either `percent` or `count`";
        reader.error(percent.range, "manifest/value", message, hint);
    }
    if node.get("labels").or(percent).or(count).is_none() {
        reader.error(
            node.range,
            "manifest/value",
            "a stage does not say who is in it",
            "add `labels`, `percent` or `count`",
        );
    }
    stage
}

fn read_labels(reader: &mut Reader<'_>, node: &Node) -> BTreeMap<String, String> {
    let labels = reader.string_map(node, "labels");
    if let Some(table) = node.get("labels").filter(|table| table.members().is_empty()) {
        let hint = "name one, such as `{ canary = \"true\" }`, or remove `labels`";
        reader.error(table.range, "manifest/value", "`labels` names no label", hint);
    }
    let mut read = BTreeMap::new();
    for (label, glob) in labels {
        // One that is broken would match nobody, and the stage be over at once.
        if let Err(error) = Glob::new(&glob.value) {
            let message = format!("{}: `{}`", error.kind(), glob.value);
            let hint = "write a value or a glob such as `eu-*`";
            reader.error(glob.range, "manifest/pattern", message, hint);
        }
        read.insert(label, glob.value);
    }
    read
}

/// Nobody is left for a stage behind one that takes everybody, nor for one that takes less than one before it, both
/// without labels: it counts all who are in. One with labels takes its share of those who are not.
fn check_order<'n>(reader: &mut Reader<'_>, stages: impl Iterator<Item = (&'n Node, &'n Stage)>) {
    let (mut percent, mut count) = (0, 0);
    let mut is_over = false;
    for (node, stage) in stages {
        if is_over {
            let message = "a stage comes after one that takes everybody";
            let hint = "remove it, or reorder the stages";
            reader.error(node.range, "manifest/value", message, hint);
            return;
        }
        if !stage.labels.is_empty() {
            continue;
        }
        // One that says nothing of who is in it has its own finding.
        is_over = stage.percent.is_some() && stage.takes_everyone();
        let less = match (stage.percent, stage.count) {
            (Some(share), None) if share < percent => Some((u32::from(share), u32::from(percent))),
            (None, Some(number)) if number < count => Some((number, count)),
            _ => None,
        };
        if let Some((takes, before)) = less {
            let message = format!("a stage takes less than the stage before it: `{takes}`");
            let hint = format!("write {before} or more, or reorder the stages");
            reader.error(node.range, "manifest/value", message, hint);
        }
        percent = stage.percent.unwrap_or_default().max(percent);
        count = stage.count.unwrap_or_default().max(count);
    }
}
