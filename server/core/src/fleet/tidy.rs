//! What of a report is kept.
//!
//! Invariant: every text kept is one line of bounded length that cannot steer a terminal or a log.

use headwater_wire::InstanceReport;

/// Longest message of a failure, in bytes; what is longer is cut.
pub const MESSAGE_BYTES_MAX: usize = 1_024;
/// What the messages of one report take together, in bytes; where many configs failed, each is cut shorter.
pub const MESSAGES_BYTES_MAX: usize = 16 << 10;
/// Longest name of a reporting program, in bytes; what is longer is cut.
pub const CLIENT_BYTES_MAX: usize = 128;

/// The report as it is kept: texts of bounded length that are one line each.
pub(super) fn tidy(mut report: InstanceReport) -> InstanceReport {
    report.client = line(&report.client, CLIENT_BYTES_MAX);
    let configs = report.configs.values_mut();
    let errors: Vec<_> = configs.filter_map(|config| config.error.as_mut()).collect();
    let bytes_max = MESSAGE_BYTES_MAX.min(MESSAGES_BYTES_MAX / errors.len().max(1));
    for error in errors {
        error.message = line(&error.message, bytes_max);
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
