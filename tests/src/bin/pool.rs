//! The program of docs/clients.md, word for word from here on; the suite compares and runs it.

#![expect(clippy::print_stdout, reason = "the example of a person who reads the page")]

use std::time::Duration;

use futures_util::StreamExt;
use headwater_client::{Client, Held};
use serde::Deserialize;
use tokio::signal::unix::{SignalKind, signal};

/// What this program wants of the config: unknown keys are left alone, a missing one refuses the value.
#[derive(Debug, Deserialize)]
struct Service {
    pool: Pool,
}

#[derive(Debug, Deserialize)]
struct Pool {
    max: u32,
}

/// What only this program can know. An error refuses the value and is shown where instances are listed.
fn check(service: &Service) -> Result<(), String> {
    match service.pool.max {
        0 => Err("`/pool/max` is 0, and nobody would ever get a connection".to_owned()),
        _ => Ok(()),
    }
}

fn show(held: &Held<Service>) {
    let version = held.version().map_or("none", |version| version.as_str());
    println!(
        "version={version} max={} from={}",
        held.value().pool.max,
        held.source().as_str()
    );
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut asked_to_end = signal(SignalKind::terminate())?;
    let server = std::env::var("HEADWATER_SERVER").unwrap_or("http://127.0.0.1:7171".to_owned());
    let client = Client::builder(&server)
        .repo("default")
        .instance(&std::env::var("INSTANCE")?) // the same over restarts, and of one process at a time
        .program("pool/1.0")
        .label("region", "eu") // chooses variants
        .cache_dir(std::env::var("CACHE_DIR")?) // survives restarts; may be shared with other programs
        .probation(Duration::from_mins(1)) // longer than the slowest crash that a bad value can cause
        .start()
        .await?;
    let service = client
        .config::<Service>("payments/prod")
        .check(check)
        .open() // the server's value, else the last known good, else an error that says why
        .await?;
    let mut changes = service.changes();
    show(&service.snapshot());

    // Wherever the value is needed: a few nanoseconds, never a wait, always the whole of one version.
    assert!(service.load().pool.max > 0);

    loop {
        tokio::select! {
            Some(change) = changes.next() => show(&change.new),
            _ = asked_to_end.recv() => break,
        }
    }
    // An orderly end: without it, what is on probation is taken to have crashed the program.
    client.stop().await;
    Ok(())
}
