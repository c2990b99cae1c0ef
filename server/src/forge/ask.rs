//! What we say to a forge: the requests of the three kinds of API, as values.
//!
//! Invariant: pure. A project's name is put into the path as segments, escaped, and so is never more than a name.

use headwater_wire::{BranchName, CommitId, Finding};
use http::Method;
use serde_json::{Value, json};

use super::ForgeKind;
use super::delivery::ProposalKey;

/// Longest description of a status, in characters; GitHub takes no more.
const DESCRIPTION_CHARS_MAX: usize = 140;

/// Pull requests on a page of a list: what Gitea gives at most where nothing else is set.
pub(super) const PAGE_LEN: usize = 50;

/// Whose API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiKind {
    /// GitHub's REST API.
    GitHub,
    /// Gitea's, which Forgejo has, too.
    Gitea,
    /// GitLab's.
    GitLab,
}

impl ApiKind {
    /// The API of a forge, if we can speak to it.
    pub fn of(forge: ForgeKind) -> Option<Self> {
        match forge {
            ForgeKind::GitHub => Some(Self::GitHub),
            ForgeKind::Gitea | ForgeKind::Forgejo => Some(Self::Gitea),
            ForgeKind::GitLab => Some(Self::GitLab),
            ForgeKind::Gogs
            | ForgeKind::BitbucketCloud
            | ForgeKind::BitbucketDataCenter
            | ForgeKind::Generic => None,
        }
    }

    /// The ref of the upstream that leads to what is proposed; a fork's commits are there, too.
    pub(crate) fn ref_of(self, key: &ProposalKey) -> String {
        match (self, key) {
            (_, ProposalKey::Group(branch)) => format!("refs/heads/{branch}"),
            (Self::GitHub | Self::Gitea, ProposalKey::Pull(number)) => format!("refs/pull/{number}/head"),
            (Self::GitLab, ProposalKey::Pull(number)) => format!("refs/merge-requests/{number}/head"),
        }
    }
}

/// How a commit stands with us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusState {
    /// It is being judged, or waits for a person.
    Pending,
    /// It was admitted.
    Success,
    /// It was rejected.
    Failure,
}

/// A commit status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Which commit.
    pub commit: CommitId,
    /// Whose opinion it is; the newest of one context counts.
    pub context: String,
    /// How it stands.
    pub state: StatusState,
    /// Why, in one sentence.
    pub description: String,
    /// Where to read more.
    pub target_url: Option<String>,
    /// What was found, for forges that show it beside the lines.
    pub findings: Vec<Finding>,
}

/// A pull request (merge request) to open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRequestDraft {
    /// One line.
    pub title: String,
    /// The rest, in Markdown.
    pub body: String,
    /// Branch of the same repository with the commits.
    pub head: BranchName,
    /// Branch they should go to.
    pub base: BranchName,
}

/// A request without address and credentials.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ask {
    pub(super) method: Method,
    pub(super) segments: Vec<String>,
    pub(super) query: Vec<(&'static str, String)>,
    pub(super) body: Option<Value>,
}

impl Ask {
    pub(super) fn post<'a>(segments: impl IntoIterator<Item = &'a str>, body: Value) -> Self {
        Self {
            method: Method::POST,
            segments: segments.into_iter().map(str::to_owned).collect(),
            query: Vec::new(),
            body: Some(body),
        }
    }
}

/// Sets a status.
pub(super) fn status(kind: ApiKind, project: &str, status: &Status) -> Ask {
    let description: String = status.description.chars().take(DESCRIPTION_CHARS_MAX).collect();
    let (target_url, commit) = (&status.target_url, status.commit.as_str());
    let failure = if kind == ApiKind::GitLab {
        "failed"
    } else {
        "failure"
    };
    let state = match status.state {
        StatusState::Pending => "pending",
        StatusState::Success => "success",
        StatusState::Failure => failure,
    };
    let name = if kind == ApiKind::GitLab {
        "name"
    } else {
        "context"
    };
    let mut body = json!({"state": state, name: status.context, "description": description});
    if let (Some(url), Some(fields)) = (target_url, body.as_object_mut()) {
        fields.insert("target_url".to_owned(), json!(url));
    }
    Ask::post(within(kind, project).chain(["statuses", commit]), body)
}

/// Opens a pull request.
pub(super) fn open(kind: ApiKind, project: &str, draft: &PullRequestDraft) -> Ask {
    let (title, text) = (&draft.title, &draft.body);
    let (head, base) = (draft.head.as_str(), draft.base.as_str());
    match kind {
        ApiKind::GitHub | ApiKind::Gitea => {
            let body = json!({"title": title, "body": text, "head": head, "base": base});
            Ask::post(within(kind, project).chain(["pulls"]), body)
        }
        ApiKind::GitLab => {
            let body = json!({"title": title, "description": text, "source_branch": head, "target_branch": base,
                "remove_source_branch": true});
            Ask::post(within(kind, project).chain(["merge_requests"]), body)
        }
    }
}

/// Lists the open pull requests, narrowed as far as the API can.
pub(super) fn list_open(kind: ApiKind, project: &str, draft: &PullRequestDraft) -> Ask {
    let (head, base) = (draft.head.as_str(), draft.base.as_str());
    let owner = project.split('/').next().unwrap_or_default();
    let (last, query) = match kind {
        ApiKind::GitHub => (
            "pulls",
            vec![
                ("state", "open".to_owned()),
                ("head", format!("{owner}:{head}")),
                ("base", base.to_owned()),
            ],
        ),
        ApiKind::Gitea => (
            "pulls",
            vec![("state", "open".to_owned()), ("limit", "50".to_owned())],
        ),
        ApiKind::GitLab => (
            "merge_requests",
            vec![
                ("state", "opened".to_owned()),
                ("source_branch", head.to_owned()),
                ("target_branch", base.to_owned()),
            ],
        ),
    };
    Ask {
        method: Method::GET,
        segments: within(kind, project).chain([last]).map(str::to_owned).collect(),
        query,
        body: None,
    }
}

/// Lists one page of the open pull requests that go to `base`, narrowed as far as the API can; pages count from 1.
pub(super) fn list_open_to(kind: ApiKind, project: &str, base: &BranchName, page: usize) -> Ask {
    let narrowed = match kind {
        ApiKind::GitHub => vec![("state", "open"), ("base", base.as_str())],
        ApiKind::Gitea => vec![("state", "open")],
        ApiKind::GitLab => vec![("state", "opened"), ("target_branch", base.as_str())],
    };
    let (last, size) = match kind {
        ApiKind::GitHub => ("pulls", "per_page"),
        ApiKind::Gitea => ("pulls", "limit"),
        ApiKind::GitLab => ("merge_requests", "per_page"),
    };
    let mut query: Vec<_> = narrowed
        .into_iter()
        .map(|(name, value)| (name, value.to_owned()))
        .collect();
    query.extend([(size, PAGE_LEN.to_string()), ("page", page.to_string())]);
    Ask {
        method: Method::GET,
        segments: within(kind, project).chain([last]).map(str::to_owned).collect(),
        query,
        body: None,
    }
}

/// Number and newest commit of a pull request of such a list, if it goes to `base`.
pub(super) fn listed(kind: ApiKind, pull: &Value, base: &BranchName) -> Option<(u64, CommitId)> {
    let (number, head, to) = match kind {
        ApiKind::GitHub | ApiKind::Gitea => ("/number", "/head/sha", "/base/ref"),
        ApiKind::GitLab => ("/iid", "/sha", "/target_branch"),
    };
    let text = |pointer: &str| pull.pointer(pointer).and_then(Value::as_str);
    if text(to) != Some(base.as_str()) {
        return None;
    }
    let number = pull.pointer(number).and_then(Value::as_u64)?;
    Some((number, text(head)?.parse().ok()?))
}

/// Whether a pull request of such a list goes from the draft's head to its base.
pub(super) fn is_of(kind: ApiKind, pull: &Value, draft: &PullRequestDraft) -> bool {
    let (head, base) = match kind {
        ApiKind::GitHub | ApiKind::Gitea => ("/head/ref", "/base/ref"),
        ApiKind::GitLab => ("/source_branch", "/target_branch"),
    };
    let says = |pointer: &str| pull.pointer(pointer).and_then(Value::as_str);
    says(head) == Some(draft.head.as_str()) && says(base) == Some(draft.base.as_str())
}

/// The first part of a project's path. GitLab takes a name with its slashes as one segment.
pub(super) fn within(kind: ApiKind, project: &str) -> impl Iterator<Item = &str> {
    let (first, parts) = match kind {
        ApiKind::GitHub | ApiKind::Gitea => ("repos", project.splitn(2, '/').collect()),
        ApiKind::GitLab => ("projects", vec![project]),
    };
    std::iter::once(first).chain(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a_status(state: StatusState) -> Status {
        Status {
            commit: "a".repeat(40).parse().unwrap(),
            context: "headwater".to_owned(),
            state,
            description: "é".repeat(200),
            target_url: Some("https://config.example.test/x".to_owned()),
            findings: Vec::new(),
        }
    }

    #[test]
    fn each_forge_has_its_own_words_for_a_status() {
        let of = |kind, state| status(kind, "group/sub", &a_status(state)).body.unwrap();
        assert_eq!(of(ApiKind::GitHub, StatusState::Failure)["state"], "failure");
        assert_eq!(of(ApiKind::Gitea, StatusState::Success)["context"], "headwater");
        let gitlab = of(ApiKind::GitLab, StatusState::Failure);
        assert_eq!(
            (&gitlab["state"], &gitlab["name"]),
            (&json!("failed"), &json!("headwater"))
        );
        assert_eq!(gitlab["description"].as_str().unwrap().chars().count(), 140);
    }

    #[test]
    fn a_project_is_two_segments_of_github_and_one_of_gitlab() {
        let of = |kind| status(kind, "a/b", &a_status(StatusState::Pending)).segments;
        assert_eq!(of(ApiKind::Gitea)[..4], ["repos", "a", "b", "statuses"]);
        assert_eq!(of(ApiKind::GitLab)[..3], ["projects", "a/b", "statuses"]);
    }
}
