//! What it costs that a verdict is worked out in a process that can be killed.
//!
//! Run with `cargo bench -p headwater-tests --bench verdict`. One service works out verdicts in its own process, the
//! other first in a child of the program; both are asked about the same files in turn. Each figure is the median over
//! rounds of one check from request to answer, and its ratio to the other's: only ratios within one run count.

#![expect(clippy::print_stdout, reason = "a program that prints figures")]

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use headwater_tests::http::Ask;
use headwater_tests::origin::TestOrigin;
use headwater_tests::server::{Stopped, TestServer};

const PROGRAM: &str = env!("CARGO_BIN_EXE_command");
const ROUNDS: usize = 41;

/// A tree of that many configs with one schema, as a tar.
fn tree(configs: usize) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut add = |path: &str, text: &str| {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, path, text.as_bytes())
            .expect("memory takes it");
    };
    if configs > 0 {
        add(
            "headwater.toml",
            "format = 1\n[[config]]\nname = \"{service}\"\nlayers = [\"services/{service}.toml\"]\nschema = \"s.schema.json\"\n",
        );
        add(
            "s.schema.json",
            r#"{"type": "object", "properties": {"pool": {"type": "object", "properties": {"max": {"type": "integer", "minimum": 1}}}}}"#,
        );
    }
    for config in 0..configs {
        let mut text = format!("name = \"service-{config}\"\n[pool]\nmax = {}\n", config + 1);
        for key in 0..20 {
            writeln!(
                text,
                "key_{key} = \"a value of some length, as configs have them\""
            )
            .expect("a string takes text");
        }
        add(&format!("services/s{config}.toml"), &text);
    }
    tar.into_inner().expect("memory takes it")
}

fn check(server: &TestServer, body: &[u8]) -> Duration {
    let ask = Ask::new("POST", "/v1/repos/default/checks").body("application/x-tar", body);
    let started = Instant::now();
    let answer = server.ask(&ask).expect(200).json();
    let took = started.elapsed();
    assert_eq!(answer["verdict"], "admitted", "{answer}");
    took
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1_000.0
}

fn main() {
    let origin = TestOrigin::new();
    let commit = origin.commit(&[("app.toml", Some("x = 1\n"))], "first");
    let within = Stopped::of(&origin.path_url()).start();
    let beside = Stopped::of(&origin.path_url())
        .with(|settings| settings.verdict_program = Some(PROGRAM.into()))
        .start();
    for server in [&within, &beside] {
        server.until_tip(&commit);
    }
    println!(
        "{:>8}  {:>12}  {:>12}  {:>10}  {:>6}",
        "configs", "within ms", "child ms", "more ms", "ratio"
    );
    for configs in [0, 10, 1_000] {
        let body = tree(configs);
        let (mut own, mut child) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            own.push(check(&within, &body));
            child.push(check(&beside, &body));
        }
        let (own, child) = (median(own), median(child));
        println!(
            "{configs:>8}  {own:>12.2}  {child:>12.2}  {:>10.2}  {:>6.2}",
            child - own,
            child / own
        );
    }
}
