//! Codes of schemas, mostly one for each keyword of JSON Schema that a document can break.
//!
//! What stands behind the slash is the keyword's own name.

use headwater_wire::Severity;

use super::{Example, Explanation, Family, SCHEMA_MANIFEST};

pub(super) const FAMILY: Family = Family {
    name: "schema",
    about: "A document breaks its JSON Schema, at the keyword that the code names; or the schema itself is \
            wrong.",
    codes: &[
        Explanation {
            code: "schema/$ref",
            severity: Severity::Error,
            meaning: "A reference of the schema could not be followed while a document was checked.",
            reason: "What the reference was meant to demand was not checked.",
            example: Example::Words(
                "None is known: references are followed when the schema is compiled, and told as \
                 `schema/ref`.",
            ),
            remedy: "Correct the `$ref` of the schema.",
        },
        Explanation {
            code: "schema/additionalItems",
            severity: Severity::Error,
            meaning: "A list has more items than its schema describes. Drafts up to 2019-09 have this \
                      keyword.",
            reason: "The program that reads the list gives a meaning to the first items alone.",
            example: Example::Schema(
                r#"{"$schema": "http://json-schema.org/draft-07/schema#", "properties": {"ports": {"items": [{}], "additionalItems": false}}}"#,
                "ports = [80, 81]\n",
            ),
            remedy: "Remove the item, or describe it in the schema.",
        },
        Explanation {
            code: "schema/additionalProperties",
            severity: Severity::Error,
            meaning: "A key is not one that the schema knows.",
            reason: "It is most often a misspelt key: the program would use its default, and the line that \
                     seems to set the value does nothing.",
            example: Example::Schema(
                r#"{"properties": {"timeout_ms": {}}, "additionalProperties": false}"#,
                "timeot_ms = 500\n",
            ),
            remedy: "Correct the key, or add it to `properties` of the schema.",
        },
        Explanation {
            code: "schema/anyOf",
            severity: Severity::Error,
            meaning: "A value fits none of the alternatives of the schema.",
            reason: "Every alternative is a form that the program reads, and this is none of them.",
            example: Example::Schema(
                r#"{"properties": {"port": {"anyOf": [{"type": "integer"}, {"const": "auto"}]}}}"#,
                "port = true\n",
            ),
            remedy: "Give the value one of the forms; where one of them was most likely meant, the finding \
                     is about that one.",
        },
        Explanation {
            code: "schema/const",
            severity: Severity::Error,
            meaning: "A value is another one than the only one that is allowed.",
            reason: "The schema fixes it, mostly to tell kinds of objects apart.",
            example: Example::Schema(r#"{"properties": {"version": {"const": 1}}}"#, "version = 2\n"),
            remedy: "Write the value that the finding names.",
        },
        Explanation {
            code: "schema/contains",
            severity: Severity::Error,
            meaning: "A list has no item of a kind that must be in it, or too many of them.",
            reason: "The program looks for such an item.",
            example: Example::Schema(
                r#"{"properties": {"roles": {"contains": {"const": "admin"}}}}"#,
                "roles = [\"reader\"]\n",
            ),
            remedy: "Add such an item; `contains` of the schema says what it must be.",
        },
        Explanation {
            code: "schema/contentEncoding",
            severity: Severity::Error,
            meaning: "A text is not encoded as the schema says, mostly in Base64.",
            reason: "The program would fail to decode it. Drafts before 2019-09 assert this keyword.",
            example: Example::Schema(
                r#"{"$schema": "http://json-schema.org/draft-07/schema#", "properties": {"key": {"contentEncoding": "base64"}}}"#,
                "key = \"%%%\"\n",
            ),
            remedy: "Encode it again; look for line breaks and missing `=` at the end.",
        },
        Explanation {
            code: "schema/contentMediaType",
            severity: Severity::Error,
            meaning: "A text is not of the media type that the schema says, mostly JSON.",
            reason: "The program would fail to parse it. Drafts before 2019-09 assert this keyword.",
            example: Example::Schema(
                r#"{"$schema": "http://json-schema.org/draft-07/schema#", "properties": {"policy": {"contentMediaType": "application/json"}}}"#,
                "policy = \"{\"\n",
            ),
            remedy: "Correct the text inside of the text, or make it a part of the document.",
        },
        Explanation {
            code: "schema/dialect",
            severity: Severity::Error,
            meaning: "A schema is written in a dialect of JSON Schema that is unknown.",
            reason: "The same keyword means different things in different drafts.",
            example: Example::Files(&[
                ("headwater.toml", SCHEMA_MANIFEST),
                (
                    "web.schema.json",
                    "{\"$schema\": \"https://example.test/my-own\"}\n",
                ),
                ("web.toml", "port = 80\n"),
            ]),
            remedy: "Name a draft from 4 to 2020-12, or leave `$schema` out: then `defaults.dialect` of the \
                     manifest counts.",
        },
        Explanation {
            code: "schema/enum",
            severity: Severity::Error,
            meaning: "A value is none of those that the schema lists.",
            reason: "The program knows what to do with the listed values only.",
            example: Example::Schema(
                r#"{"properties": {"level": {"enum": ["debug", "info", "error"]}}}"#,
                "level = \"inf\"\n",
            ),
            remedy: "Write one of the values that the hint names.",
        },
        Explanation {
            code: "schema/exclusiveMaximum",
            severity: Severity::Error,
            meaning: "A number is not less than the bound of the schema.",
            reason: "From the bound on the program does something else than is meant, or fails.",
            example: Example::Schema(
                r#"{"properties": {"ratio": {"exclusiveMaximum": 1}}}"#,
                "ratio = 1.0\n",
            ),
            remedy: "Lower it; look whether the unit is the one that the program expects.",
        },
        Explanation {
            code: "schema/exclusiveMinimum",
            severity: Severity::Error,
            meaning: "A number is not greater than the bound of the schema.",
            reason: "Down to the bound the program does something else than is meant, or fails.",
            example: Example::Schema(
                r#"{"properties": {"timeout_ms": {"exclusiveMinimum": 0}}}"#,
                "timeout_ms = 0\n",
            ),
            remedy: "Raise it; look whether the unit is the one that the program expects.",
        },
        Explanation {
            code: "schema/falseSchema",
            severity: Severity::Error,
            meaning: "Something stands where the schema allows nothing.",
            reason: "The schema forbids the place with `false`, mostly because the key was given up.",
            example: Example::Schema(r#"{"properties": {"legacy_port": false}}"#, "legacy_port = 80\n"),
            remedy: "Remove it.",
        },
        Explanation {
            code: "schema/format",
            severity: Severity::Error,
            meaning: "A text is not of the format that the schema names.",
            reason: "The program would fail to parse it.",
            example: Example::Schema(
                r#"{"properties": {"contact": {"format": "email"}}}"#,
                "contact = \"nobody\"\n",
            ),
            remedy: r#"Write it in that format. With `formats = "annotate"` under `[defaults]`, formats are not checked."#,
        },
        Explanation {
            code: "schema/invalid",
            severity: Severity::Error,
            meaning: "A schema is not one: it breaks the rules of JSON Schema.",
            reason: "A schema that is misunderstood checks something else than its author meant.",
            example: Example::Files(&[
                ("headwater.toml", SCHEMA_MANIFEST),
                (
                    "web.schema.json",
                    "{\"properties\": {\"port\": {\"type\": \"int\"}}}\n",
                ),
                ("web.toml", "port = 80\n"),
            ]),
            remedy: "Correct the schema at the marked place.",
        },
        Explanation {
            code: "schema/maxItems",
            severity: Severity::Error,
            meaning: "A list has more items than the schema allows.",
            reason: "The program has no room or no use for more.",
            example: Example::Schema(
                r#"{"properties": {"seeds": {"maxItems": 1}}}"#,
                "seeds = [\"a\", \"b\"]\n",
            ),
            remedy: "Remove items.",
        },
        Explanation {
            code: "schema/maxLength",
            severity: Severity::Error,
            meaning: "A text is longer than the schema allows.",
            reason: "Where the text goes there is no room for more.",
            example: Example::Schema(
                r#"{"properties": {"name": {"maxLength": 3}}}"#,
                "name = \"frontend\"\n",
            ),
            remedy: "Shorten it; characters are counted, not bytes.",
        },
        Explanation {
            code: "schema/maxProperties",
            severity: Severity::Error,
            meaning: "An object has more keys than the schema allows.",
            reason: "The program has no room or no use for more.",
            example: Example::Schema(
                r#"{"properties": {"labels": {"maxProperties": 1}}}"#,
                "labels = { a = \"1\", b = \"2\" }\n",
            ),
            remedy: "Remove keys.",
        },
        Explanation {
            code: "schema/maximum",
            severity: Severity::Error,
            meaning: "A number is greater than the maximum of the schema.",
            reason: "Above it the program does something else than is meant, or fails.",
            example: Example::Schema(
                r#"{"properties": {"port": {"maximum": 65535}}}"#,
                "port = 70000\n",
            ),
            remedy: "Lower it; look whether the unit is the one that the program expects.",
        },
        Explanation {
            code: "schema/minItems",
            severity: Severity::Error,
            meaning: "A list has fewer items than the schema demands.",
            reason: "The program needs at least that many.",
            example: Example::Schema(r#"{"properties": {"seeds": {"minItems": 1}}}"#, "seeds = []\n"),
            remedy: "Add items.",
        },
        Explanation {
            code: "schema/minLength",
            severity: Severity::Error,
            meaning: "A text is shorter than the schema demands.",
            reason: "It is mostly empty because it was to be filled in later.",
            example: Example::Schema(r#"{"properties": {"name": {"minLength": 1}}}"#, "name = \"\"\n"),
            remedy: "Fill it in.",
        },
        Explanation {
            code: "schema/minProperties",
            severity: Severity::Error,
            meaning: "An object has fewer keys than the schema demands.",
            reason: "The program needs at least that many.",
            example: Example::Schema(
                r#"{"properties": {"labels": {"minProperties": 1}}}"#,
                "labels = {}\n",
            ),
            remedy: "Add keys, or remove the object if it may be absent.",
        },
        Explanation {
            code: "schema/minimum",
            severity: Severity::Error,
            meaning: "A number is less than the minimum of the schema.",
            reason: "Below it the program does something else than is meant, or fails.",
            example: Example::Schema(r#"{"properties": {"retries": {"minimum": 0}}}"#, "retries = -1\n"),
            remedy: "Raise it; look whether the unit is the one that the program expects.",
        },
        Explanation {
            code: "schema/multipleOf",
            severity: Severity::Error,
            meaning: "A number is no multiple of what the schema demands.",
            reason: "The program would round it.",
            example: Example::Schema(
                r#"{"properties": {"block_kib": {"multipleOf": 4}}}"#,
                "block_kib = 6\n",
            ),
            remedy: "Write a multiple.",
        },
        Explanation {
            code: "schema/not",
            severity: Severity::Error,
            meaning: "A value is what the schema forbids.",
            reason: "The schema says of one kind of value that it must not be.",
            example: Example::Schema(
                r#"{"properties": {"user": {"not": {"const": "root"}}}}"#,
                "user = \"root\"\n",
            ),
            remedy: "Write another value; `not` of the schema says which are forbidden.",
        },
        Explanation {
            code: "schema/oneOf",
            severity: Severity::Error,
            meaning: "A value fits none of the alternatives of the schema, or more than one.",
            reason: "Exactly one may fit, so that the program knows which is meant.",
            example: Example::Schema(
                r#"{"properties": {"limit": {"oneOf": [{"minimum": 1}, {"maximum": 9}]}}}"#,
                "limit = 5\n",
            ),
            remedy: "Give the value the form of one alternative. If two are right, the schema's alternatives \
                     overlap: use `anyOf`.",
        },
        Explanation {
            code: "schema/overridden",
            severity: Severity::Warning,
            meaning: "A layer holds a value that breaks the schema, and every document overrides it.",
            reason: "Nobody gets the value yet; but as soon as the layer that hides it goes, the commit is \
                     rejected.",
            example: Example::Files(&[
                (
                    "headwater.toml",
                    "format = 1\n[[config]]\nname = \"web\"\nlayers = [\"base.toml\", \"web.toml\"]\nschema \
                     = \"web.schema.json\"\n",
                ),
                (
                    "web.schema.json",
                    "{\"properties\": {\"port\": {\"type\": \"integer\"}}}\n",
                ),
                ("base.toml", "port = \"80\"\n"),
                ("web.toml", "port = 80\n"),
            ]),
            remedy: "Repair it where it stands, or remove it.",
        },
        Explanation {
            code: "schema/pattern",
            severity: Severity::Error,
            meaning: "A text does not match the regular expression of the schema.",
            reason: "The program would take the text for something else, or refuse it.",
            example: Example::Schema(
                r#"{"properties": {"region": {"pattern": "^[a-z]+-[0-9]$"}}}"#,
                "region = \"EU 1\"\n",
            ),
            remedy: "Write it in the form that the expression describes.",
        },
        Explanation {
            code: "schema/propertyNames",
            severity: Severity::Error,
            meaning: "A key is not named as the schema demands.",
            reason: "Keys of this object are names of something, and this cannot be one.",
            example: Example::Schema(
                r#"{"properties": {"labels": {"propertyNames": {"pattern": "^[a-z]+$"}}}}"#,
                "labels = { Team = \"a\" }\n",
            ),
            remedy: "Rename the key.",
        },
        Explanation {
            code: "schema/ref",
            severity: Severity::Error,
            meaning: "A `$ref` of a schema points to nothing, or outside of the repository.",
            reason: "Nothing is fetched from elsewhere: what a commit means is decided by the commit alone.",
            example: Example::Files(&[
                ("headwater.toml", SCHEMA_MANIFEST),
                (
                    "web.schema.json",
                    "{\"$ref\": \"https://example.test/web.schema.json\"}\n",
                ),
                ("web.toml", "port = 80\n"),
            ]),
            remedy: "Correct the reference, or commit the schema it points to and refer to it by its path.",
        },
        Explanation {
            code: "schema/required",
            severity: Severity::Error,
            meaning: "A key that the schema demands is not in the document.",
            reason: "The program has no value it could use instead.",
            example: Example::Schema(r#"{"required": ["port"]}"#, "host = \"web\"\n"),
            remedy: "Add the key to the file that the hint names, or remove it from `required` of the \
                     schema.",
        },
        Explanation {
            code: "schema/served",
            severity: Severity::Warning,
            meaning: "A schema is served as a config, since only its content says that it is a schema.",
            reason: "It was found through a `$ref`, so it is probably not meant to be served.",
            example: Example::Files(&[
                ("headwater.toml", SCHEMA_MANIFEST),
                ("web.schema.json", "{\"$ref\": \"types.json\"}\n"),
                ("types.json", "{\"type\": \"object\"}\n"),
                ("web.toml", "port = 80\n"),
            ]),
            remedy: "Name it `….schema.json`, or add it to `defaults.ignore`.",
        },
        Explanation {
            code: "schema/type",
            severity: Severity::Error,
            meaning: "A value is of another kind than the schema demands.",
            reason: "Most programs fail on a value of the wrong kind, and some take it for something else.",
            example: Example::Schema(
                r#"{"properties": {"port": {"type": "integer"}}}"#,
                "port = \"80\"\n",
            ),
            remedy: "Write the kind that the finding names; numbers and booleans stand without quotes.",
        },
        Explanation {
            code: "schema/unevaluatedItems",
            severity: Severity::Error,
            meaning: "A list has an item that no part of the schema describes.",
            reason: "The program gives no meaning to it.",
            example: Example::Schema(
                r#"{"properties": {"ports": {"prefixItems": [{}], "unevaluatedItems": false}}}"#,
                "ports = [80, 81]\n",
            ),
            remedy: "Remove the item, or describe it in the schema.",
        },
        Explanation {
            code: "schema/unevaluatedProperties",
            severity: Severity::Error,
            meaning: "A key is described by no part of the schema.",
            reason: "It is most often a misspelt key: the program would use its default, and the line that \
                     seems to set the value does nothing.",
            example: Example::Schema(
                r#"{"allOf": [{"properties": {"timeout_ms": {}}}], "unevaluatedProperties": false}"#,
                "timeot_ms = 500\n",
            ),
            remedy: "Correct the key, or describe it in the schema.",
        },
        Explanation {
            code: "schema/uniqueItems",
            severity: Severity::Error,
            meaning: "A list has an item twice.",
            reason: "The program takes the items for a set, and the second one was probably meant to be \
                     another.",
            example: Example::Schema(
                r#"{"properties": {"seeds": {"uniqueItems": true}}}"#,
                "seeds = [\"a\", \"a\"]\n",
            ),
            remedy: "Remove or change one of the two.",
        },
    ],
};
