//! Pushing: one ref, by compare-and-swap, over every transport, by our own words and by `git`; and what is said when it
//! does not work.

use std::path::Path;
use std::time::{Duration, Instant};

use headwater_server::git::error::{GitError, Remedy};
use headwater_server::git::limits::MirrorLimits;
use headwater_server::git::push::{
    Landing, PushError, PushMethod, PushRef, PushRequest, Pushed, WriteAccess,
};
use headwater_server::git::revert::{Signing, Written};
use headwater_server::git::stop::Stop;
use headwater_server::git::upstream::{Credentials, SshSettings, TokenStyle, Upstream};
use headwater_tests::git_http::{Fault, FaultOn, GitHttp, Required};
use headwater_tests::hostile::{Hostile, Script, pkt};
use headwater_tests::origin::TestOrigin;
use headwater_tests::sshd::Sshd;
use headwater_wire::CommitId;

use crate::git_support::{
    Bench, CANARY, assert_no_secret, branch, intent, limits, processes_with, upstream, whole,
};

const METHODS: [PushMethod; 2] = [PushMethod::ReceivePack, PushMethod::GitProgram];

/// An origin with a good and a bad commit, and a mirror of it.
struct Story {
    origin: TestOrigin,
    bench: Bench,
    good: CommitId,
    head: CommitId,
}

impl Story {
    fn new() -> Self {
        Self::with("sha1", limits())
    }

    fn with(format: &str, limits: MirrorLimits) -> Self {
        let origin = TestOrigin::with_format(format);
        origin.allow_push();
        let good = origin.commit(&[("a.toml", Some("a = 1\n")), ("d/b", Some("b"))], "Good");
        let head = origin.commit(&[("a.toml", Some("a = 2\n")), ("d/b", None)], "Bad");
        let mut bench = Bench::with(upstream(&origin.path_url()), limits);
        bench.sync().expect("a mirror of the origin");
        Self {
            origin,
            bench,
            good,
            head,
        }
    }

    /// The rollback to the good commit; another id makes another commit.
    fn rollback(&mut self, id: &str) -> Written {
        let intent = intent(id, whole(&self.good));
        self.bench
            .mirror
            .write_revert(&intent, &self.head, &Signing::Unsigned, &Stop::new())
            .expect("a revert commit")
    }

    fn push(&self, access: &WriteAccess, written: &Written) -> Result<Pushed, PushError> {
        self.bench.mirror.push(access, &onto_main(written), &Stop::new())
    }

    fn landed(&mut self, access: &WriteAccess, written: &Written) -> Result<Landing, PushError> {
        let target = PushRef::Branch(branch("main"));
        self.bench
            .mirror
            .landed(access, &target, &written.commit, &Stop::new())
    }

    fn main(&self) -> CommitId {
        self.origin.head("main").expect("the branch is there")
    }

    fn local(&self, method: PushMethod) -> WriteAccess {
        access(upstream(&self.origin.path_url()), method)
    }
}

fn access(upstream: Upstream, method: PushMethod) -> WriteAccess {
    WriteAccess { upstream, method }
}

fn onto_main(written: &Written) -> PushRequest {
    PushRequest {
        target: PushRef::Branch(branch("main")),
        commit: written.commit.clone(),
        expected: Some(written.parent.clone()),
        sources: written.sources.clone(),
    }
}

fn hasty(push: Duration) -> MirrorLimits {
    MirrorLimits { push, ..limits() }
}

fn token(url: &str, file: &Path, text: &str) -> Upstream {
    std::fs::write(file, text).unwrap();
    let mut upstream = upstream(url);
    upstream.credentials = Credentials::Token {
        file: file.to_owned(),
        style: TokenStyle::Bearer,
    };
    upstream
}

/// Pushes, looks at the origin, and lets the commit come in as any other does.
fn assert_lands(story: &mut Story, access: &WriteAccess) {
    let written = story.rollback("intent-1");
    let refs = story.bench.refs();
    assert_eq!(story.push(access, &written).unwrap(), Pushed::Moved);
    assert_eq!(story.main(), written.commit);
    assert_eq!(story.bench.refs(), refs, "a push moves no ref of the mirror");
    story.origin.git(&["fsck", "--strict", "--full"]);
    assert_eq!(
        story.origin.git(&["rev-parse", "main^{tree}"]),
        story
            .origin
            .git(&["rev-parse", &format!("{}^{{tree}}", story.good)])
    );
    assert_eq!(story.push(access, &written).unwrap(), Pushed::AlreadyThere);
    assert_eq!(story.bench.sync().unwrap(), written.commit);
}

#[test]
fn a_revert_lands_over_a_local_path() {
    for method in METHODS {
        let mut story = Story::new();
        let access = story.local(method);
        assert_lands(&mut story, &access);
    }
}

#[test]
fn a_revert_lands_over_http_and_with_a_token_over_https() {
    for method in METHODS {
        for format in ["sha1", "sha256"] {
            let mut story = Story::with(format, limits());
            let server = GitHttp::plain(story.origin.root());
            assert_lands(&mut story, &access(upstream(&server.url()), method));
        }
        let mut story = Story::new();
        let server = GitHttp::tls(story.origin.root());
        server.require(Required::Header(format!("Bearer {CANARY}")));
        let dir = tempfile::tempdir().unwrap();
        let mut writer = token(&server.url(), &dir.path().join("token"), CANARY);
        writer.ca_file = server.ca_file().map(Path::to_owned);
        assert_lands(&mut story, &access(writer, method));
    }
}

#[test]
fn a_revert_lands_over_ssh_and_another_key_may_not_write() {
    let Some(sshd) = Sshd::start() else { return };
    for method in METHODS {
        let mut story = Story::new();
        let mut writer = upstream(&sshd.url(&story.origin.path()));
        let mut settings = SshSettings {
            key_file: Some(sshd.wrong_key_file()),
            known_hosts_file: sshd.known_hosts(),
            port: None,
        };
        writer.ssh = Some(settings.clone());
        let written = story.rollback("intent-1");
        let error = story.push(&access(writer.clone(), method), &written).unwrap_err();
        assert!(matches!(error, PushError::Unauthorized(_)), "{error:?}");
        settings.key_file = Some(sshd.key_file());
        writer.ssh = Some(settings);
        assert_lands(&mut story, &access(writer, method));
    }
}

#[test]
fn a_tip_that_moved_is_seen_before_anything_is_sent() {
    for method in METHODS {
        let mut story = Story::new();
        let server = GitHttp::plain(story.origin.root());
        let written = story.rollback("intent-1");
        let later = story.origin.commit(&[("c", Some("c"))], "Later");
        let access = access(upstream(&server.url()), method);
        let error = story.push(&access, &written).unwrap_err();
        let PushError::LeaseLost { actual, .. } = &error else {
            panic!("{error:?}")
        };
        assert_eq!(actual.as_ref(), Some(&later));
        assert_eq!(error.remedy(), Remedy::RefreshAndRedo);
        let posts = server
            .seen()
            .iter()
            .filter(|seen| seen.line.starts_with("POST"))
            .count();
        assert_eq!(posts, 0, "{:?}", server.seen());
        story.origin.delete_branch("main");
        assert!(matches!(
            story.push(&access, &written),
            Err(PushError::LeaseLost { actual: None, .. })
        ));
    }
}

#[test]
fn a_tip_that_moves_while_we_push_is_seen_by_the_server() {
    for method in METHODS {
        let mut story = Story::new();
        let written = story.rollback("intent-1");
        let later = story.origin.commit_on("other", &[("c", Some("c"))], "Later");
        // The hook stands for somebody who is faster between our look and the server's lock.
        let script = format!("unset GIT_QUARANTINE_PATH\ngit update-ref refs/heads/main {later}");
        story.origin.hook("pre-receive", &script);
        let error = story.push(&story.local(method), &written).unwrap_err();
        assert!(
            matches!(&error, PushError::LeaseLost { actual: Some(actual), .. } if *actual == later),
            "{error:?}"
        );
        assert_eq!(story.main(), later);
    }
}

#[test]
fn of_two_pushers_on_one_tip_exactly_one_wins() {
    for round in 0..4 {
        let mut story = Story::new();
        let server = GitHttp::plain(story.origin.root());
        let written = [story.rollback("intent-1"), story.rollback("intent-2")];
        let access = access(upstream(&server.url()), METHODS[round % 2]);
        let start = std::sync::Barrier::new(2);
        let pushed = std::thread::scope(|scope| {
            let (story, access, start) = (&story, &access, &start);
            let running: Vec<_> = written
                .iter()
                .map(|written| {
                    scope.spawn(move || {
                        start.wait();
                        story.push(access, written)
                    })
                })
                .collect();
            running
                .into_iter()
                .map(|one| one.join().unwrap())
                .collect::<Vec<_>>()
        });
        let winner = written.iter().zip(&pushed).filter(|(_, pushed)| pushed.is_ok());
        let winner: Vec<_> = winner.map(|(written, _)| &written.commit).collect();
        assert_eq!(winner, [&story.main()], "{pushed:?}");
        for error in pushed.iter().filter_map(|pushed| pushed.as_ref().err()) {
            if let PushError::LeaseLost { actual, .. } = error {
                assert_eq!(actual.as_ref(), Some(winner[0]));
            } else {
                // The loser looked while the winner still held the lock.
                assert_eq!(error.remedy(), Remedy::Retry, "{error:?}");
            }
        }
    }
}

#[test]
fn two_pushers_of_one_intent_both_succeed() {
    let (mut one, mut two) = (Story::new(), Story::new());
    let (first, second) = (one.rollback("intent-1"), two.rollback("intent-1"));
    assert_eq!(first, second);
    let access = one.local(PushMethod::ReceivePack);
    assert_eq!(one.push(&access, &first).unwrap(), Pushed::Moved);
    assert_eq!(two.push(&access, &second).unwrap(), Pushed::AlreadyThere);
}

#[test]
fn a_locked_ref_is_tried_again_and_not_taken_for_a_refusal() {
    for method in METHODS {
        let mut story = Story::new();
        let written = story.rollback("intent-1");
        let lock = story.origin.path().join("refs/heads/main.lock");
        std::fs::create_dir_all(lock.parent().unwrap()).unwrap();
        std::fs::write(&lock, "").unwrap();
        let error = story.push(&story.local(method), &written).unwrap_err();
        assert!(matches!(error, PushError::Busy { .. }), "{error:?}");
        assert_eq!(error.remedy(), Remedy::Retry);
        std::fs::remove_file(lock).unwrap();
        assert_eq!(story.push(&story.local(method), &written).unwrap(), Pushed::Moved);
    }
}

#[test]
fn the_words_of_a_hook_reach_the_person_clean_and_short() {
    for method in METHODS {
        let mut story = Story::new();
        let written = story.rollback("intent-1");
        let server = GitHttp::plain(story.origin.root());
        let access = access(upstream(&server.url()), method);
        story.origin.hook(
            "pre-receive",
            "printf 'no changes on a \\033[31mFriday\\007\\n'; exit 1",
        );
        let error = story.push(&access, &written).unwrap_err();
        assert!(matches!(error, PushError::RefusedByHook { .. }), "{error:?}");
        assert_eq!(error.remedy(), Remedy::FixInput);
        let text = error.one_line();
        assert!(
            text.contains("pre-receive hook declined: no changes on a "),
            "{text}"
        );
        assert!(!text.chars().any(char::is_control), "{text:?}");
        story
            .origin
            .hook("pre-receive", "yes 'much to say' | head -c 3000000; exit 1");
        let error = story.push(&access, &written).unwrap_err();
        assert!(error.one_line().len() < 1_000, "{}", error.one_line().len());
        assert_eq!(story.main(), story.head);
    }
}

#[test]
fn a_protected_branch_is_told_from_a_hook_and_from_an_archive() {
    let cases = [
        (
            "GH006: Protected branch update failed for refs/heads/main.",
            "it is protected",
        ),
        (
            "GH013: Repository rule violations found for refs/heads/main.",
            "it is protected",
        ),
        (
            "GitLab: You are not allowed to push code to protected branches on this project.",
            "it is protected",
        ),
        ("Not allowed to push to protected branch main", "it is protected"),
        (
            "This repository is archived and is read-only.",
            "the repository is read-only",
        ),
    ];
    for method in METHODS {
        let mut story = Story::new();
        let written = story.rollback("intent-1");
        for (words, expected) in cases {
            story
                .origin
                .hook("pre-receive", &format!("echo 'error: {words}' >&2; exit 1"));
            let error = story.push(&story.local(method), &written).unwrap_err();
            assert!(error.to_string().ends_with(expected), "{error}");
            assert!(error.one_line().contains(words), "{}", error.one_line());
            assert_eq!(error.remedy(), Remedy::FixInput);
        }
    }
}

#[test]
fn who_may_read_may_not_write_and_no_secret_is_shown() {
    for method in METHODS {
        let mut story = Story::new();
        let written = story.rollback("intent-1");
        let server = GitHttp::plain(story.origin.root());
        let dir = tempfile::tempdir().unwrap();
        server.require(Required::Header("Bearer right".to_owned()));
        let none = story
            .push(&access(upstream(&server.url()), method), &written)
            .unwrap_err();
        assert!(matches!(none, PushError::Unauthorized(_)), "{none:?}");
        let wrong = access(token(&server.url(), &dir.path().join("token"), CANARY), method);
        let error = story.push(&wrong, &written).unwrap_err();
        assert_eq!(error.remedy(), Remedy::Reauthenticate, "{error:?}");
        let PushError::Unauthorized(inner) = &error else {
            panic!("{error:?}")
        };
        assert_no_secret(inner);
        assert!(!format!("{error:?} {}", error.one_line()).contains(CANARY));
        // A reader's token: the server lists for it and says 403 to a push.
        server.require(Required::Nothing);
        story.origin.git(&["config", "http.receivepack", "false"]);
        let error = story
            .push(&access(upstream(&server.url()), method), &written)
            .unwrap_err();
        assert!(matches!(error, PushError::Unauthorized(_)), "{error:?}");
        assert_eq!(story.main(), story.head);
    }
}

#[test]
fn an_answer_that_is_cut_leaves_the_outcome_unknown_until_it_is_looked_at() {
    for method in METHODS {
        for bytes in [0, 5, 40] {
            let mut story = Story::new();
            let written = story.rollback("intent-1");
            let server = GitHttp::plain(story.origin.root());
            let access = access(upstream(&server.url()), method);
            server.fail_on(FaultOn::Push, Fault::Truncate(bytes));
            let error = story.push(&access, &written).unwrap_err();
            assert!(matches!(error, PushError::Unknown { .. }), "{bytes}: {error:?}");
            assert_eq!(error.remedy(), Remedy::RefreshAndRedo);
            server.fail_with(Fault::None);
            let landed = Landing::Landed {
                tip: written.commit.clone(),
            };
            assert_eq!(story.landed(&access, &written).unwrap(), landed);
            // Somebody builds on it; the mirror has not seen that commit.
            let tip = story.origin.commit(&[("c", Some("c"))], "Later");
            assert_eq!(story.landed(&access, &written).unwrap(), Landing::Landed { tip });
        }
    }
}

#[test]
fn the_words_of_a_hook_are_not_taken_for_a_failure_before_sending() {
    for method in METHODS {
        let mut story = Story::new();
        let written = story.rollback("intent-1");
        let words = "fatal: Connection refused, Permission denied, not found";
        story
            .origin
            .hook("pre-receive", &format!("echo '{words}' >&2; kill -9 $PPID"));
        let error = story.push(&story.local(method), &written).unwrap_err();
        assert!(matches!(error, PushError::Unknown { .. }), "{error:?}");
    }
}

#[test]
fn a_push_that_never_arrived_is_found_not_to_have_landed() {
    for method in METHODS {
        let mut story = Story::new();
        let written = story.rollback("intent-1");
        let server = GitHttp::plain(story.origin.root());
        let access = access(upstream(&server.url()), method);
        server.fail_on(FaultOn::Push, Fault::Status(502));
        let error = story.push(&access, &written).unwrap_err();
        assert!(matches!(error, PushError::Unknown { .. }), "{error:?}");
        server.fail_with(Fault::None);
        let old = Landing::NotLanded {
            tip: Some(story.head.clone()),
        };
        let refs = story.bench.refs();
        assert_eq!(story.landed(&access, &written).unwrap(), old);
        let other = story.origin.commit(&[("c", Some("c"))], "Later");
        let moved = Landing::NotLanded { tip: Some(other) };
        assert_eq!(story.landed(&access, &written).unwrap(), moved);
        story.origin.delete_branch("main");
        let gone = Landing::NotLanded { tip: None };
        assert_eq!(story.landed(&access, &written).unwrap(), gone);
        assert_eq!(story.bench.refs(), refs);
    }
}

#[test]
fn a_server_that_hangs_ends_at_the_deadline_before_and_after_sending() {
    for method in METHODS {
        let mut story = Story::with("sha1", hasty(Duration::from_millis(1_500)));
        let written = story.rollback("intent-1");
        let server = GitHttp::plain(story.origin.root());
        let access = access(upstream(&server.url()), method);
        let started = Instant::now();
        server.fail_on(FaultOn::Push, Fault::Silent);
        let error = story.push(&access, &written).unwrap_err();
        assert!(matches!(error, PushError::Unknown { .. }), "{error:?}");
        server.fail_with(Fault::Silent);
        let error = story.push(&access, &written).unwrap_err();
        match method {
            PushMethod::ReceivePack => assert!(matches!(error, PushError::TimedOut { .. }), "{error:?}"),
            // From outside of `git` it cannot be seen how far it came.
            PushMethod::GitProgram => assert!(matches!(error, PushError::Unknown { .. }), "{error:?}"),
        }
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "{:?}",
            started.elapsed()
        );
    }
}

#[test]
fn a_hook_that_hangs_and_a_request_to_stop_leave_no_process_behind() {
    for method in METHODS {
        let mut story = Story::with("sha1", hasty(Duration::from_secs(30)));
        let written = story.rollback("intent-1");
        let started = story.origin.root().join("started");
        let script = format!(
            "touch {}\nexec sleep 61.{}",
            started.display(),
            std::process::id()
        );
        story.origin.hook("pre-receive", &script);
        let stop = Stop::new();
        let error = std::thread::scope(|scope| {
            scope.spawn(|| {
                headwater_tests::wait::wait_until("the hook runs", || started.exists());
                stop.stop();
            });
            let access = story.local(method);
            story
                .bench
                .mirror
                .push(&access, &onto_main(&written), &stop)
                .unwrap_err()
        });
        assert!(matches!(error, PushError::Unknown { .. }), "{error:?}");
        let left = || processes_with(&format!("sleep 61.{}", std::process::id()));
        headwater_tests::wait::wait_until("the hook is gone", || left().is_empty());
        assert_eq!(story.main(), story.head);
    }
}

#[test]
fn a_listing_that_is_cut_or_no_git_at_all_is_a_definite_failure() {
    for fault in [
        Fault::Truncate(0),
        Fault::Truncate(30),
        Fault::Truncate(90),
        Fault::Status(200),
        Fault::Status(500),
    ] {
        let mut story = Story::new();
        let written = story.rollback("intent-1");
        let server = GitHttp::plain(story.origin.root());
        server.fail_with(fault.clone());
        let writer = access(upstream(&server.url()), PushMethod::ReceivePack);
        let error = story.push(&writer, &written).unwrap_err();
        assert!(matches!(error, PushError::Upstream(_)), "{fault:?}: {error:?}");
        assert_eq!(error.remedy(), Remedy::Retry);
    }
    let mut story = Story::new();
    let written = story.rollback("intent-1");
    for method in METHODS {
        let nowhere = access(upstream("http://127.0.0.1:1/x.git"), method);
        let error = story.push(&nowhere, &written).unwrap_err();
        assert!(
            matches!(error, PushError::Upstream(GitError::Unreachable(_))),
            "{error:?}"
        );
    }
}

#[test]
fn a_server_that_does_not_list_its_refs_is_not_taken_for_an_empty_one() {
    let mut story = Story::new();
    let written = story.rollback("intent-1");
    let lists = [
        format!("{}0000", pkt("version 2\n")),
        format!("{}0000", pkt("version 1\n")),
        pkt("ERR go away\n"),
        format!("{}0000", pkt("nonsense\0report-status\n")),
        "0000".to_owned(),
        String::new(),
    ];
    for list in lists {
        let head = "HTTP/1.1 200 OK\r\nConnection: close\r\n\
                    Content-Type: application/x-git-receive-pack-advertisement\r\n\r\n";
        let service = pkt("# service=git-receive-pack\n");
        let liar = Hostile::start(Script::Raw(format!("{head}{service}0000{list}").into_bytes()));
        let writer = access(upstream(&liar.url()), PushMethod::ReceivePack);
        for expected in [None, Some(written.parent.clone())] {
            let request = PushRequest {
                expected,
                ..onto_main(&written)
            };
            let error = story
                .bench
                .mirror
                .push(&writer, &request, &Stop::new())
                .unwrap_err();
            assert!(matches!(error, PushError::Upstream(_)), "{list:?}: {error:?}");
        }
    }
}

#[test]
fn a_list_of_refs_is_read_up_to_its_limit() {
    let limits = MirrorLimits {
        listing_bytes_max: 8 << 10,
        ..limits()
    };
    let mut story = Story::with("sha1", limits);
    let written = story.rollback("intent-1");
    // Who reads asks for one ref; who writes is told them all.
    let branches: Vec<String> = (0..300)
        .map(|number| format!("create refs/heads/b{number} {}\n", story.head))
        .collect();
    story
        .origin
        .git_with_input(&["update-ref", "--stdin"], branches.concat().as_bytes());
    let server = GitHttp::plain(story.origin.root());
    let writer = access(upstream(&server.url()), PushMethod::ReceivePack);
    let error = story.push(&writer, &written).unwrap_err();
    assert!(
        error.one_line().contains("larger than the limit"),
        "{}",
        error.one_line()
    );
}

#[test]
fn a_branch_for_a_pull_request_is_made_if_it_is_not_there() {
    for method in METHODS {
        let mut story = Story::new();
        let written = story.rollback("intent-1");
        let access = story.local(method);
        let mut request = PushRequest {
            target: PushRef::Branch(branch("headwater/rollback-1")),
            expected: None,
            ..onto_main(&written)
        };
        let stop = Stop::new();
        let pushed = story.bench.mirror.push(&access, &request, &stop).unwrap();
        assert_eq!(pushed, Pushed::Moved);
        assert_eq!(
            story.origin.head("headwater/rollback-1").as_ref(),
            Some(&written.commit)
        );
        let again = story.bench.mirror.push(&access, &request, &stop).unwrap();
        assert_eq!(again, Pushed::AlreadyThere);
        let other = story.rollback("intent-2");
        request.commit = other.commit;
        let error = story.bench.mirror.push(&access, &request, &stop).unwrap_err();
        assert!(
            matches!(&error, PushError::LeaseLost { actual: Some(actual), .. } if *actual == written.commit),
            "{error:?}"
        );
    }
}

#[test]
fn an_empty_upstream_gets_the_whole_history() {
    for method in METHODS {
        for format in ["sha1", "sha256"] {
            let mut story = Story::with(format, limits());
            let written = story.rollback("intent-1");
            let empty = TestOrigin::with_format(format);
            empty.allow_push();
            let server = GitHttp::plain(empty.root());
            let request = PushRequest {
                expected: None,
                ..onto_main(&written)
            };
            let access = access(upstream(&server.url()), method);
            story.bench.mirror.push(&access, &request, &Stop::new()).unwrap();
            empty.git(&["fsck", "--strict", "--full"]);
            assert_eq!(empty.git(&["rev-list", "--count", "main"]), "3");
            assert_eq!(empty.head("main"), Some(written.commit));
        }
    }
}

#[test]
fn an_upstream_with_another_hash_function_is_refused_before_sending() {
    let mut story = Story::new();
    let written = story.rollback("intent-1");
    let other = TestOrigin::with_format("sha256");
    let access = access(upstream(&other.path_url()), PushMethod::ReceivePack);
    let request = PushRequest {
        expected: None,
        ..onto_main(&written)
    };
    let error = story
        .bench
        .mirror
        .push(&access, &request, &Stop::new())
        .unwrap_err();
    assert!(
        error.one_line().contains("another hash function"),
        "{}",
        error.one_line()
    );
}

#[test]
fn going_back_as_a_whole_sends_no_file_again_and_a_large_push_is_left_to_git() {
    let origin = TestOrigin::new();
    let noise: String = (0..40_000_u64)
        .map(|n| format!("{:x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
        .collect();
    let good = origin.commit(&[("big", Some(&noise)), ("d/big", noise.get(1..))], "Good");
    let head = origin.commit(&[("big", None), ("d/big", None), ("a", Some("a"))], "Bad");
    let tight = MirrorLimits {
        push_bytes_max: 2_000,
        ..limits()
    };
    let mut bench = Bench::with(upstream(&origin.path_url()), tight);
    bench.sync().unwrap();
    let stop = Stop::new();
    let intent = intent("intent-1", whole(&good));
    let written = bench
        .mirror
        .write_revert(&intent, &head, &Signing::Unsigned, &stop)
        .unwrap();
    let request = onto_main(&written);
    let mut blind = request.clone();
    blind.sources.clear();
    let ours = access(upstream(&origin.path_url()), PushMethod::ReceivePack);
    let error = bench.mirror.push(&ours, &blind, &stop).unwrap_err();
    insta::assert_snapshot!(error, @"the push to `refs/heads/main` has more than 2000 bytes");
    origin.git(&["config", "receive.maxInputSize", "2000"]);
    assert_eq!(bench.mirror.push(&ours, &request, &stop).unwrap(), Pushed::Moved);
    origin.git(&["fsck", "--strict", "--full"]);
}

#[test]
fn history_is_never_rewritten_by_a_push() {
    let mut story = Story::new();
    let written = story.rollback("intent-1");
    for method in METHODS {
        let request = PushRequest {
            commit: story.good.clone(),
            ..onto_main(&written)
        };
        let access = story.local(method);
        let error = story
            .bench
            .mirror
            .push(&access, &request, &Stop::new())
            .unwrap_err();
        assert!(matches!(error, PushError::WouldRewrite { .. }), "{error:?}");
        assert_eq!(error.remedy(), Remedy::Bug);
    }
    assert_eq!(story.main(), story.head);
}
