//! Revert commits: the same verdict and tree as `git revert`, in the mirror alone, and only the paths that were asked for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use headwater_server::git::intent::{Scope, Undo, intent_of, trailers};
use headwater_server::git::revert::{IntentSearch, RevertError, Signing, Written};
use headwater_server::git::stop::Stop;
use headwater_tests::origin::{CommitSpec, TestOrigin, git};
use headwater_wire::CommitId;

use crate::git_support::{Bench, intent, revert, whole};

fn write(bench: &mut Bench, undo: Undo, parent: &CommitId) -> Result<Written, RevertError> {
    let intent = intent("intent-1", undo);
    bench
        .mirror
        .write_revert(&intent, parent, &Signing::Unsigned, &Stop::new())
}

fn paths(target: &CommitId, paths: &[&str]) -> Undo {
    let paths = paths.iter().map(|path| path.parse().unwrap()).collect();
    Undo::Restore {
        target: target.clone(),
        scope: Scope::Paths(paths),
    }
}

/// Mode, id and path of every file, as `git` lists them in the mirror.
fn listing_of(bench: &Bench, commit: &CommitId) -> String {
    bench.git(&["ls-tree", "-r", commit.as_str()])
}

fn assert_sound(bench: &Bench, refs: &str) {
    bench.git(&["fsck", "--strict", "--no-dangling"]);
    assert_eq!(bench.refs(), refs, "a ref of the mirror moved");
}

#[test]
fn a_restore_has_the_tree_of_its_target_and_says_who_why_and_what() {
    let origin = TestOrigin::new();
    let good = origin.commit(
        &[("a.toml", Some("a = 1\n")), ("old.toml", Some("x"))],
        "Good\n\nbody",
    );
    origin.commit(&[("a.toml", Some("a = 2\n")), ("old.toml", None)], "Bad");
    let head = origin.commit(&[("b/new.toml", Some("n"))], "Worse");
    let mut bench = Bench::of(&origin.path_url());
    bench.sync().unwrap();
    let refs = bench.refs();
    let written = write(&mut bench, whole(&good), &head).unwrap();
    assert_eq!(listing_of(&bench, &written.commit), listing_of(&bench, &good));
    assert_eq!(written.parent, head);
    let text = bench.git(&["cat-file", "commit", written.commit.as_str()]);
    let text = text
        .replace(head.as_str(), "PARENT")
        .replace(good.as_str(), "TARGET");
    let text: String = text.lines().skip(1).map(|line| format!("{line}\n")).collect();
    insta::assert_snapshot!(text, @r#"
    parent PARENT
    author Ada <ada@example.test> 1700100000 +0000
    committer Headwater <headwater@example.test> 1700100001 +0000

    Roll back to "Good"

    This restores the tree of commit TARGET.

    Rollback-To: TARGET
    Reason: latency doubled
    Requested-By: ada@example.test
    Headwater-Intent: intent-1
    "#);
    assert_sound(&bench, &refs);
}

#[test]
fn one_intent_on_one_parent_is_one_commit_and_git_reads_its_trailers() {
    let origin = TestOrigin::new();
    let good = origin.commit(&[("a", Some("1"))], "Good");
    let head = origin.commit(&[("a", Some("2"))], "Bad");
    let (mut one, mut two) = (Bench::of(&origin.path_url()), Bench::of(&origin.path_url()));
    one.sync().unwrap();
    two.sync().unwrap();
    let first = write(&mut one, whole(&good), &head).unwrap();
    assert_eq!(first, write(&mut two, whole(&good), &head).unwrap());
    assert_eq!(first, write(&mut one, whole(&good), &head).unwrap());
    let mut forged = intent("intent-2", whole(&good));
    forged.reason = "x\n\nHeadwater-Intent: intent-1\0\r\nSigned-off-by: eve".to_owned();
    forged.author.name = "Ada\ncommitter Eve <e>".to_owned();
    let stop = Stop::new();
    let other = one
        .mirror
        .write_revert(&forged, &head, &Signing::Unsigned, &stop)
        .unwrap();
    for written in [&first, &other] {
        let format = "--format=%(trailers:only,unfold)";
        let by_git = one.git(&["log", "-1", format, written.commit.as_str()]);
        let message = one.mirror.reader().commit(&written.commit).unwrap().message;
        let ours: Vec<String> = trailers(&message)
            .iter()
            .map(|(key, value)| format!("{key}: {value}"))
            .collect();
        assert_eq!(by_git.trim_end(), ours.join("\n"));
    }
    let reader = one.mirror.reader();
    assert_eq!(
        reader.intent(&other.commit).unwrap().unwrap().as_str(),
        "intent-2"
    );
    one.git(&["fsck", "--strict", "--no-dangling"]);
}

/// Files that change, come, go and change their kind between a good commit and the head.
fn files_of_all_kinds(origin: &TestOrigin) -> (CommitId, CommitId) {
    type Entries<'a> = Vec<(&'a str, &'a str, Option<&'a [u8]>)>;
    let commit = |parent: Option<&CommitId>, entries: Entries<'_>| {
        origin.commit_spec(&CommitSpec {
            branch: "main",
            parent: parent.cloned(),
            merged: Vec::new(),
            entries,
            message: "x",
            at: None,
        })
    };
    let good = commit(
        None,
        vec![
            ("100644", "a/one", Some(b"1")),
            ("100755", "a/run", Some(b"r")),
            ("100644", "gone/deep/file", Some(b"g")),
            ("120000", "link", Some(b"a/one")),
            ("100644", "kind", Some(b"file")),
            ("100644", "rest", Some(b"old")),
        ],
    );
    let head = commit(
        Some(&good),
        vec![
            ("100644", "a/one", Some(b"2")),
            ("100644", "a/run", Some(b"r")),
            ("100644", "a/new", Some(b"n")),
            ("100644", "gone/deep/file", None),
            ("100644", "late/only", Some(b"l")),
            ("100644", "link", Some(b"now a file")),
            ("100644", "kind", None),
            ("100644", "kind/inner", Some(b"i")),
            ("100644", "rest", Some(b"new")),
        ],
    );
    (good, head)
}

#[test]
fn restoring_paths_brings_back_removes_and_leaves_the_rest_alone() {
    let origin = TestOrigin::new();
    let (good, head) = files_of_all_kinds(&origin);
    let mut bench = Bench::of(&origin.path_url());
    bench.sync().unwrap();
    let refs = bench.refs();
    let wanted = ["a/one", "a/run", "gone/deep/file", "late/only", "link", "kind"];
    let files = write(&mut bench, paths(&good, &wanted), &head).unwrap();
    let shown = bench.git(&[
        "ls-tree",
        "-r",
        "--format=%(objectmode) %(path)",
        files.commit.as_str(),
    ]);
    insta::assert_snapshot!(shown, @r"
    100644 a/new
    100644 a/one
    100755 a/run
    100644 gone/deep/file
    100644 kind
    120000 link
    100644 rest
    ");
    let show = |path: &str| bench.git(&["show", &format!("{}:{path}", files.commit)]);
    assert_eq!((show("rest").as_str(), show("a/one").as_str()), ("new", "1"));
    let directory = write(&mut bench, paths(&good, &["a"]), &head).unwrap();
    assert_eq!(
        bench.git(&["rev-parse", &format!("{}:a", directory.commit)]),
        bench.git(&["rev-parse", &format!("{good}:a")])
    );
    assert_sound(&bench, &refs);
}

#[test]
fn restoring_paths_changes_nothing_else_or_nothing_at_all() {
    let origin = TestOrigin::new();
    let (good, head) = files_of_all_kinds(&origin);
    let mut bench = Bench::of(&origin.path_url());
    bench.sync().unwrap();
    assert!(matches!(
        write(
            &mut bench,
            paths(&good, &["never", "a/never", "rest/below"]),
            &head
        ),
        Err(RevertError::NothingToDo { .. })
    ));
    // `kind` was a file at the good commit; it must not go because another file comes below it.
    let error = write(&mut bench, paths(&head, &["kind/inner"]), &good).unwrap_err();
    insta::assert_snapshot!(error, @"cannot restore these paths alone, others are in the way: `kind`");
    // And a directory must not go for a file that was asked for only inside of it.
    let error = write(&mut bench, paths(&good, &["kind/inner", "link/x"]), &head);
    assert!(error.is_ok(), "{error:?}");
}

#[test]
fn what_cannot_be_reverted_is_told_with_the_paths_and_leaves_nothing_behind() {
    let origin = TestOrigin::new();
    let root = origin.commit(&[("a", Some("1\n")), ("b", Some("1\n"))], "Root");
    let bad = origin.commit(&[("a", Some("2\n")), ("b", Some("2\n"))], "Bad");
    let head = origin.commit(&[("a", Some("3\n")), ("b", None)], "Later");
    let mut bench = Bench::of(&origin.path_url());
    bench.sync().unwrap();
    let (refs, objects) = (bench.refs(), bench.git(&["count-objects", "-v"]));
    let error = write(&mut bench, revert(&bad, None), &head).unwrap_err();
    let text = error.to_string().replace(bad.as_str(), "BAD");
    insta::assert_snapshot!(text, @"cannot revert `BAD`, later commits changed the same: `a`, `b`");
    assert!(matches!(
        write(&mut bench, revert(&head, Some(1)), &head),
        Err(RevertError::Mainline { parents, .. }) if parents.len() == 1
    ));
    assert!(matches!(
        write(&mut bench, whole(&head), &head),
        Err(RevertError::NothingToDo { .. })
    ));
    let unknown: CommitId = "1".repeat(40).parse().unwrap();
    assert!(matches!(
        write(&mut bench, whole(&unknown), &head),
        Err(RevertError::Git(_))
    ));
    assert_eq!(bench.git(&["count-objects", "-v"]), objects);
    // A root commit is reverted against nothing at all.
    let written = write(&mut bench, revert(&root, None), &root).unwrap();
    assert_eq!(listing_of(&bench, &written.commit), "");
    assert_sound(&bench, &refs);
}

#[test]
fn a_tree_with_a_forbidden_name_is_not_taken_for_a_damaged_mirror() {
    let origin = TestOrigin::new();
    let good = origin.commit(&[("a", Some("1")), ("b", Some("1"))], "Good");
    let blob = origin.git(&["rev-parse", "main:a"]);
    let listing = format!("100644 blob {blob}\t.git\n100644 blob {blob}\tb\n");
    let tree = origin.git_with_input(&["mktree"], listing.as_bytes());
    let tree = String::from_utf8(tree).unwrap();
    let bad = origin.git(&["commit-tree", "-p", good.as_str(), "-m", "Bad", tree.trim()]);
    let bad: CommitId = bad.parse().unwrap();
    origin.force_reset("main", &bad);
    let mut bench = Bench::of(&origin.path_url());
    bench.sync().unwrap();
    let error = write(&mut bench, paths(&good, &["a"]), &bad).unwrap_err();
    assert!(matches!(error, RevertError::ForbiddenName(_)), "{error:?}");
    let written = write(&mut bench, whole(&good), &bad).unwrap();
    assert_eq!(listing_of(&bench, &written.commit), listing_of(&bench, &good));
}

#[test]
fn a_merge_is_reverted_towards_the_parent_that_was_named() {
    let origin = TestOrigin::new();
    let root = origin.commit(&[("a", Some("1")), ("b", Some("1"))], "Root");
    origin.force_reset("side", &root);
    let side = origin.commit_on("side", &[("b", Some("2"))], "Side");
    let main = origin.commit(&[("a", Some("2"))], "Main");
    let merge = origin.commit_spec(&CommitSpec {
        branch: "main",
        parent: Some(main.clone()),
        merged: vec![side.clone()],
        entries: vec![("100644", "b", Some(b"2"))],
        message: "Merge",
        at: None,
    });
    let mut bench = Bench::of(&origin.path_url());
    bench.sync().unwrap();
    for mainline in [None, Some(0), Some(3)] {
        assert!(matches!(
            write(&mut bench, revert(&merge, mainline), &merge),
            Err(RevertError::Mainline { parents, .. }) if parents.len() == 2
        ));
    }
    for (mainline, same) in [(1, &main), (2, &side)] {
        let written = write(&mut bench, revert(&merge, Some(mainline)), &merge).unwrap();
        assert_eq!(listing_of(&bench, &written.commit), listing_of(&bench, same));
        let message = bench.mirror.reader().commit(&written.commit).unwrap().message;
        assert!(message.contains(&format!("commit {merge}, reversing\nchanges made to {same}.")));
    }
}

#[test]
fn an_intent_is_found_on_the_way_back_also_where_it_was_merged() {
    let origin = TestOrigin::new();
    let known = origin.commit(&[("a", Some("1"))], "Known");
    let ours = origin.commit(&[("a", Some("2"))], "x\n\nHeadwater-Intent: pushed\n");
    origin.commit(
        &[("a", Some("3"))],
        "x\n\nHeadwater-Intent: pushed\n\nquoted, not a trailer\n",
    );
    origin.force_reset("side", &ours);
    let proposed = origin.commit_on("side", &[("b", Some("2"))], "x\n\nHeadwater-Intent: proposed\n");
    let parent = origin.head("main");
    let tip = origin.commit_spec(&CommitSpec {
        branch: "main",
        parent,
        merged: vec![proposed.clone()],
        entries: vec![("100644", "b", Some(b"2"))],
        message: "Merge",
        at: None,
    });
    let mut bench = Bench::of(&origin.path_url());
    bench.sync().unwrap();
    let reader = bench.mirror.reader();
    let find = |id: &str, since: &CommitId, max| {
        let id = id.parse().unwrap();
        reader.find_intent(&id, &tip, since, max).unwrap()
    };
    assert_eq!(find("pushed", &known, 100), IntentSearch::Found(ours.clone()));
    assert_eq!(find("proposed", &known, 100), IntentSearch::Found(proposed));
    assert_eq!(find("pushed", &ours, 100), IntentSearch::Absent);
    assert_eq!(find("other", &known, 100), IntentSearch::Absent);
    assert_eq!(find("pushed", &known, 2), IntentSearch::GaveUp { commits: 2 });
    assert_eq!(find("pushed", &tip, 2), IntentSearch::Absent);
    assert_eq!(intent_of("x"), None);
}

#[test]
fn git_verifies_a_signed_commit_and_a_bad_key_is_told_at_once() {
    for format in ["sha1", "sha256"] {
        let origin = TestOrigin::with_format(format);
        let good = origin.commit(&[("a", Some("1"))], "Good");
        let head = origin.commit(&[("a", Some("2"))], "Bad");
        let mut bench = Bench::of(&origin.path_url());
        bench.sync().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let key = |name: &str, passphrase: &str| {
            let file = dir.path().join(name);
            let mut command = Command::new("ssh-keygen");
            command
                .args(["-q", "-t", "ed25519", "-C", "x", "-N", passphrase, "-f"])
                .arg(&file);
            assert!(command.status().unwrap().success());
            file
        };
        let plain = key("plain", "");
        let public = std::fs::read_to_string(plain.with_extension("pub")).unwrap();
        let allowed = dir.path().join("allowed");
        std::fs::write(
            &allowed,
            format!("headwater@example.test namespaces=\"git\" {public}"),
        )
        .unwrap();
        let intent = intent("signed", whole(&good));
        let mut sign = |key: PathBuf| {
            bench
                .mirror
                .write_revert(&intent, &head, &Signing::SshKey(key), &Stop::new())
        };
        let written = sign(plain.clone()).unwrap();
        assert_eq!(sign(plain).unwrap(), written);
        for bad in [key("locked", "secret"), dir.path().join("none"), allowed.clone()] {
            let error = sign(bad).unwrap_err();
            assert!(error.to_string().contains("cannot write the commit"), "{error}");
        }
        let setting = format!("gpg.ssh.allowedSignersFile={}", allowed.display());
        bench.git(&[
            "-c",
            &setting,
            "-c",
            "gpg.format=ssh",
            "verify-commit",
            written.commit.as_str(),
        ]);
        bench.git(&["fsck", "--strict", "--no-dangling"]);
    }
}

#[test]
fn a_mirror_that_was_cut_off_in_the_midst_of_writing_is_usable() {
    let origin = TestOrigin::new();
    let good = origin.commit(&[("a", Some("1"))], "Good");
    let head = origin.commit(&[("a", Some("2")), ("b", Some("2"))], "Bad");
    let mut bench = Bench::of(&origin.path_url());
    bench.sync().unwrap();
    let (refs, written) = (
        bench.refs(),
        write(&mut bench, paths(&good, &["a"]), &head).unwrap(),
    );
    // What a kill leaves: a temporary file, and contents without the commit that names them.
    let objects = bench.repository().join("objects");
    let (dir, name) = written.commit.as_str().split_at(2);
    std::fs::remove_file(objects.join(dir).join(name)).unwrap();
    std::fs::write(objects.join(".tmpXYZ"), "half").unwrap();
    let mut bench = bench.reopen();
    assert!(!objects.join(".tmpXYZ").exists());
    assert_eq!(write(&mut bench, paths(&good, &["a"]), &head).unwrap(), written);
    assert_sound(&bench, &refs);
    assert_eq!(bench.sync().unwrap(), head);
}

/// Numbers that are the same on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % sides
    }
}

type Tree = BTreeMap<String, (&'static str, Vec<u8>)>;

fn any_path(dice: &mut Dice, tree: &Tree) -> Option<String> {
    (!tree.is_empty()).then(|| tree.keys().nth(dice.roll(tree.len())).unwrap().clone())
}

fn lines(dice: &mut Dice) -> Vec<u8> {
    let count = 4 + dice.roll(12);
    (0..count)
        .flat_map(|number| format!("line {number} = {}\n", dice.roll(5)).into_bytes())
        .collect()
}

fn free(tree: &Tree, path: &str) -> bool {
    let inside = format!("{path}/");
    let above = |known: &String| path.starts_with(&format!("{known}/"));
    !tree
        .keys()
        .any(|known| known == path || known.starts_with(&inside) || above(known))
}

/// One random change: edits of a line above all, and everything else that happens to files.
fn mutate(dice: &mut Dice, tree: &mut Tree) {
    let fresh = format!(
        "{}{}",
        ["", "d/", "d/e/", "f/"][dice.roll(4)],
        ["a", "b", "c", "g"][dice.roll(4)]
    );
    let action = dice.roll(12);
    let chosen = any_path(dice, tree);
    match (action, chosen) {
        (0 | 1, _) | (_, None) if free(tree, &fresh) => {
            let content = if dice.roll(5) == 0 {
                vec![0, u8::try_from(dice.roll(250)).unwrap(), 7]
            } else {
                lines(dice)
            };
            tree.insert(fresh, ("100644", content));
        }
        (2, Some(path)) => drop(tree.remove(&path)),
        (3, Some(path)) if free(tree, &fresh) => {
            let file = tree.remove(&path).unwrap();
            tree.insert(fresh, file);
        }
        (4, Some(path)) => {
            let (mode, _) = tree.get_mut(&path).unwrap();
            *mode = match *mode {
                "100644" => "100755",
                "100755" => "100644",
                other => other,
            };
        }
        (5, Some(path)) => {
            let target = format!("target{}", dice.roll(3)).into_bytes();
            tree.insert(path, ("120000", target));
        }
        (6, _) => {
            let moved: Vec<String> = tree
                .keys()
                .filter(|path| path.starts_with("d/"))
                .cloned()
                .collect();
            for path in moved {
                let to = path.replacen("d/", "f/", 1);
                if free(tree, &to) {
                    let file = tree.remove(&path).unwrap();
                    tree.insert(to, file);
                }
            }
        }
        (_, Some(path)) => {
            let (mode, content) = tree.get_mut(&path).unwrap();
            let text = String::from_utf8_lossy(content).into_owned();
            let mut text: Vec<String> = text.lines().map(str::to_owned).collect();
            if *mode != "120000" && !content.contains(&0) && !text.is_empty() {
                let at = dice.roll(text.len());
                match dice.roll(4) {
                    0 => drop(text.remove(at)),
                    1 => text.insert(at, format!("new {}", dice.roll(9))),
                    _ => text[at] = format!("line {at} = {}", dice.roll(5)),
                }
                *content = text
                    .iter()
                    .map(|line| format!("{line}\n"))
                    .collect::<String>()
                    .into_bytes();
            }
        }
        _ => {}
    }
}

/// A history as one stream for `git fast-import`; commits are known by their marks until it has run.
struct History {
    stream: Vec<u8>,
    /// Number of parents of each commit; the mark of the first is 1.
    parents: Vec<usize>,
}

impl History {
    fn commit(&mut self, branch: &str, parents: &[usize], before: &Tree, after: &Tree) -> usize {
        self.parents.push(parents.len());
        let mark = self.parents.len();
        let mut add = |text: String| self.stream.extend_from_slice(text.as_bytes());
        add(format!("commit refs/heads/{branch}\nmark :{mark}\n"));
        add(format!(
            "committer x <x@y> {} +0000\ndata 6\nChange\n",
            1_700_000_000 + mark
        ));
        for (at, parent) in parents.iter().enumerate() {
            add(format!("{} :{parent}\n", if at == 0 { "from" } else { "merge" }));
        }
        for path in before.keys().filter(|path| !after.contains_key(*path)) {
            add(format!("D {path}\n"));
        }
        for (path, (mode, content)) in after {
            if before.get(path) != Some(&(*mode, content.clone())) {
                self.stream.extend_from_slice(
                    format!("M {mode} inline {path}\ndata {}\n", content.len()).as_bytes(),
                );
                self.stream.extend_from_slice(content);
                self.stream.push(b'\n');
            }
        }
        mark
    }

    /// Runs the import and gives each commit its id.
    fn import(&self, origin: &TestOrigin) -> Vec<(CommitId, usize)> {
        let marks = origin.root().join("marks");
        let export = format!("--export-marks={}", marks.display());
        origin.git_with_input(&["fast-import", "--quiet", "--force", &export], &self.stream);
        let marks = std::fs::read_to_string(marks).unwrap();
        let ids: BTreeMap<usize, CommitId> = marks
            .lines()
            .filter_map(|line| line.strip_prefix(':')?.split_once(' '))
            .map(|(mark, id)| (mark.parse().unwrap(), id.parse().unwrap()))
            .collect();
        ids.into_values().zip(self.parents.iter().copied()).collect()
    }
}

/// A history with merges: every commit with its number of parents, and its head.
fn history(origin: &TestOrigin, seed: u64) -> (Vec<(CommitId, usize)>, CommitId) {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut made = History {
        stream: Vec::new(),
        parents: Vec::new(),
    };
    let mut main = Tree::new();
    for _ in 0..12 {
        mutate(&mut dice, &mut main);
    }
    let mut head = made.commit("main", &[], &Tree::new(), &main);
    for _ in 0..16 {
        let before = main.clone();
        for _ in 0..=dice.roll(3) {
            mutate(&mut dice, &mut main);
        }
        if dice.roll(4) == 0 {
            let mut side = before.clone();
            mutate(&mut dice, &mut side);
            mutate(&mut dice, &mut side);
            let branched = made.commit("side", &[head], &before, &side);
            let merged = if dice.roll(2) == 0 { side } else { main.clone() };
            head = made.commit("main", &[head, branched], &before, &merged);
            main = merged;
        } else {
            head = made.commit("main", &[head], &before, &main);
        }
    }
    let commits = made.import(origin);
    let head = origin.head("main").unwrap();
    (commits, head)
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Tree(String),
    Conflict,
    NothingToDo,
}

fn run(dir: &Path, args: &[&str]) -> Output {
    git().arg("-C").arg(dir).args(args).output().unwrap()
}

fn verdict_of_git(dir: &Path, head: &CommitId, commit: &CommitId, mainline: Option<usize>) -> Verdict {
    assert!(
        run(dir, &["reset", "-q", "--hard", head.as_str()])
            .status
            .success()
    );
    let number = mainline.unwrap_or_default().to_string();
    let mut args = vec!["revert", "--no-edit", "--strategy=recursive", "-X", "no-renames"];
    if mainline.is_some() {
        args.extend(["-m", &number]);
    }
    args.push(commit.as_str());
    let output = run(dir, &args);
    if output.status.success() {
        let tree = run(dir, &["rev-parse", "HEAD^{tree}"]).stdout;
        return Verdict::Tree(String::from_utf8(tree).unwrap().trim().to_owned());
    }
    let unmerged = run(dir, &["ls-files", "-u"]).stdout;
    run(dir, &["reset", "-q", "--hard"]);
    run(dir, &["clean", "-q", "-f", "-d", "-x"]);
    if unmerged.is_empty() {
        Verdict::NothingToDo
    } else {
        Verdict::Conflict
    }
}

/// Every commit of some random histories is reverted on the head by us and by `git`.
fn compare_with_git(seeds: std::ops::RangeInclusive<u64>) {
    let mut seen = BTreeMap::from([("clean", 0), ("conflict", 0), ("nothing", 0)]);
    for seed in seeds {
        let origin = TestOrigin::new();
        let (commits, head) = history(&origin, seed);
        let dir = tempfile::tempdir().unwrap();
        let work = dir.path().join("work");
        let clone = git().args(["clone", "-q"]).arg(origin.path()).arg(&work).status();
        assert!(clone.unwrap().success());
        let mut bench = Bench::of(&origin.path_url());
        bench.sync().unwrap();
        let refs = bench.refs();
        let sides = |parents: usize| {
            if parents > 1 {
                vec![Some(1), Some(2)]
            } else {
                vec![None]
            }
        };
        let trials = commits
            .iter()
            .flat_map(|(commit, parents)| sides(*parents).into_iter().map(move |side| (commit, side)));
        for (commit, mainline) in trials {
            let (kind, ours) = match write(&mut bench, revert(commit, mainline), &head) {
                Ok(written) => {
                    let info = bench.mirror.reader().commit(&written.commit).unwrap();
                    ("clean", Verdict::Tree(info.tree.to_string()))
                }
                Err(RevertError::Conflict { .. }) => ("conflict", Verdict::Conflict),
                Err(RevertError::NothingToDo { .. }) => ("nothing", Verdict::NothingToDo),
                Err(error) => panic!("{error:?}"),
            };
            *seen.get_mut(kind).unwrap() += 1;
            let theirs = verdict_of_git(&work, &head, commit, mainline);
            assert_eq!(ours, theirs, "seed {seed}, {commit}, mainline {mainline:?}");
        }
        assert_sound(&bench, &refs);
    }
    assert!(
        seen["clean"] > 25 && seen["conflict"] > 25 && seen["nothing"] > 1,
        "{seen:?}"
    );
}

#[test]
fn a_revert_has_the_verdict_and_the_tree_of_git_revert_on_random_histories() {
    compare_with_git(1..=5);
}

#[test]
fn the_same_on_more_random_histories() {
    compare_with_git(6..=10);
}
