use super::*;

#[test]
fn each_value_names_the_place_that_won_and_those_it_overrides() {
    let entry = |pointer: &str, value, overrides| ExplainEntry {
        pointer: pointer.into(),
        value,
        origin: origin("services/payments/prod.toml", 7),
        overrides,
    };
    let view = ExplainView {
        config: "payments/prod".parse().unwrap(),
        commit: commit_id('a'),
        variant: Some("eu".into()),
        layers: vec![
            "services/payments/base.toml".into(),
            "services/payments/prod.toml".into(),
        ],
        entries: vec![
            entry("/name", json!("payments"), Vec::new()),
            entry(
                "/pool/max",
                json!(20),
                vec![
                    origin("env/prod.toml", 2),
                    origin("services/payments/base.toml", 3),
                ],
            ),
        ],
    };
    let server = one_repo(answering("/v1/repos/default/explain/payments/prod", &view));
    insta::assert_snapshot!(headwater(&server, &["explain", "payments/prod"]), @r#"
    exit 0
    payments/prod at aaaaaaaaaa, variant eu: services/payments/base.toml < services/payments/prod.toml
    /name = "payments"  services/payments/prod.toml:7
    /pool/max = 20      services/payments/prod.toml:7 (overrides env/prod.toml:2, services/payments/base.toml:3)
    "#);
}
