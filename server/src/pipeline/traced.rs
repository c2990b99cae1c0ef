//! What a pipeline does, as spans: one trace for each new head, begun by whatever announced it.
//!
//! Invariant: a round that finds nothing new leaves no span, so the span of a listing is made after it.

use std::time::SystemTime;

use headwater_wire::{BranchName, CommitId};
use opentelemetry::trace::{FutureExt as _, SpanContext, Status, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};
use tracing::{Instrument, Span, info_span};

use super::{Pipeline, Posted, RoundError};
use crate::clock;
use crate::trace::{self, call, span};

/// Why a round lists the upstream.
#[derive(Debug)]
pub(super) struct Cause {
    began: SystemTime,
    trigger: &'static str,
    /// What announced that there is something, if that was traced.
    origin: Option<SpanContext>,
}

impl Default for Cause {
    fn default() -> Self {
        Self {
            began: SystemTime::UNIX_EPOCH,
            trigger: "poll",
            origin: None,
        }
    }
}

impl Pipeline {
    /// Why the round that begins now lists.
    pub(super) fn cause_now(&self) -> Cause {
        let trigger = if self.chase.is_some() {
            "webhook"
        } else if self.judge_again || !self.waiting.is_empty() {
            "request"
        } else {
            "poll"
        };
        Cause {
            began: clock::exact(),
            trigger,
            origin: self.chase.as_ref().and_then(|chase| chase.origin().cloned()),
        }
    }

    /// Takes a head, as the trace of that commit.
    pub(super) async fn take_traced(&mut self, branch: BranchName, head: CommitId) -> Result<(), RoundError> {
        let log = info_span!(
            "commit_pipeline", commit.id = %head, upstream.branch = %branch, trace_id = tracing::field::Empty
        );
        let context = self.begin_commit(&branch, &head, &log);
        let flow = async {
            trace::past(call("list"), self.cause.began);
            self.repo.flights.begin(&head);
            Box::pin(self.take(branch, head)).await
        };
        let inside = context.clone().unwrap_or_else(Context::current);
        // Boxed: what a commit needs on its way is too much for a stack.
        let taken = Box::pin(flow).instrument(log).with_context(inside).await;
        if let Some(context) = context {
            let state = self.repo.board.read().state.head_state;
            let span = context.span();
            span.set_attribute(KeyValue::new("headwater.head_state", state.as_str()));
            if taken.is_err() {
                span.set_status(Status::error(""));
            }
            span.end();
        }
        taken
    }

    fn begin_commit(&self, branch: &BranchName, head: &CommitId, log: &Span) -> Option<Context> {
        if !self.repo.traces.is_on() {
            return None;
        }
        let commit = span("commit").with_start_time(self.cause.began).with_attributes([
            KeyValue::new("headwater.repo", self.repo.name().to_string()),
            KeyValue::new("headwater.trigger", self.cause.trigger),
            KeyValue::new("vcs.ref.head.type", "branch"),
            KeyValue::new("vcs.ref.head.name", branch.to_string()),
            KeyValue::new("vcs.ref.head.revision", head.to_string()),
        ]);
        let context = self.repo.traces.begin(self.cause.origin.clone(), commit)?;
        if let Some(origin) = trace::origin_of(&context) {
            log.record("trace_id", origin.trace_id().to_string());
        }
        Some(context)
    }

    /// Does what somebody asks, in the trace of whoever asked.
    pub(super) async fn handle_traced(&mut self, posted: Posted) -> bool {
        let Posted { request, origin } = posted;
        let traces = self.repo.traces.clone();
        traces.under(origin, Box::pin(self.handle(request))).await
    }
}
