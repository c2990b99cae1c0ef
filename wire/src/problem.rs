//! An error as the API answers it (`application/problem+json`, RFC 9457), with a code that never changes.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::finding::Finding;
use crate::id::CommitId;

/// Declares the codes once: variant, wire word, HTTP status, title.
macro_rules! problem_codes {
    ($($(#[$doc:meta])* $variant:ident = $word:literal, $status:literal, $title:literal;)*) => {
        /// Stable name of a kind of error. The HTTP status and the title follow from it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum ProblemCode {
            $($(#[$doc])* #[serde(rename = $word)] $variant,)*
            /// A code this version does not know.
            #[serde(other)]
            Other,
        }

        impl ProblemCode {
            /// All codes this version can answer, for the documentation and its test.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* Self::Other => "other" }
            }

            /// HTTP status.
            pub fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* Self::Other => 500 }
            }

            /// What a person reads first.
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* Self::Other => "unknown problem" }
            }
        }
    };
}

problem_codes! {
    /// A parameter, header or body is not what the call takes.
    BadRequest = "bad_request", 400, "the request is not valid";
    /// A path that no call has.
    NotFound = "not_found", 404, "there is nothing at this address";
    /// A call that exists with another method.
    MethodNotAllowed = "method_not_allowed", 405, "this address does not take that method";
    /// Nobody says who asks, or not so that it is believed.
    Unauthenticated = "unauthenticated", 401, "this service wants to know who asks";
    /// Who asks is known, and may not do this.
    Forbidden = "forbidden", 403, "this token may not do that";
    /// Orders, and what only the operator of the service takes, are for the listener for administration, and this is another.
    AdminListener = "admin_listener", 403, "orders are given at another listener";
    /// No such repository.
    RepoNotFound = "repo_not_found", 404, "no such repository";
    /// No such webhook.
    HookNotFound = "hook_not_found", 404, "no such hook";
    /// The signature of a webhook delivery is missing or not the one of the hook's secret.
    SignatureRefused = "signature_refused", 401, "the signature was refused";
    /// No such config at the commit asked.
    ConfigNotFound = "config_not_found", 404, "no such config";
    /// The config's file is there but could not be parsed; only its raw bytes are served.
    ConfigUnreadable = "config_unreadable", 409, "the config cannot be read";
    /// No such value in the document.
    PointerNotFound = "pointer_not_found", 404, "no such value";
    /// No such file at the commit asked.
    FileNotFound = "file_not_found", 404, "no such file";
    /// The entry is a symbolic link or a submodule, which are never followed.
    NotAFile = "not_a_file", 409, "the path is not a file";
    /// A file or answer is larger than the service hands out.
    TooLarge = "too_large", 413, "too large";
    /// The body's media type is not one the call takes.
    UnsupportedMediaType = "unsupported_media_type", 415, "unsupported media type";
    /// No such revision, or a prefix that names several.
    RevisionNotFound = "revision_not_found", 404, "no such revision";
    /// The commit is not reachable from the followed branch, also after one forced listing of the upstream.
    CommitNotHere = "commit_not_here", 404, "no such commit on the followed branch";
    /// Nothing with this newest commit is proposed for the followed branch, as far as is known.
    ProposalNotFound = "proposal_not_found", 404, "no such proposal";
    /// The commit failed admission and is not served.
    CommitRejected = "commit_rejected", 409, "the commit was rejected";
    /// No instance of that name has reported, or it was forgotten after a day without a word.
    InstanceNotFound = "instance_not_found", 404, "no such instance";
    /// A newer life of the instance has reported than the one that is said to end.
    InstanceReplaced = "instance_replaced", 409, "a newer life of the instance goes on";
    /// The address is that of a WebSocket, and the request does not open one.
    UpgradeRequired = "upgrade_required", 426, "this address takes a WebSocket";
    /// A page of another site asks, in a browser, for a WebSocket.
    OriginNotAllowed = "origin_not_allowed", 403, "a page of another site may not do this";
    /// The request was sent to a name of which nobody has said that the service is reached by it.
    HostNotAllowed = "host_not_allowed", 421, "the service is not reached by that name";
    /// The document has no form in the format asked for.
    NotRenderable = "not_renderable", 406, "the document cannot be written in that format";
    /// The head named is not the head that is held.
    HeadMoved = "head_moved", 409, "the head is another one now";
    /// Nothing waits for this decision.
    NothingHeld = "nothing_held", 409, "nothing is held back";
    /// The service may read the upstream, and not write to it.
    WriteNotAllowed = "write_not_allowed", 403, "this service may not write";
    /// The tip named is not the tip of the branch.
    TipMoved = "tip_moved", 409, "the tip is another one now";
    /// A revision that is counted from somewhere names what a rollback went away from.
    RolledBack = "rolled_back", 409, "a rollback went away from that commit";
    /// What some configs have at the commit was never released to everybody here.
    NotReleased = "not_released", 409, "that content was never released to everybody";
    /// What is to be taken back was changed again since, or cannot be separated from other content.
    RevertConflict = "revert_conflict", 409, "it cannot be taken back alone";
    /// The branch has that content already.
    NothingToDo = "nothing_to_do", 409, "there is nothing to do";
    /// No such rollback.
    RollbackNotFound = "rollback_not_found", 404, "no such rollback";
    /// No such rollout, or it ended so long ago that it is forgotten.
    RolloutNotFound = "rollout_not_found", 404, "no such rollout";
    /// The order does not fit where the rollout is.
    RolloutRefused = "rollout_refused", 409, "the rollout does not take that order now";
    /// No order of that name waits, or waited lately, for a second person.
    OrderNotFound = "order_not_found", 404, "no such order";
    /// The order was confirmed or withdrawn, or has run out.
    OrderEnded = "order_ended", 409, "the order does not wait any more";
    /// Whoever gave an order confirms it, or somebody else withdraws it.
    OtherPersonNeeded = "other_person_needed", 403, "this is for another person";
    /// What an order is about is not any more as it was when the order was given.
    OrderOutdated = "order_outdated", 409, "it is not any more as it was when this was ordered";
    /// A token, a certificate, an address or an instance has as much as one may have; others go on.
    TooManyRequests = "too_many_requests", 429, "one caller takes too much";
    /// `min_version` was not published within the wait.
    NotPublished = "not_published", 504, "the version is not published yet";
    /// The repository has no published commit yet.
    NotReady = "not_ready", 503, "nothing is published yet";
    /// The client holds something newer than this replica can confirm.
    ReplicaBehind = "replica_behind", 503, "this replica may be behind";
    /// An object could not be read from the mirror, which is checked and, if need be, cloned again.
    MirrorBroken = "mirror_broken", 503, "the mirror is being repaired";
    /// A bounded queue is full.
    Overloaded = "overloaded", 503, "too much at once";
    /// A deadline passed.
    DeadlineExceeded = "deadline_exceeded", 504, "it took too long";
    /// A fault of this service.
    Internal = "internal", 500, "a fault of this service";
}

impl fmt::Display for ProblemCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Body of every answer with a status of 400 or more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    /// Stable name.
    pub code: ProblemCode,
    /// HTTP status, repeated for readers of the body alone.
    pub status: u16,
    /// What kind of thing went wrong.
    pub title: String,
    /// What went wrong here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Names this request in the service's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Actual tip or head, where the problem is that it differs from the one named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actual: Option<CommitId>,
    /// Findings of a rejected commit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// Paths or configs that stand in the way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// After how many ms to come back, where somebody asked too much; the header `retry-after` says it in whole seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

impl Problem {
    /// A problem with its detail; hint and request id are added by who knows them.
    pub fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        Self {
            code,
            status: code.status(),
            title: code.title().to_owned(),
            detail: Some(detail.into()),
            hint: None,
            request_id: None,
            actual: None,
            findings: Vec::new(),
            paths: Vec::new(),
            retry_after_ms: None,
        }
    }

    /// The same problem with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same problem with the findings that caused it.
    #[must_use]
    pub fn findings(mut self, findings: Vec<Finding>) -> Self {
        self.findings = findings;
        self
    }

    /// The same problem, naming the commit that is there instead.
    #[must_use]
    pub fn actual(mut self, actual: CommitId) -> Self {
        self.actual = Some(actual);
        self
    }

    /// The same problem, which may be gone after `wait`.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        // A part of a ms that is left would have the client come too early.
        self.retry_after_ms = u64::try_from(wait.as_micros().div_ceil(1_000)).ok();
        self
    }

    /// The same problem, naming what stands in the way.
    #[must_use]
    pub fn paths(mut self, paths: Vec<String>) -> Self {
        self.paths = paths;
        self
    }
}
