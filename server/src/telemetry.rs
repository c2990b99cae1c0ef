//! Logs: text for a person at a terminal, JSON lines for everything else.
//!
//! Invariant: logs go to standard error, so that a command's answer on standard output stays clean.

use std::io::IsTerminal;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Text if standard error is a terminal, else JSON.
    #[default]
    Auto,
    /// One line of text per event.
    Text,
    /// One JSON object per line.
    Json,
}

impl std::str::FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(format!("expected `auto`, `text` or `json`, not `{other}`")),
        }
    }
}

/// The running log, whose filter can be replaced.
#[derive(Debug)]
pub struct Logs(reload::Handle<EnvFilter, Registry>);

impl Logs {
    /// Replaces the filter, which was checked where the settings were read.
    pub fn set_filter(&self, filter: &str) {
        // It fails only where another log was there first, as in tests.
        self.0.reload(filter_of(filter)).ok();
    }
}

/// Starts logging for this process. A second call, as tests make it, changes nothing.
///
/// `filter` is a level (`info`) or a list of directives (`headwater_server=debug,gix=warn`).
pub fn start(format: LogFormat, filter: &str) -> Logs {
    let (filter, handle) = reload::Layer::new(filter_of(filter));
    let terminal = std::io::stderr().is_terminal();
    let json = match format {
        LogFormat::Auto => !terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines = if json {
        lines
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .boxed()
    } else {
        lines.with_target(false).with_ansi(terminal).boxed()
    };
    // An error here means that a subscriber is there already, which is as good.
    tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .try_init()
        .ok();
    Logs(handle)
}

fn filter_of(filter: &str) -> EnvFilter {
    // What TLS finds wrong is told once, as the state of the source; the library repeats it at every try.
    let filter = format!("{filter},rustls_platform_verifier=off");
    EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"))
}
