//! The table of codes holds what the sources emit, its examples show what they say, and the page of the documentation
//! is the one of the table.

#![expect(clippy::unwrap_used, reason = "a source that cannot be read is a failed test")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use headwater_validators::catalogue::{self, Explanation};
use headwater_validators::{ConfigTree, ContentId, Context, Entry, File, Limits, validate};
use headwater_wire::Finding;

/// Beginnings of literals that look like codes and are none.
const NOT_CODES: &[&str] = &["application", "objects", "payments", "refs", "text"];

#[test]
fn codes_are_unique_and_sorted_and_told_in_whole_sentences() {
    let codes: Vec<&str> = catalogue::all().map(|explanation| explanation.code).collect();
    assert!(codes.windows(2).all(|pair| pair[0] < pair[1]), "{codes:?}");
    for Explanation {
        code,
        meaning,
        reason,
        remedy,
        ..
    } in catalogue::all()
    {
        for text in [meaning, reason, remedy] {
            assert!(text.ends_with('.') && !text.contains("  "), "{code}: {text}");
        }
    }
}

#[test]
fn every_code_that_the_sources_emit_is_in_the_table() {
    let mut missing = BTreeMap::new();
    for room in ["validators/src", "server/src", "server/core/src", "wire/src"] {
        for (path, text) in sources(&root().join(room)) {
            for literal in literals(&text).filter(|literal| is_code(literal)) {
                if catalogue::find(&literal).is_none() {
                    missing.insert(literal, path.clone());
                }
            }
        }
    }
    assert!(
        missing.is_empty(),
        "explain these in validators/src/catalogue, or name their beginning in NOT_CODES: {missing:#?}"
    );
}

#[test]
fn every_example_shows_its_code() {
    let mut silent = BTreeMap::new();
    for explanation in catalogue::all() {
        let files = explanation.example.files();
        let findings = findings(&files);
        let is_shown = findings
            .iter()
            .any(|finding| explanation.explains(&finding.code) && finding.severity == explanation.severity);
        if !is_shown && !files.is_empty() {
            silent.insert(explanation.code, findings);
        }
    }
    assert!(silent.is_empty(), "{silent:#?}");
}

/// `HEADWATER_BLESS=1 cargo test -p headwater-validators --test catalogue` writes it anew.
#[test]
fn the_page_of_the_documentation_is_the_one_of_the_table() {
    let path = root().join(catalogue::PAGE_PATH);
    if std::env::var_os("HEADWATER_BLESS").is_some() {
        std::fs::write(&path, catalogue::page()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == catalogue::page(),
        "{} is not the page of the table; write it anew with `HEADWATER_BLESS=1 cargo test -p headwater-validators \
         --test catalogue`",
        catalogue::PAGE_PATH
    );
}

#[test]
fn a_code_is_found_by_itself_by_its_family_and_by_its_misspelling() {
    let code = |text| catalogue::find(text).map(|explanation| explanation.code);
    assert_eq!(code("schema/type"), Some("schema/type"));
    assert_eq!(code("rule/pool-step"), Some("rule/*"));
    assert_eq!(code("rule/error"), Some("rule/error"));
    assert_eq!(code("rule/"), None);
    assert_eq!(code("schema/typ"), None);
    assert_eq!(catalogue::closest("schema/typ"), Some("schema/type"));
    assert_eq!(catalogue::closest("lost-confg"), Some("tree/lost-config"));
    assert_eq!(catalogue::closest("something/else"), None);
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Rust files below a directory, without their tests.
fn sources(directory: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let text = text
                .split("\n#[cfg(test)]\nmod tests {")
                .next()
                .unwrap()
                .to_owned();
            found.push((path, text));
        }
    }
    found.retain(|(path, _)| {
        let tests = ["tests", "tests.rs", "suite.rs", "laws.rs"];
        let is_test = |part: &std::ffi::OsStr| tests.iter().any(|name| part == *name);
        !path.strip_prefix(root()).unwrap().iter().any(is_test)
    });
    found
}

/// What stands between quotes on a line, outside of comments.
fn literals(text: &str) -> impl Iterator<Item = String> {
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| line.split('"').skip(1).step_by(2))
        .map(str::to_owned)
}

/// `family/name`, as a code is written.
fn is_code(literal: &str) -> bool {
    let Some((family, name)) = literal.split_once('/') else {
        return false;
    };
    let is_word = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text.chars().all(|c| c.is_ascii_alphabetic() || c == '-')
    };
    is_word(family) && is_word(name) && !NOT_CODES.contains(&family)
}

fn findings(files: &[(&str, &str)]) -> Vec<Finding> {
    let mut tree = ConfigTree::new();
    for (path, text) in files {
        let file = File {
            id: ContentId::new((*text).to_owned()),
            size: text.len() as u64,
            bytes: Some(Arc::from(text.as_bytes())),
        };
        tree.insert(path.as_bytes(), Entry::File(file));
    }
    let limits = Limits::default();
    let context = Context::alone(&limits);
    validate(&tree, &context).findings().to_vec()
}

#[test]
fn a_misspelt_code_is_told_the_one_that_is_meant_by_all_of_it_or_by_its_end() {
    assert_eq!(catalogue::closest("merge/redundnat"), Some("merge/redundant"));
    assert_eq!(catalogue::closest("redundant"), Some("merge/redundant"));
    assert_eq!(catalogue::closest("nothing like any of them"), None);
}
