//! The keywords of the drafts, where they hold schemas, and whether they refuse anything.
//!
//! Invariant: the table says what the schema crate does. It goes on reading `dependencies` after 2019-09, as the
//! standard allows, and `$defs` is a place like any other that a reference may lead to, in every draft.

use std::ops::RangeInclusive;

use super::super::Dialect;

/// What of a keyword's value is a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    Nothing,
    Schema,
    Schemas,
    /// A schema or a list of them.
    OneOrMany,
    /// Schemas by name; what is no schema there (a list of names in `dependencies`) has no keywords either.
    ByName,
}

/// What ignoring a keyword would change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// What is accepted.
    Asserts,
    /// Nothing but what people and references find.
    Describes,
}

/// One keyword.
#[derive(Debug, Clone)]
pub(super) struct Keyword {
    pub(super) name: &'static str,
    pub(super) holds: Holds,
    pub(super) effect: Effect,
    pub(super) drafts: RangeInclusive<Dialect>,
}

/// The keyword of this name, in whatever draft.
pub(super) fn keyword(name: &str) -> Option<&'static Keyword> {
    KEYWORDS.iter().find(|keyword| keyword.name == name)
}

/// The keywords of one draft.
pub(super) fn of_draft(dialect: Dialect) -> impl Iterator<Item = &'static Keyword> {
    KEYWORDS
        .iter()
        .filter(move |keyword| keyword.drafts.contains(&dialect))
}

/// Words that look as if they asserted something, and what does; `OpenAPI` and draft 3 have them.
pub(super) const FOREIGN: &[(&str, &str)] = &[
    ("disallow", "write `not`"),
    ("divisibleBy", "write `multipleOf`"),
    ("extends", "write `allOf`"),
    ("nullable", "add `\"null\"` to `type`"),
];

/// Notes for editors and generators of code that hundreds of public schemas carry, and that no validator reads.
pub(super) const NOTES: &[&str] = &[
    "allowComments",
    "allowTrailingCommas",
    "defaultSnippets",
    "deprecationMessage",
    "doNotSuggest",
    "enumDescriptions",
    "enumNames",
    "errorMessage",
    "existingJavaType",
    "javaType",
    "markdownDescription",
    "markdownEnumDescriptions",
    "patternErrorMessage",
    "suggestSortText",
    "tsEnumNames",
    "tsType",
];

const ALL: RangeInclusive<Dialect> = Dialect::Draft4..=Dialect::Draft202012;
const FROM_6: RangeInclusive<Dialect> = Dialect::Draft6..=Dialect::Draft202012;
const FROM_7: RangeInclusive<Dialect> = Dialect::Draft7..=Dialect::Draft202012;
const FROM_2019: RangeInclusive<Dialect> = Dialect::Draft201909..=Dialect::Draft202012;
const FROM_2020: RangeInclusive<Dialect> = Dialect::Draft202012..=Dialect::Draft202012;
const UNTIL_2019: RangeInclusive<Dialect> = Dialect::Draft4..=Dialect::Draft201909;
const ONLY_2019: RangeInclusive<Dialect> = Dialect::Draft201909..=Dialect::Draft201909;
const ONLY_4: RangeInclusive<Dialect> = Dialect::Draft4..=Dialect::Draft4;

const fn asserts(name: &'static str, holds: Holds, drafts: RangeInclusive<Dialect>) -> Keyword {
    Keyword {
        name,
        holds,
        effect: Effect::Asserts,
        drafts,
    }
}

const fn describes(name: &'static str, holds: Holds, drafts: RangeInclusive<Dialect>) -> Keyword {
    Keyword {
        name,
        holds,
        effect: Effect::Describes,
        drafts,
    }
}

const KEYWORDS: &[Keyword] = &[
    describes("$anchor", Holds::Nothing, FROM_2019),
    describes("$comment", Holds::Nothing, FROM_7),
    describes("$defs", Holds::ByName, ALL),
    describes("$dynamicAnchor", Holds::Nothing, FROM_2020),
    asserts("$dynamicRef", Holds::Nothing, FROM_2020),
    describes("$id", Holds::Nothing, FROM_6),
    describes("$recursiveAnchor", Holds::Nothing, ONLY_2019),
    asserts("$recursiveRef", Holds::Nothing, ONLY_2019),
    asserts("$ref", Holds::Nothing, ALL),
    describes("$schema", Holds::Nothing, ALL),
    describes("$vocabulary", Holds::Nothing, FROM_2019),
    asserts("additionalItems", Holds::Schema, UNTIL_2019),
    asserts("additionalProperties", Holds::Schema, ALL),
    asserts("allOf", Holds::Schemas, ALL),
    asserts("anyOf", Holds::Schemas, ALL),
    asserts("const", Holds::Nothing, FROM_6),
    asserts("contains", Holds::Schema, FROM_6),
    describes("contentEncoding", Holds::Nothing, FROM_7),
    describes("contentMediaType", Holds::Nothing, FROM_7),
    describes("contentSchema", Holds::Schema, FROM_2019),
    describes("default", Holds::Nothing, ALL),
    describes("definitions", Holds::ByName, ALL),
    asserts("dependencies", Holds::ByName, ALL),
    asserts("dependentRequired", Holds::Nothing, FROM_2019),
    asserts("dependentSchemas", Holds::ByName, FROM_2019),
    describes("deprecated", Holds::Nothing, FROM_2019),
    describes("description", Holds::Nothing, ALL),
    asserts("else", Holds::Schema, FROM_7),
    asserts("enum", Holds::Nothing, ALL),
    describes("examples", Holds::Nothing, FROM_6),
    asserts("exclusiveMaximum", Holds::Nothing, ALL),
    asserts("exclusiveMinimum", Holds::Nothing, ALL),
    asserts("format", Holds::Nothing, ALL),
    describes("id", Holds::Nothing, ONLY_4),
    asserts("if", Holds::Schema, FROM_7),
    asserts("items", Holds::OneOrMany, ALL),
    asserts("maxContains", Holds::Nothing, FROM_2019),
    asserts("maxItems", Holds::Nothing, ALL),
    asserts("maxLength", Holds::Nothing, ALL),
    asserts("maxProperties", Holds::Nothing, ALL),
    asserts("maximum", Holds::Nothing, ALL),
    asserts("minContains", Holds::Nothing, FROM_2019),
    asserts("minItems", Holds::Nothing, ALL),
    asserts("minLength", Holds::Nothing, ALL),
    asserts("minProperties", Holds::Nothing, ALL),
    asserts("minimum", Holds::Nothing, ALL),
    asserts("multipleOf", Holds::Nothing, ALL),
    asserts("not", Holds::Schema, ALL),
    asserts("oneOf", Holds::Schemas, ALL),
    asserts("pattern", Holds::Nothing, ALL),
    asserts("patternProperties", Holds::ByName, ALL),
    asserts("prefixItems", Holds::Schemas, FROM_2020),
    asserts("properties", Holds::ByName, ALL),
    asserts("propertyNames", Holds::Schema, FROM_6),
    describes("readOnly", Holds::Nothing, FROM_7),
    asserts("required", Holds::Nothing, ALL),
    asserts("then", Holds::Schema, FROM_7),
    describes("title", Holds::Nothing, ALL),
    asserts("type", Holds::Nothing, ALL),
    asserts("unevaluatedItems", Holds::Schema, FROM_2019),
    asserts("unevaluatedProperties", Holds::Schema, FROM_2019),
    asserts("uniqueItems", Holds::Nothing, ALL),
    describes("writeOnly", Holds::Nothing, FROM_7),
];

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn each_word_has_one_meaning() {
        let mut names: Vec<&str> = KEYWORDS.iter().map(|keyword| keyword.name).collect();
        names.extend(FOREIGN.iter().map(|(name, _)| *name));
        names.extend(NOTES);
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    /// A meta-schema says nothing of words it does not know, and refuses some value for each that it does.
    #[test]
    fn the_table_is_that_of_the_meta_schemas() {
        type IsValid = fn(&Value) -> bool;
        let drafts: [(Dialect, IsValid); 5] = [
            (Dialect::Draft4, jsonschema::draft4::meta::is_valid),
            (Dialect::Draft6, jsonschema::draft6::meta::is_valid),
            (Dialect::Draft7, jsonschema::draft7::meta::is_valid),
            (Dialect::Draft201909, jsonschema::draft201909::meta::is_valid),
            (Dialect::Draft202012, jsonschema::draft202012::meta::is_valid),
        ];
        let odd = [json!(-0.5), json!({"a": 0}), json!("%"), json!([1]), json!(null)];
        let mut differences = Vec::new();
        for keyword in KEYWORDS {
            for (dialect, is_valid) in drafts {
                let is_known = odd.iter().any(|value| !is_valid(&json!({ keyword.name: value })));
                if is_known != keyword.drafts.contains(&dialect) {
                    differences.push(format!("{} {dialect:?}", keyword.name));
                }
            }
        }
        // References are read without being in the oldest meta-schema; `$defs` is a place to refer to in any draft;
        // `const` and `default` may be anything; the last meta-schema keeps the words for recursion, to refuse others.
        insta::assert_snapshot!(differences.join(", "), @"$defs Draft4, $defs Draft6, $defs Draft7, $recursiveAnchor Draft202012, $recursiveRef Draft202012, $ref Draft4, const Draft6, const Draft7, const Draft201909, const Draft202012, default Draft4, default Draft6, default Draft7, default Draft201909, default Draft202012");
    }
}
