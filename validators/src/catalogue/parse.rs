//! Codes of files that are no document.

use headwater_wire::Severity;

use super::{Example, Explanation, Family};

pub(super) const FAMILY: Family = Family {
    name: "parse",
    about: "A file is no document of its format. In a repository without a manifest such a file is told and \
            tolerated, unless its config is served already.",
    codes: &[
        Explanation {
            code: "parse/alias",
            severity: Severity::Error,
            meaning: "A YAML alias refers to a value that contains it.",
            reason: "The document would be endless.",
            example: Example::Files(&[("web.yaml", "pools: &pools\n  spare: *pools\n")]),
            remedy: "Write the value out in the place of the alias.",
        },
        Explanation {
            code: "parse/budget",
            severity: Severity::Error,
            meaning: "A document has more values or more text than is read, with every alias counted as a \
                      copy.",
            reason: "Nine lines of YAML can stand for billions of values, which would use up all memory.",
            example: Example::Words(
                "`b: [*a, *a, *a, …]`, `c: [*b, *b, *b, …]`, and so on: a \"billion \
                                     laughs\".",
            ),
            remedy: "Split the document, or write out what the aliases are meant to repeat.",
        },
        Explanation {
            code: "parse/depth",
            severity: Severity::Error,
            meaning: "Lists and objects are nested deeper than `limits.depth`.",
            reason: "Nobody can read such a document, and many programs fail on it.",
            example: Example::Files(&[
                ("headwater.toml", "format = 1\n[limits]\ndepth = 2\n"),
                ("web.toml", "ports = [[80]]\n"),
            ]),
            remedy: "Flatten the document. If the manifest sets the limit, it can be raised there, up to the \
                     server's.",
        },
        Explanation {
            code: "parse/document",
            severity: Severity::Error,
            meaning: "A YAML file holds more than one document.",
            reason: "A file is one config or one layer, so only one of the documents could count.",
            example: Example::Files(&[("web.yaml", "port: 80\n---\nport: 81\n")]),
            remedy: "Give each document a file of its own.",
        },
        Explanation {
            code: "parse/duplicate-key",
            severity: Severity::Error,
            meaning: "A key is written twice in one object.",
            reason: "Most parsers silently take the last one, and some the first, so two programs would read \
                     two values.",
            example: Example::Files(&[("web.json", "{\"port\": 80, \"port\": 81}\n")]),
            remedy: "Keep one of the two; the finding shows both.",
        },
        Explanation {
            code: "parse/encoding",
            severity: Severity::Error,
            meaning: "A file is not UTF-8, or begins with two byte order marks.",
            reason: "What the bytes mean would depend on the machine that reads them.",
            example: Example::Files(&[("web.toml", "\u{feff}\u{feff}port = 80\n")]),
            remedy: "Save the file as UTF-8. An editor on Windows may have written UTF-16, which begins with the \
                     bytes `ff fe`, and an old program Latin-1, where `ü` is the one byte `fc`: `iconv -f \
                     LATIN1 -t UTF-8 old.toml > new.toml`.",
        },
        Explanation {
            code: "parse/format",
            severity: Severity::Error,
            meaning: "A file is used as a document, and its extension is of no format.",
            reason: "The extension says how a file is read; content is not guessed at.",
            example: Example::Words("A schema that refers to `types.txt`."),
            remedy: "Use `.toml`, `.json`, `.yaml` or `.yml`.",
        },
        Explanation {
            code: "parse/json",
            severity: Severity::Error,
            meaning: "A file is no JSON.",
            reason: "A file that no parser takes would reach no program. JSON has neither comments nor \
                     trailing commas.",
            example: Example::Files(&[("web.json", "{\"port\": }\n")]),
            remedy: "Correct it at the marked place; often the cause is the line before.",
        },
        Explanation {
            code: "parse/key",
            severity: Severity::Error,
            meaning: "A YAML key is a list or an object.",
            reason: "JSON and TOML have no such keys, and a document means the same in every format.",
            example: Example::Files(&[("web.yaml", "? [a, b]\n: 1\n")]),
            remedy: "Use text, a number or a boolean as the key. Braces that were meant as a template need \
                     quotes.",
        },
        Explanation {
            code: "parse/merge-key",
            severity: Severity::Error,
            meaning: "A YAML file uses the merge key `<<`, which YAML 1.2 does not have.",
            reason: "Some parsers merge, others read a key of that name.",
            example: Example::Files(&[("web.yaml", "base: &base {port: 80}\nweb:\n  <<: *base\n")]),
            remedy: "Write the keys out, make a layer of what is shared, or write `yaml = { merge_keys = \
                     true }` under `[defaults]`.",
        },
        Explanation {
            code: "parse/number",
            severity: Severity::Error,
            meaning: "A number is infinite, no number, or too large to be held exactly.",
            reason: "Integers are of 64 bits with a sign and floats are finite, so that every program reads \
                     the same value.",
            example: Example::Files(&[("web.json", "{\"bytes\": 99999999999999999999}\n")]),
            remedy: "Write a number that fits, or put it in quotes if it is a name of something.",
        },
        Explanation {
            code: "parse/tag",
            severity: Severity::Error,
            meaning: "A YAML value has a tag that is unknown, or that its text does not fit.",
            reason: "A tag asks one program to make an object of its own of the value; all others cannot \
                     know which.",
            example: Example::Files(&[("web.yaml", "port: !secret web-port\n")]),
            remedy: "Delete the tag, or correct the value.",
        },
        Explanation {
            code: "parse/toml",
            severity: Severity::Error,
            meaning: "A file is no TOML.",
            reason: "A file that no parser takes would reach no program.",
            example: Example::Files(&[("web.toml", "port = \n")]),
            remedy: "Correct it at the marked place. With `toml = \"1.0\"` under `[defaults]`, what TOML 1.1 \
                     added is refused too.",
        },
        Explanation {
            code: "parse/yaml",
            severity: Severity::Error,
            meaning: "A file is no YAML 1.2.",
            reason: "A file that no parser takes would reach no program.",
            example: Example::Files(&[("web.yaml", "ports: [80, 81\n")]),
            remedy: "Correct it at the marked place; look for brackets, quotes and indentation in the lines \
                     before.",
        },
    ],
};
