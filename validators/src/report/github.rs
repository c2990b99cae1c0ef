//! Findings as workflow commands, which GitHub and Gitea Actions show at the lines of a pull request.
//!
//! Invariant: one line for each finding, and no content can begin a line, and so a command, of its own. What is
//! deliberately absent: finding out where the program runs; who wants these lines asks for them.

use headwater_wire::{Finding, Severity, Span};

use crate::printable::printable;

/// One command for each finding, in their order. A runner shows no more than ten of each severity for a step.
pub fn commands(findings: &[Finding]) -> String {
    findings.iter().map(command).collect()
}

fn command(finding: &Finding) -> String {
    let name = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info | Severity::Other => "notice",
    };
    let mut properties = finding
        .file()
        .map_or_else(Vec::new, |path| place(path, finding.span));
    properties.push(("title", finding.code.clone()));
    let properties: Vec<String> = properties
        .iter()
        .map(|(key, value)| format!("{key}={}", property(value)))
        .collect();
    format!("::{name} {}::{}\n", properties.join(","), message(finding))
}

fn place(path: &str, span: Span) -> Vec<(&'static str, String)> {
    let mut properties = vec![
        ("file", path.to_owned()),
        ("line", span.line.to_string()),
        ("endLine", span.end_line.to_string()),
    ];
    // Columns over several lines are refused, and an empty stretch would be shown as none.
    if span.line == span.end_line {
        let last = span.end_column.max(span.column + 1);
        properties.push(("col", span.column.to_string()));
        properties.push(("endColumn", last.to_string()));
    }
    properties
}

/// What is wrong, in which config, and what to do, on lines of their own behind the escapes.
fn message(finding: &Finding) -> String {
    let mut lines = vec![printable(&finding.message)];
    lines.extend(
        finding
            .config
            .iter()
            .map(|config| format!("in config `{}`", printable(config.as_str()))),
    );
    lines.extend(
        finding
            .hint
            .iter()
            .map(|hint| format!("help: {}", printable(hint))),
    );
    data(&lines.join("\n"))
}

/// Escapes as the runner undoes them, in the order that lets it.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(&printable(text)).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn a_finding_is_one_line_with_its_place() {
        insta::assert_snapshot!(commands(&samples::findings()), @"
        ::notice file=headwater.toml,line=1,endLine=1,col=1,endColumn=2,title=limit/findings::findings that are not shown: `7`
        ::error file=services/web.toml,line=2,endLine=2,col=8,endColumn=12,title=schema/type::expected an integer, found a string: `80`%0Ain config `web`%0Ahelp: remove the quotes
        ::warning file=services/web.toml,line=4,endLine=9,title=merge/type-change::100 %25 of it
        ");
    }

    #[test]
    fn no_content_begins_a_line_of_its_own() {
        let told = commands(&[samples::hostile()]);
        insta::assert_snapshot!(told, @r#"::error file=a b/ü%2C%3A%25\u{1b}\u{202e}\n%3A%3Aerror%3A%3A.toml,line=1,endLine=1,col=1,endColumn=2,title=rule/x]]>::a\r\n::error::b ]]> <c> & "d" \u{1b}[31m \u{202e}e \u{0} 100%25, f: g%0Ahelp: a\r\n::error::b ]]> <c> & "d" \u{1b}[31m \u{202e}e \u{0} 100%25, f: g"#);
        assert_eq!(told.lines().count(), 1);
    }

    #[test]
    fn nothing_found_says_nothing() {
        assert_eq!(commands(&[]), "");
    }

    #[test]
    fn what_is_about_no_file_names_none() {
        insta::assert_snapshot!(commands(&[samples::of_all()]), @"::error title=limit/deadline::the verdict took longer than 30 s%0Ahelp: look closely");
    }
}
