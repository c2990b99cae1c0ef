//! `headwater check`: what it reads, what it says, how it exits.

use headwater_tests::origin::{TestOrigin, git};

use crate::command::{WorkTree, headwater, program, told};

const MANIFEST: &str = r#"format = 1
[[config]]
name = "{service}"
layers = ["services/{service}.toml"]
schema = "schemas/service.schema.json"
"#;
const SCHEMA: &str = r#"{"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object",
    "properties": {"port": {"type": "integer"}}, "required": ["port"]}"#;

/// A repository whose one config is good.
fn good() -> WorkTree {
    WorkTree::with(&[
        ("headwater.toml", MANIFEST),
        ("schemas/service.schema.json", SCHEMA),
        ("services/web.toml", "port = 80\n"),
    ])
}

const GOOD: &str = "exit 0\nno findings in 1 config: the commit would be admitted\n";

fn assert_rejected(told: &str) {
    assert!(
        told.starts_with("exit 1\n") && told.ends_with("the commit would be rejected\n"),
        "{told}"
    );
}

#[test]
fn a_finding_is_shown_with_the_line_it_is_about() {
    let tree = good();
    tree.write("services/web.toml", "# the port\nport = \"80\"\nport2 = 1\n");
    insta::assert_snapshot!(tree.headwater(&["check"]), @r#"
    exit 1
    error[schema/type]: expected an integer, found a string: `80`
     --> services/web.toml:2:8
      |
    2 | port = "80"
      |        ^^^^ /port
      |
      = note: in config `web`
      = help: remove the quotes

    what a code means: headwater explain-code schema/type
    1 error in 1 config: the commit would be rejected
    "#);
}

#[test]
fn every_mistake_of_every_file_is_told_at_once() {
    let tree = good();
    tree.write("services/web.toml", "port = \n");
    tree.write("services/api.toml", "port = true\n");
    let told = tree.headwater(&["check"]);
    assert!(
        told.contains("services/api.toml:1:8") && told.contains("services/web.toml:1:"),
        "{told}"
    );
    assert!(
        told.ends_with("2 errors in 2 configs: the commit would be rejected\n"),
        "{told}"
    );
}

#[test]
fn a_manifest_that_cannot_be_read_rejects_and_counts_no_configs() {
    let tree = good();
    tree.write("headwater.toml", "format = 1\n[[confg]]\n");
    let told = tree.headwater(&["check"]);
    assert_rejected(&told);
    assert!(
        told.contains("headwater.toml:2:") && told.ends_with("\n1 error: the commit would be rejected\n"),
        "{told}"
    );
}

#[test]
fn json_is_the_view_of_the_api() {
    let tree = good();
    tree.write("services/web.toml", "port = true\n");
    insta::assert_snapshot!(tree.headwater(&["check", "--format", "json"]), @r#"
    exit 1
    {
      "version": 1,
      "verdict": "rejected",
      "findings": [
        {
          "code": "schema/type",
          "severity": "error",
          "path": "services/web.toml",
          "line": 1,
          "column": 8,
          "end_line": 1,
          "end_column": 12,
          "pointer": "/port",
          "config": "web",
          "message": "expected an integer, found a boolean: `true`",
          "related": []
        }
      ]
    }
    "#);
}

#[test]
fn from_anywhere_in_a_work_tree_all_of_it_is_checked() {
    let tree = good();
    assert_eq!(headwater(&tree.join("services"), &["check"]), GOOD);
    assert_eq!(tree.headwater(&["check", "."]), GOOD);
    let top = tree.path().display().to_string();
    assert_eq!(headwater(std::path::Path::new("/"), &["check", &top]), GOOD);
}

#[test]
fn a_part_of_a_config_repository_is_not_taken_for_the_whole() {
    let tree = good();
    let told = tree.headwater(&["check", "services"]);
    insta::assert_snapshot!(told, @"
    exit 2
    --- standard error
    error: `services` is a part of a config repository
    hint: a part has no verdict of its own; check all of it: `headwater check .`
    ");
}

#[test]
fn a_config_repository_inside_another_repository_is_checked_by_itself() {
    let tree = WorkTree::with(&[("src/main.toml", "not = toml = here\n")]);
    tree.write("config/headwater.toml", MANIFEST);
    tree.write("config/schemas/service.schema.json", SCHEMA);
    tree.write("config/services/web.toml", "port = 80\n");
    assert_eq!(tree.headwater(&["check", "config"]), GOOD);
    // An ignored directory is none of Git's business, and is read as it stands.
    tree.write(".gitignore", "config\n");
    assert_eq!(tree.headwater(&["check", "config"]), GOOD);
}

#[test]
fn what_git_would_add_is_checked_and_what_it_ignores_is_not() {
    let tree = good();
    tree.write(".gitignore", "*.local.toml\n/out/\n");
    tree.write("services/mine.local.toml", "port = nothing\n");
    tree.write("out/services/web.toml", "port = nothing\n");
    assert_eq!(tree.headwater(&["check"]), GOOD);
    tree.write("services/new.toml", "port = nothing\n");
    assert_rejected(&tree.headwater(&["check"]));
}

#[test]
fn a_tracked_file_is_checked_even_where_others_are_ignored() {
    let tree = good();
    tree.write("out/.keep", "");
    tree.write("out/bad.toml", "port = nothing\n");
    tree.write(".gitignore", "/out/\n");
    assert_eq!(tree.headwater(&["check"]), GOOD);
    tree.git(&["add", "-f", "out/bad.toml"]);
    assert_rejected(&tree.headwater(&["check"]));
}

#[test]
fn the_persons_own_ignore_file_counts() {
    let tree = good();
    tree.write("services/notes.toml", "port = nothing\n");
    let home = WorkTree::plain();
    home.write(".config/git/ignore", "notes.*\n");
    assert_eq!(
        told(program(tree.path()).env("HOME", home.path()).arg("check")),
        GOOD
    );
}

#[test]
fn a_file_that_was_deleted_is_gone() {
    let tree = good();
    std::fs::remove_file(tree.join("schemas/service.schema.json")).unwrap();
    assert_rejected(&tree.headwater(&["check"]));
    assert_eq!(tree.headwater(&["check", "HEAD"]), GOOD);
}

#[test]
fn the_index_is_judged_and_not_the_work_tree() {
    let tree = good();
    tree.write("services/web.toml", "port = 81\n");
    tree.git(&["add", "-A"]);
    tree.write("services/web.toml", "port = nothing\n");
    assert_eq!(tree.headwater(&["check", "--staged"]), GOOD);
    assert_rejected(&tree.headwater(&["check"]));

    tree.git(&["add", "-A"]);
    tree.write("services/web.toml", "port = 82\n");
    assert_rejected(&tree.headwater(&["check", "--staged"]));
    assert_eq!(tree.headwater(&["check"]), GOOD);
    assert_rejected(&headwater(&tree.join("services"), &["check", "--staged"]));
}

#[test]
fn what_is_only_meant_to_be_added_is_not_staged() {
    let tree = good();
    tree.write("services/new.toml", "port = nothing\n");
    tree.git(&["add", "-N", "services/new.toml"]);
    assert_eq!(tree.headwater(&["check", "--staged"]), GOOD);
}

#[test]
fn an_index_of_a_repository_without_a_commit_is_judged() {
    let tree = WorkTree::new();
    assert_eq!(
        tree.headwater(&["check", "--staged"]),
        "exit 0\nno findings in 0 configs: the commit would be admitted\n"
    );
    tree.write("a.json", "{");
    tree.git(&["add", "-A"]);
    assert!(tree.headwater(&["check", "--staged"]).starts_with("exit 1\n"));
}

#[test]
fn an_unfinished_merge_is_no_tree() {
    let tree = good();
    tree.git(&["checkout", "-q", "-b", "other"]);
    tree.write("services/web.toml", "port = 1\n");
    tree.commit("one");
    tree.git(&["checkout", "-q", "main"]);
    tree.write("services/web.toml", "port = 2\n");
    tree.commit("two");
    assert!(
        !git()
            .current_dir(tree.path())
            .args(["merge", "-q", "other"])
            .output()
            .unwrap()
            .status
            .success()
    );
    insta::assert_snapshot!(tree.headwater(&["check", "--staged"]), @"
    exit 2
    --- standard error
    error: the index has unmerged paths: `services/web.toml`
    hint: resolve the conflicts and `git add` the files first
    ");
}

#[test]
fn a_hook_refuses_a_bad_commit_and_sees_what_commit_all_will_hold() {
    let tree = good();
    let hook = format!(
        "#!/bin/sh\nexec {} check --staged\n",
        env!("CARGO_BIN_EXE_command")
    );
    tree.write(".git/hooks/pre-commit", &hook);
    std::fs::set_permissions(
        tree.join(".git/hooks/pre-commit"),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    let commit = |args: &[&str]| {
        let output = git()
            .current_dir(tree.path())
            .arg("commit")
            .args(args)
            .output()
            .unwrap();
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    // `commit -a` gives the hook an index of its own.
    tree.write("services/web.toml", "port = nothing\n");
    let (committed, told) = commit(&["-q", "-a", "-m", "bad"]);
    assert!(!committed, "{told}");
    tree.write("services/web.toml", "port = 8080\n");
    tree.write("services/loose.toml", "port = nothing\n");
    let (committed, told) = commit(&["-q", "-a", "-m", "good"]);
    assert!(committed, "{told}");
}

#[test]
fn a_revision_is_anything_that_git_calls_one() {
    let tree = good();
    tree.git(&["tag", "-a", "-m", "v1", "v1"]);
    tree.git(&["branch", "feature/x"]);
    tree.write("services/web.toml", "port = nothing\n");
    let bad = tree.commit("bad");
    assert_rejected(&tree.headwater(&["check", "HEAD"]));
    assert_rejected(&tree.headwater(&["check", bad.as_str()]));
    for rev in ["HEAD~1", "HEAD^", "v1", "feature/x", "main~1"] {
        assert_eq!(tree.headwater(&["check", rev]), GOOD, "{rev}");
    }
}

#[test]
fn a_directory_wins_over_a_revision_of_the_same_name() {
    let tree = good();
    tree.write("services/web.toml", "port = nothing\n");
    tree.commit("bad");
    tree.git(&["branch", "v1", "HEAD~1"]);
    assert_eq!(tree.headwater(&["check", "v1"]), GOOD);
    tree.write("v1/headwater.toml", "format = 2\n");
    assert!(tree.headwater(&["check", "v1"]).contains("too old"));
    assert_eq!(tree.headwater(&["check", "refs/heads/v1"]), GOOD);
}

#[test]
fn a_bare_repository_has_revisions_alone() {
    let origin = TestOrigin::new();
    origin.commit(
        &[
            ("headwater.toml", Some(MANIFEST)),
            ("schemas/service.schema.json", Some(SCHEMA)),
        ],
        "one",
    );
    origin.commit(&[("services/web.toml", Some("port = nothing\n"))], "two");
    assert_rejected(&headwater(&origin.path(), &["check", "main"]));
    assert!(headwater(&origin.path(), &["check", "main~1"]).starts_with("exit 0\n"));
    for args in [&["check"][..], &["check", "."], &["check", "--staged"]] {
        insta::allow_duplicates! {
            insta::assert_snapshot!(headwater(&origin.path(), args), @"
            exit 2
            --- standard error
            error: a bare repository has no files and no index to check
            hint: name a revision, such as `headwater check HEAD`
            ");
        }
    }
}

#[test]
fn outside_of_git_a_directory_is_all_there_is() {
    let tree = WorkTree::plain();
    tree.write("a.yaml", "x: 1\n");
    assert_eq!(tree.headwater(&["check"]), GOOD);
    insta::assert_snapshot!(tree.headwater(&["check", "HEAD"]), @"
    exit 2
    --- standard error
    error: neither a directory nor a revision: `HEAD`
    hint: name a directory, or go into a Git repository to name a revision
    ");
    insta::assert_snapshot!(tree.headwater(&["check", "--staged"]), @"
    exit 2
    --- standard error
    error: not in a Git repository
    hint: `--staged` reads Git's index; without it the files of a directory are checked
    ");
    insta::assert_snapshot!(tree.headwater(&["check", "--against", "HEAD"]), @"
    exit 2
    --- standard error
    error: `--against` needs the history of a whole repository
    hint: leave it out, or check the top of a Git work tree
    ");
}

#[test]
fn what_is_neither_a_directory_nor_a_revision_is_said_so() {
    let tree = good();
    insta::assert_snapshot!(tree.headwater(&["check", "v9"]), @"
    exit 2
    --- standard error
    error: neither a directory nor a revision: `v9`
    hint: give a directory, a commit id, a branch, a tag or a form such as `HEAD~1`
    ");
    insta::assert_snapshot!(tree.headwater(&["check", "services/web.toml"]), @"
    exit 2
    --- standard error
    error: neither a directory nor a revision: `services/web.toml`
    hint: files are judged together: name the directory at the top, or nothing
    ");
    insta::assert_snapshot!(tree.headwater(&["check", "--staged", "HEAD"]), @"
    exit 2
    --- standard error
    error: not a directory: `HEAD`
    hint: `--staged` takes a directory or nothing; leave it out to check a revision
    ");
    insta::assert_snapshot!(tree.headwater(&["--output", "json", "check"]), @"
    exit 2
    --- standard error
    error: `--output` before `check` is about a server, and `check` asks none
    hint: write `headwater check --format json`
    ");
}

#[test]
fn without_a_manifest_a_file_that_was_never_good_is_told_and_tolerated() {
    let tree = WorkTree::with(&[("a.yaml", "x: 1\n")]);
    tree.write("b.yaml", "x: [\n");
    let told = tree.headwater(&["check"]);
    assert!(told.starts_with("exit 1\n"), "{told}");
    assert!(
        told.ends_with("1 error in 2 configs: the commit would be admitted, without what cannot be read\n"),
        "{told}"
    );
}

#[test]
fn without_a_manifest_a_config_that_was_good_must_not_be_lost() {
    let tree = WorkTree::with(&[("a.yaml", "x: 1\n")]);
    tree.write("a.yaml", "x: [\n");
    let lost = |args: &[&str]| {
        let told = tree.headwater(args);
        assert!(told.contains("tree/lost-config"), "{args:?}: {told}");
        assert_rejected(&told);
    };
    lost(&["check"]);
    tree.git(&["add", "-A"]);
    lost(&["check", "--staged"]);
    tree.commit("lost");
    lost(&["check", "HEAD"]);
    // The broken commit would not be served, so what follows is still judged against the one before it.
    lost(&["check"]);
    tree.write("c.yaml", "x: 1\n");
    tree.commit("another");
    lost(&["check", "HEAD"]);
    // Against a commit in which it was not there, nothing is lost.
    tree.git(&["checkout", "-q", "--orphan", "other"]);
    tree.git(&["rm", "-rfq", "."]);
    tree.write("z.yaml", "x: 1\n");
    tree.commit("unrelated");
    assert!(
        tree.headwater(&["check", "main", "--against", "other"])
            .contains("would be admitted")
    );
    assert_rejected(&tree.headwater(&["check", "main", "--against", "main~2"]));
}

#[test]
fn a_shallow_clone_says_that_it_does_not_know_the_past() {
    let tree = WorkTree::with(&[("a.yaml", "x: 1\n")]);
    tree.write("a.yaml", "x: [\n");
    tree.commit("lost");
    let clone = WorkTree::plain();
    let url = format!("file://{}", tree.path().display());
    clone.git(&["clone", "-q", "--depth", "1", &url, "clone"]);
    let told = headwater(&clone.join("clone"), &["check", "HEAD"]);
    assert!(told.contains("would be admitted"), "{told}");
    assert!(told.contains("note: this clone is shallow"), "{told}");
}

#[test]
fn a_linked_work_tree_is_a_work_tree() {
    let tree = good();
    let other = WorkTree::plain();
    let dir = other.join("linked");
    tree.git(&["worktree", "add", "-q", &dir.display().to_string()]);
    assert_eq!(headwater(&dir, &["check"]), GOOD);
    std::fs::write(dir.join("services/web.toml"), "port = nothing\n").unwrap();
    assert_rejected(&headwater(&dir, &["check"]));
    assert_eq!(headwater(&dir, &["check", "--staged"]), GOOD);
}

#[test]
fn a_repository_with_long_ids_is_read_too() {
    let tree = WorkTree::plain();
    tree.git(&["init", "-q", "-b", "main", "--object-format=sha256"]);
    tree.write("a.toml", "x = 1\n");
    tree.commit("one");
    for args in [&["check"][..], &["check", "--staged"], &["check", "HEAD"]] {
        assert_eq!(tree.headwater(args), GOOD, "{args:?}");
    }
}

#[test]
fn the_output_has_no_colours_outside_of_a_terminal() {
    let tree = good();
    tree.write("services/web.toml", "port = true\n");
    assert!(!tree.headwater(&["check"]).contains('\u{1b}'));
}
