//! The lines of the file: what many instances say alike stands once, and is named by its number.
//!
//! Invariant: what a line names stands in a line before it, and things of a kind are numbered from 0 in their order.

use std::collections::BTreeMap;
use std::sync::Arc;

use headwater_core::{HeldReport, KeptInstance, KeptSeat, Past};
use headwater_wire::{
    ConfigName, ConfigReport, FailPhase, Generation, InstanceId, RepoName, ReportState, Running, Timestamp,
    ValueSource,
};
use serde::{Deserialize, Serialize};

/// Any line but the first.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line {
    /// Those that follow are of this repository.
    Repo(RepoName),
    /// Labels that instances have.
    Labels(Arc<BTreeMap<String, String>>),
    /// What instances say of all their configs.
    Configs(Arc<BTreeMap<ConfigName, ConfigReport>>),
    /// Content that instances ran.
    Content(Arc<Running>),
    Instance(Box<Row>),
    /// So many instances were written, and no more.
    End(usize),
}

/// One instance.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Row {
    instance: InstanceId,
    reported_at: Timestamp,
    heard_at: Timestamp,
    silent_ms: u64,
    #[serde(default)]
    gone: bool,
    incarnation: u64,
    seq: u64,
    client: Arc<String>,
    labels: usize,
    configs: usize,
    seats: Vec<SeatRow>,
}

/// What is remembered of one config of it.
#[derive(Debug, Serialize, Deserialize)]
struct SeatRow {
    config: ConfigName,
    told: Generation,
    restarts: u32,
    ran: Vec<Ran>,
}

/// What ran for a while: from and until, in ms since 1970, the life, the content's number, and what was said of it.
type Ran = (
    i64,
    i64,
    u64,
    Option<usize>,
    ReportState,
    Option<FailPhase>,
    ValueSource,
);

/// What was written of what many say alike.
#[derive(Debug, Default)]
pub(super) struct Written {
    labels: Numbers<BTreeMap<String, String>>,
    configs: Numbers<BTreeMap<ConfigName, ConfigReport>>,
    contents: Numbers<Running>,
}

/// Numbers of values, by where they are held; to hold them here too keeps their places theirs.
#[derive(Debug)]
struct Numbers<T>(BTreeMap<usize, (usize, Arc<T>)>);

impl<T> Default for Numbers<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T> Numbers<T> {
    /// The number of a value. One that has none yet gets the next, and a line of its own.
    fn of(&mut self, value: &Arc<T>, line: fn(Arc<T>) -> Line, lines: &mut Vec<Line>) -> usize {
        let next = self.0.len();
        let (number, _) = self.0.entry(Arc::as_ptr(value).addr()).or_insert_with(|| {
            lines.push(line(value.clone()));
            (next, value.clone())
        });
        *number
    }
}

impl Written {
    /// The lines of one instance: what nobody before it has said, and then what it has.
    pub(super) fn lines(&mut self, kept: KeptInstance) -> Vec<Line> {
        let mut lines = Vec::new();
        let report = kept.report;
        let seats = kept.seats.into_iter().map(|seat| SeatRow {
            config: seat.config,
            told: seat.told,
            restarts: seat.restarts,
            ran: seat
                .history
                .iter()
                .map(|past| self.ran(past, &mut lines))
                .collect(),
        });
        let seats = seats.collect();
        let row = Row {
            instance: kept.instance,
            reported_at: kept.reported_at,
            heard_at: kept.heard_at,
            silent_ms: kept.silent_ms,
            gone: kept.gone,
            incarnation: report.incarnation,
            seq: report.seq,
            client: report.client,
            labels: self.labels.of(&report.labels, Line::Labels, &mut lines),
            configs: self.configs.of(&report.configs, Line::Configs, &mut lines),
            seats,
        };
        lines.push(Line::Instance(Box::new(row)));
        lines
    }

    fn ran(&mut self, past: &Past, lines: &mut Vec<Line>) -> Ran {
        let running = past.running.as_ref();
        (
            past.from.0,
            past.until.0,
            past.incarnation,
            running.map(|running| self.contents.of(running, Line::Content, lines)),
            past.state,
            past.failed,
            past.source,
        )
    }
}

/// What was read of what many say alike.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub labels: Vec<Arc<BTreeMap<String, String>>>,
    pub configs: Vec<Arc<BTreeMap<ConfigName, ConfigReport>>>,
    pub contents: Vec<Arc<Running>>,
}

impl Known {
    /// The instance of a line; none if it names what does not stand before it.
    pub(super) fn instance(&self, row: Row) -> Option<KeptInstance> {
        let seats = row.seats.into_iter().map(|seat| {
            let history = seat.ran.into_iter().map(|ran| self.past(ran));
            Some(KeptSeat {
                config: seat.config,
                told: seat.told,
                restarts: seat.restarts,
                history: history.collect::<Option<_>>()?,
            })
        });
        Some(KeptInstance {
            instance: row.instance,
            reported_at: row.reported_at,
            heard_at: row.heard_at,
            silent_ms: row.silent_ms,
            gone: row.gone,
            report: HeldReport {
                incarnation: row.incarnation,
                seq: row.seq,
                labels: self.labels.get(row.labels)?.clone(),
                client: row.client,
                configs: self.configs.get(row.configs)?.clone(),
            },
            seats: seats.collect::<Option<_>>()?,
        })
    }

    fn past(&self, (from, until, incarnation, content, state, failed, source): Ran) -> Option<Past> {
        let running = match content {
            Some(number) => Some(self.contents.get(number)?.clone()),
            None => None,
        };
        Some(Past {
            from: Timestamp(from),
            until: Timestamp(until),
            incarnation,
            running,
            state,
            failed,
            source,
        })
    }
}
