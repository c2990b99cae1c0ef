//! Codes of guards that cannot measure.

use headwater_wire::Severity;

use super::{Example, Explanation, Family};

pub(super) const FAMILY: Family = Family {
    name: "guard",
    about: "Guards measure a change against what is served now, and that is not known.",
    codes: &[Explanation {
        code: "guard/no-old-values",
        severity: Severity::Warning,
        meaning: "The manifest of the commit that is served now is not valid any more, so no change is \
                  measured.",
        reason: "A newer server may refuse what an older one took. Rules about a step from one value to the \
                 next say nothing this time.",
        example: Example::Words(
            "The server was upgraded, and knows a mistake in the manifest that the old \
                                 one did not.",
        ),
        remedy: "Look at the difference with your own eyes. The next commit is measured again.",
    }],
};
