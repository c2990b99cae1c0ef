//! How a verdict is shown: as text for people, or in the words of forges, pipelines and editors.

use clap::ValueEnum;
use headwater_core::count;
use headwater_validators::report;
use headwater_wire::{CheckView, Finding, VerdictState};

use super::Checked;
use crate::cli::failure::Failure;
use crate::cli::out::{Out, Paint, Tone};

/// How a verdict is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people, with the lines of the sources.
    Text,
    /// As the API answers, for programs.
    Json,
    /// SARIF 2.1.0, for forges and editors.
    Sarif,
    /// Workflow commands of GitHub and Gitea Actions.
    Github,
    /// `JUnit`, for pipelines.
    Junit,
}

/// Prints a whole verdict.
pub(super) fn verdict(checked: &Checked, format: Format, out: &mut Out<'_>) -> Result<(), Failure> {
    let findings = &checked.view.findings;
    match format {
        Format::Text => {
            self::findings(findings, checked, out)?;
            summary(checked, out)?;
        }
        Format::Json => out.json(&checked.view)?,
        Format::Sarif => out.raw(report::sarif::log(findings).as_bytes())?,
        Format::Github => out.raw(report::github::commands(findings).as_bytes())?,
        Format::Junit => out.raw(report::junit::suites(findings).as_bytes())?,
    }
    Ok(())
}

/// Some of the findings with their lines, an empty line behind each, and where their codes are explained. Their lines hide
/// what any finding of the verdict knows to be secret.
pub(super) fn findings<'a>(
    findings: impl IntoIterator<Item = &'a Finding>,
    checked: &Checked,
    out: &mut Out<'_>,
) -> Result<(), Failure> {
    let style = match out.paint() {
        Paint::Plain => report::Style::Plain,
        Paint::Ansi => report::Style::Styled,
    };
    let sources = report::Sources::of(&checked.tree).hiding(&checked.view.findings);
    let mut first = None;
    for finding in findings {
        out.line(report::one(finding, style, &sources))?;
        out.line("")?;
        first = first.or(Some(&finding.code));
    }
    if let Some(code) = first {
        let told = format!("what a code means: headwater explain-code {code}");
        out.line(out.paint().apply(Tone::Dim, &told))?;
    }
    Ok(())
}

/// What was found in how many configs, and what would become of the commit.
pub(super) fn summary(checked: &Checked, out: &mut Out<'_>) -> Result<(), Failure> {
    let CheckView {
        verdict, findings, ..
    } = &checked.view;
    let configs = checked
        .configs
        .map(|configs| format!(" in {}", count(configs, "config")))
        .unwrap_or_default();
    let (tone, fate) = match verdict {
        VerdictState::Admitted if findings.iter().any(Finding::is_error) => (
            Tone::Warning,
            "the commit would be admitted, without what cannot be read",
        ),
        VerdictState::Admitted => (Tone::Good, "the commit would be admitted"),
        VerdictState::Rejected | VerdictState::Unjudged | VerdictState::Other => {
            (Tone::Bad, "the commit would be rejected")
        }
    };
    Ok(out.line(format!(
        "{}{configs}: {}",
        report::summary(findings),
        out.paint().apply(tone, fate)
    ))?)
}
