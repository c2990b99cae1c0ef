//! Codes of who signed what comes to the branch.

use headwater_wire::Severity;

use super::{Example, Explanation, Family};

pub(super) const FAMILY: Family = Family {
    name: "signature",
    about: "The server's settings ask for signed commits (`require_signatures`), and one is not signed as they say. Nothing \
            of such a commit is read. `headwater check` does not know those settings, so only a server says these.",
    codes: &[
        Explanation {
            code: "signature/bad",
            severity: Severity::Error,
            meaning: "A commit has a signature that is not one of what the commit says.",
            reason: "The commit was changed after it was signed, or was signed for something else than Git.",
            example: Example::Words(
                "A signed commit whose message was edited by a tool that kept the signature.",
            ),
            remedy: "Look at who pushed it. Then sign it anew with `git commit --amend --no-edit -S`.",
        },
        Explanation {
            code: "signature/expired-key",
            severity: Severity::Error,
            meaning: "A commit is signed with a key that the server's file of allowed signers has, but not for the time that \
                      the commit names, or not for Git.",
            reason: "A key that was replaced or lost must not let anybody in any more.",
            example: Example::Words(
                "A commit of today, and `valid-before=\"20260101\"` or `namespaces=\"file\"` in the line of its key.",
            ),
            remedy: "Sign it with a key that is allowed now, or let whoever runs the server change the line.",
        },
        Explanation {
            code: "signature/missing",
            severity: Severity::Error,
            meaning: "A commit is not signed.",
            reason: "Whoever got hold of an account at the forge could push it; who holds an allowed key is somebody else.",
            example: Example::Words("A commit made by a forge's web page, where the settings ask for `all`."),
            remedy: "Say `git config gpg.format ssh`, set `user.signingKey` and `commit.gpgSign`, and amend the commit.",
        },
        Explanation {
            code: "signature/too-many",
            severity: Severity::Error,
            meaning: "So many commits come at once that their signatures are not looked at.",
            reason: "Each takes the time of some programs, and what cannot be looked at is not let in.",
            example: Example::Words(
                "A push that merges a history of ten thousand commits, where all must be signed.",
            ),
            remedy: "Push them in parts, or let whoever runs the server ask for `head` alone for this push.",
        },
        Explanation {
            code: "signature/unknown-key",
            severity: Severity::Error,
            meaning: "A commit is signed with a key that is not in the server's file of allowed signers, or not with an SSH key.",
            reason: "That somebody signed says nothing until it is known who may.",
            example: Example::Words(
                "A commit signed with the key of a new colleague, whom nobody has added yet.",
            ),
            remedy: "Sign it with an allowed SSH key, or let whoever runs the server add the key.",
        },
    ],
};
