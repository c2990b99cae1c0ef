//! A query to a Prometheus, or to what has the same API.
//!
//! Invariant: the answer is one number or it is none. A query without a result, with one that is no number, or with
//! one that its own side warns of (as where a part of it did not answer) has said nothing. What is deliberately
//! absent: comparisons in the query, which answer nothing where they do not hold.

use headwater_core::rollout::Reading;
use headwater_validators::rollout::Bound;
use http::header::{CONTENT_TYPE, USER_AGENT};
use reqwest::{Client, Url};
use serde::Deserialize;
use serde_json::Value;

use crate::outcall::{exchange, quoted};
use crate::secret::Secret;
use crate::trace;

/// What comes back.
#[derive(Deserialize)]
struct Answer {
    status: String,
    #[serde(default)]
    data: Option<Data>,
    #[serde(default)]
    error: String,
    #[serde(default)]
    warnings: Vec<String>,
}

#[derive(Deserialize)]
struct Data {
    #[serde(rename = "resultType")]
    kind: String,
    result: Value,
}

/// Asks for the value of a query now.
pub(super) async fn ask(
    client: &Client,
    (base, token): (&str, Option<&Secret>),
    (query, pass_if): (&str, Bound),
) -> Reading {
    // In the body, where it has no longest length and no proxy logs it.
    let Some((url, form)) = encoded(base, query) else {
        return Reading::Error("its address cannot be used".to_owned());
    };
    let mut call = client
        .post(url)
        .headers(trace::outward())
        .header(USER_AGENT, "headwater")
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(form);
    if let Some(token) = token {
        call = call.bearer_auth(token.expose());
    }
    let (status, body) = match exchange(call).await {
        Ok(answer) => answer,
        Err(silence) => return Reading::Error(silence.why()),
    };
    match serde_json::from_slice::<Answer>(&body) {
        Ok(answer) if status.is_success() => understood(&answer, pass_if),
        Ok(answer) if !answer.error.is_empty() => Reading::Error(quoted(&answer.error)),
        Ok(_) | Err(_) if !status.is_success() => Reading::Error(format!("it answered {status}")),
        Ok(_) | Err(_) => Reading::Error("its answer is not that of a Prometheus".to_owned()),
    }
}

fn encoded(base: &str, query: &str) -> Option<(Url, String)> {
    let url: Url = format!("{base}/api/v1/query").parse().ok()?;
    let mut form = url.clone();
    form.query_pairs_mut().append_pair("query", query);
    let form = form.query()?.to_owned();
    Some((url, form))
}

fn understood(answer: &Answer, pass_if: Bound) -> Reading {
    if answer.status != "success" {
        return Reading::Error(quoted(&answer.error));
    }
    if let Some(warning) = answer.warnings.first() {
        return Reading::Inconclusive(format!("it warns of its answer: {}", quoted(warning)));
    }
    let Some(data) = &answer.data else {
        return Reading::Error("its answer has no data".to_owned());
    };
    match value(data) {
        Ok(value) => judged(value, pass_if),
        Err(reading) => reading,
    }
}

/// The one number.
fn value(data: &Data) -> Result<f64, Reading> {
    let sample = match (data.kind.as_str(), data.result.as_array().map(Vec::as_slice)) {
        ("scalar", _) => &data.result,
        ("vector", Some([])) => return Err(Reading::Inconclusive("the query has no result".to_owned())),
        ("vector", Some([only])) => &only["value"],
        ("vector", Some(many)) => {
            let message = format!(
                "the query has {} results, and must have one, such as a `sum`",
                many.len()
            );
            return Err(Reading::Error(message));
        }
        (kind, _) => {
            return Err(Reading::Error(format!(
                "the query's result is no number: `{}`",
                quoted(kind)
            )));
        }
    };
    let text = sample.get(1).and_then(Value::as_str);
    let number = text.and_then(|text| text.parse().ok());
    number.ok_or_else(|| Reading::Error("the query's result is no number".to_owned()))
}

fn judged(value: f64, pass_if: Bound) -> Reading {
    if value.is_nan() {
        Reading::Inconclusive("the query's result is `NaN`, such as of nothing by nothing".to_owned())
    } else if !pass_if.holds(value) {
        Reading::Fail(format!("{value} is not {pass_if}"))
    } else if value.is_infinite() {
        Reading::Inconclusive(format!("the query's result has no end: `{value}`"))
    } else {
        Reading::Pass
    }
}
