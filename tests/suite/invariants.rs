//! The table of invariants and their tests in ARCHITECTURE.md is true.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const INVARIANTS: std::ops::RangeInclusive<usize> = 1..=21;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("a workspace")
        .to_owned()
}

/// The rows of the table: the number of the invariant, and the tests that are named.
fn rows() -> Vec<(usize, Vec<String>)> {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).expect("a readable file");
    let rows = text.lines().filter_map(|line| {
        let (id, rest) = line.strip_prefix("| I")?.split_once(' ')?;
        let named = rest.split('`').skip(1).step_by(2).map(str::to_owned);
        Some((id.parse().ok()?, named.collect()))
    });
    rows.collect()
}

/// Names of the functions in all tests.
fn functions(dir: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            functions(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).expect("a readable file");
            let names = text.split("fn ").skip(1).filter_map(|rest| rest.split_once("()"));
            found.extend(names.map(|(name, _)| name.to_owned()));
        }
    }
}

#[test]
fn every_invariant_is_listed_with_tests_that_there_are() {
    let mut there = BTreeSet::new();
    for room in ["client", "server", "tests"] {
        functions(&root().join(room), &mut there);
    }
    let rows = rows();
    let listed: Vec<usize> = rows.iter().map(|(id, _)| *id).collect();
    assert_eq!(listed, INVARIANTS.collect::<Vec<_>>());
    for (id, named) in rows {
        assert!(!named.is_empty(), "I{id} names no test");
        for test in named {
            assert!(
                there.contains(&test),
                "I{id} names `{test}`, and there is no such test"
            );
        }
    }
}
