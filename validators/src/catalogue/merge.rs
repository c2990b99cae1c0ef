//! Codes of layers that do not fit upon each other.

use headwater_wire::Severity;

use super::{Example, Explanation, Family};

const MANIFEST: &str = "\
format = 1
[[config]]
name = \"web\"
layers = [\"base.toml\", \"prod.json\"]
";

pub(super) const FAMILY: Family = Family {
    name: "merge",
    about: "Layers merge without a fault, but one does something that its author may not have meant.",
    codes: &[
        Explanation {
            code: "merge/delete-absent",
            severity: Severity::Warning,
            meaning: "A layer deletes a key with `null` that no lower layer has.",
            reason: "The key may be misspelt, or was removed below since: either way the line does nothing, \
                     and whoever reads it believes that it does.",
            example: Example::Files(&[
                ("headwater.toml", MANIFEST),
                ("base.toml", "timeout_ms = 500\n"),
                ("prod.json", "{\"timeout\": null}\n"),
            ]),
            remedy: "Correct the name of the key, or remove the line. Where `null` is a value of its own, \
                     write `null = \"keep\"` under `[defaults]`.",
        },
        Explanation {
            code: "merge/redundant",
            severity: Severity::Info,
            meaning: "A layer sets a value that a lower layer has set already.",
            reason: "It changes nothing now, but the next change of the lower layer will not reach this \
                     config.",
            example: Example::Files(&[
                ("headwater.toml", MANIFEST),
                ("base.toml", "timeout_ms = 500\n"),
                ("prod.json", "{\"timeout_ms\": 500}\n"),
            ]),
            remedy: "Remove the line, unless the value shall stay what it is when the lower layer changes.",
        },
        Explanation {
            code: "merge/type-change",
            severity: Severity::Warning,
            meaning: "A layer puts an object in the place of another kind of value, or the other way round.",
            reason: "Objects merge and everything else replaces, so all keys that lower layers set there are \
                     gone.",
            example: Example::Files(&[
                ("headwater.toml", MANIFEST),
                ("base.toml", "[pool]\nmin = 1\nmax = 5\n"),
                ("prod.json", "{\"pool\": 5}\n"),
            ]),
            remedy: "Give the key the same kind of value in all layers; to replace a whole object on \
                     purpose, delete the key with `null` in a layer between.",
        },
    ],
};
