//! Codes of rules, whose names are the manifest's.

use headwater_wire::Severity;

use super::{Example, Explanation, Family};

pub(super) const FAMILY: Family = Family {
    name: "rule",
    about: "A rule that the manifest states beyond the schemas was broken.",
    codes: &[
        Explanation {
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
        },
        Explanation {
            code: "rule/error",
            severity: Severity::Error,
            meaning: "A rule could not be judged: its expression met a value that it cannot work with, or took \
                  too many steps.",
            reason: "A rule that nobody could judge is never a pass. The finding has the severity of the rule, \
                 and no rule can have the id `error`.",
            example: Example::Files(&[
                (
                    "headwater.toml",
                    "format = 1\n\n[[config]]\nname = \"web\"\nlayers = [\"web.toml\"]\nrules = [\"few\"]\n\n\
                 [rule.few]\nexpr = \"new.pool.max <= 100\"\n",
                ),
                ("web.toml", "port = 80\n"),
            ]),
            remedy: "Ask before what may be missing, as in `!has(new.pool) || new.pool.max <= 100`, narrow the \
                 rule by `when`, or look at fewer values.",
        },
    ],
};
