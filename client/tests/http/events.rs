use std::time::Duration;

use headwater_client::{ApiError, Event, EventStream, EventsQuery, RepoApi};
use headwater_wire::ChangeKind;

use crate::server::{A, B, DIGEST, Step, scripted, send};

pub(crate) const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n\r\n";

/// A `version` event for config `a` as the wire spells it.
pub(crate) fn version(token: &str, commit: &str) -> String {
    format!(
        "id: {token}\nevent: version\ndata: {{\"config\":\"a\",\"token\":\"{token}\",\"version\":\"{commit}\",\"tip\":\"{commit}\",\
         \"change\":\"forward\",\"phase\":\"active\",\"generation\":1,\"digest\":\"{DIGEST}\",\"size\":2}}\n\n"
    )
}

fn query() -> EventsQuery {
    EventsQuery {
        configs: vec!["a".parse().unwrap()],
        last_event_id: Some("t0".into()),
        ..EventsQuery::default()
    }
}

async fn stream(steps: Vec<Step>) -> EventStream {
    let (repo, _requests): (RepoApi, _) = scripted(vec![steps]).await;
    repo.events(&query()).await.unwrap()
}

#[tokio::test]
async fn events_are_typed_however_the_bytes_arrive_and_a_clean_end_is_an_end() {
    let text = format!(
        ": hello\nretry: 1500\n\n{}event: goaway\ndata: {{\"reason\":\"age\",\"retry_after_ms\":5}}\n\nevent: new\ndata: x\n\n",
        version("t1", A)
    );
    let steps = [send(HEAD)]
        .into_iter()
        .chain(text.bytes().map(|byte| send(vec![byte])))
        .collect();
    let mut stream = stream(steps).await;
    let mut seen = Vec::new();
    while let Some(frame) = stream.next().await.unwrap() {
        seen.push(frame);
    }
    assert_eq!(seen.len(), 4);
    assert_eq!(seen[0].event, Event::Retry(Duration::from_millis(1_500)));
    let Event::Version(version) = &seen[1].event else {
        panic!("{seen:?}")
    };
    assert_eq!(
        (version.change, seen[1].id.as_deref()),
        (ChangeKind::Forward, Some("t1"))
    );
    assert!(matches!(&seen[2].event, Event::Goaway(goaway) if goaway.retry_after_ms == 5));
    assert_eq!(seen[3].event, Event::Other("new".into()));
}

#[tokio::test]
async fn the_request_names_configs_and_the_last_event_id() {
    let (repo, mut requests) = scripted(vec![vec![send(HEAD)]]).await;
    drop(repo.events(&query()).await.unwrap());
    let request = requests.recv().await.unwrap();
    assert!(
        request.starts_with("GET /v1/repos/default/events?config=a HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(
        request.contains("last-event-id: t0\r\n") && request.contains("accept: text/event-stream\r\n"),
        "{request}"
    );
}

#[tokio::test]
async fn a_stream_cut_in_the_middle_of_an_event_does_not_tell_the_half() {
    let whole = version("t1", A);
    let next = version("t2", B);
    let half = next.get(..60).unwrap();
    let chunked = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    let body = format!("{whole}{half}");
    let mut stream = stream(vec![
        send(chunked),
        send(format!("{:x}\r\n{body}\r\n", body.len())),
    ])
    .await;
    assert!(matches!(
        stream.next().await.unwrap().unwrap().event,
        Event::Version(_)
    ));
    assert!(matches!(stream.next().await, Err(ApiError::CutOff { .. })));
}

#[tokio::test(start_paused = true)]
async fn comments_keep_a_stream_alive_and_silence_ends_it_after_40_s() {
    let comment = || [send(": still here\n"), Step::Pause(Duration::from_secs(18))];
    let steps = [send(HEAD)]
        .into_iter()
        .chain((0..5).flat_map(|_| comment()))
        .chain([Step::Hang])
        .collect();
    let mut stream = stream(steps).await;
    let started = tokio::time::Instant::now();
    let error = stream.next().await.unwrap_err();
    assert_eq!(started.elapsed().as_secs(), 4 * 18 + 40);
    assert!(matches!(error, ApiError::TimedOut { .. }), "{error}");
}

#[tokio::test]
async fn an_event_whose_data_is_not_what_its_name_says_is_malformed() {
    let mut stream = stream(vec![send(format!("{HEAD}event: version\ndata: {{}}\n\n"))]).await;
    let error = stream.next().await.unwrap_err();
    assert!(
        error.to_string().ends_with("cannot be read as a version event"),
        "{error}"
    );
}

#[tokio::test]
async fn an_event_without_end_is_refused() {
    let mut stream = stream(vec![send(HEAD), send(vec![b'x'; (1 << 20) + 1]), Step::Hang]).await;
    assert!(matches!(stream.next().await, Err(ApiError::Stream { .. })));
}

#[tokio::test]
async fn an_answer_that_is_no_stream_is_told_at_once() {
    let (repo, _requests) = scripted(vec![vec![send(
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 0\r\n\r\n",
    )]])
    .await;
    let error = repo.events(&query()).await.unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("answered no event stream but `text/html`"),
        "{error}"
    );
}
