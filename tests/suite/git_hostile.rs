//! Upstreams that lie: nothing of theirs is adopted, nothing grows without a limit, and what was good stays.

use std::time::{Duration, Instant};

use headwater_server::git::error::GitError;
use headwater_server::git::limits::MirrorLimits;
use headwater_server::git::stop::Stop;
use headwater_tests::hostile::{Hostile, Script};
use headwater_tests::origin::{CommitSpec, TestOrigin};
use headwater_wire::CommitId;

use crate::git_support::{Bench, assert_no_secret, assert_reads_like_git, branch, limits, named, upstream};

/// A pack of exactly these objects, complete or not.
fn pack_of(origin: &TestOrigin, objects: &[&str]) -> Vec<u8> {
    let names = objects
        .iter()
        .map(|object| origin.git(&["rev-parse", object]) + "\n")
        .collect::<String>();
    origin.git_with_input(&["pack-objects", "--stdout", "-q"], names.as_bytes())
}

fn main_at(commit: &CommitId) -> Vec<String> {
    vec![
        format!("{commit} HEAD symref-target:refs/heads/main"),
        format!("{commit} refs/heads/main"),
    ]
}

fn two_commits() -> (TestOrigin, CommitId, CommitId) {
    let origin = TestOrigin::new();
    let one = origin.commit(&[("a.toml", Some("1")), ("dir/b.toml", Some("b1"))], "one");
    let two = origin.commit(&[("a.toml", Some("2")), ("dir/b.toml", Some("b2"))], "two");
    (origin, one, two)
}

/// A mirror that follows `origin` honestly and is then turned over to the liar.
fn turned_over(origin: &TestOrigin, script: Script) -> (Bench, Hostile) {
    let mut bench = Bench::of(&origin.path_url());
    bench.sync().expect("an honest fetch");
    let hostile = Hostile::start(script);
    let Bench { dir, mirror } = bench;
    drop(mirror);
    let mirror =
        headwater_server::git::Mirror::open(&dir.path().join("mirror"), upstream(&hostile.url()), limits());
    (
        Bench {
            dir,
            mirror: mirror.expect("a mirror"),
        },
        hostile,
    )
}

#[test]
fn a_pack_with_a_hole_is_refused_and_forgotten_on_a_first_fetch() {
    let (origin, _, two) = two_commits();
    let all = [
        "main",
        "main^{tree}",
        "main:dir",
        "main:a.toml",
        "main:dir/b.toml",
    ];
    let older = [
        "main~1",
        "main~1^{tree}",
        "main~1:dir",
        "main~1:a.toml",
        "main~1:dir/b.toml",
    ];
    for missing in 1..all.len() {
        let mut objects: Vec<&str> = all.iter().chain(&older).copied().collect();
        objects.remove(missing);
        let hostile = Hostile::start(Script::Serve {
            refs: main_at(&two),
            pack: pack_of(&origin, &objects),
        });
        let mut bench = Bench::of(&hostile.url());
        let error = bench.sync().unwrap_err();
        assert!(
            matches!(error, GitError::Incomplete { .. }),
            "without {}: {error:?}",
            all[missing]
        );
        assert_eq!(bench.mirror.recorded(&branch("main")), None);
        assert!(!bench.mirror.reader().contains(&two));
        assert_eq!(bench.mirror.packs().unwrap(), 0, "the pack was not deleted");
    }
}

#[test]
fn a_pack_with_a_hole_leaves_the_state_before_and_an_honest_fetch_then_works() {
    for objects in [
        vec!["main"],
        vec!["main", "main^{tree}"],
        vec!["main", "main^{tree}", "main:dir", "main:a.toml"],
    ] {
        let origin = TestOrigin::new();
        let one = origin.commit(&[("a.toml", Some("1")), ("dir/b.toml", Some("b1"))], "one");
        let liar = TestOrigin::new();
        let same = liar.commit(&[("a.toml", Some("1")), ("dir/b.toml", Some("b1"))], "one");
        assert_eq!(one, same);
        let two = liar.commit(&[("a.toml", Some("2")), ("dir/b.toml", Some("b2"))], "two");
        let script = Script::Serve {
            refs: main_at(&two),
            pack: pack_of(&liar, &objects),
        };
        let (mut bench, _hostile) = turned_over(&origin, script);
        let error = bench.sync().unwrap_err();
        assert!(
            matches!(error, GitError::Incomplete { .. }),
            "{objects:?}: {error:?}"
        );
        assert_eq!(bench.mirror.recorded(&branch("main")), Some(one.clone()));
        assert_reads_like_git(&bench.mirror.reader(), &origin, &one);
        let Bench { dir, mirror } = bench;
        drop(mirror);
        let mirror = headwater_server::git::Mirror::open(
            &dir.path().join("mirror"),
            upstream(&liar.path_url()),
            limits(),
        );
        let mut bench = Bench {
            dir,
            mirror: mirror.unwrap(),
        };
        assert_eq!(bench.sync().unwrap(), two);
        assert_reads_like_git(&bench.mirror.reader(), &liar, &two);
    }
}

#[test]
fn a_pack_that_a_killed_process_had_not_checked_is_not_trusted_later() {
    for keep in [&["--keep"][..], &[]] {
        let (origin, one, two) = two_commits();
        origin.force_reset("main", &one);
        let mut bench = Bench::of(&origin.path_url());
        bench.sync().unwrap();
        let pack = pack_of(&origin, &[two.as_str()]);
        let args = [&["index-pack", "--stdin"], keep].concat();
        let git_dir = bench.repository();
        git_with_input(&git_dir, &args, &pack);
        origin.force_reset("main", &two);
        let mut bench = bench.reopen();
        if keep.is_empty() {
            let error = bench.sync().unwrap_err();
            assert!(matches!(error, GitError::MirrorBroken { .. }), "{error:?}");
        }
        assert_eq!(bench.sync().unwrap(), two);
        assert_reads_like_git(&bench.mirror.reader(), &origin, &two);
    }
}

fn git_with_input(git_dir: &std::path::Path, args: &[&str], input: &[u8]) {
    let file = tempfile::tempfile().and_then(|mut file| {
        std::io::Write::write_all(&mut file, input)?;
        std::io::Seek::rewind(&mut file)?;
        Ok(file)
    });
    let mut command = headwater_tests::origin::git();
    command
        .arg("--git-dir")
        .arg(git_dir)
        .args(args)
        .stdin(file.expect("a temporary file"));
    assert!(command.output().expect("git runs").status.success(), "git failed");
}

#[test]
fn a_history_without_one_of_its_commits_is_refused() {
    let (origin, _, two) = two_commits();
    let objects = [
        "main",
        "main^{tree}",
        "main:dir",
        "main:a.toml",
        "main:dir/b.toml",
    ];
    let hostile = Hostile::start(Script::Serve {
        refs: main_at(&two),
        pack: pack_of(&origin, &objects),
    });
    let error = Bench::of(&hostile.url()).sync().unwrap_err();
    assert!(matches!(error, GitError::Incomplete { .. }), "{error:?}");
}

#[test]
fn an_older_commit_with_a_hole_in_its_tree_is_refused() {
    let (origin, _, two) = two_commits();
    let objects = [
        "main",
        "main^{tree}",
        "main:dir",
        "main:a.toml",
        "main:dir/b.toml",
        "main~1",
        "main~1^{tree}",
        "main~1:dir",
    ];
    let hostile = Hostile::start(Script::Serve {
        refs: main_at(&two),
        pack: pack_of(&origin, &objects),
    });
    let error = Bench::of(&hostile.url()).sync().unwrap_err();
    assert!(matches!(error, GitError::Incomplete { .. }), "{error:?}");
}

#[test]
fn a_branch_that_leads_to_a_file_is_refused() {
    let (origin, _, _) = two_commits();
    let blob: CommitId = origin.git(&["rev-parse", "main:a.toml"]).parse().unwrap();
    let hostile = Hostile::start(Script::Serve {
        refs: main_at(&blob),
        pack: pack_of(&origin, &["main:a.toml"]),
    });
    let mut bench = Bench::of(&hostile.url());
    let error = bench.sync().unwrap_err();
    assert!(
        matches!(error, GitError::Incomplete { .. } | GitError::BadAnswer(_)),
        "{error:?}"
    );
    assert_eq!(bench.mirror.recorded(&branch("main")), None);
}

#[test]
fn packs_that_are_no_packs_are_refused() {
    let (origin, _, two) = two_commits();
    let good = pack_of(
        &origin,
        &[
            "main",
            "main^{tree}",
            "main:dir",
            "main:a.toml",
            "main:dir/b.toml",
        ],
    );
    let mut flipped = good.clone();
    flipped[40] ^= 0x55;
    let mut cut = good.clone();
    cut.truncate(good.len() / 2);
    let mut many = good.clone();
    many[8..12].copy_from_slice(&u32::MAX.to_be_bytes());
    for (name, pack) in [
        ("flipped", flipped),
        ("cut", cut),
        ("many", many),
        ("empty", Vec::new()),
        ("text", b"no".to_vec()),
    ] {
        let hostile = Hostile::start(Script::Serve {
            refs: main_at(&two),
            pack,
        });
        let mut bench = Bench::of(&hostile.url());
        let error = bench.sync().unwrap_err();
        assert!(matches!(error, GitError::BadAnswer(_)), "{name}: {error:?}");
        assert_eq!(
            std::fs::read_dir(bench.repository().join("objects/pack"))
                .unwrap()
                .count(),
            0,
            "{name}"
        );
    }
}

#[test]
fn what_is_not_git_is_a_bad_answer() {
    let pages: [&[u8]; 4] = [
        b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 13\r\n\r\n<html></html>",
        b"HTTP/1.1 200 OK\r\ncontent-type: application/x-git-upload-pack-advertisement\r\ncontent-length: 8\r\n\r\nzzzzzzzz",
        b"HTTP/1.1 200 OK\r\ncontent-type: application/x-git-upload-pack-advertisement\r\ncontent-length: 0\r\n\r\n",
        b"\0\0\0\0 garbage \x1b[31m\r\n\r\n",
    ];
    for page in pages {
        let hostile = Hostile::start(Script::Raw(page.to_vec()));
        let error = Bench::of(&hostile.url()).sync().unwrap_err();
        assert!(
            matches!(error, GitError::BadAnswer(_) | GitError::Unreachable(_)),
            "{error:?}"
        );
        assert_no_secret(&error);
    }
}

#[test]
fn a_listing_without_end_is_cut() {
    let hostile = Hostile::start(Script::EndlessRefs);
    let limits = MirrorLimits {
        listing_bytes_max: 1 << 20,
        ..limits()
    };
    let bench = Bench::with(upstream(&hostile.url()), limits);
    let started = Instant::now();
    let error = bench.mirror.list(&named("main"), &Stop::new()).unwrap_err();
    assert!(matches!(error, GitError::BadAnswer(_)), "{error:?}");
    assert!(
        error.one_line().contains("larger than the limit"),
        "{}",
        error.one_line()
    );
    assert!(
        started.elapsed() < Duration::from_secs(10),
        "{:?}",
        started.elapsed()
    );
}

#[test]
fn a_pack_larger_than_the_limit_is_cut() {
    let origin = TestOrigin::new();
    let noise: String = (0..40_000_u32)
        .map(|n| format!("{:x}", n.wrapping_mul(2_654_435_761)))
        .collect();
    origin.commit(&[("a.toml", Some(&noise))], "one");
    let limits = MirrorLimits {
        pack_bytes_max: 10_000,
        ..limits()
    };
    let mut bench = Bench::with(upstream(&origin.path_url()), limits);
    let error = bench.sync().unwrap_err();
    assert!(matches!(error, GitError::BadAnswer(_)), "{error:?}");
    assert_eq!(
        std::fs::read_dir(bench.repository().join("objects/pack"))
            .unwrap()
            .count(),
        0
    );
}

#[test]
fn an_object_that_inflates_beyond_the_limit_is_refused() {
    let origin = TestOrigin::new();
    let zeros = vec![b'0'; 8 << 20];
    origin.commit_spec(&CommitSpec {
        branch: "main",
        parent: None,
        merged: Vec::new(),
        entries: vec![("100644", "bomb.toml", Some(&zeros))],
        message: "bomb",
        at: None,
    });
    let limits = MirrorLimits {
        object_bytes_max: 1 << 20,
        ..limits()
    };
    let mut bench = Bench::with(upstream(&origin.path_url()), limits);
    let error = bench.sync().unwrap_err();
    assert!(
        matches!(error, GitError::ObjectTooLarge { max: 1_048_576 }),
        "{error:?}"
    );
    Bench::of(&origin.path_url()).sync().unwrap();
}

#[test]
fn hostile_names_beside_the_branch_do_not_stop_it() {
    let (origin, _, two) = two_commits();
    let mut refs = main_at(&two);
    refs.push(format!("{two} refs/heads/../../x"));
    refs.push(format!("{two} refs/tags/\u{1b}[31m"));
    refs.push(format!("{two} refs/heads/main.lock"));
    let all = [
        "main",
        "main^{tree}",
        "main:dir",
        "main:a.toml",
        "main:dir/b.toml",
    ];
    let older = [
        "main~1",
        "main~1^{tree}",
        "main~1:dir",
        "main~1:a.toml",
        "main~1:dir/b.toml",
    ];
    let objects: Vec<&str> = all.iter().chain(&older).copied().collect();
    let hostile = Hostile::start(Script::Serve {
        refs,
        pack: pack_of(&origin, &objects),
    });
    let mut bench = Bench::of(&hostile.url());
    assert_eq!(bench.sync().unwrap(), two);
    assert_reads_like_git(&bench.mirror.reader(), &origin, &two);
}

#[test]
fn a_listing_that_cannot_be_parsed_is_a_bad_answer() {
    let (_, _, two) = two_commits();
    let mut refs = main_at(&two);
    refs.push(format!("{two} refs/heads/with space"));
    let hostile = Hostile::start(Script::Serve {
        refs,
        pack: Vec::new(),
    });
    let error = Bench::of(&hostile.url()).sync().unwrap_err();
    assert!(matches!(error, GitError::BadAnswer(_)), "{error:?}");
    assert_no_secret(&error);
}

#[test]
fn words_of_the_remote_arrive_as_one_clean_line() {
    let (_, _, two) = two_commits();
    let words = "access \u{1b}[31mdenied\0\r\nby hook";
    let hostile = Hostile::start(Script::Refuse {
        refs: main_at(&two),
        words: words.to_owned(),
    });
    let error = Bench::of(&hostile.url()).sync().unwrap_err();
    assert!(matches!(error, GitError::BadAnswer(_)), "{error:?}");
    assert_no_secret(&error);
    assert!(error.one_line().contains("denied"), "{}", error.one_line());
}

#[test]
fn a_tree_that_refers_to_itself_a_billion_times_is_refused_in_time() {
    let origin = TestOrigin::new();
    let blob = String::from_utf8(origin.git_with_input(&["hash-object", "-w", "--stdin"], b"x")).unwrap();
    let mut id = blob.trim().to_owned();
    let mut kind = "100644 blob";
    for _ in 0..10 {
        let lines = (0..10)
            .map(|name| format!("{kind} {id}\td{name}\n"))
            .collect::<String>();
        id = String::from_utf8(origin.git_with_input(&["mktree"], lines.as_bytes()))
            .unwrap()
            .trim()
            .to_owned();
        kind = "040000 tree";
    }
    let commit = origin.git(&["commit-tree", "-m", "bomb", &id]);
    origin.force_reset("main", &commit.parse().unwrap());
    let started = Instant::now();
    let mut bench = Bench::of(&origin.path_url());
    let error = bench.sync().unwrap_err();
    assert!(matches!(error, GitError::TooLarge { .. }), "{error:?}");
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "{:?}",
        started.elapsed()
    );
}
