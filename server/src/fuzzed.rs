//! The doors at which strangers' bytes come in, for whoever tries them with bytes that nobody would send.
//!
//! Not part of what this crate promises. The types behind these functions are the crate's own, and public ones would
//! invite to use them; so each function takes bytes and gives back texts, with which a law can be said. Nothing here
//! decides, and nothing is done that a request would not do. What is public anyway (webhooks, addresses, documents,
//! the stream of a client) is tried where it stands.

use crate::{auth, http, trace};

/// A token of this service: the digest of what was read.
pub fn bearer_token(text: &str) -> Option<String> {
    auth::fuzzed::bearer_token(text)
}

/// A token of somebody else, and keys that may have signed it: which algorithm and key it names, and whether one of
/// the keys signed it.
pub fn json_web_token(text: &str, keys: &[u8]) -> Option<(&'static str, bool)> {
    auth::fuzzed::json_web_token(text, keys)
}

/// The file of tokens: what it says, written anew; or what is wrong with it.
pub fn tokens_file(text: &str) -> Result<String, String> {
    auth::fuzzed::tokens_file(text)
}

/// A query string: the labels and the pairs that were read.
pub fn query(text: &str) -> Option<Vec<(String, String)>> {
    http::fuzzed::query(text)
}

/// The body of a report; what was read, or what its sender is told.
pub fn report(body: &[u8]) -> Result<headwater_wire::InstanceReport, Box<headwater_wire::Problem>> {
    http::fuzzed::report(body)
}

/// A message of a WebSocket, under the same law.
pub fn socket_message(text: &str) -> Result<headwater_wire::InstanceReport, Box<headwater_wire::Problem>> {
    http::fuzzed::socket_message(text)
}

/// The two headers of a trace: those that would be handed on.
pub fn trace_headers(headers: &::http::HeaderMap) -> Option<(String, String)> {
    trace::fuzzed(headers)
}
