//! What an author could do to the judge, and that it ends.
//!
//! The inputs are so large that a judge which takes quadratic or exponential time for one does not end within the
//! patience of whoever runs the tests; how long it takes when it is linear is a benchmark's business.

use std::fmt::Write as _;
use std::sync::Arc;

use headwater_validators::{ConfigTree, ContentId, Context, Entry, File, Limits, Verdict, validate};

fn judged(files: &[(&str, String)]) -> Verdict {
    validate(&tree(files), &Context::alone(&Limits::default()))
}

/// Judged by what is exposed, which has the same manifest.
fn judged_after(before: &[(&str, String)], files: &[(&str, String)]) -> Verdict {
    let before = tree(before);
    let limits = Limits::default();
    let context = Context {
        before: Some(&before),
        ..Context::alone(&limits)
    };
    validate(&tree(files), &context)
}

fn tree(files: &[(&str, String)]) -> ConfigTree {
    let mut tree = ConfigTree::new();
    for (path, text) in files {
        let bytes: Arc<[u8]> = text.as_bytes().into();
        let file = File {
            id: ContentId::new(format!("{path} {text}")),
            size: bytes.len() as u64,
            bytes: Some(bytes),
        };
        tree.insert(path.as_bytes(), Entry::File(file));
    }
    tree
}

fn manifest(config: &str) -> (&'static str, String) {
    ("headwater.toml", format!("format = 1\n[[config]]\n{config}\n"))
}

#[test]
fn alternatives_that_double_at_each_level_yield_few_findings() {
    let branch = r##"{"properties": {"a": {"$ref": "#/$defs/n"}}, "required": ["a"]}"##;
    let schema = format!(
        r##"{{"$defs": {{"n": {{"type": "object", "anyOf": [{branch}, {branch}]}}}}, "$ref": "#/$defs/n"}}"##
    );
    let document = format!("{}2{}", r#"{"a":"#.repeat(10), "}".repeat(10));
    let config = "name = \"x\"\nlayers = [\"x.json\"]\nschema = \"x.schema.json\"";
    let verdict = judged(&[manifest(config), ("x.json", document), ("x.schema.json", schema)]);
    assert!(!verdict.is_valid());
    assert!(verdict.findings().len() <= Limits::default().findings + 1);
}

#[test]
fn bindings_that_multiply_are_refused_before_they_do() {
    let values: Vec<String> = (0..100).map(|value| format!("\"{value}\"")).collect();
    let bind: Vec<String> = (0..26)
        .map(|at| format!("v{at} = [{}]", values.join(",")))
        .collect();
    let name: String = (0..26).fold(String::new(), |mut name, at| {
        write!(name, "{{v{at}}}-").unwrap();
        name
    });
    let config = format!(
        "name = \"{name}x\"\nbind = {{ {} }}\nlayers = [\"a.toml\"]",
        bind.join(", ")
    );
    let verdict = judged(&[manifest(&config), ("a.toml", String::new())]);
    assert_eq!(verdict.findings()[0].code, "limit/documents");
}

#[test]
fn a_layer_that_repeats_another_in_one_long_line_is_judged_in_time() {
    let mut text = "{\"k\":0".to_owned();
    for key in 0..40_000 {
        write!(text, ",\"key{key}\":{key}").unwrap();
    }
    text.push('}');
    let config = "name = \"x\"\nlayers = [\"a.json\", \"b.json\"]";
    let verdict = judged(&[manifest(config), ("a.json", text.clone()), ("b.json", text)]);
    assert!(verdict.is_valid());
}

#[test]
fn thousands_of_missing_layers_are_counted_and_not_pondered() {
    let values: Vec<String> = (0..20_000).map(|value| format!("\"v{value:05}\"")).collect();
    let config = format!(
        "name = \"{{v}}\"\nbind = {{ v = [{}] }}\nlayers = [\"a/base.toml\", \"a/{{v}}.toml\"]",
        values.join(",")
    );
    let paths: Vec<String> = (0..3_000).map(|value| format!("a/w{value:05}.toml")).collect();
    let mut files = vec![manifest(&config), ("a/base.toml", String::new())];
    files.extend(paths.iter().map(|path| (path.as_str(), String::new())));
    let verdict = judged(&files);
    assert!(!verdict.is_valid());
    assert_eq!(verdict.findings().len(), Limits::default().findings + 1);
}

#[test]
fn a_pattern_of_thousands_of_wildcards_is_refused() {
    let config = format!("name = \"x\"\nlayers = [\"a/{}.toml\"]", "*x".repeat(50_000));
    let verdict = judged(&[manifest(&config), ("a/b.toml", String::new())]);
    assert_eq!(verdict.findings()[0].code, "manifest/pattern");
}

/// How many values a rule has to look at.
const LONG: usize = 50_000;

/// A file of one line with a list.
fn long_list(item: impl Fn(usize) -> String) -> String {
    let items: Vec<String> = (0..LONG).map(item).collect();
    format!("{{\"l\":[{}]}}", items.join(","))
}

#[test]
fn a_rule_about_each_of_many_values_goes_through_them_once() {
    let (up, down) = (
        long_list(|at| (at + 1).to_string()),
        long_list(|at| (LONG - at).to_string()),
    );
    let gone = long_list(|at| (LONG + 1 - at).to_string());
    for (rule, new, code) in [
        ("at = \"/l\"\nonly_grow = true", &down, "admitted"),
        ("at = \"/l\"\nonly_grow = true", &gone, "rule/r"),
        ("at = \"/l/*\"\nmax_factor = 1.5", &down, "rule/r"),
        (
            "at = \"/l/*\"\nimmutable = true\nseverity = \"warning\"",
            &down,
            "admitted",
        ),
        ("at = \"/l/*\"\nunique = { across = \"*\" }", &down, "rule/r"),
        (
            "at = \"/l/*\"\nexists = { key = \"/l/{value}\" }",
            &down,
            "rule/r",
        ),
        (
            "at = \"/l/*\"\nexists = { config = \"y\", key = \"/l/{value}\" }",
            &down,
            "rule/r",
        ),
        (
            "at = \"/l/*\"\nexists = { file = \"y.json\", key = \"/k/{value}\" }",
            &down,
            "rule/r",
        ),
        ("at = \"/l/*\"\ndeny_path = true", &down, "rule/r"),
    ] {
        let config = format!(
            "name = \"x\"\nlayers = [\"x.json\"]\nrules = [\"r\"]\n[[config]]\nname = \"y\"\nlayers = [\"y.json\"]\n\
             rules = [\"r\"]\n[rule.r]\n{rule}"
        );
        let files = |text: &String| {
            [
                manifest(&config),
                ("x.json", text.clone()),
                ("y.json", up.clone()),
            ]
        };
        let verdict = judged_after(&files(&up), &files(new));
        let first = first(&verdict);
        assert!(first.starts_with(code), "{rule}: {first}");
        assert!(verdict.findings().len() <= Limits::default().findings + 1);
    }
}

#[test]
fn many_unknown_keys_beside_many_known_ones_are_told_in_time() {
    let long = "k".repeat(90);
    let object = |count: usize, name: &dyn Fn(usize) -> String| {
        let members: Vec<String> = (0..count).map(|at| format!("\"{}\": {{}}", name(at))).collect();
        format!("{{{}}}", members.join(","))
    };
    let known = object(9_000, &|at| format!("{long}{at}"));
    let schema = format!("{{\"properties\": {known}, \"additionalProperties\": false}}");
    let mut files = vec![
        manifest("name = \"{x}\"\nlayers = [\"{x}.json\"]\nschema = \"s.schema.yaml\""),
        ("s.schema.yaml", "$ref: t.schema.json".to_owned()),
        ("t.schema.json", schema),
    ];
    let paths: Vec<String> = (0..3).map(|at| format!("c{at}.json")).collect();
    let unknown = object(150, &|at| format!("{long}{at}x"));
    files.extend(paths.iter().map(|path| (path.as_str(), unknown.clone())));
    let verdict = judged(&files);
    assert!(first(&verdict).contains("unknown key"), "{}", first(&verdict));
}

/// What is said of a tree of one file.
fn told(path: &str, text: String) -> String {
    first(&judged(&[(path, text)]))
}

/// The first error.
fn first(verdict: &Verdict) -> String {
    let error = verdict.findings().iter().find(|finding| finding.is_error());
    error.map_or_else(
        || "admitted".to_owned(),
        |finding| format!("{}: {}", finding.code, finding.message),
    )
}

/// As large as a file may be, so that whatever one byte can cost, it costs a million times.
const LARGE: usize = (1 << 20) - 64;

fn filled(piece: &str) -> String {
    piece.repeat(LARGE / piece.len())
}

#[test]
fn documents_that_grow_when_they_are_read_are_refused() {
    let mut laughs = "a0: &a0 lol\n".to_owned();
    for level in 1..40 {
        let below = format!("*a{}, ", level - 1).repeat(9);
        writeln!(laughs, "a{level}: &a{level} [{}]", below.trim_end_matches(", ")).unwrap();
    }
    let mut quadratic = format!("a: &a {}\nb:\n", "x".repeat(100_000));
    quadratic.push_str(&"- *a\n".repeat(100_000));
    let merges = (1..60).fold("a0: &a0 {k: 1}\n".to_owned(), |mut text, level| {
        let below = level - 1;
        writeln!(
            text,
            "a{level}: &a{level} {{<<: [*a{below}, *a{below}], k{level}: 1}}"
        )
        .unwrap();
        text
    });
    let itself = "a: &a [*a]\n".to_owned();
    let anchors = (0..)
        .map(|at| format!("- &a{at}\n"))
        .take(90_000)
        .collect::<Vec<_>>()
        .concat();
    let said = [
        ("laughs", laughs),
        ("quadratic", quadratic),
        ("merges", merges),
        ("itself", itself),
        ("anchors", anchors),
        ("same anchor", filled("- &a\n")),
        ("same alias", format!("- &a []\n{}", filled("- *a\n"))),
        ("tags", filled("- !a\n")),
        ("directives", filled("%A\n")),
        ("documents", filled("---\n")),
        ("long tag", format!("!{} x", filled("a"))),
        ("long alias", format!("*{}", filled("a"))),
    ]
    .map(|(name, text)| format!("{name} | {}", told("a.yaml", text)));
    insta::assert_snapshot!(said.join("\n"), @r"
    laughs | parse/budget: document has too many values; the limit is 250000
    quadratic | parse/budget: document has too much text; the limit is 4194304 bytes
    merges | parse/merge-key: YAML 1.2 has no merge key: `<<`
    itself | parse/alias: alias refers to a value that contains it
    anchors | admitted
    same anchor | parse/budget: document has too many values; the limit is 250000
    same alias | admitted
    tags | parse/tag: tag is not known: `!a`
    directives | parse/yaml: did not find expected <document start>
    documents | parse/document: a file holds one document, and a second one starts here
    long tag | parse/tag: tag is not known: `!aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…`
    long alias | parse/yaml: alias refers to no anchor before it
    ");
}

#[test]
fn documents_that_nest_without_end_are_refused() {
    let said = [
        ("a.json", "[", filled("[")),
        ("a.json", "{", filled("{\"a\":")),
        ("a.toml", "[", format!("a = {}", filled("["))),
        ("a.toml", "{", format!("a = {}", filled("{a="))),
        ("a.toml", "dots", format!("a{} = 1", filled(".a"))),
        ("a.toml", "header", format!("[a{}]", filled(".a"))),
        ("a.toml", "headers", filled("[[a]]\n")),
        ("a.yaml", "[", filled("[")),
        ("a.yaml", "{", filled("{a: ")),
        ("a.yaml", "-", filled("- ")),
        ("a.yaml", "?", filled("? ")),
        ("a.yaml", "&", filled("&a ")),
        (
            "a.yaml",
            "indent",
            (0..1_400)
                .map(|at| format!("{}a:\n", " ".repeat(at)))
                .collect::<Vec<_>>()
                .concat(),
        ),
    ]
    .map(|(path, name, text)| format!("{path} {name} | {}", told(path, text)));
    insta::assert_snapshot!(said.join("\n"), @r"
    a.json [ | parse/depth: nesting is too deep; the limit is 64
    a.json { | parse/depth: nesting is too deep; the limit is 64
    a.toml [ | parse/depth: nesting is too deep; the limit is 64
    a.toml { | parse/depth: nesting is too deep; the limit is 64
    a.toml dots | parse/depth: nesting is too deep; the limit is 64
    a.toml header | parse/depth: nesting is too deep; the limit is 64
    a.toml headers | admitted
    a.yaml [ | parse/depth: nesting is too deep; the limit is 64
    a.yaml { | parse/depth: nesting is too deep; the limit is 64
    a.yaml - | parse/depth: nesting is too deep; the limit is 64
    a.yaml ? | parse/depth: nesting is too deep; the limit is 64
    a.yaml & | parse/yaml: did not find expected <document start>
    a.yaml indent | parse/depth: nesting is too deep; the limit is 64
    ");
}

#[test]
fn scalars_without_end_are_read_or_refused() {
    let digits = filled("1");
    let said = [
        ("a.json", digits.clone()),
        ("a.json", format!("1e{digits}")),
        ("a.json", format!("\"{}\"", filled("\\u0061"))),
        ("a.json", format!("\"{digits}")),
        ("a.toml", format!("a = {digits}")),
        ("a.toml", format!("a = 0.{digits}")),
        ("a.toml", format!("a = \"\"\"{}", filled("\"\" "))),
        ("a.yaml", format!("a: {digits}")),
        ("a.yaml", format!("a: 0x{digits}")),
        ("a.yaml", format!("a: |\n{}", filled("  x\n"))),
        ("a.yaml", format!("a: \"{}", filled("\\\n "))),
    ]
    .map(|(path, text)| {
        let said = told(path, text);
        let short: String = said.chars().take(80).collect();
        format!("{path} | {short}")
    });
    insta::assert_snapshot!(said.join("\n"), @r"
    a.json | parse/number: integer does not fit 64 bits: `11111111111111111111111111111111111
    a.json | parse/number: number is too large: `1e11111111111111111111111111111111111111…`
    a.json | admitted
    a.json | parse/json: string is never closed
    a.toml | parse/number: integer does not fit 64 bits: `11111111111111111111111111111111111
    a.toml | admitted
    a.toml | parse/toml: string is not closed
    a.yaml | parse/number: integer does not fit 64 bits: `11111111111111111111111111111111111
    a.yaml | parse/number: integer does not fit 64 bits: `0x111111111111111111111111111111111
    a.yaml | admitted
    a.yaml | parse/yaml: string is never closed
    ");
}

/// One config `x` with a layer, another one on top, and a schema.
fn with_schema(schema: String, document: &str, defaults: &str) -> Verdict {
    let manifest = format!(
        "format = 1\n{defaults}\n[[config]]\nname = \"x\"\nlayers = [\"x.json\", \"top.json\"]\nschema = \"x.schema.json\"\n"
    );
    judged(&[
        ("headwater.toml", manifest),
        ("x.json", document.to_owned()),
        ("top.json", "{\"z\": 1}".to_owned()),
        ("x.schema.json", schema),
    ])
}

/// Deeper chains are stopped from outside: a verdict of the service has a deadline.
#[test]
fn references_that_double_are_followed_to_the_end() {
    let mut definitions = (0..12)
        .map(|at| {
            let next = format!(r##"{{"$ref": "#/$defs/n{}"}}"##, at + 1);
            format!(r#""n{at}": {{"allOf": [{next}, {next}]}}, "#)
        })
        .collect::<Vec<_>>()
        .concat();
    definitions.push_str(r#""n12": {"type": "object", "required": ["a"]}"#);
    let schema = format!(r##"{{"$defs": {{{definitions}}}, "$ref": "#/$defs/n0"}}"##);
    assert_eq!(first(&with_schema(schema.clone(), "{\"a\": 1}", "")), "admitted");
    let verdict = with_schema(schema, "{}", "");
    assert_eq!(first(&verdict), "schema/required: missing key: `a`");
    assert!(verdict.findings().len() <= Limits::default().findings + 1);
}

#[test]
fn references_in_a_circle_have_an_end() {
    for schema in [
        r##"{"$ref": "#"}"##,
        r##"{"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}"##,
        r##"{"allOf": [{"$ref": "#"}]}"##,
        r##"{"properties": {"a": {"$ref": "#"}}, "anyOf": [{"$ref": "#/properties/a/properties/a"}, true]}"##,
        r#"{"$schema": "http://json-schema.org/draft-07/schema#", "$ref": "x.schema.json"}"#,
        r#"{"$ref": "top.json"}"#,
    ] {
        let verdict = with_schema(schema.to_owned(), "{\"a\": {\"a\": 1}}", "");
        assert!(
            verdict.findings().len() <= 4,
            "{schema}: {:#?}",
            verdict.findings()
        );
    }
}

#[test]
fn regular_expressions_that_explode_are_refused_or_matched_in_time() {
    let text = format!("{}!", "a".repeat(50_000));
    let said = [
        ("linear", "(a+)+$"),
        ("linear", "(a|a)*$"),
        ("linear", "(a{1000}){1000}"),
        ("linear", r"(\\p{L}{1,200}){1,200}"),
        ("linear", r"(a)\\1$"),
        ("linear", "(?=a)b"),
        ("backtracking", "(a+)+$"),
        ("backtracking", r"(a|a)*\\1$"),
        ("backtracking", r"(a*)*(?=b)\\1$"),
        ("backtracking", "(a{1000}){1000}"),
    ]
    .map(|(engine, pattern)| {
        let schema = format!(r#"{{"properties": {{"a": {{"pattern": "{pattern}"}}}}}}"#);
        let defaults = format!("[defaults]\nregex = \"{engine}\"");
        let verdict = with_schema(schema, &format!("{{\"a\": \"{text}\"}}"), &defaults);
        let said = first(&verdict);
        let short: String = said.chars().take(75).collect();
        format!("{engine} {pattern} | {short}")
    });
    insta::assert_snapshot!(said.join("\n"), @r"
    linear (a+)+$ | schema/pattern: does not match `(a+)+$`: `aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
    linear (a|a)*$ | admitted
    linear (a{1000}){1000} | schema/invalid: the schema is invalid: not a regular expression that can be
    linear (\\p{L}{1,200}){1,200} | schema/invalid: the schema is invalid: not a regular expression that can be
    linear (a)\\1$ | schema/invalid: the schema is invalid: not a regular expression that can be
    linear (?=a)b | schema/invalid: the schema is invalid: not a regular expression that can be
    backtracking (a+)+$ | schema/pattern: does not match `(a+)+$`: `aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
    backtracking (a|a)*\\1$ | schema/pattern: too long to match against a pattern: `aaaaaaaaaaaaaaaaaaaaa
    backtracking (a*)*(?=b)\\1$ | schema/pattern: too long to match against a pattern: `aaaaaaaaaaaaaaaaaaaaa
    backtracking (a{1000}){1000} | schema/invalid: the schema is invalid: not a regular expression that can be
    ");
}

#[test]
fn schemas_full_of_mistakes_are_looked_through_in_time() {
    let names: Vec<String> = (0..15_000).map(|at| format!("\"propertie{at}\"")).collect();
    // Of references alone the schema crate takes long for a few thousand.
    let few = names.get(..3_000).unwrap();
    let unknown = names
        .iter()
        .map(|name| format!("{name}: 1, "))
        .collect::<Vec<_>>()
        .concat();
    let patterns = (0..200)
        .map(|at| format!("\"^x{at}\": {{}}, "))
        .collect::<Vec<_>>()
        .concat();
    let schemas = [
        format!("{{{unknown}\"type\": \"object\"}}"),
        format!(
            r#"{{"properties": {{{unknown}"z": true}}, "required": [{}]}}"#,
            names.join(",")
        )
        .replace(": 1,", ": true,"),
        format!(
            r#"{{"required": [{}], "additionalProperties": false, "patternProperties": {{{patterns}"^y": {{}}}}}}"#,
            names.join(",")
        ),
        format!(
            r#"{{"kept": {{{}"z": {{}}}}, "anyOf": [{}{{}}]}}"#,
            few.iter()
                .map(|name| format!("{name}: {{}}, "))
                .collect::<Vec<_>>()
                .concat(),
            few.iter()
                .map(|name| format!("{{\"$ref\": \"#/kept/{}\"}}, ", name.trim_matches('"')))
                .collect::<Vec<_>>()
                .concat()
        ),
    ];
    for schema in schemas {
        let verdict = with_schema(schema, "{\"z\": 0}", "");
        assert!(verdict.findings().len() <= Limits::default().findings + 1);
    }
}

#[test]
fn globs_that_nest_without_end_are_refused() {
    let nested = format!("{}{}", "{".repeat(100_000), "}".repeat(100_000));
    let config = format!("name = \"x\"\nlayers = [\"a.toml\"]\n[defaults]\nignore = [\"{nested}\"]");
    let verdict = judged(&[manifest(&config), ("a.toml", String::new())]);
    assert_eq!(verdict.findings()[0].code, "manifest/pattern");
    let schema = r#"{"properties": {"a": {"format": "glob"}}}"#.to_owned();
    let verdict = with_schema(schema, &format!("{{\"a\": \"{nested}\"}}"), "");
    assert!(first(&verdict).starts_with("schema/format: not a valid `glob`"));
}
