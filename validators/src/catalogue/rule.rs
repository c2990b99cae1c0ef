//! Codes of rules, whose names are the manifest's.

use headwater_wire::Severity;

use super::{Example, Explanation, Family};

pub(super) const FAMILY: Family = Family {
    name: "rule",
    about: "A rule that the manifest states beyond the schemas was broken.",
    codes: &[Explanation {
        code: "rule/*",
        severity: Severity::Error,
        meaning: "A rule of the manifest, named behind the slash, does not hold.",
        reason: "Rules say what a schema cannot: how far a value may move in one step, or what must be true \
                 of several configs together. Who wrote the rule knows what breaks without it.",
        example: Example::Words(
            "`rule/pool-step` is the rule that stands under `[rule.pool-step]` in \
                                 `headwater.toml`.",
        ),
        remedy: "Read the rule in the manifest: its `message` and `hint` are what the finding says. Change \
                 the value, or talk to the owners of the rule.",
    }],
};
