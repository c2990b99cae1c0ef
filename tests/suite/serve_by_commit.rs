//! P1: bytes served for a commit are the bytes of its tree, whatever the files are and whatever else goes on.

use std::sync::atomic::{AtomicBool, Ordering};

use headwater_tests::http::{Ask, escaped};
use headwater_tests::origin::{CommitSpec, TestOrigin};
use headwater_tests::server::TestServer;
use headwater_tests::wait::wait_until;
use headwater_wire::CommitId;

/// Files that a careless service would change, skip, or trip over.
fn odd_files() -> Vec<(&'static str, &'static str, Option<&'static [u8]>)> {
    vec![
        ("100644", "app.json", Some(b"{\"v\": 1}\n")),
        ("100644", "empty", Some(b"")),
        ("100644", "crlf.toml", Some(b"a = 1\r\nb = 2\r\n")),
        ("100644", "bom.json", Some(b"\xef\xbb\xbf{\"a\": 1}")),
        ("100644", "latin1.txt", Some(b"gr\xfc\xdfe")),
        ("100644", "binary.bin", Some(&[0, 1, 2, 255, 254, 0, 10, 13, 0])),
        ("100755", "run.sh", Some(b"#!/bin/sh\n")),
        ("100644", "with space/and+plus&amp=1.yaml", Some(b"a: 1\n")),
        ("100644", "ünïcode/Ω/日本.toml", Some(b"a = 1\n")),
        ("100644", "percent%20sign%2Fnot-a-slash.json", Some(b"{}")),
        ("100644", "question?mark#hash.txt", Some(b"?#")),
        ("100644", "a/b/c/d/e/f/g/h/i/j/k/deep.json", Some(b"{}")),
        ("100644", "dot.in.name/.hidden/.gitignore", Some(b"*\n")),
        (
            "100644",
            ".gitattributes",
            Some(b"* text eol=crlf ident filter=lfs\n$Id$\n"),
        ),
        ("100644", "ident.txt", Some(b"$Id$\n")),
        ("100644", "no-newline.yaml", Some(b"a: 1")),
        ("100644", "-leading-dash.toml", Some(b"a = 1\n")),
        ("100644", "quote'\"and`tick.json", Some(b"{}")),
        ("100644", "con.json", Some(b"{}")),
    ]
}

fn commit_files(origin: &TestOrigin, entries: Vec<(&str, &str, Option<&[u8]>)>, message: &str) -> CommitId {
    let parent = origin.head("main");
    origin.commit_spec(&CommitSpec {
        branch: "main",
        parent,
        merged: Vec::new(),
        entries,
        message,
        at: None,
    })
}

/// Every file of `commit` is served as `git show` prints it.
fn assert_serves_like_git(server: &TestServer, origin: &TestOrigin, commit: &CommitId) {
    let listed = origin.git_bytes(&["ls-tree", "-r", "-z", "--name-only", commit.as_str()]);
    let paths = listed.split(|byte| *byte == 0).filter(|path| !path.is_empty());
    for path in paths {
        let path = std::str::from_utf8(path).expect("a path of this test");
        let target = format!("/v1/repos/default/commits/{commit}/files/{}", escaped(path));
        let reply = server.get(&target).expect(200);
        assert_eq!(
            reply.body,
            origin.git_bytes(&["show", &format!("{commit}:{path}")]),
            "{path}"
        );
        assert_eq!(reply.must("cache-control"), "public, max-age=31536000, immutable");
        assert_eq!(reply.must("content-type"), "application/octet-stream");
        assert_eq!(reply.must("x-content-type-options"), "nosniff");
    }
}

#[test]
fn every_file_of_every_commit_is_served_as_git_shows_it_while_pushes_go_on() {
    let origin = TestOrigin::new();
    let mut commits = vec![commit_files(&origin, odd_files(), "odd files")];
    commits.push(origin.commit(
        &[("app.json", Some("{\"v\": 2}")), ("empty", None)],
        "change one, drop one",
    ));
    commits.push(origin.commit(
        &[("app.json", Some("{\"v\": 3}")), ("empty", Some("no more"))],
        "and back",
    ));
    let server = TestServer::of(&origin);
    server.until_tip(&commits[2]);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let pushes = scope.spawn(|| {
            let mut number = 100;
            while !done.load(Ordering::Acquire) {
                number += 1;
                origin.commit(&[("app.json", Some(&format!("{{\"v\": {number}}}")))], "a push");
            }
        });
        for commit in &commits {
            assert_serves_like_git(&server, &origin, commit);
        }
        done.store(true, Ordering::Release);
        pushes.join().expect("the pushes end");
    });
    let last = origin.head("main").expect("a head");
    server.until_tip(&last);
    assert_serves_like_git(&server, &origin, &last);
}

#[test]
fn the_document_and_the_version_come_from_one_commit_while_pushes_go_on() {
    let origin = TestOrigin::new();
    let first = origin.commit(
        &[("a.json", Some("{\"v\": 0}")), ("b.json", Some("{\"v\": 0}"))],
        "0",
    );
    let server = TestServer::of(&origin);
    server.until_tip(&first);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let pushes = scope.spawn(|| {
            for number in 1..40 {
                let text = format!("{{\"v\": {number}}}");
                origin.commit(
                    &[("a.json", Some(&text)), ("b.json", Some(&text))],
                    &number.to_string(),
                );
            }
            done.store(true, Ordering::Release);
        });
        while !done.load(Ordering::Acquire) {
            for config in ["a", "b"] {
                let body = server.config(config, None).expect(200).json();
                let version = body["version"].as_str().expect("a version");
                let message = origin.git(&["log", "-1", "--format=%s", version]);
                assert_eq!(body["document"]["v"].to_string(), message, "{body}");
            }
        }
        pushes.join().expect("the pushes end");
    });
    server.until_tip(&origin.head("main").expect("a head"));
}

#[test]
fn a_config_at_a_commit_is_immutable_and_says_which_version_it_is() {
    let origin = TestOrigin::new();
    let first = origin.commit(&[("app.json", Some("{\"v\": 1}"))], "one");
    let second = origin.commit(&[("other.json", Some("{}"))], "two: another config");
    let server = TestServer::of(&origin);
    server.until_tip(&second);
    for commit in [&first, &second] {
        let reply = server
            .get(&format!("/v1/repos/default/commits/{commit}/configs/app"))
            .expect(200);
        assert_eq!(reply.must("cache-control"), "public, max-age=31536000, immutable");
        assert_eq!(reply.json()["version"], first.as_str());
        assert_eq!(reply.json()["tip"], commit.as_str());
        assert_eq!(reply.json()["document"]["v"], 1);
        let held = Ask::get(&format!("/v1/repos/default/commits/{commit}/configs/app"))
            .header("if-none-match", reply.must("etag"));
        server.ask(&held).expect(304);
    }
}

#[test]
fn a_commit_that_was_pushed_a_moment_ago_is_found_by_one_forced_listing() {
    let origin = TestOrigin::new();
    let first = origin.commit(&[("app.json", Some("{\"v\": 1}"))], "one");
    let server = headwater_tests::server::Stopped::of(&origin.path_url())
        .each(|repo| repo.poll_interval = std::time::Duration::from_hours(1))
        .start();
    server.until_tip(&first);
    let second = origin.commit(&[("app.json", Some("{\"v\": 2}"))], "two");
    let reply = server
        .get(&format!("/v1/repos/default/commits/{second}/configs/app"))
        .expect(200);
    assert_eq!(reply.json()["document"]["v"], 2);
}

#[test]
fn a_commit_that_the_branch_does_not_reach_is_not_served() {
    let origin = TestOrigin::new();
    let first = origin.commit(&[("app.json", Some("{\"v\": 1}"))], "one");
    let elsewhere = origin.commit_on(
        "feature",
        &[("app.json", Some("{\"secret\": true}"))],
        "elsewhere",
    );
    let server = TestServer::of(&origin);
    server.until_tip(&first);
    for rest in ["configs/app", "files/app.json"] {
        let reply = server
            .get(&format!("/v1/repos/default/commits/{elsewhere}/{rest}"))
            .expect(404);
        assert_eq!(reply.code(), "commit_not_here");
    }
}

#[test]
fn a_commit_of_a_second_parent_is_served_like_any_other() {
    let origin = TestOrigin::new();
    let base = origin.commit(&[("app.json", Some("{\"v\": 1}"))], "base");
    origin.force_reset("side", &base);
    let side = origin.commit_on("side", &[("side.json", Some("{\"v\": 7}"))], "side");
    let main = origin.commit(&[("app.json", Some("{\"v\": 2}"))], "main");
    let merge = origin.commit_spec(&CommitSpec {
        branch: "main",
        parent: Some(main),
        merged: vec![side.clone()],
        entries: vec![("100644", "side.json", Some(b"{\"v\": 7}"))],
        message: "merge",
        at: None,
    });
    let server = TestServer::of(&origin);
    server.until_tip(&merge);
    let body = server
        .get(&format!("/v1/repos/default/commits/{side}/configs/side"))
        .expect(200)
        .json();
    assert_eq!(body["document"]["v"], 7);
    // In the history that is followed, the content came with the merge.
    assert_eq!(
        server.config("side", None).expect(200).json()["version"],
        merge.as_str()
    );
}

#[test]
fn links_submodules_and_directories_are_no_files() {
    let origin = TestOrigin::new();
    let target = "1111111111111111111111111111111111111111";
    let commit = commit_files(
        &origin,
        vec![
            ("100644", "dir/app.json", Some(b"{}")),
            ("120000", "link.json", Some(b"/etc/passwd")),
            ("120000", "loop", Some(b"loop")),
            ("160000", "module", Some(target.as_bytes())),
        ],
        "no files",
    );
    let server = TestServer::of(&origin);
    server.until_tip(&commit);
    let code = |path: &str| {
        server
            .get(&format!("/v1/repos/default/commits/{commit}/files/{path}"))
            .code()
    };
    assert_eq!(code("link.json"), "not_a_file");
    assert_eq!(code("loop"), "not_a_file");
    assert_eq!(code("module"), "not_a_file");
    assert_eq!(code("dir"), "not_a_file");
    assert_eq!(code("module/file"), "file_not_found");
    assert_eq!(code("link.json/passwd"), "file_not_found");
    assert_eq!(code("gone"), "file_not_found");
}

#[test]
fn a_head_request_has_the_headers_of_a_get_and_no_body() {
    let origin = TestOrigin::new();
    let commit = origin.commit(&[("app.json", Some("{\"v\": 1}"))], "one");
    let server = TestServer::of(&origin);
    server.until_tip(&commit);
    for target in [
        "/v1/repos/default/configs/app".to_owned(),
        format!("/v1/repos/default/commits/{commit}/configs/app"),
        format!("/v1/repos/default/commits/{commit}/files/app.json"),
        "/livez".to_owned(),
    ] {
        let (get, head) = (
            server.get(&target).expect(200),
            server.ask(&Ask::new("HEAD", &target)).expect(200),
        );
        assert!(head.body.is_empty());
        for name in [
            "etag",
            "content-type",
            "content-length",
            "headwater-version",
            "cache-control",
        ] {
            assert_eq!(get.header(name), head.header(name), "{name} of {target}");
        }
    }
}

#[test]
fn two_repositories_and_branches_never_mix() {
    let origin = TestOrigin::new();
    origin.commit(&[("app.json", Some("{\"branch\": \"main\", \"v\": 0}"))], "main");
    origin.commit_on(
        "other",
        &[("app.json", Some("{\"branch\": \"other\", \"v\": 0}"))],
        "other",
    );
    let server = headwater_tests::server::Stopped::of(&origin.path_url())
        .and("second", &origin.path_url())
        .with(|settings| {
            let branch = "other".parse().expect("a branch name");
            settings.repos[1].branch = headwater_server::git::list::BranchWanted::Named(branch);
        })
        .start();
    let branch_of = |repo: &str| {
        let reply = server.get(&format!("/v1/repos/{repo}/configs/app"));
        (reply.status == 200).then(|| reply.json()["document"]["branch"].clone())
    };
    wait_until("both published", || {
        branch_of("default").is_some() && branch_of("second").is_some()
    });
    for number in 1..15 {
        origin.commit(
            &[(
                "app.json",
                Some(&format!("{{\"branch\": \"main\", \"v\": {number}}}")),
            )],
            "push",
        );
        origin.commit_on(
            "other",
            &[(
                "app.json",
                Some(&format!("{{\"branch\": \"other\", \"v\": {number}}}")),
            )],
            "push",
        );
        assert_eq!(branch_of("default").expect("an answer"), "main");
        assert_eq!(branch_of("second").expect("an answer"), "other");
    }
}
