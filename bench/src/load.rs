//! Mode `load`: what reading a config costs in a program that uses the client library, while the config changes a hundred
//! times a second.
//!
//! A server in this process streams versions; a real client checks and switches to each; readers loop. The floor is a bare
//! `ArcSwap::load` of a value that is changed at the same pace.

use std::convert::Infallible;
use std::hint::black_box;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Body;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use clap::Args;
use futures_util::stream;
use headwater_client::{Client, Handle};
use headwater_render::{canonical, digest};
use serde::Deserialize;
use serde_json::json;

use crate::Options;
use crate::failure::Failure;
use crate::report::{self, Row, median, quantile};

/// Reads of one thread in one round.
const READS: u32 = 2_000_000;
const QUICK_READS: u32 = 2_000;
/// Time between two versions.
const PERIOD: Duration = Duration::from_millis(10);
/// Readers at once.
const READERS: [u32; 2] = [1, 2];

/// Reads in a program, beside a bare pointer that is swapped
///
/// Prints the mean of one read, in nanoseconds, of one reader and of two at once.
#[derive(Debug, Args)]
pub(crate) struct Load {
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, Deserialize)]
struct Pair {
    left: u64,
    right: u64,
}

/// Makes a reader for one thread.
type Way = Box<dyn Fn() -> Box<dyn FnMut() -> u64> + Sync>;

impl Load {
    /// Measures and prints.
    #[expect(clippy::print_stderr, reason = "a program that says what happened meanwhile")]
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let handle = runtime.block_on(open())?;
        let stop = Arc::new(AtomicBool::new(false));
        let pair = |n| Arc::new(Pair { left: n, right: n });
        let bare = Arc::new(ArcSwap::new(pair(0)));
        changed(&bare, &stop, move |cell, n| cell.store(pair(n)));
        let locked = Arc::new(RwLock::new(pair(0)));
        changed(&locked, &stop, move |cell, n| {
            *cell.write().unwrap_or_else(PoisonError::into_inner) = pair(n);
        });
        let (before, started) = (handle.load().left, Instant::now());
        let mut courses: Vec<(&str, Way, [Vec<f64>; 2])> = ways(&handle, &bare, &locked)
            .into_iter()
            .map(|(what, way)| (what, way, Default::default()))
            .collect();
        let reads = if self.options.quick { QUICK_READS } else { READS };
        for _ in 0..self.options.rounds() {
            for (_, way, means) in &mut courses {
                for (means, readers) in means.iter_mut().zip(READERS) {
                    means.push(mean_ns((readers, reads), way));
                }
            }
        }
        stop.store(true, Ordering::Relaxed);
        let (versions, length) = (handle.load().left - before, started.elapsed().as_secs_f64());
        eprintln!("{versions} versions were applied in {length:.1} s meanwhile");
        let floors = courses.first().map_or([1.0; 2], |(_, _, means)| middle(means));
        let rows = courses.iter().map(|(what, _, means)| row(what, means, floors));
        report::print("load", &rows.collect::<Vec<_>>(), &self.options);
        Ok(())
    }
}

fn middle([one, two]: &[Vec<f64>; 2]) -> [f64; 2] {
    [median(one), median(two)]
}

fn row(what: &str, means: &[Vec<f64>; 2], [floor_one, floor_two]: [f64; 2]) -> Row {
    let [one, two] = middle(means);
    let slow = |means: Option<&Vec<f64>>| means.map_or(0.0, |means| quantile(means, 99));
    Row {
        what: what.to_owned(),
        figures: vec![
            ("one_reader_ns", one),
            ("one_reader_p99_ns", slow(means.first())),
            ("one_reader_times_floor", one / floor_one),
            ("two_readers_ns", two),
            ("two_readers_p99_ns", slow(means.last())),
            ("two_readers_times_floor", two / floor_two),
        ],
    }
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
async fn open() -> Result<Handle<Pair>, Failure> {
    let listener = tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    let address = listener.local_addr()?;
    let routes = Router::new()
        .route("/v1/repos/default/events", get(events))
        .fallback(|| async { StatusCode::NOT_FOUND });
    tokio::spawn(async move { axum::serve(listener, routes).await });
    let client = Client::builder(&format!("http://{address}")).start().await;
    let client = client.map_err(|error| Failure::new(error.to_string()))?;
    let opened = client.config("pair").open().await;
    opened.map_err(|error| Failure::new(error.to_string()))
}

/// Mean of one read, in ns, over so many readers that loop at once.
fn mean_ns((readers, reads): (u32, u32), way: &Way) -> f64 {
    let total = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..readers {
            scope.spawn(|| {
                let mut read = way();
                let started = Instant::now();
                for _ in 0..reads {
                    black_box(read());
                }
                let spent = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
                total.fetch_add(spent, Ordering::Relaxed);
            });
        }
    });
    let total = Duration::from_nanos(total.into_inner()).as_secs_f64() * 1e9;
    total / (f64::from(reads) * f64::from(readers))
}

/// Something that is changed at the same pace as the config, to compare with.
fn changed<T: Send + Sync + 'static>(
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

/// The ways to read, the floor first.
fn ways(
    handle: &Handle<Pair>,
    bare: &Arc<ArcSwap<Pair>>,
    locked: &Arc<RwLock<Arc<Pair>>>,
) -> [(&'static str, Way); 4] {
    [
        ("floor: ArcSwap::load", {
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
                Box::new(move || {
                    let held = locked.read().unwrap_or_else(PoisonError::into_inner);
                    Arc::clone(&held).left
                })
            })
        }),
    ]
}
