//! Codes of rules that ask a webhook.

use headwater_wire::Severity;

use super::{Example, Explanation, Family};

pub(super) const FAMILY: Family = Family {
    name: "webhook",
    about: "A rule asks a webhook, which gave no answer.",
    codes: &[
        Explanation {
            code: "webhook/not-run",
            severity: Severity::Info,
            meaning: "A rule was not run here, since only a server asks webhooks.",
            reason: "The verdict of the server may be another one.",
            example: Example::Words(
                "`headwater check` in a clone whose manifest has a rule with `webhook = \
                                     \"change-calendar\"`.",
            ),
            remedy: "Push it and read the verdict of the server.",
        },
        Explanation {
            code: "webhook/unanswered",
            severity: Severity::Error,
            meaning: "A webhook gave no answer, or none that could be read.",
            reason: "The rule says by `on_error` what that means: the commit is rejected, or admitted with a \
                     warning.",
            example: Example::Words(
                "The program behind the webhook is down, or takes longer than five seconds.",
            ),
            remedy: "See to the webhook, then let the commit be judged again by pushing another one.",
        },
    ],
};
