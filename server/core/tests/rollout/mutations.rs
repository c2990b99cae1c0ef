//! Ways to build it wrong, each of which the world must catch.

use crate::world::World;

/// What is built wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mutation {
    /// Nothing.
    None,
    /// Nothing, and no policy asks for the time.
    NoFreezes,
    /// A ready instance that hears nothing for long switches by itself.
    ActivateOnSilence,
    /// Instances are told before the decision is kept.
    SendBeforeKeep,
    /// Instances take any word.
    NoFence,
    /// Instances compare only while they have something staged.
    FenceByStagedCopy,
    /// One ready instance is enough.
    AnyQuorum,
    /// Who comes late is handed the undecided version to run.
    JoinerGetsUndecided,
    /// A coordinator from an old backup goes on with its old numbers.
    OldNumbersAgain,
    /// Whatever a commit has is begun, also what a rollout has just left.
    ForgetsWhatWasLeft,
    /// A stage takes everybody.
    ExposesEveryone,
}

impl Mutation {
    /// Whether it shows only where instances get ready first.
    pub(crate) fn is_of_two_phases(self) -> bool {
        !matches!(
            self,
            Self::None | Self::NoFreezes | Self::ForgetsWhatWasLeft | Self::ExposesEveryone
        )
    }
}

fn is_caught(mutation: Mutation) {
    for seed in 0..2_000 {
        if let Err(violation) = World::new(seed, mutation).run() {
            println!("{mutation:?} is caught by seed {seed}: {violation}");
            return;
        }
    }
    panic!("{mutation:?} was not caught");
}

#[test]
fn an_instance_that_switches_by_itself_is_caught() {
    is_caught(Mutation::ActivateOnSilence);
}

#[test]
fn a_word_before_its_decision_is_kept_is_caught() {
    is_caught(Mutation::SendBeforeKeep);
}

#[test]
fn instances_without_a_fence_are_caught() {
    is_caught(Mutation::NoFence);
}

#[test]
fn a_fence_that_is_forgotten_with_the_staged_copy_is_caught() {
    is_caught(Mutation::FenceByStagedCopy);
}

#[test]
fn a_quorum_of_one_is_caught() {
    is_caught(Mutation::AnyQuorum);
}

#[test]
fn a_late_joiner_with_an_undecided_version_is_caught() {
    is_caught(Mutation::JoinerGetsUndecided);
}

#[test]
fn numbers_that_are_given_out_again_after_a_restore_are_caught() {
    is_caught(Mutation::OldNumbersAgain);
}

#[test]
fn content_that_comes_again_after_it_was_left_is_caught() {
    is_caught(Mutation::ForgetsWhatWasLeft);
}

#[test]
fn a_stage_that_takes_everybody_is_caught() {
    is_caught(Mutation::ExposesEveryone);
}
