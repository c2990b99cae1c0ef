//! Every door that strangers' bytes come in by, over its corpus and over mutations of it by a fixed seed.
//!
//! `HEADWATER_FUZZ=1000000 cargo test -p headwater-tests --test suite fuzz::` tries that many inputs of each.

use std::collections::BTreeSet;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use headwater_tests::fuzz::{Mutator, TARGETS, Target};

/// Mutated inputs of each target.
const INPUTS: u64 = 1_000;

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("fuzz")
}

fn seeds(target: &Target) -> Vec<Vec<u8>> {
    let dir = fuzz().join("corpus").join(target.name);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&dir)
        .unwrap_or_else(|_| panic!("`{}` has no corpus", target.name))
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "the corpus of `{}` is empty", target.name);
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

fn tried(target: &Target, bytes: &[u8], what: &str) {
    let run = target.run;
    assert!(
        catch_unwind(|| run(bytes)).is_ok(),
        "`{}` breaks a law with {what}; keep the input as a file of its corpus: {}",
        target.name,
        bytes.escape_ascii()
    );
}

#[test]
fn no_bytes_break_a_law_of_a_door_by_which_strangers_bytes_come_in() {
    let inputs = std::env::var("HEADWATER_FUZZ")
        .ok()
        .map(|count| count.parse().unwrap());
    let inputs = inputs.unwrap_or(INPUTS);
    for target in TARGETS {
        let seeds = seeds(target);
        for (number, seed) in seeds.iter().enumerate() {
            tried(target, seed, &format!("file {number}"));
        }
        for number in 0..inputs {
            let bytes = Mutator::new(number).input(&seeds);
            tried(target, &bytes, &format!("input {number}"));
        }
    }
}

#[test]
fn every_target_has_a_program_and_a_corpus_and_no_other_has() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    let named = |dir: &str| -> BTreeSet<String> {
        let entries = std::fs::read_dir(fuzz().join(dir)).unwrap();
        let stems = entries.map(|entry| entry.unwrap().path().file_stem().unwrap().to_owned());
        stems.map(|stem| stem.into_string().unwrap()).collect()
    };
    assert_eq!(named("corpus"), targets);
    assert_eq!(named("fuzz_targets"), targets);
    let manifest = std::fs::read_to_string(fuzz().join("Cargo.toml")).unwrap();
    for target in &targets {
        assert!(manifest.contains(&format!("name = \"{target}\"\n")), "{target}");
        let program = std::fs::read_to_string(fuzz().join(format!("fuzz_targets/{target}.rs"))).unwrap();
        assert!(program.contains(&format!("run(\"{target}\", bytes)")), "{target}");
    }
}
