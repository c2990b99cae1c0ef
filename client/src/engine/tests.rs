//! The engine's sentences: a bench that performs every action at once, unless told to hold it back.

use headwater_wire::{
    ChangeKind, CommitId, ConfigName, Digest, FailPhase, Generation, Phase, ReportError, ReportState,
    ValueSource,
};

use super::*;

pub(super) fn config() -> ConfigName {
    "payments/prod".parse().unwrap()
}

/// A commit named by a letter.
pub(super) fn commit(name: &str) -> CommitId {
    hex(name, 40).parse().unwrap()
}

pub(super) fn digest(name: &str) -> Digest {
    format!("sha256:{}", hex(name, 64)).parse().unwrap()
}

fn hex(name: &str, length: usize) -> String {
    let letter = name.chars().next().unwrap();
    std::iter::repeat_n(letter, length).collect()
}

pub(super) fn target(generation: u64, name: &str) -> Target {
    Target {
        version: commit(name),
        digest: digest(name),
        token: Token::new(name),
        generation: Generation(generation),
    }
}

pub(super) fn active(generation: u64, name: &str) -> Directive {
    Directive {
        config: config(),
        phase: Phase::Active,
        change: ChangeKind::Forward,
        target: target(generation, name),
    }
}

pub(super) fn prepare(generation: u64, name: &str) -> Directive {
    Directive {
        phase: Phase::Prepare,
        ..active(generation, name)
    }
}

fn fault(phase: FailPhase) -> ReportError {
    ReportError {
        phase,
        message: "because".to_owned(),
    }
}

/// One life of one program.
struct Bench {
    engine: Engine,
    now: Moment,
    disk: SavedState,
    /// Names of contents that fail, and where.
    bad: Vec<(&'static str, FailPhase)>,
    /// What was switched to, in order.
    switched: Vec<String>,
    no_value: Vec<NoValue>,
    /// Actions of this kind are not performed.
    hold_saves: bool,
    hold_activations: bool,
    held: Vec<Action>,
    sign: CrashSign,
    spare: Spare,
}

impl Bench {
    fn new(disk: SavedState) -> Self {
        Self::with(disk, CrashSign::Restart, Spare::Nothing)
    }

    fn with(disk: SavedState, sign: CrashSign, spare: Spare) -> Self {
        let rules = Rules {
            sign,
            ..Rules::default()
        };
        let identity = Identity {
            incarnation: 1,
            labels: BTreeMap::new(),
            client: "bench".to_owned(),
        };
        let mut bench = Self {
            engine: Engine::new(rules, Some(identity), 7),
            now: Moment::ZERO,
            disk: disk.clone(),
            bad: Vec::new(),
            switched: Vec::new(),
            no_value: Vec::new(),
            hold_saves: false,
            hold_activations: false,
            held: Vec::new(),
            sign,
            spare,
        };
        bench.send(Event::Opened {
            config: config(),
            saved: disk,
            spare,
        });
        bench
    }

    fn fresh() -> Self {
        Self::new(SavedState::default())
    }

    /// An agent, whose own end says nothing of the program it runs.
    fn agent() -> Self {
        Self::with(SavedState::default(), CrashSign::Word, Spare::Nothing)
    }

    /// A program that has a default.
    fn defaulting() -> Self {
        Self::with(SavedState::default(), CrashSign::Restart, Spare::Default)
    }

    /// The next life of the same program, after this one ended without a word.
    fn dies(self) -> Self {
        Self {
            bad: self.bad,
            ..Self::with(self.disk, self.sign, self.spare)
        }
    }

    fn stops(mut self) -> Self {
        self.send(Event::Stopping);
        self.dies()
    }

    /// Content `a` survives its probation.
    fn proving_a(mut self) -> Self {
        self.told(active(1, "a"));
        self.after(PROBATION);
        assert_eq!(self.confirmed().as_deref(), Some("a"));
        self
    }

    fn bad(mut self, name: &'static str, phase: FailPhase) -> Self {
        self.bad.push((name, phase));
        self
    }

    fn send(&mut self, event: Event) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            for action in self.engine.on_event(event, self.now) {
                events.extend(self.perform(action));
            }
        }
    }

    fn outcome(&self, target: &Target, phases: &[FailPhase]) -> Result<(), ReportError> {
        let failing = self
            .bad
            .iter()
            .find(|(name, phase)| digest(name) == target.digest && phases.contains(phase));
        failing.map_or(Ok(()), |(_, phase)| Err(fault(*phase)))
    }

    fn perform(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::Fetch {
                config,
                attempt,
                target,
            } => Some(Event::Fetched {
                outcome: self.outcome(&target, &[FailPhase::Fetch, FailPhase::Verify]),
                config,
                attempt,
            }),
            Action::Prepare {
                config,
                attempt,
                target,
                ..
            } => Some(Event::Prepared {
                outcome: self.outcome(&target, &[FailPhase::Validate, FailPhase::Prepare]),
                config,
                attempt,
            }),
            Action::Activate {
                config,
                attempt,
                target,
                ..
            } => {
                if self.hold_activations {
                    return None;
                }
                let outcome = self.outcome(&target, &[FailPhase::Activate]);
                if outcome.is_ok() {
                    self.switched.push(target.token.to_string());
                }
                Some(Event::Activated {
                    config,
                    attempt,
                    outcome,
                })
            }
            Action::Save { .. } if self.hold_saves => {
                self.held.push(action);
                None
            }
            Action::Save { config, id, state } => {
                self.disk = state;
                Some(Event::Saved { config, id })
            }
            Action::NoValue { why, .. } => {
                self.no_value.push(why);
                None
            }
            Action::Rename { .. } | Action::Report(_) => None,
        }
    }

    fn told(&mut self, directive: Directive) {
        self.send(Event::Told(directive));
    }

    fn after(&mut self, time: Duration) {
        self.now += time;
        self.send(Event::Tick);
    }

    /// Ticks through every deadline until then.
    fn until(&mut self, time: Moment) {
        while let Some(at) = self.engine.deadline().filter(|at| *at <= time) {
            // A heartbeat that nobody answers is due at once for ever.
            if at <= self.now {
                break;
            }
            self.now = at;
            self.send(Event::Tick);
        }
        self.now = time;
        self.send(Event::Tick);
    }

    fn runs(&self) -> Option<String> {
        self.engine
            .running(&config())
            .map(|target| target.token.to_string())
    }

    fn report(&self) -> ConfigReport {
        self.engine.standing().remove(&config()).unwrap()
    }

    fn state(&self) -> (ReportState, Option<FailPhase>) {
        let report = self.report();
        (report.state, report.error.map(|error| error.phase))
    }

    fn confirmed(&self) -> Option<String> {
        self.disk
            .confirmed
            .as_ref()
            .map(|target| target.token.to_string())
    }
}

const PROBATION: Duration = Duration::from_mins(1);

#[test]
fn a_version_runs_at_once_and_is_the_last_known_good_only_after_its_probation() {
    let mut bench = Bench::fresh();
    bench.told(active(1, "a"));
    assert_eq!(
        (bench.runs().as_deref(), bench.state().0),
        (Some("a"), ReportState::Applied)
    );
    assert_eq!(bench.confirmed(), None);
    bench.after(PROBATION);
    assert_eq!(
        (bench.confirmed().as_deref(), bench.state().0),
        (Some("a"), ReportState::Confirmed)
    );
}

#[test]
fn a_directive_at_or_below_the_highest_generation_is_refused_and_told() {
    let mut bench = Bench::fresh();
    bench.told(active(5, "b"));
    for stale in [active(4, "a"), active(5, "a"), prepare(4, "c")] {
        bench.told(stale);
        assert_eq!(bench.runs().as_deref(), Some("b"));
        assert_eq!(bench.state(), (ReportState::Applied, Some(FailPhase::Fence)));
        assert_eq!(bench.report().generation, Generation(5));
    }
    bench.told(active(6, "a"));
    assert_eq!(
        (bench.runs().as_deref(), bench.state()),
        (Some("a"), (ReportState::Applied, None))
    );
}

#[test]
fn a_repeated_directive_moves_nobody() {
    let mut bench = Bench::fresh();
    for _ in 0..3 {
        bench.told(active(1, "a"));
    }
    assert_eq!(bench.switched, ["a"]);
}

#[test]
fn a_value_that_fails_leaves_the_old_one_and_is_not_tried_again_until_told() {
    for phase in [FailPhase::Validate, FailPhase::Prepare, FailPhase::Activate] {
        let mut bench = Bench::fresh().bad("b", phase);
        bench.told(active(1, "a"));
        bench.told(active(2, "b"));
        assert_eq!(bench.runs().as_deref(), Some("a"));
        assert_eq!(bench.state(), (ReportState::Failed, Some(phase)));
        bench.bad.clear();
        bench.told(active(3, "b"));
        assert_eq!(
            bench.state(),
            (ReportState::Failed, Some(phase)),
            "tried again untold"
        );
        bench.send(Event::Retry(config()));
        assert_eq!(
            (bench.runs().as_deref(), bench.state().0),
            (Some("b"), ReportState::Applied)
        );
    }
}

#[test]
fn after_a_bad_value_the_next_good_one_applies() {
    let mut bench = Bench::fresh().bad("b", FailPhase::Validate);
    bench.told(active(1, "a"));
    bench.told(active(2, "b"));
    bench.told(active(3, "c"));
    assert_eq!(bench.switched, ["a", "c"]);
    assert_eq!(bench.state(), (ReportState::Applied, None));
}

#[test]
fn a_fetch_that_fails_is_tried_again_until_it_succeeds_and_says_why_meanwhile() {
    let mut bench = Bench::fresh();
    bench.told(active(1, "a"));
    bench.bad.push(("b", FailPhase::Fetch));
    bench.told(active(2, "b"));
    assert_eq!(bench.state(), (ReportState::Pending, Some(FailPhase::Fetch)));
    bench.until(Duration::from_mins(20));
    assert_eq!(bench.state(), (ReportState::Pending, Some(FailPhase::Fetch)));
    bench.bad.clear();
    bench.until(Duration::from_mins(22));
    assert_eq!(bench.runs().as_deref(), Some("b"));
}

#[test]
fn a_document_that_is_never_what_its_digest_says_is_refused_after_three_tries() {
    let mut bench = Bench::fresh().bad("a", FailPhase::Verify);
    bench.told(active(1, "a"));
    bench.until(Duration::from_mins(5));
    assert_eq!(bench.state(), (ReportState::Failed, Some(FailPhase::Verify)));
    assert_eq!(bench.no_value, [NoValue::Refused(fault(FailPhase::Verify))]);
}

#[test]
fn what_is_prepared_waits_for_the_word_and_is_dropped_by_another() {
    let mut bench = Bench::fresh();
    bench.told(active(1, "a"));
    bench.told(prepare(2, "b"));
    assert_eq!(
        (bench.runs().as_deref(), bench.state().0),
        (Some("a"), ReportState::Prepared)
    );
    assert_eq!(bench.report().prepared, Some(commit("b")));
    bench.told(active(2, "b"));
    assert_eq!(bench.runs().as_deref(), Some("b"));

    bench.told(prepare(3, "c"));
    // An abort is the word to run the baseline, at a higher generation.
    bench.told(active(4, "b"));
    assert_eq!(bench.report().prepared, None);
    bench.told(active(3, "c"));
    assert_eq!(
        bench.runs().as_deref(),
        Some("b"),
        "an aborted version became active"
    );
}

#[test]
fn who_runs_a_content_or_is_ready_for_it_under_another_name_is_ready_for_it_under_the_newest() {
    let renamed = |generation: u64, content: &str| Target {
        version: commit("d"),
        ..target(generation, content)
    };
    let mut bench = Bench::fresh();
    bench.told(active(1, "a"));
    bench.told(Directive {
        target: renamed(2, "a"),
        ..prepare(2, "a")
    });
    assert_eq!(bench.state().0, ReportState::Prepared, "it runs it");
    assert_eq!(bench.report().prepared, Some(commit("d")));

    bench.told(prepare(3, "b"));
    bench.told(Directive {
        target: renamed(4, "b"),
        ..prepare(4, "b")
    });
    assert_eq!(bench.state().0, ReportState::Prepared, "it is ready for it");
    assert_eq!(bench.report().prepared, Some(commit("d")));
    bench.hold_saves = true;
    bench.told(Directive {
        target: renamed(5, "a"),
        ..prepare(5, "a")
    });
    assert_eq!(
        bench.state().0,
        ReportState::Pending,
        "that it was asked is not on disk"
    );
    bench.hold_saves = false;
    while let Some(action) = bench.held.pop() {
        let event = bench.perform(action).unwrap();
        bench.send(event);
    }
    assert_eq!(bench.state().0, ReportState::Prepared);
}

#[test]
fn an_abort_brings_back_who_had_missed_the_decision() {
    // The hole of the obvious design: told of e2 first, so the late word to activate e1 is refused; e2 is aborted.
    let mut bench = Bench::fresh();
    bench.told(active(1, "a"));
    bench.told(prepare(2, "b"));
    bench.told(prepare(3, "c"));
    bench.told(active(2, "b"));
    assert_eq!(bench.runs().as_deref(), Some("a"));
    bench.told(active(4, "b"));
    assert_eq!(bench.runs().as_deref(), Some("b"), "the abort names the baseline");
}

#[test]
fn readiness_is_told_only_once_it_is_on_disk() {
    let mut bench = Bench::fresh();
    bench.told(active(1, "a"));
    bench.hold_saves = true;
    bench.told(prepare(2, "b"));
    assert_eq!(bench.state().0, ReportState::Pending);
    bench.hold_saves = false;
    while let Some(action) = bench.held.pop() {
        let event = bench.perform(action).unwrap();
        bench.send(event);
    }
    assert_eq!(bench.state().0, ReportState::Prepared);
    assert_eq!(bench.disk.prepared, Some(target(2, "b")));
}

#[test]
fn nothing_is_switched_to_before_its_trial_is_on_disk() {
    let mut bench = Bench::fresh();
    bench.hold_saves = true;
    bench.told(active(1, "a"));
    assert!(bench.switched.is_empty());
}

#[test]
fn a_program_that_dies_after_each_apply_comes_up_on_the_last_known_good_the_third_time() {
    let mut first = Bench::fresh();
    first.told(active(1, "a"));
    first.after(PROBATION);
    first.told(active(2, "b"));
    let mut second = first.dies();
    second.told(active(2, "b"));
    assert_eq!(second.runs().as_deref(), Some("b"));
    let mut third = second.dies();
    third.told(active(2, "b"));
    assert_eq!(third.runs().as_deref(), Some("a"));
    assert_eq!(third.state(), (ReportState::Failed, Some(FailPhase::Crash)));
    let mut fourth = third.dies();
    fourth.told(active(2, "b"));
    assert_eq!(
        (fourth.runs().as_deref(), fourth.state().0),
        (Some("a"), ReportState::Failed)
    );
    fourth.told(active(3, "c"));
    assert_eq!(
        (fourth.runs().as_deref(), fourth.state().0),
        (Some("c"), ReportState::Applied)
    );
}

#[test]
fn a_program_that_ends_in_order_is_not_taken_for_one_that_died() {
    let mut bench = Bench::fresh();
    bench.told(active(1, "a"));
    bench.after(PROBATION);
    bench.told(active(2, "b"));
    for _ in 0..5 {
        bench = bench.stops();
        bench.told(active(2, "b"));
        assert_eq!(bench.runs().as_deref(), Some("b"));
    }
}

#[test]
fn what_an_agent_supervises_may_die_once_on_probation_and_goes_back_the_second_time() {
    let mut bench = Bench::fresh();
    bench.told(active(1, "a"));
    bench.after(PROBATION);
    bench.told(active(2, "b"));
    bench.send(Event::Crashed(config()));
    assert_eq!(bench.runs().as_deref(), Some("b"));
    bench.send(Event::Crashed(config()));
    assert_eq!(
        (bench.runs().as_deref(), bench.state()),
        (Some("a"), (ReportState::Failed, Some(FailPhase::Crash)))
    );
    bench.after(PROBATION);
    assert_eq!(bench.confirmed().as_deref(), Some("a"));
}

#[test]
fn a_program_that_is_not_well_goes_back_to_the_last_known_good() {
    let mut bench = Bench::fresh();
    bench.told(active(1, "a"));
    bench.after(PROBATION);
    bench.told(active(2, "b"));
    bench.send(Event::Rejected {
        config: config(),
        message: "error rate".to_owned(),
    });
    assert_eq!(
        (bench.runs().as_deref(), bench.state()),
        (Some("a"), (ReportState::Failed, Some(FailPhase::Health)))
    );
}

#[test]
fn without_the_server_the_last_known_good_runs_at_once_and_says_so() {
    let mut bench = Bench::fresh();
    bench.told(active(1, "a"));
    bench.after(PROBATION);
    let mut bench = bench.stops();
    assert_eq!(bench.runs(), None, "the server is given a chance first");
    bench.send(Event::Offline);
    assert_eq!(
        (bench.runs().as_deref(), bench.report().source),
        (Some("a"), ValueSource::LastKnownGood)
    );
    assert_eq!(bench.state(), (ReportState::Confirmed, None));
    bench.send(Event::Current {
        config: config(),
        token: Token::new("a"),
    });
    assert_eq!(bench.report().source, ValueSource::Server);
}

#[test]
fn a_server_that_does_not_answer_is_waited_for_only_so_long() {
    let mut bench = Bench::fresh();
    bench.told(active(1, "a"));
    let mut bench = bench.stops();
    bench.until(Duration::from_secs(5));
    assert_eq!(
        (bench.runs().as_deref(), bench.report().source),
        (Some("a"), ValueSource::Unconfirmed)
    );
}

#[test]
fn a_start_with_a_bad_value_on_the_server_runs_the_last_known_good() {
    let mut bench = Bench::fresh();
    bench.told(active(1, "a"));
    bench.after(PROBATION);
    let mut bench = bench.stops().bad("b", FailPhase::Validate);
    bench.told(active(2, "b"));
    assert_eq!(
        (bench.runs().as_deref(), bench.state()),
        (Some("a"), (ReportState::Failed, Some(FailPhase::Validate)))
    );
}

#[test]
fn a_start_without_anything_says_so_once() {
    let mut bench = Bench::fresh();
    bench.send(Event::Offline);
    bench.send(Event::Offline);
    bench.after(PROBATION);
    assert_eq!(bench.no_value, [NoValue::Unreachable]);
    bench.told(active(1, "a"));
    assert_eq!(bench.runs().as_deref(), Some("a"));

    let mut bench = Bench::fresh();
    bench.send(Event::Removed(config()));
    assert_eq!(bench.no_value, [NoValue::NotFound]);
}

#[test]
fn a_server_that_names_what_it_cannot_deliver_does_not_keep_a_start_from_the_last_known_good() {
    let mut bench = Bench::fresh();
    bench.told(active(1, "a"));
    bench.after(PROBATION);
    let mut bench = bench.stops().bad("b", FailPhase::Fetch);
    bench.told(active(2, "b"));
    bench.until(Duration::from_secs(6));
    assert_eq!(
        (bench.runs().as_deref(), bench.state().0),
        (Some("a"), ReportState::Pending)
    );
    bench.bad.clear();
    bench.until(Duration::from_mins(2));
    assert_eq!(bench.runs().as_deref(), Some("b"));
}

#[test]
fn the_same_content_under_a_newer_name_moves_nobody_and_keeps_its_standing() {
    let mut bench = Bench::fresh();
    bench.told(active(1, "a"));
    bench.after(PROBATION);
    let mut renamed = active(9, "a");
    renamed.target.version = commit("f");
    bench.told(renamed);
    assert_eq!(bench.switched, ["a"]);
    let report = bench.report();
    assert_eq!(
        (report.generation, report.state),
        (Generation(9), ReportState::Confirmed)
    );
    assert_eq!(report.running.unwrap().version, commit("f"));
}

#[test]
fn a_fence_outlives_the_process() {
    let mut bench = Bench::fresh();
    bench.told(active(5, "b"));
    let mut bench = bench.dies();
    bench.told(active(4, "a"));
    bench.send(Event::Offline);
    assert_eq!(bench.runs().as_deref(), Some("b"));
    assert_eq!(bench.report().generation, Generation(5));
}

#[test]
fn who_lost_everything_but_the_fence_takes_any_word_rather_than_none() {
    let fence = Fence {
        generation: Generation(9),
        phase: Phase::Active,
        version: commit("e"),
    };
    let mut bench = Bench::new(SavedState {
        fence: Some(fence),
        ..SavedState::default()
    });
    bench.told(active(2, "a"));
    assert_eq!(bench.runs().as_deref(), Some("a"));
}

#[test]
fn a_hook_that_fails_over_many_lives_is_never_taken_for_a_crash() {
    for phase in [FailPhase::Validate, FailPhase::Prepare, FailPhase::Activate] {
        let mut bench = Bench::fresh().proving_a().bad("b", phase);
        for _ in 0..5 {
            bench.told(active(2, "b"));
            assert_eq!(bench.state(), (ReportState::Failed, Some(phase)));
            bench = bench.dies();
        }
        assert_eq!(bench.disk.crashed, []);
        bench.bad.clear();
        bench.told(active(2, "b"));
        assert_eq!(bench.runs().as_deref(), Some("b"), "{phase:?}");
    }
}

#[test]
fn the_only_content_there_is_is_tried_again_and_again() {
    let mut bench = Bench::fresh();
    for _ in 0..5 {
        bench.told(active(1, "a"));
        assert_eq!(
            (bench.runs().as_deref(), bench.state()),
            (Some("a"), (ReportState::Applied, None))
        );
        bench = bench.dies();
    }
    bench.send(Event::Offline);
    assert_eq!(
        (bench.runs().as_deref(), bench.report().source),
        (Some("a"), ValueSource::Unconfirmed)
    );
}

#[test]
fn what_was_given_up_with_nothing_else_to_run_is_what_the_next_life_begins_with() {
    let mut bench = Bench::agent();
    bench.told(active(1, "a"));
    for _ in 0..2 {
        bench.send(Event::Crashed(config()));
    }
    assert_eq!(
        (bench.runs().as_deref(), bench.state()),
        (Some("a"), (ReportState::Failed, Some(FailPhase::Crash)))
    );
    let mut bench = bench.dies();
    bench.send(Event::Offline);
    assert_eq!(
        (bench.runs().as_deref(), bench.state()),
        (Some("a"), (ReportState::Applied, None))
    );
}

#[test]
fn a_program_with_a_default_runs_that_rather_than_what_it_died_of() {
    let mut bench = Bench::defaulting();
    for _ in 0..2 {
        bench.told(active(1, "a"));
        assert_eq!(bench.runs().as_deref(), Some("a"));
        bench = bench.dies();
    }
    for _ in 0..3 {
        bench.told(active(1, "a"));
        assert_eq!(
            (bench.runs(), bench.state()),
            (None, (ReportState::Failed, Some(FailPhase::Crash)))
        );
        assert!(matches!(bench.no_value[..], [NoValue::Refused(_)]));
        bench = bench.dies();
    }
}

#[test]
fn only_the_refusals_for_which_nothing_else_is_left_are_dropped() {
    let crashed = SavedState {
        crashed: vec![digest("b"), digest("c")],
        ..SavedState::default()
    };
    let with_a = SavedState {
        confirmed: Some(target(1, "a")),
        ..crashed.clone()
    };
    let with_b = SavedState {
        confirmed: Some(target(1, "b")),
        ..crashed.clone()
    };
    let refused = |saved: &SavedState, spare: Spare| -> Vec<&str> {
        let is_refused = |name: &&str| {
            let mut bench = Bench::with(saved.clone(), CrashSign::Restart, spare);
            bench.told(active(2, name));
            bench.state().0 == ReportState::Failed
        };
        ["b", "c"].into_iter().filter(is_refused).collect()
    };
    assert_eq!(refused(&crashed, Spare::Nothing), <[&str; 0]>::default());
    assert_eq!(refused(&crashed, Spare::Default), ["b", "c"]);
    assert_eq!(refused(&with_a, Spare::Nothing), ["b", "c"]);
    assert_eq!(refused(&with_b, Spare::Nothing), ["c"]);
}

#[test]
fn the_end_of_an_agent_is_no_crash_of_what_it_runs() {
    let mut bench = Bench::agent().proving_a();
    for _ in 0..5 {
        bench.told(active(2, "b"));
        assert_eq!(bench.runs().as_deref(), Some("b"));
        bench = bench.dies();
    }
    for _ in 0..5 {
        bench.told(active(2, "b"));
        assert_eq!(bench.runs().as_deref(), Some("b"));
        bench = bench.stops();
    }
}

#[test]
fn two_crashes_under_an_agent_count_also_if_it_is_started_anew_in_between() {
    let mut bench = Bench::agent().proving_a();
    bench.told(active(2, "b"));
    bench.send(Event::Crashed(config()));
    for stops in [true, false] {
        bench = if stops { bench.stops() } else { bench.dies() };
        bench.told(active(2, "b"));
        assert_eq!(bench.runs().as_deref(), Some("b"));
    }
    bench.send(Event::Crashed(config()));
    assert_eq!(
        (bench.runs().as_deref(), bench.state()),
        (Some("a"), (ReportState::Failed, Some(FailPhase::Crash)))
    );
    let mut bench = bench.dies();
    bench.told(active(2, "b"));
    assert_eq!(
        (bench.runs().as_deref(), bench.state()),
        (Some("a"), (ReportState::Failed, Some(FailPhase::Crash)))
    );
}

#[test]
fn a_stop_in_the_middle_of_an_activation_is_not_counted() {
    let mut bench = Bench::fresh().proving_a();
    for _ in 0..5 {
        bench.hold_activations = true;
        bench.told(active(2, "b"));
        assert_ne!(bench.runs().as_deref(), Some("b"));
        assert_eq!(bench.disk.trial.as_ref().map(|trial| trial.starts), Some(1));
        bench = bench.stops();
    }
    bench.told(active(2, "b"));
    assert_eq!(bench.runs().as_deref(), Some("b"));
}

#[test]
fn a_server_that_says_no_is_not_taken_for_one_that_is_away() {
    let mut bench = Bench::fresh();
    bench.send(Event::Denied(config()));
    assert_eq!(bench.no_value, [NoValue::Denied]);

    let mut bench = Bench::fresh().proving_a().stops();
    bench.send(Event::Denied(config()));
    assert_eq!(
        (bench.runs().as_deref(), bench.report().source),
        (Some("a"), ValueSource::LastKnownGood)
    );
}
