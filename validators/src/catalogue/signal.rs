//! Codes of what rollouts wait for.

use headwater_wire::Severity;

use super::{Example, Explanation, Family};

pub(super) const FAMILY: Family = Family {
    name: "signal",
    about: "A rollout waits for a signal.",
    codes: &[Explanation {
        code: "signal/not-checked",
        severity: Severity::Info,
        meaning: "Whether anybody answers to the names that signals ask was not looked up, since only a server's settings \
                  know it.",
        reason: "The verdict of the server may be another one: `floor/signal`.",
        example: Example::Words(
            "`headwater check` in a clone whose manifest has a signal with `webhook = \"order-watch\"`.",
        ),
        remedy: "Push it and read the verdict of the server.",
    }],
};
