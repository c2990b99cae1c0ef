//! Logs: text for a person at a terminal, JSON lines for everything else.
//!
//! Invariant: logs go to standard error, so that a command's answer on standard output stays clean. Whatever is told in
//! them, one event is one line, and nothing in it moves a cursor, begins another line, turns the direction of writing or
//! is not seen: that is done here, to whole lines, so that nobody who logs can forget it.

use std::io::{self, IsTerminal, Write};

use headwater_validators::{is_unprintable, printable};
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
    let terminal = io::stderr().is_terminal();
    let json = match format {
        LogFormat::Auto => !terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let form = match (json, terminal) {
        (true, _) => Form::Json,
        (false, true) => Form::Coloured,
        (false, false) => Form::Text,
    };
    let lines = fmt::layer().with_writer(move || Inert {
        form,
        out: io::stderr(),
    });
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

/// What lines are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// JSON, whose strings have escapes of their own.
    Json,
    /// Text.
    Text,
    /// Text with our own colours, which begin with ESC. What comes from outside has none: the formatter escapes it.
    Coloured,
}

/// Writes lines with escapes in the place of everything that is not seen or does something. It is given one event at a
/// time, and hands it on in one piece.
struct Inert<W> {
    form: Form,
    out: W,
}

impl<W: Write> Write for Inert<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let line = inert(text.strip_suffix('\n').unwrap_or(&text), self.form);
        self.out.write_all(format!("{line}\n").as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn inert(line: &str, form: Form) -> String {
    use std::fmt::Write as _;

    match form {
        Form::Text => printable(line),
        Form::Coloured => line
            .split('\u{1b}')
            .map(printable)
            .collect::<Vec<_>>()
            .join("\u{1b}"),
        Form::Json => {
            let mut units = [0; 2];
            let mut escaped = String::with_capacity(line.len());
            for c in line.chars() {
                if is_unprintable(c) {
                    for unit in c.encode_utf16(&mut units) {
                        // Writing into a string cannot fail.
                        write!(escaped, "\\u{unit:04x}").ok();
                    }
                } else {
                    escaped.push(c);
                }
            }
            escaped
        }
    }
}

fn filter_of(filter: &str) -> EnvFilter {
    // What TLS finds wrong is told once, as the state of the source; the library repeats it at every try.
    let filter = format!("{filter},rustls_platform_verifier=off");
    EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "a\nb\u{1b}[31m\u{9b}\u{202e}\u{feff}c";

    fn written(form: Form, event: &str) -> String {
        let mut out = Vec::new();
        Inert { form, out: &mut out }.write_all(event.as_bytes()).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_event_is_one_line_whatever_is_told_in_it() {
        let text = written(Form::Text, &format!("{HOSTILE}\n"));
        assert_eq!(text, "a\\nb\\u{1b}[31m\\u{9b}\\u{202e}\\u{feff}c\n");
        let coloured = written(Form::Coloured, "\u{1b}[31mWARN\u{1b}[0m a\nb\u{202e}\n");
        assert_eq!(coloured, "\u{1b}[31mWARN\u{1b}[0m a\\nb\\u{202e}\n");
    }

    #[test]
    fn an_event_in_json_says_the_same_and_stays_json() {
        let event = serde_json::json!({ "message": HOSTILE });
        let line = written(Form::Json, &format!("{event}\n"));
        assert!(!line.trim_end().contains(is_unprintable), "{line:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&line).unwrap(), event);
    }
}
