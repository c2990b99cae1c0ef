//! The messages of a WebSocket (`GET …/socket`): the events of a watch down, reports up, on one connection.
//!
//! Each message is one text frame with one JSON object.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::report::InstanceReport;

/// From the server: an event as a stream would tell it, or the answer to a report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SocketDown<D = Value> {
    /// `version`, `bookmark`, `status`, `goaway` as on an event stream; `report` with a
    /// [`ReportAnswer`](crate::ReportAnswer); `problem` with a [`Problem`](crate::Problem) if a message could not be
    /// taken.
    pub event: String,
    /// Id of the event, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What is told.
    pub data: D,
}

/// From the client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SocketUp {
    /// The same body as that of `PUT …/instances/{instance}`; the instance is the one that the socket was opened for.
    pub report: InstanceReport,
}
