//! Findings as a compiler prints them, for a reader without the sources: `path:line:column: error[code]: message`.

use std::io;

use headwater_wire::{Finding, Severity};

use super::out::{Out, Tone};
use super::text::clean;

/// Prints findings in their order, each line behind `indent`.
pub(crate) fn print(findings: &[Finding], indent: &str, out: &mut Out<'_>) -> io::Result<()> {
    for finding in findings {
        print_one(finding, indent, out)?;
    }
    Ok(())
}

/// The colour and the word of a severity.
pub(crate) fn kind(severity: Severity) -> (Tone, &'static str) {
    match severity {
        Severity::Error => (Tone::Bad, "error"),
        Severity::Warning => (Tone::Warning, "warning"),
        Severity::Info => (Tone::Hint, "info"),
        Severity::Other => (Tone::Normal, "finding"),
    }
}

fn print_one(finding: &Finding, indent: &str, out: &mut Out<'_>) -> io::Result<()> {
    let paint = out.paint();
    let (tone, word) = kind(finding.severity);
    let place = finding.file().map(|path| {
        let place = format!("{}:{}:{}:", clean(path), finding.span.line, finding.span.column);
        format!("{} ", paint.apply(Tone::Strong, &place))
    });
    let kind = format!("{word}[{}]", clean(&finding.code));
    let message = clean(&finding.message);
    out.line(format!(
        "{indent}{}{}: {message}",
        place.unwrap_or_default(),
        paint.apply(tone, &kind)
    ))?;
    let config = finding
        .config
        .as_ref()
        .map(|config| format!(" of `{}`", clean(config.as_str())))
        .unwrap_or_default();
    match finding.pointer.as_deref().filter(|pointer| !pointer.is_empty()) {
        Some(pointer) => out.line(format!("{indent}  at `{}`{config}", clean(pointer)))?,
        None if !config.is_empty() => out.line(format!("{indent}  in the document{config}"))?,
        None => {}
    }
    for related in &finding.related {
        let place = format!(
            "{}:{}:{}",
            clean(&related.path),
            related.span.line,
            related.span.column
        );
        out.line(format!("{indent}  see {place}: {}", clean(&related.note)))?;
    }
    match &finding.hint {
        Some(hint) => out.line(format!(
            "{indent}  {} {}",
            paint.apply(Tone::Hint, "hint:"),
            clean(hint)
        )),
        None => Ok(()),
    }
}
