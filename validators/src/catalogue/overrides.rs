//! Codes of trailers that allow what a rule forbids.

use headwater_wire::Severity;

use super::{Example, Explanation, Family};

pub(super) const FAMILY: Family = Family {
    name: "override",
    about: "A trailer `Headwater-Allow: RULE REASON` of the commit's message allows what a rule would \
            refuse.",
    codes: &[Explanation {
        code: "override/unknown",
        severity: Severity::Warning,
        meaning: "A trailer allows a rule that is not there.",
        reason: "The name is probably misspelt, and the rule that was meant still holds.",
        example: Example::Words(
            "`Headwater-Allow: pool-stp launch day`, where the rule is \
                                 `[rule.pool-step]`.",
        ),
        remedy: "Correct the name in the message of the commit.",
    }],
};
