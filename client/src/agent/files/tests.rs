use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::*;

const CONFIGS: [&str; 4] = ["flags", "payments/prod", "payments/test", "edge/eu/west"];

fn name(text: &str) -> ConfigName {
    text.parse().unwrap()
}

fn names() -> Vec<ConfigName> {
    CONFIGS.map(name).to_vec()
}

fn set(of: &[&str], text: &str) -> FileSet {
    of.iter().map(|config| (name(config), text.into())).collect()
}

fn directory(root: &Path) -> Result<Directory, FileError> {
    let layout = Layout::new(&names(), "json").unwrap();
    Directory::open(root, layout, Access::new(None, None))
}

fn put(directory: &mut Directory, set: &FileSet) {
    let staged = directory.stage(set).unwrap();
    directory.switch(staged).unwrap();
}

/// Everything below a directory, with link targets, in order.
fn listing(root: &Path) -> String {
    let mut lines = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            let shown = path.strip_prefix(root).unwrap().display().to_string();
            if let Ok(target) = fs::read_link(&path) {
                lines.push(format!("{shown} -> {}", target.display()));
            } else if path.is_dir() {
                open.push(path);
            } else {
                lines.push(format!("{shown}: {}", fs::read_to_string(&path).unwrap()));
            }
        }
    }
    lines.sort();
    lines.join("\n")
}

#[test]
fn a_directory_looks_like_a_volume_of_kubernetes() {
    let dir = tempfile::tempdir().unwrap();
    let mut directory = directory(dir.path()).unwrap();
    put(&mut directory, &set(&["flags", "payments/prod"], "one"));
    insta::assert_snapshot!(listing(dir.path()), @"
    ..data -> ..hw-2d5f6551ea73-1
    ..headwater.lock: 
    ..hw-2d5f6551ea73-1/flags.json: one
    ..hw-2d5f6551ea73-1/payments/prod.json: one
    flags.json -> ..data/flags.json
    payments -> ..data/payments
    ");
    assert_eq!(
        fs::read_to_string(dir.path().join("payments/prod.json")).unwrap(),
        "one"
    );
}

#[test]
fn the_version_before_stays_for_those_who_still_read_it_and_no_longer() {
    let dir = tempfile::tempdir().unwrap();
    let mut directory = directory(dir.path()).unwrap();
    let mut versions = Vec::new();
    for text in ["one", "two", "three"] {
        put(&mut directory, &set(&CONFIGS, text));
        versions.push(dir.path().join(fs::read_link(dir.path().join("..data")).unwrap()));
    }
    assert!(!versions[0].exists());
    assert!(versions[1].exists());
    assert!(versions[2].exists());
}

#[test]
fn a_config_that_is_gone_takes_its_link_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut directory = directory(dir.path()).unwrap();
    put(&mut directory, &set(&CONFIGS, "one"));
    put(&mut directory, &set(&["flags"], "two"));
    assert!(fs::symlink_metadata(dir.path().join("payments")).is_err());
    assert_eq!(directory.read().unwrap(), set(&["flags"], "two"));
}

#[test]
fn a_switch_that_is_taken_back_leaves_the_version_before() {
    let dir = tempfile::tempdir().unwrap();
    let mut directory = directory(dir.path()).unwrap();
    put(&mut directory, &set(&["flags"], "one"));
    put(&mut directory, &set(&CONFIGS, "two"));
    directory.back().unwrap();
    assert_eq!(directory.read().unwrap(), set(&["flags"], "one"));
    assert!(fs::symlink_metadata(dir.path().join("payments")).is_err());
}

#[test]
fn a_first_switch_that_is_taken_back_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut directory = directory(dir.path()).unwrap();
    put(&mut directory, &set(&CONFIGS, "one"));
    directory.back().unwrap();
    assert_eq!(listing(dir.path()), "..headwater.lock: ");
}

#[test]
fn what_was_there_before_the_agent_is_not_touched() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("notes.txt"), "mine").unwrap();
    fs::create_dir(dir.path().join("..hw-mine")).unwrap();
    symlink("elsewhere", dir.path().join("broken")).unwrap();
    let mut directory = directory(dir.path()).unwrap();
    put(&mut directory, &set(&CONFIGS, "one"));
    put(&mut directory, &set(&["flags"], "two"));
    assert_eq!(fs::read_to_string(dir.path().join("notes.txt")).unwrap(), "mine");
    assert!(dir.path().join("..hw-mine").is_dir());
    assert!(fs::symlink_metadata(dir.path().join("broken")).is_ok());
}

#[test]
fn a_place_that_is_taken_is_told_before_anything_is_written() {
    for (path, taken) in [("payments/own.txt", "payments"), ("flags.json", "flags.json")] {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "mine").unwrap();
        let error = directory(dir.path()).unwrap_err();
        let expected = format!(
            "`{}` is there already, and it is not the agent's",
            dir.path().canonicalize().unwrap().join(taken).display()
        );
        assert_eq!(error.to_string(), expected);
        assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    }
}

#[test]
fn a_directory_of_kubernetes_itself_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    symlink("..2026_01_02_03_04_05.678", dir.path().join("..data")).unwrap();
    assert!(matches!(directory(dir.path()), Err(FileError::Foreign(_))));
}

#[test]
fn a_second_agent_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let _first = directory(dir.path()).unwrap();
    assert!(matches!(directory(dir.path()), Err(FileError::Locked(_))));
}

#[test]
fn what_a_crash_left_is_swept_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = directory(dir.path()).unwrap();
    put(&mut first, &set(&["flags"], "one"));
    drop(first);
    let kept = listing(dir.path());
    fs::create_dir_all(dir.path().join("..hw-0123456789ab-7/payments")).unwrap();
    symlink("..hw-0123456789ab-7", dir.path().join("..data.new")).unwrap();
    symlink("..data/payments", dir.path().join("payments")).unwrap();
    let again = directory(dir.path()).unwrap();
    assert_eq!(listing(dir.path()), kept);
    assert_eq!(again.read().unwrap(), set(&["flags"], "one"));
}

#[test]
fn a_linked_directory_is_followed() {
    let dir = tempfile::tempdir().unwrap();
    let (real, link) = (dir.path().join("real"), dir.path().join("link"));
    fs::create_dir(&real).unwrap();
    symlink(&real, &link).unwrap();
    put(&mut directory(&link).unwrap(), &set(&["flags"], "one"));
    assert_eq!(fs::read_to_string(real.join("flags.json")).unwrap(), "one");
}

#[test]
fn a_directory_that_was_deleted_meanwhile_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("config");
    let mut directory = directory(&root).unwrap();
    put(&mut directory, &set(&["flags"], "one"));
    fs::remove_dir_all(&root).unwrap();
    assert!(!directory.holds(&set(&["flags"], "one")));
    put(&mut directory, &set(&["flags"], "one"));
    assert!(directory.holds(&set(&["flags"], "one")));
}

#[test]
fn files_have_their_mode_whatever_the_umask_is() {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::new(&names(), "json").unwrap();
    let mut directory = Directory::open(dir.path(), layout, Access::new(Some(0o660), None)).unwrap();
    put(&mut directory, &set(&["payments/prod"], "one"));
    let mode = |path: &str| fs::metadata(dir.path().join(path)).unwrap().mode() & 0o7777;
    assert_eq!(mode("payments/prod.json"), 0o660);
    assert_eq!(mode("payments"), 0o770);
    assert!(directory.holds(&set(&["payments/prod"], "one")));
    fs::set_permissions(
        dir.path().join("payments/prod.json"),
        fs::Permissions::from_mode(0o600),
    )
    .unwrap();
    assert!(!directory.holds(&set(&["payments/prod"], "one")));
}

const FULL_ROOT: &str = "HEADWATER_TEST_WRITE_TOO_MUCH";

/// Not a test by itself: the process of the next test, which may write no more than a few KiB into a file.
#[test]
fn child_that_writes_too_much() {
    let Some(root) = std::env::var_os(FULL_ROOT) else {
        return;
    };
    let directory = directory(Path::new(&root)).unwrap();
    let mut big = set(&CONFIGS, "two");
    big.insert(name("payments/test"), "x".repeat(1 << 20).into());
    let error = directory.stage(&big).unwrap_err();
    assert!(error.to_string().starts_with("cannot write `"), "{error}");
}

#[test]
fn a_write_that_fails_half_way_leaves_the_old_version_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let mut before = directory(dir.path()).unwrap();
    put(&mut before, &set(&CONFIGS, "one"));
    drop(before);
    let listed = listing(dir.path());
    let status = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$@\"", "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["agent::files::tests::child_that_writes_too_much", "--exact"])
        .env(FULL_ROOT, dir.path())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    assert_eq!(listing(dir.path()), listed);
}

#[test]
fn a_full_disk_is_told_with_what_to_do() {
    let error = FileError::io("write", Path::new("/x"))(io::ErrorKind::StorageFull.into());
    insta::assert_snapshot!(
        format!("{error}; {}", error.hint()),
        @"cannot write `/x`; free some space; the version that was there stays in use meanwhile"
    );
}

#[test]
fn a_single_file_is_replaced_and_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deep/app.json");
    let mut single = SingleFile::open(&path, name("flags"), Access::new(Some(0o600), None)).unwrap();
    for text in ["one", "two"] {
        let staged = single.stage(&set(&["flags"], text)).unwrap();
        single.switch(staged).unwrap();
    }
    assert_eq!(single.read().unwrap(), set(&["flags"], "two"));
    single.back().unwrap();
    assert!(single.holds(&set(&["flags"], "one")));
    assert_eq!(listing(path.parent().unwrap()), "app.json: one");
}

#[test]
fn a_single_file_that_is_linked_is_replaced_where_it_is() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("real.json"), "old").unwrap();
    symlink("real.json", dir.path().join("link.json")).unwrap();
    let path = dir.path().join("link.json");
    let mut single = SingleFile::open(&path, name("flags"), Access::new(None, None)).unwrap();
    let staged = single.stage(&set(&["flags"], "new")).unwrap();
    single.switch(staged).unwrap();
    assert_eq!(listing(dir.path()), "link.json -> real.json\nreal.json: new");
}

const CHILD_ROOT: &str = "HEADWATER_TEST_SWITCH_FOR_EVER";

/// Not a test by itself: the process that the next test kills. It switches as fast as it can, each config with
/// sixteen times the number of the version.
#[test]
fn child_that_switches_for_ever() {
    let Some(root) = std::env::var_os(CHILD_ROOT) else {
        return;
    };
    let mut directory = directory(Path::new(&root)).unwrap();
    let start: u64 = directory
        .read()
        .unwrap()
        .values()
        .next()
        .map_or(0, |text| text.lines().next().unwrap().parse().unwrap());
    for version in start + 1.. {
        // Every third version has fewer configs, so that links come and go as well.
        let of = if version % 3 == 0 {
            &CONFIGS[..2]
        } else {
            &CONFIGS[..]
        };
        put(&mut directory, &set(of, &format!("{version}\n").repeat(16)));
    }
}

/// The versions that one look finds, with how many files it read.
fn look(root: &Path) -> Option<(BTreeMap<String, usize>, PathBuf)> {
    let data = root.join(fs::read_link(root.join("..data")).ok()?);
    let mut versions = BTreeMap::new();
    for config in CONFIGS {
        match fs::read_to_string(data.join(format!("{config}.json"))) {
            Ok(text) => *versions.entry(text).or_default() += 1,
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::NotFound),
        }
    }
    // Whoever looks while two switches pass finds a version that is being removed, and looks again.
    data.exists().then_some((versions, data))
}

#[test]
fn a_reader_finds_one_version_while_the_writer_is_killed_at_any_point() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("config");
    let mut looks = 0;
    for round in 0..60_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["agent::files::tests::child_that_switches_for_ever", "--exact"])
            .env(CHILD_ROOT, &root)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // The point of the kill: after a switch was seen, and then some microseconds that differ each time.
        let first = fs::read_link(root.join("..data")).ok();
        let until = Instant::now() + Duration::from_secs(30);
        while fs::read_link(root.join("..data")).ok() == first {
            assert!(Instant::now() < until, "the child does nothing");
            std::thread::yield_now();
        }
        let killed_at = Instant::now() + Duration::from_micros(round * 397 % 20_000);
        while Instant::now() < killed_at {
            if let Some((versions, data)) = look(&root)
                && data.exists()
            {
                assert!(versions.len() == 1, "a mix: {versions:?}");
                looks += 1;
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // Nobody writes now, so the names that programs use must show one version as well.
        let texts: BTreeMap<String, usize> = CONFIGS
            .iter()
            .filter_map(|config| fs::read_to_string(root.join(format!("{config}.json"))).ok())
            .fold(BTreeMap::new(), |mut seen, text| {
                *seen.entry(text).or_default() += 1;
                seen
            });
        let (version, files) = texts.iter().next().expect("a version");
        assert_eq!(texts.len(), 1, "a mix after the kill: {texts:?}");
        let number: u64 = version.lines().next().unwrap().parse().unwrap();
        assert_eq!(*files, if number.is_multiple_of(3) { 2 } else { 4 });
        assert_eq!(version.lines().count(), 16, "a file that is not whole");
    }
    assert!(looks > 100, "only {looks} looks");
}
