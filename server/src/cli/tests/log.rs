use super::*;

pub(super) fn commit(digit: char, message: &str, state: VerdictState) -> CommitView {
    let person = |name: &str| Person {
        name: name.into(),
        email: "a@example.org".into(),
        at: ago(i64::from(digit as u32)),
    };
    CommitView {
        commit: commit_id(digit),
        parents: Vec::new(),
        author: person("Ada Lovelace"),
        committer: person("Forge"),
        message: message.into(),
        verdict: VerdictView {
            state,
            findings: Vec::new(),
        },
        configs_changed: Vec::new(),
        outcome: None,
    }
}

fn page() -> CommitPage {
    let names = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect();
    let mut bad = commit(
        'b',
        "Set the pool to ten\u{1b}[2J\n\nA body.",
        VerdictState::Rejected,
    );
    bad.verdict.findings.push(finding());
    bad.author.name = "Somebody With A Rather Long Name".into();
    bad.configs_changed = names(&["payments/prod"]);
    let mut good = commit('c', "Add four services", VerdictState::Admitted);
    good.configs_changed = names(&["a", "b", "c", "d"]);
    good.outcome = Some("rolled out to 12 of 12".into());
    CommitPage {
        commits: vec![bad, good, commit('d', "First", VerdictState::Unjudged)],
        next: Some(commit_id('d')),
    }
}

#[test]
fn each_commit_is_a_line_with_its_verdict() {
    let server = one_repo(answering("/v1/repos/default/commits", &page()));
    insta::assert_snapshot!(headwater(&server, &["log", "--limit", "3"]), @r"
    exit 0
    ✗  bbbbbbbbbb  Somebody With A Rat…  98 s ago   Set the pool to ten\u{1b}[2J  [payments/prod] (1 error)
    ✓  cccccccccc  Ada Lovelace          99 s ago   Add four services             [a, b, c, +1] rolled out to 12 of 12
    ·  dddddddddd  Ada Lovelace          1 min ago  First
    older: --before dddddddddddddddddddddddddddddddddddddddd
    ");
}

#[test]
fn findings_follow_their_commit_when_asked() {
    let server = one_repo(answering("/v1/repos/default/commits", &page()));
    insta::assert_snapshot!(headwater(&server, &["log", "payments/prod", "--findings"]), @r#"
    exit 0
    ✗  bbbbbbbbbb  Somebody With A Rat…  98 s ago   Set the pool to ten\u{1b}[2J  [payments/prod] (1 error)
        services/payments/base.toml:12:7: error[schema/type]: `pool.max` must be an integer, not `"ten"`
          at `/pool/max` of `payments/prod`
          see schemas/payments.schema.json:4:20: the type is set here
          hint: write the number without quotes
    ✓  cccccccccc  Ada Lovelace          99 s ago   Add four services             [a, b, c, +1] rolled out to 12 of 12
    ·  dddddddddd  Ada Lovelace          1 min ago  First
    older: --before dddddddddddddddddddddddddddddddddddddddd
    "#);
}

#[test]
fn an_empty_history_says_so() {
    let server = one_repo(answering(
        "/v1/repos/default/commits",
        &CommitPage {
            commits: Vec::new(),
            next: None,
        },
    ));
    assert_eq!(headwater(&server, &["log"]), "exit 0\nno commits\n");
}
