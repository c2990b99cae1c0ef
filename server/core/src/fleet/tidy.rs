//! What of a report is kept, and what it weighs.
//!
//! Invariant: every text kept is one line of bounded length that cannot steer a terminal or a log.

use headwater_wire::{ConfigReport, InstanceId, InstanceReport};

/// Longest message of a failure, in bytes; what is longer is cut.
pub const MESSAGE_BYTES_MAX: usize = 1_024;
/// Longest name of a reporting program, in bytes; what is longer is cut.
pub const CLIENT_BYTES_MAX: usize = 128;

/// What an entry takes beside its texts: the maps' nodes, ids and numbers.
const ENTRY_BYTES: usize = 256;

/// The report as it is kept: texts of bounded length that are one line each.
pub(super) fn tidy(mut report: InstanceReport) -> InstanceReport {
    report.client = line(&report.client, CLIENT_BYTES_MAX);
    for config in report.configs.values_mut() {
        if let Some(error) = &mut config.error {
            error.message = line(&error.message, MESSAGE_BYTES_MAX);
        }
    }
    report
}

/// The text without control characters and marks that turn the direction of writing, cut at `bytes_max`.
fn line(text: &str, bytes_max: usize) -> String {
    const CUT: char = '…';
    let mut kept = String::new();
    for c in text.chars() {
        let c = match c {
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => continue,
            // Two lines are two words, not one.
            c if c.is_control() => ' ',
            c => c,
        };
        if kept.len() + c.len_utf8() + CUT.len_utf8() > bytes_max {
            kept.push(CUT);
            break;
        }
        kept.push(c);
    }
    kept
}

/// About what a report takes in memory, in bytes.
pub(super) fn weight(instance: &InstanceId, report: &InstanceReport) -> usize {
    let labels: usize = report
        .labels
        .iter()
        .map(|(key, value)| ENTRY_BYTES / 2 + key.len() + value.len())
        .sum();
    let configs: usize = report
        .configs
        .iter()
        .map(|(name, config)| ENTRY_BYTES + name.as_str().len() + config_weight(config))
        .sum();
    ENTRY_BYTES + instance.as_str().len() + report.client.len() + labels + configs
}

fn config_weight(config: &ConfigReport) -> usize {
    let running = config.running.as_ref().map_or(0, |running| {
        running.version.as_str().len() + running.digest.as_str().len()
    });
    let prepared = config
        .prepared
        .as_ref()
        .map_or(0, |version| version.as_str().len());
    let error = config.error.as_ref().map_or(0, |error| error.message.len());
    running + prepared + error
}
