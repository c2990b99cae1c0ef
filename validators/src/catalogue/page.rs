//! The page of codes in the documentation, and one explanation as text: both made from the table.

use std::fmt::{self, Display};

use headwater_wire::Severity;

use super::{Example, Explanation, FAMILIES, Family};
use crate::manifest;
use crate::printable::printable;

/// Where the page stands in the sources.
pub const PAGE_PATH: &str = "docs/findings.md";

const INTRODUCTION: &str = "\
# Findings

What the validators say of a commit, code by code. `headwater explain-code CODE` prints the same, and `headwater \
explain-code --list` names them all. A code never changes its meaning; new ones may come. The severity is the heaviest \
one that a code is reported with. How findings reach a pull request is told in [authors.md](authors.md).

This page is written from the table in `validators/src/catalogue`; a test holds the two together.
";

/// The whole page, as Markdown.
pub fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    for family in FAMILIES {
        page.push_str(&heading(family));
        for explanation in family.codes {
            page.push_str(&section(explanation));
        }
    }
    page
}

fn heading(family: &Family) -> String {
    format!("\n## {}/…\n\n{}\n", family.name, family.about)
}

fn section(explanation: &Explanation) -> String {
    let Explanation {
        code,
        severity,
        meaning,
        reason,
        example,
        remedy,
    } = explanation;
    let severity = word(*severity);
    let example = match example {
        Example::Words(words) => format!("For example: {words}"),
        Example::Files(_) | Example::Schema(..) => format!("```text\n{example}```"),
    };
    format!("\n### `{code}`\n\n**{severity}**: {meaning} {reason}\n\n{example}\n\n**What to do:** {remedy}\n")
}

/// The word for a severity.
pub(crate) fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info | Severity::Other => "info",
    }
}

/// The example: each file under its path, indented, or the words. A manifest that only brings a schema and a document
/// together is left out.
impl Display for Example {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut files = self.files();
        match self {
            Self::Words(words) => f.write_str(words)?,
            Self::Schema(..) => files.retain(|(path, _)| *path != manifest::PATH),
            Self::Files(_) => {}
        }
        for (path, text) in files {
            writeln!(f, "{path}")?;
            for line in text.lines() {
                let line = printable(line);
                writeln!(f, "{}", format!("    {line}").trim_end())?;
            }
        }
        Ok(())
    }
}
