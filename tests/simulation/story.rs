//! The history that is told to a fleet: commits in a line, each with one content, and how it is to be moved.
//!
//! A content has one document for each variant, so that a commit may be news to some instances and to others none.

use headwater_client::Jitter;
use headwater_core::Content;
use headwater_core::rollout::{
    Activation, Deadlines, Known, OnHalt, Policy, Quorum, Share, StagePolicy, Urgency,
};
use headwater_wire::{CommitId, Digest};

use crate::world::{Faults, Manner};

/// Variants of every content; instances have one or the other.
pub(crate) const VARIANTS: usize = 2;

/// What a program makes of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nature {
    /// It runs.
    Good,
    /// Its check refuses it.
    Refused,
    /// It dies of it after a few seconds.
    Deadly,
}

/// What becomes of a document, and with whom.
#[derive(Debug)]
struct Fate {
    nature: Nature,
    /// One bit for each instance that it concerns; to the others it is good.
    victims: u64,
}

/// The whole history, known to the story-teller before anybody hears of it.
#[derive(Debug)]
pub(crate) struct Story {
    /// Content of each commit; a revert brings an earlier one back.
    contents: Vec<usize>,
    /// Documents of each content.
    documents: Vec<[usize; VARIANTS]>,
    fates: Vec<Fate>,
    /// How each commit wants its content moved.
    policies: Vec<(Policy, Urgency)>,
    /// Commits of the branch; those that follow lie beside it.
    branch: usize,
}

impl Story {
    pub(crate) fn tell(jitter: &mut Jitter, commits: usize, faults: Faults, manner: Manner) -> Self {
        let mut story = Self {
            contents: Vec::new(),
            documents: Vec::new(),
            fates: Vec::new(),
            policies: Vec::new(),
            branch: commits,
        };
        for _ in 0..commits {
            let back = jitter.fraction();
            let content = match story.contents.len() {
                made if made > 1 && back < 0.15 => story.contents[made - 2],
                _ => story.write(jitter, faults, manner),
            };
            story.contents.push(content);
            story.policies.push(match manner {
                Manner::AtOnce => (Policy::immediate(), Urgency::Usual),
                Manner::Rollouts => {
                    let is_urgent = jitter.fraction() < 0.1;
                    let urgency = if is_urgent {
                        Urgency::Emergency
                    } else {
                        Urgency::Usual
                    };
                    (some_policy(jitter), urgency)
                }
            });
        }
        story
    }

    /// A content that there was not before. Some of its documents may be those of the newest one.
    fn write(&mut self, jitter: &mut Jitter, faults: Faults, manner: Manner) -> usize {
        let newest = self.contents.last().map(|content| self.documents[*content]);
        let kept = match newest {
            Some(newest) if manner == Manner::Rollouts => newest.map(|document| {
                let stays = jitter.fraction() < 0.25;
                stays.then_some(document)
            }),
            Some(_) | None => [None; VARIANTS],
        };
        let shared = (manner == Manner::AtOnce).then(|| self.draw(jitter, faults, manner));
        let documents = kept.map(|kept| {
            kept.or(shared)
                .unwrap_or_else(|| self.draw(jitter, faults, manner))
        });
        self.documents.push(documents);
        self.documents.len() - 1
    }

    fn draw(&mut self, jitter: &mut Jitter, faults: Faults, manner: Manner) -> usize {
        let good = match manner {
            Manner::AtOnce => 0.6,
            Manner::Rollouts => 0.75,
        };
        let nature = match jitter.fraction() {
            _ if faults < Faults::BadContents || self.contents.is_empty() => Nature::Good,
            fate if fate < good => Nature::Good,
            fate if fate < f64::midpoint(1.0, good) => Nature::Refused,
            _ => Nature::Deadly,
        };
        let victims = match manner {
            Manner::AtOnce => u64::MAX,
            Manner::Rollouts => 1 << pick(jitter, 6) | 1 << pick(jitter, 6),
        };
        self.fates.push(Fate { nature, victims });
        self.fates.len() - 1
    }

    /// A commit beside the branch that brings back the content of another one.
    pub(crate) fn bring_back(&mut self, at: usize) -> usize {
        self.contents.push(self.contents[at]);
        self.policies.push(self.policies[at].clone());
        self.contents.len() - 1
    }

    /// Whether a commit is one of the branch.
    pub(crate) fn is_on_branch(&self, at: usize) -> bool {
        at < self.branch
    }

    /// The version of the config at a commit: the oldest commit of the unbroken run with this content.
    pub(crate) fn version(&self, at: usize) -> usize {
        let run = self.contents[..=at].iter().rev();
        at + 1 - run.take_while(|content| **content == self.contents[at]).count()
    }

    /// The content of the config at a commit, as the service compares it.
    pub(crate) fn content(&self, at: usize) -> Content {
        let content = self.contents[at];
        let [base, variant] = self.documents[content];
        let documents = format!("{base:032x}{variant:032x}");
        Content {
            inputs: format!("sha256:{content:064x}").parse().unwrap(),
            documents: Some(format!("sha256:{documents}").parse().unwrap()),
        }
    }

    pub(crate) fn policy(&self, at: usize) -> &Policy {
        &self.policies[at].0
    }

    pub(crate) fn urgency(&self, at: usize) -> Urgency {
        self.policies[at].1
    }

    /// The document that instances of a variant get.
    pub(crate) fn digest(&self, at: usize, variant: usize) -> Digest {
        let document = self.documents[self.contents[at]][variant];
        format!("sha256:{:016x}{:048}", document + 1, 0).parse().unwrap()
    }

    /// What an instance makes of a document.
    pub(crate) fn nature_of(&self, digest: &Digest, instance: usize) -> Nature {
        let named: String = digest.hex().chars().take(16).collect();
        let document = usize::from_str_radix(&named, 16).unwrap() - 1;
        let fate = &self.fates[document];
        if fate.victims & (1 << instance) == 0 {
            Nature::Good
        } else {
            fate.nature
        }
    }
}

fn pick(jitter: &mut Jitter, most: u32) -> u32 {
    let fraction = jitter.fraction() * f64::from(most);
    (0..most)
        .rev()
        .find(|number| f64::from(*number) <= fraction)
        .unwrap()
}

/// Up to three stages, in one phase or in two, with deadlines of minutes.
fn some_policy(jitter: &mut Jitter) -> Policy {
    if jitter.fraction() < 0.1 {
        return Policy::immediate();
    }
    let mut stages: Vec<StagePolicy> = (0..pick(jitter, 3)).map(|_| some_stage(jitter)).collect();
    stages.push(StagePolicy::default());
    let mut policy = Policy {
        activation: if jitter.fraction() < 0.5 {
            Activation::Single
        } else {
            Activation::TwoPhase
        },
        stages,
        deadlines: Deadlines {
            prepare_ms: 120_000,
            expose_ms: 200_000,
            roll_back_ms: 200_000,
        },
        quorum: if jitter.fraction() < 0.8 {
            Quorum::All
        } else {
            Quorum::Percent(60)
        },
        on_halt: if jitter.fraction() < 0.8 {
            OnHalt::RollBackAfter(60_000)
        } else {
            OnHalt::Stay
        },
        bake_unsaid_ms: 10_000,
        known: if jitter.fraction() < 0.5 {
            Known::AtOnce
        } else {
            Known::AsNew
        },
        ..Policy::immediate()
    };
    policy.budget.failed = u64::from(pick(jitter, 2)) + 1;
    policy.budget.unknown_after_ms = (jitter.fraction() < 0.5).then_some(120_000);
    policy
}

fn some_stage(jitter: &mut Jitter) -> StagePolicy {
    let mut stage = StagePolicy {
        share: match pick(jitter, 3) {
            0 => Share::Everyone,
            1 => Share::Count(pick(jitter, 3) + 1),
            _ => Share::Percent(40),
        },
        bake_ms: u64::from(pick(jitter, 4)) * 20_000,
        approval: jitter.fraction() < 0.15,
        ..StagePolicy::default()
    };
    if jitter.fraction() < 0.3 {
        stage.labels = [("canary".to_owned(), "yes".to_owned())].into();
    }
    stage
}

pub(crate) fn commit(at: usize) -> CommitId {
    format!("{:040x}", at + 1).parse().unwrap()
}

/// The place of a commit in the history.
pub(crate) fn place(commit: &CommitId) -> usize {
    usize::from_str_radix(commit.as_str(), 16).unwrap() - 1
}
