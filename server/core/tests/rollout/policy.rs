//! The policy of a config is the one of the commit that has it.

use std::sync::Arc;

use headwater_core::rollout::{
    Activation, Budget, Deadlines, Known, OnHalt, Policy, Quorum, Share, StagePolicy,
};
use headwater_validators::{
    ConfigTree, ContentId, Context, Entry, File, Floor, Limits, RolloutKind, Verdict, validate,
};

const CAREFUL: &str = r#"
format = 1
[[config]]
name = "app"
layers = ["app.toml"]
rollout = "careful"
[[config]]
name = "flags"
layers = ["flags.toml"]
[rollout.careful]
kind = "staged"
stages = [{ labels = { canary = "true" }, bake = "10m" }, { count = 3 }, { percent = 25, bake = "15m" }]
abort = { failed = 2, unknown_after = "5m" }
"#;

/// The verdict on a tree with this manifest, under this floor.
fn verdict(manifest: &str, floor: &Floor) -> Verdict {
    let mut tree = ConfigTree::new();
    for (path, text) in [
        ("headwater.toml", manifest),
        ("app.toml", "a = 1"),
        ("flags.toml", "b = 1"),
    ] {
        let file = File {
            id: ContentId::new(text),
            size: text.len() as u64,
            bytes: Some(Arc::from(text.as_bytes())),
        };
        tree.insert(path.as_bytes(), Entry::File(file));
    }
    let limits = Limits::default();
    let context = Context {
        floor,
        ..Context::alone(&limits)
    };
    validate(&tree, &context)
}

fn policy(manifest: &str, config: &str) -> Policy {
    let verdict = verdict(manifest, &Floor::default());
    let Verdict::Valid(tree) = verdict else {
        panic!("{:?}", verdict.findings());
    };
    Policy::of_config(&tree, &tree.configs()[config])
}

/// Everything that a policy can say.
const EVERYTHING: &str = r#"
format = 1
[[config]]
name = "app"
layers = ["app.toml"]
rollout = "all-of-it"
[[config]]
name = "flags"
layers = ["flags.toml"]
[rollout.all-of-it]
kind = "two-phase"
stages = [{ percent = 10 }, { percent = 100, approval = true }]
quorum = "80%"
deadlines = { prepare = "1m", expose = "2m", roll_back = "3m" }
abort = { failed = 4, unknown_after = "5m", restarts = 6 }
on_halt = "stay"
sample_min = 7
known = "at-once"
[[rollout.all-of-it.freeze]]
from = "fri 16:00"
until = "mon 08:00"
[[rollout.all-of-it.freeze]]
from = 2026-12-24T00:00:00Z
until = 2026-12-27T00:00:00Z
[[rollout.all-of-it.signals]]
name = "errors"
prometheus = { server = "main", query = "errors:rate5m", pass_if = "< 0.01" }
interval = "1m"
passes_min = 2
unclear_max = 9
[[rollout.all-of-it.signals]]
name = "calm"
webhook = "oracle"
"#;

#[test]
fn whatever_a_rollout_can_be_held_to_a_manifest_can_say() {
    let policy = policy(EVERYTHING, "app");
    let minutes = |minutes: u64| minutes * 60_000;
    assert_eq!(
        (policy.activation, policy.quorum),
        (Activation::TwoPhase, Quorum::Percent(80))
    );
    let approvals: Vec<bool> = policy.stages.iter().map(|stage| stage.approval).collect();
    assert_eq!(approvals, [false, true]);
    let deadlines = Deadlines {
        prepare_ms: minutes(1),
        expose_ms: minutes(2),
        roll_back_ms: minutes(3),
    };
    let budget = Budget {
        failed: 4,
        unknown_after_ms: Some(minutes(5)),
        restarts: 6,
    };
    assert_eq!((policy.deadlines, policy.budget), (deadlines, budget));
    assert_eq!(
        (policy.on_halt, policy.sample_min, policy.known),
        (OnHalt::Stay, 7, Known::AtOnce)
    );
    let frozen = |moment: &str| {
        policy
            .frozen_until(moment.parse().unwrap())
            .map(|until| until.to_string())
    };
    let (friday, monday) = ("2026-11-27T16:00:00Z", "2026-11-30T08:00:00.000Z");
    assert_eq!(frozen(friday).as_deref(), Some(monday));
    assert_eq!(frozen(monday), None);
    assert_eq!(
        frozen("2026-12-24T00:00:00Z").as_deref(),
        Some("2026-12-28T08:00:00.000Z")
    );
    let [errors, calm] = policy.signals.as_slice() else {
        panic!("{:?}", policy.signals);
    };
    assert_eq!(
        (errors.passes_min, errors.unclear_max, errors.interval_ms),
        (2, 9, minutes(1))
    );
    assert_eq!(
        (calm.passes_min, calm.unclear_max, calm.interval_ms),
        (3, 5, 30_000)
    );
    assert_eq!((errors.source.server(), calm.source.server()), ("main", "oracle"));
}

#[test]
fn a_rollout_that_was_kept_knows_again_what_its_signals_ask() {
    let policy = policy(EVERYTHING, "app");
    let kept = serde_json::to_string(&policy).unwrap();
    assert_eq!(serde_json::from_str::<Policy>(&kept).unwrap(), policy);
}

#[test]
fn a_policy_is_read_as_the_manifest_says_it_and_its_last_stage_takes_everybody() {
    let policy = policy(CAREFUL, "app");
    let canary = StagePolicy {
        labels: [("canary".to_owned(), "true".to_owned())].into(),
        bake_ms: 600_000,
        ..StagePolicy::default()
    };
    let shares: Vec<Share> = policy.stages.iter().map(|stage| stage.share).collect();
    assert_eq!(policy.stages[0], canary);
    assert_eq!(
        shares,
        [
            Share::Everyone,
            Share::Count(3),
            Share::Percent(25),
            Share::Everyone
        ]
    );
    assert_eq!(policy.activation, Activation::Single);
    assert_eq!(
        (policy.budget.failed, policy.budget.unknown_after_ms),
        (2, Some(300_000))
    );
    assert_eq!(
        policy.quiet_ms(1),
        60_000,
        "what says nothing of quiet is quiet for a minute"
    );
}

#[test]
fn a_config_without_a_policy_is_moved_at_once_and_never_goes_back_by_itself() {
    let policy = policy(CAREFUL, "flags");
    assert_eq!(policy, Policy::immediate());
    assert_eq!(policy.on_halt, OnHalt::Stay);
}

#[test]
fn two_phases_without_stages_are_one_stage_of_everybody() {
    let manifest = CAREFUL.split("[rollout.careful]").next().unwrap();
    let manifest = format!("{manifest}[rollout.careful]\nkind = \"two-phase\"\n");
    let policy = policy(&manifest, "app");
    assert_eq!(policy.activation, Activation::TwoPhase);
    assert_eq!(policy.stages, [StagePolicy::default()]);
}

#[test]
fn what_the_settings_insist_on_is_judged_with_the_commit() {
    let floor = Floor {
        rollout: Some(RolloutKind::Staged),
        ..Floor::default()
    };
    let verdict = verdict(CAREFUL, &floor);
    assert!(matches!(verdict, Verdict::Invalid(_)));
    assert_eq!(verdict.findings()[0].code, "floor/rollout");
}
