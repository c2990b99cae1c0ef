//! History: the same answers as `git`, on histories with merges and with dates that lie.

use std::collections::{HashMap, HashSet};

use headwater_server::git::history::{ChangedEntry, Relation, Side, SideKind};
use headwater_server::git::read::Reader;
use headwater_tests::origin::{CommitSpec, FIRST_COMMIT_AT, TestOrigin};
use headwater_wire::{CommitId, Timestamp};
use proptest::prelude::*;

use crate::git_support::{Bench, branch};

/// For each commit: which earlier ones it merges, how its clock lies, and which files it writes.
type Plan = Vec<(Vec<prop::sample::Index>, i64, Vec<(u8, u8)>)>;

fn plans() -> impl Strategy<Value = Plan> {
    let parents = prop::collection::vec(any::<prop::sample::Index>(), 0..3);
    let files = prop::collection::vec((0_u8..8, any::<u8>()), 0..4);
    prop::collection::vec((parents, -500_000_i64..500_000, files), 2..14)
}

const EMPTY_TREE: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";
const NAMES: [&str; 8] = ["a", "b/c", "b/d/e", "b", "f/g", "f/h", "i.toml", "f"];

/// All commits of the plan in one stream, joined by a last merge, so that one branch leads to all of them.
fn build(plan: &Plan) -> (TestOrigin, Vec<CommitId>) {
    let origin = TestOrigin::new();
    let mut stream = String::new();
    for (number, (parents, skew, files)) in plan.iter().enumerate() {
        let mark = number + 1;
        let mut parents: Vec<usize> = parents
            .iter()
            .filter(|_| number > 0)
            .map(|index| index.index(number) + 1)
            .collect();
        parents.dedup();
        header(
            &mut stream,
            &format!("work-{mark}"),
            mark,
            FIRST_COMMIT_AT + skew,
            &parents,
        );
        for (name, value) in files {
            let (name, value) = (usize::from(*name), value % 4);
            let mode = ["100644", "100755", "120000", "delete"][usize::from(value)];
            let path = NAMES[name];
            stream += &match mode {
                "delete" => format!("D {path}\n"),
                mode => format!("M {mode} inline {path}\ndata 1\n{value}\n"),
            };
        }
    }
    let all: Vec<usize> = (1..=plan.len()).collect();
    header(&mut stream, "main", plan.len() + 1, FIRST_COMMIT_AT, &all);
    let args = ["fast-import", "--quiet", "--date-format=raw-permissive"];
    origin.git_with_input(&args, stream.as_bytes());
    let commits = ids(&origin.git(&["rev-list", "--all"]));
    (origin, commits)
}

fn header(stream: &mut String, branch: &str, mark: usize, at: i64, parents: &[usize]) {
    *stream +=
        &format!("commit refs/heads/{branch}\nmark :{mark}\ncommitter C <c@x> {at} +0000\ndata 1\nm\n");
    for (nth, parent) in parents.iter().enumerate() {
        *stream += &format!("{} :{parent}\n", if nth == 0 { "from" } else { "merge" });
    }
}

/// Parents of each commit, as `git` lists them.
fn parents_of(origin: &TestOrigin) -> HashMap<CommitId, Vec<CommitId>> {
    let text = origin.git(&["rev-list", "--all", "--parents"]);
    let parse = |line: &str| {
        let mut ids = ids(&line.replace(' ', "\n"));
        let rest = ids.split_off(1);
        (ids.remove(0), rest)
    };
    text.lines().map(parse).collect()
}

fn ancestors(parents: &HashMap<CommitId, Vec<CommitId>>, of: &CommitId) -> HashSet<CommitId> {
    let (mut found, mut pending) = (HashSet::new(), vec![of.clone()]);
    while let Some(commit) = pending.pop() {
        if found.insert(commit.clone()) {
            pending.extend(parents.get(&commit).cloned().unwrap_or_default());
        }
    }
    found
}

fn first_parents(parents: &HashMap<CommitId, Vec<CommitId>>, of: &CommitId) -> Vec<CommitId> {
    std::iter::successors(Some(of.clone()), |commit| parents.get(commit)?.first().cloned()).collect()
}

fn ids(text: &str) -> Vec<CommitId> {
    text.lines()
        .map(|line| line.parse().expect("a commit id"))
        .collect()
}

fn assert_ancestry(reader: &Reader, origin: &TestOrigin, commits: &[CommitId]) {
    let parents = parents_of(origin);
    for descendant in commits {
        let ancestors = ancestors(&parents, descendant);
        for ancestor in commits {
            let expected = ancestors.contains(ancestor);
            assert_eq!(
                reader.is_ancestor(ancestor, descendant).unwrap(),
                expected,
                "{ancestor} {descendant}"
            );
            assert_eq!(reader.reachable(ancestor, descendant).unwrap(), expected);
            if expected && ancestor != descendant {
                assert_eq!(reader.relation(ancestor, descendant).unwrap(), Relation::Ancestor);
                assert_eq!(
                    reader.relation(descendant, ancestor).unwrap(),
                    Relation::Descendant
                );
            }
        }
    }
}

fn shown(side: Option<&Side>) -> String {
    match side {
        None => "000000".to_owned(),
        Some(side) => {
            let mode = match side.kind {
                SideKind::File => "100644",
                SideKind::Executable => "100755",
                SideKind::Symlink => "120000",
                SideKind::Submodule => "160000",
            };
            format!("{mode} {}", side.id)
        }
    }
}

fn as_git_shows(entries: &[ChangedEntry]) -> Vec<String> {
    entries
        .iter()
        .map(|entry| {
            let path = String::from_utf8_lossy(&entry.path);
            format!(
                "{path}: {} → {}",
                shown(entry.old.as_ref()),
                shown(entry.new.as_ref())
            )
        })
        .collect()
}

fn git_diff(origin: &TestOrigin, old: &str, new: &CommitId) -> Vec<String> {
    let text = origin.git(&[
        "diff-tree",
        "-r",
        "-z",
        "--raw",
        "--no-renames",
        "--no-abbrev",
        old,
        new.as_str(),
    ]);
    let fields: Vec<&str> = text.split('\0').filter(|field| !field.is_empty()).collect();
    let side = |mode: &str, id: &str| {
        if mode == "000000" {
            mode.to_owned()
        } else {
            format!("{mode} {id}")
        }
    };
    let mut lines: Vec<(String, String)> = fields
        .chunks(2)
        .map(|pair| {
            let parts: Vec<&str> = pair[0].trim_start_matches(':').split(' ').collect();
            let change = format!("{} → {}", side(parts[0], parts[2]), side(parts[1], parts[3]));
            (pair[1].to_owned(), change)
        })
        .collect();
    lines.sort();
    lines
        .into_iter()
        .map(|(path, change)| format!("{path}: {change}"))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn answers_equal_those_of_git_on_any_history(plan in plans(), pairs in any::<[[prop::sample::Index; 2]; 3]>()) {
        let (origin, commits) = build(&plan);
        let mut bench = Bench::of(&origin.path_url());
        bench.sync().unwrap();
        let reader = bench.mirror.reader();
        assert_ancestry(&reader, &origin, &commits);
        let parents = parents_of(&origin);
        for commit in &commits {
            let expected = first_parents(&parents, commit);
            prop_assert_eq!(&reader.first_parents(commit, None, usize::MAX).unwrap(), &expected);
            let until = expected.last().unwrap();
            let short: Vec<_> = expected.iter().take_while(|id| *id != until).cloned().collect();
            prop_assert_eq!(reader.first_parents(commit, Some(until), 1_000).unwrap(), short);
            let two: Vec<_> = expected.iter().take(2).cloned().collect();
            prop_assert_eq!(reader.first_parents(commit, None, 2).unwrap(), two);
        }
        for pair in pairs {
            let [old, new] = pair.map(|index| index.get(&commits));
            let changed = reader.changed(Some(old), new).unwrap();
            prop_assert_eq!(as_git_shows(&changed), git_diff(&origin, old.as_str(), new));
            let changed = reader.changed(None, new).unwrap();
            prop_assert_eq!(as_git_shows(&changed), git_diff(&origin, EMPTY_TREE, new));
        }
    }
}

#[test]
fn dates_that_lie_do_not_change_who_descends_from_whom() {
    let origin = TestOrigin::new();
    let at = |parent: Option<&CommitId>, at: i64| {
        let spec = CommitSpec {
            branch: "main",
            parent: parent.cloned(),
            merged: Vec::new(),
            entries: Vec::new(),
            message: "m",
            at: Some(FIRST_COMMIT_AT + at),
        };
        origin.commit_spec(&spec)
    };
    let one = at(None, 1_000_000);
    let two = at(Some(&one), -1_000_000);
    let three = at(Some(&two), 0);
    let mut bench = Bench::of(&origin.path_url());
    bench.sync().unwrap();
    assert_ancestry(&bench.mirror.reader(), &origin, &[one, two, three]);
}

#[test]
fn a_true_fast_forward_with_an_older_date_is_followed() {
    let origin = TestOrigin::new();
    origin.commit(&[("a.toml", Some("1"))], "one");
    let mut bench = Bench::of(&origin.path_url());
    bench.sync().unwrap();
    let next = origin.commit_spec(&CommitSpec {
        branch: "main",
        parent: origin.head("main"),
        merged: Vec::new(),
        entries: vec![("100644", "a.toml", Some(b"2"))],
        message: "from the past",
        at: Some(1_000),
    });
    assert_eq!(bench.sync().unwrap(), next);
}

#[test]
fn unknown_commits_have_no_relation() {
    let origin = TestOrigin::new();
    let one = origin.commit(&[("a.toml", Some("1"))], "one");
    let side = origin.commit_spec(&CommitSpec {
        branch: "side",
        parent: None,
        merged: Vec::new(),
        entries: Vec::new(),
        message: "root of its own",
        at: None,
    });
    let mut bench = Bench::of(&origin.path_url());
    bench.sync().unwrap();
    let reader = bench.mirror.reader();
    let unknown: CommitId = "1".repeat(40).parse().unwrap();
    let longer: CommitId = "1".repeat(64).parse().unwrap();
    for other in [&unknown, &longer, &side] {
        assert_eq!(reader.relation(&one, other).unwrap(), Relation::Unknown);
        assert!(!reader.contains(other));
        assert!(!reader.reachable(other, &one).unwrap());
    }
    bench.sync_branch(&crate::git_support::named("side")).unwrap();
    assert_eq!(
        bench.mirror.reader().relation(&one, &side).unwrap(),
        Relation::Unrelated
    );
    assert_eq!(bench.mirror.recorded(&branch("side")), Some(side));
}

#[test]
fn a_commit_tells_who_when_and_why() {
    let origin = TestOrigin::new();
    let one = origin.commit(&[("a.toml", Some("1"))], "subject\n\nbody ü\n\nTrailer: x\n");
    let tree = origin.git(&["rev-parse", "main^{tree}"]);
    let latin = [
        format!("tree {tree}\nparent {one}\nauthor J").into_bytes(),
        b"\xfcrgen <j@example.test> 1600000000 -0330\ncommitter C <c@example.test> 1600000001 +0000\n"
            .to_vec(),
        b"encoding ISO-8859-1\n\ngr\xfc\xdfe\n".to_vec(),
    ]
    .concat();
    let raw = origin.git_with_input(&["hash-object", "-t", "commit", "-w", "--stdin"], &latin);
    let latin: CommitId = String::from_utf8(raw).unwrap().trim().parse().unwrap();
    origin.force_reset("main", &latin);
    let mut bench = Bench::of(&origin.path_url());
    bench.sync().unwrap();
    let reader = bench.mirror.reader();
    let info = reader.commit(&one).unwrap();
    assert_eq!((info.tree.as_str(), info.parents), (tree.as_str(), Vec::new()));
    assert_eq!(
        (info.author.name.as_str(), info.author.email.as_str()),
        ("A U Thor", "author@example.test")
    );
    assert_eq!(info.committer.at, Timestamp::from_seconds(FIRST_COMMIT_AT));
    assert_eq!(info.message, "subject\n\nbody ü\n\nTrailer: x\n");
    let info = reader.commit(&latin).unwrap();
    assert_eq!(
        (info.author.name.as_str(), info.message.as_str()),
        ("Jürgen", "grüße\n")
    );
    assert_eq!(
        (info.author.at, info.parents),
        (Timestamp::from_seconds(1_600_000_000), vec![one])
    );
}
