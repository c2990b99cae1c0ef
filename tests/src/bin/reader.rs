//! A program that lives on the service: `reader SERVER CONFIG INSTANCE STREAM_IDLE_SECONDS`.
//!
//! It prints `value N VERSION` for each value it runs and `transport NAME` for each way events come to it (`none` while
//! there is none), in the order in which they happened. It runs until it is killed.

use std::process::ExitCode;
use std::time::Duration;

use futures_util::StreamExt;
use headwater_client::{Client, Deadlines, Held, Transport};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
struct Numbered {
    n: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [server, config, instance, stream_idle] = args.as_slice() else {
        return ExitCode::from(2);
    };
    let Ok(stream_idle) = stream_idle.parse().map(Duration::from_secs) else {
        return ExitCode::from(2);
    };
    match run(server, config, instance, stream_idle).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(
    server: &str,
    config: &str,
    instance: &str,
    stream_idle: Duration,
) -> Result<(), Box<dyn std::error::Error>> {
    let deadlines = Deadlines {
        stream_idle,
        ..Deadlines::default()
    };
    let client = Client::builder(server)
        .instance(instance)
        .deadlines(deadlines)
        .patience(Duration::from_mins(1))
        .start()
        .await?;
    let handle = client.config::<Numbered>(config).open().await?;
    let mut changes = handle.changes();
    say_value(&handle.snapshot());
    let mut transport = None;
    loop {
        // Cancel-safe: both arms only look.
        tokio::select! {
            biased;
            change = changes.next() => match change {
                Some(change) => say_value(&change.new),
                None => return Ok(()),
            },
            status = client.wait_until(|status| status.transport != transport) => {
                let Some(status) = status else { return Ok(()) };
                transport = status.transport;
                say(&format!("transport {}", transport.map_or("none", Transport::as_str)));
            }
        }
    }
}

fn say_value(held: &Held<Numbered>) {
    let version = held.version().map_or_else(String::new, ToString::to_string);
    say(&format!("value {} {version}", held.value().n));
}

#[expect(clippy::print_stdout, reason = "the test that started this reads it")]
fn say(line: &str) {
    println!("{line}");
}
