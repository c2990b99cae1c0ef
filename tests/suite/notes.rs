//! What the service notes in the repository of what became of its commits.

use std::time::Duration;

use headwater_server::git::push::{PushMethod, WriteAccess};
use headwater_server::settings::NotesSettings;
use headwater_tests::origin::{CommitSpec, TestOrigin};
use headwater_tests::server::Stopped;
use headwater_tests::wait::wait_until;
use headwater_wire::CommitId;

use crate::forge::origin;
use crate::git_support::upstream;

const NOTES: &str = "refs/notes/headwater";

/// The same server, which may write notes.
pub(crate) fn with_notes(server: Stopped, origin: &TestOrigin) -> Stopped {
    let access = WriteAccess {
        upstream: upstream(&origin.path_url()),
        method: PushMethod::ReceivePack,
    };
    server.each(|repo| {
        repo.write.allowed = true;
        repo.notes = Some(NotesSettings {
            access: access.clone(),
            committer: ("Headwater".to_owned(), "headwater@example.test".to_owned()),
            pause: Duration::from_millis(100),
        });
    })
}

/// The note of a commit, if there is one.
pub(crate) fn shown(origin: &TestOrigin, commit: &CommitId) -> Option<String> {
    let args = ["notes", "--ref", NOTES, "show", commit.as_str()];
    origin.git_ok(&args).then(|| origin.git(&args))
}

fn until_shown(origin: &TestOrigin, commit: &CommitId, text: &str) {
    wait_until(&format!("`{text}` on {commit}"), || {
        shown(origin, commit).is_some_and(|note| note.contains(text))
    });
}

#[test]
fn the_log_of_the_repository_tells_what_became_of_its_commits() {
    let (origin, first) = origin();
    let server = with_notes(Stopped::of(&origin.path_url()), &origin).start();
    until_shown(&origin, &first, "Headwater-Published: 2");
    let bad = origin.commit(&[("a.toml", Some("x = [\n"))], "break");
    server.until_head(&bad, "rejected");
    until_shown(&origin, &bad, "rejected");
    let good = origin.commit(&[("a.toml", Some("x = 3\n"))], "mend");
    until_shown(&origin, &good, "Headwater-Published: 2");
    let back = origin.commit_spec(&CommitSpec {
        branch: "main",
        parent: Some(good.clone()),
        merged: Vec::new(),
        entries: vec![("100644", "a.toml", Some(b"x = 1\n"))],
        message: &format!("Roll back\n\nBecause.\n\nRollback-To: {first}\n"),
        at: None,
    });
    until_shown(&origin, &good, "Rolled-Back-By");
    until_shown(&origin, &bad, "Rolled-Back-By");
    until_shown(&origin, &back, "Headwater-Published: 2");
    drop(server);
    let log = origin.git(&["log", "--notes=headwater", "--format=%s%n%N", "main"]);
    let told: Vec<String> = log
        .lines()
        .filter(|line| !line.is_empty())
        .map(|line| match line.split_once(": 2") {
            Some((name, _)) if name.ends_with("Published") => format!("{name}: (then)"),
            _ => line.replace(back.as_str(), "(the commit that went back)"),
        })
        .collect();
    insta::assert_snapshot!(told.join("\n"), @"
    Roll back
    Headwater-Verdict: admitted
    Headwater-Published: (then)
    mend
    Headwater-Verdict: admitted
    Headwater-Published: (then)
    Headwater-Rolled-Back-By: (the commit that went back)
    break
    Headwater-Verdict: rejected
    Headwater-Reason: 2 errors; tree/lost-config at a.toml:1
    Headwater-Rolled-Back-By: (the commit that went back)
    begin
    Headwater-Verdict: admitted
    Headwater-Published: (then)
    ");
}

#[test]
fn what_a_merged_target_was_made_from_is_not_noted_as_taken_back() {
    let (origin, first) = origin();
    let server = with_notes(Stopped::of(&origin.path_url()), &origin).start();
    let after =
        |branch: &'static str, parent: &CommitId, merged: Vec<CommitId>, text: &str, message: &str| {
            origin.commit_spec(&CommitSpec {
                branch,
                parent: Some(parent.clone()),
                merged,
                entries: vec![("100644", "a.toml", Some(text.as_bytes()))],
                message,
                at: None,
            })
        };
    let side = after("side", &first, Vec::new(), "x = 2\n", "aside");
    let second = after("main", &first, Vec::new(), "x = 3\n", "second");
    let merge = after("main", &second, vec![side.clone()], "x = 4\n", "merge");
    let message = format!("Roll back\n\nBecause.\n\nRollback-To: {side}\n");
    let back = after("main", &merge, Vec::new(), "x = 2\n", &message);
    for undone in [&merge, &second] {
        until_shown(&origin, undone, &format!("Rolled-Back-By: {back}"));
    }
    drop(server);
    for stayed in [&first, &side] {
        let note = shown(&origin, stayed).unwrap_or_default();
        assert!(!note.contains("Rolled-Back-By"), "{note}");
    }
}

#[test]
fn a_restart_notes_nothing_again() {
    let (origin, first) = origin();
    let server = with_notes(Stopped::of(&origin.path_url()), &origin).start();
    until_shown(&origin, &first, "Headwater-Published: 2");
    let before = origin.at(NOTES);
    let server = server.restart();
    server.until_tip(&first);
    let second = origin.commit(&[("a.toml", Some("x = 2\n"))], "change");
    until_shown(&origin, &second, "Headwater-Published: 2");
    let parents = origin.git(&["log", "--format=%P", "-1", NOTES]);
    assert_eq!(parents, before.unwrap().as_str());
}

#[test]
fn an_upstream_that_takes_no_notes_is_left_alone_and_nothing_waits_for_it() {
    let (origin, first) = origin();
    origin.hook(
        "update",
        "echo no >> \"$GIT_DIR/asked\"; echo 'notes are not welcome' >&2; exit 1",
    );
    let server = with_notes(Stopped::of(&origin.path_url()), &origin).start();
    server.until_tip(&first);
    let asked = || std::fs::read_to_string(origin.path().join("asked")).unwrap_or_default();
    wait_until("the refusal", || !asked().is_empty());
    for number in 2..5 {
        let commit = origin.commit(&[("a.toml", Some(&format!("x = {number}\n")))], "change");
        server.until_tip(&commit);
    }
    drop(server);
    assert_eq!(asked(), "no\n");
    assert_eq!(origin.at(NOTES), None);
}

#[test]
fn notes_that_could_not_be_pushed_come_with_the_next() {
    let (origin, first) = origin();
    // Locked for a moment, as by somebody else's push.
    let lock = origin.path().join(format!("{NOTES}.lock"));
    std::fs::create_dir_all(lock.parent().unwrap()).unwrap();
    std::fs::write(&lock, "").unwrap();
    let server = with_notes(Stopped::of(&origin.path_url()), &origin).start();
    server.until_tip(&first);
    let second = origin.commit(&[("a.toml", Some("x = 2\n"))], "change");
    server.until_tip(&second);
    std::fs::remove_file(&lock).unwrap();
    until_shown(&origin, &first, "Headwater-Published: 2");
    until_shown(&origin, &second, "Headwater-Published: 2");
}
