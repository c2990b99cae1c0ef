//! Events down, reports up.

use headwater_wire::{InstanceReport, ReportAnswer};

use crate::error::ApiError;
use crate::servers::Servers;
use crate::watch::{Watch, WatchEvent, WatchRequest};

#[derive(Debug)]
pub(crate) struct Feed {
    watch: Watch,
}

impl Feed {
    pub(crate) fn start(servers: &Servers, request: WatchRequest) -> Self {
        let watch = Watch::start(servers.clone(), request);
        Self { watch }
    }

    pub(crate) async fn next(&mut self) -> Option<WatchEvent> {
        self.watch.next().await
    }

    pub(crate) fn report(
        &self,
        report: InstanceReport,
    ) -> impl Future<Output = Result<ReportAnswer, ApiError>> + Send + 'static {
        self.watch.report(report)
    }
}
