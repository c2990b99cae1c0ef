//! What is proposed for the branch: judged as it would be merged, told to the forge, and never served.
//!
//! Invariant: polling is off in these tests (an hour) and lists of open pull requests are, too, unless a test says
//! otherwise, so that whatever happens was caused by a delivery.

use std::path::Path;
use std::time::Duration;

use headwater_server::forge::{ApiKind, Credential, ForgeKind};
use headwater_server::settings::PullRequests;
use headwater_tests::forge::{Instead, TestForge};
use headwater_tests::oracle::Oracle;
use headwater_tests::origin::{CommitSpec, TestOrigin};
use headwater_tests::server::{Stopped, TestServer};
use headwater_tests::wait::wait_until;
use headwater_wire::CommitId;
use serde_json::{Value, json};

use crate::forge::{KINDS, Spoken, app_key, origin, until_told};
use crate::guards::{CONFIG, asking, guarded, pool};
use crate::notes::{shown, with_notes};
use crate::webhooks::{SECRET, group_of, hook, outcome, pull_of, push_of};

const NEVER: Duration = Duration::from_hours(1);

fn sender(kind: ApiKind) -> ForgeKind {
    match kind {
        ApiKind::GitHub => ForgeKind::GitHub,
        ApiKind::Gitea => ForgeKind::Gitea,
        ApiKind::GitLab => ForgeKind::GitLab,
    }
}

/// The forge's word for a status that is no success.
fn failure(kind: ApiKind) -> &'static str {
    if kind == ApiKind::GitLab {
        "failed"
    } else {
        "failure"
    }
}

/// A server that is told by hooks alone.
fn told(spoken: &Spoken, origin: &TestOrigin) -> Stopped {
    let forge = sender(spoken.settings.kind);
    let server = spoken.server(origin).each(|repo| {
        repo.poll_interval = NEVER;
        repo.forge_repo = Some("acme/config".to_owned());
    });
    server.with(|settings| settings.hooks = vec![hook(forge.as_str(), forge, &["default"], &[SECRET])])
}

/// A commit on a branch of its own, one change away from another commit.
fn change(origin: &TestOrigin, from: &CommitId, (path, text): (&str, &str)) -> CommitId {
    origin.commit_spec(&CommitSpec {
        branch: "feature",
        parent: Some(from.clone()),
        merged: Vec::new(),
        entries: vec![("100644", path, Some(text.as_bytes()))],
        message: "propose",
        at: None,
    })
}

/// A running server of GitHub's, after its first commit was told.
fn started() -> (TestOrigin, CommitId, Spoken, TestServer) {
    let ((origin, first), spoken) = (origin(), Spoken::with(KINDS[0]));
    let server = told(&spoken, &origin).start();
    until_told(&spoken.forge, &first, "success");
    (origin, first, spoken, server)
}

/// Opens a pull request of a fork, whose commits no branch has, and lets the forge tell of it.
fn open(origin: &TestOrigin, spoken: &Spoken, server: &TestServer, (number, head): (u64, &CommitId)) {
    spoken.forge.propose(origin, number, head);
    if origin.head("feature").is_some() {
        origin.delete_branch("feature");
    }
    pull_of(sender(spoken.settings.kind), number, "opened", head)
        .to(server)
        .expect(202);
}

fn description(forge: &TestForge, commit: &CommitId) -> String {
    let last = forge
        .statuses()
        .into_iter()
        .rfind(|status| status.commit == commit.as_str());
    last.map(|status| status.body["description"].as_str().unwrap_or_default().to_owned())
        .unwrap_or_default()
}

fn proposal(server: &TestServer, head: &CommitId) -> Value {
    server
        .get(&format!("/v1/repos/default/proposals/{head}"))
        .expect(200)
        .json()
}

// --- The whole story ----------------------------------------------------------------------------------------------

/// What is said of a change that nobody runs yet.
const GOOD: &str = "would be admitted to main; changes 1 config, 0 instances; all at once";

#[test]
fn from_a_pull_request_to_its_publication_and_back_again() {
    for kind in KINDS {
        let ((origin, first), spoken) = (origin(), Spoken::with(kind));
        origin.allow_push();
        let server = with_notes(told(&spoken, &origin), &origin).start();
        until_told(&spoken.forge, &first, "success");
        let (forge, sent) = (&spoken.forge, sender(kind.0));

        // Proposed, and told of before the repository shows it.
        let bad = change(&origin, &first, ("a.toml", "x = [\n"));
        let opened = pull_of(sent, 7, "opened", &bad);
        opened.to(&server).expect(202);
        forge.propose(&origin, 7, &bad);
        until_told(forge, &bad, failure(kind.0));
        assert_eq!(
            description(forge, &bad),
            "would be rejected from main: 2 errors; tree/lost-config at a.toml:1"
        );
        // Told of twice.
        assert_eq!(outcome(&opened.to(&server)), (200, "ignored".to_owned()));

        // Mended by a forced push.
        let good = change(&origin, &first, ("a.toml", "x = 2\n"));
        forge.propose(&origin, 7, &good);
        pull_of(sent, 7, "synchronize", &good).to(&server).expect(202);
        until_told(forge, &good, "success");
        assert_eq!(description(forge, &good), GOOD);
        assert_eq!(server.repo()["tip"], first.as_str(), "a verdict has no effect");

        // Merged; the push is told of, and that the request is closed comes late.
        let merged = origin.commit_spec(&CommitSpec {
            branch: "main",
            parent: Some(first.clone()),
            merged: vec![good.clone()],
            entries: vec![("100644", "a.toml", Some(b"x = 2\n"))],
            message: "Merge pull request #7",
            at: None,
        });
        forge.close(7);
        push_from(sent, &merged).to(&server).expect(202);
        server.until_tip(&merged);
        until_told(forge, &merged, "success");
        assert_eq!(description(forge, &merged), "admitted, and served from now on");
        pull_of(sent, 7, "closed", &good).to(&server).expect(202);

        // The repository tells it, too.
        wait_until("the note", || shown(&origin, &merged).is_some());
        let note = shown(&origin, &merged).unwrap();
        assert!(
            note.starts_with("Headwater-Verdict: admitted\nHeadwater-Published: 2"),
            "{note}"
        );

        // Taken back. The forge tells of our own push, which is news to nobody any more.
        let events = server.events("config=a");
        events.until_version(&merged);
        let asked = json!({"to": first, "reason": "too large"});
        let answer = server
            .post("/v1/repos/default/rollbacks", &asked)
            .expect(201)
            .json();
        assert_eq!(answer["state"], "pushed", "{answer}");
        let back: CommitId = answer["commit"].as_str().unwrap().parse().unwrap();
        assert_eq!(origin.head("main"), Some(back.clone()));
        server.until_tip(&back);
        until_told(forge, &back, "success");
        push_from(sent, &back).to(&server);
        let line = format!("Headwater-Rolled-Back-By: {back}");
        wait_until("who took it back", || {
            shown(&origin, &merged).is_some_and(|note| note.contains(&line))
        });
        assert_eq!(server.repo()["head_state"], "published");
        let told = events.until_version(&back);
        let changes: Vec<&Value> = told
            .iter()
            .filter(|event| event.name == "version")
            .map(|event| &event.data["change"])
            .collect();
        assert_eq!(changes, ["initial", "rollback"]);
    }
}

/// A push as each of the forges tells of it.
fn push_from(forge: ForgeKind, commit: &CommitId) -> crate::webhooks::Sent {
    push_of(commit).from(forge)
}

#[test]
fn what_no_hook_told_of_is_found_by_the_forges_list() {
    for kind in KINDS {
        let ((origin, first), mut spoken) = (origin(), Spoken::with(kind));
        spoken.settings.relist = Duration::from_millis(100);
        // Opened while the service was down.
        let head = change(&origin, &first, ("b.toml", "y = 1\n"));
        spoken.forge.propose(&origin, 3, &head);
        let _server = told(&spoken, &origin).start();
        until_told(&spoken.forge, &head, "success");
        // And moved without a word.
        let moved = change(&origin, &first, ("a.toml", "x = [\n"));
        spoken.forge.propose(&origin, 3, &moved);
        until_told(&spoken.forge, &moved, failure(kind.0));
    }
}

// --- What is judged -----------------------------------------------------------------------------------------------

#[test]
fn what_is_proposed_is_judged_while_a_push_of_notes_hangs() {
    let ((origin, first), spoken) = (origin(), Spoken::with(KINDS[0]));
    origin.hook(
        "pre-receive",
        "touch reached; while [ ! -e go ]; do sleep 0.02; done",
    );
    let server = with_notes(told(&spoken, &origin), &origin);
    let server = server.each(|repo| repo.mirror_limits.push = NEVER).start();
    wait_until("a push of notes", || origin.path().join("reached").exists());
    let head = change(&origin, &first, ("b.toml", "y = 1\n"));
    open(&origin, &spoken, &server, (1, &head));
    until_told(&spoken.forge, &head, "success");
    std::fs::write(origin.path().join("go"), "").unwrap();
    wait_until("the note", || shown(&origin, &first).is_some());
}

#[test]
fn the_merge_result_is_judged_and_not_the_head_alone() {
    let (origin, first, spoken, server) = started();
    let head = change(&origin, &first, ("b.toml", "y = 1\n"));
    let second = origin.commit(&[("c.toml", Some("z = 1\n"))], "add");
    push_of(&second).to(&server).expect(202);
    server.until_tip(&second);
    let third = origin.commit(&[("c.toml", Some("z = [\n"))], "break");
    push_of(&third).to(&server).expect(202);
    server.until_head(&third, "rejected");
    open(&origin, &spoken, &server, (1, &head));
    until_told(&spoken.forge, &head, "failure");
    let view = proposal(&server, &head);
    assert_eq!(
        (&view["base"], &view["merge"]),
        (&third.as_str().into(), &"clean".into())
    );
    assert!(
        view["verdict"]["findings"].to_string().contains("c.toml"),
        "{view}"
    );
}

#[test]
fn what_conflicts_cannot_be_merged_and_names_the_paths() {
    let (origin, first, spoken, server) = started();
    let head = change(&origin, &first, ("a.toml", "x = 2\n"));
    let second = origin.commit(&[("a.toml", Some("x = 3\n"))], "other");
    push_of(&second).to(&server).expect(202);
    server.until_tip(&second);
    open(&origin, &spoken, &server, (1, &head));
    until_told(&spoken.forge, &head, "failure");
    insta::assert_snapshot!(description(&spoken.forge, &head), @"cannot be merged into main, resolve `a.toml`");
    let view = proposal(&server, &head);
    assert_eq!(view["conflicts"], serde_json::json!(["a.toml"]));
    assert_eq!(view["verdict"]["state"], "unjudged");
}

#[test]
fn a_file_that_was_moved_is_merged_as_git_merges_it() {
    let (origin, first, spoken, server) = started();
    let text = "# one\n# two\n# three\n# four\nx = 1\n";
    let base = origin.commit(&[("a.toml", Some(text))], "longer");
    push_of(&base).to(&server).expect(202);
    server.until_tip(&base);
    let head = change(&origin, &base, ("a.toml", &text.replace("x = 1", "x = [")));
    let moved = origin.commit(&[("a.toml", None), ("moved/a.toml", Some(text))], "move");
    push_of(&moved).to(&server).expect(202);
    server.until("the move", |repo| {
        repo["head"] == moved.as_str() && repo["head_state"] != "validating"
    });
    open(&origin, &spoken, &server, (1, &head));
    until_told(&spoken.forge, &head, "failure");
    let view = proposal(&server, &head);
    assert_eq!(view["merge"], "clean", "{view} {first}");
    assert!(
        view["verdict"]["findings"].to_string().contains("moved/a.toml"),
        "{view}"
    );
}

#[test]
fn what_has_nothing_in_common_with_the_branch_cannot_be_merged() {
    let (origin, _, spoken, server) = started();
    let head = origin.commit_on("elsewhere", &[("a.toml", Some("x = 1\n"))], "another root");
    open(&origin, &spoken, &server, (1, &head));
    until_told(&spoken.forge, &head, "failure");
    insta::assert_snapshot!(
        description(&spoken.forge, &head),
        @"cannot be merged into main, with which it has no commit in common"
    );
}

#[test]
fn what_is_open_is_judged_again_when_the_branch_moves() {
    let (origin, first, spoken, server) = started();
    let head = change(&origin, &first, ("a.toml", "x = 2\n"));
    open(&origin, &spoken, &server, (1, &head));
    until_told(&spoken.forge, &head, "success");
    let second = origin.commit(&[("a.toml", Some("x = 3\n"))], "other");
    push_of(&second).to(&server).expect(202);
    until_told(&spoken.forge, &head, "failure");
    // Closed, it is left alone.
    pull_of(ForgeKind::GitHub, 1, "closed", &head)
        .to(&server)
        .expect(202);
    let third = origin.commit(&[("a.toml", Some("x = 1\n"))], "back");
    push_of(&third).to(&server).expect(202);
    until_told(&spoken.forge, &third, "success");
    let last = change(&origin, &third, ("a.toml", "x = 4\n"));
    open(&origin, &spoken, &server, (2, &last));
    until_told(&spoken.forge, &last, "success");
    assert_eq!(spoken.forge.states(head.as_str()).last().unwrap(), "failure");
}

#[test]
fn a_merge_of_a_queue_is_judged_as_it_is() {
    let (origin, first, spoken, server) = started();
    let branch = "gh-readonly-queue/main/pr-9-abc";
    let group = origin.commit_spec(&CommitSpec {
        branch,
        parent: Some(first),
        merged: Vec::new(),
        entries: vec![("100644", "a.toml", Some(b"x = 9\n"))],
        message: "Merge pull request #9",
        at: None,
    });
    group_of(branch, "checks_requested", &group)
        .to(&server)
        .expect(202);
    until_told(&spoken.forge, &group, "success");
    assert!(proposal(&server, &group).get("number").is_none());
    // Who signs may name any branch, but only a queue's is looked at.
    let other = group_of("feature", "checks_requested", &group);
    assert_eq!(outcome(&other.to(&server)), (200, "ignored".to_owned()));
}

#[test]
fn what_goes_to_another_branch_or_to_nobody_is_ignored() {
    let ((origin, first), mut spoken) = (origin(), Spoken::with(KINDS[0]));
    spoken.settings.pull_requests = PullRequests::Ignore;
    let server = told(&spoken, &origin).start();
    until_told(&spoken.forge, &first, "success");
    let reply = pull_of(ForgeKind::GitHub, 1, "opened", &first).to(&server);
    insta::assert_snapshot!(reply.expect(200).text(), @r#"{"outcome":"ignored","reason":"no forge is set for which pull requests are judged"}"#);
    let server = server.stop().branch("release").start();
    let reply = pull_of(ForgeKind::GitHub, 2, "opened", &first).to(&server);
    insta::assert_snapshot!(reply.expect(200).text(), @r#"{"outcome":"ignored","reason":"it is proposed for another branch than the one followed"}"#);
}

#[test]
fn a_proposal_is_measured_against_what_is_exposed_and_may_be_allowed_what_its_commits_say() {
    let (origin, _, spoken, server) = started();
    let base = origin.commit(
        &[
            ("headwater.toml", Some(&guarded())),
            ("app.toml", Some(&pool(10))),
        ],
        "guard",
    );
    push_of(&base).to(&server).expect(202);
    server.until_tip(&base);
    let step = change(&origin, &base, ("app.toml", &pool(100)));
    let allowed = origin.commit_spec(&CommitSpec {
        branch: "feature",
        parent: Some(base.clone()),
        merged: Vec::new(),
        entries: vec![("100644", "app.toml", Some(pool(100).as_bytes()))],
        message: "grow\n\nHeadwater-Allow: step we have measured\n",
        at: None,
    });
    // The branch goes on, so that there is something to merge.
    let other = origin.commit(&[("other.toml", Some("y = 1\n"))], "other");
    push_of(&other).to(&server).expect(202);
    server.until_tip(&other);
    open(&origin, &spoken, &server, (1, &step));
    open(&origin, &spoken, &server, (2, &allowed));
    until_told(&spoken.forge, &step, "failure");
    assert!(description(&spoken.forge, &step).contains("rule/step at app.toml:2"));
    until_told(&spoken.forge, &allowed, "success");
}

// --- What must not happen -----------------------------------------------------------------------------------------

#[test]
fn nothing_that_is_only_proposed_is_ever_served() {
    let (origin, first, spoken, server) = started();
    let head = change(&origin, &first, ("a.toml", "x = \"proposed\"\n"));
    let second = origin.commit(&[("b.toml", Some("y = 1\n"))], "other");
    push_of(&second).to(&server).expect(202);
    server.until_tip(&second);
    open(&origin, &spoken, &server, (1, &head));
    until_told(&spoken.forge, &head, "success");
    for path in [
        format!("commits/{head}"),
        format!("commits/{head}/configs/a"),
        format!("commits/{head}/files/a.toml"),
        format!("diff?from={first}&to={head}"),
        format!("explain/a?at={head}"),
        format!("commits/{}", head.short()),
        "commits/feature".to_owned(),
    ] {
        let reply = server.get(&format!("/v1/repos/default/{path}")).expect(404);
        assert!(!reply.text().contains("proposed\""), "{path}");
    }
    let judged = server.post(
        "/v1/repos/default/checks",
        &serde_json::json!({"rev": head.as_str()}),
    );
    judged.expect(404);
    // It is not even in the mirror.
    let mut git = headwater_tests::origin::git();
    let mirror = server.mirror_dir().join("repository.git");
    let found = git
        .arg("--git-dir")
        .arg(mirror)
        .args(["cat-file", "-e", head.as_str()]);
    assert!(!found.output().unwrap().status.success());
    // After it was merged, it is served like any other.
    origin.force_reset("main", &head);
    let merged = origin.commit_spec(&CommitSpec {
        branch: "main",
        parent: Some(second.clone()),
        merged: vec![head.clone()],
        entries: vec![("100644", "a.toml", Some(b"x = \"proposed\"\n"))],
        message: "merge",
        at: None,
    });
    push_of(&merged).to(&server).expect(202);
    server.until_tip(&merged);
    server
        .get(&format!("/v1/repos/default/commits/{head}"))
        .expect(200);
}

#[test]
fn the_child_that_judges_a_fork_gets_its_files_and_nothing_of_ours() {
    let ((origin, first), spoken) = (origin(), Spoken::with(KINDS[0]));
    let seen = spoken.dir.path().join("seen");
    let program = spy(spoken.dir.path(), &seen);
    let server = told(&spoken, &origin).with(|settings| settings.verdict_program = Some(program));
    let server = server.start();
    until_told(&spoken.forge, &first, "success");
    std::fs::remove_file(&seen).unwrap();
    let head = change(&origin, &first, ("b.toml", "stolen = \"/proc/self/environ\"\n"));
    open(&origin, &spoken, &server, (1, &head));
    until_told(&spoken.forge, &head, "success");
    let seen = std::fs::read(&seen).unwrap();
    let seen = String::from_utf8_lossy(&seen);
    assert!(seen.contains("stolen ="), "it judges the proposal: {seen}");
    for secret in [SECRET, "first\n", "HOME=", "CARGO", "acme/config"] {
        assert!(!seen.contains(secret), "{secret}: {seen}");
    }
    assert!(seen.contains("cwd /\n"), "{seen}");
}

#[test]
fn nobody_outside_is_asked_about_what_is_only_proposed() {
    let ((origin, first), spoken) = (origin(), Spoken::with(KINDS[0]));
    let oracle = Oracle::start();
    let manifest = format!("{CONFIG}[rule.window]\nwebhook = \"calendar\"\n");
    let base = origin.commit(
        &[("headwater.toml", Some(&manifest)), ("app.toml", Some(&pool(1)))],
        "ask",
    );
    let server = told(&spoken, &origin).with(|settings| asking(settings, &oracle));
    let server = server.start();
    server.until_tip(&base);
    let asked_before = oracle.asked().len();
    let head = change(&origin, &base, ("app.toml", &pool(2)));
    open(&origin, &spoken, &server, (1, &head));
    until_told(&spoken.forge, &head, "success");
    insta::assert_snapshot!(
        description(&spoken.forge, &head),
        @"would be admitted to main, unless `calendar` refuses, which is asked then; changes 1 config, 0 instances; all at once"
    );
    assert_eq!(
        proposal(&server, &head)["webhooks"],
        serde_json::json!(["calendar"])
    );
    assert_eq!(oracle.asked().len(), asked_before, "{first}");
    // Once it is on the branch, it is.
    origin.force_reset("main", &head);
    push_of(&head).to(&server).expect(202);
    server.until_tip(&head);
    assert_eq!(oracle.asked().len(), asked_before + 1);
}

#[test]
fn a_verdict_that_takes_its_time_holds_up_nothing_and_is_told_of_what_was_closed_meanwhile() {
    let ((origin, first), spoken) = (origin(), Spoken::with(KINDS[0]));
    let gate = spoken.dir.path().join("gate");
    let program = slow(spoken.dir.path(), &gate);
    let server = told(&spoken, &origin).with(|settings| settings.verdict_program = Some(program));
    let server = server.start();
    until_told(&spoken.forge, &first, "success");
    let head = change(&origin, &first, ("b.toml", "takes = \"its time\"\n"));
    open(&origin, &spoken, &server, (1, &head));
    until_told(&spoken.forge, &head, "pending");

    let second = origin.commit(&[("a.toml", Some("x = 2\n"))], "change");
    push_of(&second).to(&server).expect(202);
    server.until_tip(&second);
    pull_of(ForgeKind::GitHub, 1, "closed", &head)
        .to(&server)
        .expect(202);
    std::fs::write(gate, "").unwrap();

    until_told(&spoken.forge, &head, "success");
}

/// A program that judges what takes its time only once there is a file.
fn slow(dir: &Path, gate: &Path) -> std::path::PathBuf {
    let script = format!(
        "cat > {input}.$$\nif grep -q 'its time' {input}.$$; then while [ ! -e {gate} ]; do sleep 0.05; done; fi\n\
         exec {program} \"$@\" < {input}.$$\n",
        input = dir.join("input").display(),
        gate = gate.display(),
        program = env!("CARGO_BIN_EXE_command"),
    );
    program(dir, &script)
}

/// A program that writes down all it is given, and then judges.
fn spy(dir: &Path, seen: &Path) -> std::path::PathBuf {
    let script = format!(
        "{{ /usr/bin/env; echo \"args $*\"; echo \"cwd $(pwd)\"; ls -l /proc/$$/fd; }} > {seen} 2>&1\n\
         cat > {input}\ncat {input} >> {seen}\nexec {program} \"$@\" < {input}\n",
        seen = seen.display(),
        input = dir.join("input").display(),
        program = env!("CARGO_BIN_EXE_command"),
    );
    program(dir, &script)
}

fn program(dir: &Path, script: &str) -> std::path::PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let file = dir.join("program");
    let script = format!("#!/bin/sh\nPATH=/usr/bin:/bin\n{script}");
    std::fs::write(&file, script).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    file
}

#[test]
fn many_proposals_and_a_forge_that_limits_the_rate_hold_up_nothing() {
    let (origin, first, spoken, server) = started();
    spoken
        .forge
        .answer_instead([Instead::status(429).header("retry-after", "2")]);
    let heads: Vec<CommitId> = (0..20)
        .map(|number| change(&origin, &first, ("b.toml", &format!("y = {number}\n"))))
        .collect();
    for (number, head) in heads.iter().enumerate() {
        open(&origin, &spoken, &server, (number as u64 + 1, head));
    }
    let second = origin.commit(&[("c.toml", Some("z = 1\n"))], "other");
    push_of(&second).to(&server).expect(202);
    server.until_tip(&second);
    // The token is replaced meanwhile.
    spoken.write_token("second");
    spoken.forge.take_only("second");
    for head in &heads {
        until_told(&spoken.forge, head, "success");
    }
    until_told(&spoken.forge, &second, "success");
}

/// What Git counts in the annex.
fn counted(server: &TestServer, what: &str) -> u64 {
    let annex = server.mirror_dir().join("annex").join("repository.git");
    let mut git = headwater_tests::origin::git();
    let said = git
        .arg("--git-dir")
        .arg(annex)
        .args(["count-objects", "-v"])
        .output();
    let said = String::from_utf8(said.unwrap().stdout).unwrap();
    let number = said
        .lines()
        .find_map(|line| line.strip_prefix(what)?.strip_prefix(": "));
    number.unwrap().parse().unwrap()
}

#[test]
fn of_a_proposal_only_what_the_branch_lacks_is_fetched() {
    let (origin, _, spoken, server) = started();
    let files: Vec<(String, String)> = (0..100)
        .map(|at| (format!("d{at}/c.toml"), format!("x = {at}\n")))
        .collect();
    let edits: Vec<(&str, Option<&str>)> = files
        .iter()
        .map(|(path, text)| (path.as_str(), Some(text.as_str())))
        .collect();
    let second = origin.commit(&edits, "many files");
    push_of(&second).to(&server).expect(202);
    server.until_tip(&second);
    let head = change(&origin, &second, ("d7/c.toml", "x = 107\n"));
    open(&origin, &spoken, &server, (1, &head));
    until_told(&spoken.forge, &head, "success");
    // A commit, two directories and a file; and what they are told as a difference from.
    let fetched = counted(&server, "in-pack") + counted(&server, "count");
    assert!((4..20).contains(&fetched), "{fetched}");
}

#[test]
fn what_proposals_bring_is_dropped_when_it_is_too_much() {
    let ((origin, first), spoken) = (origin(), Spoken::with(KINDS[0]));
    let server = told(&spoken, &origin).each(|repo| repo.mirror_limits.annex_bytes_max = 64 << 10);
    let server = server.start();
    until_told(&spoken.forge, &first, "success");
    let noise = |lines: std::ops::Range<u64>| -> String {
        lines
            .map(|line| format!("# {:x}\n", line.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
            .collect()
    };
    for number in 1..=8 {
        let head = change(
            &origin,
            &first,
            ("b.toml", &noise(number * 2_000..(number + 1) * 2_000)),
        );
        open(&origin, &spoken, &server, (number, &head));
        until_told(&spoken.forge, &head, "success");
    }
    let packed = counted(&server, "size-pack");
    assert!(packed <= 100, "all eight have about 160 KiB: {packed}");
    // One that is too large by itself is not taken, and nothing else suffers.
    let head = change(&origin, &first, ("b.toml", &noise(0..60_000)));
    open(&origin, &spoken, &server, (9, &head));
    let second = origin.commit(&[("c.toml", Some("z = 1\n"))], "other");
    push_of(&second).to(&server).expect(202);
    server.until_tip(&second);
    assert!(spoken.forge.states(head.as_str()).is_empty());
}

// --- Check runs ---------------------------------------------------------------------------------------------------

fn app() -> Spoken {
    let mut spoken = Spoken::with(KINDS[0]);
    let (key_file, _) = app_key(spoken.dir.path());
    spoken.settings.credential = Credential::App {
        app_id: "1".to_owned(),
        key_file,
        installation_id: "77".to_owned(),
    };
    spoken
}

#[test]
fn an_app_shows_each_finding_beside_its_line() {
    let ((origin, first), spoken) = (origin(), app());
    let server = told(&spoken, &origin).start();
    let completed = |commit: &CommitId| {
        let runs = spoken.forge.runs();
        runs.into_iter()
            .rfind(|run| run["head_sha"] == commit.as_str() && run["status"] == "completed")
    };
    wait_until("the first", || completed(&first).is_some());
    assert_eq!(completed(&first).unwrap()["conclusion"], "success");
    // More than one request takes.
    let all = |text: &'static [u8]| -> Vec<(String, &'static [u8])> {
        (0..40).map(|at| (format!("c{at:02}.toml"), text)).collect()
    };
    let commit = |branch, parent: &CommitId, files: &[(String, &'static [u8])]| {
        origin.commit_spec(&CommitSpec {
            branch,
            parent: Some(parent.clone()),
            merged: Vec::new(),
            entries: files
                .iter()
                .map(|(path, text)| ("100644", path.as_str(), Some(*text)))
                .collect(),
            message: "change",
            at: None,
        })
    };
    let second = commit("main", &first, &all(b"x = 1\n"));
    push_of(&second).to(&server).expect(202);
    server.until_tip(&second);
    let head = commit("feature", &second, &all(b"x = [\n"));
    open(&origin, &spoken, &server, (1, &head));
    wait_until("the verdict", || completed(&head).is_some());
    let run = completed(&head).unwrap();
    assert_eq!(
        (&run["name"], &run["conclusion"]),
        (&"headwater".into(), &"failure".into())
    );
    assert_eq!(
        run["details_url"],
        format!("https://config.example.test/v1/repos/default/proposals/{head}")
    );
    let found = proposal(&server, &head)["verdict"]["findings"]
        .as_array()
        .unwrap()
        .len();
    let annotations = run["output"]["annotations"].as_array().unwrap();
    assert!(found > 50, "{found}");
    assert_eq!(annotations.len(), found);
    assert_eq!(annotations[0]["annotation_level"], "failure");
    assert!(spoken.forge.statuses().is_empty(), "it is told once");
}

#[test]
fn an_app_that_may_not_write_check_runs_sets_statuses() {
    let ((origin, first), spoken) = (origin(), app());
    spoken.forge.refuse_runs();
    let server = told(&spoken, &origin).start();
    until_told(&spoken.forge, &first, "success");
    let second = origin.commit(&[("a.toml", Some("x = 2\n"))], "change");
    push_of(&second).to(&server).expect(202);
    until_told(&spoken.forge, &second, "success");
    let tried = spoken
        .forge
        .calls()
        .iter()
        .filter(|call| call.line.ends_with("check-runs"))
        .count();
    assert_eq!(tried, 1);
}
