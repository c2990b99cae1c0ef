use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;

use super::*;
use crate::receiver::Receiver;
use crate::secret::Secret;

fn secret() -> Secret {
    Secret::new("a secret of some length")
}

fn signals(url: &str, kind: SignalKind) -> Signals {
    Signals::new(&[SignalSettings {
        name: "main".to_owned(),
        url: url.to_owned(),
        kind,
        ca_file: None,
        deadline: Duration::from_secs(5),
    }])
}

fn question(source: SignalSource) -> Question {
    let commit = |digit: &str| digit.repeat(40).parse().unwrap();
    Question {
        repo: "shop".parse().unwrap(),
        config: "app/prod".parse().unwrap(),
        rollout: "5d1f0c2a".to_owned(),
        steps: 3,
        stage: 0,
        version: commit("b"),
        baseline: commit("a"),
        signal: SignalPolicy {
            name: "errors".to_owned(),
            source,
            passes_min: 1,
            unclear_max: 1,
            interval_ms: 5_000,
        },
    }
}

fn query() -> SignalSource {
    SignalSource::Prometheus {
        server: "main".to_owned(),
        query: "sum(rate(failed[5m])) / sum(rate(all{a=\"b & c\"}[5m]))".to_owned(),
        pass_if: "< 0.01".parse().unwrap(),
    }
}

fn webhook() -> SignalSource {
    SignalSource::Webhook {
        server: "main".to_owned(),
    }
}

const PROMETHEUS: SignalKind = SignalKind::Prometheus { token: None };

/// What is read out of one answer of a Prometheus.
async fn read(status: u16, answer: &str) -> Reading {
    let service = Receiver::answering(status, answer).await;
    signals(&service.url, PROMETHEUS).ask(&question(query())).await
}

fn vector(samples: &str) -> String {
    format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{samples}]}}}}"#)
}

fn sample(value: &str) -> String {
    vector(&format!(
        r#"{{"metric":{{"a":"b"}},"value":[1764165000.123,"{value}"]}}"#
    ))
}

#[tokio::test]
async fn a_number_within_the_bound_passes_and_one_outside_fails() {
    assert_eq!(read(200, &sample("0.0099")).await, Reading::Pass);
    assert_eq!(
        read(200, &sample("0.01")).await,
        Reading::Fail("0.01 is not < 0.01".to_owned())
    );
    assert_eq!(
        read(200, &sample("+Inf")).await,
        Reading::Fail("inf is not < 0.01".to_owned())
    );
    let scalar = r#"{"status":"success","data":{"resultType":"scalar","result":[1764165000,"0"]}}"#;
    assert_eq!(read(200, scalar).await, Reading::Pass);
}

#[tokio::test]
async fn what_says_nothing_is_inconclusive() {
    let none = Reading::Inconclusive("the query has no result".to_owned());
    assert_eq!(read(200, &vector("")).await, none);
    for answer in [
        sample("NaN"),
        sample("-Inf"),
        sample("0").replacen('{', r#"{"warnings":["one store did not answer"],"#, 1),
    ] {
        let reading = read(200, &answer).await;
        assert!(
            matches!(reading, Reading::Inconclusive(_)),
            "{answer}: {reading:?}"
        );
    }
}

#[tokio::test]
async fn whatever_is_no_clear_answer_is_an_error_and_no_pass() {
    let two = format!(r#"{{"value":[1,"0"]}},{}"#, r#"{"value":[1,"0"]}"#);
    for (status, answer, expected) in [
        (
            400,
            r#"{"status":"error","errorType":"bad_data","error":"parse error: unclosed left parenthesis"}"#
                .to_owned(),
            "parse error: unclosed left parenthesis",
        ),
        (503, sample("0"), "it answered 503 Service Unavailable"),
        (429, sample("0"), "it answered 429 Too Many Requests"),
        (302, sample("0"), "it redirects, which is not followed"),
        (404, "not here".to_owned(), "it answered 404 Not Found"),
        (200, "<html>".to_owned(), "its answer is not that of a Prometheus"),
        (
            200,
            r#"{"status":"success"}"#.to_owned(),
            "its answer has no data",
        ),
        (
            200,
            vector(&two),
            "the query has 2 results, and must have one, such as a `sum`",
        ),
        (200, sample("much"), "the query's result is no number"),
        (
            200,
            r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#.to_owned(),
            "the query's result is no number: `matrix`",
        ),
        (
            200,
            vector(r#"{"metric":{},"histogram":[1,{}]}"#),
            "the query's result is no number",
        ),
        (200, "x".repeat(100_000), "its answer is longer than 65536 bytes"),
    ] {
        let reading = read(status, &answer).await;
        assert_eq!(
            reading,
            Reading::Error(expected.to_owned()),
            "{status} {answer:.80}"
        );
    }
}

#[tokio::test]
async fn who_does_not_answer_in_time_or_is_not_there_is_an_error() {
    let slow = Receiver::with(|| Body::from_stream(stream::pending::<Result<Bytes, Infallible>>())).await;
    let settings = SignalSettings {
        deadline: Duration::from_millis(50),
        ..signals(&slow.url, PROMETHEUS).known["main"].settings.clone()
    };
    let late = Signals::new(&[settings]).ask(&question(query())).await;
    assert!(matches!(late, Reading::Error(_)), "{late:?}");
    let nobody = signals("http://127.0.0.1:1", PROMETHEUS)
        .ask(&question(query()))
        .await;
    assert!(matches!(nobody, Reading::Error(_)), "{nobody:?}");
}

#[tokio::test]
async fn a_query_arrives_as_it_was_written_with_the_token_that_lets_us_in() {
    let service = Receiver::answering(200, sample("0")).await;
    let kind = SignalKind::Prometheus {
        token: Some(secret()),
    };
    signals(&service.url, kind).ask(&question(query())).await;
    let [arrived] = service.arrived().try_into().unwrap();
    assert_eq!(arrived.path, "/api/v1/query");
    assert_eq!(arrived.authorization, "Bearer a secret of some length");
    let form: reqwest::Url = format!("http://x/?{}", arrived.body).parse().unwrap();
    let (key, value) = form.query_pairs().next().unwrap();
    assert_eq!(
        (&*key, &*value),
        ("query", "sum(rate(failed[5m])) / sum(rate(all{a=\"b & c\"}[5m]))")
    );
}

#[tokio::test]
async fn a_webhook_is_told_what_bakes_and_says_yes_no_or_neither() {
    let ask = async |status, answer: &str| {
        let service = Receiver::answering(status, answer).await;
        let kind = SignalKind::Webhook { secret: secret() };
        let reading = signals(&service.url, kind).ask(&question(webhook())).await;
        (reading, service.arrived().remove(0))
    };
    let (reading, arrived) = ask(200, r#"{"result":"pass"}"#).await;
    assert_eq!(reading, Reading::Pass);
    let commits = ("b".repeat(40), "a".repeat(40));
    let expected = format!(
        r#"{{"repo":"shop","config":"app/prod","rollout":"5d1f0c2a","signal":"errors","stage":1,"version":"{}","baseline":"{}"}}"#,
        commits.0, commits.1
    );
    assert_eq!(arrived.body, expected);
    assert!(arrived.signature.starts_with("sha256="), "{}", arrived.signature);
    let (failed, _) = ask(
        200,
        "{\"result\":\"fail\",\"message\":\"orders\\u001b[31m fell\"}",
    )
    .await;
    assert_eq!(failed, Reading::Fail("orders\\u{1b}[31m fell".to_owned()));
    let (neither, _) = ask(200, r#"{"result":"inconclusive","message":"night"}"#).await;
    assert_eq!(neither, Reading::Inconclusive("night".to_owned()));
    for (status, answer) in [
        (200, "{}"),
        (200, r#"{"result":"yes"}"#),
        (200, "pass"),
        (500, r#"{"result":"pass"}"#),
        (204, ""),
    ] {
        let (reading, _) = ask(status, answer).await;
        assert!(
            matches!(reading, Reading::Error(_)),
            "{status} {answer}: {reading:?}"
        );
    }
}

#[tokio::test]
async fn a_signal_that_the_settings_do_not_have_is_an_error() {
    let service = Receiver::answering(200, sample("0")).await;
    let asking = signals(&service.url, PROMETHEUS);
    let other_kind = asking.ask(&question(webhook())).await;
    assert!(matches!(other_kind, Reading::Error(_)), "{other_kind:?}");
    let unknown = Signals::default().ask(&question(query())).await;
    assert!(matches!(unknown, Reading::Error(_)), "{unknown:?}");
    assert_eq!(service.arrived().len(), 0);
}
