//! Crashes, damage, a full disk, rewritten histories: the mirror heals, and what was published stays readable.

use std::fs;
use std::process::Command;

use headwater_server::git::Mirror;
use headwater_server::git::error::{GitError, Remedy};
use headwater_server::git::limits::MirrorLimits;
use headwater_server::git::list::BranchWanted;
use headwater_server::git::maintain::Maintenance;
use headwater_server::git::stop::Stop;
use headwater_server::git::store::MirrorHealth;
use headwater_tests::origin::TestOrigin;
use headwater_tests::sshd::skipped;
use headwater_wire::{CommitId, RepoPath};

use crate::git_support::{Bench, assert_reads_like_git, branch, limits, named, upstream};

fn an_origin() -> (TestOrigin, CommitId) {
    let origin = TestOrigin::new();
    let one = origin.commit(&[("a.toml", Some("1")), ("dir/b.toml", Some("1"))], "one");
    (origin, one)
}

fn a_path() -> RepoPath {
    "a.toml".parse().expect("a path")
}

#[test]
fn a_second_process_is_refused_with_a_clear_error() {
    let (origin, _) = an_origin();
    let bench = Bench::of(&origin.path_url());
    let dir = bench.dir.path().join("mirror");
    let error = Mirror::open(&dir, upstream(&origin.path_url()), limits()).unwrap_err();
    assert!(matches!(error, GitError::LockedByOther { .. }), "{error:?}");
    assert_eq!(error.remedy(), Remedy::FixInput);
    drop(bench.mirror);
    Mirror::open(&dir, upstream(&origin.path_url()), limits()).unwrap();
}

#[test]
fn what_a_killed_process_leaves_is_swept_and_the_next_fetch_works() {
    let (origin, one) = an_origin();
    let mut bench = Bench::of(&origin.path_url());
    bench.sync().unwrap();
    let repository = bench.repository();
    let debris = [
        "packed-refs.lock",
        "HEAD.lock",
        "config.lock",
        "refs/headwater/heads/main.lock",
        "objects/pack/.tmpAbC123",
        "objects/pack/tmp_pack_x",
        "objects/pack/tmp_idx_x",
        "objects/pack/pack-0000000000000000000000000000000000000000.pack",
        "objects/pack/pack-0000000000000000000000000000000000000000.keep",
        "objects/12/tmp_obj_x",
    ];
    fs::create_dir_all(repository.join("objects/12")).unwrap();
    for name in debris {
        fs::write(repository.join(name), "half").unwrap();
    }
    let mut bench = bench.reopen();
    assert_eq!(bench.mirror.health(), &MirrorHealth::Healthy);
    for name in debris {
        assert!(!repository.join(name).exists(), "{name} is still there");
    }
    assert_eq!(bench.mirror.recorded(&branch("main")), Some(one));
    let two = origin.commit(&[("a.toml", Some("2"))], "two");
    assert_eq!(bench.sync().unwrap(), two);
}

#[test]
fn a_mirror_half_made_is_made_again() {
    let (origin, one) = an_origin();
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("mirror/repository.new/objects")).unwrap();
    let mirror = Mirror::open(&dir.path().join("mirror"), upstream(&origin.path_url()), limits()).unwrap();
    assert_eq!(mirror.health(), &MirrorHealth::Created);
    assert_eq!(Bench { dir, mirror }.sync().unwrap(), one);
}

#[test]
fn a_damaged_mirror_is_set_aside_and_cloned_again() {
    let damages: [(&str, fn(&std::path::Path)); 6] = [
        ("objects gone", |repository| {
            fs::remove_dir_all(repository.join("objects")).unwrap();
        }),
        ("packs gone", |repository| {
            fs::remove_dir_all(repository.join("objects/pack")).unwrap();
            fs::create_dir(repository.join("objects/pack")).unwrap();
        }),
        ("pack overwritten", |repository| {
            damage_packs(repository, |bytes| bytes[12..].fill(0x55));
        }),
        ("pack cut", |repository| {
            damage_packs(repository, |bytes| bytes.truncate(40));
        }),
        ("config gone bad", |repository| {
            fs::write(repository.join("config"), "[core").unwrap();
        }),
        ("ref gone bad", |repository| {
            fs::write(repository.join("refs/headwater/heads/main"), "zzz\n").unwrap();
        }),
    ];
    for (name, damage) in damages {
        let (origin, one) = an_origin();
        let mut bench = Bench::of(&origin.path_url());
        bench.sync().unwrap();
        damage(&bench.repository());
        let mut bench = bench.reopen();
        assert!(
            matches!(bench.mirror.health(), MirrorHealth::Rebuilt { .. }),
            "{name}: {:?}",
            bench.mirror.health()
        );
        assert!(
            bench.dir.path().join("mirror/broken").exists(),
            "{name}: not set aside"
        );
        assert_eq!(bench.mirror.recorded(&branch("main")), None, "{name}");
        assert_eq!(bench.sync().unwrap(), one, "{name}");
        assert_reads_like_git(&bench.mirror.reader(), &origin, &one);
    }
}

fn damage_packs(repository: &std::path::Path, damage: fn(&mut Vec<u8>)) {
    for entry in fs::read_dir(repository.join("objects/pack"))
        .expect("a pack directory")
        .flatten()
    {
        if entry
            .path()
            .extension()
            .is_some_and(|extension| extension == "pack")
        {
            let mut bytes = fs::read(entry.path()).expect("a pack");
            damage(&mut bytes);
            fs::remove_file(entry.path()).expect("a pack can be removed");
            fs::write(entry.path(), bytes).expect("a pack can be written");
        }
    }
}

#[test]
fn only_one_broken_mirror_is_kept() {
    let (origin, _) = an_origin();
    let mut bench = Bench::of(&origin.path_url());
    for _ in 0..3 {
        bench.sync().unwrap();
        fs::write(bench.repository().join("config"), "[core").unwrap();
        bench = bench.reopen();
    }
    let mut names: Vec<_> = fs::read_dir(bench.dir.path().join("mirror"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["broken", "home", "lock", "repository.git"]);
}

#[test]
fn a_mirror_damaged_while_it_is_open_says_so_and_can_be_rebuilt() {
    let (origin, _) = an_origin();
    let mut bench = Bench::of(&origin.path_url());
    bench.sync().unwrap();
    let two = origin.commit(&[("a.toml", Some("2"))], "two");
    for entry in fs::read_dir(bench.repository().join("objects/pack"))
        .unwrap()
        .flatten()
    {
        fs::remove_file(entry.path()).unwrap();
    }
    let error = match bench.sync() {
        Err(error) => error,
        // The upstream sent everything anew, since nothing was here: that is healing, too.
        Ok(head) => return assert_eq!(head, two),
    };
    assert_eq!(error.remedy(), Remedy::RepairMirror, "{error:?}");
    bench.mirror.rebuild(&error).unwrap();
    assert_eq!(bench.sync().unwrap(), two);
    assert_reads_like_git(&bench.mirror.reader(), &origin, &two);
}

#[test]
fn a_reader_that_misses_something_makes_the_mirror_look_at_itself() {
    let (origin, one) = an_origin();
    let mut bench = Bench::of(&origin.path_url());
    bench.sync().unwrap();
    damage_packs(&bench.repository(), |bytes| bytes[12..].fill(0x55));
    let (dir, upstream) = (bench.dir, bench.mirror.upstream().clone());
    // Opening would find the damage; a reader of an open mirror stumbles over it.
    let mirror = bench.mirror;
    let error = mirror.reader().blob(&one, &a_path(), 9);
    let mut bench = Bench { dir, mirror };
    if error.is_err() {
        assert_eq!(bench.mirror.recorded(&branch("main")), None);
        let error = bench.fetch(&BranchWanted::Default).unwrap_err();
        assert_eq!(error.remedy(), Remedy::RepairMirror, "{error:?}");
    }
    drop(bench.mirror);
    let mirror = Mirror::open(&bench.dir.path().join("mirror"), upstream, limits()).unwrap();
    assert!(matches!(mirror.health(), MirrorHealth::Rebuilt { .. }));
    bench.mirror = mirror;
    assert_eq!(bench.sync().unwrap(), one);
}

#[test]
fn a_branch_moved_to_another_history_between_listing_and_fetch_is_listed_again() {
    let (origin, one) = an_origin();
    let two = origin.commit(&[("a.toml", Some("2"))], "two");
    let mut bench = Bench::of(&origin.path_url());
    origin.force_reset("main", &one);
    let error = bench
        .mirror
        .fetch(&branch("main"), &two, &Stop::new())
        .unwrap_err();
    assert!(
        matches!(&error, GitError::BranchMoved { actual, .. } if *actual == one),
        "{error:?}"
    );
    assert_eq!(error.remedy(), Remedy::RefreshAndRedo);
    let three = origin.commit(&[("a.toml", Some("3"))], "three");
    let fetched = bench.mirror.fetch(&branch("main"), &one, &Stop::new()).unwrap();
    assert_eq!(fetched.head, three);
    assert!(bench.mirror.reader().contains(&one));
}

#[test]
fn an_open_mirror_serves_while_the_upstream_is_gone() {
    let (origin, one) = an_origin();
    let mut bench = Bench::of(&origin.path_url());
    bench.sync().unwrap();
    drop(origin);
    let bench = bench.reopen();
    assert_eq!(bench.mirror.recorded(&branch("main")), Some(one.clone()));
    assert_eq!(bench.mirror.reader().blob(&one, &a_path(), 9).unwrap(), b"1");
    assert!(bench.mirror.list(&BranchWanted::Default, &Stop::new()).is_err());
}

#[test]
fn many_fetches_in_a_row_work_and_maintenance_keeps_packs_few() {
    let (origin, one) = an_origin();
    let limits = MirrorLimits {
        packs_max: 10,
        ..limits()
    };
    let mut bench = Bench::with(upstream(&origin.path_url()), limits);
    bench.sync().unwrap();
    let first_reader = bench.mirror.reader();
    let (mut most, mut repacks) = (0, 0);
    for number in 0..45 {
        let head = origin.commit(&[("a.toml", Some(&format!("{number}")))], "more");
        assert_eq!(bench.sync().unwrap(), head);
        if number >= 34 {
            let done = bench.mirror.maintain(&Stop::new()).unwrap();
            repacks += usize::from(matches!(done, Maintenance::Repacked { .. }));
        }
        most = most.max(bench.mirror.packs().unwrap());
        assert_eq!(
            bench.mirror.reader().blob(&head, &a_path(), 99).unwrap(),
            format!("{number}").as_bytes()
        );
    }
    assert!(most > 32, "too few packs to prove anything: {most}");
    assert!(
        repacks > 0 && bench.mirror.packs().unwrap() <= 11,
        "{repacks}, {:?}",
        bench.mirror.packs()
    );
    assert_eq!(
        first_reader.blob(&one, &a_path(), 9).unwrap(),
        b"1",
        "an old reader lost its objects"
    );
    assert_reads_like_git(&bench.mirror.reader(), &origin, &origin.head("main").unwrap());
}

#[test]
fn a_rewritten_history_is_fetched_and_what_was_published_survives_repacking() {
    let (origin, one) = an_origin();
    let published = origin.commit(&[("a.toml", Some("published"))], "published");
    let limits = MirrorLimits {
        packs_max: 0,
        ..limits()
    };
    let mut bench = Bench::with(upstream(&origin.path_url()), limits);
    bench.sync().unwrap();
    bench.mirror.keep(&published).unwrap();
    origin.force_reset("main", &one);
    let rewritten = origin.commit(&[("a.toml", Some("rewritten"))], "rewritten");
    origin.git(&["reflog", "expire", "--expire=now", "--all"]);
    origin.git(&["gc", "-q", "--prune=now"]);
    assert_eq!(bench.sync().unwrap(), rewritten);
    bench.mirror.maintain(&Stop::new()).unwrap();
    let git_dir = format!("--git-dir={}", bench.repository().display());
    let collected = headwater_tests::origin::git()
        .arg(git_dir)
        .args(["gc", "-q", "--prune=now"])
        .status();
    assert!(collected.unwrap().success());
    let bench = bench.reopen();
    let reader = bench.mirror.reader();
    assert_eq!(reader.blob(&published, &a_path(), 99).unwrap(), b"published");
    assert!(!reader.reachable(&published, &rewritten).unwrap());
}

#[test]
fn a_head_that_moved_in_between_is_not_overwritten() {
    let (origin, one) = an_origin();
    let mut bench = Bench::of(&origin.path_url());
    let main = branch("main");
    let (_, fetched) = bench.fetch(&BranchWanted::Default).unwrap();
    assert_eq!(bench.mirror.recorded(&main), None, "a fetch moved a ref");
    bench.mirror.adopt(&main, &fetched.head, None).unwrap();
    let two = origin.commit(&[("a.toml", Some("2"))], "two");
    bench.fetch(&BranchWanted::Default).unwrap();
    for expected in [None, Some(&two)] {
        let error = bench.mirror.adopt(&main, &two, expected).unwrap_err();
        let GitError::HeadMoved { actual, .. } = &error else {
            panic!("{error:?}")
        };
        assert_eq!(actual.as_ref(), Some(&one));
    }
    bench.mirror.adopt(&main, &two, Some(&one)).unwrap();
    assert_eq!(bench.mirror.recorded(&main), Some(two.clone()));
    let unknown: CommitId = "1".repeat(40).parse().unwrap();
    let error = bench.mirror.adopt(&main, &unknown, Some(&two)).unwrap_err();
    assert!(matches!(error, GitError::UnknownCommit { .. }), "{error:?}");
}

#[test]
fn a_branch_that_becomes_a_directory_of_branches_is_followed() {
    let (origin, one) = an_origin();
    origin.force_reset("feat", &one);
    let mut bench = Bench::of(&origin.path_url());
    bench.sync_branch(&named("feat")).unwrap();
    origin.delete_branch("feat");
    origin.force_reset("feat/x", &one);
    assert_eq!(bench.sync_branch(&named("feat/x")).unwrap(), one);
    let long = vec!["long"; 50].join("/");
    origin.force_reset(&long, &one);
    assert_eq!(bench.sync_branch(&named(&long)).unwrap(), one);
    let bench = bench.reopen();
    for name in ["feat", "feat/x", &long] {
        assert_eq!(bench.mirror.recorded(&branch(name)), Some(one.clone()), "{name}");
    }
}

/// Needs a file system of its own, which only some can mount.
#[test]
fn a_full_disk_is_told_and_what_was_good_stays() {
    let place = tempfile::tempdir().unwrap();
    let mount = |args: &[&str]| Command::new("mount").args(args).arg(place.path()).output();
    let mounted = mount(&["-t", "tmpfs", "-o", "size=512k", "tmpfs"]);
    if !mounted.is_ok_and(|output| output.status.success()) {
        return skipped("a small file system cannot be mounted here");
    }
    let outcome = std::panic::catch_unwind(|| on_a_small_disk(place.path()));
    // Lazily: a program of Git that is just ending may still have its directory there.
    let unmounted = Command::new("umount").arg("-l").arg(place.path()).status();
    assert!(unmounted.unwrap().success());
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

fn on_a_small_disk(place: &std::path::Path) {
    let (origin, one) = an_origin();
    let dir = tempfile::tempdir_in(place).expect("a directory on the small disk");
    let mirror = Mirror::open(&dir.path().join("mirror"), upstream(&origin.path_url()), limits());
    let mut bench = Bench {
        dir,
        mirror: mirror.expect("a mirror"),
    };
    bench.sync().expect("a first fetch");
    let noise: String = (0..120_000_u32)
        .map(|n| format!("{:x}", n.wrapping_mul(2_654_435_761)))
        .collect();
    origin.commit(&[("noise.toml", Some(&noise))], "noise");
    let error = bench.sync().expect_err("a disk that is too small");
    assert!(matches!(error, GitError::StorageFull { .. }), "{error:?}");
    assert_eq!(bench.mirror.recorded(&branch("main")), Some(one.clone()));
    assert_reads_like_git(&bench.mirror.reader(), &origin, &one);
    origin.force_reset("main", &one);
    let small = origin.commit(&[("a.toml", Some("2"))], "small");
    assert_eq!(bench.sync().expect("room was made"), small);
}
