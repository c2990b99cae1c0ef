//! What it means when an upstream does not move a ref, by its words.
//!
//! Invariant: a pure function of the words. No forge has a code for it, so sentences are compared; what is not known is
//! a plain refusal, never a reason to try again. What is deliberately absent: trust in the words where the ref itself can
//! be looked at, as whether it was moved by somebody else.

/// Why a ref was not moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// A rule of the forge: changes of this branch come by another way.
    Protected,
    /// The whole repository takes no changes.
    ReadOnly,
    /// These credentials may not write.
    NotAllowed,
    /// The repository takes changes again soon.
    Later,
    /// Somebody else moves the ref, or moved it.
    Contended,
    /// A hook said no.
    Hook,
    /// Anything else.
    Other,
}

/// In this order, since the words of a hook may hold any other words: the most specific first.
const WORDS: [(Refusal, &[&str]); 6] = [
    (
        Refusal::Protected,
        &[
            "gh006",
            "gh013",
            "protected branch",
            "repository rule violations",
            "can only be modified through pull requests",
            "permission denied to update branch",
            "tf402455",
            "protected ref",
            "branch is protected",
        ],
    ),
    (
        Refusal::Later,
        &[
            "temporarily read-only",
            "read-only maintenance",
            "maintenance mode",
        ],
    ),
    (
        Refusal::ReadOnly,
        &[
            "repository is archived",
            "archived so it is read-only",
            "archived project",
            "repo is archived",
            "read-only gitlab instance",
            "repository is a mirror",
            "mirror repository is read-only",
        ],
    ),
    (
        Refusal::NotAllowed,
        &[
            "not allowed to push code to this project",
            "write access to repository not granted",
            "not authorized to write",
            "no write permission",
            "user permission denied for writing",
        ],
    ),
    (
        Refusal::Contended,
        &[
            "cannot lock ref",
            "failed to update ref",
            "failed to lock",
            "unable to lock",
            "reference already exists",
            "stale info",
            "fetch first",
            "non-fast-forward",
            "atomic transaction failed",
            "incorrect old value",
        ],
    ),
    (Refusal::Hook, &["hook declined"]),
];

/// Judges the reason of the status line and what else was said.
pub(super) fn judge(reason: &str, said: &str) -> Refusal {
    let reason = reason.to_ascii_lowercase();
    let both = format!("{reason}\n{}", said.to_ascii_lowercase());
    for (refusal, words) in WORDS {
        // What a hook says is its own business; that a ref is contended is said by Git in the reason or beside it.
        let hook_speaks = refusal == Refusal::Contended && reason.contains("hook declined");
        if !hook_speaks && words.iter().any(|words| both.contains(words)) {
            return refusal;
        }
    }
    Refusal::Other
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_the_forges_are_known() {
        use Refusal::{Later, NotAllowed, Protected, ReadOnly};
        let hook = "pre-receive hook declined";
        let cases = [
            (
                Protected,
                "protected branch hook declined",
                "error: GH006: Protected branch update failed",
            ),
            (
                Protected,
                "push declined due to repository rule violations",
                "error: GH013: …",
            ),
            (
                Protected,
                hook,
                "GitLab: You are not allowed to push code to protected branches on this project.",
            ),
            (
                Protected,
                hook,
                "error: Not allowed to push to protected branch main",
            ),
            (
                Protected,
                hook,
                "Branch refs/heads/main can only be modified through pull requests.",
            ),
            (Protected, hook, "Permission denied to update branch main."),
            (
                Protected,
                "TF402455: Pushes to this branch are not permitted; use a pull request.",
                "",
            ),
            (
                NotAllowed,
                hook,
                "GitLab: You are not allowed to push code to this project.",
            ),
            (ReadOnly, hook, "This repository was archived so it is read-only."),
            (
                ReadOnly,
                hook,
                "You can't push code to a read-only GitLab instance.",
            ),
            (ReadOnly, hook, "mirror repository is read-only"),
            (
                Later,
                hook,
                "The repository is temporarily read-only. Please try again later.",
            ),
        ];
        for (expected, reason, said) in cases {
            assert_eq!(judge(reason, said), expected, "{reason} / {said}");
        }
    }

    #[test]
    fn the_words_of_git_are_known_and_those_of_a_hook_are_not_taken_for_them() {
        use Refusal::{Contended, Hook, Other};
        let moved = "error: cannot lock ref 'refs/heads/main': is at 11 but expected 22";
        let cases = [
            (Contended, "failed to update ref", moved),
            (
                Contended,
                "cannot lock ref 'refs/heads/main': Unable to create '/x.lock': File exists.",
                "",
            ),
            (Contended, "reference already exists", ""),
            (
                Hook,
                "pre-receive hook declined",
                "the job failed to lock the door; this file is read-only",
            ),
            (Hook, "hook declined", ""),
            (Other, "branch is currently checked out", ""),
            (Other, "missing necessary objects", ""),
        ];
        for (expected, reason, said) in cases {
            assert_eq!(judge(reason, said), expected, "{reason} / {said}");
        }
    }
}
