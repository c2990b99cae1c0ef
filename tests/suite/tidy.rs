//! The house rules that no compiler checks.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Longest file without its tests.
const LINES_MAX: usize = 500;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("a workspace")
        .to_owned()
}

/// All Rust files below the given directories.
fn rust_files(dirs: &[&str]) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> = dirs.iter().map(|dir| root().join(dir)).collect();
    while let Some(dir) = open.pop() {
        let Ok(entries) = std::fs::read_dir(&dir) else {
            continue;
        };
        for entry in entries.flatten() {
            let path = entry.path();
            if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).expect("a readable file");
                found.push((
                    path.strip_prefix(root()).expect("below the root").to_owned(),
                    text,
                ));
            }
        }
    }
    found.sort();
    assert!(found.len() > 5, "the rooms are not where they were: {dirs:?}");
    found
}

const ROOMS: [&str; 7] = [
    "bench",
    "wire",
    "validators",
    "server",
    "client",
    "tests/src",
    "tests/suite",
];

/// Whether the file is a module of tests: below `tests`, or declared for tests only by the file that owns it.
fn is_test(path: &Path, files: &[(PathBuf, String)]) -> bool {
    let stem = path
        .file_stem()
        .and_then(|stem| stem.to_str())
        .unwrap_or_default();
    let declared = format!("#[cfg(test)]\nmod {stem};");
    let parent = path.parent().unwrap_or(Path::new(""));
    let owned = |owner: &Path| owner.parent() == Some(parent) || owner.with_extension("") == parent;
    path.components()
        .any(|part| part.as_os_str() == "tests" || part.as_os_str() == "suite")
        || files
            .iter()
            .any(|(owner, text)| owned(owner) && text.contains(&declared))
}

/// What stands before the tests of a file.
fn without_tests(text: &str) -> &str {
    text.split("\n#[cfg(test)]").next().unwrap_or(text)
}

fn assert_none(what: &str, offenders: &[String]) {
    assert!(offenders.is_empty(), "{what}:\n{}", offenders.join("\n"));
}

#[test]
fn every_file_begins_with_what_it_is() {
    let files = rust_files(&ROOMS);
    let is_part = |path: &Path| is_test(path, &files) && !path.starts_with("tests");
    let offenders: Vec<String> = files
        .iter()
        .filter(|(path, text)| !text.starts_with("//! ") && !is_part(path))
        .map(|(path, _)| path.display().to_string())
        .collect();
    assert_none("these files do not begin with `//!`", &offenders);
}

#[test]
fn no_file_is_longer_than_a_person_reads_at_once() {
    let files = rust_files(&ROOMS);
    let offenders: Vec<String> = files
        .iter()
        .filter(|(path, _)| !is_test(path, &files))
        .map(|(path, text)| (path, without_tests(text).lines().count()))
        .filter(|(_, lines)| *lines > LINES_MAX)
        .map(|(path, lines)| format!("{}: {lines} lines", path.display()))
        .collect();
    assert_none("these files are too long", &offenders);
}

#[test]
fn nothing_that_serves_ends_in_an_unwrap() {
    let mut offenders = Vec::new();
    let rooms = [
        "wire/src",
        "validators/src",
        "server/src",
        "server/core/src",
        "client/src",
    ];
    let files = rust_files(&rooms);
    for (path, text) in &files {
        if is_test(path, &files) || text.contains("#![cfg(test)]") {
            continue;
        }
        for (number, line) in without_tests(text).lines().enumerate() {
            let code = line.split("//").next().unwrap_or(line);
            if code.contains(".unwrap()") || code.contains("panic!(") || code.contains("unimplemented!(") {
                offenders.push(format!("{}:{}: {}", path.display(), number + 1, line.trim()));
            }
        }
    }
    assert_none("these lines can end the process", &offenders);
}

#[test]
fn no_note_to_self_is_left() {
    // Put together here, so that this file does not find itself.
    let banned: Vec<String> = ["to-do", "fix-me", "x-x-x", "ha-ck:"]
        .iter()
        .map(|word| word.replace('-', ""))
        .collect();
    let mut offenders = Vec::new();
    for (path, text) in rust_files(&ROOMS) {
        for (number, line) in text.lines().enumerate() {
            let line = line.to_ascii_lowercase();
            // A word in quotes is what a program looks for.
            let words = banned.iter().fold(line.clone(), |line, word| {
                line.replace(&format!("\"{word}\""), "")
            });
            let mut words = words.split(|c: char| !c.is_ascii_alphanumeric() && c != ':');
            if words.any(|word| banned.iter().any(|banned| banned == word)) && !line.contains("todo =") {
                offenders.push(format!("{}:{}: {}", path.display(), number + 1, line.trim()));
            }
        }
    }
    assert_none("these lines are notes to self", &offenders);
}

/// Each file is named by a `mod` of its parent, or is a root that Cargo knows.
#[test]
fn no_file_is_dead() {
    let mut offenders = Vec::new();
    let files = rust_files(&ROOMS);
    let paths: BTreeSet<&Path> = files.iter().map(|(path, _)| path.as_path()).collect();
    for (path, _) in &files {
        let stem = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .unwrap_or_default();
        let parent = path.parent().unwrap_or(Path::new(""));
        let in_dir = |name: &str| parent.file_name().is_some_and(|dir| dir == name);
        if matches!(stem, "lib" | "main" | "build")
            || in_dir("bin")
            || in_dir("tests")
            || in_dir("examples")
            || in_dir("benches")
        {
            continue;
        }
        let (name, above) = match stem {
            "mod" => (
                parent
                    .file_name()
                    .and_then(|name| name.to_str())
                    .unwrap_or_default(),
                parent.parent().unwrap_or(parent),
            ),
            _ => (stem, parent),
        };
        let owners = [
            above.join("mod.rs"),
            above.join("lib.rs"),
            above.join("main.rs"),
            above.with_extension("rs"),
        ];
        let by_path = format!("/{stem}.rs\"]");
        let named = files.iter().any(|(owner, text)| {
            let is_owner = owners.contains(owner) || (owner.parent() == Some(above) && in_dir("suite"));
            let is_shared = text
                .lines()
                .any(|line| line.starts_with("#[path") && line.ends_with(&by_path));
            is_shared
                || is_owner
                    && text.lines().any(|line| {
                        let line = line.trim().trim_end_matches(';');
                        line.strip_suffix(name)
                            .is_some_and(|before| before.ends_with("mod "))
                    })
        });
        if !named {
            offenders.push(path.display().to_string());
        }
    }
    assert!(!paths.is_empty());
    assert_none("nobody names these files", &offenders);
}

#[test]
fn every_problem_code_is_documented_once() {
    let Ok(text) = std::fs::read_to_string(root().join("docs/api.md")) else {
        return;
    };
    let offenders: Vec<String> = headwater_wire::ProblemCode::ALL
        .iter()
        .map(|code| {
            (
                code,
                text.lines()
                    .filter(|line| line.starts_with(&format!("| `{code}`")))
                    .count(),
            )
        })
        .filter(|(_, rows)| *rows != 1)
        .map(|(code, rows)| format!("`{code}` has {rows} rows"))
        .collect();
    assert_none(
        "the table of problems in docs/api.md is not the one of the program",
        &offenders,
    );
}

/// The sandbox runs on this processor alone here (`.ci/aarch64` compiles it for another one), and its lists of system
/// calls name some that the other does not have. The kernel's header of generic numbers, which is on every machine with a C compiler, has those of aarch64.
#[test]
fn the_sandbox_names_no_system_call_that_only_one_processor_has() {
    let Ok(header) = std::fs::read_to_string("/usr/include/asm-generic/unistd.h") else {
        println!("skipped: the kernel's headers are not there");
        return;
    };
    let defined: BTreeSet<&str> = header
        .lines()
        .filter_map(|line| {
            line.strip_prefix("#define __NR_")
                .or(line.strip_prefix("#define __NR3264_"))
        })
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    let filter = root().join("server/src/sandbox/filter.rs");
    let filter = std::fs::read_to_string(filter).expect("the filter");
    let mut named = 0;
    let mut guard = "";
    for line in filter.lines() {
        for call in line.split("libc::SYS_").skip(1) {
            let call: String = call
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                .collect();
            let is_ours_alone = guard.trim() == "#[cfg(target_arch = \"x86_64\")]";
            assert_ne!(
                defined.contains(call.as_str()),
                is_ours_alone,
                "`{call}` is on every processor, or is kept for x86_64"
            );
            named += 1;
        }
        guard = line;
    }
    assert!(named > 50, "only {named} system calls were found");
}
