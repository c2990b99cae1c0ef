//! What a delivery says, in words that all forges share, and what it means for a repository.
//!
//! Invariant: a delivery is a hint. It may say that there is something to look at, and never what is there: the
//! upstream's own listing decides.

use headwater_wire::{BranchName, CommitId};

use super::identity::Identity;

/// One delivery, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The forge's name of it, equal for each time it is sent.
    pub id: Option<String>,
    /// What happened.
    pub event: Event,
    /// Where it happened.
    pub repository: Identity,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Refs moved, appeared or went; a list that is empty says that nobody knows which.
    Push(Vec<RefChange>),
    /// A test of the connection.
    Ping,
    /// A pull request (merge request) changed.
    PullRequest(PullRequest),
    /// A merge queue asks for the checks of a merge, or wants them no longer.
    MergeGroup(MergeGroup),
    /// Anything else.
    Other,
}

/// One ref of a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefChange {
    /// Which.
    pub name: Ref,
    /// Where it was; none if it is new.
    pub before: Option<CommitId>,
    /// Where it is; none if it is gone, or not said.
    pub after: Option<CommitId>,
    /// Whether it is gone.
    pub deleted: bool,
}

/// A ref as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ref {
    /// `refs/heads/…`.
    Branch(BranchName),
    /// Something else than a branch: a tag, a note, a pull request's own ref.
    Else,
    /// Not said.
    Unknown,
}

/// A pull request as far as it matters here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PullRequest {
    /// Its number in the repository.
    pub number: Option<u64>,
    /// What was done with it, in the forge's word.
    pub action: Option<String>,
    /// Whether it can be merged still.
    pub standing: Standing,
    /// Newest commit of what is proposed.
    pub head: Option<CommitId>,
    /// The branch it goes to.
    pub base: Option<BranchName>,
}

/// A merge that a merge queue wants to write.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MergeGroup {
    /// The queue's own branch, which holds the merge.
    pub branch: Option<BranchName>,
    /// Whether the queue waits for it still.
    pub standing: Standing,
    /// The merge's commit.
    pub head: Option<CommitId>,
    /// The branch it goes to.
    pub base: Option<BranchName>,
}

/// Whether something is proposed still.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Standing {
    /// It is.
    #[default]
    Open,
    /// It was merged or given up.
    Closed,
}

/// Names what is proposed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProposalKey {
    /// A pull request (merge request), by its number.
    Pull(u64),
    /// A merge that a merge queue wants to write, by its branch.
    Group(BranchName),
}

/// News of something proposed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProposalNews {
    /// Of what.
    pub key: ProposalKey,
    /// Whether it is proposed still.
    pub standing: Standing,
    /// Where it is said to be.
    pub head: Option<CommitId>,
}

/// What a delivery means for one repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning {
    /// The upstream should be listed until this is seen.
    Wake(Expected),
    /// What is proposed for the branch should be looked at.
    Look(ProposalNews),
    /// A test of the connection.
    Pong,
    /// Nothing to do, and why.
    Nothing(&'static str),
}

/// What a listing should show after a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// The branch at this commit.
    At(CommitId),
    /// No such branch.
    Gone,
    /// Something else than before.
    Change,
}

impl Ref {
    /// From a full name such as `refs/heads/main`.
    pub fn from_full(name: &str) -> Self {
        match name.strip_prefix("refs/heads/").map(str::parse) {
            Some(Ok(branch)) => Self::Branch(branch),
            Some(Err(_)) | None => Self::Else,
        }
    }

    /// From a short name and the forge's word for its kind.
    pub fn from_short(name: Option<&str>, kind: Option<&str>) -> Self {
        let Some(kind) = kind else { return Self::Unknown };
        if !kind.eq_ignore_ascii_case("branch") {
            return Self::Else;
        }
        name.map_or(Self::Unknown, |name| {
            name.parse().map_or(Self::Else, Self::Branch)
        })
    }
}

impl Event {
    /// What this means for a repository that follows `followed`; `None` while the branch is not known yet.
    pub fn meaning(&self, followed: Option<&BranchName>) -> Meaning {
        match self {
            Self::Ping => Meaning::Pong,
            Self::Push(changes) if changes.is_empty() => Meaning::Wake(Expected::Change),
            Self::Push(changes) => push(changes, followed),
            Self::PullRequest(pull) => {
                let key = pull.number.map(ProposalKey::Pull);
                proposal((key, pull.standing, &pull.head), pull.base.as_ref(), followed)
            }
            Self::MergeGroup(group) => {
                let queue = group.branch.clone().filter(is_of_queue);
                let key = queue.map(ProposalKey::Group);
                proposal((key, group.standing, &group.head), group.base.as_ref(), followed)
            }
            Self::Other => Meaning::Nothing("this event does not move a branch"),
        }
    }
}

/// Merge queues write below this name, and nobody else can.
fn is_of_queue(branch: &BranchName) -> bool {
    branch.as_str().starts_with("gh-readonly-queue/")
}

fn proposal(
    (key, standing, head): (Option<ProposalKey>, Standing, &Option<CommitId>),
    base: Option<&BranchName>,
    followed: Option<&BranchName>,
) -> Meaning {
    let (Some(key), Some(base)) = (key, base) else {
        return Meaning::Nothing("it does not say what is proposed for which branch");
    };
    // While the branch is not known, any may be it.
    if followed.is_some_and(|followed| followed != base) {
        return Meaning::Nothing("it is proposed for another branch than the one followed");
    }
    let head = head.clone();
    Meaning::Look(ProposalNews { key, standing, head })
}

fn push(changes: &[RefChange], followed: Option<&BranchName>) -> Meaning {
    let concerns = |change: &&RefChange| match (&change.name, followed) {
        (Ref::Branch(branch), Some(followed)) => branch == followed,
        (Ref::Branch(_), None) | (Ref::Unknown, _) => true,
        (Ref::Else, _) => false,
    };
    // The last one counts: a push may name a ref more than once.
    let Some(change) = changes.iter().rev().find(concerns) else {
        return Meaning::Nothing("another ref than the branch followed was pushed");
    };
    let is_test = change.after.is_some() && change.before == change.after;
    match (&change.after, change.deleted) {
        _ if is_test => Meaning::Pong,
        (_, true) if change.name == Ref::Unknown => Meaning::Wake(Expected::Change),
        (_, true) => Meaning::Wake(Expected::Gone),
        // Which branch is meant is not known, so neither is where it will be.
        (Some(after), false) if change.name != Ref::Unknown && followed.is_some() => {
            Meaning::Wake(Expected::At(after.clone()))
        }
        (Some(_) | None, false) => Meaning::Wake(Expected::Change),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(name: Ref) -> RefChange {
        RefChange {
            name,
            before: Some("1".repeat(40).parse().unwrap()),
            after: Some("2".repeat(40).parse().unwrap()),
            deleted: false,
        }
    }

    fn branch(name: &str) -> Ref {
        Ref::Branch(name.parse().unwrap())
    }

    #[test]
    fn of_several_refs_only_the_branch_followed_matters() {
        let main: BranchName = "main".parse().unwrap();
        let changes = vec![change(branch("other")), change(branch("main")), change(Ref::Else)];
        let expected = Expected::At("2".repeat(40).parse().unwrap());
        assert_eq!(Event::Push(changes).meaning(Some(&main)), Meaning::Wake(expected));
        let others = vec![change(branch("mainly")), change(Ref::Else)];
        assert!(matches!(
            Event::Push(others).meaning(Some(&main)),
            Meaning::Nothing(_)
        ));
    }

    #[test]
    fn what_does_not_say_which_ref_it_means_wakes_all_the_same() {
        let main: BranchName = "main".parse().unwrap();
        for event in [Event::Push(Vec::new()), Event::Push(vec![change(Ref::Unknown)])] {
            assert_eq!(event.meaning(Some(&main)), Meaning::Wake(Expected::Change));
        }
        let unknown = Event::Push(vec![change(branch("main"))]).meaning(None);
        assert_eq!(unknown, Meaning::Wake(Expected::Change));
    }

    #[test]
    fn a_push_that_moves_nothing_is_a_test_of_the_connection() {
        let main: BranchName = "main".parse().unwrap();
        let mut test = change(branch("main"));
        test.before.clone_from(&test.after);
        assert_eq!(Event::Push(vec![test]).meaning(Some(&main)), Meaning::Pong);
    }
}
