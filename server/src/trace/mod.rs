//! Traces: what announced a new head, what was done with it, who was told of it and who runs it, as one tree of spans.
//!
//! Invariant: where no collector is set there are no spans, and asking for one costs a look at an empty value. Where one
//! is set, nothing waits for it: spans go into a bounded queue, and what does not fit is dropped and counted. A span names
//! things (repository, branch, commit, config, instance), and never holds a value or a text of somebody else. What is
//! deliberately absent: the spans of the log, which follow the log's filter and belong to the whole process; a trace
//! begins and ends where this room says, also after the fact, so that a round of polling that finds nothing leaves none.

mod export;
mod flight;
mod w3c;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use opentelemetry::trace::{
    FutureExt, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt, Tracer, TracerProvider,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tracing::{debug, warn};

pub(crate) use export::Tally;
pub(crate) use flight::{Ack, Flights, follow};
pub(crate) use w3c::outward;

use crate::settings::TraceSettings;
use crate::task;

/// Spans that one piece of work may begin: a push of ten thousand commits is judged commit by commit.
const SPANS_MAX: u32 = 256;
/// Longest wait for the last spans to leave when the process stops.
const CLOSE_DEADLINE: Duration = Duration::from_secs(3);

/// Where the spans of this service go; nowhere, unless a collector is set.
#[derive(Debug, Clone, Default)]
pub(crate) struct Traces(Option<Arc<Exporting>>);

#[derive(Debug)]
struct Exporting {
    tracer: SdkTracer,
    provider: SdkTracerProvider,
    tally: Arc<Tally>,
}

/// That a context belongs to a trace of ours: what begins spans there, and how many it may still begin.
#[derive(Debug, Clone)]
struct InTrace {
    tracer: SdkTracer,
    left: Arc<AtomicU32>,
}

impl InTrace {
    fn new(tracer: &SdkTracer) -> Self {
        Self {
            tracer: tracer.clone(),
            left: Arc::new(AtomicU32::new(SPANS_MAX)),
        }
    }

    /// A context inside of a new span, unless there were too many.
    fn begin(&self, parent: &Context, span: SpanBuilder) -> Option<Context> {
        take_one(&self.left).then(|| {
            let span = self.tracer.build_with_context(span, parent);
            parent.with_value(self.clone()).with_span(span)
        })
    }
}

/// Takes one of those that are left.
fn take_one(left: &AtomicU32) -> bool {
    let fewer = |left: u32| left.checked_sub(1);
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer)
        .is_ok()
}

/// What [`crate::fuzzed`] tries of this room: the headers of a request, as they would be handed on.
pub(crate) fn fuzzed(headers: &HeaderMap) -> Option<(String, String)> {
    let context = w3c::read(headers)?;
    let (trace, span, flags) = (context.trace_id(), context.span_id(), context.trace_flags());
    Some((
        format!("00-{trace}-{span}-{flags:02x}"),
        context.trace_state().header(),
    ))
}

impl Traces {
    /// Begins to send spans where the settings say, if they do. Nothing is connected to yet.
    pub(crate) fn start(settings: Option<&TraceSettings>) -> Self {
        let Some(settings) = settings else {
            return Self::default();
        };
        let tally = Arc::new(Tally::default());
        match export::provider(settings, &tally) {
            Ok(provider) => Self(Some(Arc::new(Exporting {
                tracer: provider.tracer("headwater"),
                provider,
                tally,
            }))),
            Err(why) => {
                let hint =
                    "check `otlp_endpoint`, and the `OTEL_EXPORTER_OTLP_…` variables of the environment";
                warn!(hint, "no traces are sent: {why}");
                Self::default()
            }
        }
    }

    /// What became of the spans so far.
    pub(crate) fn tally(&self) -> Tally {
        self.0
            .as_ref()
            .map_or_else(Tally::default, |exporting| exporting.tally.seen())
    }

    /// Whether any spans are made.
    pub(crate) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// The context that somebody who calls us sent along, if it is one.
    pub(crate) fn caller(&self, headers: &HeaderMap) -> Option<SpanContext> {
        self.0.as_ref().and_then(|_| w3c::read(headers))
    }

    /// A context inside of a new span: of `parent`'s trace, or of one of its own. Nothing where nothing is traced.
    pub(crate) fn begin(&self, parent: Option<SpanContext>, span: SpanBuilder) -> Option<Context> {
        let exporting = self.0.as_ref()?;
        let parent = parent.map_or_else(Context::new, |parent| {
            Context::new().with_remote_span_context(parent)
        });
        InTrace::new(&exporting.tracer).begin(&parent, span)
    }

    /// Does `work` as a part of the trace that `origin` stands in.
    pub(crate) fn under<F: Future>(
        &self,
        origin: Option<SpanContext>,
        work: F,
    ) -> impl Future<Output = F::Output> + use<F> {
        let context = match (&self.0, origin) {
            (Some(exporting), Some(origin)) => Context::new()
                .with_value(InTrace::new(&exporting.tracer))
                .with_remote_span_context(origin),
            (None, _) | (_, None) => Context::current(),
        };
        work.with_context(context)
    }

    /// Sends what is left, for a while, and ends.
    pub(crate) async fn close(&self) {
        let Some(exporting) = &self.0 else { return };
        let provider = exporting.provider.clone();
        let closed = task::blocking(CLOSE_DEADLINE, move || {
            provider.shutdown_with_timeout(CLOSE_DEADLINE)
        });
        if !matches!(closed.await, Ok(Ok(()))) {
            debug!("the last traces could not be sent");
        }
    }
}

/// A span that begins now.
pub(crate) fn span(name: &'static str) -> SpanBuilder {
    SpanBuilder::from_name(name).with_kind(SpanKind::Internal)
}

/// A span that calls somebody else.
pub(crate) fn call(name: &'static str) -> SpanBuilder {
    SpanBuilder::from_name(name).with_kind(SpanKind::Client)
}

/// The span that work stands in now, for whoever goes on with it elsewhere.
pub(crate) fn origin() -> Option<SpanContext> {
    Context::map_current(origin_of)
}

/// The same of a context.
pub(crate) fn origin_of(context: &Context) -> Option<SpanContext> {
    let span = context.span();
    let found = span.span_context();
    found.is_valid().then(|| found.clone())
}

/// Does `work` in a span of its own, where it is a part of a trace. It is boxed before anything holds it: what all of a
/// commit's steps need together is too much for a stack.
pub(crate) fn step<F: Future>(
    span: impl FnOnce() -> SpanBuilder,
    work: F,
) -> impl Future<Output = F::Output> {
    let work = Box::pin(work);
    async move {
        let begun = Context::map_current(|here| here.get::<InTrace>()?.begin(here, span()));
        let Some(context) = begun else {
            return work.await;
        };
        let done = work.with_context(context.clone()).await;
        context.span().end();
        done
    }
}

/// The same of work that may fail. Why it did stands in the log, which hides what a collector should not have.
pub(crate) fn trying<T, E, F: Future<Output = Result<T, E>>>(
    span: impl FnOnce() -> SpanBuilder,
    work: F,
) -> impl Future<Output = Result<T, E>> {
    let work = Box::pin(work);
    step(span, async move {
        let done = work.await;
        if done.is_err() {
            Context::map_current(|here| here.span().set_status(Status::error("")));
        }
        done
    })
}

/// Does `work` where whoever is called by it is told of `origin`, without spans of its own.
pub(crate) fn beside<F: Future>(origin: Option<SpanContext>, work: F) -> impl Future<Output = F::Output> {
    let context = origin.map_or_else(Context::current, |origin| {
        Context::new().with_remote_span_context(origin)
    });
    work.with_context(context)
}

/// Says something of the span that work stands in.
pub(crate) fn say(key: &'static str, value: &'static str) {
    Context::map_current(|here| {
        if here.get::<InTrace>().is_some() {
            here.span().set_attribute(KeyValue::new(key, value));
        }
    });
}

/// A span of what is over now.
pub(crate) fn past(span: SpanBuilder, began: SystemTime) {
    Context::map_current(|here| {
        let inside = here
            .get::<InTrace>()
            .and_then(|trace| trace.begin(here, span.with_start_time(began)));
        if let Some(context) = inside {
            context.span().end();
        }
    });
}
