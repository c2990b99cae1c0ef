//! Laws of verdicts, of variants, of what a change is, and of what is declared.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what cannot be set up is a failed test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use headwater_render::Format;
use headwater_validators::{
    Allowance, CommitFacts, ConfigTree, ContentId, Context, Entry, File, Limits, OldConfig, OldTree,
    ValidTree, Verdict, declare, diff, tolerate, validate,
};
use headwater_wire::{Change, ConfigName, Finding, Severity};
use proptest::prelude::*;
use serde_json::{Map, Value};

const MANIFEST: &str = r#"
format = 1
[[config]]
name = "{service}/{env}"
bind = { env = ["dev", "prod"] }
layers = ["services/{service}/base.{toml,json}", "env/{env}.toml?", "services/{service}/conf.d/*.yaml?"]
schema = "{service}.schema.json?"
owners = ["@{service}"]
rollout = "now"
[[config.variant]]
name = "canary"
when = { canary = "true", region = "*" }
layers = ["canary.toml?"]
[[config.variant]]
name = "eu"
when = { region = "eu-*" }
layers = ["eu.toml?"]
[rollout.now]
kind = "immediate"
"#;

type Files = BTreeMap<String, String>;

fn files(extra: &[(&str, &str)]) -> Files {
    let base = [
        ("headwater.toml", MANIFEST),
        (
            "services/a/base.toml",
            "n = 1\n[db]\nhost = \"a\"\nlist = [1, {x = 2}]\n",
        ),
    ];
    base.iter()
        .chain(extra)
        .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
        .collect()
}

fn tree<'a>(files: impl IntoIterator<Item = (&'a String, &'a String)>) -> ConfigTree {
    let mut tree = ConfigTree::new();
    for (path, text) in files {
        let bytes: Arc<[u8]> = text.as_bytes().into();
        let file = File {
            id: ContentId::new(text.as_str()),
            size: bytes.len() as u64,
            bytes: Some(bytes),
        };
        tree.insert(path.as_bytes(), Entry::File(file));
    }
    tree
}

fn judged(files: &Files) -> Verdict {
    validate(&tree(files), &Context::alone(&Limits::default()))
}

fn valid(files: &Files) -> ValidTree {
    match judged(files) {
        Verdict::Valid(tree) => tree,
        Verdict::Invalid(rejection) => panic!("{:#?}", rejection.findings()),
    }
}

fn name(text: &str) -> ConfigName {
    text.parse().unwrap()
}

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn what_is_valid_can_be_shared_between_threads() {
    fn shared<T: Send + Sync + Clone + 'static>() {}
    shared::<ValidTree>();
    shared::<headwater_validators::Config>();
    shared::<headwater_validators::Effective>();
    shared::<Verdict>();
}

#[test]
fn a_document_that_breaks_its_schema_can_be_tolerated_and_one_that_cannot_be_read_never() {
    let schema = ("a.schema.json", r#"{"properties": {"n": {"maximum": 0}}}"#);
    let tolerated = |files: &Files| tolerate(&tree(files), &Context::alone(&Limits::default()));
    let broken_rule = files(&[schema]);
    assert!(!judged(&broken_rule).is_valid());
    let verdict = tolerated(&broken_rule);
    assert!(verdict.is_valid());
    let is_told =
        |finding: &Finding| finding.code == "schema/maximum" && finding.severity == Severity::Warning;
    assert!(
        verdict.findings().iter().any(is_told),
        "{:#?}",
        verdict.findings()
    );
    assert!(!tolerated(&files(&[("services/a/base.toml", "n = [")])).is_valid());
}

#[test]
fn an_instance_gets_the_first_variant_that_matches() {
    let tree = valid(&files(&[("canary.toml", "n = 2\n"), ("eu.toml", "n = 3\n")]));
    let config = &tree.configs()[&name("a/prod")];
    let chosen = |pairs: &[(&str, &str)]| config.select(&labels(pairs)).variant().map(str::to_owned);
    assert_eq!(chosen(&[]), None);
    assert_eq!(
        chosen(&[("canary", "true")]),
        None,
        "every label of `when` must be there"
    );
    assert_eq!(
        chosen(&[("canary", "true"), ("region", "eu-west")]).as_deref(),
        Some("canary")
    );
    assert_eq!(
        chosen(&[("canary", "false"), ("region", "eu-west")]).as_deref(),
        Some("eu")
    );
    assert_eq!(chosen(&[("region", "us-east")]), None);
}

#[test]
fn a_value_is_explained_by_the_layer_that_set_it_and_those_it_overrides() {
    let tree = valid(&files(&[("env/prod.toml", "n = 2\n"), ("eu.toml", "\nn = 3\n")]));
    let effective = tree.configs()[&name("a/prod")]
        .select(&labels(&[("region", "eu-1")]))
        .clone();
    let said: Vec<String> = effective
        .explain(None)
        .iter()
        .map(|entry| {
            let place = |origin: &headwater_wire::Origin| {
                format!("{}:{}:{}", origin.path, origin.line, origin.column)
            };
            let overrides: Vec<String> = entry.overrides.iter().map(place).collect();
            format!(
                "{} = {} at {} over [{}]",
                entry.pointer,
                entry.value,
                place(&entry.origin),
                overrides.join(", ")
            )
        })
        .collect();
    insta::assert_snapshot!(said.join("\n"), @r#"
    /db/host = "a" at services/a/base.toml:3:1 over []
    /db/list = [1,{"x":2}] at services/a/base.toml:4:1 over []
    /n = 3 at eu.toml:2:1 over [env/prod.toml:1:1, services/a/base.toml:1:1]
    "#);
    let element = effective.explain(Some("/db/list/1/x"));
    assert_eq!(
        (element.len(), element[0].value.clone(), element[0].origin.column),
        (1, 2.into(), 13)
    );
    assert!(effective.explain(Some("/absent")).is_empty());
    assert_eq!(effective.origin("/db").unwrap().line, 2);
    assert_eq!(effective.origin("/absent"), None);
}

#[test]
fn documents_change_with_what_instances_get_and_not_with_its_wording() {
    let manifest =
        |variants: &str| format!("format = 1\n[[config]]\nname = \"a\"\nlayers = [\"a.toml\"]\n{variants}");
    let variant = |name: &str, when: &str, layer: &str| {
        format!("[[config.variant]]\nname = \"{name}\"\nwhen = {{ {when} }}\nlayers = [\"{layer}?\"]\n")
    };
    let documents = |variants: &str, layer: &str| {
        let files = [
            ("headwater.toml", manifest(variants)),
            ("a.toml", layer.to_owned()),
            ("b.toml", "n = 3\n".to_owned()),
        ];
        let files = files.map(|(path, text)| (path.to_owned(), text));
        valid(&Files::from(files)).configs()[&name("a")].documents()
    };
    let plain = documents("", "n = 2\n");
    assert_eq!(plain, documents("", "# why\nn   =  2 # so\n"));
    assert_ne!(plain, documents("", "n = 3\n"));
    let (canary, absent) = (
        variant("c", "tier = \"c\"", "b.toml"),
        variant("d", "tier = \"d\"", "absent.toml"),
    );
    assert_eq!(
        plain,
        documents(&absent, "n = 2\n"),
        "it gives everybody the base"
    );
    let varied = documents(&canary, "n = 2\n");
    assert_ne!(plain, varied);
    let others =
        ["tier = \"x\"", "zone = \"c\""].map(|when| documents(&variant("c", when, "b.toml"), "n = 2\n"));
    assert!(!others.contains(&varied), "others get it");
    assert_eq!(
        varied,
        documents(&variant("other", "tier = \"c\"", "b.toml"), "n = 2\n")
    );
    let hidden = variant("e", "tier = \"c\"", "absent.toml");
    assert_eq!(
        varied,
        documents(&format!("{canary}{hidden}"), "n = 2\n"),
        "nobody gets the second"
    );
}

#[test]
fn inputs_change_with_the_content_and_not_with_the_way_it_travels() {
    let before = files(&[("env/prod.toml", "n = 2\n")]);
    let inputs = |files: &Files| valid(files).configs()[&name("a/prod")].inputs().clone();
    let with = |path: &str, text: &str| {
        let mut files = before.clone();
        files.insert(path.to_owned(), text.to_owned());
        inputs(&files)
    };
    assert_eq!(
        inputs(&before),
        with("a.schema.json", "{}"),
        "a schema decides what is admitted, not what it says"
    );
    assert_eq!(
        inputs(&before),
        with("headwater.toml", &MANIFEST.replace("@{service}", "@all"))
    );
    assert_eq!(
        inputs(&before),
        with("env/dev.toml", "n = 9\n"),
        "another config's layer"
    );
    assert_ne!(inputs(&before), with("env/prod.toml", "n = 3\n"));
    assert_ne!(
        inputs(&before),
        with("eu.toml", "n = 3\n"),
        "an optional layer that appears"
    );
    assert_ne!(inputs(&before), with("services/a/conf.d/x.yaml", "n: 3\n"));
    assert_ne!(
        inputs(&before),
        with("headwater.toml", &MANIFEST.replace("eu-*", "eu-1")),
        "who gets a variant"
    );
    let paths: Vec<String> = inputs(&before).paths().iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(paths.join("\n"), @r"
    canary.toml
    env/prod.toml
    eu.toml
    headwater.toml
    services/a/base.json
    services/a/base.toml
    services/a/conf.d
    ");
}

/// What a tree may hold besides the manifest, and whether it is there.
fn some_files() -> impl Strategy<Value = Files> {
    let choices = [
        ("services/a/base.toml", "n = 1\n"),
        ("services/b/base.json", "{\"n\": 1, \"deep\": {\"x\": [1]}}"),
        ("services/b/base.toml", "n = 1\n"),
        ("services/a/conf.d/1.yaml", "n: 7\n"),
        ("env/prod.toml", "n = 2\nextra = true\n"),
        ("env/dev.toml", "n = \"wrong\"\n"),
        ("eu.toml", "broken = \n"),
        ("canary.toml", "deep = 1\n"),
        (
            "a.schema.json",
            "{\"properties\": {\"n\": {\"type\": \"integer\"}}}",
        ),
        (
            "b.schema.json",
            "{\"größe\": \"ü\", \"properties\": {\"n\": {\"type\": \"string\"}, \"ü\": {\"enum\": [\"ä\"]}}, \"requierd\": []}",
        ),
        (
            "services/b/conf.d/2.yaml",
            "ä: ü\nn: \"öö\"\r\nü: [\"日本\", \"ü\"]\n",
        ),
        ("services/b/conf.d/3.yaml", "# ü\n{ü: \"ää\", n: 3}"),
        ("loose.yaml", "x: 1\n"),
        ("loose.yml", "x: 1\n"),
        ("Loose.yaml", "x: 1\n"),
    ];
    let some = prop::sample::subsequence(choices.to_vec(), 0..=choices.len());
    (some, any::<bool>()).prop_map(|(some, has_manifest)| {
        let manifest = has_manifest.then_some(("headwater.toml", MANIFEST));
        some.into_iter()
            .chain(manifest)
            .map(|(path, text)| (path.to_owned(), text.to_owned()))
            .collect()
    })
}

/// A document of a few keys.
fn document() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0_i64..4).prop_map(Value::from)
    ];
    let any = leaf.prop_recursive(3, 16, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[a/~]", inner, 0..3)
                .prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    });
    prop::collection::btree_map("[a-c]", any, 0..4)
        .prop_map(|m| Value::Object(m.into_iter().collect::<Map<_, _>>()))
}

fn effective(document: &Value) -> headwater_validators::Effective {
    let files = Files::from([("x.json".to_owned(), document.to_string())]);
    valid(&files).configs()[&name("x")].base().clone()
}

/// Removes all that is gone, deepest first, then sets all that is new.
fn applied(mut document: Value, changes: &[Change]) -> Value {
    for change in changes.iter().rev().filter(|change| change.old.is_some()) {
        let (parent, key) = split(&change.pointer);
        if let Some(Value::Object(members)) = document.pointer_mut(&parent) {
            members.remove(&key);
        }
    }
    for change in changes {
        if let Some(value) = &change.new {
            set(&mut document, &change.pointer, value.clone());
        }
    }
    document
}

fn split(pointer: &str) -> (String, String) {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    (parent.to_owned(), key.replace("~1", "/").replace("~0", "~"))
}

fn set(document: &mut Value, pointer: &str, value: Value) {
    let mut here = document;
    for token in pointer.split('/').skip(1) {
        if !here.is_object() {
            *here = Value::Object(Map::new());
        }
        here = here
            .as_object_mut()
            .unwrap()
            .entry(token.replace("~1", "/").replace("~0", "~"))
            .or_insert(Value::Null);
    }
    *here = value;
}

/// A diff speaks of leaves, so an object that only loses its last key shows as absent and not as empty.
fn without_emptied(value: &Value) -> Value {
    let Value::Object(members) = value else {
        return value.clone();
    };
    let kept = members
        .iter()
        .map(|(key, value)| (key.clone(), without_emptied(value)));
    Value::Object(
        kept.filter(|(_, value)| value.as_object().is_none_or(|members| !members.is_empty()))
            .collect(),
    )
}

proptest! {
    #[test]
    fn a_verdict_does_not_depend_on_the_order_of_the_files(files in some_files(), seed in any::<u64>()) {
        let mut shuffled: Vec<_> = files.iter().collect();
        shuffled.sort_by_key(|(path, _)| path.bytes().fold(seed, |hash, byte| hash.rotate_left(5) ^ u64::from(byte)));
        let exposed = BTreeSet::new();
        let limits = Limits::default();
        let context = Context { exposed: &exposed, ..Context::alone(&limits) };
        let (one, other) = (validate(&tree(&files), &context), validate(&tree(shuffled), &context));
        prop_assert_eq!(one.view(), other.view());
    }

    #[test]
    fn what_is_tolerated_has_no_errors_left_and_says_the_same_of_what_is_valid(files in some_files()) {
        let limits = Limits::default();
        let (strict, tolerant) = (judged(&files), tolerate(&tree(&files), &Context::alone(&limits)));
        if strict.is_valid() {
            prop_assert_eq!(strict.view(), tolerant.view());
        } else if let Verdict::Valid(tree) = &tolerant {
            prop_assert!(tree.findings().iter().all(|finding| !finding.is_error()));
            prop_assert!(tree.unreadable().is_empty());
        }
    }

    #[test]
    fn what_is_declared_is_what_is_judged(files in some_files()) {
        let mut bare = ConfigTree::new();
        for (path, entry) in tree(&files).iter() {
            let Entry::File(file) = entry else { continue };
            let bytes = file.bytes.clone().filter(|_| path.as_str() == "headwater.toml");
            bare.insert(path.as_str().as_bytes(), Entry::File(File { bytes, ..file.clone() }));
        }
        let declared = declare(&bare, &Limits::default());
        if let Verdict::Valid(tree) = judged(&files) {
            let declared = declared.unwrap();
            for (name, config) in tree.configs() {
                prop_assert_eq!(&declared[name], config.inputs());
            }
        }
    }

    #[test]
    fn a_diff_turns_the_old_document_into_the_new(old in document(), new in document()) {
        let changes = diff(Some(&effective(&old)), Some(&effective(&new)));
        prop_assert_eq!(without_emptied(&applied(old.clone(), &changes)), without_emptied(&new));
        prop_assert_eq!(changes.is_empty(), old == new);
        prop_assert!(changes.iter().all(|change| change.old.is_some() == change.old_origin.is_some()));
    }

    #[test]
    fn every_span_lies_inside_its_file(files in some_files()) {
        for finding in judged(&files).findings() {
            let places = finding.related.iter().map(|related| (&related.path, related.span));
            for (path, span) in places.chain([(&finding.path, finding.span)]) {
                let Some(text) = files.get(path) else { continue };
                prop_assert!(is_inside(text, span.line, span.column), "{path} {finding:?}");
                prop_assert!(is_inside(text, span.end_line, span.end_column), "{path} {finding:?}");
                prop_assert!((span.line, span.column) <= (span.end_line, span.end_column), "{path} {finding:?}");
            }
        }
    }

    #[test]
    fn a_verdict_does_not_depend_on_the_threads_it_is_made_in(files in some_files()) {
        let here = judged(&files).view();
        let there: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| judged(&files).view())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        prop_assert!(there.iter().all(|view| *view == here));
    }

}

proptest! {
    // Nine verdicts for each case.
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// What is found in the same documents is the same; only where it stands is another place.
    #[test]
    fn a_verdict_does_not_depend_on_the_format_of_the_documents(below in portable(), above in portable()) {
        let mut seen = BTreeSet::new();
        for (one, other) in FORMATS.into_iter().flat_map(|one| FORMATS.map(|other| (one, other))) {
            seen.insert(said_in_formats((&below, one), (&above, other)));
        }
        prop_assert_eq!(seen.len(), 1, "{:#?}", seen);
    }
}

const FORMATS: [Format; 3] = [Format::Toml, Format::Json, Format::Yaml];

/// An object that every format can say.
fn portable() -> impl Strategy<Value = Value> {
    document().prop_map(|value| without_nulls(&value))
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let kept = members.iter().filter(|(_, value)| !value.is_null());
            Value::Object(
                kept.map(|(key, value)| (key.clone(), without_nulls(value)))
                    .collect(),
            )
        }
        Value::Array(items) => items
            .iter()
            .filter(|item| !item.is_null())
            .map(without_nulls)
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

/// Everything but places: severity, code, pointer and message of each finding, and the documents.
fn said_in_formats(below: (&Value, Format), above: (&Value, Format)) -> Vec<String> {
    let schema = r#"{"$schema": "https://json-schema.org/draft/2020-12/schema", "required": ["a"], "maxProperties": 2,
        "properties": {"a": {"type": "integer"}, "b": {"type": ["object", "boolean"], "additionalProperties": false},
        "c": {"oneOf": [{"type": "array", "items": {"maximum": 2}}, {"enum": [1, true]}]}}}"#;
    let manifest = "format = 1\n[[config]]\nname = \"x\"\nlayers = [\"below.{toml,json,yaml}\", \"above.{toml,json,yaml}\"]\n\
        schema = \"x.schema.json\"\n";
    let mut files = Files::from([
        ("headwater.toml".to_owned(), manifest.to_owned()),
        ("x.schema.json".to_owned(), schema.to_owned()),
    ]);
    for (name, (value, format)) in [("below", below), ("above", above)] {
        let text = headwater_render::render(value, format).unwrap();
        files.insert(format!("{name}.{}", format.as_str()), text);
    }
    let verdict = judged(&files);
    let mut said: Vec<String> = verdict
        .findings()
        .iter()
        .map(|finding| {
            let pointer = finding.pointer.as_deref().unwrap_or_default();
            format!(
                "{:?} {} {pointer} {}",
                finding.severity, finding.code, finding.message
            )
        })
        .collect();
    said.sort();
    if let Verdict::Valid(tree) = &verdict {
        said.extend(
            tree.configs()
                .values()
                .map(|config| config.base().canonical().to_string()),
        );
    }
    said
}

/// Whether there is such a line with such a column; columns count characters, and one is behind the last.
fn is_inside(text: &str, line: u32, column: u32) -> bool {
    let lines: Vec<&str> = text.split('\n').collect();
    let found = (line as usize).checked_sub(1).and_then(|line| lines.get(line));
    found.is_some_and(|text| (1..=text.chars().count() + 1).contains(&(column as usize)))
}

const MEASURED: &str = r#"
format = 1
[[config]]
name = "{app}"
layers = ["{app}.toml"]
rules = ["step", "up", "asked"]
[rule.step]
at = "/n"
max_factor = 2
override = "trailer"
[rule.up]
severity = "warning"
expr = "new.n >= old.n"
[rule.asked]
webhook = "calendar"
on_error = "warn"
"#;

/// A tree with one number in each of its configs.
fn numbers(apps: &[(&str, i64)]) -> ConfigTree {
    let app = |(name, n): &(&str, i64)| (format!("{name}.toml"), format!("n = {n}"));
    let manifest = ("headwater.toml".to_owned(), MEASURED.to_owned());
    let files: Files = apps.iter().map(app).chain([manifest]).collect();
    tree(&files)
}

/// Where instances hold a number.
#[derive(Debug, Clone)]
struct Holding {
    /// What the tip has.
    tip: i64,
    /// Whether nobody holds that.
    is_left: bool,
    besides: Vec<i64>,
}

fn holding() -> impl Strategy<Value = Holding> {
    (1..9_i64, any::<bool>(), proptest::collection::vec(1..9_i64, 0..3)).prop_map(
        |(tip, is_left, besides)| Holding {
            tip,
            is_left,
            besides,
        },
    )
}

/// The verdict on `new` beside another config that stays as it is.
fn measured(holding: &Holding, new: i64, facts: &CommitFacts, on_the_way: &[Allowance]) -> Verdict {
    let limits = Limits::default();
    let app = || "app".parse::<ConfigName>().unwrap();
    let before = numbers(&[("app", holding.tip), ("other", 1)]);
    let old = |n: &i64| OldTree {
        tree: numbers(&[("app", *n), ("other", 1_000)]),
        configs: BTreeMap::from([(
            app(),
            OldConfig {
                hint: "held there".to_owned(),
                allowed: on_the_way.to_vec(),
            },
        )]),
    };
    let besides: Vec<OldTree> = holding.besides.iter().map(old).collect();
    let left = holding.is_left.then(app).into_iter().collect();
    let context = Context {
        before: Some(&before),
        besides: &besides,
        left: &left,
        commit: facts,
        ..Context::alone(&limits)
    };
    validate(&numbers(&[("app", new), ("other", 1)]), &context)
}

fn steps(verdict: &Verdict, code: &str) -> usize {
    let findings = verdict.findings().iter();
    findings.filter(|finding| finding.code == code).count()
}

proptest! {
    #[test]
    fn a_step_is_measured_from_every_content_that_instances_hold(holding in holding(), new in 1..9_i64) {
        let verdict = measured(&holding, new, &CommitFacts::default(), &[]);
        // Who changes nothing takes no step; who comes to something new comes from all that is held.
        let tip = Some(holding.tip).filter(|tip| !holding.is_left || *tip == new);
        let besides = holding.besides.iter().copied().filter(|_| holding.tip != new);
        let held: BTreeSet<i64> = tip.into_iter().chain(besides).collect();
        let too_far = held.iter().filter(|old| new > **old * 2 || **old > new * 2).count();
        prop_assert_eq!(steps(&verdict, "rule/step"), too_far, "{:?}", verdict.findings());
        prop_assert_eq!(verdict.is_valid(), too_far == 0);
        // The message of an expression that is false names no old value.
        let falls = held.iter().any(|old| new < *old);
        prop_assert_eq!(steps(&verdict, "rule/up"), usize::from(falls));
        if let Verdict::Valid(valid) = &verdict {
            // Where nobody holds anything, it is new.
            let changed = held.iter().filter(|old| **old != new).count() + usize::from(held.is_empty());
            let asked: usize = valid.questions().iter().map(|question| question.configs().len()).sum();
            prop_assert_eq!(asked, changed);
        }
    }
}

#[test]
fn a_step_that_was_allowed_on_the_way_is_allowed_from_there_and_from_nowhere_else() {
    let holding = Holding {
        tip: 8,
        is_left: false,
        besides: vec![1],
    };
    let allowed = headwater_validators::allowances("x\n\nHeadwater-Allow: step launch");
    let no_facts = CommitFacts::default();
    let refused = measured(&holding, 7, &no_facts, &[]);
    let hint = refused.findings().iter().find_map(|finding| finding.hint.clone());
    assert!(hint.unwrap().ends_with("; held there"));
    assert!(!refused.is_valid());
    assert!(measured(&holding, 7, &no_facts, &allowed).is_valid());
    assert!(
        !measured(&holding, 3, &no_facts, &allowed).is_valid(),
        "8 to 3 is the tip's own step"
    );
}
