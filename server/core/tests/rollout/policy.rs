//! The policy of a config is the one of the commit that has it.

use std::sync::Arc;

use headwater_core::rollout::{Activation, OnHalt, Policy, Share, StagePolicy};
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
