//! Check runs of GitHub: how a commit stands, with what was found beside the lines of its files.
//!
//! Invariant: only an App may write them, so anybody else's statuses are untouched. An App that lacks the permission
//! tells statuses instead, which is said once. A run that is open is completed; one that was completed is not changed
//! any more, since findings can only be added to a run: a new verdict is a new run, and GitHub shows the newest.

use std::sync::atomic::{AtomicBool, Ordering};

use headwater_wire::{CommitId, Finding, Severity};
use http::Method;
use serde_json::{Value, json};
use tracing::warn;

use super::api::{ForgeApi, ForgeError};
use super::ask::{ApiKind, Ask, Status, StatusState, within};
use super::credential::Credential;
use crate::cache::Cache;

/// Findings that one request takes.
const ANNOTATIONS_MAX: usize = 50;
/// Longest message of a finding that is sent, in characters; GitHub takes 64 KiB.
const MESSAGE_CHARS_MAX: usize = 4_000;
/// Runs that are remembered while they are open.
const OPEN_MAX: usize = 512;

/// The check runs of one project.
#[derive(Debug)]
pub(super) struct CheckRuns {
    are_taken: AtomicBool,
    /// Runs that are not completed, by commit and name.
    open: Cache<(CommitId, String), Option<u64>>,
}

impl CheckRuns {
    /// None but an App's.
    pub(super) fn for_credential(credential: &Credential) -> Self {
        Self {
            are_taken: AtomicBool::new(matches!(credential, Credential::App { .. })),
            open: Cache::new(OPEN_MAX),
        }
    }

    /// Whether the forge takes them from us.
    pub(super) fn are_taken(&self) -> bool {
        self.are_taken.load(Ordering::Relaxed)
    }

    /// Whether an error says that we may not write any. From then on none are tried.
    pub(super) fn are_refused_by(&self, error: &ForgeError) -> bool {
        let is_refused = matches!(
            error,
            ForgeError::Refused {
                status: 403 | 404,
                ..
            }
        );
        if is_refused && self.are_taken.swap(false, Ordering::Relaxed) {
            let hint =
                "give the App the permission `Checks: write`; until the next start, commit statuses are set";
            warn!(hint, "check runs cannot be written: {error}");
        }
        is_refused
    }

    /// Opens or completes the run of a commit.
    pub(super) async fn tell(
        &self,
        api: &ForgeApi,
        project: &str,
        status: &Status,
    ) -> Result<(), ForgeError> {
        let key = (status.commit.clone(), status.context.clone());
        let open = self.open.get(&key).flatten();
        // Whatever comes of it: a run of which only a part was told is not told the rest of later.
        self.open.put(key.clone(), None);
        if status.state == StatusState::Pending {
            let run = match open {
                Some(run) => run,
                None => begin(api, project, status, json!({"status": "in_progress"})).await?,
            };
            self.open.put(key, Some(run));
            return Ok(());
        }
        let parts: Vec<&[Finding]> = status.findings.chunks(ANNOTATIONS_MAX).collect();
        let (last, before) = parts
            .split_last()
            .map_or((&[][..], &[][..]), |(last, before)| (*last, before));
        let mut end = output(status, last);
        merge(
            &mut end,
            json!({"status": "completed", "conclusion": conclusion(status.state)}),
        );
        let run = match open {
            None if before.is_empty() => return begin(api, project, status, end).await.map(drop),
            None => begin(api, project, status, json!({"status": "in_progress"})).await?,
            Some(run) => run,
        };
        for part in before {
            api.send(&update(project, run, output(status, part))).await?;
        }
        api.send(&update(project, run, end)).await.map(drop)
    }
}

/// A new run.
async fn begin(api: &ForgeApi, project: &str, status: &Status, mut body: Value) -> Result<u64, ForgeError> {
    merge(
        &mut body,
        json!({"name": status.context, "head_sha": status.commit.as_str()}),
    );
    let ask = Ask::post(within(ApiKind::GitHub, project).chain(["check-runs"]), body);
    let answer = api.send(&ask).await?;
    answer
        .get("id")
        .and_then(Value::as_u64)
        .ok_or(ForgeError::Unreadable)
}

fn update(project: &str, run: u64, body: Value) -> Ask {
    let run = run.to_string();
    Ask {
        method: Method::PATCH,
        ..Ask::post(
            within(ApiKind::GitHub, project).chain(["check-runs", run.as_str()]),
            body,
        )
    }
}

/// What a page of the run shows, with some of the findings.
fn output(status: &Status, findings: &[Finding]) -> Value {
    let annotations: Vec<Value> = findings.iter().filter_map(annotation).collect();
    let mut body = json!({"output": {
        "title": status.description,
        "summary": summary(status),
        "annotations": annotations,
    }});
    if let Some(url) = &status.target_url {
        merge(&mut body, json!({"details_url": url}));
    }
    body
}

fn summary(status: &Status) -> String {
    let count = status.findings.len();
    let mut text = match (&status.target_url, count) {
        (_, 0) => "Nothing was found.".to_owned(),
        (None, _) => format!("Found: {count}, at places of the commit that was judged."),
        (Some(url), _) => {
            format!("Found: {count}, at places of the commit that was judged. [Read all]({url})")
        }
    };
    // An annotation needs a file, and what an author wrote must not be read as Markdown.
    for finding in status.findings.iter().filter(|finding| finding.file().is_none()) {
        let said = format!("\n{}: {}", finding.code, message(finding));
        text.push('\n');
        text.push_str(&said.replace('\n', "\n    "));
    }
    text
}

fn conclusion(state: StatusState) -> &'static str {
    match state {
        StatusState::Success => "success",
        StatusState::Failure => "failure",
        StatusState::Pending => "neutral",
    }
}

/// What is wrong, and what to do about it.
fn message(finding: &Finding) -> String {
    let hint = finding.hint.as_ref();
    let hint = hint.map_or_else(String::new, |hint| format!("\nhint: {hint}"));
    format!("{}{hint}", finding.message)
        .chars()
        .take(MESSAGE_CHARS_MAX)
        .collect()
}

/// The finding beside its line, if it is about a file.
fn annotation(finding: &Finding) -> Option<Value> {
    let path = finding.file()?;
    let level = match finding.severity {
        Severity::Error => "failure",
        Severity::Warning => "warning",
        Severity::Info | Severity::Other => "notice",
    };
    let span = finding.span;
    let mut body = json!({
        "path": path,
        "start_line": span.line,
        "end_line": span.end_line,
        "annotation_level": level,
        "title": finding.code,
        "message": message(finding),
    });
    // GitHub takes columns within one line only, and ours end before the last.
    if span.line == span.end_line && span.end_column > span.column {
        merge(
            &mut body,
            json!({"start_column": span.column, "end_column": span.end_column - 1}),
        );
    }
    Some(body)
}

/// Adds members to an object.
fn merge(to: &mut Value, from: Value) {
    if let (Some(to), Value::Object(from)) = (to.as_object_mut(), from) {
        to.extend(from);
    }
}

#[cfg(test)]
mod tests {
    use headwater_wire::Span;

    use super::*;

    #[test]
    fn a_finding_stands_beside_its_line_and_its_columns_only_within_one() {
        let span = |end_line, end_column| Span {
            line: 3,
            column: 5,
            end_line,
            end_column,
        };
        let finding = |span| {
            Finding::new("schema/type", Severity::Error, ("a.toml", span), "no number").hint("say one")
        };
        insta::assert_snapshot!(annotation(&finding(span(3, 9))).unwrap(), @r#"{"annotation_level":"failure","end_column":8,"end_line":3,"message":"no number\nhint: say one","path":"a.toml","start_column":5,"start_line":3,"title":"schema/type"}"#);
        let lines = annotation(&finding(span(4, 2))).unwrap();
        assert_eq!((&lines["end_line"], lines.get("start_column")), (&json!(4), None));
    }

    #[test]
    fn a_finding_about_no_file_stands_in_the_summary_as_it_was_said() {
        let finding = Finding::of_all("limit/deadline", Severity::Error, "took [long](x)").hint("look");
        assert_eq!(annotation(&finding), None);
        let status = Status {
            commit: "a".repeat(40).parse().unwrap(),
            context: "headwater".to_owned(),
            state: StatusState::Failure,
            description: String::new(),
            target_url: None,
            findings: vec![finding],
        };
        insta::assert_snapshot!(summary(&status), @"
        Found: 1, at places of the commit that was judged.

            limit/deadline: took [long](x)
            hint: look
        ");
    }
}
