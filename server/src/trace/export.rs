//! From spans to a collector, by OTLP over HTTP.
//!
//! Invariant: whoever ends a span never waits. There is one bounded queue and one thread that empties it; what does not
//! fit is dropped. Everything is counted, and a collector that cannot be reached is said once in a while. What is
//! deliberately absent: redirects and the proxies of the environment, as everywhere here, since the headers of the
//! environment may let us in somewhere.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use headwater_validators::printable;
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider, Span, SpanData, SpanExporter,
    SpanProcessor,
};
use tracing::warn;

use crate::seldom::Seldom;
use crate::settings::TraceSettings;

/// Spans that may wait to be sent: a few hundred commits, at about a kilobyte each.
const QUEUE_MAX: usize = 2_048;
/// Time between two calls while spans come: who looks at a trace has just done what it is of.
const DELAY: Duration = Duration::from_secs(1);
/// Longest time of one call, with its repetitions.
const DEADLINE: Duration = Duration::from_secs(10);

/// What became of the spans.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// A collector has them.
    pub sent: AtomicU64,
    /// They could not be sent.
    pub failed: AtomicU64,
    /// They did not fit into the queue.
    pub dropped: AtomicU64,
    /// They wait to be sent.
    pub waiting: AtomicU64,
    trouble: Seldom,
}

impl Tally {
    /// The numbers as they are now.
    pub(super) fn seen(&self) -> Self {
        let now = |count: &AtomicU64| AtomicU64::new(count.load(Ordering::Relaxed));
        Self {
            sent: now(&self.sent),
            failed: now(&self.failed),
            dropped: now(&self.dropped),
            waiting: now(&self.waiting),
            trouble: Seldom::default(),
        }
    }

    /// Takes a place in the queue, if there is one.
    fn enter(&self) -> bool {
        let more = |waiting: u64| (waiting < QUEUE_MAX as u64).then_some(waiting + 1);
        let entered = self
            .waiting
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .is_ok();
        if !entered {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        entered
    }

    fn leave(&self, spans: usize, result: &OTelSdkResult, endpoint: &str) {
        let spans = spans as u64;
        self.waiting.fetch_sub(spans, Ordering::Relaxed);
        let Err(error) = result else {
            self.sent.fetch_add(spans, Ordering::Relaxed);
            return;
        };
        self.failed.fetch_add(spans, Ordering::Relaxed);
        if self.trouble.is_due() {
            // Of some collectors the address lets one in.
            let why = printable(&error.to_string().replace(endpoint, "`otlp_endpoint`"));
            let hint =
                "it is spoken to in OTLP over HTTP with protobuf, for which collectors listen on port 4318";
            warn!(
                hint,
                "traces do not reach their collector, which holds nothing up: {why}"
            );
        }
    }
}

/// What makes spans and has them sent, or why it cannot.
pub(super) fn provider(settings: &TraceSettings, tally: &Arc<Tally>) -> Result<SdkTracerProvider, String> {
    let inner = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_http_client(client()?)
        .with_endpoint(&settings.endpoint)
        .build()
        .map_err(|error| error.to_string().replace(&settings.endpoint, "`otlp_endpoint`"))?;
    let exporter = Counted {
        inner,
        tally: tally.clone(),
        endpoint: settings.endpoint.clone(),
    };
    let queue = BatchConfigBuilder::default()
        .with_max_queue_size(QUEUE_MAX)
        .with_scheduled_delay(DELAY)
        .build();
    let batches = BatchSpanProcessor::builder(exporter)
        .with_batch_config(queue)
        .build();
    let gate = Gate {
        batches,
        tally: tally.clone(),
    };
    let resource = Resource::builder()
        .with_service_name(settings.service_name.clone())
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(settings.sample_ratio)));
    Ok(SdkTracerProvider::builder()
        .with_span_processor(gate)
        .with_sampler(sampler)
        .with_resource(resource.build())
        .build())
}

/// What calls the collector. It has threads of its own, which must not begin inside of others.
fn client() -> Result<reqwest::blocking::Client, String> {
    let make = || {
        reqwest::blocking::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .no_proxy()
            .timeout(DEADLINE)
            .build()
    };
    let built = std::thread::spawn(make).join();
    built
        .map_err(|_| "the client of HTTP could not be made".to_owned())?
        .map_err(|error| error.to_string())
}

/// Lets into the queue what fits.
#[derive(Debug)]
struct Gate {
    batches: BatchSpanProcessor,
    tally: Arc<Tally>,
}

impl SpanProcessor for Gate {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.batches.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if self.tally.enter() {
            self.batches.on_end(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.batches.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.batches.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.batches.set_resource(resource);
    }
}

/// Counts what leaves the queue.
#[derive(Debug)]
struct Counted {
    inner: opentelemetry_otlp::SpanExporter,
    tally: Arc<Tally>,
    endpoint: String,
}

impl SpanExporter for Counted {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let result = self.inner.export(batch).await;
        self.tally.leave(spans, &result, &self.endpoint);
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_dropped_and_counted() {
        let tally = Tally::default();
        let entered = (0..QUEUE_MAX + 10).filter(|_| tally.enter()).count();
        assert_eq!(entered, QUEUE_MAX);
        assert_eq!(tally.dropped.load(Ordering::Relaxed), 10);
        tally.leave(QUEUE_MAX, &Ok(()), "");
        assert!(tally.enter());
        assert_eq!(tally.seen().sent.load(Ordering::Relaxed), QUEUE_MAX as u64);
    }
}
