//! `headwater init`: the sample repository, somewhere else.

use std::collections::BTreeMap;
use std::path::Path;

use crate::command::{WorkTree, headwater, program, told};
use crate::sample_repo::files_below;

/// Files of `sample-repo/` as they are in this repository.
fn sample() -> BTreeMap<String, Vec<u8>> {
    files_below(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../sample-repo")))
}

#[test]
fn it_writes_every_file_of_the_sample_and_commits_them() {
    let place = WorkTree::plain();
    insta::assert_snapshot!(place.headwater(&["init", "new/config"]), @"
    exit 0
    made a config repository in `new/config`

      cat new/config/README.md           # how to change a value
      headwater check new/config         # the verdict
      headwater serve --repo new/config  # serve it
    --- standard error
    note: Git does not know your name, so the first commit is by `headwater init`
    ");
    assert_eq!(files_below(&place.join("new/config")), sample());
    assert_eq!(place.git(&["-C", "new/config", "status", "--porcelain"]), "");
    assert_eq!(
        place.git(&["-C", "new/config", "log", "--format=%an %s"]),
        "headwater init Begin with the sample configuration of Headwater"
    );
    assert_eq!(
        headwater(&place.join("new/config"), &["check", "HEAD"]),
        "exit 0\nno findings in 10 configs: the commit would be admitted\n"
    );
}

#[test]
fn the_first_commit_is_in_the_persons_own_name_and_runs_nothing_of_theirs() {
    let place = WorkTree::plain();
    place.write("home/.gitconfig", "[user]\nname = Ada\nemail = ada@example.test\n[commit]\ngpgsign = true\n[gpg]\nprogram = /bin/false\n");
    std::fs::create_dir(place.join("empty")).unwrap();
    let mut command = program(place.path());
    command.env("HOME", place.join("home")).args(["init", "empty"]);
    assert!(told(&mut command).starts_with("exit 0\n"));
    assert_eq!(
        place.git(&["-C", "empty", "log", "--format=%an <%ae>"]),
        "Ada <ada@example.test>"
    );
}

#[test]
fn a_directory_with_anything_in_it_is_left_alone() {
    let place = WorkTree::plain();
    place.write("mine/thesis.txt", "years of work");
    insta::assert_snapshot!(place.headwater(&["init", "mine"]), @"
    exit 1
    --- standard error
    error: the directory is not empty: `mine`
    hint: name a new directory; nothing is ever written over
    ");
    assert_eq!(files_below(&place.join("mine")).len(), 1);
    assert!(
        place
            .headwater(&["init", "mine/thesis.txt"])
            .starts_with("exit 2\n")
    );
}

#[test]
fn inside_another_repositorys_hook_it_still_makes_its_own() {
    let tree = WorkTree::with(&[("a.toml", "x = 1\n")]);
    let mut command = program(tree.path());
    command
        .env("GIT_DIR", tree.join(".git"))
        .env("GIT_INDEX_FILE", tree.join(".git/index"));
    assert!(told(command.args(["init", "new"])).starts_with("exit 0\n"));
    assert_eq!(tree.git(&["log", "--format=%s"]), "first");
    assert!(tree.join("new/.git").is_dir());
}

#[test]
fn without_git_the_files_are_written_all_the_same() {
    let place = WorkTree::plain();
    insta::assert_snapshot!(told(program(place.path()).env("PATH", "/nonexistent").args(["init", "new"])), @"
    exit 0
    wrote a config repository to `new`
    --- standard error
    note: `git` is not installed, so nothing was committed
    ");
    assert_eq!(files_below(&place.join("new")), sample());
}
