//! From the body of a rollback to what is wished, with everything that it names looked up.
//!
//! Invariant: what can be seen to be wrong in the body is said first. Then the upstream is asked where the branch is, and
//! only then a revision is resolved, so that `HEAD~1` is counted from where the branch is and not from where it was. An
//! upstream that does not answer holds nothing up for long, and whoever asked is told as of when the branch is known.

use std::sync::Arc;
use std::time::Duration;

use headwater_core::{Sight, Undone};
use headwater_validators::printable;
use headwater_wire::{CommitId, Problem, ProblemCode, RollbackMode, RollbackRequest};

use super::history;
use super::problem::{Answer, Result, bad_request};
use super::repos::reason;
use super::watch::replica_behind;
use crate::pipeline::rollback::Wish;
use crate::pipeline::{Force, Fresh};
use crate::repo::Repo;

/// How long the upstream may take to say where the branch is.
const LISTING_WAIT: Duration = Duration::from_secs(3);
/// Longest name of who asks, in bytes.
const REQUESTED_BY_BYTES_MAX: usize = 256;

/// Which of the two things is wanted, and of which revision.
enum What<'a> {
    Restore(&'a str),
    Revert(&'a str),
}

/// How the branch is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// The upstream is asked where it is.
    Anew,
    /// As it is known: whoever only wants to see what would happen costs the upstream nothing.
    AsKnown,
}

/// Looks up everything that a request names; by whom it is has been looked at before.
pub(super) async fn look_up(repo: &Arc<Repo>, request: &RollbackRequest, look: Look) -> Result<Wish> {
    let reason = reason(&request.reason)?;
    if request.mode == RollbackMode::Other {
        return Err(bad_request("no such mode", "`push` or `propose`"));
    }
    let what = what(request)?;
    let sight = match look {
        Look::Anew => ask(repo).await?,
        Look::AsKnown => Sight {
            as_of: repo.board.read().source.synced_at,
            unlisted: None,
        },
    };
    let (What::Restore(rev) | What::Revert(rev)) = what;
    let found = find(repo, rev, (&sight, look)).await;
    let (commit, subject) = found.map_err(|refused| as_seen(refused, &sight))?;
    Ok(Wish {
        request: serde_json::to_string(request).unwrap_or_default(),
        undone: match what {
            What::Restore(_) => Undone::Restore {
                target: commit,
                config: request.config.clone(),
                paths: Vec::new(),
            },
            What::Revert(_) => Undone::Revert {
                commit,
                mainline: request.mainline,
            },
        },
        rev: rev.to_owned(),
        subject,
        sight,
        reason,
        requested_by: request.requested_by.clone(),
        confirmed_by: None,
        expected_tip: request.expected_tip.clone(),
        mode: request.mode,
        insists: request.force_invalid,
    })
}

/// A refusal that may be due to a branch that is not known as it is now says so.
pub(super) fn as_seen(refused: Answer, sight: &Sight) -> Answer {
    let Some(why) = &sight.unlisted else {
        return refused;
    };
    let mut problem = refused.into_problem();
    let at = sight
        .as_of
        .map_or_else(|| "never".to_owned(), |at| at.to_string());
    let told = format!("the upstream could not be asked, and the branch was last seen {at}: {why}");
    problem.hint = Some(match problem.hint {
        Some(hint) => format!("{hint}; {told}"),
        None => told,
    });
    problem.into()
}

fn what(request: &RollbackRequest) -> Result<What<'_>> {
    let what = match (&request.to, &request.revert) {
        (Some(rev), None) => What::Restore(rev),
        (None, Some(rev)) => What::Revert(rev),
        (None, None) | (Some(_), Some(_)) => {
            let hint = "`to` for content that comes back, `revert` for a change that is taken back";
            return Err(bad_request("exactly one of `to` and `revert` is needed", hint));
        }
    };
    match what {
        What::Restore(_) if request.mainline.is_some() => {
            Err(bad_request("`mainline` is for `revert`", "leave it out"))
        }
        What::Revert(_) if request.config.is_some() => {
            let hint = "take `to` with the commit before it";
            Err(bad_request("`config` is for `to`", hint))
        }
        What::Restore(_) | What::Revert(_) => Ok(what),
    }
}

/// `Name <address>`, an address or a name, as the author of a commit can be written.
pub(super) fn requested_by(text: Option<&str>) -> Result<Option<String>> {
    let Some(text) = text.map(str::trim) else {
        return Ok(None);
    };
    let (name, address) = match text.split_once('<') {
        Some((name, rest)) => (name.trim(), rest.strip_suffix('>').unwrap_or_default().trim()),
        // The service's own address stands in the commit then.
        None => (text, "-"),
    };
    // Git strips both silently, and an audit must name who was told.
    let is_odd = address.contains(char::is_whitespace) || !name.contains(char::is_alphanumeric);
    let fault = if text.len() > REQUESTED_BY_BYTES_MAX {
        "too long"
    } else if printable(text) != text {
        "no plain line of text"
    } else if is_odd || address.is_empty() || [name, address].concat().contains(['<', '>']) {
        "nobody's name"
    } else {
        return Ok(Some(text.to_owned()));
    };
    let hint =
        format!("write `Name <address>` or a name, in one line of at most {REQUESTED_BY_BYTES_MAX} bytes");
    Err(bad_request(format!("`requested_by` is {fault}"), hint))
}

/// Asks the upstream where the branch is.
pub(super) async fn ask(repo: &Repo) -> Result<Sight> {
    let fresh = repo.listing(Force::AtOnce, LISTING_WAIT).await?;
    let source = repo.board.read().source.clone();
    let silent = || format!("no answer within {} s", LISTING_WAIT.as_secs());
    let unlisted = match fresh {
        Fresh::Listed => None,
        Fresh::Failed => Some(source.error.unwrap_or_else(silent)),
    };
    let as_of = source.synced_at;
    Ok(Sight { as_of, unlisted })
}

/// The commit that a revision names, and its subject.
async fn find(repo: &Repo, rev: &str, (sight, look): (&Sight, Look)) -> Result<(CommitId, String)> {
    let may_list = look == Look::Anew && sight.unlisted.is_none();
    let commit = match history::resolve(repo, rev).await {
        // It may be a tag that is newer than the last look at the tags.
        Err(refused) if refused.code() == ProblemCode::RevisionNotFound && may_list => {
            repo.listing(Force::AtOnceWithTags, LISTING_WAIT).await?;
            history::resolve(repo, rev).await?
        }
        found => found?,
    };
    if !repo.reaches(&commit).await? {
        return Err(match sight.unlisted {
            None => not_on_the_branch(repo, commit).await?,
            Some(_) => replica_behind(&repo.board.read()),
        });
    }
    let wanted = commit.clone();
    let info = repo.read(move |reader| Ok(reader.commit(&wanted)?)).await?;
    let subject = info.message.lines().next().unwrap_or_default().trim().to_owned();
    Ok((commit, subject))
}

/// Why a commit cannot be gone back to that the branch does not contain.
async fn not_on_the_branch(repo: &Repo, commit: CommitId) -> Result<Answer> {
    let wanted = commit.clone();
    let kind = repo.read(move |reader| Ok(reader.other_kind(&wanted))).await?;
    let (detail, hint) = match kind {
        Some(kind) => (
            format!("{commit} is a {kind}, and no commit"),
            "name a commit of the branch, as `headwater log` lists them",
        ),
        None => (
            format!("the followed branch does not reach {commit}"),
            "only content of the branch can come back: choose a commit that `headwater log` lists, or bring this one to the branch",
        ),
    };
    Ok(Problem::new(ProblemCode::CommitNotHere, detail).hint(hint).into())
}
