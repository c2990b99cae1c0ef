//! Killed as by `kill -9`, at each step of a rollout and at any moment between two of them: whatever was decided stays
//! decided, once, and nobody is taken back who was not rolled back.

use std::collections::BTreeSet;

use headwater_tests::served::Served;

use super::*;
use crate::rollback::length;

/// Going back by itself soon after it has stopped.
const GOES_BACK: &str = "on_halt = { roll_back_after = \"1s\" }\n";

/// A service that dies, and instances that live on.
struct Life {
    origin: TestOrigin,
    data: tempfile::TempDir,
    process: Served,
    programs: Vec<Program>,
    target: CommitId,
    /// What was decided, as it was seen last.
    decided: Vec<Value>,
    kills: usize,
}

impl Life {
    /// Three run 1, and 2 has come to the branch.
    fn start(manifest: &str, refuses: impl Fn(&mut [Program])) -> Self {
        let (origin, _) = origin(manifest);
        origin.allow_push();
        let data = tempfile::tempdir().unwrap();
        let process = start(&origin, &data);
        let mut programs = three();
        until(process.addr(), &mut programs, "the first value", all_run(1));
        refuses(&mut programs);
        let target = set(&origin, 2);
        Self {
            origin,
            data,
            process,
            programs,
            target,
            decided: Vec::new(),
            kills: 0,
        }
    }

    fn kill(&mut self) {
        self.process.signal("KILL");
        self.process = start(&self.origin, &self.data);
        self.kills += 1;
    }

    /// All report once; then the rollout is looked at, unless nobody knows of it yet.
    fn turn(&mut self) -> Option<Value> {
        let addr = self.process.addr();
        self.programs.iter_mut().for_each(|program| program.turn(addr));
        let list = Ask::get("/v1/repos/default/rollouts?config=app").send(addr);
        if list.status != 200 {
            return None;
        }
        let list = list.json()["rollouts"].as_array().cloned().unwrap_or_default();
        let ours: Vec<&Value> = list
            .iter()
            .filter(|view| view["target"] == self.target.as_str() && view["policy"]["kind"] != "immediate")
            .collect();
        assert!(ours.len() < 2, "it began twice: {ours:?}");
        let id = ours.first()?["id"].as_str()?.to_owned();
        let view = Ask::get(&format!("/v1/repos/default/rollouts/{id}")).send(addr);
        let view = Some(view).filter(|view| view.status == 200)?.json();
        self.compare(&view);
        Some(view)
    }

    /// What was decided once is not decided again, nor otherwise.
    fn compare(&mut self, view: &Value) {
        let timeline = view["timeline"].as_array().cloned().unwrap_or_default();
        assert!(
            timeline.starts_with(&self.decided),
            "{:?} became {timeline:?}",
            self.decided
        );
        let steps: BTreeSet<String> = timeline
            .iter()
            .map(|step| format!("{} {}", step["step"], step["stage"]))
            .collect();
        assert_eq!(
            steps.len(),
            timeline.len(),
            "a step was taken twice: {timeline:?}"
        );
        self.decided = timeline;
    }

    /// Killed whenever it is seen in a state of a stage for the first time, until it is over.
    fn dies_at_each_step(&mut self) -> Vec<String> {
        let mut seen = Vec::new();
        wait_for("it is over", || {
            let view = self.turn()?;
            let state = view["state"].as_str().unwrap().to_owned();
            let step = format!("{state} {}", view["stage"]);
            let is_over = ["done", "rolled_back", "aborted"].contains(&state.as_str());
            if !seen.contains(&step) {
                seen.push(step);
                self.kill();
            }
            is_over.then_some(())
        });
        seen
    }

    /// Killed after ever another number of reports, as often as that; then it lives until it is over.
    fn dies_at_any_moment(&mut self, kills: usize) {
        for kill in 0..kills {
            for _ in 0..(kill * 5) % 13 {
                self.turn();
            }
            self.kill();
        }
        wait_for("it is over", || {
            let view = self.turn()?;
            ["done", "rolled_back", "aborted"]
                .contains(&view["state"].as_str().unwrap())
                .then_some(())
        });
    }

    /// All come to run a value; and on the way nobody was told an older number, nor older content that was not said to be
    /// gone back to.
    #[track_caller]
    fn ends_with(&mut self, value: i64) {
        wait_for("all run what was decided", || {
            self.turn();
            all_run(value)(&self.programs).then_some(())
        });
        assert!(self.kills > 1, "it died {} times", self.kills);
        for program in &self.programs {
            assert!(program.generations.is_sorted(), "{:?}", program.generations);
            for pair in program.told.windows(2) {
                let (before, (now, change)) = (pair[0].0, &pair[1]);
                // Who refused runs the older content, and has nothing to go back from.
                let never_ran = program.refuses == Some(before);
                assert!(
                    before <= *now || change == "rollback" || never_ran,
                    "{:?}",
                    program.told
                );
            }
        }
    }

    /// The branch gets the way back, once, and nothing of it is told to anybody again.
    #[track_caller]
    fn is_taken_back_in_git(&mut self) {
        wait_for("the branch has the way back", || {
            self.turn();
            (length(&self.origin) == 3).then_some(())
        });
        let head = self.origin.head("main").unwrap();
        self.process.until("its own commit", |repo| {
            repo["tip"] == head.as_str() && repo["head_state"] == "published"
        });
        assert_eq!(self.origin.git(&["show", "main:app.json"]).trim(), "{\"v\": 1}");
        self.kill();
        self.process
            .until("its own commit, still", |repo| repo["tip"] == head.as_str());
        self.turn();
        assert_eq!(length(&self.origin), 3);
    }
}

fn start(origin: &TestOrigin, data: &tempfile::TempDir) -> Served {
    Served::start_writing(env!("CARGO_BIN_EXE_served"), &origin.path_url(), data.path(), &[])
}

fn all_refuse(programs: &mut [Program]) {
    for program in programs {
        program.refuses = Some(2);
    }
}

fn second_refuses(programs: &mut [Program]) {
    programs[1].refuses = Some(2);
}

/// How often each instance was turned to what is new. The same told again, under a higher number, turns nobody.
fn told_new(life: &Life) -> Vec<usize> {
    let turned = |program: &Program| {
        let mut values: Vec<i64> = program.told.iter().map(|(value, _)| *value).collect();
        values.dedup();
        values.iter().filter(|value| **value == 2).count()
    };
    life.programs.iter().map(turned).collect()
}

#[test]
fn killed_at_each_step_of_its_stages_it_goes_on_to_the_end() {
    let mut life = Life::start(STAGED, |_| {});
    let seen = life.dies_at_each_step();
    for step in ["baking 1", "baking 2"] {
        assert!(seen.iter().any(|seen| seen == step), "{seen:?}");
    }
    life.ends_with(2);
    assert_eq!(told_new(&life), [1, 1, 1]);
    let done = life.turn().unwrap();
    assert_eq!(done["state"], "done");
}

#[test]
fn killed_at_each_step_of_two_phases_all_switch_once() {
    let mut life = Life::start(TWO_PHASE, |_| {});
    let seen = life.dies_at_each_step();
    assert!(seen.iter().any(|seen| seen == "preparing 1"), "{seen:?}");
    life.ends_with(2);
    assert_eq!(told_new(&life), [1, 1, 1]);
    assert!(life.programs.iter().all(|program| program.asked == [2]));
}

#[test]
fn killed_at_each_step_of_what_cannot_be_got_ready_for_nobody_ever_switches() {
    let mut life = Life::start(TWO_PHASE, second_refuses);
    life.dies_at_each_step();
    life.ends_with(1);
    assert_eq!(told_new(&life), [0, 0, 0]);
    life.is_taken_back_in_git();
    life.ends_with(1);
}

#[test]
fn killed_at_each_step_of_the_way_back_it_ends_where_it_began_and_git_learns_it_once() {
    let mut life = Life::start(&format!("{STAGED}{GOES_BACK}"), all_refuse);
    let seen = life.dies_at_each_step();
    assert!(seen.iter().any(|seen| seen == "halted 1"), "{seen:?}");
    life.ends_with(1);
    assert_eq!(
        told_new(&life).iter().sum::<usize>(),
        1,
        "nobody outside of its stage"
    );
    life.is_taken_back_in_git();
    life.ends_with(1);
    let steps: Vec<&Value> = life.decided.iter().map(|step| &step["step"]).collect();
    assert_eq!(
        steps.iter().filter(|step| **step == "halt").count(),
        1,
        "{steps:?}"
    );
}

#[test]
fn killed_at_any_moment_of_its_stages_it_still_comes_to_its_end() {
    let mut life = Life::start(STAGED, |_| {});
    life.dies_at_any_moment(8);
    life.ends_with(2);
    assert_eq!(told_new(&life), [1, 1, 1]);
}

#[test]
fn killed_at_any_moment_of_two_phases_all_still_switch_once() {
    let mut life = Life::start(TWO_PHASE, |_| {});
    life.dies_at_any_moment(8);
    life.ends_with(2);
    assert_eq!(told_new(&life), [1, 1, 1]);
}
