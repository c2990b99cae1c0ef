//! What people are told of a rollout: every state, every reason, and what happens next.

use headwater_core::StandIns;
use headwater_core::rollout::{
    Activation, Forecast, Freeze, Liveness, OnHalt, Order, Policy, Quorum, Reading, RollCall, Share,
    SignalPolicy, SignalSource, StagePolicy, Step, Urgency, Why, forecast, immediate,
};
use headwater_wire::{ReportState, RolloutState, RolloutView, Timestamp};

use crate::commit;
use crate::coordinator::{config, stable};
use crate::fleet::Fleet;
use crate::stages::{goes_well, in_two, staged};

const MINUTE_MS: u64 = 60_000;

fn view(fleet: &Fleet) -> RolloutView {
    fleet.course.view(Some(&fleet.tally()), fleet.now).unwrap()
}

/// State, stage, counts, reason, what comes next, and what can be ordered; a line each.
fn told(fleet: &Fleet) -> String {
    let view = view(fleet);
    let orders: Vec<&str> = view.orders.iter().map(|order| order.as_str()).collect();
    let counts = view.counts.map_or_else(String::new, |counts| {
        let of = [
            ("applied", counts.applied),
            ("confirmed", counts.confirmed),
            ("pending", counts.pending),
            ("ready", counts.ready),
            ("failed", counts.failed),
            ("unknown", counts.unknown),
            ("not back", counts.not_back),
        ];
        let said = of.iter().filter(|(_, count)| *count > 0);
        let said: Vec<String> = said.map(|(name, count)| format!("{count} {name}")).collect();
        let members = format!("{} members", counts.members);
        format!(", {}", [vec![members], said].concat().join(", "))
    });
    let clock = match (view.waited_ms, view.limit_ms) {
        (Some(waited), Some(limit)) => format!(", {waited} of {limit} ms"),
        (Some(waited), None) => format!(", {waited} ms"),
        (None, _) => String::new(),
    };
    let why = view.why.map_or_else(String::new, |why| format!("why: {why}\n"));
    let (state, of) = (view.state.as_str(), view.stages_total);
    let orders = match orders.as_slice() {
        [] => "nothing".to_owned(),
        orders => orders.join(" "),
    };
    format!(
        "{state} {}/{of}{counts}{clock}\n{why}next: {}\norders: {orders}",
        view.stage, view.next
    )
}

fn in_two_phases(shares: &[Share]) -> Policy {
    Policy {
        activation: Activation::TwoPhase,
        ..staged(shares)
    }
}

fn aborts(fleet: &mut Fleet, reason: &str) {
    let reason = reason.to_owned();
    fleet.order(Order::Abort { reason }).unwrap();
}

#[test]
fn a_rollout_that_goes_well_says_at_each_step_what_comes_next() {
    let mut fleet = Fleet::of(5);
    fleet.roll_call = RollCall::Running;
    fleet.offer(2, &in_two());
    let mut said = vec![told(&fleet)];
    fleet.roll_call = RollCall::Over;
    said.push(told(&fleet));
    fleet.step();
    fleet.pass(MINUTE_MS);
    said.push(told(&fleet));
    fleet.obey(ReportState::Applied);
    said.push(told(&fleet));
    fleet.step();
    fleet.pass(MINUTE_MS / 4);
    said.push(told(&fleet));
    fleet.obey(ReportState::Confirmed);
    fleet.pass(MINUTE_MS);
    said.push(told(&fleet));
    fleet.step();
    goes_well(&mut fleet);
    said.push(told(&fleet));
    insta::assert_snapshot!(said.join("\n\n"), @"
    due 1/2, 0 members
    next: stage 1 begins once all instances have had time to report
    orders: pause abort

    due 1/2, 0 members
    next: stage 1 begins now
    orders: pause abort

    exposing 1/2, 2 members, 2 pending, 60000 of 900000 ms
    next: bakes once it runs on 2 more instances: i-2 (pending), i-3 (pending); halts in 14 min if it does not
    orders: promote pause abort

    exposing 1/2, 2 members, 2 applied, 60000 of 900000 ms
    next: its quiet time begins
    orders: promote pause abort

    baking 1/2, 2 members, 2 applied, 15000 of 60000 ms
    next: stage 2 comes in 45 s, if all stays well
    orders: promote pause abort

    baking 1/2, 2 members, 2 confirmed, 75000 of 60000 ms
    next: stage 2 comes now
    orders: promote pause abort

    done 2/2
    next: nothing: everybody should hold it
    orders: nothing
    ");
}

#[test]
fn what_waits_for_a_person_says_so_and_for_which_word() {
    let mut fleet = Fleet::of(4);
    let mut policy = in_two();
    policy.stages[0].approval = true;
    fleet.offer(2, &policy);
    let mut said = vec![told(&fleet)];
    fleet.order(Order::Promote).unwrap();
    said.push(told(&fleet));
    fleet.order(Order::Pause).unwrap();
    said.push(told(&fleet));
    insta::assert_snapshot!(said.join("\n\n"), @"
    awaiting_approval 1/2, 0 members
    next: stage 1 waits for a person: `promote` lets it begin
    orders: promote pause abort

    due 1/2, 0 members
    next: stage 1 begins now
    orders: pause abort

    paused 1/2, 0 members
    next: nothing, until a person says `resume`, or `abort` to go back
    orders: resume abort
    ");
}

#[test]
fn a_freeze_says_when_it_ends_and_what_comes_then() {
    let mut fleet = Fleet::of(4);
    fleet.now = Timestamp(1_767_225_600_000);
    let until = Timestamp(fleet.now.0 + 3_600_000);
    let mut policy = Policy {
        freezes: vec![Freeze::Between {
            from: fleet.now,
            until,
        }],
        ..in_two()
    };
    fleet.offer(2, &policy);
    let mut said = vec![told(&fleet)];
    aborts(&mut fleet, "later");
    policy.stages[0].approval = true;
    fleet.offer(3, &policy);
    said.push(told(&fleet));
    fleet.offer_as(4, &policy, Urgency::Emergency);
    said.push(told(&fleet));
    insta::assert_snapshot!(said.join("\n\n"), @"
    frozen 1/2, 0 members
    next: nothing new is exposed until 2026-01-01T01:00:00.000Z; then stage 1 begins
    orders: pause abort

    frozen 1/2, 0 members
    next: nothing new is exposed until 2026-01-01T01:00:00.000Z; then stage 1 waits for a person to say `promote`
    orders: promote pause abort

    awaiting_approval 1/2, 0 members
    next: stage 1 waits for a person: `promote` lets it begin
    orders: promote pause abort
    ");
}

#[test]
fn two_phases_count_those_that_must_be_ready() {
    let mut fleet = Fleet::of(4);
    fleet.offer(2, &in_two_phases(&[Share::Everyone]));
    fleet.step();
    fleet.obeys(0, ReportState::Prepared);
    fleet.refuses(1);
    let mut said = vec![told(&fleet)];
    let mut fleet = Fleet::of(4);
    let policy = Policy {
        quorum: Quorum::Percent(75),
        ..in_two_phases(&[Share::Everyone])
    };
    fleet.offer(2, &policy);
    fleet.step();
    fleet.pass(MINUTE_MS);
    said.push(told(&fleet));
    insta::assert_snapshot!(said.join("\n\n"), @"
    preparing 1/1, 4 members, 2 pending, 1 ready, 1 failed, 0 of 300000 ms
    next: all switch together once 4 are ready (now 1); nobody switches if not all are ready in 5 min
    orders: pause abort

    preparing 1/1, 4 members, 4 pending, 60000 of 300000 ms
    next: all switch together once 4 are ready (now 0); in 4 min, 75 % are enough, and with fewer nobody switches
    orders: pause abort
    ");
}

#[test]
fn what_has_stopped_says_why_and_what_it_will_do() {
    let mut fleet = Fleet::of(6);
    fleet.offer(2, &in_two());
    fleet.step();
    let first = fleet.told(2)[0];
    fleet.obey(ReportState::Applied);
    fleet.refuses(first);
    fleet.step();
    fleet.pass(4 * MINUTE_MS);
    let mut said = vec![told(&fleet)];
    fleet.pass(6 * MINUTE_MS);
    fleet.step();
    fleet.pass(MINUTE_MS);
    said.push(told(&fleet));
    fleet.obey(ReportState::Applied);
    fleet.step();
    said.push(told(&fleet));
    insta::assert_snapshot!(said.join("\n\n"), @"
    halted 1/2, 2 members, 1 applied, 1 failed, 240000 of 600000 ms
    why: 1 of 2 instances failed; it stops at 1: i-2 (validate)
    next: goes back by itself in 6 min; `resume` goes on, `abort` goes back now
    orders: resume abort

    rolling_back 1/2, 2 members, 2 not back, 60000 of 900000 ms
    why: 1 of 2 instances failed; it stops at 1: i-2 (validate)
    next: waits for 2 instances to hold the baseline again; ends in 14 min in any case
    orders: nothing

    rolled_back 1/2
    why: 1 of 2 instances failed; it stops at 1: i-2 (validate)
    next: nothing: its content is held back until the branch has other content, or a person releases it
    orders: nothing
    ");
}

#[test]
fn what_stays_halted_waits_for_a_person() {
    let mut fleet = Fleet::of(4);
    let policy = Policy {
        on_halt: OnHalt::Stay,
        ..in_two()
    };
    fleet.offer(2, &policy);
    fleet.step();
    fleet.refuses(fleet.told(2)[0]);
    fleet.step();
    fleet.pass(MINUTE_MS);
    insta::assert_snapshot!(told(&fleet), @"
    halted 1/2, 2 members, 1 pending, 1 failed, 60000 ms
    why: 1 of 2 instances failed; it stops at 1: i-2 (validate)
    next: stays as it is until a person says `resume`, or `abort` to go back
    orders: resume abort
    ");
}

#[test]
fn each_end_says_what_became_of_the_content() {
    let mut said = Vec::new();
    let ends: [fn(&mut Fleet); 5] = [
        |fleet| {
            fleet.offer(2, &in_two());
            aborts(fleet, "wrong region");
        },
        |fleet| {
            fleet.offer(2, &in_two());
            fleet.step();
            fleet.obey(ReportState::Applied);
            aborts(fleet, "errors since noon");
            fleet.pass(fleet.rollout().policy.deadlines.roll_back_ms);
            fleet.step();
        },
        |fleet| {
            fleet.offer(2, &in_two());
            fleet.step();
            fleet.obey(ReportState::Applied);
            fleet.offer(1, &in_two());
            fleet.obey(ReportState::Applied);
            fleet.step();
        },
        |fleet| {
            fleet.offer(2, &in_two());
            fleet.step();
            fleet.take(&Step::RollBack(Why::Restored));
            fleet.obey(ReportState::Applied);
            fleet.step();
        },
        |fleet| {
            fleet.offer(2, &in_two());
            fleet.step();
            fleet.take(&Step::Supersede);
        },
    ];
    for end in ends {
        let mut fleet = Fleet::of(4);
        end(&mut fleet);
        said.push(told(&fleet));
    }
    insta::assert_snapshot!(said.join("\n\n"), @"
    aborted 1/2
    why: on request: wrong region
    next: nothing: its content is held back until the branch has other content, or a person releases it
    orders: nothing

    incomplete 1/2
    why: on request: errors since noon
    next: look at the 2 instances that did not say so; it ends when they do, or when you say `abort`; its content is held back until the branch has other content, or a person releases it
    orders: abort

    rolled_back 1/2
    why: commit 0000000000000000000000000000000000000001 has the content from before
    next: nothing: the branch has the content from before
    orders: nothing

    rolled_back 1/2
    why: the store was restored from a copy
    next: nothing: what the branch has begins anew
    orders: nothing

    superseded 1/2
    next: nothing: newer content took its place
    orders: nothing
    ");
}

#[test]
fn quiet_that_proves_nothing_yet_says_what_is_missing() {
    let waits = |policy: Policy, then: fn(&mut Fleet)| {
        let mut fleet = Fleet::of(10);
        fleet.offer(2, &policy);
        fleet.step();
        fleet.obey(ReportState::Applied);
        fleet.step();
        then(&mut fleet);
        fleet.pass(2 * MINUTE_MS);
        view(&fleet).next
    };
    let signal = SignalPolicy {
        name: "errors".to_owned(),
        passes_min: 1,
        unclear_max: 9,
        source: SignalSource::Webhook {
            server: "oracle".to_owned(),
        },
        interval_ms: 30_000,
    };
    let asks = Policy {
        signals: vec![signal],
        ..in_two()
    };
    let few = Policy {
        sample_min: 3,
        ..in_two()
    };
    let mut approved = in_two();
    approved.stages[1].approval = true;
    let said = [
        waits(few, |_| {}),
        waits(asks.clone(), |_| {}),
        waits(asks, |fleet| {
            let rollout = fleet.course.rollout.as_mut().unwrap();
            rollout.hear("errors", Reading::Pass);
        }),
        waits(in_two(), |fleet| {
            let silent = fleet.told(2)[0];
            fleet.falls_silent(silent, Liveness::Stale, 100_000);
        }),
        waits(in_two(), |fleet| fleet.roll_call = RollCall::Running),
        waits(approved.clone(), |_| {}),
        waits(approved, |fleet| fleet.roll_call = RollCall::Running),
    ];
    insta::assert_snapshot!(said.join("\n"), @"
    stage 2 comes once it runs on 3 instances, and not only on 2; halts in 14 min if not
    stage 2 comes once signal `errors` says yes; halts in 14 min if not
    stage 2 comes now
    stage 2 comes once it runs on 1 more instance: i-7 (silent for 1 min); halts in 14 min if not
    stage 2 comes once all instances have had time to report; halts in 14 min if not
    stage 2 asks a person for `promote` now
    stage 2 asks a person for `promote` once all instances have had time to report; halts in 14 min if not
    ");
}

#[test]
fn every_member_is_in_exactly_one_count() {
    let mut fleet = Fleet::of(12);
    let policy = Policy {
        budget: headwater_core::rollout::Budget {
            failed: 3,
            ..in_two().budget
        },
        ..staged(&[Share::Everyone])
    };
    fleet.offer(2, &policy);
    fleet.step();
    for number in 0..8 {
        fleet.obeys(number, [ReportState::Applied, ReportState::Confirmed][number % 2]);
    }
    fleet.refuses(9);
    fleet.falls_silent(10, Liveness::Stale, 100_000);
    let counts = view(&fleet).counts.unwrap();
    assert_eq!(
        (
            counts.applied,
            counts.confirmed,
            counts.pending,
            counts.failed,
            counts.unknown
        ),
        (4, 4, 2, 1, 1)
    );
    assert_eq!(counts.members, 12);
    assert_eq!(view(&fleet).failed_names, ["i-9".parse().unwrap()]);
}

#[test]
fn what_waits_behind_a_rollout_is_named() {
    let mut fleet = Fleet::of(4);
    fleet.offer(2, &in_two());
    fleet.step();
    assert_eq!(view(&fleet).queued, None);
    fleet.offer(3, &in_two());
    assert_eq!(view(&fleet).queued, Some(commit(3)));
}

#[test]
fn a_config_that_is_moved_at_once_is_told_from_what_its_instances_say() {
    let told = |fleet: &Fleet| {
        let view = immediate(
            &config(),
            (&fleet.stable, &StandIns::default()),
            fleet.members(),
            fleet.now,
        );
        assert_eq!(view.policy.kind, "immediate");
        assert!(view.orders.is_empty());
        format!("{}: {}", view.state.as_str(), view.next)
    };
    let mut fleet = Fleet::of(3);
    let mut said = vec![told(&Fleet::of(0)), told(&fleet)];
    fleet.falls_silent(0, Liveness::Stale, 100_000);
    fleet.says(0).report.state = ReportState::Applied;
    said.push(told(&fleet));
    fleet.stable = stable(2);
    said.push(told(&fleet));
    fleet.refuses(1);
    said.push(told(&fleet));
    insta::assert_snapshot!(said.join("\n"), @"
    done: nothing: no instance has reported this config
    done: nothing: everybody who reported runs it
    exposing: no word lately from 1 instance; who comes back gets it
    exposing: on its way to 2 instances
    exposing: 1 instance refused it or died of it: mend it by a commit, or go back by a rollback
    ");
}

#[test]
fn a_config_that_is_moved_at_once_has_a_name_that_follows_from_its_version() {
    let id = |content: u64| {
        let stable = (&stable(content), &StandIns::default());
        immediate(&config(), stable, [].into_iter(), Timestamp(0)).id
    };
    assert_eq!(id(1), id(1));
    assert_ne!(id(1), id(2));
    assert_eq!(id(1).len(), 16);
}

#[test]
fn a_policy_is_told_as_the_manifest_writes_it() {
    let kinds = [Policy::immediate(), in_two(), in_two_phases(&[Share::Everyone])].map(|policy| {
        let view = policy.view();
        (view.kind, view.shortest_ms)
    });
    insta::assert_snapshot!(format!("{kinds:?}"), @r#"[("immediate", 0), ("staged", 120000), ("two-phase", 60000)]"#);
}

#[test]
fn a_forecast_takes_whom_the_rollout_would_take() {
    for policy in [
        staged(&[Share::Percent(10), Share::Percent(25), Share::Everyone]),
        staged(&[Share::Count(3), Share::Count(30), Share::Everyone]),
        in_two_phases(&[Share::Percent(50), Share::Everyone]),
    ] {
        let mut fleet = Fleet::of(21);
        let foreseen = forecast(&policy, fleet.members());
        fleet.offer(2, &policy);
        let mut happened = Vec::new();
        let mut before = 0;
        while view(&fleet).state != RolloutState::Done {
            fleet.step();
            fleet.obey(ReportState::Confirmed);
            fleet.pass(MINUTE_MS);
            let told = fleet.told(2).len() as u64;
            if told > before {
                happened.push(told - before);
                before = told;
            }
        }
        assert_eq!(
            foreseen
                .stages
                .iter()
                .filter(|members| **members > 0)
                .copied()
                .collect::<Vec<_>>(),
            happened
        );
        assert_eq!((foreseen.instances, foreseen.stops_at), (21, None));
    }
}

#[test]
fn a_forecast_says_where_a_rollout_would_stop_for_want_of_instances() {
    let fleet = Fleet::of(4);
    let mut policy = staged(&[Share::Everyone, Share::Everyone]);
    policy.stages[0].labels = [("canary".to_owned(), "true".to_owned())].into();
    let stops = Forecast {
        instances: 4,
        stages: Vec::new(),
        stops_at: Some(0),
    };
    assert_eq!(forecast(&policy, fleet.members()), stops);
    let fleet = fleet.labelled(&[2], ("canary", "true"));
    assert_eq!(forecast(&policy, fleet.members()).stages, [1, 3]);
    let policy = Policy {
        stages: vec![StagePolicy::default()],
        ..policy
    };
    assert_eq!(forecast(&policy, Fleet::of(0).members()).stages, [0]);
}
