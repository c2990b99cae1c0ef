//! Laws of expressions, on generated documents and expressions, and the limits, on hostile ones.

use std::collections::{BTreeSet, HashMap};

use proptest::prelude::*;
use serde_json::{Map as JsonMap, Value as Json};

use super::budget::{Budget, RUN_STEPS_MAX};
use super::scope::{ConfigFacts, Scope, Tree};
use super::tests::{Commit, NEW, toml};
use super::value::Value;
use super::*;
use crate::document::{self, Node, ParseOptions, parse};
use crate::merge::Merged;
use crate::pattern::Bindings;
use headwater_render::Format;

/// Any document at all.
fn documents() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        (-1.0e300_f64..1.0e300).prop_map(Json::from),
        "[a-zü~/]{0,4}".prop_map(Json::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::btree_map("[a-cü~/]{0,2}", inner, 0..4)
                .prop_map(|members| Json::Object(members.into_iter().collect::<JsonMap<_, _>>())),
        ]
    })
}

/// What a value of a document is as JSON.
fn to_json(value: &Value<'_>) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(value) => (*value).into(),
        Value::Int(value) => (*value).into(),
        Value::Double(value) => (*value).into(),
        Value::Text(text) => Json::from(&**text),
        Value::List(list) => list.iter().map(|item| to_json(&item)).collect(),
        Value::Map(map) => {
            let member = |key: &Value<'_>| {
                let name = to_json(key).as_str().unwrap().to_owned();
                (name, to_json(&map.get(key).unwrap()))
            };
            Json::Object(map.keys().iter().map(member).collect())
        }
        Value::Duration(_) | Value::Type(_) => panic!("documents have none"),
    }
}

/// A document as the evaluator of the crate `cel` takes it.
fn foreign(node: &Node) -> cel::Value {
    match &node.value {
        document::Value::Null => cel::Value::Null,
        document::Value::Bool(value) => cel::Value::Bool(*value),
        document::Value::Int(value) => cel::Value::Int(*value),
        document::Value::Float(value) => cel::Value::Float(*value),
        document::Value::Str(text) => cel::Value::from(&**text),
        document::Value::Arr(items) => cel::Value::from(items.iter().map(foreign).collect::<Vec<_>>()),
        document::Value::Obj(members) => {
            let members = members.iter().map(|m| (m.key.to_string(), foreign(&m.value)));
            cel::Value::from(members.collect::<HashMap<String, cel::Value>>())
        }
    }
}

/// Expressions of every shape, most of them without sense.
fn expressions() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        prop::sample::select(vec![
            "new",
            "new.pool",
            "new.pool.max",
            "new.share",
            "new.tags",
            "new.empty",
            "new.log_level",
            "x",
            "true",
            "false",
            "null",
            "'eu'",
            "'pool'",
            "2",
            "40",
            "0.5",
            "1.0",
            "-1",
            "[]",
            "{}",
            "int",
            "[1, 2.0]",
        ])
        .prop_map(str::to_owned),
        (-9_i64..99).prop_map(|number| number.to_string()),
    ];
    leaf.prop_recursive(4, 40, 3, |inner| {
        let sign = prop::sample::select(vec![
            "+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "&&", "||", "in",
        ]);
        let call = prop::sample::select(vec!["size", "int", "double", "string", "type", "!", "-"]);
        let member = prop::sample::select(vec!["contains", "startsWith", "endsWith"]);
        let round = prop::sample::select(vec!["all", "exists", "exists_one", "map", "filter"]);
        prop_oneof![
            4 => (inner.clone(), sign, inner.clone()).prop_map(|(a, sign, b)| format!("({a}) {sign} ({b})")),
            1 => (call, inner.clone()).prop_map(|(name, a)| format!("{name}({a})")),
            1 => (inner.clone(), member, inner.clone()).prop_map(|(a, name, b)| format!("({a}).{name}({b})")),
            2 => (inner.clone(), round, inner.clone()).prop_map(|(a, name, b)| format!("({a}).{name}(x, {b})")),
            1 => (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("({a}) ? ({b}) : ({c})")),
            1 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a})[{b}]")),
            1 => inner.clone().prop_map(|a| format!("has(({a}).max)")),
            1 => (inner.clone(), inner).prop_map(|(a, b)| format!("[{a}, {b}]")),
        ]
    })
}

/// Pieces of expressions in any order.
fn rubble() -> impl Strategy<Value = String> {
    let pieces = vec![
        "new",
        ".",
        "a",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ",",
        ":",
        "?",
        "!",
        "-",
        "+",
        "==",
        "=",
        "&&",
        "|",
        "'",
        "\"",
        "'ü'",
        "1",
        "1u",
        "0x",
        "1e999",
        "9223372036854775808",
        "b'a'",
        "r'\\'",
        "\\",
        "`",
        "has",
        "map",
        "all",
        "x",
        "in",
        " ",
        "\n",
        "ü",
        "//",
        "\u{0}",
        "true",
        "null",
        "if",
        "_",
    ];
    prop::collection::vec(prop::sample::select(pieces), 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn a_value_is_what_its_document_says(document in documents()) {
        let node = parse(Format::Json, document.to_string().as_bytes(), &ParseOptions::default()).unwrap();
        prop_assert_eq!(to_json(&Value::of(Tree::Node(&node))), node.to_json());
        let merged = Merged::document(&node);
        prop_assert_eq!(to_json(&Value::of(Tree::Merged(&merged))), merged.to_json());
    }

    #[test]
    fn a_document_equals_itself_in_either_form(document in documents()) {
        let node = parse(Format::Json, document.to_string().as_bytes(), &ParseOptions::default()).unwrap();
        let merged = Merged::document(&node);
        let program = Program::compile("new == old && !changed('')", ScopeKind::Document).unwrap();
        let scope = Scope {
            new: Some(Tree::Node(&node)),
            old: Some(Tree::Merged(&merged)),
            config: None,
            configs: &[],
            files: &[],
            commit: None,
            placeholders: &BTreeSet::new(),
        };
        prop_assert_eq!(program.run(&scope, &mut Budget::for_commit()), Ok(true));
    }

    /// Ours may answer where the other does not (it does not mix numbers), and never differently. `x` is bound all over
    /// the expression, since ours refuses an unknown name even where no run would come to it.
    #[test]
    fn where_the_evaluator_of_the_crate_answers_ours_says_the_same(text in expressions()) {
        let text = format!("[new].map(x, {text})[0]");
        let (ours, steps) = Commit::new().run(&text, ScopeKind::Document);
        prop_assert!(steps <= RUN_STEPS_MAX);
        let program = cel::Program::compile(&text).unwrap();
        let mut context = cel::Context::default();
        context.add_variable_from_value("new", foreign(&toml(NEW)));
        match program.execute(&context) {
            Ok(cel::Value::Bool(theirs)) => prop_assert_eq!(ours, Ok(theirs), "{}", text),
            Ok(_) => prop_assert!(ours.is_err(), "{} gave {:?}", text, ours),
            Err(_) => {}
        }
    }

    #[test]
    fn any_text_is_a_program_or_a_mistake(text in rubble()) {
        drop(Commit::new().run(&text, ScopeKind::Document));
    }
}

/// Runs on a stack of the size that threads of a server have.
fn on_a_small_stack(check: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(2 << 20);
    thread.spawn(check).unwrap().join().unwrap();
}

#[test]
fn nesting_is_refused_before_it_exhausts_a_stack() {
    let row =
        |open: &str, times: usize, close: &str| format!("{}new{}", open.repeat(times), close.repeat(times));
    for times in [5, 20, 80, 90, 300, 900, 2_000, 20_000] {
        let shapes = [
            row("", times, ".b"),
            row("", times, "[0]"),
            row("", times, " + 1"),
            row("", times, " || new"),
            row("", times, " == 1"),
            row("", times, " == 1 || true"),
            row("", times, ".size()"),
            row("(", times, ")"),
            row("!(", times, ")"),
            row("-(", times, ")"),
            row("!", times, ""),
            row("-", times, ""),
            row("[", times, "]"),
            row("{1: ", times, "}"),
            row("size(", times, ")"),
            row("new ? new : ", times, ""),
            row("new.map(x, ", times, ")"),
            row("", times, ".map(x, new)"),
            row("new[", times, ""),
            row("(", times, ""),
        ];
        on_a_small_stack(move || {
            for shape in &shapes {
                let (answer, steps) = Commit::new().run(shape, ScopeKind::Document);
                let start: String = shape.chars().take(40).collect();
                assert!(times < 300 || answer.is_err(), "{times} × {start}");
                assert!(steps <= 10_000, "{times} × {start}: {steps} steps");
            }
        });
    }
}

#[test]
fn what_is_nested_too_deeply_is_told_which_limit_it_meets() {
    let says = |text: &str| Commit::new().run(text, ScopeKind::Document).0;
    let in_brackets = |times: usize| format!("{}new.pool.max > 0{}", "(".repeat(times), ")".repeat(times));
    for (text, limit) in [
        (
            in_brackets(30),
            "has more than 24 brackets, calls or conditions inside each other",
        ),
        (
            format!("new.pool.max{} > 0", " + 1".repeat(100)),
            "is nested more than 96 levels deep, each operator in a row counted",
        ),
        (
            format!("new.pool.max{} > 0", " + 1".repeat(1_000)),
            "has more than 1000 brackets, dots and operators",
        ),
    ] {
        let error = says(&text).expect_err(&text);
        assert!(error.starts_with(&format!("the expression {limit}")), "{error}");
    }
    let deepest = (1..40)
        .take_while(|&times| says(&in_brackets(times)).is_ok())
        .last();
    assert_eq!(deepest, Some(24));
}

#[test]
fn loops_in_loops_end_at_the_limit_and_cannot_be_excused() {
    let numbers: Vec<String> = (0..2_000).map(|number| number.to_string()).collect();
    let text = format!(
        "big = [{}]\ntext = \"{}\"",
        numbers.join(", "),
        "ab".repeat(100_000)
    );
    let commit = Commit::of(toml(&text));
    let stopped = [
        "new.big.all(a, new.big.all(b, new.big.all(c, true)))",
        "size(new.big.map(a, new.big).map(x, x.map(y, new.big))) > 0",
        "new.big.map(a, new.big.map(b, a)).map(x, x.map(y, x)) != []",
        "new.big.exists(a, new.big.map(b, new.text + new.text) == []) || true",
        "new.big.all(a, new.text.matches('(a|b)+$'))",
        "new.big.all(a, new.text == new.text && new.text + '' == new.text)",
        "new.big.all(a, new.big == new.big)",
        "new.big.all(a, !(-1 in new.big))",
        "new.big.all(a, sum(new.big) > 0)",
        "new.big.all(a, size(new.text.split('')) > 0)",
        "new.big.all(a, !''.matches('x' + string(a)))",
        "new.big.exists(a, new.big.exists(b, new.nothing == 1)) || true",
    ];
    for text in stopped {
        let (answer, steps) = commit.run(text, ScopeKind::Document);
        let error = answer.expect_err(text);
        assert!(
            error.starts_with("the rule takes more than 1000000 steps"),
            "{text}: {error}"
        );
        assert_eq!(steps, RUN_STEPS_MAX, "{text}");
    }
}

#[test]
fn a_commit_has_a_limit_over_all_its_rules() {
    let text = "size([0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map(a, a)) == 10";
    let program = Program::compile(text, ScopeKind::Commit).unwrap();
    let scope = Scope {
        new: None,
        old: None,
        config: None,
        configs: &[],
        files: &[],
        commit: None,
        placeholders: &BTreeSet::new(),
    };
    let mut budget = Budget::with_steps(60);
    assert_eq!(program.run(&scope, &mut budget), Ok(true));
    assert_eq!(program.run(&scope, &mut budget), Ok(true));
    let error = program.run(&scope, &mut budget).unwrap_err();
    assert_eq!(
        error.message,
        "the rules of this commit take too many steps together"
    );
    assert_eq!(budget.left(), 0);
}

#[test]
fn a_rule_over_two_hundred_configs_takes_some_thousand_steps_whatever_their_size() {
    let members: Vec<String> = (0..1_000).map(|number| format!("k{number} = {number}")).collect();
    let merged = Merged::document(&toml(&format!("{}\n[pool]\nmax = 10", members.join("\n"))));
    let bindings = Bindings::from([("env".to_owned(), "prod".to_owned())]);
    let config = ConfigFacts {
        name: "a/prod",
        bindings: &bindings,
        doc: Tree::Merged(&merged),
    };
    let configs = [config; 200];
    let scope = Scope {
        new: None,
        old: None,
        config: None,
        configs: &configs,
        files: &[],
        commit: None,
        placeholders: &BTreeSet::from(["env"]),
    };
    let text = "sum(configs.filter(c, c.env == 'prod').map(c, c.doc.pool.max)) == 2000";
    let program = Program::compile(text, ScopeKind::Commit).unwrap();
    let mut budget = Budget::with_steps(3_000);
    assert_eq!(program.run(&scope, &mut budget), Ok(true));
}
