//! `--once`: write what there is, and exit.
//!
//! Invariant: exit code 0 means that every config has a good file, of the newest version or of the last known good one;
//! 3 that nothing is on disk and trying again may help. What is deliberately absent: a probation; whoever is
//! started after an init container has no agent to ask.

use std::time::Duration;

use futures_util::future::join_all;
use headwater_wire::{ConfigName, ReportState, ValueSource};
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};
use tracing::{error, info, warn};

use super::keeper::Keeper;
use super::{FAILED, UNREACHABLE};
use crate::agent::switch::chain;
use crate::{Handle, OpenError};

/// Pause before a server that cannot be reached is tried again.
const PAUSE: Duration = Duration::from_secs(1);
/// Longest wait until what was written is also noted as good on disk.
const NOTE_DEADLINE: Duration = Duration::from_secs(5);

pub(super) async fn run(keeper: &Keeper, patience: Duration) -> u8 {
    let until = Instant::now() + patience;
    let opening = keeper
        .settings
        .configs
        .iter()
        .map(|config| open(keeper, config, until));
    let opened = join_all(opening).await;
    let mut code = 0;
    let mut kept = Vec::new();
    for (config, result) in keeper.settings.configs.iter().zip(opened) {
        match result {
            Ok(handle) if handle.load().source() == ValueSource::Server => {}
            Ok(_) => {
                tell(config, keeper);
                kept.push(config);
            }
            Err(cause) => {
                let unreachable = matches!(cause, OpenError::Unreachable { .. });
                // A refusal is worse: trying again does not help.
                code = if unreachable && code != FAILED {
                    UNREACHABLE
                } else {
                    FAILED
                };
                error!("{}; {}", chain(&cause), cause.hint());
            }
        }
    }
    let noted = keeper.client.wait_until(|status| {
        status
            .configs
            .values()
            .all(|report| report.state != ReportState::Applied)
    });
    // Without the note the next start without a server tries it as unconfirmed.
    timeout(NOTE_DEADLINE, noted).await.ok();
    say_end(code, &kept);
    code
}

/// Opens a config; a server that is still starting is waited for.
async fn open(keeper: &Keeper, config: &ConfigName, until: Instant) -> Result<Handle<Value>, OpenError> {
    loop {
        match keeper.open(config, None).await {
            Err(OpenError::Unreachable { .. }) if Instant::now() + PAUSE < until => sleep(PAUSE).await,
            result => return result,
        }
    }
}

/// The last line: what the exit code means.
fn say_end(code: u8, kept: &[&ConfigName]) {
    let text = ending(code, kept);
    if code == 0 {
        info!("{text}");
    } else {
        error!("{text}");
    }
}

fn ending(code: u8, kept: &[&ConfigName]) -> String {
    let kept: Vec<String> = kept.iter().map(|config| format!("`{config}`")).collect();
    match code {
        0 if kept.is_empty() => "all files are written".to_owned(),
        0 => format!(
            "all files are written, but {} as last known good and not as newest",
            kept.join(", ")
        ),
        UNREACHABLE => {
            "not all files are written: the server was not reached, and nothing is on disk".to_owned()
        }
        _ => "not all files are written".to_owned(),
    }
}

/// Why the new file is not from the server.
fn tell(config: &ConfigName, keeper: &Keeper) {
    let standing = keeper.client.status();
    let report = standing.configs.get(config);
    let why = report
        .and_then(|report| report.error.as_ref())
        .map(|error| error.message.clone())
        .or_else(|| standing.error.clone())
        .unwrap_or_else(|| "the server has not answered in time".to_owned());
    warn!("{config} is what was good before: {why}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_says_what_the_exit_code_means() {
        let configs: [ConfigName; 2] = ["a".parse().unwrap(), "b/c".parse().unwrap()];
        let kept: Vec<&ConfigName> = configs.iter().collect();
        let told = [
            ending(0, &[]),
            ending(0, &kept),
            ending(FAILED, &kept),
            ending(UNREACHABLE, &[]),
        ];
        insta::assert_snapshot!(told.join("\n"), @"
        all files are written
        all files are written, but `a`, `b/c` as last known good and not as newest
        not all files are written
        not all files are written: the server was not reached, and nothing is on disk
        ");
    }
}
