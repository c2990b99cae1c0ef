//! What happened to a rollout, when, and who wanted it: for whoever asks afterwards.
//!
//! Invariant: bounded. The beginning and the newest happenings stay, and how many were left out between them is said.
//! What is deliberately absent: any influence on what comes next.

use headwater_wire::Timestamp;
use serde::{Deserialize, Serialize};

/// Happenings that are remembered of one rollout.
const HAPPENINGS_MAX: usize = 64;
/// Of these, so many from the beginning.
const FIRST_KEPT: usize = 8;

/// The word for what a person does who lets come again what a rollout left.
pub(crate) const RELEASE: &str = "release";

/// Whoever ordered something and did not say who he is.
pub const SOMEBODY: &str = "somebody, not named";

/// One happening.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Happening {
    /// When, by the clock of the service.
    pub at: Timestamp,
    /// The word of the step, or `begin`.
    pub what: String,
    /// The stage that it was about, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<usize>,
    /// Whether a person wanted it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ordered: bool,
    /// Who, if a name was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The second person, where it needed one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed_by: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The happenings of one rollout, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeline {
    /// Those that are remembered.
    pub happenings: Vec<Happening>,
    /// Those that are not, between the first and the newest.
    #[serde(default)]
    pub left_out: u64,
}

impl Happening {
    /// Who wanted it, in words; `None` where nobody did, and the service went on by itself.
    pub fn by_whom(&self) -> Option<&str> {
        let unnamed = self.ordered.then_some(SOMEBODY);
        self.by.as_deref().or(unnamed)
    }
}

impl Timeline {
    /// Adds what happened last.
    pub(crate) fn add(&mut self, happening: Happening) {
        if self.happenings.len() >= HAPPENINGS_MAX {
            self.happenings.remove(FIRST_KEPT);
            self.left_out += 1;
        }
        self.happenings.push(happening);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_rollout_that_never_ends_the_beginning_and_the_newest_stay() {
        let mut timeline = Timeline::default();
        for number in 0..1_000 {
            timeline.add(Happening {
                at: Timestamp(number),
                what: "pause".to_owned(),
                stage: None,
                ordered: true,
                by: None,
                confirmed_by: None,
                reason: None,
            });
        }
        let times: Vec<i64> = timeline
            .happenings
            .iter()
            .map(|happening| happening.at.0)
            .collect();
        assert_eq!(times.len(), HAPPENINGS_MAX);
        assert_eq!((times[0], times[FIRST_KEPT - 1], times[FIRST_KEPT]), (0, 7, 944));
        assert_eq!(times.last(), Some(&999));
        assert_eq!(timeline.left_out, 1_000 - 64);
    }
}
