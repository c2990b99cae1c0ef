//! Log lines on standard error: text for a person at a terminal, JSON lines for everything else.

use std::io::IsTerminal;

use tracing::Level;
use tracing_subscriber::fmt;

use crate::agent::settings::LogFormat;

/// Starts logging for this process.
pub(super) fn start(format: LogFormat, level: Level) {
    let terminal = std::io::stderr().is_terminal();
    let json = match format {
        LogFormat::Auto => !terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let lines = fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_target(false);
    // An error means that a subscriber is there already, which is as good.
    if json {
        lines
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .try_init()
            .ok();
    } else {
        lines.with_ansi(terminal).try_init().ok();
    }
}
