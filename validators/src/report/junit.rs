//! Findings as a `JUnit` report, which most pipelines show: a suite for each file, a case for each finding.
//!
//! Invariant: the text is well-formed XML 1.0 whatever the content. An error fails its case; a warning or a note is a
//! case that passes and says something, since the format has no words between. What is deliberately absent: times,
//! which would make two equal verdicts differ.

use std::fmt::Write as _;

use headwater_wire::Finding;

use crate::printable::printable;

/// Suite and class of what is about no file.
const ALL: &str = "headwater";

/// The report. Without a finding it has one case that passes, since readers take an empty report for a broken one.
pub fn suites(findings: &[Finding]) -> String {
    let mut body = String::new();
    for of_file in findings.chunk_by(|a, b| a.path == b.path) {
        body.push_str(&suite(of_file));
    }
    if findings.is_empty() {
        let _infallible = write!(
            body,
            "  <testsuite name=\"{ALL}\" tests=\"1\" failures=\"0\">\n    <testcase classname=\"{ALL}\" name=\"no \
             findings\"/>\n  </testsuite>\n",
        );
    }
    let tests = findings.len().max(1);
    let failures = failures(findings);
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"headwater check\" tests=\"{tests}\" \
         failures=\"{failures}\">\n{body}</testsuites>\n"
    )
}

fn suite(findings: &[Finding]) -> String {
    let path = findings.first().and_then(Finding::file).unwrap_or(ALL);
    let cases: String = findings.iter().map(case).collect();
    format!(
        "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\">\n{cases}  </testsuite>\n",
        attribute(path),
        findings.len(),
        failures(findings),
    )
}

fn case(finding: &Finding) -> String {
    let code = attribute(&finding.code);
    let (line, column) = (finding.span.line, finding.span.column);
    let (class, at, file) = match finding.file().map(attribute) {
        Some(path) => {
            let file = format!(" file=\"{path}\" line=\"{line}\"");
            (path, format!(" at {line}:{column}"), file)
        }
        None => (ALL.to_owned(), String::new(), String::new()),
    };
    let message = attribute(&finding.message);
    let text = escaped(&details(finding));
    let said = if finding.is_error() {
        format!("<failure type=\"{code}\" message=\"{message}\">{text}</failure>")
    } else {
        format!("<system-out>{text}</system-out>")
    };
    format!(
        "    <testcase classname=\"{class}\" name=\"{code}{at}: {message}\"{file}>\n      {said}\n    \
         </testcase>\n"
    )
}

/// What is said of it, line by line.
fn details(finding: &Finding) -> String {
    let place = |path: &str, line: u32, column: u32| format!("{}:{line}:{column}", printable(path));
    let at = finding
        .file()
        .map(|path| format!("{}: ", place(path, finding.span.line, finding.span.column)));
    let mut lines = vec![format!(
        "{}{}",
        at.unwrap_or_default(),
        printable(&finding.message)
    )];
    lines.extend(
        finding
            .pointer
            .iter()
            .map(|pointer| format!("at {}", printable(pointer))),
    );
    lines.extend(
        finding
            .config
            .iter()
            .map(|config| format!("in config {}", printable(config.as_str()))),
    );
    for related in &finding.related {
        let at = place(&related.path, related.span.line, related.span.column);
        lines.push(format!("see {at}: {}", printable(&related.note)));
    }
    lines.extend(
        finding
            .hint
            .iter()
            .map(|hint| format!("help: {}", printable(hint))),
    );
    lines.join("\n")
}

fn failures(findings: &[Finding]) -> usize {
    findings.iter().filter(|finding| finding.is_error()).count()
}

/// A text of one line, for a place between quotes.
fn attribute(text: &str) -> String {
    escaped(&printable(text))
}

/// Lines of printable text for a place between tags or quotes. What is a character and not one of XML's is replaced.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn a_file_is_a_suite_and_only_errors_fail() {
        insta::assert_snapshot!(suites(&samples::findings()), @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites name="headwater check" tests="3" failures="1">
          <testsuite name="headwater.toml" tests="1" failures="0">
            <testcase classname="headwater.toml" name="limit/findings at 1:1: findings that are not shown: `7`" file="headwater.toml" line="1">
              <system-out>headwater.toml:1:1: findings that are not shown: `7`</system-out>
            </testcase>
          </testsuite>
          <testsuite name="services/web.toml" tests="2" failures="1">
            <testcase classname="services/web.toml" name="schema/type at 2:8: expected an integer, found a string: `80`" file="services/web.toml" line="2">
              <failure type="schema/type" message="expected an integer, found a string: `80`">services/web.toml:2:8: expected an integer, found a string: `80`
        at /port
        in config web
        see services/base.toml:1:8: overrides this value
        help: remove the quotes</failure>
            </testcase>
            <testcase classname="services/web.toml" name="merge/type-change at 4:1: 100 % of it" file="services/web.toml" line="4">
              <system-out>services/web.toml:4:1: 100 % of it
        at /pool</system-out>
            </testcase>
          </testsuite>
        </testsuites>
        "#);
    }

    #[test]
    fn no_content_leaves_its_place() {
        let report = suites(&[samples::hostile()]);
        insta::assert_snapshot!(report, @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites name="headwater check" tests="1" failures="1">
          <testsuite name="a b/ü,:%\u{1b}\u{202e}\n::error::.toml" tests="1" failures="1">
            <testcase classname="a b/ü,:%\u{1b}\u{202e}\n::error::.toml" name="rule/x]]&gt; at 1:1: a\r\n::error::b ]]&gt; &lt;c&gt; &amp; &quot;d&quot; \u{1b}[31m \u{202e}e \u{0} 100%, f: g" file="a b/ü,:%\u{1b}\u{202e}\n::error::.toml" line="1">
              <failure type="rule/x]]&gt;" message="a\r\n::error::b ]]&gt; &lt;c&gt; &amp; &quot;d&quot; \u{1b}[31m \u{202e}e \u{0} 100%, f: g">a b/ü,:%\u{1b}\u{202e}\n::error::.toml:1:1: a\r\n::error::b ]]&gt; &lt;c&gt; &amp; &quot;d&quot; \u{1b}[31m \u{202e}e \u{0} 100%, f: g
        at a\r\n::error::b ]]&gt; &lt;c&gt; &amp; &quot;d&quot; \u{1b}[31m \u{202e}e \u{0} 100%, f: g
        see a b/ü,:%\u{1b}\u{202e}\n::error::.toml:2:1: a\r\n::error::b ]]&gt; &lt;c&gt; &amp; &quot;d&quot; \u{1b}[31m \u{202e}e \u{0} 100%, f: g
        help: a\r\n::error::b ]]&gt; &lt;c&gt; &amp; &quot;d&quot; \u{1b}[31m \u{202e}e \u{0} 100%, f: g</failure>
            </testcase>
          </testsuite>
        </testsuites>
        "#);
        assert!(!report.contains(|c: char| c.is_control() && c != '\n'));
    }

    #[test]
    fn without_a_finding_one_case_passes() {
        insta::assert_snapshot!(suites(&[]), @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites name="headwater check" tests="1" failures="0">
          <testsuite name="headwater" tests="1" failures="0">
            <testcase classname="headwater" name="no findings"/>
          </testsuite>
        </testsuites>
        "#);
    }

    #[test]
    fn what_is_about_no_file_names_none() {
        insta::assert_snapshot!(suites(&[samples::of_all()]), @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites name="headwater check" tests="1" failures="1">
          <testsuite name="headwater" tests="1" failures="1">
            <testcase classname="headwater" name="limit/deadline: the verdict took longer than 30 s">
              <failure type="limit/deadline" message="the verdict took longer than 30 s">the verdict took longer than 30 s
        help: look closely</failure>
            </testcase>
          </testsuite>
        </testsuites>
        "#);
    }
}
