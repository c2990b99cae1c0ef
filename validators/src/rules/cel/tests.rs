//! What rules can say, and what is said where they are wrong.

use std::collections::BTreeSet;

use headwater_render::Format;

use super::budget::Budget;
use super::scope::{CommitFacts, ConfigFacts, Scope, Tree, Variable};
use super::*;
use crate::document::{Node, ParseOptions, parse};
use crate::merge::{Merged, Nulls};
use crate::pattern::Bindings;

/// A commit to judge: two configs of one service and one without environments.
pub(super) struct Commit {
    new: Node,
    old: Node,
    merged: Merged,
    bindings: [Bindings; 3],
    placeholders: BTreeSet<&'static str>,
    facts: CommitFacts<'static>,
    paths: Vec<(&'static str, Node)>,
}

pub(super) const NEW: &str = r#"
log_level = "info"
port = 8080
share = 0.5
timeout = "90s"
tags = ["eu", "web"]
empty = []
[pool]
max = 40
min = 2
[limits]
rate = 1.5
"#;

const OLD: &str = "log_level = \"debug\"\nport = 8080\n[pool]\nmax = 30\nmin = 2\n";

pub(super) fn toml(text: &str) -> Node {
    parse(Format::Toml, text.as_bytes(), &ParseOptions::default()).unwrap()
}

impl Commit {
    pub(super) fn new() -> Self {
        Self::of(toml(NEW))
    }

    pub(super) fn of(new: Node) -> Self {
        let bound = |env: &str| Bindings::from([("env".to_owned(), env.to_owned())]);
        let mut merged = Merged::document(&toml(NEW));
        merged.apply(&toml("[pool]\nmax = 60"), 1, Nulls::Delete);
        Self {
            new,
            old: toml(OLD),
            merged,
            bindings: [bound("dev"), bound("prod"), Bindings::new()],
            placeholders: BTreeSet::from(["env"]),
            facts: CommitFacts {
                id: "0123456789012345678901234567890123456789",
                author: "Mia <mia@example.test>",
                message: "Raise the pool\n\nTicket: OPS-12",
            },
            paths: vec![
                ("databases/main.toml", toml("name = \"main\"")),
                ("services/a/base.toml", toml(NEW)),
            ],
        }
    }

    /// What `text` says of the commit, or all that is wrong with it, and the steps that it took.
    pub(super) fn run(&self, text: &str, kind: ScopeKind) -> (Result<bool, String>, u64) {
        let program = match Program::compile(text, kind) {
            Ok(program) => program,
            Err(mistakes) => {
                let lines = mistakes
                    .iter()
                    .map(|m| shown(text, m.range, &m.message, Some(&m.hint)));
                return (Err(lines.collect::<Vec<_>>().join("\n")), 0);
            }
        };
        let files: Vec<(&str, &Node)> = self.paths.iter().map(|(path, node)| (*path, node)).collect();
        let [dev, prod, flags] = &self.bindings;
        let config = |name, bindings, doc| ConfigFacts { name, bindings, doc };
        let configs = [
            config("a/dev", dev, Tree::Node(&self.new)),
            config("a/prod", prod, Tree::Merged(&self.merged)),
            config("flags", flags, Tree::Node(&self.old)),
        ];
        let scope = Scope {
            new: Some(Tree::Node(&self.new)),
            old: Some(Tree::Node(&self.old)),
            config: configs.get(1),
            configs: &configs,
            files: &files,
            commit: Some(&self.facts),
            placeholders: &self.placeholders,
        };
        let mut budget = Budget::for_commit();
        let before = budget.left();
        let answer = program.run(&scope, &mut budget);
        let answer = answer.map_err(|error| shown(text, error.range, &error.message, error.hint.as_deref()));
        (answer, before - budget.left())
    }

    fn says(&self, text: &str) -> Result<bool, String> {
        self.run(text, ScopeKind::Document).0
    }
}

/// A message with the part of the expression that it is about.
fn shown(text: &str, range: Range, message: &str, hint: Option<&str>) -> String {
    let (start, end) = (
        usize::try_from(range.start).unwrap(),
        usize::try_from(range.end).unwrap(),
    );
    let part = text
        .get(start..end)
        .expect("a range lies on characters of its expression");
    let hint = hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
    format!("{message}{hint} at <{part}>")
}

/// What is said of each expression, one line each.
fn said(texts: &[&str]) -> String {
    let commit = Commit::new();
    let line = |text: &&str| match commit.says(text) {
        Ok(answer) => answer.to_string(),
        Err(error) => error,
    };
    texts.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn assert_true(texts: &[&str]) {
    let commit = Commit::new();
    for text in texts {
        assert_eq!(commit.says(text), Ok(true), "{text}");
    }
}

#[test]
fn a_rule_sees_the_document_and_what_is_around_it() {
    assert_true(&[
        "new.pool.max == 40 && new['pool']['min'] == 2 && new.tags[0] == 'eu'",
        "old.pool.max == 30",
        "config.name == 'a/prod' && config.env == 'prod' && config.doc.pool.max == 60",
        "commit.message.contains('OPS-12') && commit.author.startsWith('Mia') && size(commit.id) == 40",
        "'databases/main.toml' in files && files['databases/main.toml'].name == 'main'",
        "files.all(path, path.endsWith('.toml')) && size(files) == 2",
        "configs.map(c, c.name) == ['a/dev', 'a/prod', 'flags']",
        "sum(configs.filter(c, c.env == 'prod').map(c, c.doc.pool.max)) == 60",
        "configs.exists_one(c, !has(c.env)) && configs.exists(c, c.env == null)",
        "size(new.pool) == 2 && new.pool.map(key, key) == ['max', 'min']",
    ]);
}

#[test]
fn numbers_of_both_kinds_mix() {
    assert_true(&[
        "new.pool.max * 1.5 == 60.0 && 1.5 * new.pool.max == 60",
        "new.pool.max / 80.0 == new.share",
        "new.pool.max * 2u == 80 && 80u / 2 == new.pool.max",
        "1 + 0.5 == 1.5 && 2 - 0.5 == 1.5 && 7 / 2 == 3 && 7 % 4 == 3 && -7 / 2 == -3",
        "1 == 1.0 && 1.0 == 1 && 1 < 1.5 && 1.5 > 1 && 2 >= 1.5 && -1 > -1.5 && -2 < -1.5",
        "9223372036854775807 < 9223372036854775808.0 && 9007199254740993 > 9007199254740992.0",
        "9007199254740993 != 9007199254740992.0",
        "ratio(new.pool.max, old.pool.max) < 1.5 && ratio(3, 2) == 1.5 && ratio(0, 0) == 1.0",
        "ratio(1, 0) > 1000000 && ratio(duration('1m'), duration('30s')) == 2",
        "sum([1, 2, 0.5]) == 3.5 && sum([]) == 0 && type(sum([1, 2])) == int",
        "int(1.9) == 1 && int('12') == 12 && double(1) == 1.0 && double('1.5') == 1.5 && string(1.5) == '1.5'",
        "new.tags[1.0] == 'web'",
    ]);
}

#[test]
fn text_lists_and_durations_have_their_functions() {
    assert_true(&[
        "new.log_level.matches('^(info|warn)$') && matches(new.log_level, 'nf')",
        "'Ab'.lowerAscii() == 'ab' && 'Ab'.upperAscii() == 'AB' && ' a '.trim() == 'a'",
        "'a,b'.split(',') == ['a', 'b'] && ['a', 'b'].join('-') == 'a-b' && 'äb'.split('') == ['ä', 'b']",
        "commit.message.split('\\n')[0] == 'Raise the pool'",
        "size('äb') == 2 && 'ä' + 'b' == 'äb' && 'a' < 'b' && 'B' < 'a'",
        "[1] + [2] == [1, 2] && 2 in [1, 2] && 'max' in new.pool && !(3 in [1, 2]) && 1.0 in [1]",
        "duration(new.timeout) == duration('1m30s') && duration('1m') * 2 < duration('1h') - duration('1s')",
        "glob(config.name, '*/prod') && !glob(config.name, 'prod') && glob('a/b/c.toml', 'a/**/*.toml')",
        "new.tags.map(t, t != 'eu', t + '!') == ['web!'] && new.tags.exists_one(t, t == 'eu')",
        "[[1, 2], [3]].map(row, row.map(x, x * size(row))) == [[2, 4], [3]]",
        "changed('/pool/max') && !changed('/pool/min') && changed('/tags') && !changed('/nothing') && changed('')",
        "{'a': 1, 'b': [new.port]}['b'][0] == 8080 && {1: 'x'}[1] == 'x' && {true: 1} == {true: 1.0}",
        "type(new.port) == int && type(new.share) == double && type(new.pool) == map && type(null) == null_type",
        "new.port == 8080 ? new.tags != [] : false",
        "bool('true') && string(true) == 'true'",
    ]);
}

#[test]
fn either_side_of_and_or_decides_beside_an_error() {
    assert_true(&[
        "has(new.pool.max) && !has(new.pool.mx)",
        "new.nothing == 1 || true",
        "true || new.nothing == 1",
        "!(new.nothing == 1 && false)",
        "new.tags.exists(t, new[t] == 1 || t == 'web')",
        "!new.tags.all(t, new.nothing == t && t == 'eu')",
    ]);
}

#[test]
fn an_error_of_a_run_names_its_place_and_what_would_be_right() {
    insta::assert_snapshot!(said(&[
        "new.pool.mx <= 100",
        "new.pool.zzzzzz <= 100",
        "files['databases/mian.toml'].name == 'main'",
        "configs.all(c, c.enb == 'prod')",
        "new.port.max == 1",
        "new.tags.eu == 1",
        "new.tags[2] == 'x'",
        "new.tags[0.5] == 'x'",
        "new.log_level[0] == 'i'",
        "new.log_level + 1 == 'info1'",
        "new.timeout * 2 == 1",
        "new.log_level > 3",
        "'a' in new.log_level",
        "new.share % 2 == 0",
        "-new.log_level == 1",
        "9223372036854775807 + new.port > 0",
        "new.port / 0 == 1",
        "new.pool",
        "size(new.port) == 1",
        "new.port.contains('8')",
        "ratio(new.timeout, 2) < 2",
        "sum(new.tags) < 2",
        "duration(new.log_level) < duration('1s')",
        "new.port.all(x, true)",
        "new.tags.all(t, t)",
        "new.port && true",
        "new.port ? true : false",
        "int(new.log_level) == 1",
        "has(new.port.max)",
        "{1.5: 1} == {}",
        "{'a': 1, 'a': 2} == {}",
        "new.log_level.matches(new.log_level + '(')",
        "[new.log_level, 1].join(',') == ''",
    ]), @"");
}

#[test]
fn a_mistake_is_found_before_any_document_is_seen() {
    insta::assert_snapshot!(said(&[
        "nwe.pool.max <= 100",
        "new.tags.all(tag, tga != 'eu')",
        "siez(new.tags) == 2 && conifg.env == 'prod'",
        "new.log_level.containz('a')",
        "size() == 1",
        "contains(new.log_level, 'a')",
        "new.tags.all(t)",
        "new.tags.exists('t', true)",
        "new.tags.filter(t, true, true)",
        "new.has('pool')",
        "has(new)",
        "has(new['pool'])",
        "new.log_level.matches('(')",
        "new.log_level.matches('(?=a)')",
        "glob(config.name, '[')",
        "duration('30') < duration(new.timeout)",
        "changed('pool/max')",
        "new.pool.max",
        "new.pool.max + 1",
        "[true]",
        "1",
        "new.pool.max = 3",
        "new.pool.max == 3 and true",
        "new.pool.max ==",
        "(new.pool.max == 3",
        "'ü' == 'ü' $ 1",
        "new.pool.max == 3)",
        "'abc == new.log_level",
        "new.b == b'abc'",
        "new.a == 18446744073709551615u",
        "new.a == 9223372036854775808",
        "Thing{a: 1} == new",
        "new.?pool == 1",
        "new.`a` == 1",
        "",
        "  \n ",
    ]), @"");
}

#[test]
fn a_rule_about_a_commit_has_no_document() {
    let commit = Commit::new();
    let said = |text| commit.run(text, ScopeKind::Commit).0;
    assert_eq!(
        said("size(configs) == 3 && size(files) == 2 && commit.id != ''"),
        Ok(true)
    );
    let lines = ["new.a == 1", "changed('/a')", "config.env == 'x'", "nwe.a == 1"]
        .map(|text| said(text).unwrap_err());
    insta::assert_snapshot!(lines.join("\n"), @"");
}

#[test]
fn a_program_tells_what_it_looks_at() {
    let mentions = |text: &str| {
        let program = Program::compile(text, ScopeKind::Document).unwrap();
        Variable::ALL
            .map(|(name, variable)| if program.mentions(variable) { name } else { "-" })
            .join(" ")
    };
    assert_eq!(mentions("new.a == 1"), "new - - - - -");
    assert_eq!(mentions("changed('/a')"), "new old - - - -");
    assert_eq!(
        mentions("configs.all(old, old.name in files)"),
        "- - - configs files -"
    );
    assert!(
        Program::compile("ratio(new.a, old.a) < 2", ScopeKind::Document)
            .unwrap()
            .mentions_old()
    );
}

#[test]
fn without_an_old_document_old_is_null() {
    let program = Program::compile(
        "old == null && changed('/a') && !changed('/b')",
        ScopeKind::Document,
    )
    .unwrap();
    let new = toml("a = 1");
    let scope = Scope {
        new: Some(Tree::Node(&new)),
        old: None,
        config: None,
        configs: &[],
        files: &[],
        commit: None,
        placeholders: &BTreeSet::new(),
    };
    assert_eq!(program.run(&scope, &mut Budget::for_commit()), Ok(true));
}
