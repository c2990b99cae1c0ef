//! The shape of a manifest as a JSON Schema, for editors that complete and check while somebody types.
//!
//! Invariant: it has the keys that the reader has, and no others. What is deliberately absent: use of it by the reader,
//! which says more than a schema can.

/// JSON Schema (2020-12) of `headwater.toml`.
pub const MANIFEST_SCHEMA: &str = include_str!("schema.json");

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use headwater_render::Format;
    use serde_json::Value;

    use super::super::{config, protect, rollout, rules, secrets};
    use super::MANIFEST_SCHEMA;
    use crate::document::{ParseOptions, parse};

    fn schema() -> Value {
        serde_json::from_str(MANIFEST_SCHEMA).unwrap()
    }

    fn problems(manifest: &str) -> Vec<String> {
        let validator = jsonschema::draft202012::new(&schema()).unwrap();
        let root = parse(Format::Toml, manifest.as_bytes(), &ParseOptions::default()).unwrap();
        validator
            .iter_errors(&root.to_json())
            .map(|error| error.to_string())
            .collect()
    }

    #[test]
    fn the_schema_has_the_keys_that_the_reader_has() {
        let rule_keys = [rules::CHECKS, rules::OTHERS].concat();
        for (pointer, known) in [
            ("", super::super::KEYS),
            ("/properties/defaults", super::super::DEFAULTS_KEYS),
            ("/properties/defaults/properties/yaml", super::super::YAML_KEYS),
            ("/properties/limits", super::super::LIMITS_KEYS),
            ("/properties/secrets", secrets::KEYS),
            (
                "/properties/secrets/properties/allow/items",
                secrets::EXCEPTION_KEYS,
            ),
            ("/properties/protect", protect::KEYS),
            ("/$defs/config", config::KEYS),
            ("/$defs/variant", config::VARIANT_KEYS),
            ("/$defs/rule", rule_keys.as_slice()),
            ("/$defs/rule/properties/unique", rules::UNIQUE_KEYS),
            ("/$defs/rule/properties/exists", rules::EXISTS_KEYS),
            ("/$defs/rollout", rollout::KEYS),
            ("/$defs/rollout/properties/abort", rollout::ABORT_KEYS),
            ("/$defs/rollout/properties/deadlines", rollout::DEADLINES_KEYS),
            ("/$defs/rollout/properties/on_halt/oneOf/1", rollout::ON_HALT_KEYS),
            ("/$defs/stage", rollout::stage::KEYS),
            ("/$defs/freeze", rollout::freeze::KEYS),
            ("/$defs/signal", rollout::signal::KEYS),
            (
                "/$defs/signal/properties/prometheus",
                rollout::signal::PROMETHEUS_KEYS,
            ),
        ] {
            let schema = schema();
            let table = schema.pointer(pointer).unwrap_or_else(|| panic!("no {pointer}"));
            let has: BTreeSet<&str> = table["properties"]
                .as_object()
                .unwrap()
                .keys()
                .map(String::as_str)
                .collect();
            assert_eq!(has, known.iter().copied().collect(), "{pointer}");
            assert_eq!(table["additionalProperties"], false, "{pointer}");
        }
    }

    #[test]
    fn the_example_of_the_documentation_fits_the_schema() {
        let docs = include_str!("../../../docs/manifest.md");
        let example = docs
            .split("```toml\n")
            .nth(1)
            .unwrap()
            .split("```")
            .next()
            .unwrap();
        assert!(
            example.contains("[rule.") && example.contains("[protect]"),
            "{example}"
        );
        assert_eq!(problems(example), [""; 0]);
    }

    #[test]
    fn what_the_reader_refuses_does_not_fit() {
        for manifest in [
            "",
            "format = 2",
            "format = 1\nfromat = 1",
            "format = 1\n[rule.a]\nat = \"/x\"",
            "format = 1\n[rule.a]\nat = \"/x\"\nimmutable = true\nonly_grow = true",
            "format = 1\n[rule.\"a b\"]\nat = \"/x\"\nimmutable = true",
            "format = 1\n[[config]]\nname = \"a\"",
            "format = 1\n[rollout.a]\nkind = \"slow\"",
            "format = 1\n[rollout.a]\nkind = \"immediate\"\non_halt = \"go\"",
            "format = 1\n[rollout.a]\nkind = \"two-phase\"\nquorum = \"many\"",
            "format = 1\n[rollout.a]\nkind = \"immediate\"\nfreeze = [{ from = \"noon\", until = \"fri 16:00\" }]",
            "format = 1\n[rollout.a]\nkind = \"two-phase\"\nsignals = [{ name = \"s\" }]",
        ] {
            assert_ne!(problems(manifest), [""; 0], "{manifest}");
        }
    }
}
