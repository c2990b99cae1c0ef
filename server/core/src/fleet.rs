//! The newest report of every instance.
//!
//! Invariant: which of two reports of one instance is newer follows from `(incarnation, seq)` alone; a clock decides
//! only whose place may be taken when there is no more room. Everything kept has a limit, and no text kept can steer
//! a terminal or a log. What is deliberately absent: a disk; a fleet that was lost is told again by the next
//! heartbeats.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use headwater_wire::{
    CommitId, ConfigName, ConfigReport, InstanceId, InstanceReport, InstanceView, ReportState, Timestamp,
};

/// Instances remembered of one repository.
pub const INSTANCES_MAX: usize = 100_000;
/// Bytes that all reports of one repository take together, by a measure that is about right: about twenty configs each
/// for a full fleet.
pub const REPORTS_BYTES_MAX: usize = 512 << 20;
/// After so long without a word an instance gives way to another when there is no more room, in ms.
pub const SILENCE_MAX_MS: i64 = 24 * 60 * 60 * 1_000;
/// Configs of one report.
pub const REPORT_CONFIGS_MAX: usize = 256;
/// Longest message of a failure, in bytes; what is longer is cut.
pub const MESSAGE_BYTES_MAX: usize = 1_024;
/// Longest name of a reporting program, in bytes; what is longer is cut.
pub const CLIENT_BYTES_MAX: usize = 128;
/// Instances one listing looks at; a filter that matches few would otherwise hold up every report meanwhile.
pub const LISTING_SCAN_MAX: usize = 10_000;

/// What an entry takes beside its texts: the maps' nodes, ids and numbers.
const ENTRY_BYTES: usize = 256;

/// The newest report of every instance of one repository.
#[derive(Debug, Default)]
pub struct Fleet {
    instances: BTreeMap<InstanceId, Entry>,
    bytes: usize,
    /// Nobody can have been silent for long enough before this moment, so there is no use in looking.
    sweep_from: Option<Timestamp>,
}

#[derive(Debug)]
struct Entry {
    view: Arc<InstanceView>,
    heard_at: Timestamp,
    bytes: usize,
}

/// What became of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is the newest one now.
    Newer,
    /// It was taken before.
    Again,
    /// A newer one was taken before; it counts for nothing.
    Older,
}

/// There is no room for one more instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no room for another instance: {instances} are remembered")]
pub struct FleetFull {
    /// Instances remembered.
    pub instances: usize,
}

/// Which instances a listing shows. What is said of a config must hold for one and the same config.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InstanceFilter {
    /// Those that report this config.
    pub config: Option<ConfigName>,
    /// Those where a config is in this state.
    pub state: Option<ReportState>,
    /// Those that run this version.
    pub version: Option<CommitId>,
    /// Those that have all these labels.
    pub labels: BTreeMap<String, String>,
}

/// One page of a listing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// Instances that match, by id.
    pub instances: Vec<Arc<InstanceView>>,
    /// The last instance that was looked at, if there are more behind it.
    pub next: Option<InstanceId>,
}

impl Fleet {
    /// Takes a report, if it is the newest of its instance, and says which one is the newest now.
    pub fn take(
        &mut self,
        instance: &InstanceId,
        report: InstanceReport,
        now: Timestamp,
    ) -> Result<(Taken, Arc<InstanceView>), FleetFull> {
        let order = |report: &InstanceReport| (report.incarnation, report.seq);
        if let Some(entry) = self.instances.get_mut(instance) {
            let newest = order(&entry.view.report);
            if order(&report) < newest {
                return Ok((Taken::Older, entry.view.clone()));
            }
            entry.heard_at = entry.heard_at.max(now);
            if order(&report) == newest {
                return Ok((Taken::Again, entry.view.clone()));
            }
        }
        let report = tidy(report);
        let bytes = weight(instance, &report);
        self.make_room(instance, bytes, now)?;
        let view = Arc::new(InstanceView {
            instance: instance.clone(),
            reported_at: now,
            report,
        });
        let entry = Entry {
            view: view.clone(),
            heard_at: now,
            bytes,
        };
        self.bytes += bytes;
        if let Some(before) = self.instances.insert(instance.clone(), entry) {
            self.bytes -= before.bytes;
        }
        Ok((Taken::Newer, view))
    }

    /// The newest report of one instance.
    pub fn get(&self, instance: &InstanceId) -> Option<&Arc<InstanceView>> {
        self.instances.get(instance).map(|entry| &entry.view)
    }

    /// Instances behind `after` that match, at most `limit`. A page may be shorter although more follow.
    pub fn list(&self, filter: &InstanceFilter, after: Option<&InstanceId>, limit: usize) -> Listing {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = self.instances.range::<InstanceId, _>((from, Bound::Unbounded));
        let mut listing = Listing::default();
        let mut last = None;
        for (instance, entry) in rest.by_ref().take(LISTING_SCAN_MAX) {
            last = Some(instance);
            if filter.matches(&entry.view.report) {
                listing.instances.push(entry.view.clone());
            }
            if listing.instances.len() >= limit {
                break;
            }
        }
        if rest.next().is_some() {
            listing.next = last.cloned();
        }
        listing
    }

    /// Number of instances remembered.
    pub fn len(&self) -> usize {
        self.instances.len()
    }

    /// Whether nobody has reported yet.
    pub fn is_empty(&self) -> bool {
        self.instances.is_empty()
    }

    /// Lets those go that have been silent for long, if that is what it takes.
    fn make_room(&mut self, instance: &InstanceId, bytes: usize, now: Timestamp) -> Result<(), FleetFull> {
        if self.has_room(instance, bytes) {
            return Ok(());
        }
        if self.sweep_from.is_none_or(|from| from <= now) {
            self.sweep(now);
        }
        if self.has_room(instance, bytes) {
            return Ok(());
        }
        Err(FleetFull {
            instances: self.instances.len(),
        })
    }

    fn has_room(&self, instance: &InstanceId, bytes: usize) -> bool {
        let before = self.instances.get(instance);
        let count = self.instances.len() + usize::from(before.is_none());
        let freed = before.map_or(0, |entry| entry.bytes);
        count <= INSTANCES_MAX && self.bytes - freed + bytes <= REPORTS_BYTES_MAX
    }

    fn sweep(&mut self, now: Timestamp) {
        let mut freed = 0;
        self.instances.retain(|_, entry| {
            let stays = now.ms_since(entry.heard_at) <= SILENCE_MAX_MS;
            if !stays {
                freed += entry.bytes;
            }
            stays
        });
        self.bytes -= freed;
        let longest_silent = self.instances.values().map(|entry| entry.heard_at).min();
        self.sweep_from =
            longest_silent.map(|heard| Timestamp(heard.0.saturating_add(SILENCE_MAX_MS).saturating_add(1)));
    }
}

impl InstanceFilter {
    /// Whether an instance with this report is shown.
    pub fn matches(&self, report: &InstanceReport) -> bool {
        let has_labels = self
            .labels
            .iter()
            .all(|(key, value)| report.labels.get(key) == Some(value));
        has_labels && self.matches_a_config(report)
    }

    fn matches_a_config(&self, report: &InstanceReport) -> bool {
        let fits = |config: &ConfigReport| {
            let running = config.running.as_ref().map(|running| &running.version);
            self.state.is_none_or(|state| config.state == state)
                && self
                    .version
                    .as_ref()
                    .is_none_or(|version| running == Some(version))
        };
        match &self.config {
            Some(name) => report.configs.get(name).is_some_and(fits),
            None if self.state.is_none() && self.version.is_none() => true,
            None => report.configs.values().any(fits),
        }
    }
}

/// The report as it is kept: texts of bounded length that are one line each.
fn tidy(mut report: InstanceReport) -> InstanceReport {
    report.client = line(&report.client, CLIENT_BYTES_MAX);
    for config in report.configs.values_mut() {
        if let Some(error) = &mut config.error {
            error.message = line(&error.message, MESSAGE_BYTES_MAX);
        }
    }
    report
}

/// The text without control characters and marks that turn the direction of writing, cut at `bytes_max`.
fn line(text: &str, bytes_max: usize) -> String {
    const CUT: char = '…';
    let mut kept = String::new();
    for c in text.chars() {
        let c = match c {
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => continue,
            // Two lines are two words, not one.
            c if c.is_control() => ' ',
            c => c,
        };
        if kept.len() + c.len_utf8() + CUT.len_utf8() > bytes_max {
            kept.push(CUT);
            break;
        }
        kept.push(c);
    }
    kept
}

/// About what a report takes in memory, in bytes.
fn weight(instance: &InstanceId, report: &InstanceReport) -> usize {
    let labels: usize = report
        .labels
        .iter()
        .map(|(key, value)| ENTRY_BYTES / 2 + key.len() + value.len())
        .sum();
    let configs: usize = report
        .configs
        .iter()
        .map(|(name, config)| ENTRY_BYTES + name.as_str().len() + config_weight(config))
        .sum();
    ENTRY_BYTES + instance.as_str().len() + report.client.len() + labels + configs
}

fn config_weight(config: &ConfigReport) -> usize {
    let running = config.running.as_ref().map_or(0, |running| {
        running.version.as_str().len() + running.digest.as_str().len()
    });
    let prepared = config
        .prepared
        .as_ref()
        .map_or(0, |version| version.as_str().len());
    let error = config.error.as_ref().map_or(0, |error| error.message.len());
    running + prepared + error
}

#[cfg(test)]
mod tests {
    use headwater_wire::{FailPhase, ReportError, Running};
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    fn id(number: usize) -> InstanceId {
        format!("i-{number:06}").parse().unwrap()
    }

    fn later(ms: i64) -> Timestamp {
        Timestamp(NOW.0 + ms)
    }

    fn version(digit: char) -> CommitId {
        digit.to_string().repeat(40).parse().unwrap()
    }

    fn report(incarnation: u64, seq: u64) -> InstanceReport {
        InstanceReport {
            incarnation,
            seq,
            ..InstanceReport::default()
        }
    }

    fn running(digit: char, state: ReportState) -> ConfigReport {
        ConfigReport {
            running: Some(Running {
                version: version(digit),
                digest: format!("sha256:{}", "0".repeat(64)).parse().unwrap(),
            }),
            generation: headwater_wire::Generation(1),
            state,
            error: None,
            prepared: None,
            source: headwater_wire::ValueSource::Server,
        }
    }

    fn with(seq: u64, configs: &[(&str, ConfigReport)], labels: &[(&str, &str)]) -> InstanceReport {
        InstanceReport {
            configs: configs
                .iter()
                .map(|(name, config)| (name.parse().unwrap(), config.clone()))
                .collect(),
            labels: labels
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
            ..report(1, seq)
        }
    }

    fn taken(fleet: &mut Fleet, report: InstanceReport, now: Timestamp) -> Taken {
        fleet.take(&id(1), report, now).unwrap().0
    }

    #[test]
    fn a_new_life_counts_from_one_again() {
        let mut fleet = Fleet::default();
        assert_eq!(taken(&mut fleet, report(5, 900), NOW), Taken::Newer);
        assert_eq!(taken(&mut fleet, report(6, 1), NOW), Taken::Newer);
        assert_eq!(taken(&mut fleet, report(5, 901), NOW), Taken::Older);
        assert_eq!(fleet.get(&id(1)).unwrap().report, report(6, 1));
    }

    #[test]
    fn the_same_report_again_changes_nothing_that_is_told() {
        let mut fleet = Fleet::default();
        taken(&mut fleet, report(1, 1), NOW);
        let before = fleet.get(&id(1)).unwrap().clone();
        assert_eq!(taken(&mut fleet, report(1, 1), later(5_000)), Taken::Again);
        assert_eq!(*fleet.get(&id(1)).unwrap(), before);
    }

    #[test]
    fn messages_are_one_line_of_bounded_length() {
        let mut fleet = Fleet::default();
        let mut config = running('a', ReportState::Failed);
        config.error = Some(ReportError {
            phase: FailPhase::Validate,
            message: format!("a\u{1b}[31m\nb\u{202e}{}", "ü".repeat(MESSAGE_BYTES_MAX)),
        });
        let hostile = InstanceReport {
            client: "x\0".repeat(CLIENT_BYTES_MAX),
            ..with(1, &[("c", config)], &[])
        };
        taken(&mut fleet, hostile, NOW);
        let kept = &fleet.get(&id(1)).unwrap().report;
        let message = &kept
            .configs
            .values()
            .next()
            .unwrap()
            .error
            .as_ref()
            .unwrap()
            .message;
        assert!(
            message.starts_with("a [31m bü") && message.ends_with("ü…"),
            "{message}"
        );
        assert!(message.len() <= MESSAGE_BYTES_MAX);
        assert!(kept.client.len() <= CLIENT_BYTES_MAX && !kept.client.contains('\0'));
    }

    #[test]
    fn a_full_fleet_lets_the_long_silent_go_and_otherwise_refuses() {
        let mut fleet = Fleet::default();
        for number in 0..INSTANCES_MAX {
            let heard = if number < 10 { NOW } else { later(1_000) };
            fleet.take(&id(number), report(1, 1), heard).unwrap();
        }
        let one_more = |fleet: &mut Fleet, number: usize, now: Timestamp| {
            fleet
                .take(&id(INSTANCES_MAX + number), report(1, 1), now)
                .map(|(taken, _)| taken)
        };
        let full = FleetFull {
            instances: INSTANCES_MAX,
        };
        assert_eq!(one_more(&mut fleet, 0, later(2_000)), Err(full));
        // Who is known is heard all the same.
        fleet.take(&id(3), report(1, 2), later(2_000)).unwrap();
        let next_day = later(SILENCE_MAX_MS + 500);
        assert_eq!(one_more(&mut fleet, 0, next_day), Ok(Taken::Newer));
        assert_eq!(fleet.len(), INSTANCES_MAX - 9 + 1);
        assert!(fleet.get(&id(3)).is_some(), "it was heard since");
        assert!(fleet.get(&id(4)).is_none());
    }

    #[test]
    fn large_reports_fill_the_fleet_before_small_ones_do() {
        let mut fleet = Fleet::default();
        let mut config = running('a', ReportState::Failed);
        config.error = Some(ReportError {
            phase: FailPhase::Validate,
            message: "x".repeat(MESSAGE_BYTES_MAX),
        });
        let names: Vec<String> = (0..REPORT_CONFIGS_MAX).map(|n| format!("c{n}")).collect();
        let configs: Vec<(&str, ConfigReport)> =
            names.iter().map(|name| (name.as_str(), config.clone())).collect();
        let large = with(1, &configs, &[]);
        fleet.bytes = REPORTS_BYTES_MAX - weight(&id(0), &large) + 1;
        assert!(fleet.take(&id(0), large, NOW).is_err());
        assert!(fleet.take(&id(0), report(1, 1), NOW).is_ok());
    }

    #[test]
    fn a_listing_is_filtered_by_one_and_the_same_config() {
        let mut fleet = Fleet::default();
        let both = [
            ("a", running('a', ReportState::Confirmed)),
            ("b", running('b', ReportState::Failed)),
        ];
        fleet
            .take(&id(1), with(1, &both, &[("region", "eu")]), NOW)
            .unwrap();
        fleet
            .take(&id(2), with(1, &both[..1], &[("region", "us")]), NOW)
            .unwrap();
        fleet.take(&id(3), report(1, 1), NOW).unwrap();
        let shown = |filter: &InstanceFilter| -> Vec<String> {
            let listing = fleet.list(filter, None, 10);
            assert_eq!(listing.next, None);
            let ids = listing.instances.iter();
            ids.map(|view| view.instance.to_string()).collect()
        };
        let none = InstanceFilter::default();
        assert_eq!(shown(&none), ["i-000001", "i-000002", "i-000003"]);
        let failed = InstanceFilter {
            state: Some(ReportState::Failed),
            ..none.clone()
        };
        assert_eq!(shown(&failed), ["i-000001"]);
        let failed_elsewhere = InstanceFilter {
            config: Some("a".parse().unwrap()),
            ..failed
        };
        assert!(shown(&failed_elsewhere).is_empty());
        let mixed = InstanceFilter {
            state: Some(ReportState::Failed),
            version: Some(version('a')),
            ..none.clone()
        };
        assert!(shown(&mixed).is_empty());
        let in_us = InstanceFilter {
            version: Some(version('a')),
            labels: BTreeMap::from([("region".to_owned(), "us".to_owned())]),
            ..none
        };
        assert_eq!(shown(&in_us), ["i-000002"]);
    }

    #[test]
    fn a_listing_that_finds_nothing_for_long_says_where_to_go_on() {
        let mut fleet = Fleet::default();
        let total = LISTING_SCAN_MAX + 5;
        for number in 0..total {
            fleet.take(&id(number), report(1, 1), NOW).unwrap();
        }
        let failed = InstanceFilter {
            state: Some(ReportState::Failed),
            ..InstanceFilter::default()
        };
        let first = fleet.list(&failed, None, 100);
        assert!(first.instances.is_empty());
        assert_eq!(first.next, Some(id(LISTING_SCAN_MAX - 1)));
        assert_eq!(fleet.list(&failed, first.next.as_ref(), 100), Listing::default());
    }

    proptest! {
        #[test]
        fn however_reports_arrive_the_newest_one_is_kept(
            mut reports in proptest::collection::vec((0..3_u64, 1..6_u64), 1..30),
            turns in proptest::collection::vec(any::<proptest::sample::Index>(), 0..30),
        ) {
            let newest = *reports.iter().max().unwrap();
            for turn in turns {
                let at = turn.index(reports.len());
                reports.swap(0, at);
            }
            let mut fleet = Fleet::default();
            for (incarnation, seq) in &reports {
                let before = fleet.get(&id(1)).map(|view| (view.report.incarnation, view.report.seq));
                let (taken, now) = fleet.take(&id(1), report(*incarnation, *seq), NOW).unwrap();
                prop_assert_eq!(taken == Taken::Older, before.is_some_and(|before| before > (*incarnation, *seq)));
                prop_assert!(before.is_none_or(|before| before <= (now.report.incarnation, now.report.seq)));
            }
            prop_assert_eq!(fleet.get(&id(1)).map(|view| (view.report.incarnation, view.report.seq)), Some(newest));
        }

        #[test]
        fn pages_make_up_the_whole_listing(count in 0..40_usize, limit in 1..9_usize) {
            let mut fleet = Fleet::default();
            for number in 0..count {
                fleet.take(&id(number), report(1, 1), NOW).unwrap();
            }
            let (mut after, mut seen) = (None, Vec::new());
            loop {
                let page = fleet.list(&InstanceFilter::default(), after.as_ref(), limit);
                seen.extend(page.instances.iter().map(|view| view.instance.clone()));
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            prop_assert_eq!(seen, (0..count).map(id).collect::<Vec<_>>());
        }
    }
}
