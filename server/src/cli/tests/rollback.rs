use headwater_wire::{
    Change, ConfigDiff, ConfigName, LeftAlone, RollbackPlanView, RollbackStage, RollbackView, TurnedConfig,
};

use super::*;

fn answered(view: &RollbackView) -> String {
    let body = serde_json::to_string(view).unwrap();
    let answer = move |sent: String| async move {
        let sent: headwater_wire::RollbackRequest = serde_json::from_str(&sent).unwrap();
        assert!(sent.expected_tip.is_none_or(|tip| tip == commit_id('d')));
        (StatusCode::CREATED, body)
    };
    let named = log::commit('d', "the tip", VerdictState::Admitted);
    let named = serde_json::to_string(&named).unwrap();
    one_repo(
        Router::new()
            .route("/v1/repos/default/rollbacks", post(answer))
            .route("/v1/repos/default/commits/HEAD", get(async || named)),
    )
}

fn rollback(state: RollbackStage) -> RollbackView {
    RollbackView {
        id: "19ab3f2c8e0-5d1f0c2a".to_owned(),
        state,
        commit: commit_id('c'),
        to: Some(commit_id('b')),
        revert: None,
        subject: Some("Enlarge the pool".to_owned()),
        as_of: Some(ago(0)),
        unlisted: None,
        config: None,
        reason: "it broke".to_owned(),
        requested_by: None,
        confirmed_by: None,
        rollout: None,
        at: ago(0),
        url: None,
        holds: Vec::new(),
        left_alone: Vec::new(),
        released: None,
        why: None,
        hint: None,
    }
}

const BACK: [&str; 5] = ["rollback", "--to", "HEAD~1", "--reason", "it broke"];

#[test]
fn one_that_was_overtaken_is_not_said_to_be_in_effect() {
    let overtaken = RollbackView {
        why: Some(format!("{} was exposed before it came into Git", commit_id('e'))),
        hint: Some("look at it".to_owned()),
        ..rollback(RollbackStage::Superseded)
    };
    insta::assert_snapshot!(headwater(&answered(&overtaken), &BACK), @"
    exit 1
    rollback 19ab3f2c8e0-5d1f0c2a  not in effect
      to     bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb  Enlarge the pool
      as of  just now
      git    superseded
      why    eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee was exposed before it came into Git
      hint   look at it
    ");
}

#[test]
fn where_the_branch_could_not_be_looked_at_it_is_said_as_of_when_it_is_known() {
    let blind = RollbackView {
        as_of: Some(ago(25)),
        unlisted: Some("no answer within 3 s".to_owned()),
        ..rollback(RollbackStage::GitPending)
    };
    insta::assert_snapshot!(headwater(&answered(&blind), &BACK), @"
    exit 0
    rollback 19ab3f2c8e0-5d1f0c2a  in effect as cccccccccc
      to     bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb  Enlarge the pool
      as of  25 s ago, newer commits are not known: no answer within 3 s
      git    not there yet
    ");
}

#[test]
fn what_a_rollout_carries_is_said_to_be_left_to_it() {
    let leaving = RollbackView {
        left_alone: vec![LeftAlone {
            config: "payments/prod".parse().unwrap(),
            rollout: "r-57".to_owned(),
        }],
        ..rollback(RollbackStage::Pushed)
    };
    insta::assert_snapshot!(headwater(&answered(&leaving), &BACK), @"
    exit 0
    rollback 19ab3f2c8e0-5d1f0c2a  in effect as cccccccccc
      to     bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb  Enlarge the pool
      as of  just now
      git    on the branch as cccccccccc
      leaves payments/prod to rollout r-57, which carries what it has there or lets it wait
    ");
}

#[test]
fn a_dry_run_says_what_would_change_and_for_whom_and_orders_nothing() {
    let change = Change {
        pointer: "/pool/max".to_owned(),
        old: Some(json!(120)),
        new: Some(json!(20)),
        old_origin: None,
        new_origin: None,
    };
    let config: ConfigName = "orders/prod".parse().unwrap();
    let plan = RollbackPlanView {
        to: Some(commit_id('b')),
        revert: None,
        subject: "Enlarge the pool".to_owned(),
        config: None,
        base: commit_id('d'),
        as_of: Some(ago(3)),
        summary: "turns 1 config back at once, for 3 instances".to_owned(),
        configs: vec![TurnedConfig {
            config: config.clone(),
            kind: "modified".to_owned(),
            instances: 3,
            ends: None,
            gives_up: None,
            changes: vec![ConfigDiff {
                config,
                variant: None,
                kind: "modified".to_owned(),
                changes: vec![change],
            }],
        }],
        instances: 3,
        left_alone: vec![LeftAlone {
            config: "payments/prod".parse().unwrap(),
            rollout: "r-57".to_owned(),
        }],
    };
    let body = serde_json::to_string(&plan).unwrap();
    // There is nothing else that it could ask.
    let server = one_repo(Router::new().route("/v1/repos/default/rollbacks/plan", get(async || body)));
    insta::assert_snapshot!(headwater(&server, &["rollback", "--to", "HEAD~1", "--dry-run"]), @"
    exit 0
    nothing has happened; it turns 1 config back at once, for 3 instances
      to     bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb  Enlarge the pool
      onto   dddddddddddddddddddddddddddddddddddddddd
      as of  3 s ago
      leaves payments/prod to rollout r-57, which carries what it has there or lets it wait

    orders/prod
      /pool/max  120  →  20
    ");
}

#[test]
fn the_expected_tip_may_be_any_revision() {
    let server = answered(&rollback(RollbackStage::Pushed));
    let tips = ["HEAD".to_owned(), commit_id('d').to_string()];
    for tip in tips {
        let expecting = [&BACK[..], &["--expected-tip", &tip]].concat();
        assert!(headwater(&server, &expecting).starts_with("exit 0"), "{tip}");
    }
}

#[test]
fn hints_name_what_a_person_types() {
    for (hint, said) in [
        (
            "GET /v1/repos lists the repositories",
            "`headwater status` lists the repositories",
        ),
        (
            "GET /v1/repos/{repo} tells the state of the source",
            "`headwater status` tells the state of the source",
        ),
        (
            "GET /v1/repos/{repo}/holds lists what waits for a person",
            "`headwater holds` lists what waits for a person",
        ),
        ("roll back without `config`", "roll back without `--config`"),
    ] {
        let problem = Problem::new(ProblemCode::BadRequest, "no").hint(hint);
        let told = headwater(
            &one_repo(refusing("/v1/repos/default/rollbacks", &problem)),
            &BACK,
        );
        assert!(told.contains(&format!("hint: {said}\n")), "{told}");
    }
}
