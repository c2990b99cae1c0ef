//! Codes of what the server's settings insist on.

use headwater_wire::Severity;

use super::{Example, Explanation, Family};

pub(super) const FAMILY: Family = Family {
    name: "floor",
    about: "The repository asks for less than the server's settings insist on. `headwater check` does not \
            know those settings, so only a server says these.",
    codes: &[
        Explanation {
            code: "floor/owners",
            severity: Severity::Error,
            meaning: "The server's settings let only some people change the manifest, and the author is none \
                      of them.",
            reason: "Whoever can change the manifest can remove its guards.",
            example: Example::Words(
                "A commit of `author@example.test` that edits `headwater.toml`, where \
                                     the settings name `boss@example.test`.",
            ),
            remedy: "Let one of the people whom the hint names make the commit.",
        },
        Explanation {
            code: "floor/rollout",
            severity: Severity::Error,
            meaning: "A config would reach the fleet less carefully than the server's settings ask for.",
            reason: "How fast a mistake can spread is for whoever runs the fleet to say.",
            example: Example::Words("A config without `rollout`, where the settings ask for `staged`."),
            remedy: "Name a `rollout` of the kind that the settings ask for, or of a more careful one.",
        },
        Explanation {
            code: "floor/signal",
            severity: Severity::Error,
            meaning: "A rollout policy waits for a signal that the server's settings do not have, or have as another kind.",
            reason: "Nobody could be asked, so every rollout of the policy would halt. Where a signal is, and how to \
                     get in, is never said in the repository.",
            example: Example::Words(
                "`prometheus = { server = \"main\", … }` in a signal, where the settings have no \
                 `[signal.main]` of kind `prometheus`.",
            ),
            remedy: "Correct the name, or let whoever runs the server add the signal to its settings.",
        },
        Explanation {
            code: "floor/webhook",
            severity: Severity::Error,
            meaning: "A rule asks a webhook that the server's settings do not have.",
            reason: "The rule would guard nothing. Where a webhook is, and its secret, is never said in the \
                     repository.",
            example: Example::Words(
                "`webhook = \"change-calendar\"` in a rule, where the settings know \
                                     `change-calender`.",
            ),
            remedy: "Correct the name, or let whoever runs the server add the webhook to its settings.",
        },
    ],
};
