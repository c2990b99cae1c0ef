//! What reading a config costs, while it changes a hundred times a second.
//!
//! Run with `cargo bench -p headwater-client --bench load`. A server in this process streams versions; a real client
//! checks and switches to each; readers loop. Each figure is the median over rounds of the mean of one read, in ns, and
//! its ratio to a bare `ArcSwap::load` of the same run: only ratios within one run count.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program that prints figures and gives up where it cannot go on"
)]

use std::convert::Infallible;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Body;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::stream;
use headwater_client::{Client, Handle};
use headwater_render::{canonical, digest};
use serde::Deserialize;
use serde_json::json;

const ROUNDS: usize = 15;
const READS: u64 = 2_000_000;
const PERIOD: Duration = Duration::from_millis(10);

#[derive(Debug, Deserialize)]
struct Pair {
    left: u64,
    right: u64,
}

fn frame(n: u64) -> String {
    let document = json!({"left": n, "right": n});
    let commit = format!("{n:040x}");
    let event = json!({
        "config": "pair", "token": format!("t{n}"), "version": commit, "tip": commit, "change": "forward",
        "phase": "active", "generation": n, "digest": digest(&canonical(&document)), "size": 20, "document": document,
    });
    format!("event: version\nid: t{n}\ndata: {event}\n\n")
}

async fn events() -> Response {
    let frames = stream::unfold(1_u64, |n| async move {
        tokio::time::sleep(PERIOD).await;
        Some((Ok::<_, Infallible>(frame(n)), n + 1))
    });
    ([("content-type", "text/event-stream")], Body::from_stream(frames)).into_response()
}

/// A client of a server that streams for ever.
async fn open() -> Handle<Pair> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let routes = Router::new()
        .route("/v1/repos/default/events", get(events))
        .fallback(|| async { StatusCode::NOT_FOUND });
    tokio::spawn(async move { axum::serve(listener, routes).await });
    let client = Client::builder(&format!("http://{addr}")).start().await.unwrap();
    client.config("pair").open().await.unwrap()
}

/// Mean of one read, in ns, over `threads` readers that loop at once.
fn measure(threads: usize, reader: &(impl Fn() -> Box<dyn FnMut() -> u64> + Sync)) -> f64 {
    let total = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut read = reader();
                let started = Instant::now();
                for _ in 0..READS {
                    black_box(read());
                }
                let spent = u64::try_from(started.elapsed().as_nanos()).unwrap();
                total.fetch_add(spent, Ordering::Relaxed);
            });
        }
    });
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let mean = total.into_inner() as f64 / (READS * threads as u64) as f64;
    mean
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// Something that is changed at the same pace as the config, to compare with.
fn swapped_by_a_writer<T: Send + Sync + 'static>(
    value: &Arc<T>,
    stop: &Arc<AtomicBool>,
    swap: impl Fn(&T, u64) + Send + 'static,
) {
    let (value, stop) = (Arc::clone(value), Arc::clone(stop));
    std::thread::spawn(move || {
        let mut n = 0;
        while !stop.load(Ordering::Relaxed) {
            std::thread::sleep(PERIOD);
            n += 1;
            swap(&value, n);
        }
    });
}

/// Makes a reader for one thread.
type Way = Box<dyn Fn() -> Box<dyn FnMut() -> u64> + Sync>;

/// The ways to read, the floor first.
fn ways(
    handle: &Handle<Pair>,
    bare: &Arc<ArcSwap<Pair>>,
    locked: &Arc<RwLock<Arc<Pair>>>,
) -> [(&'static str, Way); 4] {
    [
        ("ArcSwap::load, bare", {
            let bare = Arc::clone(bare);
            Box::new(move || {
                let bare = Arc::clone(&bare);
                Box::new(move || bare.load().left)
            })
        }),
        ("Handle::load", {
            let handle = handle.clone();
            Box::new(move || {
                let handle = handle.clone();
                Box::new(move || {
                    let now = handle.load();
                    assert_eq!(now.left, now.right, "two versions in one value");
                    now.left
                })
            })
        }),
        ("Reader::load", {
            let handle = handle.clone();
            Box::new(move || {
                let mut reader = handle.reader();
                Box::new(move || {
                    let now = reader.load();
                    assert_eq!(now.left, now.right, "two versions in one value");
                    now.left
                })
            })
        }),
        ("RwLock<Arc>, cloned", {
            let locked = Arc::clone(locked);
            Box::new(move || {
                let locked = Arc::clone(&locked);
                Box::new(move || Arc::clone(&locked.read().unwrap()).left)
            })
        }),
    ]
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let handle = runtime.block_on(open());
    let stop = Arc::new(AtomicBool::new(false));
    let pair = |n| Arc::new(Pair { left: n, right: n });
    let bare = Arc::new(ArcSwap::new(pair(0)));
    swapped_by_a_writer(&bare, &stop, move |cell, n| cell.store(pair(n)));
    let locked = Arc::new(RwLock::new(pair(0)));
    swapped_by_a_writer(&locked, &stop, move |cell, n| *cell.write().unwrap() = pair(n));

    let ways = ways(&handle, &bare, &locked);
    let before = handle.load().left;
    let started = Instant::now();
    println!(
        "{:<22}{:>14}{:>8}{:>14}{:>8}",
        "one read, ns", "1 reader", "ratio", "2 readers", "ratio"
    );
    let mut floor = None;
    for (name, way) in &ways {
        let figures = [1, 2].map(|threads| median((0..ROUNDS).map(|_| measure(threads, way)).collect()));
        let floor = *floor.get_or_insert(figures);
        println!(
            "{name:<22}{:>14.2}{:>8.2}{:>14.2}{:>8.2}",
            figures[0],
            figures[0] / floor[0],
            figures[1],
            figures[1] / floor[1]
        );
    }
    stop.store(true, Ordering::Relaxed);
    let versions = handle.load().left - before;
    println!(
        "{versions} versions were applied in {:.1} s meanwhile",
        started.elapsed().as_secs_f64()
    );
}
