//! What a commit costs that changes one of many files, and what it would cost to judge all of them.
//!
//! Run with `cargo bench -p headwater-tests --bench commit`. Three tables, of medians over rounds: the parts of a verdict
//! in one process; the floor, which is what `git` takes to say what changed and to hand out every file; and the way of a
//! commit from the push until it is published, through a service with the verdict's child, beside the same for one file.
//! Only ratios within one run count.

#![expect(clippy::print_stdout, reason = "a program that prints figures")]

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use headwater_tests::origin::TestOrigin;
use headwater_tests::server::{Stopped, TestServer};
use headwater_validators::{
    ConfigTree, ContentId, Context, Entry, File, Limits, ValidTree, Verdict, declare, unsettled, validate,
    validate_after,
};
use headwater_wire::CommitId;

const PROGRAM: &str = env!("CARGO_BIN_EXE_command");
const ROUNDS: usize = 11;
const SIZES: [usize; 3] = [1, 1_000, 10_000];

const MANIFEST: &str = "format = 1\n[[config]]\nname = \"{service}\"\nlayers = [\"services/{service}.toml\"]\nschema = \"s.schema.json\"\nrules = [\"step\"]\n[rule.step]\nat = \"/pool/max\"\nmax_factor = 2.0\n";
const SCHEMA: &str = r#"{"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "properties": {"pool": {"type": "object", "properties": {"max": {"type": "integer", "minimum": 1}}}}}"#;

/// The document of one service; `round` is what changes.
fn document(service: usize, round: usize) -> String {
    let mut text = format!(
        "name = \"service-{service}\"\nround = {round}\n[pool]\nmax = {}\n",
        service + 1
    );
    for key in 0..20 {
        writeln!(
            text,
            "key_{key} = \"a value of some length, as configs have them\""
        )
        .expect("a string takes text");
    }
    text
}

fn path(service: usize) -> String {
    format!("services/s{service}.toml")
}

fn insert(tree: &mut ConfigTree, path: &str, text: &str) {
    let file = File {
        id: ContentId::new(text),
        size: text.len() as u64,
        bytes: Some(Arc::from(text.as_bytes())),
    };
    tree.insert(path.as_bytes(), Entry::File(file));
}

/// A tree of that many services, the first of which is in its `round`.
fn tree(services: usize, round: usize) -> ConfigTree {
    let mut tree = ConfigTree::new();
    insert(&mut tree, "headwater.toml", MANIFEST);
    insert(&mut tree, "s.schema.json", SCHEMA);
    for service in 0..services {
        let round = if service == 0 { round } else { 0 };
        insert(&mut tree, &path(service), &document(service, round));
    }
    tree
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let started = Instant::now();
    let result = work();
    (result, started.elapsed())
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1_000.0
}

fn valid(verdict: Verdict) -> ValidTree {
    match verdict {
        Verdict::Valid(valid) => valid,
        Verdict::Invalid(rejection) => unreachable!("{:?}", rejection.findings()),
    }
}

/// The parts of a verdict, each as often as there are rounds.
fn parts(services: usize) {
    let limits = Limits::default();
    let (mut plan, mut cold, mut after, mut part) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut before = tree(services, 0);
    let mut earlier = valid(validate(&before, &Context::alone(&limits)));
    for round in 1..=ROUNDS {
        let new = tree(services, round);
        let context = Context {
            before: Some(&before),
            ..Context::alone(&limits)
        };
        plan.push(timed(|| declare(&new, &limits)).1);
        cold.push(timed(|| validate(&new, &context)).1);
        let (work, took) = timed(|| unsettled(&new, &limits, &earlier));
        assert_eq!(work.map(|work| work.configs.len()), Some(1));
        part.push(took);
        let (verdict, took) = timed(|| validate_after(&new, &context, &earlier));
        after.push(took);
        earlier = valid(verdict);
        before = new;
    }
    let (plan, cold, after, part) = (median(plan), median(cold), median(after), median(part));
    println!(
        "{services:>8}  {plan:>9.2}  {cold:>9.2}  {part:>9.2}  {after:>9.2}  {:>8.1}",
        cold / after
    );
}

/// An upstream with that many services.
fn upstream(services: usize) -> (TestOrigin, CommitId) {
    let origin = TestOrigin::new();
    let files: Vec<(String, String)> = (0..services)
        .map(|service| (path(service), document(service, 0)))
        .collect();
    let mut edits = vec![
        ("headwater.toml", Some(MANIFEST)),
        ("s.schema.json", Some(SCHEMA)),
    ];
    edits.extend(
        files
            .iter()
            .map(|(path, text)| (path.as_str(), Some(text.as_str()))),
    );
    let commit = origin.commit(&edits, "first");
    (origin, commit)
}

/// Waits without the pauses of a test.
fn until_tip(server: &TestServer, commit: &CommitId) {
    while server.repo()["tip"] != commit.as_str() {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The way of commits through a service, and what `git` alone takes for its part.
fn pushes(services: usize) {
    let (origin, first) = upstream(services);
    let stopped = Stopped::of(&origin.path_url())
        .with(|settings| settings.verdict_program = Some(PROGRAM.into()))
        .each(|repo| repo.poll_interval = Duration::from_millis(5));
    let (server, cold) = timed(|| {
        let server = stopped.start();
        until_tip(&server, &first);
        server
    });
    let (mut warm, mut differ, mut listing) = (Vec::new(), Vec::new(), Vec::new());
    let mut parent = first;
    for round in 1..=ROUNDS {
        let text = document(0, round);
        let commit = origin.commit(&[(&path(0), Some(&text))], "a change");
        warm.push(timed(|| until_tip(&server, &commit)).1);
        let range = [parent.as_str(), commit.as_str()];
        differ.push(timed(|| origin.git(&["diff-tree", "-r", range[0], range[1]])).1);
        listing.push(timed(|| origin.git_bytes(&["archive", "--format=tar", commit.as_str()])).1);
        parent = commit;
    }
    let cold = cold.as_secs_f64() * 1_000.0;
    let (warm, differ, listing) = (median(warm), median(differ), median(listing));
    println!("{services:>8}  {differ:>12.2}  {listing:>12.2}  {cold:>12.2}  {warm:>12.2}");
}

fn main() {
    println!(
        "{:>8}  {:>9}  {:>9}  {:>9}  {:>9}  {:>8}",
        "configs", "plan ms", "cold ms", "which ms", "after ms", "ratio"
    );
    for services in SIZES {
        parts(services);
    }
    println!(
        "\n{:>8}  {:>12}  {:>12}  {:>12}  {:>12}",
        "configs", "diff-tree ms", "all files ms", "cold ms", "one file ms"
    );
    for services in SIZES {
        pushes(services);
    }
}
