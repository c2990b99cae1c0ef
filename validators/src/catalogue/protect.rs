//! Codes of `[protect]`.

use headwater_wire::Severity;

use super::{Example, Explanation, Family};

pub(super) const FAMILY: Family = Family {
    name: "protect",
    about: "A commit breaks the `[protect]` of the manifest that is served now.",
    codes: &[
        Explanation {
            code: "protect/alone",
            severity: Severity::Error,
            meaning: "A commit loosens a guard and changes something else too.",
            reason: "A guard could be removed and violated at once, and who reads the change would see only one \
                 of the two.",
            example: Example::Words(
                "One commit that removes `[rule.pool-step]` and sets `pool.max` to ten times \
                                 what it was.",
            ),
            remedy: "The finding says which kind of guard is loosened, and the first few of that kind; what counts is told \
                 in docs/manifest.md. Make two commits: one that changes the manifest and schemas alone, and then the other.",
        },
        Explanation {
            code: "protect/schema",
            severity: Severity::Error,
            meaning: "A commit changes configs, and needs a schema to admit more than the one that is served now.",
            reason: "A schema is a guard: one commit could widen it and use that at once, and who reads the change would \
                 see only one of the two.",
            example: Example::Words(
                "One commit that raises a `maximum` of a schema and sets the value above the old one, where \
             `[protect]` says `schema_changes = \"alone\"`.",
            ),
            remedy: "Make two commits: one that changes the manifest and schemas alone, and then the values.",
        },
    ],
};
