//! Work trees that would hang, crash or mislead a careless reader.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use crate::command::{WorkTree, outside, program, told};

#[test]
fn links_that_lead_in_circles_or_away_are_never_followed() {
    for tree in [WorkTree::plain(), WorkTree::new()] {
        let outside = WorkTree::plain();
        outside.write("secret.toml", "not = toml = here\n");
        symlink(".", tree.join("loop")).unwrap();
        symlink("../..", tree.join("up")).unwrap();
        symlink(outside.path(), tree.join("away")).unwrap();
        symlink(outside.join("secret.toml"), tree.join("linked.toml")).unwrap();
        symlink("gone", tree.join("dangling.yaml")).unwrap();
        tree.write("a.toml", "x = 1\n");
        let told = tree.headwater(&["check"]);
        assert!(told.starts_with("exit 0\n") && !told.contains("secret"), "{told}");
        assert!(
            told.contains("linked.toml:1:1") && told.contains("would be admitted"),
            "{told}"
        );
    }
}

#[test]
fn a_pipe_in_the_tree_neither_hangs_nor_counts() {
    for tree in [WorkTree::plain(), WorkTree::new()] {
        let made = Command::new("mkfifo")
            .arg(tree.join("pipe.toml"))
            .status()
            .unwrap();
        assert!(made.success());
        let socket = std::os::unix::net::UnixListener::bind(tree.join("socket.toml")).unwrap();
        assert_eq!(
            tree.headwater(&["check"]),
            "exit 0\nno findings in 0 configs: the commit would be admitted\n"
        );
        drop(socket);
    }
}

#[test]
fn a_tracked_file_that_became_a_pipe_is_gone() {
    let tree = WorkTree::with(&[("a.toml", "x = 1\n"), ("b.toml", "x = 1\n")]);
    std::fs::remove_file(tree.join("a.toml")).unwrap();
    assert!(
        Command::new("mkfifo")
            .arg(tree.join("a.toml"))
            .status()
            .unwrap()
            .success()
    );
    assert!(tree.headwater(&["check"]).contains("in 1 config:"));
}

#[test]
fn a_large_file_is_named_and_not_read() {
    let tree = WorkTree::new();
    tree.write("big.json", &format!("\"{}\"", "x".repeat(5 << 20)));
    tree.write("big.bin", &"x".repeat(5 << 20));
    tree.git(&["add", "-A"]);
    let told = tree.headwater(&["check"]);
    insta::assert_snapshot!(told, @"
    exit 1
    error[limit/file-bytes]: the file is larger than 1048576 bytes: `5242882`
    --> big.json:1:1
     = help: split it into layers or configs

    what a code means: headwater explain-code limit/file-bytes
    1 error in 1 config: the commit would be admitted, without what cannot be read
    ");
    assert_eq!(tree.headwater(&["check", "--staged"]), told);
    tree.commit("big");
    assert_eq!(tree.headwater(&["check", "HEAD"]), told);
}

#[test]
fn a_name_that_is_not_utf_8_is_told_in_the_same_words_everywhere() {
    let tree = WorkTree::new();
    std::fs::write(tree.path().join(OsStr::from_bytes(b"caf\xe9.toml")), "x = 1\n").unwrap();
    let told = tree.headwater(&["check"]);
    insta::assert_snapshot!(told, @r"
    exit 0
    warning[tree/name]: name is not UTF-8: `caf\xe9.toml`
    --> caf\xe9.toml:1:1
     = help: rename or remove the entry; such a name is never followed

    what a code means: headwater explain-code tree/name
    1 warning in 0 configs: the commit would be admitted
    ");
    tree.git(&["add", "-A"]);
    assert_eq!(tree.headwater(&["check", "--staged"]), told);
    tree.commit("name");
    assert_eq!(tree.headwater(&["check", "HEAD"]), told);
    let plain = WorkTree::plain();
    std::fs::write(plain.path().join(OsStr::from_bytes(b"caf\xe9.toml")), "x = 1\n").unwrap();
    assert_eq!(plain.headwater(&["check"]), told);
}

#[test]
fn a_repository_inside_is_a_submodule_whether_or_not_it_is_one_yet() {
    let tree = WorkTree::with(&[("a.toml", "x = 1\n")]);
    tree.git(&["init", "-q", "inner"]);
    tree.write("inner/bad.toml", "not = toml = here\n");
    let told = tree.headwater(&["check"]);
    insta::assert_snapshot!(told, @"
    exit 0
    warning[tree/submodule]: a submodule is never fetched
    --> inner:1:1
     = help: commit its files here, or serve it as a repository of its own

    what a code means: headwater explain-code tree/submodule
    1 warning in 1 config: the commit would be admitted
    ");
    tree.git(&["-C", "inner", "commit", "-q", "--allow-empty", "-m", "inner"]);
    tree.git(&["add", "inner"]);
    assert_eq!(tree.headwater(&["check", "--staged"]), told);
    tree.git(&["commit", "-q", "-m", "inner"]);
    assert_eq!(tree.headwater(&["check", "HEAD"]), told);
    // Where the submodule was not checked out, its directory is empty.
    std::fs::remove_dir_all(tree.join("inner")).unwrap();
    std::fs::create_dir(tree.join("inner")).unwrap();
    assert_eq!(tree.headwater(&["check"]), told);
}

#[test]
fn a_deep_tree_ends_in_a_finding_and_not_in_a_crash() {
    let tree = WorkTree::plain();
    let deep = "d/".repeat(80);
    tree.write(&format!("{deep}a.toml"), "x = 1\n");
    let told = tree.headwater(&["check"]);
    assert!(told.starts_with("exit 1\n"), "{told}");
    assert!(
        told.contains("limit/tree") && told.contains("levels of directories"),
        "{told}"
    );
}

#[test]
fn a_file_that_may_not_be_read_is_no_verdict() {
    let tree = WorkTree::plain();
    tree.write("a.toml", "x = 1\n");
    std::fs::set_permissions(tree.path(), PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::set_permissions(tree.join("a.toml"), PermissionsExt::from_mode(0o000)).unwrap();
    let mut command = program(tree.path());
    // Root may read everything, unless it gives up its right to. Somebody else might not reach the program itself,
    // where the build stands in a directory of root's own.
    if std::fs::read(tree.join("a.toml")).is_ok() {
        let checked = command.get_program().to_owned();
        command = outside(tree.path(), "setpriv");
        command.arg("--bounding-set=-all").arg(checked);
    }
    command.args(["check", "."]);
    insta::assert_snapshot!(told(&mut command), @"
    exit 2
    --- standard error
    error: cannot read `./a.toml`
    cause: Permission denied (os error 13)
    hint: check the path and its permissions
    ");
}

#[test]
fn a_damaged_repository_is_no_verdict() {
    let tree = WorkTree::with(&[("a.toml", "x = 1\n")]);
    std::fs::write(tree.join(".git/index"), "this is no index").unwrap();
    let told = tree.headwater(&["check", "--staged"]);
    assert!(
        told.starts_with("exit 2\n") && told.contains("cannot read the index"),
        "{told}"
    );
    let blob = tree.git(&["rev-parse", "HEAD:a.toml"]);
    let (dir, file) = blob.split_at(2);
    std::fs::remove_file(tree.join(&format!(".git/objects/{dir}/{file}"))).unwrap();
    let told = tree.headwater(&["check", "HEAD"]);
    assert!(
        told.starts_with("exit 2\n") && told.contains("git fsck"),
        "{told}"
    );
}

#[test]
fn a_message_cannot_steer_the_terminal() {
    let tree = WorkTree::plain();
    tree.write("a.toml", "x = \u{1b}[2J\n");
    let told = tree.headwater(&["check"]);
    assert!(
        told.starts_with("exit 1\n") && !told.contains('\u{1b}'),
        "{told:?}"
    );
}

#[test]
fn a_file_that_no_server_fetches_is_told_before_it_is_pushed() {
    let tree = WorkTree::with(&[("a.toml", "x = 1\n")]);
    let dump = std::fs::File::create(tree.join("dump.bin")).unwrap();
    dump.set_len((128 << 20) + 1).unwrap();
    drop(dump);
    let told = tree.headwater(&["check"]);
    insta::assert_snapshot!(told, @"
    exit 1
    error[limit/object-bytes]: no server fetches a file larger than 134217728 bytes: `134217729`
    --> dump.bin:1:1
     = help: take it out of the commit before it is pushed: once it is on the branch, nothing after it is served

    what a code means: headwater explain-code limit/object-bytes
    1 error in 1 config: the commit would be rejected
    ");
    tree.git(&["add", "-A"]);
    assert_eq!(tree.headwater(&["check", "--staged"]), told);
    tree.commit("dump");
    assert_eq!(tree.headwater(&["check", "HEAD"]), told);
}
