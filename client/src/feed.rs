//! Events down, reports up.

use headwater_wire::{InstanceReport, ReportAnswer};

use crate::api::RepoApi;
use crate::error::ApiError;
use crate::watch::{Watch, WatchEvent, WatchRequest};

#[derive(Debug)]
pub(crate) struct Feed {
    watch: Watch,
    api: RepoApi,
    instance: Option<headwater_wire::InstanceId>,
}

impl Feed {
    pub(crate) fn start(api: RepoApi, request: WatchRequest) -> Self {
        let instance = request.instance.clone();
        Self {
            watch: Watch::start(api.clone(), request),
            api,
            instance,
        }
    }

    pub(crate) async fn next(&mut self) -> Option<WatchEvent> {
        self.watch.next().await
    }

    pub(crate) fn report(
        &self,
        report: InstanceReport,
    ) -> impl Future<Output = Result<ReportAnswer, ApiError>> + Send + 'static {
        let (api, instance) = (self.api.clone(), self.instance.clone());
        async move {
            match instance {
                Some(instance) => api.report(&instance, &report).await,
                // Only an instance makes reports.
                None => std::future::pending().await,
            }
        }
    }
}
