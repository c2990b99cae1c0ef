//! Codes of schemas that are valid and probably do not say what was meant.

use headwater_wire::Severity;

use super::{Example, Explanation, Family, SCHEMA_MANIFEST};

const WEB: (&str, &str) = ("web.toml", "port = 80\n");

pub(super) const FAMILY: Family = Family {
    name: "lint",
    about: "A schema is valid, and probably does not say what its author meant.",
    codes: &[
        Explanation {
            code: "lint/impossible-required",
            severity: Severity::Warning,
            meaning: "A key is required and forbidden at once, so no object fits.",
            reason: "It is most often a misspelt name, in `required` or in `properties`.",
            example: Example::Files(&[
                ("headwater.toml", SCHEMA_MANIFEST),
                (
                    "web.schema.json",
                    "{\"properties\": {\"spare\": {\"properties\": {\"name\": {}}, \"required\": [\"nmae\"], \
                     \"additionalProperties\": false}}}\n",
                ),
                WEB,
            ]),
            remedy: "Correct the name, or describe the key in `properties`.",
        },
        Explanation {
            code: "lint/no-dialect",
            severity: Severity::Info,
            meaning: "A schema names no draft of JSON Schema, so `defaults.dialect` of the manifest counts.",
            reason: "Editors do not know the manifest, and may read the schema by another draft.",
            example: Example::Schema("{\"type\": \"object\"}", "port = 80\n"),
            remedy: "Add `$schema` as the hint says.",
        },
        Explanation {
            code: "lint/other-draft",
            severity: Severity::Warning,
            meaning: "A keyword is one of another draft than the schema's, so it is ignored.",
            reason: "What it was meant to demand is not checked.",
            example: Example::Files(&[
                ("headwater.toml", SCHEMA_MANIFEST),
                (
                    "web.schema.json",
                    "{\"$schema\": \"http://json-schema.org/draft-04/schema#\", \"properties\": {\"port\": \
                     {\"const\": 80}}}\n",
                ),
                WEB,
            ]),
            remedy: "Name a draft that has the keyword in `$schema`, or say it in the words of this one.",
        },
        Explanation {
            code: "lint/ref-siblings",
            severity: Severity::Warning,
            meaning: "Keywords beside a `$ref` are ignored, up to draft-07.",
            reason: "What they were meant to demand is not checked.",
            example: Example::Files(&[
                ("headwater.toml", SCHEMA_MANIFEST),
                (
                    "web.schema.json",
                    "{\"$schema\": \"http://json-schema.org/draft-07/schema#\", \"definitions\": {\"port\": \
                     {}},\n  \"properties\": {\"port\": {\"$ref\": \"#/definitions/port\", \"maximum\": \
                     1024}}}\n",
                ),
                WEB,
            ]),
            remedy: "Put the reference into `allOf`, or name 2019-09 or a newer draft in `$schema`.",
        },
        Explanation {
            code: "lint/unknown-format",
            severity: Severity::Info,
            meaning: "A `format` is none that is known, where formats are not checked anyway.",
            reason: "It is often a misspelt one. With `formats = \"assert\"` it is an error, \
                     `schema/invalid`.",
            example: Example::Files(&[
                (
                    "headwater.toml",
                    "format = 1\n[defaults]\nformats = \"annotate\"\n[[config]]\nname = \"web\"\nlayers = \
                     [\"web.toml\"]\nschema = \"web.schema.json\"\n",
                ),
                (
                    "web.schema.json",
                    "{\"properties\": {\"mail\": {\"format\": \"emial\"}}}\n",
                ),
                ("web.toml", "mail = \"a@example.test\"\n"),
            ]),
            remedy: "Correct the name, or say what you mean by a `pattern`.",
        },
        Explanation {
            code: "lint/unknown-keyword",
            severity: Severity::Warning,
            meaning: "A keyword is none of JSON Schema, so it is ignored.",
            reason: "What it was meant to demand is not checked. It is a warning where it looks misspelt, \
                     and else a note.",
            example: Example::Schema(
                "{\"properties\": {\"port\": {\"maximun\": 65535}}}",
                "port = 80\n",
            ),
            remedy: "Correct the name. A note of your own is told from a typo by a name such as `x-owner`.",
        },
    ],
};
