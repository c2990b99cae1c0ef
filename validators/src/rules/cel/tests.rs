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

    /// With another layer on the config `a/prod`.
    pub(super) fn with_prod(mut self, layer: &str) -> Self {
        self.merged.apply(&toml(layer), 2, Nulls::Delete);
        self
    }

    /// With another file.
    pub(super) fn with_file(mut self, path: &'static str, text: &str) -> Self {
        self.paths.push((path, toml(text)));
        self.paths.sort_by_key(|(path, _)| *path);
        self
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
    ]), @r#"
    no such key: `mx` (did you mean `max`?) at <new.pool.mx>
    no such key: `zzzzzz` (known are `max`, `min`) at <new.pool.zzzzzz>
    no such key: `databases/mian.toml` (did you mean `databases/main.toml`?) at <files['databases/mian.toml']>
    no such key: `enb` (did you mean `env`?) at <c.enb>
    an integer has no keys: `max` at <new.port.max>
    a list has no keys: `eu` (name an element, as in `list[0]`, or loop with `all`, `exists` or `map`) at <new.tags.eu>
    no such element: `2` (the list has 2 elements, the first is 0) at <new.tags[2]>
    an index is a whole number at <new.tags[0.5]>
    a string has no elements to look up at <new.log_level[0]>
    `+` does not take a string and an integer (`string(…)` makes text of a number, `double(…)` a number of text) at <new.log_level + 1>
    `*` does not take a string and an integer (`double(…)` makes a number of text, `duration(…)` a length of time) at <new.timeout * 2>
    `>` does not compare a string and an integer at <new.log_level > 3>
    `in` looks into a list or an object, found a string (write `text.contains(part)` to look into a string) at <'a' in new.log_level>
    `%` does not take a float and an integer (`%` is for integers) at <new.share % 2>
    `-` takes a number, found a string at <-new.log_level>
    `+` leaves the range of integers (write `double(…)` around one of the two) at <9223372036854775807 + new.port>
    `/` by zero (`ratio(a, b)` divides by zero too: it is infinite then) at <new.port / 0>
    a rule must be true or false, found an object (compare it with something) at <new.pool>
    `size` takes a list, an object or a string, found an integer at <size(new.port)>
    `contains` takes a string, found an integer at <new.port.contains('8')>
    `ratio` takes two numbers, found a string and an integer at <ratio(new.timeout, 2)>
    `sum` takes a list of numbers, found a string at <sum(new.tags)>
    the string is no length of time (it looks like `90s`, `10m` or `1h30m`) at <duration(new.log_level)>
    a loop goes through a list or an object, found an integer at <new.port>
    the condition of a loop is true or false, found a string at <t>
    `&&` takes a boolean, found an integer at <new.port>
    `?` takes a boolean, found an integer at <new.port>
    `int` finds no integer of 64 bits in the string at <int(new.log_level)>
    `has` takes a field of an object, found an integer at <has(new.port.max)>
    a key is a string, an integer or a boolean, found a float at <1.5>
    the map has this key twice at <'a'>
    the string is no regular expression: unclosed group at <new.log_level.matches(new.log_level + '(')>
    `join` takes a list of strings, found an integer at <[new.log_level, 1].join(',')>
    "#);
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
        "  ",
    ]), @r#"
    unknown name: `nwe` (did you mean `new`?) at <nwe>
    unknown name: `tga` (did you mean `tag`?) at <tga>
    unknown function: `siez` (did you mean `size`?) at <siez>
    unknown name: `conifg` (did you mean `config`?) at <conifg>
    unknown function: `containz` (did you mean `contains`?) at <containz>
    `size` is not called like this (write `size(value)`) at <size>
    `contains` is not called like this (write `text.contains(part)`) at <contains>
    `all` is not called like this (write `list.all(x, condition)`) at <all>
    unknown name: `t` (known are `new`, `old`, `config`, `configs`, `files`, `commit`) at <t>
    `exists` starts with the name of an element (write `list.exists(x, condition)`) at <'t'>
    `filter` has too many arguments (write `list.filter(x, condition)`) at <filter>
    `has` is not called like this (write `has(new.pool)`) at <has>
    `has` asks for a field (write `has(new.pool)`, or `'key' in new` for a key that is no name) at <new>
    `has` asks for a field (write `has(new.pool)`, or `'key' in new` for a key that is no name) at <new['pool']>
    the string is no regular expression: unclosed group (write `text.matches('^[a-z]+$')`) at <'('>
    the string is no regular expression: look-around, including look-ahead and look-behind, is not supported (write `text.matches('^[a-z]+$')`) at <'(?=a)'>
    the string is no glob: unclosed character class; missing ']' (write `glob(path, 'services/*/prod.toml')`) at <'['>
    the string is no length of time (write `duration('1m30s')`) at <'30'>
    the string is no JSON pointer (write `changed('/pool/max')`) at <'pool/max'>
    a rule must be true or false, found an integer (compare it with something) at <new.pool.max>
    a rule must be true or false, and this is a number (compare it with something) at <new.pool.max + 1>
    a rule must be true or false, and this is a list (compare it with something) at <[true]>
    a rule must be true or false, and this is a constant (compare it with something) at <1>
    unexpected `=` (write `==` to compare) at <=>
    unexpected `and` (write `&&`, `||` or `!`) at <and>
    the expression ends too early (an expression looks like `new.pool.max <= 100 && has(new.owner)`) at <>
    the expression ends too early (an expression looks like `new.pool.max <= 100 && has(new.owner)`) at <>
    unexpected `$` (an expression looks like `new.pool.max <= 100 && has(new.owner)`) at <$>
    unexpected `)` (an expression looks like `new.pool.max <= 100 && has(new.owner)`) at <)>
    unexpected `'` (close the quote) at <'>
    documents have no bytes (write a string, without the `b`) at <b'abc'>
    integer does not fit 64 bits: `18446744073709551615` (integers are signed here) at <18446744073709551615u>
    integer does not fit 64 bits: `9223372036854775808` (write it with a decimal point) at <9223372036854775808>
    there are no types to make here (write a map: `{'key': value}`) at <{>
    this cannot be used in a rule: unsupported syntax '.?' (`new['key']` looks up a key that is no name, and `has(new.pool)` asks whether there is one) at <.>
    this cannot be used in a rule: unsupported syntax: '`' (`new['key']` looks up a key that is no name, and `has(new.pool)` asks whether there is one) at <.>
    nothing is written here (write what must be true, such as `new.pool.max <= 100`) at <>
    nothing is written here (write what must be true, such as `new.pool.max <= 100`) at <  >
    "#);
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
    insta::assert_snapshot!(lines.join("\n"), @r#"
    a rule about a commit has no `new` (go through `configs`, or leave `scope` out to judge each document) at <new>
    a rule about a commit has no `changed` (leave `scope` out to judge each document) at <changed>
    a rule about a commit has no `config` (go through `configs`, or leave `scope` out to judge each document) at <config>
    unknown name: `nwe` (known are `configs`, `files`, `commit`) at <nwe>
    "#);
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
