//! Signed commits: what the settings ask for decides before anything of a commit is read, with signatures made by the
//! real `git` and `ssh-keygen`.

use std::path::PathBuf;
use std::process::Command;

use headwater_server::settings::SignaturePolicy;
use headwater_tests::origin::{TestOrigin, git};
use headwater_tests::server::{Stopped, TestServer};
use headwater_wire::CommitId;
use serde_json::Value;

/// People with keys, a file of those who may sign, and a clone in which they work.
struct Team {
    origin: TestOrigin,
    dir: tempfile::TempDir,
}

impl Team {
    fn new() -> Self {
        Self::with_format("sha1")
    }

    fn with_format(format: &str) -> Self {
        let origin = TestOrigin::with_format(format);
        origin.commit(&[("app.toml", Some("n = 0\n"))], "before anybody signed");
        let dir = tempfile::tempdir().expect("a directory");
        for name in ["ann", "eve"] {
            let mut command = Command::new("ssh-keygen");
            command.args(["-q", "-t", "ed25519", "-C", name, "-N", "", "-f"]);
            let status = command.arg(dir.path().join(name)).status();
            assert!(status.expect("ssh-keygen runs").success());
        }
        let team = Self { origin, dir };
        run(&[
            "clone",
            "-q",
            &team.origin.path_url(),
            team.clone_dir().to_str().unwrap(),
        ]);
        team.allow("");
        team
    }

    fn clone_dir(&self) -> PathBuf {
        self.dir.path().join("clone")
    }

    fn signers(&self) -> PathBuf {
        self.dir.path().join("signers")
    }

    /// Lists Ann's key, with these options.
    fn allow(&self, options: &str) {
        let key = std::fs::read_to_string(self.dir.path().join("ann.pub")).unwrap();
        std::fs::write(self.signers(), format!("ann@example.test {options} {key}")).unwrap();
    }

    fn work(&self, key: &str, args: &[&str]) -> String {
        let clone = self.clone_dir();
        let key = format!("user.signingkey={}", self.dir.path().join(key).display());
        let mut all = vec!["-C", clone.to_str().unwrap(), "-c", "gpg.format=ssh", "-c", &key];
        all.extend(args);
        run(&all)
    }

    /// Commits a value, signed with the key of that name, or not at all.
    fn commit(&self, key: Option<&str>, value: &str) -> CommitId {
        std::fs::write(self.clone_dir().join("app.toml"), value).unwrap();
        self.work("ann", &["add", "app.toml"]);
        let sign = if key.is_some() { "-S" } else { "--no-gpg-sign" };
        self.work(key.unwrap_or("ann"), &["commit", "-q", sign, "-m", value.trim()]);
        self.here()
    }

    fn here(&self) -> CommitId {
        self.work("ann", &["rev-parse", "HEAD"]).parse().unwrap()
    }

    fn push(&self) {
        self.work("ann", &["push", "-q", "origin", "HEAD"]);
    }

    fn pushed(&self, key: Option<&str>, value: &str) -> CommitId {
        let commit = self.commit(key, value);
        self.push();
        commit
    }

    /// A server that follows the branch and asks for signatures; it serves what was there before.
    fn server(&self, policy: fn(PathBuf) -> SignaturePolicy) -> TestServer {
        let first = self.pushed(Some("ann"), "n = 1\n");
        let server = self.stopped(policy).start();
        server.until_tip(&first);
        server
    }

    fn stopped(&self, policy: fn(PathBuf) -> SignaturePolicy) -> Stopped {
        let signers = self.signers();
        Stopped::of(&self.origin.path_url()).each(|repo| repo.signatures = policy(signers.clone()))
    }
}

/// What `git` prints.
fn run(args: &[&str]) -> String {
    let output = git().args(args).output().expect("git runs");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{args:?}: {error}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn codes(repo: &Value) -> Vec<&str> {
    let findings = repo["findings"].as_array().expect("findings");
    findings
        .iter()
        .map(|finding| finding["code"].as_str().expect("a code"))
        .collect()
}

fn rejected(server: &TestServer, commit: &CommitId) -> Vec<String> {
    let repo = server.until_head(commit, "rejected");
    codes(&repo).into_iter().map(str::to_owned).collect()
}

/// Writes a commit with other bytes and moves the branch to it.
fn forge(team: &Team, commit: &CommitId, change: impl Fn(&str) -> String) -> CommitId {
    let raw = team.origin.git(&["cat-file", "commit", commit.as_str()]);
    let forged = team.origin.git_with_input(
        &["hash-object", "-t", "commit", "-w", "--stdin"],
        change(&raw).as_bytes(),
    );
    let forged: CommitId = String::from_utf8(forged).unwrap().trim().parse().unwrap();
    let branch = team.work("ann", &["rev-parse", "--abbrev-ref", "HEAD"]);
    team.origin.force_reset(&branch, &forged);
    forged
}

#[test]
fn a_signed_commit_is_served_and_an_unsigned_one_is_rejected() {
    for format in ["sha1", "sha256"] {
        let team = Team::with_format(format);
        let server = team.server(SignaturePolicy::Head);
        let bad = team.pushed(None, "n = 2\n");
        assert_eq!(rejected(&server, &bad), ["signature/missing"]);
        let good = team.pushed(Some("ann"), "n = 3\n");
        server.until_tip(&good);
    }
}

#[test]
fn a_key_that_nobody_allowed_is_told_until_it_is_allowed() {
    let team = Team::new();
    let server = team.server(SignaturePolicy::Head);
    let eves = team.pushed(Some("eve"), "n = 2\n");
    assert_eq!(rejected(&server, &eves), ["signature/unknown-key"]);
    // The file is read again without a restart, and nobody has to push.
    let key = std::fs::read_to_string(team.dir.path().join("eve.pub")).unwrap();
    std::fs::write(team.signers(), format!("eve@example.test {key}")).unwrap();
    server.until_tip(&eves);
}

#[test]
fn a_key_that_is_allowed_at_another_time_or_for_something_else_is_told() {
    // The test's commits say that they were recorded on 14 November 2023.
    for options in [
        "valid-before=\"20231114\"",
        "valid-after=\"20231115\"",
        "namespaces=\"file\"",
    ] {
        let team = Team::new();
        let server = team.server(SignaturePolicy::Head);
        team.allow(options);
        let late = team.pushed(Some("ann"), "n = 2\n");
        assert_eq!(rejected(&server, &late), ["signature/expired-key"], "{options}");
    }
    let team = Team::new();
    team.allow("namespaces=\"git\",valid-after=\"20231114\",valid-before=\"20231115\"");
    let server = team.server(SignaturePolicy::Head);
    server.until_tip(&team.pushed(Some("ann"), "n = 2\n"));
}

#[test]
fn a_signed_commit_with_another_message_is_told_as_forged() {
    let team = Team::new();
    let server = team.server(SignaturePolicy::Head);
    let honest = team.commit(Some("ann"), "n = 2\n");
    team.work("ann", &["push", "-q", "origin", "HEAD:refs/heads/aside"]);
    let forged = forge(&team, &honest, |raw| raw.replace("n = 2", "n = 2, approved"));
    assert_eq!(rejected(&server, &forged), ["signature/bad"]);
}

#[test]
fn where_all_must_be_signed_one_in_the_midst_holds_up_what_comes_after() {
    let team = Team::new();
    let server = team.server(SignaturePolicy::All);
    let signed = team.commit(Some("ann"), "n = 2\n");
    let unsigned = team.commit(None, "n = 3\n");
    let head = team.pushed(Some("ann"), "n = 4\n");
    let repo = server.until_head(&head, "rejected");
    assert_eq!(codes(&repo), ["signature/missing"]);
    let message = repo["findings"][0]["message"].as_str().unwrap();
    assert!(message.contains(unsigned.short()), "{message}");
    // What came before it is served.
    assert_eq!(repo["tip"], signed.as_str());
}

#[test]
fn where_the_head_must_be_signed_those_before_it_need_not_be_and_do_not_lead() {
    let team = Team::new();
    let server = team.server(SignaturePolicy::Head);
    team.commit(None, "n = 2\n");
    let head = team.pushed(Some("ann"), "n = 3\n");
    let before = server.until_tip(&head);
    assert_eq!(before["tip"], head.as_str());
    team.commit(None, "n = 4\n");
    let broken = team.pushed(Some("ann"), "n = \n");
    let repo = server.until_head(&broken, "rejected");
    assert_eq!(
        repo["tip"],
        head.as_str(),
        "an unsigned commit was exposed: {repo}"
    );
}

#[test]
fn a_signed_merge_of_an_unsigned_branch_is_told_where_all_must_be_signed() {
    let team = Team::new();
    let server = team.server(SignaturePolicy::All);
    let branch = team.work("ann", &["rev-parse", "--abbrev-ref", "HEAD"]);
    team.work("ann", &["checkout", "-q", "-b", "side"]);
    let side = team.commit(None, "n = 2\n");
    team.work("ann", &["checkout", "-q", &branch]);
    team.work("ann", &["merge", "-q", "--no-ff", "-S", "-m", "merge", "side"]);
    let merge = team.here();
    team.push();
    let repo = server.until_head(&merge, "rejected");
    assert_eq!(codes(&repo), ["signature/missing"]);
    let message = repo["findings"][0]["message"].as_str().unwrap();
    assert!(message.contains(side.short()), "{message}");
}

#[test]
fn a_signed_tag_on_an_unsigned_commit_makes_it_no_signed_one() {
    let team = Team::new();
    let server = team.server(SignaturePolicy::Head);
    let bad = team.commit(None, "n = 2\n");
    team.work("ann", &["tag", "-s", "-m", "v2", "v2"]);
    team.work("ann", &["push", "-q", "origin", "v2", "HEAD"]);
    assert_eq!(rejected(&server, &bad), ["signature/missing"]);
}

#[test]
fn accepting_a_rewritten_head_does_not_stand_in_for_its_signature() {
    let team = Team::new();
    let server = team.server(SignaturePolicy::All);
    let accept = |head: &CommitId| {
        server.until_head(head, "held");
        let body = serde_json::json!({"head": head.as_str(), "reason": "reset", "requested_by": "ann"});
        server.post("/v1/repos/default/accept", &body)
    };
    let rewrite = |key: Option<&str>, value: &str| {
        team.work("ann", &["reset", "-q", "--hard", "HEAD~1"]);
        let head = team.commit(key, value);
        team.work("ann", &["push", "-q", "-f", "origin", "HEAD"]);
        head
    };
    let unsigned = rewrite(None, "n = 5\n");
    accept(&unsigned);
    assert_eq!(rejected(&server, &unsigned), ["signature/missing"]);
    let signed = rewrite(Some("ann"), "n = 6\n");
    accept(&signed);
    server.until_tip(&signed);
}

#[test]
fn without_the_file_of_signers_nothing_new_is_served_and_the_way_out_is_told() {
    let team = Team::new();
    let server = team.server(SignaturePolicy::Head);
    std::fs::remove_file(team.signers()).unwrap();
    let tip = team.work("ann", &["rev-parse", "HEAD"]);
    team.pushed(Some("ann"), "n = 2\n");
    let repo = server.until("the source tells of the file", |repo| {
        repo["error"]
            .as_str()
            .is_some_and(|error| error.contains("allowed_signers_file"))
    });
    assert_eq!(repo["tip"], tip);
}
