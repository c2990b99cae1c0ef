//! `headwater explain-code`: what a finding's code means, why it matters and what to do about it.

use clap::Args;
use headwater_validators::catalogue::{self, Example, Explanation};

use super::failure::{Exit, Failure};
use super::findings::kind;
use super::out::{Out, Paint, Tone};
use super::text::{Cell, clean, columns, filled};

/// Widest text; longer lines are hard to read.
const WIDTH: usize = 90;

const EXAMPLES: &str = "\
Examples:
  headwater explain-code schema/type
  headwater explain-code --list";

/// Explain the code of a finding
///
/// Every finding has a code, such as schema/type. This says what it means, why it matters, where it is found and what
/// to do about it, as docs/findings.md does.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ExplainCode {
    /// The code, as it stands in brackets at the beginning of a finding
    #[arg(required_unless_present = "list")]
    code: Option<String>,
    /// Name all codes, each with what it means
    #[arg(long, conflicts_with = "code")]
    list: bool,
}

impl ExplainCode {
    pub(super) fn run(&self, out: &mut Out<'_>) -> Result<Exit, Failure> {
        match &self.code {
            Some(code) => explain(code.trim(), out)?,
            None => list(out)?,
        }
        Ok(Exit::Fine)
    }
}

fn list(out: &mut Out<'_>) -> Result<(), Failure> {
    let rows: Vec<Vec<Cell>> = catalogue::all()
        .map(|explanation| {
            vec![
                (kind(explanation.severity).0, explanation.code.to_owned()),
                (Tone::Normal, explanation.meaning.trim_end_matches('.').to_owned()),
            ]
        })
        .collect();
    for line in columns(&rows, out.paint()) {
        out.line(line)?;
    }
    Ok(())
}

fn explain(code: &str, out: &mut Out<'_>) -> Result<(), Failure> {
    // As it was copied from a line of text.
    let code = code.trim_start_matches('[').trim_end_matches(']');
    let Some(explanation) = catalogue::find(code) else {
        return Err(unknown(code));
    };
    let Explanation {
        severity,
        meaning,
        reason,
        example,
        remedy,
        ..
    } = explanation;
    let paint = out.paint();
    let (tone, word) = kind(*severity);
    out.line(format!("{}[{}]", paint.apply(tone, word), clean(code)))?;
    out.line("")?;
    paragraph(meaning, "", out)?;
    paragraph(reason, "", out)?;
    out.line("")?;
    heading("Example", paint, out)?;
    match example {
        Example::Words(words) => paragraph(words, "  ", out)?,
        Example::Files(_) | Example::Schema(..) => {
            for line in example.to_string().lines() {
                out.line(format!("  {line}"))?;
            }
        }
    }
    out.line("")?;
    heading("What to do", paint, out)?;
    paragraph(remedy, "  ", out)
}

fn heading(text: &str, paint: Paint, out: &mut Out<'_>) -> Result<(), Failure> {
    Ok(out.line(paint.apply(Tone::Strong, text))?)
}

fn paragraph(text: &str, indent: &str, out: &mut Out<'_>) -> Result<(), Failure> {
    for line in filled(text, WIDTH - indent.len()) {
        out.line(format!("{indent}{line}"))?;
    }
    Ok(())
}

fn unknown(code: &str) -> Failure {
    let hint = match catalogue::closest(code) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`headwater explain-code --list` names all codes".to_owned(),
    };
    Failure::Usage {
        message: format!("no finding has this code: `{code}`"),
        hint,
    }
}
