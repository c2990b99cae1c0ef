//! Notes: what became of commits, beside what other people note, and never instead of it.

use headwater_server::git::notes::{NoteText, Noted};
use headwater_server::git::push::{PushError, PushMethod, WriteAccess};
use headwater_server::git::stop::Stop;
use headwater_tests::git_http::{Fault, FaultOn, GitHttp};
use headwater_tests::origin::TestOrigin;
use headwater_wire::{CommitId, Person, Timestamp};

use crate::git_support::{Bench, upstream};

const NOTES: &str = "refs/notes/headwater";

fn access(url: &str) -> WriteAccess {
    WriteAccess {
        upstream: upstream(url),
        method: PushMethod::ReceivePack,
    }
}

fn service() -> Person {
    Person {
        name: "Headwater".to_owned(),
        email: "headwater@example.test".to_owned(),
        at: Timestamp::from_seconds(1_700_200_000),
    }
}

fn note(commit: &CommitId, text: &str) -> NoteText {
    NoteText {
        commit: commit.clone(),
        text: text.to_owned(),
    }
}

fn append(bench: &mut Bench, url: &str, notes: &[NoteText]) -> Result<Noted, PushError> {
    bench
        .mirror
        .append_notes(&access(url), notes, &service(), &Stop::new())
}

/// Where the note of a commit stands in directories of two digits.
fn fanned(id: &str) -> String {
    let (dir, rest) = id.split_at(2);
    format!("{dir}/{rest}")
}

fn shown(origin: &TestOrigin, commit: &CommitId) -> String {
    origin.git(&["notes", "--ref", NOTES, "show", commit.as_str()])
}

#[test]
fn git_log_tells_the_story_and_nothing_is_told_twice() {
    for format in ["sha1", "sha256"] {
        let origin = TestOrigin::with_format(format);
        origin.allow_push();
        let first = origin.commit(&[("a", Some("1"))], "First");
        let second = origin.commit(&[("a", Some("2"))], "Second");
        let server = GitHttp::plain(origin.root());
        let mut bench = Bench::of(&server.url());
        bench.sync().unwrap();
        let refs = bench.refs();
        let told = [
            note(&first, "admitted"),
            note(&second, "rejected\na.toml: no"),
            note(&first, "published"),
        ];
        let noted = append(&mut bench, &server.url(), &told).unwrap();
        assert_eq!(
            (noted.appended, noted.tip.as_ref()),
            (2, origin.at(NOTES).as_ref())
        );
        let again = append(&mut bench, &server.url(), &told).unwrap();
        assert_eq!((again.appended, again.tip), (0, noted.tip));
        append(&mut bench, &server.url(), &[note(&first, "rolled back by ada")]).unwrap();
        let log = origin.git(&["log", "--notes=headwater", "--format=%s%n%N", "main"]);
        insta::allow_duplicates! {
            insta::assert_snapshot!(log, @r"
            Second
            rejected
            a.toml: no

            First
            admitted

            published

            rolled back by ada
            ");
        }
        assert_eq!(origin.git(&["rev-list", "--count", NOTES]), "2");
        origin.git(&["fsck", "--strict", "--full"]);
        assert_eq!(bench.refs(), refs, "a ref of the mirror moved");
    }
}

#[test]
fn notes_of_other_people_stay_also_where_they_are_fanned_out() {
    let origin = TestOrigin::new();
    let commit = origin.commit(&[("a", Some("1"))], "First");
    let mut bench = Bench::of(&origin.path_url());
    bench.sync().unwrap();
    // So many that git spreads them over directories, and a file that is no note.
    let ids: Vec<String> = (0..700_u64)
        .map(|n| format!("{:016x}{:024x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15), n))
        .collect();
    let mut stream = format!("commit {NOTES}\ncommitter x <x@y> 1700000000 +0000\ndata 1\nx\n");
    for id in &ids {
        stream.push_str(&format!("M 100644 inline {}\ndata 6\ntheirs\n", fanned(id)));
    }
    stream.push_str("M 100644 inline README\ndata 2\nhi\n");
    origin.git_with_input(&["fast-import", "--quiet"], stream.as_bytes());
    origin.git(&[
        "notes",
        "--ref",
        NOTES,
        "append",
        "-m",
        "by hand",
        commit.as_str(),
    ]);
    let ours = [note(&commit, "ours"), note(&ids[3].parse().unwrap(), "ours")];
    let noted = append(&mut bench, &origin.path_url(), &ours).unwrap();
    assert_eq!((noted.appended, noted.skipped.len()), (2, 0));
    assert_eq!(shown(&origin, &commit), "by hand\n\nours");
    let list = origin.git(&["notes", "--ref", NOTES, "list"]);
    assert_eq!(list.lines().count(), 701);
    let blob = |path: &str| origin.git(&["show", &format!("{NOTES}:{path}")]);
    assert_eq!(blob(&fanned(&ids[3])), "theirs\n\nours");
    assert_eq!(blob(&fanned(&ids[4])), "theirs");
    assert_eq!(blob("README"), "hi");
    origin.git(&["fsck", "--strict", "--full"]);
    // And git goes on from there.
    origin.git(&[
        "notes",
        "--ref",
        NOTES,
        "append",
        "-m",
        "more by hand",
        commit.as_str(),
    ]);
    assert_eq!(shown(&origin, &commit), "by hand\n\nours\n\nmore by hand");
}

#[test]
fn many_notes_at_once_are_one_commit_that_git_reads() {
    let origin = TestOrigin::new();
    origin.commit(&[("a", Some("1"))], "First");
    let mut bench = Bench::of(&origin.path_url());
    bench.sync().unwrap();
    let texts: Vec<NoteText> = (0..600_u64)
        .map(|n| format!("{:016x}{:024x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15), n))
        .map(|id| note(&id.parse().unwrap(), "text"))
        .collect();
    let noted = append(&mut bench, &origin.path_url(), &texts).unwrap();
    assert_eq!(noted.appended, 600);
    assert_eq!(
        origin.git(&["notes", "--ref", NOTES, "list"]).lines().count(),
        600
    );
    assert_eq!(origin.git(&["rev-list", "--count", NOTES]), "1");
    let wrong = [note(&"1".repeat(64).parse().unwrap(), "other hash function")];
    let noted = append(&mut bench, &origin.path_url(), &wrong).unwrap();
    assert_eq!((noted.appended, noted.skipped.len()), (0, 1));
}

#[test]
fn two_writers_of_notes_lose_nothing() {
    let origin = TestOrigin::new();
    let commit = origin.commit(&[("a", Some("1"))], "First");
    // The first push of ours meets a note that came between our look and the server's lock.
    let by_hand = "unset GIT_QUARANTINE_PATH\nrm -f hooks/pre-receive\n\
                   git notes --ref headwater append -m 'by hand' refs/heads/main";
    origin.hook("pre-receive", by_hand);
    let mut bench = Bench::of(&origin.path_url());
    bench.sync().unwrap();
    let git_identity = ["user.name", "user.email"];
    for key in git_identity {
        origin.git(&["config", key, "x"]);
    }
    append(&mut bench, &origin.path_url(), &[note(&commit, "ours")]).unwrap();
    assert_eq!(shown(&origin, &commit), "by hand\n\nours");
    let url = origin.path_url();
    std::thread::scope(|scope| {
        for writer in ["one", "two"] {
            let (url, commit) = (&url, &commit);
            scope.spawn(move || {
                let mut bench = Bench::of(url);
                bench.sync().unwrap();
                for round in 0..3 {
                    let text = format!("{writer} {round}");
                    // Three tries may not be enough for who loses each time; the next call goes on.
                    while append(&mut bench, url, &[note(commit, &text)]).is_err() {}
                }
            });
        }
    });
    let text = shown(&origin, &commit);
    for expected in [
        "by hand", "ours", "one 0", "one 1", "one 2", "two 0", "two 1", "two 2",
    ] {
        assert_eq!(text.lines().filter(|line| *line == expected).count(), 1, "{text}");
    }
    origin.git(&["fsck", "--strict", "--full"]);
}

#[test]
fn a_cut_answer_is_looked_after_and_a_refusal_is_told() {
    let origin = TestOrigin::new();
    origin.allow_push();
    let commit = origin.commit(&[("a", Some("1"))], "First");
    let server = GitHttp::plain(origin.root());
    let mut bench = Bench::of(&server.url());
    bench.sync().unwrap();
    server.fail_on(FaultOn::Push, Fault::Truncate(0));
    let noted = append(&mut bench, &server.url(), &[note(&commit, "ours")]).unwrap();
    assert_eq!((noted.appended, noted.tip), (1, origin.at(NOTES)));
    assert_eq!(shown(&origin, &commit), "ours");
    server.fail_with(Fault::None);
    origin.hook("update", "echo 'no notes here'; exit 1");
    let error = append(&mut bench, &server.url(), &[note(&commit, "more")]).unwrap_err();
    assert!(matches!(error, PushError::RefusedByHook { .. }), "{error:?}");
    assert!(error.one_line().contains("no notes here"), "{}", error.one_line());
}
