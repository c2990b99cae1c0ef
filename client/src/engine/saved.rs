//! What of one config survives the process.

use headwater_wire::Digest;
use serde::{Deserialize, Serialize};

use super::target::{Fence, Target};

/// Everything that is kept of one config, beside the documents that it names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedState {
    /// The highest word that was taken.
    #[serde(default)]
    pub fence: Option<Fence>,
    /// The last known good: content that survived its probation.
    #[serde(default)]
    pub confirmed: Option<Target>,
    /// Content that runs, or is about to run, on probation; or that was given up where there was nothing else.
    #[serde(default)]
    pub trial: Option<Trial>,
    /// Content that is ready to be activated.
    #[serde(default)]
    pub prepared: Option<Target>,
    /// Content under which the program died again and again; not tried again unless told.
    #[serde(default)]
    pub crashed: Vec<Digest>,
}

impl SavedState {
    /// Digests of the documents that it names.
    pub fn digests(&self) -> impl Iterator<Item = &Digest> {
        let trial = self.trial.as_ref().map(|trial| &trial.target);
        let targets = [self.confirmed.as_ref(), trial, self.prepared.as_ref()];
        targets.into_iter().flatten().map(|target| &target.digest)
    }
}

/// Content on probation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// The content.
    pub target: Target,
    /// Starts of the program with it that have not come to a good end.
    pub starts: u32,
}
