//! What docs/authors.md shows: hooks and pipelines as they stand on the page, and what `headwater check` does for them.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};

use headwater_render::Format;
use headwater_tests::docs::{blocks, page};
use headwater_tests::origin::git;
use headwater_tests::sshd::skipped;
use headwater_validators::document::{ParseOptions, parse};
use headwater_wire::CheckView;
use serde_json::Value;

use crate::command::{Running, WorkTree, program};

const PAGE: &str = "docs/authors.md";

const MANIFEST: &str = r#"format = 1
[[config]]
name = "{service}"
layers = ["services/{service}.toml"]
schema = "schemas/service.schema.json"
"#;
const SCHEMA: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "properties": {"port": {"type": "integer"}},
  "additionalProperties": false
}"#;

/// A repository whose one config is good.
fn good() -> WorkTree {
    WorkTree::with(&[
        ("headwater.toml", MANIFEST),
        ("schemas/service.schema.json", SCHEMA),
        ("services/web.toml", "port = 80\n"),
    ])
}

/// A directory with nothing but `headwater`, to be put before the others on the path.
fn bin() -> tempfile::TempDir {
    let bin = tempfile::tempdir().unwrap();
    symlink(env!("CARGO_BIN_EXE_command"), bin.path().join("headwater")).unwrap();
    bin
}

/// Runs a prepared command with `headwater` on its path.
fn run_with(bin: &Path, command: &mut Command) -> Output {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::iter::once(bin.to_owned()).chain(std::env::split_paths(&path));
    command
        .env("PATH", std::env::join_paths(dirs).unwrap())
        .output()
        .unwrap()
}

/// Whether it went well, and everything it said.
fn outcome(output: &Output) -> (bool, String) {
    let said = [&output.stdout[..], &output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

fn write_hook(file: &Path, script: &str) {
    std::fs::write(file, script).unwrap();
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// The hook of the page that has this line.
fn hook(line: &str) -> String {
    let mut hooks = blocks(&page(PAGE), "sh");
    hooks.retain(|block| block.starts_with("#!/bin/sh\n") && block.lines().any(|other| other == line));
    assert_eq!(hooks.len(), 1, "one hook with `{line}`");
    hooks.remove(0)
}

#[test]
fn the_hook_of_the_page_refuses_a_bad_commit() {
    let (tree, bin) = (good(), bin());
    write_hook(
        &tree.join(".git/hooks/pre-commit"),
        &hook("exec headwater check --staged"),
    );
    let commit = |message: &str| {
        tree.git(&["add", "-A"]);
        outcome(&run_with(
            bin.path(),
            git()
                .current_dir(tree.path())
                .args(["commit", "-q", "-m", message]),
        ))
    };
    tree.write("services/web.toml", "port = \"80\"\n");
    let (committed, said) = commit("bad");
    assert!(!committed && said.contains("error[schema/type]"), "{said}");
    tree.write("services/web.toml", "port = 81\n");
    let (committed, said) = commit("good");
    assert!(committed, "{said}");
}

#[test]
fn pre_commit_runs_the_hook_of_the_page() {
    if !run_with(
        Path::new("/"),
        Command::new("sh").args(["-c", "command -v pre-commit"]),
    )
    .status
    .success()
    {
        return skipped("no pre-commit is installed");
    }
    let (tree, bin, home) = (good(), bin(), tempfile::tempdir().unwrap());
    let mut examples = blocks(&page(PAGE), "yaml");
    examples.retain(|block| block.contains("repo: local"));
    tree.write(".pre-commit-config.yaml", &examples.remove(0));
    tree.git(&["add", "-A"]);
    let run = || {
        let mut command = Command::new("pre-commit");
        command
            .args(["run", "--color", "never"])
            .current_dir(tree.path())
            .env("PRE_COMMIT_HOME", home.path());
        outcome(&run_with(bin.path(), &mut command))
    };
    let (passed, said) = run();
    assert!(passed && said.contains("Passed"), "{said}");
    tree.write("services/web.toml", "port = \"80\"\n");
    tree.git(&["add", "-A"]);
    let (passed, said) = run();
    assert!(!passed && said.contains("error[schema/type]"), "{said}");
}

#[test]
fn the_hooks_that_are_offered_are_those_of_the_page() {
    let yaml = |text: &str| {
        parse(Format::Yaml, text.as_bytes(), &ParseOptions::default())
            .unwrap()
            .to_json()
    };
    let offered = yaml(&page(".pre-commit-hooks.yaml"));
    let offered = offered.as_array().unwrap();
    let mut examples = blocks(&page(PAGE), "yaml");
    examples.retain(|block| block.contains("repo: local"));
    assert_eq!(examples.len(), offered.len());
    for (offered, shown) in offered.iter().zip(&examples) {
        let shown = yaml(shown);
        let shown = shown
            .pointer("/repos/0/hooks/0")
            .and_then(Value::as_object)
            .unwrap();
        for (key, value) in shown {
            assert_eq!(offered.get(key), Some(value), "{key}");
        }
    }
}

#[test]
fn a_push_is_judged_while_its_objects_are_kept_apart() {
    let (tree, bin, server) = (good(), bin(), tempfile::tempdir().unwrap());
    let bare = server.path().join("config.git");
    assert!(
        git()
            .args(["init", "-q", "--bare", "-b", "main"])
            .arg(&bare)
            .status()
            .unwrap()
            .success()
    );
    write_hook(
        &bare.join("hooks/pre-receive"),
        &hook("while read -r old new ref; do"),
    );
    let push = |refspec: &str| {
        outcome(&run_with(
            bin.path(),
            git()
                .current_dir(tree.path())
                .args(["push", "-q"])
                .arg(&bare)
                .arg(refspec),
        ))
    };
    let (pushed, said) = push("HEAD:main");
    assert!(pushed && said.contains("the commit would be admitted"), "{said}");
    tree.write("services/web.toml", "port = \"80\"\n");
    tree.commit("bad");
    let (pushed, said) = push("HEAD:main");
    assert!(!pushed && said.contains("error[schema/type]"), "{said}");
    let (pushed, said) = push("HEAD:refs/heads/draft");
    assert!(pushed && !said.contains("schema/type"), "{said}");
    tree.write("services/web.toml", "port = 81\n");
    tree.commit("good again");
    let (pushed, said) = push("HEAD:main");
    assert!(pushed, "{said}");
    let (pushed, said) = push(":refs/heads/draft");
    assert!(pushed, "{said}");
}

#[test]
fn the_pipelines_of_the_page_are_yaml_and_call_the_program_as_it_can_be_called() {
    let examples = blocks(&page(PAGE), "yaml");
    assert_eq!(examples.len(), 7);
    let tree = good();
    let mut calls = 0;
    for example in examples {
        let parsed = parse(Format::Yaml, example.as_bytes(), &ParseOptions::default());
        assert!(parsed.is_ok(), "{parsed:?}\n{example}");
        let lines = example
            .lines()
            .map(|line| line.trim_start().trim_start_matches("- "));
        let lines =
            lines.filter_map(|line| line.trim_start_matches("run: ").strip_prefix("headwater check "));
        for line in lines {
            let args = line.split('>').next().unwrap().split_whitespace();
            let output = program(tree.path()).arg("check").args(args).output().unwrap();
            assert_eq!(output.status.code(), Some(0), "{line}: {output:?}");
            calls += 1;
        }
    }
    assert_eq!(calls, 4);
}

#[test]
fn every_format_is_what_it_says_and_exits_alike() {
    let tree = good();
    tree.write("services/web.toml", "port = \"80\"\n");
    let told = |format: &str| {
        let output = program(tree.path())
            .args(["check", "--format", format])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{format}");
        assert!(output.stderr.is_empty(), "{format}");
        String::from_utf8(output.stdout).unwrap()
    };
    let json: CheckView = serde_json::from_str(&told("json")).unwrap();
    assert_eq!(json.findings.len(), 1);
    let sarif: Value = serde_json::from_str(&told("sarif")).unwrap();
    assert_eq!(
        sarif.pointer("/runs/0/results/0/ruleId"),
        Some(&"schema/type".into())
    );
    assert_eq!(
        told("github"),
        "::error file=services/web.toml,line=1,endLine=1,col=8,endColumn=12,title=schema/type::expected an integer, found \
         a string: `80`%0Ain config `web`%0Ahelp: remove the quotes\n"
    );
    assert!(told("junit").contains("<testsuites name=\"headwater check\" tests=\"1\" failures=\"1\">"));
}

#[test]
fn a_watch_tells_what_is_new_and_what_is_gone() {
    let tree = good();
    let mut watch = Running::start(program(tree.path()).args(["check", "--watch"]));
    watch.line("no findings in 1 config: the commit would be admitted");
    watch.err_line("watching");
    tree.write("services/web.toml", "port = \"80\"\n");
    watch.line("error[schema/type]");
    watch.line("1 error in 1 config: the commit would be rejected");
    tree.write("services/web.toml", "# moved down\nport = \"80\"\nprot = 1\n");
    watch.line("error[schema/additionalProperties]");
    watch.line("2 errors in 1 config: the commit would be rejected");
    tree.write("services/web.toml", "port = 80\n");
    watch.line("gone: schema/type in services/web.toml");
    watch.line("no findings in 1 config: the commit would be admitted");
    let shown = watch.seen().matches("error[schema/type]").count();
    assert_eq!(shown, 1, "a finding that moved is not new: {}", watch.seen());
    // A file that is removed, and one that is new, are changes too.
    tree.write("services/api.toml", "port = 81\n");
    watch.line("no findings in 2 configs");
    std::fs::remove_file(tree.join("services/api.toml")).unwrap();
    watch.line("no findings in 1 config");
}

/// The exposed manifest alone calls the value a secret, and the finding that tells of it was shown before the one that
/// shows the line.
#[test]
fn a_watch_hides_a_secret_that_it_told_of_before() {
    let secret = format!("{MANIFEST}[secrets]\npaths = [\"/x/pin\"]\n");
    let tree = WorkTree::with(&[
        ("headwater.toml", &secret),
        (
            "schemas/service.schema.json",
            r#"{"properties": {"x": {"properties": {"n": {"type": "integer"}}}}}"#,
        ),
        ("services/web.toml", "x = { n = 1 }\n"),
    ]);
    tree.write("headwater.toml", MANIFEST);
    tree.write("services/web.toml", "x = { pin = 7340912266, n = 1 }\n");
    let mut watch = Running::start(program(tree.path()).args(["check", "--watch"]));
    watch.line("error[secret/path]");
    watch.line("rejected");
    tree.write("services/web.toml", "x = { pin = 7340912266, n = \"a\" }\n");
    watch.line("error[schema/type]");
    watch.line("x = { pin = ••••••••••, n = \"a\" }");
    watch.line("what a code means: headwater explain-code schema/type");
    watch.line("2 errors");
}

#[test]
fn a_watch_for_an_editor_writes_a_verdict_on_a_line() {
    let tree = good();
    let mut watch = Running::start(program(tree.path()).args(["check", "--watch", "--format", "json"]));
    let view = |line: &str| serde_json::from_str::<CheckView>(line).unwrap();
    assert_eq!(view(&watch.line("verdict")).findings.len(), 0);
    tree.write("services/web.toml", "port = true\n");
    assert_eq!(view(&watch.line("verdict")).findings.len(), 1);
}

#[test]
fn a_watch_waits_for_the_end_of_a_merge() {
    let tree = good();
    let mut watch = Running::start(program(tree.path()).args(["check", "--staged", "--watch"]));
    watch.line("no findings");
    tree.git(&["checkout", "-q", "-b", "other"]);
    tree.write("services/web.toml", "port = 1\n");
    tree.commit("one");
    tree.git(&["checkout", "-q", "main"]);
    tree.write("services/web.toml", "port = 2\n");
    tree.commit("two");
    git()
        .current_dir(tree.path())
        .args(["merge", "-q", "other"])
        .output()
        .unwrap();
    watch.err_line("waiting: the index has unmerged paths");
    tree.write("services/web.toml", "port = \"3\"\n");
    tree.git(&["add", "-A"]);
    watch.line("error[schema/type]");
}

#[test]
fn what_cannot_be_watched_or_fixed_is_said_so() {
    let tree = good();
    insta::assert_snapshot!(tree.headwater(&["check", "--watch", "HEAD"]), @"
    exit 2
    --- standard error
    error: `--watch` is about files, and a commit never changes
    hint: leave the revision out to watch the work tree
    ");
    insta::assert_snapshot!(tree.headwater(&["check", "--watch", "--format", "sarif"]), @"
    exit 2
    --- standard error
    error: `--watch` tells verdict after verdict, and this format holds one
    hint: watch with `--format text` or `json`
    ");
    insta::assert_snapshot!(tree.headwater(&["check", "--fix", "HEAD"]), @"
    exit 2
    --- standard error
    error: `--fix` writes files, and a commit or the index is none
    hint: leave the revision out to fix the work tree, and stage the file then
    ");
}

#[test]
fn an_old_manifest_is_rewritten_and_nothing_else() {
    let tree = good();
    let old = format!(
        "# ours\n{}",
        MANIFEST.replace("format = 1", "format = '1' # the first")
    );
    tree.write("headwater.toml", &old);
    std::fs::set_permissions(
        tree.join("headwater.toml"),
        std::fs::Permissions::from_mode(0o640),
    )
    .unwrap();
    insta::assert_snapshot!(tree.headwater(&["check", "--fix"]), @"
    exit 0
    no findings in 1 config: the commit would be admitted
    --- standard error
    fixed: headwater.toml: wrote `format = 1` in the place of `format = '1'`
    ");
    let written = std::fs::read_to_string(tree.join("headwater.toml")).unwrap();
    assert_eq!(written, old.replace("'1'", "1"));
    let mode = std::fs::metadata(tree.join("headwater.toml"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o640);
    assert_eq!(tree.git(&["status", "--short"]), " M headwater.toml");
    insta::assert_snapshot!(tree.headwater(&["check", "--fix"]), @"
    exit 0
    no findings in 1 config: the commit would be admitted
    --- standard error
    note: `headwater.toml` needs no other format, so nothing was written
    ");
}

#[test]
fn a_manifest_of_a_format_that_is_not_known_is_left_as_it_is() {
    let tree = good();
    for format in ["2", "\"2\"", "\"one\""] {
        let manifest = MANIFEST.replace("format = 1", &format!("format = {format}"));
        tree.write("headwater.toml", &manifest);
        let told = tree.headwater(&["check", "--fix"]);
        let note = format!(
            "note: this release knows no format `{format}`, which `headwater.toml` has, so nothing was written"
        );
        assert!(told.starts_with("exit 1\n") && told.contains(&note), "{told}");
        assert!(told.contains("manifest/format"), "{told}");
        let left = std::fs::read_to_string(tree.join("headwater.toml")).unwrap();
        assert_eq!(left, manifest);
    }
}

#[test]
fn a_manifest_that_is_a_link_is_not_replaced() {
    let tree = good();
    tree.write("real.toml", "[defaults]\n");
    std::fs::remove_file(tree.join("headwater.toml")).unwrap();
    symlink("real.toml", tree.join("headwater.toml")).unwrap();
    let told = tree.headwater(&["check", "--fix"]);
    assert!(told.contains("nothing was written"), "{told}");
    assert!(tree.join("headwater.toml").is_symlink());
    assert_eq!(
        std::fs::read_to_string(tree.join("real.toml")).unwrap(),
        "[defaults]\n"
    );
}

#[test]
fn a_code_is_explained() {
    let tree = WorkTree::plain();
    insta::assert_snapshot!(tree.headwater(&["explain-code", "schema/maximum"]), @r#"
    exit 0
    error[schema/maximum]

    A number is greater than the maximum of the schema.
    Above it the program does something else than is meant, or fails.

    Example
      web.schema.json
          {"properties": {"port": {"maximum": 65535}}}
      web.toml
          port = 70000

    What to do
      Lower it; look whether the unit is the one that the program expects.
    "#);
    insta::assert_snapshot!(tree.headwater(&["explain-code", "rule/pool-step"]), @"
    exit 0
    error[rule/pool-step]

    A rule of the manifest, named behind the slash, does not hold.
    Rules say what a schema cannot: how far a value may move in one step, or what must be true
    of several configs together. Who wrote the rule knows what breaks without it.

    Example
      `rule/pool-step` is the rule that stands under `[rule.pool-step]` in `headwater.toml`.

    What to do
      Read the rule in the manifest: its `message` and `hint` are what the finding says.
      Change the value, or talk to the owners of the rule.
    ");
    insta::assert_snapshot!(tree.headwater(&["explain-code", "schema/maximun"]), @"
    exit 2
    --- standard error
    error: no finding has this code: `schema/maximun`
    hint: did you mean `schema/maximum`?
    ");
    insta::assert_snapshot!(tree.headwater(&["explain-code", "zzz"]), @"
    exit 2
    --- standard error
    error: no finding has this code: `zzz`
    hint: `headwater explain-code --list` names all codes
    ");
    let list = tree.headwater(&["explain-code", "--list"]);
    assert!(
        list.contains("\ntree/symlink                  An entry is a symbolic link"),
        "{list}"
    );
    assert!(tree.headwater(&["explain-code"]).starts_with("exit 2\n"));
}

#[test]
fn an_editor_gets_the_schema_of_the_manifest() {
    let output = program(Path::new("/"))
        .args(["schema", "manifest"])
        .output()
        .unwrap();
    let schema: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(schema.pointer("/properties/config").is_some());
    let tree = good();
    tree.write(
        ".headwater.schema.json",
        &String::from_utf8(output.stdout).unwrap(),
    );
    let line = blocks(&page(PAGE), "toml").remove(0);
    tree.write("headwater.toml", &MANIFEST.replace("format = 1\n", &line));
    assert_eq!(
        tree.headwater(&["check"]),
        "exit 0\nno findings in 1 config: the commit would be admitted\n"
    );
}
