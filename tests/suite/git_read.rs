//! Reading commits: exact bytes, under limits, and revisions as people type them.

use headwater_server::git::error::GitError;
use headwater_server::git::limits::ReadLimits;
use headwater_server::git::read::{Found, ReadError, Reader};
use headwater_server::git::resolve::ResolveError;
use headwater_server::git::stop::Stop;
use headwater_tests::origin::{CommitSpec, TestOrigin};
use headwater_wire::{CommitId, RepoPath};

use crate::git_support::{Bench, branch};

type Entry<'a> = (&'a str, &'a str, Option<&'a [u8]>);

fn commit(origin: &TestOrigin, entries: Vec<Entry<'_>>) -> CommitId {
    let parent = origin.head("main");
    origin.commit_spec(&CommitSpec {
        branch: "main",
        parent,
        merged: Vec::new(),
        entries,
        message: "m",
        at: None,
    })
}

fn path(text: &str) -> RepoPath {
    text.parse().expect("a path")
}

fn reader_of(origin: &TestOrigin) -> (Bench, Reader, CommitId) {
    let mut bench = Bench::of(&origin.path_url());
    let tip = bench.sync().expect("a mirrored commit");
    let reader = bench.mirror.reader();
    (bench, reader, tip)
}

fn walked(reader: &Reader, commit: &CommitId, limits: &ReadLimits) -> Result<Vec<(String, Found)>, GitError> {
    let mut seen = Vec::new();
    let wants = |path: &RepoPath| path.extension() == Some("toml");
    reader.walk(commit, limits, &wants, &mut |path, found| {
        seen.push((String::from_utf8_lossy(path).into_owned(), found));
    })?;
    seen.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(seen)
}

#[test]
fn links_and_submodules_are_named_and_never_followed() {
    let origin = TestOrigin::new();
    let other = "1".repeat(40);
    commit(
        &origin,
        vec![
            ("100644", "a.toml", Some(b"x = 1")),
            ("100644", "a.txt", Some(b"text")),
            ("120000", "link.toml", Some(b"/etc/passwd")),
            ("160000", "sub", Some(other.as_bytes())),
        ],
    );
    let (_bench, reader, tip) = reader_of(&origin);
    let shown: Vec<String> = walked(&reader, &tip, &ReadLimits::default())
        .unwrap()
        .into_iter()
        .map(|(path, found)| match found {
            Found::File { size, bytes, .. } => format!("{path}: file of {size}, read: {}", bytes.is_some()),
            Found::Symlink { .. } => format!("{path}: symlink"),
            Found::Submodule { id } => format!("{path}: submodule at {id}"),
        })
        .collect();
    let expected = [
        "a.toml: file of 5, read: true",
        "a.txt: file of 4, read: false",
        "link.toml: symlink",
        &format!("sub: submodule at {other}"),
    ];
    assert_eq!(shown, expected);
    for name in ["link.toml", "sub"] {
        let error = reader.blob(&tip, &path(name), 100).unwrap_err();
        assert!(matches!(error, ReadError::NotAFile { .. }), "{error:?}");
    }
}

#[test]
fn a_file_is_found_by_its_whole_path_and_within_its_size() {
    let origin = TestOrigin::new();
    commit(
        &origin,
        vec![
            ("100644", "dir/a.toml", Some(b"0123456789")),
            ("100755", "dir/run", Some(b"#!")),
        ],
    );
    let (_bench, reader, tip) = reader_of(&origin);
    assert_eq!(reader.blob(&tip, &path("dir/a.toml"), 10).unwrap(), b"0123456789");
    assert_eq!(reader.blob(&tip, &path("dir/run"), 10).unwrap(), b"#!");
    let error = |name: &str, max| reader.blob(&tip, &path(name), max).unwrap_err();
    assert!(matches!(
        error("dir/a.toml", 9),
        ReadError::TooLarge { size: 10, max: 9 }
    ));
    assert!(matches!(error("dir", 9), ReadError::NotAFile { .. }));
    for name in ["a.toml", "dir/b.toml", "dir/a.toml/x", "nowhere/a.toml"] {
        assert!(matches!(error(name, 9), ReadError::FileNotFound { .. }), "{name}");
    }
    let unknown: CommitId = "0".repeat(40).parse().unwrap();
    let error = reader.blob(&unknown, &path("a.toml"), 9).unwrap_err();
    assert!(
        matches!(error, ReadError::Git(GitError::UnknownCommit { .. })),
        "{error:?}"
    );
}

#[test]
fn a_tree_beyond_a_limit_is_refused_with_the_limit() {
    let origin = TestOrigin::new();
    commit(
        &origin,
        vec![
            ("100644", "a/b/c/d.toml", Some(b"0123456789")),
            ("100644", "a/b/e.toml", Some(b"0123456789")),
            ("100644", "f.toml", Some(b"0123456789")),
        ],
    );
    let (_bench, reader, tip) = reader_of(&origin);
    let plenty = ReadLimits::default();
    let told = |limits: ReadLimits| walked(&reader, &tip, &limits).unwrap_err().to_string();
    let prefix = format!("the tree of `{tip}` has more than ");
    assert_eq!(
        told(ReadLimits {
            entries_max: 5,
            ..plenty
        }),
        format!("{prefix}5 entries")
    );
    assert_eq!(
        told(ReadLimits {
            depth_max: 2,
            ..plenty
        }),
        format!("{prefix}2 levels of directories")
    );
    assert_eq!(
        told(ReadLimits {
            total_bytes_max: 29,
            ..plenty
        }),
        format!("{prefix}29 bytes")
    );
    let exact = ReadLimits {
        entries_max: 6,
        depth_max: 3,
        total_bytes_max: 30,
        file_bytes_max: 10,
    };
    assert_eq!(walked(&reader, &tip, &exact).unwrap().len(), 3);
    let small = walked(
        &reader,
        &tip,
        &ReadLimits {
            file_bytes_max: 9,
            ..plenty
        },
    )
    .unwrap();
    assert!(small.iter().all(|(_, found)| matches!(
        found,
        Found::File {
            size: 10,
            bytes: None,
            ..
        }
    )));
}

#[test]
fn a_reader_keeps_what_it_had_while_the_mirror_goes_on() {
    let origin = TestOrigin::new();
    commit(&origin, vec![("100644", "a.toml", Some(b"1"))]);
    let (mut bench, old_reader, old) = reader_of(&origin);
    let new = commit(&origin, vec![("100644", "a.toml", Some(b"2"))]);
    bench.sync().unwrap();
    assert!(!old_reader.contains(&new));
    assert_eq!(old_reader.blob(&old, &path("a.toml"), 9).unwrap(), b"1");
    assert_eq!(
        bench.mirror.reader().blob(&new, &path("a.toml"), 9).unwrap(),
        b"2"
    );
}

/// `one ← two ← three`, where `three` also merges `side`, a child of `one`; all of them tagged but the last.
fn a_tagged_history() -> (TestOrigin, [CommitId; 4]) {
    let origin = TestOrigin::new();
    let one = commit(&origin, vec![("100644", "a.toml", Some(b"1"))]);
    let two = commit(&origin, vec![("100644", "a.toml", Some(b"2"))]);
    let side = origin.commit_spec(&CommitSpec {
        branch: "side",
        parent: Some(one.clone()),
        merged: Vec::new(),
        entries: vec![("100644", "b.toml", Some(b"1"))],
        message: "side",
        at: None,
    });
    let three = origin.commit_spec(&CommitSpec {
        branch: "main",
        parent: Some(two.clone()),
        merged: vec![side.clone()],
        entries: Vec::new(),
        message: "merge",
        at: None,
    });
    origin.tag("v1", &one);
    origin.git(&["tag", "light", two.as_str()]);
    origin.git(&["tag", "release/1.0", side.as_str()]);
    (origin, [one, two, side, three])
}

#[test]
fn a_revision_is_resolved_as_people_type_it() {
    let (origin, [one, two, side, three]) = a_tagged_history();
    let (_bench, reader, tip) = reader_of(&origin);
    assert_eq!(tip, three);
    let main = branch("main");
    let short = |commit: &CommitId| commit.as_str().chars().take(12).collect::<String>();
    for (rev, expected) in [
        ("HEAD", &three),
        ("@", &three),
        ("main", &three),
        ("refs/heads/main", &three),
        ("v1", &one),
        ("refs/tags/v1", &one),
        ("light", &two),
        ("release/1.0", &side),
        ("HEAD~1", &two),
        ("HEAD~", &two),
        ("HEAD^", &two),
        ("HEAD^2", &side),
        ("HEAD^0", &three),
        ("HEAD~2", &one),
        ("HEAD^2~1", &one),
        ("HEAD^^", &one),
        (one.as_str(), &one),
        (&short(&two), &two),
        (&short(&two).to_uppercase(), &two),
        (&format!("{}^", short(&two)), &one),
    ] {
        assert_eq!(reader.resolve(rev, &main, &tip).unwrap(), *expected, "{rev}");
    }
}

#[test]
fn what_names_nothing_is_not_found_whatever_git_would_make_of_it() {
    let (origin, _) = a_tagged_history();
    let (_bench, reader, tip) = reader_of(&origin);
    let main = branch("main");
    let blob = origin.git(&["rev-parse", "main:a.toml"]);
    let odd = [
        "",
        "~",
        "nope",
        "HEAD~3",
        "HEAD^3",
        "HEAD~99999999999999999999",
        "HEAD~10001",
        "main@{1}",
        ":/one",
        "^main",
        "main..side",
        "refs/heads/side",
        "side",
        "abc",
        &"0".repeat(40),
        &"f".repeat(12),
        "HEAD^{tree}",
        "HEAD:a.toml",
        "--all",
        "\u{1b}[31m",
        &blob,
        &"x".repeat(5_000),
    ];
    for rev in odd {
        let error = reader.resolve(rev, &main, &tip).unwrap_err();
        assert!(
            matches!(error, ResolveError::NotFound { .. }),
            "{rev:?}: {error:?}"
        );
        assert!(!error.to_string().chars().any(char::is_control), "{error}");
    }
}

#[test]
fn what_has_two_meanings_is_told_with_both() {
    let origin = TestOrigin::new();
    let one = commit(&origin, vec![("100644", "a.toml", Some(b"1"))]);
    origin.git(&["tag", "main", one.as_str()]);
    // Some of these commits share their first four digits with another, which birthdays make likely.
    let mut stream = String::new();
    for number in 0..1_200 {
        let from = if number == 0 {
            format!("from {one}\n")
        } else {
            String::new()
        };
        let at = 1_700_000_000 + number;
        stream += &format!("commit refs/heads/main\ncommitter C <c@x> {at} +0000\ndata 1\nm\n{from}");
        stream += &format!("M 100644 inline a.toml\ndata 4\n{number:04}\n");
    }
    let args = ["fast-import", "--quiet", "--date-format=raw-permissive"];
    origin.git_with_input(&args, stream.as_bytes());
    let (_bench, reader, tip) = reader_of(&origin);
    let ResolveError::Ambiguous { candidates, .. } =
        reader.resolve("main", &branch("main"), &tip).unwrap_err()
    else {
        panic!("not ambiguous")
    };
    assert_eq!(candidates, ["refs/heads/main", "refs/tags/main"]);
    let mut commits: Vec<String> = origin
        .git(&["rev-list", "refs/heads/main"])
        .lines()
        .map(str::to_owned)
        .collect();
    commits.sort();
    let mut compared = 0;
    for pair in commits.windows(2) {
        let prefix: String = pair[0].chars().take(4).collect();
        if !pair[1].starts_with(&prefix) {
            continue;
        }
        let error = reader.resolve(&prefix, &branch("main"), &tip).unwrap_err();
        let ResolveError::Ambiguous { candidates, .. } = error else {
            panic!("not ambiguous: {error:?}")
        };
        assert!(
            candidates.contains(&pair[0]) && candidates.contains(&pair[1]),
            "{candidates:?}"
        );
        compared += 1;
    }
    assert!(compared > 0, "no two of 1,201 commits share four digits");
}

#[test]
fn a_tag_that_cannot_be_used_does_not_fail_the_fetch() {
    let origin = TestOrigin::new();
    let one = commit(&origin, vec![("100644", "a.toml", Some(b"1"))]);
    let blob = origin.git(&["rev-parse", "main:a.toml"]);
    origin.git(&["tag", "of-a-file", &blob]);
    origin.tag("good", &one);
    let off_branch = origin.commit_on("side", &[("b.toml", Some("1"))], "side");
    origin.tag("off-branch", &off_branch);
    // Written by hand: a name Git itself would refuse.
    std::fs::write(origin.path().join("refs/tags/bad..name"), format!("{one}\n")).unwrap();
    let (_bench, reader, tip) = reader_of(&origin);
    let resolve = |rev: &str| reader.resolve(rev, &branch("main"), &tip).ok();
    assert_eq!(resolve("good"), Some(one));
    assert_eq!(
        [resolve("of-a-file"), resolve("off-branch"), resolve("bad..name")],
        [None, None, None]
    );
}

#[test]
fn tags_outlive_a_restart_without_the_upstream() {
    let origin = TestOrigin::new();
    let one = commit(&origin, vec![("100644", "a.toml", Some(b"1"))]);
    origin.tag("v1", &one);
    let (bench, _, tip) = reader_of(&origin);
    origin.git(&["tag", "-d", "v1"]);
    let mut bench = bench.reopen();
    assert_eq!(
        bench
            .mirror
            .reader()
            .resolve("v1", &branch("main"), &tip)
            .unwrap(),
        one
    );
    bench.mirror.refresh_tags(&Stop::new());
    assert!(
        bench
            .mirror
            .reader()
            .resolve("v1", &branch("main"), &tip)
            .is_err()
    );
}
