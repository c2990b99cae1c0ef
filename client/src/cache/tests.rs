use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use headwater_render::canonical;
use headwater_wire::{Generation, Phase, Timestamp};
use proptest::prelude::*;
use serde_json::json;
use tempfile::TempDir;

use super::disk::fault::{self, Fault};
use super::*;
use crate::answer::Token;
use crate::engine::{Fence, Trial};

const COMMIT: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

fn key(config: &str) -> CacheKey {
    CacheKey {
        server: "http://127.0.0.1:7171".into(),
        repo: "default".parse().unwrap(),
        config: config.parse().unwrap(),
        instance: Some("i-1".parse().unwrap()),
    }
}

/// The n-th document, in its canonical rendering, and its digest.
fn document(n: u64) -> (Digest, String) {
    let text = canonical(&json!({ "n": n, "text": "täxt" }));
    (digest(&text), text)
}

fn kept(n: u64) -> Target {
    Target {
        token: Token::new(&format!("t{n}")),
        version: COMMIT.parse().unwrap(),
        digest: document(n).0,
        generation: Generation(n),
    }
}

/// A state that names documents n, n + 1 and n + 2.
fn state(n: u64) -> SavedState {
    SavedState {
        fence: Some(Fence {
            generation: Generation(n + 2),
            phase: Phase::Prepare,
            version: COMMIT.parse().unwrap(),
        }),
        confirmed: Some(kept(n)),
        trial: Some(Trial {
            target: kept(n + 1),
            starts: 1,
        }),
        prepared: Some(kept(n + 2)),
        crashed: vec![document(n + 9).0],
    }
}

fn save(cache: &Cache, n: u64) -> Result<(), CacheError> {
    let documents = [document(n), document(n + 1), document(n + 2)];
    let contents: Vec<(&Digest, &str)> = documents.iter().map(|(d, text)| (d, text.as_str())).collect();
    cache.save(&state(n), &contents)
}

fn open(dir: &TempDir) -> (Cache, Restored) {
    Cache::open(dir.path(), key("a/b"))
}

fn told(restored: &Restored, dir: &TempDir) -> Vec<String> {
    let dir = dir.path().join(key("a/b").directory()).display().to_string();
    let lines = restored
        .trouble
        .iter()
        .map(|t| format!("{t}\nhint: {}", t.hint()));
    lines.map(|line| line.replace(&dir, "DIR")).collect()
}

fn text(restored: &Restored, n: u64) -> Option<&str> {
    restored.documents.get(&document(n).0).map(|text| &**text)
}

/// What a start must find: exactly the n-th state, and each of its documents.
fn assert_holds(restored: &Restored, n: u64) {
    assert_eq!(restored.state, state(n));
    assert_eq!(text(restored, n), Some(document(n).1.as_str()));
    assert_eq!(text(restored, n + 1), Some(document(n + 1).1.as_str()));
    assert_eq!(text(restored, n + 2), Some(document(n + 2).1.as_str()));
    assert!(restored.trouble.is_empty(), "{:?}", restored.trouble);
}

#[test]
fn what_was_saved_is_found_at_the_next_start_and_what_is_no_longer_named_is_removed() {
    let dir = TempDir::new().unwrap();
    let (cache, restored) = open(&dir);
    assert_eq!(restored.state, SavedState::default());
    save(&cache, 1).unwrap();
    save(&cache, 3).unwrap();
    drop(cache);
    let (cache, restored) = open(&dir);
    assert_holds(&restored, 3);
    assert_eq!(fs::read_dir(cache.content_dir()).unwrap().count(), 3);
    assert!(cache.content(&document(1).0).is_none());
}

#[test]
fn a_process_that_dies_at_any_step_of_a_save_leaves_the_old_state_or_the_new_one() {
    for steps in 0.. {
        let dir = TempDir::new().unwrap();
        let (cache, _) = open(&dir);
        save(&cache, 1).unwrap();
        fault::set(Some(Fault::Dead(steps)));
        let saved = save(&cache, 2);
        fault::set(None);
        drop(cache);
        let (cache, restored) = open(&dir);
        let found = if restored.state == state(1) { 1 } else { 2 };
        assert_holds(&restored, found);
        assert!(
            saved.is_err() || found == 2,
            "step {steps}: a save that was kept is lost"
        );
        save(&cache, 3).unwrap();
        if saved.is_ok() && steps > 30 {
            return;
        }
    }
}

#[test]
fn a_process_that_dies_at_any_step_of_its_first_start_hinders_no_later_one() {
    for steps in 0..40 {
        let dir = TempDir::new().unwrap();
        fault::set(Some(Fault::Dead(steps)));
        let (cache, _) = open(&dir);
        drop(save(&cache, 1));
        fault::set(None);
        drop(cache);
        let (cache, restored) = open(&dir);
        assert!(
            restored.trouble.is_empty(),
            "step {steps}: {:?}",
            restored.trouble
        );
        save(&cache, 2).unwrap();
    }
}

#[test]
fn a_full_disk_fails_the_save_and_the_next_one_succeeds() {
    for steps in 0..40 {
        let dir = TempDir::new().unwrap();
        let (cache, _) = open(&dir);
        save(&cache, 1).unwrap();
        fault::set(Some(Fault::Full(steps)));
        if let Err(error) = save(&cache, 2) {
            assert!(error.hint().starts_with("free some space"), "{error}");
        }
        fault::set(None);
        save(&cache, 2).unwrap();
        drop(cache);
        assert_holds(&open(&dir).1, 2);
    }
}

#[test]
fn a_directory_that_cannot_be_made_stops_no_start_and_is_used_once_it_can() {
    let dir = TempDir::new().unwrap();
    let below_a_file = dir.path().join("file");
    fs::write(&below_a_file, "x").unwrap();
    let (cache, restored) = Cache::open(&below_a_file, key("a"));
    let [trouble] = restored.trouble.as_slice() else {
        panic!("{:?}", restored.trouble)
    };
    assert_eq!(
        trouble.hint(),
        "name a directory that the user of this process may write to"
    );
    assert!(matches!(save(&cache, 1), Err(CacheError::Io { .. })));
    fs::remove_file(&below_a_file).unwrap();
    save(&cache, 1).unwrap();
}

/// Every file a start reads, with its bytes.
fn files(cache: &Cache) -> Vec<(PathBuf, Vec<u8>)> {
    let mut paths = vec![cache.entry.join(STATE_FILE)];
    paths.extend([1, 2, 3].map(|n| cache.content_dir().join(file_name(&document(n).0))));
    let read = |path: PathBuf| (path.clone(), fs::read(path).unwrap());
    paths.into_iter().map(read).collect()
}

/// Nothing that was found is other than what was written, and what was not found is told.
fn assert_honest(restored: &Restored) {
    let held = [
        (restored.state.confirmed.as_ref(), 1),
        (restored.state.trial.as_ref().map(|trial| &trial.target), 2),
        (restored.state.prepared.as_ref(), 3),
    ];
    for (named, n) in held {
        let text = text(restored, n);
        assert_eq!(text.is_some(), named.is_some());
        assert!(named.is_none_or(|named| *named == kept(n)));
        assert!(text.is_none_or(|text| text == document(n).1));
        assert!(text.is_some() || !restored.trouble.is_empty());
    }
}

#[test]
fn every_truncation_and_every_damaged_byte_is_found_and_the_rest_still_counts() {
    let dir = TempDir::new().unwrap();
    let (cache, _) = open(&dir);
    save(&cache, 1).unwrap();
    // Who does not own the cache moves nothing aside, which would wait for the disk each time.
    *cache.lock() = None;
    for (path, bytes) in files(&cache) {
        let cut = (0..bytes.len()).map(|at| bytes.iter().copied().take(at).collect());
        let flipped = (0..bytes.len()).map(|at| {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1 << (at % 8);
            bytes
        });
        for damaged in cut.chain(flipped).collect::<Vec<Vec<u8>>>() {
            fs::write(&path, damaged).unwrap();
            let mut restored = Restored::default();
            cache.restore(&mut restored);
            assert_honest(&restored);
            if !path.ends_with(STATE_FILE) {
                assert_eq!(restored.documents.len(), 2);
            }
        }
        fs::write(&path, bytes).unwrap();
    }
    assert_holds(&open_again(cache, &dir), 1);
}

fn open_again(cache: Cache, dir: &TempDir) -> Restored {
    drop(cache);
    open(dir).1
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_in_place_of_a_file_stop_no_start_and_the_next_save_heals_it(
        which in 0_usize..4,
        bytes in proptest::collection::vec(any::<u8>(), 0..600),
    ) {
        let dir = TempDir::new().unwrap();
        let (cache, _) = open(&dir);
        save(&cache, 1).unwrap();
        fs::write(&files(&cache)[which].0, bytes).unwrap();
        drop(cache);
        let (cache, restored) = open(&dir);
        assert_honest(&restored);
        save(&cache, 1).unwrap();
        drop(cache);
        assert_holds(&open(&dir).1, 1);
    }
}

#[test]
fn troubles_are_told_with_what_to_do() {
    let dir = TempDir::new().unwrap();
    let (cache, _) = open(&dir);
    save(&cache, 1).unwrap();
    let path = cache.entry.join(STATE_FILE);
    let lost = cache.content_dir().join(file_name(&document(1).0));
    drop(cache);
    let mut lines = Vec::new();
    let state = fs::read_to_string(&path).unwrap();
    let too_long = "x".repeat(usize::try_from(STATE_BYTES_MAX).unwrap() + 1);
    for text in [
        state.replace("\"format\":1", "\"format\":2"),
        state.replace("a/b", "a/c"),
        state::encode(&SavedState::default(), &key("a/c")),
        too_long,
        "{}".into(),
    ] {
        fs::write(&path, text).unwrap();
        lines.extend(told(&open(&dir).1, &dir));
        assert!(!path.exists(), "it was not set aside");
    }
    fs::write(&path, state).unwrap();
    fs::remove_file(lost).unwrap();
    lines.extend(told(&open(&dir).1, &dir));
    insta::assert_snapshot!(lines.join("\n"), @r"
    a file of the cache has the newer format 2: `DIR/state.json`
    hint: nothing needs to be done after a return to an older release: it is set aside, and written anew
    a file of the cache is damaged, it is not what its digest says: `DIR/state.json`
    hint: nothing needs to be done: it is left out, and replaced by the next good version
    a file of the cache was kept for something else: `DIR/state.json`
    hint: do not copy files between cache directories; it is set aside
    a file of the cache has more than 1048576 bytes: `DIR/state.json`
    hint: nothing needs to be done: it is left out, and replaced by the next good version
    a file of the cache is damaged, it does not say its format: `DIR/state.json`
    hint: nothing needs to be done: it is left out, and replaced by the next good version
    a file of the cache is missing: `DIR/content/0da6aa2ae7e2232782b7b25860a2b8acdd4858234a278fe2e1b59413b13bcfa0.json`
    hint: nothing needs to be done: it is left out, and replaced by the next good version
    ");
}

#[test]
fn a_state_of_a_newer_format_is_set_aside_and_not_lost() {
    let dir = TempDir::new().unwrap();
    let (cache, _) = open(&dir);
    let newer = r#"{"format":2,"anything":true}"#;
    fs::write(cache.entry.join(STATE_FILE), newer).unwrap();
    drop(cache);
    let (cache, _) = open(&dir);
    save(&cache, 1).unwrap();
    assert_eq!(fs::read_to_string(cache.entry.join(ASIDE_FILE)).unwrap(), newer);
}

#[test]
fn two_configs_two_instances_and_two_servers_do_not_share_a_state() {
    let dir = TempDir::new().unwrap();
    let mut keys = vec![
        key("a/b"),
        key("a-b"),
        key("A/b"),
        CacheKey {
            instance: None,
            ..key("a/b")
        },
    ];
    keys.push(CacheKey {
        server: "http://other".into(),
        ..key("a/b")
    });
    keys.push(CacheKey {
        repo: "other".parse().unwrap(),
        ..key("a/b")
    });
    let caches: Vec<Cache> = keys
        .iter()
        .map(|key| Cache::open(dir.path(), key.clone()).0)
        .collect();
    for (n, cache) in (0..).zip(&caches) {
        save(cache, 10 * n).unwrap();
    }
    drop(caches);
    for (n, key) in (0..).zip(keys) {
        assert_holds(&Cache::open(dir.path(), key).1, 10 * n);
    }
}

#[test]
fn a_save_that_names_what_is_not_there_or_gives_something_else_is_refused() {
    let dir = TempDir::new().unwrap();
    let (cache, _) = open(&dir);
    assert!(matches!(
        cache.save(&state(1), &[]),
        Err(CacheError::NotKept { .. })
    ));
    let wrong = cache.save(&state(1), &[(&document(1).0, "{}")]);
    assert!(matches!(wrong, Err(CacheError::WrongDigest { .. })));
    let large = "x".repeat(usize::try_from(CONTENT_BYTES_MAX).unwrap() + 1);
    let large = cache.save(&state(1), &[(&digest(&large), &large)]);
    assert!(matches!(large, Err(CacheError::TooLarge { .. })));
    assert_eq!(open_again(cache, &dir).state, SavedState::default());
}

#[test]
fn only_the_newest_crashed_digests_are_remembered() {
    let dir = TempDir::new().unwrap();
    let (cache, _) = open(&dir);
    let crashed: Vec<Digest> = (0..40).map(|n| document(n).0).collect();
    let all = SavedState {
        crashed: crashed.clone(),
        ..SavedState::default()
    };
    cache.save(&all, &[]).unwrap();
    assert_eq!(open_again(cache, &dir).state.crashed, crashed[24..]);
}

#[cfg(unix)]
#[test]
fn a_link_in_place_of_a_file_is_replaced_and_not_written_through() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let dir = TempDir::new().unwrap();
    let outside = dir.path().join("outside");
    fs::write(&outside, "untouched").unwrap();
    let (cache, _) = open(&dir);
    for name in ["state.json", "state.json.tmp", "content/x.tmp"] {
        symlink(&outside, cache.entry.join(name)).unwrap();
    }
    save(&cache, 1).unwrap();
    assert_eq!(fs::read_to_string(&outside).unwrap(), "untouched");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&cache.entry), mode(&cache.content_dir())), (0o700, 0o700));
    for (path, _) in files(&cache) {
        assert_eq!(mode(&path), 0o600);
    }
    assert_holds(&open_again(cache, &dir), 1);
}

#[cfg(unix)]
#[test]
fn a_pipe_in_place_of_a_file_does_not_hold_a_start() {
    let dir = TempDir::new().unwrap();
    let (cache, _) = open(&dir);
    let path = cache.entry.join(STATE_FILE);
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    let restored = open_again(cache, &dir);
    assert!(matches!(
        restored.trouble.as_slice(),
        [CacheTrouble::Unreadable { .. }]
    ));
}

/// Starts this test program again as the process that `role` says, on `dir`.
fn child(role: &str, dir: &TempDir) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "cache::tests::a_child_of_another_test", "--nocapture"])
        .envs([
            ("CACHE_TEST_ROLE", role),
            ("CACHE_TEST_DIR", dir.path().to_str().unwrap()),
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    (child, out)
}

/// The number behind `saved` in the next line that has one.
fn saved(out: &mut BufReader<std::process::ChildStdout>) -> Option<u64> {
    out.lines()
        .map_while(Result::ok)
        .find_map(|line| line.split_once("saved ")?.1.parse().ok())
}

#[test]
fn a_child_of_another_test() {
    let Ok(role) = std::env::var("CACHE_TEST_ROLE") else {
        return;
    };
    let dir = PathBuf::from(std::env::var("CACHE_TEST_DIR").unwrap());
    let (cache, restored) = Cache::open(&dir, key("a/b"));
    let first = restored.state.confirmed.map_or(1, |kept| kept.generation.0 + 1);
    for n in first.. {
        save(&cache, n).unwrap();
        println!("saved {n}");
        if role == "hold" {
            // Until the parent closes the pipe or kills.
            drop(io::stdin().read_line(&mut String::new()));
            return;
        }
    }
}

#[test]
fn a_process_that_is_killed_at_any_moment_loses_nothing_it_had_saved() {
    let dir = TempDir::new().unwrap();
    let mut highest = 0;
    for round in 0..20 {
        let (mut child, mut out) = child("loop", &dir);
        for _ in 0..=round % 7 {
            highest = saved(&mut out).unwrap();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        while let Some(n) = saved(&mut out) {
            highest = n;
        }
        let restored = open(&dir).1;
        let found = restored.state.confirmed.as_ref().unwrap().generation.0;
        assert!(
            (highest..=highest + 1).contains(&found),
            "{highest} was saved, {found} is there"
        );
        assert_holds(&restored, found);
    }
}

#[test]
fn a_second_process_reads_and_takes_over_when_the_first_is_gone() {
    let dir = TempDir::new().unwrap();
    let (mut child, mut out) = child("hold", &dir);
    assert_eq!(saved(&mut out), Some(1));
    let (cache, restored) = open(&dir);
    assert!(matches!(
        restored.trouble.as_slice(),
        [CacheTrouble::InUse { .. }]
    ));
    assert_eq!(text(&restored, 1), Some(document(1).1.as_str()));
    assert!(matches!(save(&cache, 2), Err(CacheError::InUse { .. })));
    child.kill().unwrap();
    child.wait().unwrap();
    let lower = SavedState {
        fence: None,
        ..SavedState::default()
    };
    cache.save(&lower, &[]).unwrap();
    let fence = open_again(cache, &dir).state.fence.unwrap().generation;
    assert_eq!(fence, Generation(3), "the fence of the first process is kept");
}

fn begin(dir: Option<&TempDir>, now: i64) -> Life {
    let (repo, instance) = ("default".parse().unwrap(), "i-1".parse().unwrap());
    Life::begin(
        dir.map(TempDir::path),
        "http://s",
        &repo,
        &instance,
        Timestamp(now),
    )
}

#[test]
fn a_life_is_greater_than_every_earlier_one_whatever_the_clock_says() {
    let dir = TempDir::new().unwrap();
    let numbers = [1_000, 1_000, 500, -1, 2_000].map(|now| begin(Some(&dir), now).incarnation.0);
    assert_eq!(numbers, [1_000, 1_001, 1_002, 1_003, 2_000]);
    assert_eq!(begin(None, 700).incarnation, Incarnation(700));
}

#[test]
fn a_life_begins_also_where_its_number_cannot_be_kept_or_read() {
    let dir = TempDir::new().unwrap();
    for steps in 0..20 {
        fault::set(Some(Fault::Dead(steps)));
        let life = begin(Some(&dir), 1_000 + i64::try_from(steps).unwrap());
        fault::set(None);
        assert!(life.incarnation.0 >= 1_000);
    }
    let before = begin(Some(&dir), 0);
    assert!(
        before.trouble.is_none() && before.incarnation.0 > 1_000,
        "{before:?}"
    );
    let entry = fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
    fs::write(
        entry.join("life.json"),
        r#"{"incarnation":7,"digest":"sha256:7"}"#,
    )
    .unwrap();
    let life = begin(Some(&dir), 5_000);
    assert_eq!(life.incarnation, Incarnation(5_000));
    assert!(matches!(life.trouble, Some(CacheTrouble::Broken { .. })));
    assert!(begin(Some(&dir), 0).trouble.is_none());
}
