//! One event as watchers are told it, made once and shared by all who are told the same.
//!
//! Invariant: its data is one line, since JSON holds no line break; the text for an event stream and the parts for a socket
//! say the same.

use std::sync::Arc;

use bytes::Bytes;
use headwater_core::Token;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

/// One event.
#[derive(Debug)]
pub(crate) struct Line {
    /// Its name.
    pub name: &'static str,
    /// Its id, where it has one.
    pub id: Option<String>,
    /// What is told.
    pub data: Box<RawValue>,
    /// All of it as it stands in an event stream.
    pub text: Bytes,
}

/// An event that tells of a version, and what whoever was told it holds.
#[derive(Debug)]
pub(crate) struct Said {
    /// The event.
    pub line: Arc<Line>,
    /// What names the content.
    pub token: Arc<Token>,
}

impl Line {
    /// An event of that name.
    pub(crate) fn new<T: Serialize>(name: &'static str, id: Option<String>, data: &T) -> Self {
        let data = to_raw_value(data).unwrap_or_default();
        let text = match &id {
            Some(id) => format!("event: {name}\nid: {id}\ndata: {data}\n\n"),
            None => format!("event: {name}\ndata: {data}\n\n"),
        };
        Self {
            name,
            id,
            data,
            text: Bytes::from(text),
        }
    }
}
