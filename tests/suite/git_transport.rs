//! Reaching an upstream: every transport, its credentials, its time limits, and nothing of the user's own settings.

use std::time::{Duration, Instant};

use headwater_server::git::error::GitError;
use headwater_server::git::list::{BranchWanted, ListedHead};
use headwater_server::git::stop::Stop;
use headwater_server::git::upstream::{Credentials, SshSettings, TokenStyle, Upstream};
use headwater_tests::git_http::{Fault, FaultOn, GitHttp, Required};
use headwater_tests::hostile::{Hostile, Script};
use headwater_tests::origin::{CommitSpec, TestOrigin};
use headwater_tests::sshd::{Sshd, skipped};

use crate::git_support::{
    Bench, CANARY, assert_no_secret, assert_reads_like_git, branch, impatient, limits, named, processes_with,
    upstream,
};

fn a_repository() -> TestOrigin {
    let origin = TestOrigin::new();
    origin.commit(
        &[("a.toml", Some("x = 1\r\n")), ("dir/sub/b.json", Some("{}"))],
        "one",
    );
    origin.commit_spec(&CommitSpec {
        branch: "main",
        parent: origin.head("main"),
        merged: Vec::new(),
        entries: vec![
            ("100755", "bin/run", Some(b"#!/bin/sh\n")),
            ("100644", "blob.bin", Some(b"\0\xff\x1b")),
            ("100644", "empty", Some(b"")),
        ],
        message: "two",
        at: None,
    });
    origin.commit(
        &[("dir/sub/b.json", None), ("dir/ünï cödé.yaml", Some("ä: 1"))],
        "three",
    );
    origin
}

fn ssh_upstream(sshd: &Sshd, origin: &TestOrigin) -> Upstream {
    let mut upstream = upstream(&sshd.url(&origin.path()));
    upstream.ssh = Some(SshSettings {
        key_file: Some(sshd.key_file()),
        known_hosts_file: sshd.known_hosts(),
        port: None,
    });
    upstream
}

fn with_token(server: &GitHttp, token: &std::path::Path, style: TokenStyle) -> Upstream {
    let mut upstream = upstream(&server.url());
    upstream.ca_file = server.ca_file().map(Into::into);
    upstream.credentials = Credentials::Token {
        file: token.into(),
        style,
    };
    upstream
}

fn assert_mirrors(upstream: Upstream, origin: &TestOrigin) {
    let mut bench = Bench::with(upstream, limits());
    let first = bench.sync().unwrap();
    assert_eq!(Some(&first), origin.head("main").as_ref());
    assert_reads_like_git(&bench.mirror.reader(), origin, &first);
    let next = origin.commit(&[("a.toml", Some("x = 2"))], "four");
    assert_eq!(bench.sync().unwrap(), next);
    assert_reads_like_git(&bench.mirror.reader(), origin, &next);
}

#[test]
fn a_local_path_is_mirrored_byte_for_byte() {
    let origin = a_repository();
    assert_mirrors(upstream(&origin.path_url()), &origin);
}

#[test]
fn a_file_url_is_mirrored_byte_for_byte() {
    let origin = a_repository();
    assert_mirrors(upstream(&format!("file://{}", origin.path_url())), &origin);
}

#[test]
fn http_is_mirrored_byte_for_byte() {
    let origin = a_repository();
    let server = GitHttp::plain(origin.root());
    assert_mirrors(upstream(&server.url()), &origin);
}

#[test]
fn https_under_an_own_authority_is_mirrored_byte_for_byte() {
    let origin = a_repository();
    let server = GitHttp::tls(origin.root());
    let mut upstream = upstream(&server.url());
    upstream.ca_file = server.ca_file().map(Into::into);
    assert_mirrors(upstream, &origin);
}

#[test]
fn ssh_is_mirrored_byte_for_byte() {
    let origin = a_repository();
    let Some(sshd) = Sshd::start() else { return };
    assert_mirrors(ssh_upstream(&sshd, &origin), &origin);
    assert_eq!(processes_with(&origin.path_url()), Vec::<String>::new());
}

#[test]
fn a_sha256_repository_is_mirrored_like_any_other() {
    let origin = TestOrigin::with_format("sha256");
    let commit = origin.commit(&[("a.toml", Some("x = 1"))], "one");
    assert_eq!(commit.as_str().len(), 64);
    assert_mirrors(upstream(&origin.path_url()), &origin);
}

#[test]
fn the_default_branch_is_the_one_that_head_names() {
    let origin = TestOrigin::new();
    origin.commit_on("trunk", &[("a.toml", Some(""))], "one");
    origin.commit_on("main", &[("b.toml", Some(""))], "two");
    origin.git(&["symbolic-ref", "HEAD", "refs/heads/trunk"]);
    let bench = Bench::of(&origin.path_url());
    let listing = bench.mirror.list(&BranchWanted::Default, &Stop::new()).unwrap();
    assert_eq!(listing.branch, Some(branch("trunk")));
    assert_eq!(listing.head, ListedHead::At(origin.head("trunk").unwrap()));
}

#[test]
fn an_unborn_head_falls_back_to_main_or_master() {
    let origin = TestOrigin::new();
    let commit = origin.commit_on("master", &[("a.toml", Some(""))], "one");
    origin.git(&["symbolic-ref", "HEAD", "refs/heads/unborn"]);
    let bench = Bench::of(&origin.path_url());
    let listing = bench.mirror.list(&BranchWanted::Default, &Stop::new()).unwrap();
    assert_eq!(
        (listing.branch, listing.head),
        (Some(branch("master")), ListedHead::At(commit))
    );
}

#[test]
fn an_empty_repository_is_told_from_a_missing_branch() {
    let origin = TestOrigin::new();
    let bench = Bench::of(&origin.path_url());
    for want in [BranchWanted::Default, named("main")] {
        let listing = bench.mirror.list(&want, &Stop::new()).unwrap();
        assert_eq!(
            (listing.branch, listing.head),
            (Some(branch("main")), ListedHead::EmptyRepository)
        );
    }
    for name in ["f", "e", "d", "c", "b", "a"] {
        origin.commit_on(name, &[("a.toml", Some(""))], "one");
    }
    let listing = bench.mirror.list(&named("main"), &Stop::new()).unwrap();
    let others = ["a", "b", "c", "d", "e"].map(str::to_owned).to_vec();
    assert_eq!(
        listing.head,
        ListedHead::BranchMissing {
            branch: Some(branch("main")),
            others
        }
    );
    origin.commit_on("main", &[("a.toml", Some(""))], "late");
    let listing = bench.mirror.list(&named("main"), &Stop::new()).unwrap();
    assert_eq!(listing.head, ListedHead::At(origin.head("main").unwrap()));
}

#[test]
fn a_branch_is_not_taken_for_another_whose_name_begins_alike() {
    let origin = TestOrigin::new();
    origin.commit_on("main2", &[("a.toml", Some(""))], "one");
    origin.commit_on("main/x", &[("a.toml", Some(""))], "one");
    let server = GitHttp::plain(origin.root());
    let bench = Bench::of(&server.url());
    let listing = bench.mirror.list(&named("main"), &Stop::new()).unwrap();
    assert!(
        matches!(listing.head, ListedHead::BranchMissing { .. }),
        "{:?}",
        listing.head
    );
}

#[test]
fn a_branch_that_vanishes_between_listing_and_fetch_is_listed_again() {
    let origin = a_repository();
    let head = origin.commit_on("feat", &[("a.toml", Some(""))], "one");
    let mut bench = Bench::of(&origin.path_url());
    bench.mirror.list(&named("feat"), &Stop::new()).unwrap();
    origin.delete_branch("feat");
    let error = bench
        .mirror
        .fetch(&branch("feat"), &head, &Stop::new())
        .unwrap_err();
    assert!(matches!(error, GitError::BranchGone { .. }), "{error:?}");
}

#[test]
fn credentials_are_read_again_at_each_try() {
    let origin = a_repository();
    let server = GitHttp::tls(origin.root());
    server.require(Required::Header("Bearer good".to_owned()));
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    std::fs::write(&token, CANARY).unwrap();
    let mut bench = Bench::with(with_token(&server, &token, TokenStyle::Bearer), limits());
    let error = bench.sync().unwrap_err();
    assert!(matches!(error, GitError::AuthFailed(_)), "{error:?}");
    assert_no_secret(&error);
    std::fs::write(&token, "good\n").unwrap();
    bench.sync().unwrap();
}

#[test]
fn a_token_can_be_sent_as_a_password_and_a_password_as_itself() {
    let origin = a_repository();
    let server = GitHttp::plain(origin.root());
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("secret");
    std::fs::write(&file, "pa:ss").unwrap();
    server.require(Required::Header("Basic eC1hY2Nlc3MtdG9rZW46cGE6c3M=".to_owned()));
    Bench::with(with_token(&server, &file, TokenStyle::Basic), limits())
        .sync()
        .unwrap();
    server.require(Required::Header("Basic Ym90OnBhOnNz".to_owned()));
    let mut upstream = upstream(&server.url());
    upstream.credentials = Credentials::Basic {
        username: "bot".to_owned(),
        password_file: file,
    };
    Bench::with(upstream, limits()).sync().unwrap();
}

#[test]
fn missing_credentials_are_told_from_refused_ones() {
    let origin = a_repository();
    let server = GitHttp::plain(origin.root());
    server.require(Required::Header("Bearer good".to_owned()));
    let error = Bench::of(&server.url()).sync().unwrap_err();
    assert!(matches!(error, GitError::AuthRequired), "{error:?}");
    let embedded = server.url().replace("http://", &format!("http://bot:{CANARY}@"));
    let error = Bench::of(&embedded).sync().unwrap_err();
    assert!(matches!(error, GitError::AuthFailed(_)), "{error:?}");
    assert_no_secret(&error);
}

#[test]
fn a_redirect_never_carries_credentials_to_another_place() {
    let origin = a_repository();
    let (server, thief) = (GitHttp::plain(origin.root()), GitHttp::plain(origin.root()));
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    std::fs::write(&token, CANARY).unwrap();
    server.fail_with(Fault::Redirect(thief.base()));
    for style in [TokenStyle::Basic, TokenStyle::Bearer] {
        let error = Bench::with(with_token(&server, &token, style), limits())
            .sync()
            .unwrap_err();
        assert!(matches!(error, GitError::BadAnswer(_)), "{error:?}");
        assert!(
            error
                .one_line()
                .contains(&format!("redirects to `{}/origin.git`", thief.base())),
            "{}",
            error.one_line()
        );
        assert_no_secret(&error);
    }
    assert_eq!(thief.seen(), Vec::new());
    assert!(server.seen().iter().all(|seen| seen.authorization.is_some()));
}

#[test]
fn a_certificate_of_an_unknown_authority_is_refused() {
    let origin = a_repository();
    let (server, other) = (GitHttp::tls(origin.root()), GitHttp::tls(origin.root()));
    for ca_file in [None, other.ca_file()] {
        let mut upstream = upstream(&server.url());
        upstream.ca_file = ca_file.map(Into::into);
        let error = Bench::with(upstream, limits()).sync().unwrap_err();
        assert!(matches!(error, GitError::Unreachable(_)), "{error:?}");
    }
    assert_eq!(server.seen(), Vec::new());
}

#[test]
fn statuses_become_the_errors_a_person_can_act_on() {
    let origin = a_repository();
    let server = GitHttp::plain(origin.root());
    let bench = Bench::of(&server.url());
    let expected: [(u16, fn(&GitError) -> bool); 6] = [
        (401, |error| matches!(error, GitError::AuthRequired)),
        (403, |error| matches!(error, GitError::AuthFailed(_))),
        (404, |error| matches!(error, GitError::NotFound(_))),
        (429, |error| matches!(error, GitError::Unreachable(_))),
        (500, |error| matches!(error, GitError::Unreachable(_))),
        (200, |error| matches!(error, GitError::BadAnswer(_))),
    ];
    for (status, matches) in expected {
        server.fail_with(Fault::Status(status));
        let error = bench.mirror.list(&named("main"), &Stop::new()).unwrap_err();
        assert!(matches(&error), "{status}: {error:?}");
        assert_no_secret(&error);
    }
}

#[test]
fn a_place_without_a_repository_is_not_found() {
    let origin = a_repository();
    let nowhere = origin.root().join("nowhere").display().to_string();
    let server = GitHttp::plain(origin.root());
    let addresses = [
        nowhere,
        origin.root().display().to_string(),
        format!("{}/nowhere.git", server.base()),
    ];
    for address in addresses {
        let error = Bench::of(&address).sync().unwrap_err();
        assert!(matches!(error, GitError::NotFound(_)), "{address}: {error:?}");
    }
}

#[test]
fn a_closed_port_is_unreachable() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/x.git", listener.local_addr().unwrap());
    drop(listener);
    let error = Bench::of(&address).sync().unwrap_err();
    assert!(matches!(error, GitError::Unreachable(_)), "{error:?}");
}

#[test]
fn a_host_key_that_is_unknown_or_another_is_refused() {
    let origin = a_repository();
    let Some(sshd) = Sshd::start() else { return };
    for known_hosts_file in [sshd.empty_known_hosts(), sshd.wrong_known_hosts()] {
        let mut upstream = ssh_upstream(&sshd, &origin);
        upstream.ssh = Some(SshSettings {
            key_file: Some(sshd.key_file()),
            known_hosts_file,
            port: None,
        });
        let error = Bench::with(upstream, limits()).sync().unwrap_err();
        assert!(matches!(error, GitError::HostKey(_)), "{error:?}");
    }
}

#[test]
fn a_key_that_is_not_let_in_fails_without_a_prompt() {
    let origin = a_repository();
    let Some(sshd) = Sshd::start() else { return };
    for key_file in [None, Some(sshd.wrong_key_file())] {
        let mut upstream = ssh_upstream(&sshd, &origin);
        upstream.ssh = Some(SshSettings {
            key_file,
            known_hosts_file: sshd.known_hosts(),
            port: None,
        });
        let error = Bench::with(upstream, limits()).sync().unwrap_err();
        assert!(matches!(error, GitError::AuthFailed(_)), "{error:?}");
    }
    let mut upstream = ssh_upstream(&sshd, &origin);
    upstream.url = sshd.url(&origin.root().join("nowhere.git")).parse().unwrap();
    let error = Bench::with(upstream, limits()).sync().unwrap_err();
    assert!(matches!(error, GitError::NotFound(_)), "{error:?}");
}

#[test]
fn a_server_that_accepts_and_stays_silent_times_out() {
    let silent = Hostile::start(Script::Silent);
    let started = Instant::now();
    let error = Bench::with(upstream(&silent.url()), impatient())
        .sync()
        .unwrap_err();
    assert!(matches!(error, GitError::TimedOut { .. }), "{error:?}");
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
}

#[test]
fn an_ssh_host_that_accepts_and_stays_silent_times_out_and_leaves_no_child() {
    let silent = Hostile::start(Script::Silent);
    let dir = tempfile::tempdir().unwrap();
    let known_hosts_file = dir.path().join("known_hosts");
    std::fs::write(&known_hosts_file, "").unwrap();
    if std::process::Command::new("ssh").arg("-V").output().is_err() {
        return skipped("no ssh is installed");
    }
    let mut upstream = upstream(&format!("ssh://git@127.0.0.1:{}/x.git", silent.port()));
    upstream.ssh = Some(SshSettings {
        key_file: None,
        known_hosts_file: known_hosts_file.clone(),
        port: None,
    });
    let started = Instant::now();
    let error = Bench::with(upstream, impatient()).sync().unwrap_err();
    assert!(matches!(error, GitError::TimedOut { .. }), "{error:?}");
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(
        processes_with(&known_hosts_file.display().to_string()),
        Vec::<String>::new()
    );
}

#[test]
fn an_answer_that_stalls_or_drips_times_out_and_the_next_fetch_works() {
    let origin = a_repository();
    let server = GitHttp::plain(origin.root());
    let mut bench = Bench::with(upstream(&server.url()), impatient());
    for fault in [Fault::Stall(40), Fault::Drip(Duration::from_millis(50))] {
        for on in [FaultOn::Every, FaultOn::Fetch] {
            server.fail_on(on, fault.clone());
            let started = Instant::now();
            let error = bench.sync().unwrap_err();
            assert!(
                matches!(error, GitError::TimedOut { .. }),
                "{fault:?} {on:?}: {error:?}"
            );
            assert!(
                started.elapsed() < Duration::from_secs(5),
                "{:?}",
                started.elapsed()
            );
            assert_eq!(bench.mirror.recorded(&branch("main")), None);
        }
    }
    server.fail_with(Fault::None);
    let mut bench = Bench::with(upstream(&server.url()), limits());
    bench.sync().unwrap();
}

#[test]
fn a_truncated_pack_is_refused_and_leaves_nothing_behind() {
    let origin = a_repository();
    let server = GitHttp::plain(origin.root());
    let mut bench = Bench::of(&server.url());
    server.fail_on(FaultOn::Fetch, Fault::Truncate(300));
    let error = bench.sync().unwrap_err();
    assert!(
        matches!(error, GitError::Unreachable(_) | GitError::BadAnswer(_)),
        "{error:?}"
    );
    let left = std::fs::read_dir(bench.repository().join("objects/pack"))
        .unwrap()
        .count();
    assert_eq!(left, 0);
    server.fail_with(Fault::None);
    bench.sync().unwrap();
}

#[test]
fn a_request_to_stop_ends_a_fetch_that_drips() {
    let origin = a_repository();
    let server = GitHttp::plain(origin.root());
    server.fail_with(Fault::Drip(Duration::from_millis(50)));
    let bench = Bench::of(&server.url());
    let stop = Stop::new();
    let started = Instant::now();
    let error = std::thread::scope(|scope| {
        let listing = scope.spawn(|| bench.mirror.list(&named("main"), &stop).unwrap_err());
        while server.seen().is_empty() {
            std::thread::yield_now();
        }
        stop.stop();
        listing.join().unwrap()
    });
    assert!(matches!(error, GitError::Cancelled), "{error:?}");
    assert!(
        started.elapsed() < Duration::from_secs(10),
        "{:?}",
        started.elapsed()
    );
}

/// Runs itself again in an environment full of traps, because an environment cannot be changed within a process.
#[test]
fn settings_and_environment_of_the_user_change_nothing() {
    const INNER: &str = "HEADWATER_TEST_HERMETIC";
    if std::env::var_os(INNER).is_some() {
        let origin = a_repository();
        let server = GitHttp::plain(origin.root());
        assert_mirrors(upstream(&server.url()), &origin);
        assert_mirrors(upstream(&origin.path_url()), &origin);
        if let Some(sshd) = Sshd::start() {
            assert_mirrors(ssh_upstream(&sshd, &origin), &origin);
        }
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let sprung = home.path().join("sprung");
    let trap = format!("touch {}; false", sprung.display());
    std::fs::create_dir(home.path().join(".ssh")).unwrap();
    std::fs::write(
        home.path().join(".ssh/config"),
        format!("Host *\n ProxyCommand sh -c '{trap}'\n"),
    )
    .unwrap();
    let config = format!(
        "[url \"file:///nowhere\"]\n insteadOf = http://\n insteadOf = /\n[core]\n sshCommand = sh -c '{trap}'\n\
         [uploadpack]\n packObjectsHook = sh -c '{trap}'\n[credential]\n helper = \"!{trap}\"\n[protocol]\n allow = never\n"
    );
    std::fs::write(home.path().join(".gitconfig"), config).unwrap();
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args([
        "--exact",
        "git_transport::settings_and_environment_of_the_user_change_nothing",
        "--nocapture",
    ]);
    command
        .env(INNER, "1")
        .env("HOME", home.path())
        .env("XDG_CONFIG_HOME", home.path());
    for (key, value) in [
        ("GIT_DIR", "/nowhere"),
        ("GIT_OBJECT_DIRECTORY", "/nowhere"),
        ("GIT_PROTOCOL", "version=0"),
        ("GIT_ALTERNATE_OBJECT_DIRECTORIES", "/nowhere"),
        ("GIT_SSH_COMMAND", trap.as_str()),
        ("GIT_ASKPASS", "/nowhere"),
        ("GIT_CONFIG_COUNT", "1"),
        ("GIT_CONFIG_KEY_0", "protocol.allow"),
        ("GIT_CONFIG_VALUE_0", "never"),
        ("http_proxy", "http://127.0.0.1:1"),
        ("HTTP_PROXY", "http://127.0.0.1:1"),
        ("all_proxy", "http://127.0.0.1:1"),
        ("SSH_AUTH_SOCK", "/nowhere"),
    ] {
        command.env(key, value);
    }
    let output = command.output().unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("1 passed"), "{text}");
    assert!(!sprung.exists(), "a trap was sprung");
}
