use headwater_wire::{ConfigItem, ConfigList, Generation, HoldList, HoldView, InstancePage};

use super::*;

fn item(name: &str, version: char, variants: &[&str]) -> ConfigItem {
    ConfigItem {
        name: name.parse().unwrap(),
        version: commit_id(version),
        digest: format!("sha256:{}", version.to_string().repeat(64))
            .parse()
            .unwrap(),
        generation: Generation(4),
        variants: variants.iter().map(ToString::to_string).collect(),
        rollout: None,
        back_to: None,
    }
}

fn list() -> ConfigList {
    ConfigList {
        tip: commit_id('f'),
        configs: vec![
            item("edge", 'a', &[]),
            item("payments/prod", 'b', &["eu", "us\u{1b}[2J"]),
        ],
    }
}

fn hold(kind: &str, configs: &[&str]) -> HoldView {
    HoldView {
        id: "19ab".into(),
        kind: kind.into(),
        configs: configs.iter().map(|name| name.parse().unwrap()).collect(),
        head: commit_id('e'),
        tip: None,
        since: ago(60),
        reason: None,
        hint: "wait".into(),
    }
}

fn listing(holds: Vec<HoldView>) -> Router {
    answering("/v1/repos/default/configs", &list())
        .merge(answering("/v1/repos/default/holds", &HoldList { holds }))
}

#[test]
fn each_config_is_a_line_with_what_is_offered_of_it() {
    let server = one_repo(listing(vec![hold("rollback", &["payments/prod"])]));
    insta::assert_snapshot!(headwater(&server, &["configs"]), @r"
    exit 0
    CONFIG         VERSION     DIGEST      GENERATION  STATE      VARIANTS
    edge           aaaaaaaaaa  aaaaaaaaaa  4           published
    payments/prod  bbbbbbbbbb  bbbbbbbbbb  4           held       eu, us\u{1b}[2J
    ");
}

#[test]
fn a_held_head_holds_no_config() {
    let server = one_repo(listing(vec![hold("history_rewritten", &[])]));
    assert!(!headwater(&server, &["configs"]).contains("held"));
}

#[test]
fn programs_are_told_what_the_api_says_and_the_state() {
    let server = one_repo(listing(vec![hold("rollback", &["payments/prod"])]));
    let told = headwater(&server, &["configs", "--output", "json"]);
    let json: serde_json::Value = serde_json::from_str(told.strip_prefix("exit 0\n").unwrap()).unwrap();
    let as_listed: ConfigList = serde_json::from_value(json.clone()).unwrap();
    assert_eq!(as_listed, list());
    assert_eq!(
        (&json["configs"][0]["state"], &json["configs"][1]["state"]),
        (&json!("published"), &json!("held"))
    );
}

/// A server whose answers about every config are empty.
fn empty() -> String {
    let commits = CommitPage {
        commits: Vec::new(),
        next: None,
    };
    let diff = DiffView {
        from: commit_id('a'),
        to: commit_id('b'),
        configs: Vec::new(),
        files: Vec::new(),
    };
    let more = listing(Vec::new())
        .merge(answering("/v1/repos/default/commits", &commits))
        .merge(answering("/v1/repos/default/diff", &diff))
        .merge(answering("/v1/repos/default/instances", &InstancePage::default()));
    one_repo(more)
}

#[test]
fn a_misspelt_config_is_not_taken_for_one_of_which_there_is_nothing_to_tell() {
    let server = empty();
    for args in [
        &["log", "payments/prdo"][..],
        &["diff", "HEAD~1", "--config", "payments/prdo"],
        &["instances", "--config", "payments/prdo"],
        &["log", "payments/prdo", "--output", "json"],
    ] {
        insta::allow_duplicates! {
            insta::assert_snapshot!(headwater(&server, args), @"
            exit 1
            --- standard error
            error: there is no config `payments/prdo` at ffffffffff
            hint: did you mean `payments/prod`?
            ");
        }
    }
    insta::assert_snapshot!(headwater(&server, &["log", "nothing/like/it"]), @"
    exit 1
    --- standard error
    error: there is no config `nothing/like/it` at ffffffffff
    hint: `headwater configs` lists the configs
    ");
    assert!(headwater(&server, &["log", "edge"]).starts_with("exit 0\n"));
}

#[test]
fn a_config_that_is_not_there_is_told_in_words_of_the_command_line() {
    let problem = Problem::new(
        ProblemCode::ConfigNotFound,
        "there is no config `x` at ffffffffff",
    )
    .hint("GET /v1/repos/{repo}/configs lists the configs of the tip");
    let server = one_repo(refusing("/v1/repos/default/configs/x", &problem));
    insta::assert_snapshot!(headwater(&server, &["get", "x"]), @"
    exit 1
    --- standard error
    error: there is no config `x` at ffffffffff
    hint: `headwater configs` lists the configs of the tip
    ");
}
