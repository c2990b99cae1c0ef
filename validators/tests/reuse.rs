//! The one law of taking over from an earlier tree: it changes no verdict.
//!
//! Histories are made at random: files, schemas, layers, rules, secrets and the manifest are added, changed and removed,
//! good and bad, and commits carry trailers or go back. Each tree is judged as it is and again after every earlier tree
//! that was valid; whatever can be seen of the two verdicts must be equal.

#![expect(clippy::unwrap_used, reason = "what cannot be set up is a failed test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use headwater_validators::{
    Allowance, CommitFacts, ConfigTree, ContentId, Context, Entry, Extent, File, Floor, Limits, OldConfig,
    OldTree, Restored, ValidTree, Verdict, rehearse, tolerate, tolerate_after, unsettled, validate,
    validate_after,
};
use proptest::prelude::*;

/// A tree by path.
type Files = BTreeMap<&'static str, String>;

/// One thing that a commit does.
#[derive(Debug, Clone)]
enum Step {
    Write(&'static str, String),
    Remove(&'static str),
}

/// A commit.
#[derive(Debug, Clone)]
struct Commit {
    steps: Vec<Step>,
    allows: Option<&'static str>,
    /// Which of the earlier trees it is measured against.
    before: usize,
    restores: bool,
    author: &'static str,
}

const MANIFEST: &str = "headwater.toml";
const SERVICES: [&str; 4] = ["svc/a.toml", "svc/b.toml", "svc/c.yaml", "svc/d.json"];
const OTHERS: [&str; 5] = [
    "base.toml",
    "eu/a.toml",
    "eu/b.toml",
    "loose.toml",
    "ignored/x.toml",
];
const SCHEMAS: [&str; 3] = ["schemas/s.schema.json", "schemas/part.json", "schemas/other.json"];

/// A document with what rules, schemas and the search for secrets look at.
fn document() -> impl Strategy<Value = Vec<(&'static str, &'static str)>> {
    let value = |key: &'static str, values: &'static [&'static str]| {
        prop::option::weighted(0.6, prop::sample::select(values))
            .prop_map(move |value| value.map(|value| (key, value)))
    };
    (
        value("port", &["1", "2", "3", "\"x\""]),
        value("pool", &["1", "2", "9", "true"]),
        value("peer", &["\"a\"", "\"b\"", "\"eu/a\"", "\"nobody\""]),
        value("name", &["\"a\"", "\"zz\""]),
        value(
            "password",
            &[
                "\"hunter2hunter2\"",
                "\"hunter2\"",
                "\"vault:x\"",
                "\"env:X\"",
                "\"AKIAIOSFODNN7EXAMPLQ\"",
            ],
        ),
        value("list", &["[1]", "[1, 2]", "[2]"]),
    )
        .prop_map(|(port, pool, peer, name, password, list)| {
            [port, pool, peer, name, password, list]
                .into_iter()
                .flatten()
                .collect()
        })
}

fn write(path: &'static str, pairs: &[(&str, &str)]) -> Step {
    let text = if matches!(path.rsplit_once('.'), Some((_, "toml"))) {
        pairs.iter().fold(String::new(), |mut text, (key, value)| {
            writeln!(text, "{key} = {value}").unwrap();
            text
        })
    } else {
        let members: Vec<String> = pairs
            .iter()
            .map(|(key, value)| format!("\"{key}\": {value}"))
            .collect();
        format!("{{{}}}", members.join(", "))
    };
    Step::Write(path, text)
}

fn config_step() -> impl Strategy<Value = Step> {
    let path = prop::sample::select([SERVICES.as_slice(), OTHERS.as_slice()].concat());
    prop_oneof![
        8 => (path.clone(), document()).prop_map(|(path, pairs)| write(path, &pairs)),
        2 => path.clone().prop_map(Step::Remove),
        1 => path.prop_map(|path| Step::Write(path, "{ broken".to_owned())),
    ]
}

fn schema_step() -> impl Strategy<Value = Step> {
    let path = prop::sample::select(SCHEMAS.as_slice());
    let text = prop::sample::select(vec![
        r#"{"type": "object", "properties": {"port": {"type": "integer"}}}"#,
        r#"{"type": "object", "properties": {"pool": {"$ref": "part.json"}, "port": {"maximum": 2}}}"#,
        r#"{"properties": {"pool": {"$ref": "https://example.com/part"}}}"#,
        r#"{"$id": "https://example.com/part", "type": ["integer", "boolean"]}"#,
        r#"{"$id": "https://example.com/part", "$ref": "other.json", "propertys": {}}"#,
        r#"{"type": "integer"}"#,
        r#"{"type": "nothing"}"#,
        r#"{"$schema": "https://json-schema.org/draft/2020-12/schema", "required": ["port"], "additionalProperties": true}"#,
    ]);
    prop_oneof![
        5 => (path.clone(), text).prop_map(|(path, text)| Step::Write(path, text.to_owned())),
        1 => path.prop_map(Step::Remove),
    ]
}

fn manifest() -> impl Strategy<Value = String> {
    let defaults = prop::sample::select(vec![
        "",
        "[defaults]\nignore = [\"ignored/**\", \"schemas/*\"]\n",
        "[defaults]\nignore = [\"ignored/**\"]\nunmatched = \"warn\"\n",
        "[defaults]\nnull = \"keep\"\n",
    ]);
    let layers = prop::sample::select(vec![
        "[\"svc/{s}.{toml,yaml,json}\"]",
        "[\"svc/{s}.{toml,yaml,json}\", \"eu/{s}.toml?\"]",
    ]);
    let variant = prop::sample::select(vec![
        "",
        "[[config.variant]]\nname = \"eu\"\nwhen = { region = \"eu\" }\nlayers = [\"eu/{s}.toml?\"]\n",
    ]);
    let base = prop::sample::select(vec![
        "",
        "[[config]]\nname = \"all/{s}\"\nlayers = [\"svc/{s}.{toml,yaml,json}\", \"base.toml?\"]\n",
    ]);
    let schema = prop::sample::select(vec![
        "",
        "schema = \"schemas/s.schema.json\"\n",
        "schema = \"schemas/other.json?\"\n",
    ]);
    let rules = prop::sample::subsequence(
        vec![
            (
                "factor",
                "at = \"/pool\"\nmax_factor = 2.0\noverride = \"trailer\"",
            ),
            ("still", "at = \"/name\"\nimmutable = true"),
            (
                "ports",
                "at = \"/port\"\nunique = { across = \"?\" }\nseverity = \"warning\"",
            ),
            (
                "peer",
                "at = \"/peer\"\nexists = { config = \"{value}\" }\nseverity = \"warning\"",
            ),
            ("few", "scope = \"commit\"\nexpr = \"size(configs) < 7\""),
            (
                "who",
                "expr = \"commit.author != 'mallory'\"\nseverity = \"warning\"",
            ),
        ],
        0..4,
    );
    let secrets = prop::sample::select(vec![
        "",
        "[secrets]\nallow = [{ at = \"/password\", reason = \"a test\" }]\n",
    ]);
    (defaults, layers, variant, base, schema, rules, secrets).prop_map(
        |(defaults, layers, variant, base, schema, rules, secrets)| {
            let ids: Vec<String> = rules
                .iter()
                .filter(|(id, _)| !["ports", "few"].contains(id))
                .map(|(id, _)| format!("\"{id}\""))
                .collect();
            let mut text = format!("format = 1\n{defaults}{secrets}");
            for (id, rule) in rules {
                writeln!(text, "[rule.{id}]\n{rule}").unwrap();
            }
            write!(
                text,
                "[[config]]\nname = \"{{s}}\"\nlayers = {layers}\n{schema}rules = [{}]\n{variant}{base}",
                ids.join(", ")
            )
            .unwrap();
            text
        },
    )
}

fn commit() -> impl Strategy<Value = Commit> {
    let step = prop_oneof![
        6 => config_step(),
        2 => schema_step(),
    ];
    let rare = prop_oneof![
        4 => manifest().prop_map(|text| Some(Step::Write(MANIFEST, text))),
        1 => Just(Some(Step::Remove(MANIFEST))),
        20 => Just(None),
    ];
    (
        prop::collection::vec(step, 0..3),
        rare,
        prop::option::weighted(0.2, prop::sample::select(vec!["factor", "still", "unknown"])),
        0_usize..3,
        prop::bool::weighted(0.1),
        prop::sample::select(vec!["mia", "mallory"]),
    )
        .prop_map(|(mut steps, rare, allows, before, restores, author)| {
            steps.extend(rare);
            Commit {
                steps,
                allows,
                before,
                restores,
                author,
            }
        })
}

fn history() -> impl Strategy<Value = (String, Vec<Step>, Vec<Commit>)> {
    let good = prop::collection::vec((prop::sample::select(SERVICES.as_slice()), document()), 2..5).prop_map(
        |files| {
            files
                .iter()
                .map(|(path, pairs)| write(path, pairs))
                .collect::<Vec<_>>()
        },
    );
    (manifest(), good, prop::collection::vec(commit(), 1..7))
}

fn tree(files: &Files, only: Option<&BTreeSet<String>>) -> ConfigTree {
    let mut tree = ConfigTree::new();
    for (path, text) in files {
        if only.is_some_and(|only| !only.contains(*path)) {
            continue;
        }
        let file = File {
            // The text itself names the content best.
            id: ContentId::new(text.as_str()),
            size: text.len() as u64,
            bytes: Some(Arc::from(text.as_bytes())),
        };
        tree.insert(path.as_bytes(), Entry::File(file));
    }
    tree
}

/// All that can be seen of a verdict.
fn seen(verdict: &Verdict) -> String {
    let mut text = serde_json::to_string_pretty(verdict.findings()).unwrap();
    let Verdict::Valid(valid) = verdict else {
        return text;
    };
    for (name, config) in valid.configs() {
        let inputs = config.inputs();
        writeln!(
            text,
            "{name} {:?} {:?} {:?} {:?} {:?}",
            inputs.digest(),
            inputs.files(),
            inputs.paths(),
            config.owners(),
            config.rollout()
        )
        .unwrap();
        for effective in config.effectives() {
            let explained = serde_json::to_string(&effective.explain(None)).unwrap();
            writeln!(
                text,
                "  {:?} {} {:?} {explained}",
                effective.variant(),
                effective.canonical(),
                effective.sources()
            )
            .unwrap();
        }
        for variant in config.variants() {
            writeln!(text, "  {} {:?}", variant.name(), variant.when()).unwrap();
        }
    }
    writeln!(
        text,
        "{:?} {:?} {}",
        valid.unreadable(),
        valid.rollouts(),
        valid.has_manifest()
    )
    .unwrap();
    text
}

fn apply(files: &mut Files, steps: &[Step]) {
    for step in steps {
        match step {
            Step::Write(path, text) => {
                files.insert(path, text.clone());
            }
            Step::Remove(path) => {
                files.remove(path);
            }
        }
    }
}

/// A valid tree of the past.
struct Past {
    files: Files,
    valid: ValidTree,
}

fn facts(commit: &Commit) -> CommitFacts {
    let allowed = commit.allows.iter().map(|rule| Allowance {
        rule: (*rule).to_owned(),
        reason: "it must be".to_owned(),
    });
    CommitFacts {
        author: commit.author.to_owned(),
        allowed: allowed.collect(),
        ..CommitFacts::default()
    }
}

/// A tree that some instances still hold, since a rollout has not reached them yet.
fn held(past: &Past) -> OldTree {
    let names = past.valid.configs().keys();
    OldTree {
        tree: tree(&past.files, None),
        configs: names.map(|name| (name.clone(), OldConfig::default())).collect(),
    }
}

/// Judges a commit in every way, and says how much of it was settled.
fn judge(files: &Files, commit: &Commit, past: &[Past]) -> (Verdict, bool) {
    let limits = Limits::default();
    let before = past.iter().rev().nth(commit.before);
    let old = before.map(|before| tree(&before.files, None));
    let facts = facts(commit);
    let restored = before.filter(|_| commit.restores).map(|before| Restored {
        configs: before
            .valid
            .configs()
            .iter()
            .map(|(name, config)| (name.clone(), config.inputs().digest().clone()))
            .collect(),
        extent: Extent::Part,
    });
    let exposed: BTreeSet<_> = before
        .iter()
        .flat_map(|before| before.valid.configs().keys().cloned())
        .collect();
    let floor = Floor::default();
    let besides: Vec<OldTree> = past
        .iter()
        .rev()
        .nth(commit.before + 1)
        .map(held)
        .into_iter()
        .collect();
    let context = Context {
        before: old.as_ref(),
        besides: &besides,
        restored: restored.as_ref(),
        commit: &facts,
        exposed: &exposed,
        floor: &floor,
        ..Context::alone(&limits)
    };
    let new = tree(files, None);
    let verdict = validate(&new, &context);
    let tolerated = tolerate(&new, &context);
    let mut took_over = false;
    // The newest one is what a service has; an old one is a worse fit, and one is enough.
    let newest = past.len().saturating_sub(2);
    for (_, earlier) in past
        .iter()
        .enumerate()
        .filter(|(index, _)| *index == 0 || *index >= newest)
    {
        assert_eq!(
            seen(&verdict),
            seen(&validate_after(&new, &context, &earlier.valid))
        );
        assert_eq!(
            seen(&tolerated),
            seen(&tolerate_after(&new, &context, &earlier.valid))
        );
        let Some(work) = unsettled(&new, &limits, &earlier.valid) else {
            continue;
        };
        took_over |= work.configs.len() < verdict_configs(&verdict);
        // The part that is tried has all that the trial needs: what is good is found to be so.
        let text = |paths: &BTreeSet<headwater_wire::RepoPath>| -> BTreeSet<String> {
            paths.iter().map(ToString::to_string).collect()
        };
        let changed = tree(files, Some(&text(&work.files)));
        let old = tree(&earlier.files, Some(&text(&work.before)));
        let context = Context {
            before: Some(&old),
            ..context
        };
        let is_well = rehearse(&changed, &context, &work.configs);
        assert!(is_well || !verdict.is_valid(), "{}", seen(&verdict));
    }
    (verdict, took_over)
}

fn verdict_configs(verdict: &Verdict) -> usize {
    match verdict {
        Verdict::Valid(valid) => valid.configs().len(),
        Verdict::Invalid(_) => 0,
    }
}

/// Judges a history; gives how many verdicts were valid, and how many took something over.
fn run(manifest: &str, first: &[Step], commits: &[Commit]) -> (usize, usize) {
    let mut files = Files::from([(MANIFEST, manifest.to_owned())]);
    for path in SCHEMAS {
        files.insert(
            path,
            r#"{"$schema": "https://json-schema.org/draft/2020-12/schema"}"#.to_owned(),
        );
    }
    apply(&mut files, first);
    let start = Commit {
        steps: Vec::new(),
        allows: None,
        before: 0,
        restores: false,
        author: "mia",
    };
    let (mut past, mut counts): (Vec<Past>, _) = (Vec::new(), (0, 0));
    for commit in std::iter::once(&start).chain(commits) {
        let mut next = files.clone();
        apply(&mut next, &commit.steps);
        let (verdict, took_over) = judge(&next, commit, &past);
        counts.1 += usize::from(took_over);
        if let Verdict::Valid(valid) = verdict {
            counts.0 += 1;
            // What follows a good one is a tree that itself took something over.
            let valid = match past.last() {
                Some(last) => after(&next, &last.valid).unwrap_or(valid),
                None => valid,
            };
            files = next.clone();
            past.push(Past { files: next, valid });
        }
    }
    counts
}

/// The tree as it comes of a verdict that took over what it could.
fn after(files: &Files, earlier: &ValidTree) -> Option<ValidTree> {
    let limits = Limits::default();
    match validate_after(&tree(files, None), &Context::alone(&limits), earlier) {
        Verdict::Valid(valid) => Some(valid),
        Verdict::Invalid(_) => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn what_is_taken_over_from_an_earlier_tree_changes_no_verdict((manifest, first, commits) in history()) {
        run(&manifest, &first, &commits);
    }
}

/// A law about things that never happen says nothing.
#[test]
fn the_histories_of_the_law_are_often_valid_and_often_take_something_over() {
    use proptest::strategy::ValueTree as _;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    let (mut valid, mut took_over) = (0, 0);
    for _ in 0..20 {
        let (manifest, first, commits) = history().new_tree(&mut runner).unwrap().current();
        let counts = run(&manifest, &first, &commits);
        valid += counts.0;
        took_over += counts.1;
    }
    assert!(valid > 40, "{valid}");
    assert!(took_over > 10, "{took_over}");
}

/// What a config is measured against that goes on under another name is not among the files of a trial.
#[test]
fn a_tree_in_which_a_config_may_have_another_name_is_tried_as_a_whole() {
    let manifest = "format = 1\n[[config]]\nname = \"{x}\"\nlayers = [\"{x}.toml\"]\n".to_owned();
    let files = |names: &[&'static str]| -> Files {
        let configs = names.iter().map(|name| (*name, "n = 1\n".to_owned()));
        std::iter::once((MANIFEST, manifest.clone()))
            .chain(configs)
            .collect()
    };
    let limits = Limits::default();
    let Verdict::Valid(earlier) = validate(
        &tree(&files(&["a.toml", "b.toml"]), None),
        &Context::alone(&limits),
    ) else {
        panic!("the tree is good");
    };
    let is_tried_in_part =
        |names: &[&'static str]| unsettled(&tree(&files(names), None), &limits, &earlier).is_some();
    assert!(is_tried_in_part(&["a.toml", "b.toml", "c.toml"]));
    assert!(is_tried_in_part(&["a.toml"]));
    assert!(!is_tried_in_part(&["a.toml", "c.toml"]));
}

/// The same files mean something else where the manifest reads them otherwise.
#[test]
fn nothing_is_taken_over_from_a_tree_whose_manifest_reads_the_same_files_otherwise() {
    let files = |nulls: &str| -> Files {
        let manifest = format!(
            "format = 1\n[defaults]\nnull = \"{nulls}\"\n[[config]]\nname = \"app\"\nlayers = [\"base.json\", \"over.json\"]\n"
        );
        [
            (MANIFEST, manifest),
            ("base.json", "{\"a\": 1, \"b\": 2}".to_owned()),
            ("over.json", "{\"a\": null}".to_owned()),
        ]
        .into()
    };
    let limits = Limits::default();
    let context = Context::alone(&limits);
    let Verdict::Valid(earlier) = validate(&tree(&files("delete"), None), &context) else {
        panic!("the tree is good");
    };
    let new = tree(&files("keep"), None);
    let verdict = validate(&new, &context);
    assert!(verdict.is_valid(), "{}", seen(&verdict));
    assert_eq!(seen(&verdict), seen(&validate_after(&new, &context, &earlier)));
}
