//! What a page of the dashboard costs the service when ten thousand instances report.
//!
//! Run with `cargo bench -p headwater-tests --bench dashboard`. The fleet is filled through the public API; each figure
//! is the median over rounds of one request, from its first byte to the last of the answer, on a connection of its own.

#![expect(clippy::print_stdout, reason = "a program that prints figures")]

use std::time::{Duration, Instant};

use headwater_tests::http::Ask;
use headwater_tests::origin::TestOrigin;
use headwater_tests::server::{Stopped, TestServer};
use serde_json::json;

const INSTANCES: usize = 10_000;
const ROUNDS: usize = 21;

/// One config that is rolled out in stages, so that a rollout stands while pages are asked for.
const MANIFEST: &str = "\
format = 1
[[config]]
name = \"app\"
layers = [\"app.json\"]
rollout = \"careful\"
[rollout.careful]
kind = \"staged\"
stages = [{ percent = 10, bake = \"1h\" }, { percent = 100, bake = \"1h\" }]
";

/// Reports that all run the version.
fn fill(server: &TestServer, version: &str) {
    let told = server.config("app", None).expect(200).json();
    let started = Instant::now();
    for number in 0..INSTANCES {
        let config = json!({
            "generation": 1,
            "state": "confirmed",
            "running": {"version": version, "digest": told["digest"]},
        });
        let report = json!({
            "incarnation": 1,
            "seq": 1,
            "labels": {"region": if number % 2 == 0 { "eu" } else { "us" }},
            "configs": {"app": config},
        });
        Ask::new("PUT", &format!("/v1/repos/default/instances/i-{number:05}"))
            .body("application/json", report.to_string().as_bytes())
            .send(server.addr())
            .expect(200);
    }
    println!(
        "{INSTANCES} instances reported in {:.1} s",
        started.elapsed().as_secs_f64()
    );
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1_000.0
}

fn main() {
    let origin = TestOrigin::new();
    let first = origin.commit(
        &[
            ("headwater.toml", Some(MANIFEST)),
            ("app.json", Some("{\"v\": 1}")),
        ],
        "v = 1",
    );
    let server = Stopped::of(&origin.path_url()).start();
    server.until_tip(&first);
    fill(&server, first.as_str());
    let second = origin.commit(&[("app.json", Some("{\"v\": 2}"))], "v = 2");
    server.until_head(&second, "published");
    let rollouts = server.get("/v1/repos/default/rollouts").expect(200).json();
    let rollout = rollouts["rollouts"][0]["id"]
        .as_str()
        .expect("a rollout")
        .to_owned();
    let at = |page: &str| format!("/repos/default{page}");
    println!("{:>9}  {:>9}  page", "median ms", "kB");
    for page in [
        at(""),
        at("/instances"),
        at("/instances?after=i-05000"),
        at("/instances?state=failed"),
        at("/instances?label=region%3Deu"),
        at("/instances/i-05000"),
        at("/rollouts"),
        at(&format!("/rollouts/{rollout}")),
        at("/commits"),
        at(&format!("/commits/{second}")),
        at("/configs"),
        at("/configs/app"),
        at("/audit"),
        at(&format!("/rollback?to={first}")),
        "/sources".to_owned(),
    ] {
        let mut times = Vec::new();
        let mut bytes = 0;
        for _ in 0..ROUNDS {
            let started = Instant::now();
            bytes = server.get(&page).expect(200).body.len();
            times.push(started.elapsed());
        }
        println!("{:>9.1}  {:>9}  {page}", median(times), bytes.div_ceil(1_000));
    }
}
