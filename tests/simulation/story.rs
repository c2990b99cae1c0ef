//! The history that is told to a fleet: commits in a line, each with one content.

use headwater_client::Jitter;
use headwater_core::Token;
use headwater_wire::{CommitId, Digest};

use crate::world::Faults;

/// What a program makes of a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nature {
    /// It runs.
    Good,
    /// Its check refuses it.
    Refused,
    /// It dies of it after a few seconds.
    Deadly,
}

/// The whole history, known to the story-teller before anybody hears of it.
#[derive(Debug)]
pub(crate) struct Story {
    /// Content of each commit; a revert brings an earlier one back.
    contents: Vec<usize>,
    natures: Vec<Nature>,
}

impl Story {
    pub(crate) fn tell(jitter: &mut Jitter, commits: usize, faults: Faults) -> Self {
        let mut contents: Vec<usize> = Vec::new();
        let mut natures = Vec::new();
        for _ in 0..commits {
            let back = jitter.fraction();
            let content = match contents.len() {
                made if made > 1 && back < 0.15 => contents[made - 2],
                _ => natures.len(),
            };
            if content == natures.len() {
                let fate = jitter.fraction();
                natures.push(match fate {
                    fate if faults < Faults::BadContents || fate < 0.6 || natures.is_empty() => Nature::Good,
                    fate if fate < 0.8 => Nature::Refused,
                    _ => Nature::Deadly,
                });
            }
            contents.push(content);
        }
        Self { contents, natures }
    }

    pub(crate) fn len(&self) -> usize {
        self.contents.len()
    }

    /// The version of the config at a commit: the oldest commit of the unbroken run with this content.
    pub(crate) fn version(&self, at: usize) -> usize {
        let run = self.contents[..=at].iter().rev();
        at + 1 - run.take_while(|content| **content == self.contents[at]).count()
    }

    pub(crate) fn digest(&self, at: usize) -> Digest {
        format!("sha256:{:064x}", self.contents[at] + 1).parse().unwrap()
    }

    pub(crate) fn nature_of(&self, digest: &Digest) -> Nature {
        let content = usize::from_str_radix(digest.hex(), 16).unwrap() - 1;
        self.natures[content]
    }

    pub(crate) fn token(&self, at: usize) -> Token {
        Token::new(&commit(self.version(at)), &self.digest(at))
    }
}

pub(crate) fn commit(at: usize) -> CommitId {
    format!("{:040x}", at + 1).parse().unwrap()
}

/// The place of a commit in the history.
pub(crate) fn place(commit: &CommitId) -> usize {
    usize::from_str_radix(commit.as_str(), 16).unwrap() - 1
}
