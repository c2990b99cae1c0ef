use super::*;

fn view() -> DiffView {
    let change = |pointer: &str, old, new| Change {
        pointer: pointer.into(),
        old,
        new,
        old_origin: Some(origin("services/payments/base.toml", 3)),
        new_origin: None,
    };
    let mut raised = change("/pool/max", Some(json!(10)), Some(json!(20)));
    raised.new_origin = Some(origin("services/payments/prod.toml", 7));
    let mut added = change(
        "/motd",
        None,
        Some(json!(
            "a long text that goes on and on, further than anybody would read"
        )),
    );
    added.old_origin = None;
    added.new_origin = Some(origin("services/payments/prod.toml", 9));
    let file = |path: &str, kind: &str, text: Option<&str>| FileDiff {
        path: path.into(),
        kind: kind.into(),
        text: text.map(str::to_owned),
    };
    DiffView {
        from: commit_id('a'),
        to: commit_id('b'),
        configs: vec![
            ConfigDiff {
                config: "payments/prod".parse().unwrap(),
                variant: None,
                kind: "modified".into(),
                changes: vec![added, change("/debug", Some(json!(true)), None), raised.clone()],
            },
            ConfigDiff {
                config: "payments/prod".parse().unwrap(),
                variant: Some("canary".into()),
                kind: "added".into(),
                changes: vec![raised],
            },
        ],
        files: vec![
            file(
                "services/payments/prod.toml",
                "modified",
                Some("@@ -1,2 +1,2 @@\n [pool]\n-max = 10\n+max\t= 20\n"),
            ),
            file("logo.png", "added", None),
        ],
    }
}

#[test]
fn values_come_first_and_then_the_text() {
    let server = one_repo(answering("/v1/repos/default/diff", &view()));
    insta::assert_snapshot!(headwater(&server, &["diff", "v1", "main"]), @r#"
    exit 0
    aaaaaaaaaa..bbbbbbbbbb

    payments/prod
      /motd      (none)  →  "a long text that goes on and on, further than anybody woul…  services/payments/prod.toml:9
      /debug     true    →  (none)                                                        services/payments/base.toml:3
      /pool/max  10      →  20                                                            services/payments/prod.toml:7

    payments/prod (variant canary) (added)
      /pool/max  10  →  20  services/payments/prod.toml:7

    services/payments/prod.toml (modified)
    @@ -1,2 +1,2 @@
     [pool]
    -max = 10
    +max	= 20

    logo.png (added)
      binary, or too large to compare
    "#);
}

#[test]
fn equal_revisions_differ_in_nothing() {
    let view = DiffView {
        configs: Vec::new(),
        files: Vec::new(),
        ..view()
    };
    let server = one_repo(answering("/v1/repos/default/diff", &view));
    assert_eq!(
        headwater(&server, &["diff", "v1", "v1", "--values"]),
        "exit 0\naaaaaaaaaa..bbbbbbbbbb\nno value differs\n"
    );
}
