//! `headwater check` on files that would take for ever, or take all memory: it ends, with the words of a server.

use crate::command::{Running, WorkTree, program};
use crate::sandbox_hostile::alternatives;

const MANIFEST: &str =
    "format = 1\n[[config]]\nname = \"x\"\nlayers = [\"x.json\"]\nschema = \"x.schema.json\"\n";

/// A work tree with a good commit, and files on top that no validator comes to an end with.
fn hostile() -> WorkTree {
    let tree = WorkTree::with(&[
        ("headwater.toml", MANIFEST),
        ("x.schema.json", "{\"type\": \"object\"}"),
        ("x.json", "{}"),
    ]);
    let (schema, document) = alternatives();
    tree.write("x.schema.json", &schema);
    tree.write("x.json", &document);
    tree
}

const TOO_LONG: &str = "error[limit/deadline]: the verdict took longer than 500 ms";

#[test]
fn every_way_to_check_ends_at_the_deadline_and_rejects() {
    let tree = hostile();
    let check = |args: &[&str]| tree.headwater(&[&["check", "--deadline", "500ms"], args].concat());
    insta::assert_snapshot!(check(&[]), @"
    exit 1
    error[limit/deadline]: the verdict took longer than 500 ms
     |
     = help: look for very large or deeply recursive documents and schemas in this commit

    what a code means: headwater explain-code limit/deadline
    1 error: the commit would be rejected
    ");
    tree.git(&["add", "-A"]);
    tree.git(&["commit", "-q", "-m", "hostile"]);
    for args in [
        &["--staged"][..],
        &["HEAD"],
        &["--against", "HEAD~1"],
        &["--fix"],
        &["."],
    ] {
        let told = check(args);
        assert!(
            told.starts_with("exit 1\n") && told.contains(TOO_LONG),
            "{args:?}: {told}"
        );
    }
}

#[test]
fn every_format_tells_it_and_blames_no_file() {
    let tree = hostile();
    let check = |format: &str| tree.headwater(&["check", "--deadline", "500ms", "--format", format]);
    insta::assert_snapshot!(check("github"), @"
    exit 1
    ::error title=limit/deadline::the verdict took longer than 500 ms%0Ahelp: look for very large or deeply recursive documents and schemas in this commit
    ");
    for format in ["json", "sarif", "junit"] {
        let told = check(format);
        assert!(
            told.starts_with("exit 1\n") && told.contains("limit/deadline"),
            "{format}: {told}"
        );
        assert!(!told.contains("headwater.toml"), "{format}: {told}");
    }
}

#[test]
fn a_watch_goes_on_after_a_verdict_that_was_ended() {
    let tree = hostile();
    let mut watch = Running::start(program(tree.path()).args(["check", "--watch", "--deadline", "2s"]));
    watch.line("error[limit/deadline]");
    tree.write("x.schema.json", "{\"type\": \"object\"}");
    watch.line("gone: limit/deadline: the verdict took longer than 2 s");
    watch.line("the commit would be admitted");
}

#[test]
fn a_good_commit_on_a_hostile_one_is_good() {
    let tree = hostile();
    tree.commit("hostile");
    tree.write("x.schema.json", "{\"type\": \"object\"}");
    let told = tree.headwater(&["check", "--deadline", "10s"]);
    assert!(told.ends_with("the commit would be admitted\n"), "{told}");
}

#[test]
fn a_deadline_is_a_time_in_which_something_can_be_done() {
    let tree = hostile();
    for (deadline, why) in [
        ("0", "in no time nothing can be judged"),
        ("soon", "expected a duration such as `30s`, `500ms` or `5m`"),
    ] {
        let told = tree.headwater(&["check", "--deadline", deadline]);
        assert!(told.starts_with("exit 2\n") && told.contains(why), "{told}");
    }
}
