//! `headwater check --message-file`: what the message of a commit that is still to be made allows, as a server will see.

use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Output, Stdio};

use headwater_server::git::local::LocalRepository;
use headwater_server::git::quarantine::ObjectDirs;
use headwater_tests::docs::{blocks, page};
use headwater_tests::origin::git;

use crate::command::WorkTree;

const MANIFEST: &str = r#"format = 1
[[config]]
name = "web"
layers = ["web.toml"]
rules = ["step"]

[rule.step]
at = "/n"
max_factor = 2
override = "trailer"
"#;

const GROW: &str = "Grow\n\nHeadwater-Allow: step launch day\n";

/// A repository in which `n` has been 1, and is 10 in what is staged.
fn grown() -> WorkTree {
    let tree = WorkTree::with(&[("headwater.toml", MANIFEST), ("web.toml", "n = 1\n")]);
    tree.write("web.toml", "n = 10\n");
    tree.git(&["add", "-A"]);
    tree
}

impl WorkTree {
    fn check_message(&self, message: &str) -> String {
        self.write(".git/MESSAGE", message);
        self.headwater(&["check", "--staged", "--message-file", ".git/MESSAGE"])
    }
}

#[test]
fn a_trailer_of_the_message_allows_what_it_will_allow_in_the_commit() {
    let tree = grown();
    let told = tree.check_message(GROW);
    assert!(
        told.starts_with("exit 0\n") && told.contains("allowed by trailer: launch day"),
        "{told}"
    );
    tree.git(&["commit", "-q", "-m", GROW]);
    assert_eq!(tree.headwater(&["check", "HEAD"]), told);
}

#[test]
fn without_a_message_it_is_said_where_there_is_one() {
    insta::assert_snapshot!(grown().headwater(&["check", "--staged"]), @"
    exit 1
    error[rule/step]: this value may not change by more than 2× in one step: `1` → `10`
     --> web.toml:1:5
      |
    1 | n = 10
      |     ^^ /n
      |
      = note: in config `web`
      = help: if it must be, write `Headwater-Allow: step <reason>` into the commit message

    what a code means: headwater explain-code rule/step
    1 error in 1 config: the commit would be rejected
    --- standard error
    note: there is no commit message yet: where a rule looks at it, or lets a trailer allow a step, check in the hook `commit-msg`, with `headwater check --staged --message-file FILE`
    ");
}

#[test]
fn what_the_editor_explains_is_no_part_of_the_message() {
    let tree = grown();
    let rejected = |message: &str| {
        let told = tree.check_message(message);
        assert!(told.starts_with("exit 1\n"), "{message}\n{told}");
    };
    rejected("# explained\nHeadwater-Allow: step in the subject\n");
    rejected("Grow\n\n# Headwater-Allow: step launch day\n");
    rejected(
        "Grow\n\n# ------------------------ >8 ------------------------\n# Do not modify\n\nHeadwater-Allow: step day\n",
    );
    tree.git(&["config", "core.commentChar", ";"]);
    rejected("; explained\nHeadwater-Allow: step in the subject\n");
    let told = tree.check_message("; explained\nGrow\n\nHeadwater-Allow: step day\n; more\n");
    assert!(told.starts_with("exit 0\n"), "{told}");
}

#[test]
fn a_message_is_cleaned_up_as_git_does_it() {
    let tree = WorkTree::new();
    let repository = LocalRepository::discover(tree.path(), &ObjectDirs::default())
        .unwrap()
        .unwrap();
    for text in [
        "",
        "\n\n",
        "# only\n#\n",
        "a",
        "\n \na  \n\t\n\n  b\r\n#c\n\n\nd\u{b}\n#\n\ne #f\n\n",
        "a\n#b\nc\n\n#d\n\n#e\nf\n",
    ] {
        let mut command = git();
        command
            .current_dir(tree.path())
            .args(["stripspace", "--strip-comments"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let expected = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        assert_eq!(repository.cleanup().apply(text), expected, "{text:?}");
    }
}

#[test]
fn the_author_is_who_git_says() {
    let tree = WorkTree::with(&[
        (
            "headwater.toml",
            "format = 1\n[[config]]\nname = \"web\"\nlayers = [\"web.toml\"]\nrules = [\"mine\"]\n\n[rule.mine]\nexpr = \
         \"commit.author == 'ada@example.test'\"\n",
        ),
        ("web.toml", "n = 1\n"),
    ]);
    tree.git(&["add", "-A"]);
    tree.git(&["config", "user.email", "somebody@example.test"]);
    assert!(tree.check_message("Edit\n").starts_with("exit 1\n"));
    tree.git(&["config", "user.email", "ada@example.test"]);
    let told = tree.check_message("Edit\n");
    assert!(told.starts_with("exit 0\n"), "{told}");
}

#[test]
fn a_message_that_takes_a_commit_back_may_go_all_the_way() {
    let tree = grown();
    tree.git(&["commit", "-q", "-m", GROW]);
    tree.git(&["revert", "--no-commit", "HEAD"]);
    let message = std::fs::read_to_string(tree.join(".git/MERGE_MSG")).unwrap();
    let told = tree.check_message(&message);
    assert!(told.starts_with("exit 0\n"), "{told}");
    tree.git(&["commit", "-q", "-m", &message]);
    assert_eq!(tree.headwater(&["check", "HEAD"]), told);
}

#[test]
fn commits_that_come_with_it_stand_on_what_was_allowed_to_them() {
    let tree = grown();
    tree.git(&["commit", "-q", "-m", GROW]);
    tree.write("other.txt", "x\n");
    tree.git(&["add", "-A"]);
    for args in [
        &["check", "--against", "HEAD~1"][..],
        &["check", "--staged", "--against", "HEAD~1"],
    ] {
        let told = tree.headwater(args);
        assert!(told.starts_with("exit 0\n"), "{args:?}: {told}");
    }
}

#[test]
fn a_message_is_of_what_is_staged_and_of_one_commit() {
    let tree = grown();
    for args in [
        &["check", "--message-file", "m"][..],
        &["check", "--staged", "--watch", "--message-file", "m"],
    ] {
        assert!(tree.headwater(args).starts_with("exit 2\n"), "{args:?}");
    }
    insta::assert_snapshot!(tree.headwater(&["check", "--staged", "--message-file", "nothing"]), @"
    exit 2
    --- standard error
    error: cannot read `nothing`
    cause: No such file or directory (os error 2)
    hint: check the path and its permissions
    ");
}

#[test]
fn the_hook_of_the_page_knows_the_message() {
    let tree = grown();
    let mut hooks = blocks(&page("docs/authors.md"), "sh");
    hooks.retain(|block| block.starts_with("#!/bin/sh\n") && block.contains("--message-file"));
    assert_eq!(hooks.len(), 1, "{hooks:?}");
    let bin = WorkTree::plain();
    symlink(env!("CARGO_BIN_EXE_command"), bin.join("headwater")).unwrap();
    tree.write(".git/hooks/commit-msg", &hooks.remove(0));
    std::fs::set_permissions(
        tree.join(".git/hooks/commit-msg"),
        std::fs::Permissions::from_mode(0o755),
    )
    .unwrap();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::iter::once(bin.path().to_owned()).chain(std::env::split_paths(&path));
    let path = std::env::join_paths(dirs).unwrap();
    let commit = |message: &str| -> Output {
        git()
            .current_dir(tree.path())
            .env("PATH", &path)
            .args(["commit", "-q", "-m", message])
            .output()
            .unwrap()
    };
    let refused = commit("Grow");
    assert!(!refused.status.success(), "{refused:?}");
    let taken = commit(GROW);
    assert!(taken.status.success(), "{taken:?}");
}
