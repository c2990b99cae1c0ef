//! What a JSON body is, and what it is not, in the words of JSON.
//!
//! Invariant: a call that orders something reads no body that does not say that it is JSON. No name of a type of ours is
//! told; whoever sends a body knows objects, lists, texts and numbers.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use headwater_wire::{Problem, ProblemCode};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::problem::{Answer, Result, bad_request};

/// A body that says that it is JSON. A browser lets the page of any site send what says that it is a form or a text, or
/// says nothing, without asking first; what a call orders is read from nothing but this.
#[derive(Debug)]
pub(super) struct JsonBody(Bytes);

/// Why there is no such body.
#[derive(Debug)]
pub(super) enum NotJson {
    /// It is something else.
    Other(Answer),
    /// It did not come whole.
    Unread(BytesRejection),
}

impl JsonBody {
    /// Reads it, as [`read`] does.
    pub(super) fn read<T: DeserializeOwned>(&self, said: (&str, &str)) -> Result<T> {
        read(&self.0, said)
    }
}

impl<S: Send + Sync> FromRequest<S> for JsonBody {
    type Rejection = NotJson;

    async fn from_request(request: Request, state: &S) -> std::result::Result<Self, NotJson> {
        let media_type = media_type(request.headers());
        if !is_json(&media_type) {
            let hint = "send JSON, and say so by `content-type: application/json`";
            return Err(NotJson::Other(not_taken(&media_type, hint)));
        }
        let body = Bytes::from_request(request, state).await;
        body.map(Self).map_err(NotJson::Unread)
    }
}

impl From<Answer> for NotJson {
    fn from(answer: Answer) -> Self {
        Self::Other(answer)
    }
}

impl IntoResponse for NotJson {
    fn into_response(self) -> Response {
        match self {
            Self::Other(answer) => answer.into_response(),
            Self::Unread(rejection) => rejection.into_response(),
        }
    }
}

/// What a body says that it is, in lower case and without parameters; empty if it says nothing.
pub(super) fn media_type(headers: &HeaderMap) -> String {
    let said = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let said = said.and_then(|value| value.split(';').next());
    said.unwrap_or_default().trim().to_ascii_lowercase()
}

/// Whether a media type is one of JSON (RFC 6839).
pub(super) fn is_json(media_type: &str) -> bool {
    let of_application = media_type.strip_prefix("application/");
    of_application.is_some_and(|kind| kind == "json" || kind.ends_with("+json"))
}

/// Refuses a body of a media type that a call does not take.
pub(super) fn not_taken(media_type: &str, hint: &str) -> Answer {
    let detail = if media_type.is_empty() {
        "the request does not say what its body is".to_owned()
    } else {
        format!("`{}` is not taken here", media_type.escape_debug())
    };
    Problem::new(ProblemCode::UnsupportedMediaType, detail)
        .hint(hint)
        .into()
}

/// Reads a body, which is called `name` in the error and looks like `form`.
pub(super) fn read<T: DeserializeOwned>(body: &[u8], (name, form): (&str, &str)) -> Result<T> {
    let first = body.iter().copied().find(|byte| !byte.is_ascii_whitespace());
    let read = match first {
        None => Err("there is nothing in it".to_owned()),
        // A list of the members would be taken for an object.
        Some(b'[') => Err("it is a list, and should be an object".to_owned()),
        Some(_) => serde_json::from_slice(body).map_err(|error| words(&error)),
    };
    read.map_err(|why| bad_request(format!("{name} cannot be read: {why}"), form))
}

/// An error of the parser without the words of the parser.
fn words(error: &serde_json::Error) -> String {
    let text = error.to_string();
    if error.classify() != Category::Data {
        return text.replace("EOF while parsing", "it ends in the middle of");
    }
    let (text, place) = text.rsplit_once(" at line ").unwrap_or((&text, "?"));
    format!("{}, at line {place}", fault(text))
}

fn fault(text: &str) -> String {
    if let Some(field) = text.strip_prefix("missing field ") {
        return format!("{field} is missing");
    }
    if let Some(field) = text.strip_prefix("duplicate field ") {
        return format!("{field} is there twice");
    }
    if let Some(unknown) = text.strip_prefix("unknown field ") {
        return match unknown.split_once(", expected ") {
            Some((field, known)) => {
                format!("there is no {field}, but {}", known.trim_start_matches("one of "))
            }
            None => format!("there is no {unknown}"),
        };
    }
    let Some((fault, wanted)) = text.rsplit_once(", expected ") else {
        return text.to_owned();
    };
    let found = match fault.split_once(": ") {
        Some(("invalid type" | "invalid value", found)) => found_in(found),
        // A list that is too short for the members it stands for.
        None if fault.starts_with("invalid length") => "a list".to_owned(),
        Some(_) | None => return text.to_owned(),
    };
    format!("{found} is given where {} is expected", wanted_in(wanted))
}

/// What stands there.
fn found_in(found: &str) -> String {
    let quoted = [
        ("string ", "the text "),
        ("integer ", "the number "),
        ("floating point ", "the number "),
        ("boolean ", ""),
    ];
    for (theirs, ours) in quoted {
        if let Some(value) = found.strip_prefix(theirs) {
            return format!("{ours}{value}");
        }
    }
    match found {
        "sequence" => "a list",
        "map" => "an object",
        other => other,
    }
    .to_owned()
}

/// What should stand there.
fn wanted_in(wanted: &str) -> &str {
    match wanted {
        "a sequence" => "a list",
        "a map" => "an object",
        "a string" | "a borrowed string" | "string or map" | "variant identifier" => "a text",
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number from 0",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        structure if structure.starts_with("struct ") => "an object",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use headwater_wire::{
        AcceptRequest, CheckRequest, InstanceReport, ReleaseRequest, RollbackRequest, SocketUp,
    };

    use super::*;

    fn refused<T: DeserializeOwned>(body: &str) -> String {
        match read::<T>(body.as_bytes(), ("the body", "")) {
            Ok(_) => format!("{body}\n  was taken"),
            Err(refused) => format!("{body}\n  {}", refused.into_problem().detail.unwrap_or_default()),
        }
    }

    const REPORTS: [&str; 23] = [
        "[]",
        "",
        " [1, 1]",
        "\"x\"",
        "5",
        "null",
        "{",
        "{}",
        r#"{"incarnation": "1", "seq": 1}"#,
        r#"{"incarnation": -1, "seq": 1}"#,
        r#"{"incarnation": 1.5, "seq": 1}"#,
        r#"{"incarnation": true, "seq": 1}"#,
        r#"{"incarnation": 1, "incarnation": 2, "seq": 1}"#,
        r#"{"incarnation": 1, "seq": 1, "labels": []}"#,
        r#"{"incarnation": 1, "seq": 1, "labels": {"a": 1}}"#,
        r#"{"incarnation": 1, "seq": 1, "configs": ["a"]}"#,
        r#"{"incarnation": 1, "seq": 1, "configs": {"../a": {}}}"#,
        r#"{"incarnation": 1, "seq": 1, "configs": {"a": 1}}"#,
        r#"{"incarnation": 1, "seq": 1, "configs": {"a": []}}"#,
        r#"{"incarnation": 1, "seq": 1, "configs": {"a": {"state": 1}}}"#,
        r#"{"incarnation": 1, "seq": 1, "configs": {"a": {"state": "applied", "generation": null}}}"#,
        r#"{"incarnation": 1, "seq": 1, "configs": {"a": {"state": "applied", "running": "x"}}}"#,
        r#"{"incarnation": 1, "seq": 1, "configs": {"a": {"state": "applied", "prepared": "x"}}}"#,
    ];

    #[test]
    fn what_is_wrong_is_said_in_the_words_of_json() {
        let mut told: Vec<String> = REPORTS.map(refused::<InstanceReport>).into();
        told.extend([r#"{"report": []}"#, r#"{"report": 1}"#].map(refused::<SocketUp>));
        told.extend([r#"{"head": 1, "reason": ""}"#, r#"{"head": "x"}"#].map(refused::<AcceptRequest>));
        told.push(refused::<CheckRequest>(r#"{"rev": {}}"#));
        insta::assert_snapshot!(told.join("\n"), @r#"
        []
          the body cannot be read: it is a list, and should be an object

          the body cannot be read: there is nothing in it
         [1, 1]
          the body cannot be read: it is a list, and should be an object
        "x"
          the body cannot be read: the text "x" is given where an object is expected, at line 1 column 3
        5
          the body cannot be read: the number `5` is given where an object is expected, at line 1 column 1
        null
          the body cannot be read: null is given where an object is expected, at line 1 column 4
        {
          the body cannot be read: it ends in the middle of an object at line 1 column 1
        {}
          the body cannot be read: `incarnation` is missing, at line 1 column 2
        {"incarnation": "1", "seq": 1}
          the body cannot be read: the text "1" is given where a whole number from 0 is expected, at line 1 column 19
        {"incarnation": -1, "seq": 1}
          the body cannot be read: the number `-1` is given where a whole number from 0 is expected, at line 1 column 18
        {"incarnation": 1.5, "seq": 1}
          the body cannot be read: the number `1.5` is given where a whole number from 0 is expected, at line 1 column 19
        {"incarnation": true, "seq": 1}
          the body cannot be read: `true` is given where a whole number from 0 is expected, at line 1 column 20
        {"incarnation": 1, "incarnation": 2, "seq": 1}
          the body cannot be read: `incarnation` is there twice, at line 1 column 32
        {"incarnation": 1, "seq": 1, "labels": []}
          the body cannot be read: a list is given where an object is expected, at line 1 column 39
        {"incarnation": 1, "seq": 1, "labels": {"a": 1}}
          the body cannot be read: the number `1` is given where a text is expected, at line 1 column 46
        {"incarnation": 1, "seq": 1, "configs": ["a"]}
          the body cannot be read: a list is given where an object is expected, at line 1 column 40
        {"incarnation": 1, "seq": 1, "configs": {"../a": {}}}
          the body cannot be read: not a config name: `../a`, at line 1 column 47
        {"incarnation": 1, "seq": 1, "configs": {"a": 1}}
          the body cannot be read: the number `1` is given where an object is expected, at line 1 column 47
        {"incarnation": 1, "seq": 1, "configs": {"a": []}}
          the body cannot be read: a list is given where an object is expected, at line 1 column 48
        {"incarnation": 1, "seq": 1, "configs": {"a": {"state": 1}}}
          the body cannot be read: expected value at line 1 column 57
        {"incarnation": 1, "seq": 1, "configs": {"a": {"state": "applied", "generation": null}}}
          the body cannot be read: null is given where a whole number from 0 is expected, at line 1 column 85
        {"incarnation": 1, "seq": 1, "configs": {"a": {"state": "applied", "running": "x"}}}
          the body cannot be read: the text "x" is given where an object is expected, at line 1 column 81
        {"incarnation": 1, "seq": 1, "configs": {"a": {"state": "applied", "prepared": "x"}}}
          the body cannot be read: not a full commit id: `x`, at line 1 column 83
        {"report": []}
          the body cannot be read: a list is given where an object is expected, at line 1 column 13
        {"report": 1}
          the body cannot be read: the number `1` is given where an object is expected, at line 1 column 12
        {"head": 1, "reason": ""}
          the body cannot be read: the number `1` is given where a text is expected, at line 1 column 10
        {"head": "x"}
          the body cannot be read: not a full commit id: `x`, at line 1 column 13
        {"rev": {}}
          the body cannot be read: an object is given where a text is expected, at line 1 column 8
        "#);
    }

    #[test]
    fn a_wish_that_a_call_does_not_take_is_named_and_not_passed_over() {
        let told = [
            refused::<CheckRequest>(r#"{"rev": "HEAD", "ref": "main"}"#),
            refused::<AcceptRequest>(r#"{"comment": ""}"#),
            refused::<ReleaseRequest>(r#"{"because": ""}"#),
            refused::<RollbackRequest>(r#"{"to": "HEAD~1", "dry_run": true}"#),
        ];
        insta::assert_snapshot!(told.join("\n"), @r#"
        {"rev": "HEAD", "ref": "main"}
          the body cannot be read: there is no `ref`, but `rev`, at line 1 column 21
        {"comment": ""}
          the body cannot be read: there is no `comment`, but `head`, `reason`, `requested_by`, at line 1 column 10
        {"because": ""}
          the body cannot be read: there is no `because`, but `reason` or `requested_by`, at line 1 column 10
        {"to": "HEAD~1", "dry_run": true}
          the body cannot be read: there is no `dry_run`, but `to`, `revert`, `mainline`, `config`, `reason`, `requested_by`, `expected_tip`, `mode`, `force_invalid`, at line 1 column 26
        "#);
    }
}
