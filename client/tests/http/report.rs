//! Reports that go up as calls.

use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Json, Router};
use headwater_client::{Watch, WatchRequest};
use headwater_wire::{InstanceReport, ReportAnswer};
use tokio::sync::Semaphore;

use crate::server::{Step, scripted, serve};
use crate::watch::{problem, request, words};

pub(crate) fn report(seq: u64) -> InstanceReport {
    InstanceReport {
        incarnation: 1,
        seq,
        ..InstanceReport::default()
    }
}

pub(crate) fn answer(report: &InstanceReport) -> ReportAnswer {
    ReportAnswer {
        accepted: true,
        incarnation: report.incarnation,
        seq: report.seq,
        heartbeat_ms: 30_000,
        assignments: Vec::new(),
        unknown: Vec::new(),
    }
}

pub(crate) fn for_an_instance() -> WatchRequest {
    WatchRequest {
        instance: Some("i-1".parse().unwrap()),
        ..request()
    }
}

/// A server that takes reports: what it was sent, and what it does with each.
#[derive(Clone)]
struct Desk {
    seen: Arc<Mutex<Vec<u64>>>,
    /// Answers it may give.
    answers: Arc<Semaphore>,
    /// What it refuses the first reports with.
    refusals: Arc<Mutex<Vec<StatusCode>>>,
}

async fn take(State(desk): State<Desk>, Json(report): Json<InstanceReport>) -> Response {
    desk.seen.lock().unwrap().push(report.seq);
    desk.answers.acquire().await.unwrap().forget();
    let refusal = desk.refusals.lock().unwrap().pop();
    match refusal {
        Some(status) => {
            let problem = serde_json::json!({"code": "internal", "status": status.as_u16(), "title": "no"});
            (status, Json(problem)).into_response()
        }
        None => Json(answer(&report)).into_response(),
    }
}

async fn desk(answers: usize, refusals: Vec<StatusCode>) -> (Watch, Desk) {
    let desk = Desk {
        seen: Arc::default(),
        answers: Arc::new(Semaphore::new(answers)),
        refusals: Arc::new(Mutex::new(refusals)),
    };
    let router = Router::new()
        .route("/v1/repos/default/instances/i-1", put(take))
        .route("/v1/repos/default/events", get(std::future::pending::<()>))
        .with_state(desk.clone());
    let repo = serve(router).await;
    (Watch::start(repo, for_an_instance()), desk)
}

#[tokio::test(start_paused = true)]
async fn reports_go_one_after_the_other_and_one_that_is_no_longer_wanted_is_not_sent() {
    let (watch, desk) = desk(0, Vec::new()).await;
    let first = tokio::spawn(watch.report(report(1)));
    while desk.seen.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    let dropped = tokio::spawn(watch.report(report(2)));
    tokio::task::yield_now().await;
    dropped.abort();
    let last = tokio::spawn(watch.report(report(3)));
    desk.answers.add_permits(10);
    assert_eq!(first.await.unwrap().unwrap().seq, 1);
    assert_eq!(last.await.unwrap().unwrap().seq, 3);
    assert_eq!(*desk.seen.lock().unwrap(), [1, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_report_that_did_not_get_through_is_an_error_and_is_not_repeated_behind_the_callers_back() {
    let (watch, desk) = desk(10, vec![StatusCode::SERVICE_UNAVAILABLE]).await;
    assert!(watch.report(report(1)).await.is_err());
    tokio::time::sleep(std::time::Duration::from_mins(3)).await;
    assert_eq!(*desk.seen.lock().unwrap(), [1]);
    assert_eq!(watch.report(report(2)).await.unwrap().seq, 2);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_was_refused_ends_although_it_could_report() {
    let (repo, _requests) = scripted(vec![vec![problem(404, "config_not_found")], vec![Step::Hang]]).await;
    let mut watch = Watch::start(repo, for_an_instance());
    assert_eq!(words(&mut watch, 2).await, ["refused", "end"]);
}
