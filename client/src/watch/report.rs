//! Reports of state on their way up: over the socket if there is one, else as a call.
//!
//! Invariant: one report is under way at a time, on one way. What is deliberately absent: when to report, what, and
//! whether again; a report is whole, so the next one says everything that a lost one would have said.

use std::sync::Arc;

use headwater_wire::{InstanceId, InstanceReport, ReportAnswer};
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::time::timeout;

use crate::error::{ApiError, Stage};
use crate::servers::Servers;

/// A report for the socket, and where its answer goes.
#[derive(Debug)]
pub(super) struct Carried {
    pub(super) report: InstanceReport,
    pub(super) answer: oneshot::Sender<Result<ReportAnswer, ApiError>>,
}

/// The way to the socket while it is up.
pub(super) type Uplink = Option<mpsc::Sender<Carried>>;

/// The ways up of one watch.
#[derive(Debug, Clone)]
pub(super) struct Reports {
    pub(super) servers: Servers,
    pub(super) instance: Option<InstanceId>,
    pub(super) uplink: watch::Receiver<Uplink>,
    /// Held by the report that is under way.
    pub(super) turn: Arc<Mutex<()>>,
}

impl Reports {
    pub(super) async fn send(self, report: InstanceReport) -> Result<ReportAnswer, ApiError> {
        let Some(instance) = &self.instance else {
            return std::future::pending().await;
        };
        let _turn = self.turn.lock().await;
        let repo = self.servers.current();
        let uplink = self.uplink.borrow().clone();
        let Some(uplink) = uplink else {
            return repo.report(instance, &report).await;
        };
        let (answer, answered) = oneshot::channel();
        let carried = Carried {
            report: report.clone(),
            answer,
        };
        let waited = repo.connection().deadlines.answer;
        let over_the_socket = async {
            uplink.send(carried).await.ok()?;
            answered.await.ok()
        };
        match timeout(waited, over_the_socket).await {
            Ok(Some(answer)) => answer,
            // The socket ended before it could answer.
            Ok(None) => self.servers.current().report(instance, &report).await,
            Err(_) => Err(repo.connection().timed_out(Stage::Answer, waited)),
        }
    }
}
