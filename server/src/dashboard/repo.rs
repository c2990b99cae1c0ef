//! The first page of a repository: which version is where, what failed and why, what waits for a person.

use askama::Template;
use headwater_wire::{
    CommitId, ConfigCounts, ConfigName, FleetView, HoldList, HoldView, RepoList, ReportState, RolloutList,
    SourceState, VersionCounts,
};

use super::api::{Address, Told};
use super::asked::{Asked, Links};
use super::commit::Finding;
use super::frame::{Frame, Section};
use super::instances::Table;
use super::orders::Waiting;
use super::picture::{self, Bar};
use super::rollouts::{Moving, config_links};
use super::show::{Page, live_block};
use super::spread::Spread;
use super::words::{Link, When, spaced};

/// Curves that are drawn.
const SPREADS_MAX: usize = 2;
/// Versions of a config that are named.
const VERSIONS_MAX: usize = 3;

/// Instances, counted.
#[derive(Debug, Clone, Copy, Default)]
struct Totals {
    all: u64,
    in_sync: u64,
    failed: u64,
    moving: u64,
    unknown: u64,
}

/// One config of the fleet.
struct Counted {
    config: Link,
    totals: Totals,
    bar: Bar,
    versions: Vec<Version>,
    failed: String,
    unknown: String,
}

/// A version, and how many run it.
struct Version {
    link: Option<Link>,
    word: &'static str,
    live: u64,
}

/// What waits for a person to end it.
pub(super) struct Held {
    /// What kind it is.
    pub kind: String,
    /// Commit that is held back.
    pub head: Link,
    /// Since when.
    pub since: When,
    /// How it ends.
    pub hint: String,
    /// Configs concerned, where it is not all.
    pub configs: Vec<Link>,
    /// Why, in the words of who asked.
    pub reason: Option<String>,
    /// What a person can do here.
    pub act: Link,
}

impl Held {
    /// A hold.
    pub(super) fn of(asked: &Asked, hold: &HoldView) -> Self {
        let links = asked.links();
        let act = if hold.kind == SourceState::HistoryRewritten.as_str() {
            let page = links.page("accept").query("head", hold.head.as_str());
            Link::new(page.into_text(), "accept the new history".to_owned())
        } else {
            let page = links.page("holds").part(&hold.id).part("release");
            Link::new(page.into_text(), "release".to_owned())
        };
        Self {
            kind: spaced(&hold.kind),
            head: Link::commit(&links, &hold.head),
            since: When::new(asked.now, hold.since),
            hint: hold.hint.clone(),
            configs: config_links(&links, &hold.configs),
            reason: hold.reason.clone(),
            act,
        }
    }
}

/// The page.
#[derive(Template)]
#[template(path = "fleet.html", blocks = ["live"])]
pub(super) struct Fleet {
    frame: Frame,
    totals: Totals,
    counted: Vec<Counted>,
    waiting: Vec<Waiting>,
    moving: Vec<Moving>,
    holds: Vec<Held>,
    findings: Vec<Finding>,
    spreads: Vec<Spread>,
    table: Table,
}

impl Page for Fleet {
    async fn load(asked: &Asked) -> Told<Self> {
        // One answer for the frame and for what it says is wrong, so that they are of one moment.
        let list: RepoList = asked.api.get(Address::new("/v1/repos")).await?;
        let repo = list.repos.iter().find(|repo| repo.name.as_str() == asked.repo());
        let findings = repo.map(|repo| repo.findings.as_slice()).unwrap_or_default();
        let fleet: FleetView = asked.api.get(asked.v1().part("fleet")).await?;
        let rollouts: RolloutList = asked.api.get(asked.v1().part("rollouts")).await?;
        let holds: HoldList = asked.api.get(asked.v1().part("holds")).await?;
        let links = asked.links();
        let counted: Vec<Counted> = fleet
            .configs
            .iter()
            .map(|(config, counts)| Counted::of(&links, config, counts))
            .collect();
        let moving = rollouts
            .rollouts
            .iter()
            .filter(|view| view.state.needs_a_person() || !view.state.is_final());
        Ok(Self {
            frame: Frame::of(asked, Section::Fleet, "Fleet".to_owned(), &list.repos),
            totals: counted.iter().fold(Totals::default(), Totals::and),
            counted,
            waiting: Waiting::all(asked).await?,
            moving: moving.map(|view| Moving::of(asked, view)).collect(),
            holds: holds.holds.iter().map(|hold| Held::of(asked, hold)).collect(),
            findings: findings.iter().map(|finding| Finding::of(finding, &[])).collect(),
            spreads: spreads(asked, &rollouts, &fleet).await,
            table: Table::load(asked).await?,
        })
    }

    live_block!();
}

/// How versions came to instances: those that move; where none does, the one that most instances run.
async fn spreads(asked: &Asked, rollouts: &RolloutList, fleet: &FleetView) -> Vec<Spread> {
    let moving = rollouts.rollouts.iter().filter(|view| !view.state.is_final());
    let moving = moving.map(|view| (&view.config, &view.target));
    let mut shown: Vec<(&ConfigName, &CommitId)> = moving.take(SPREADS_MAX).collect();
    if shown.is_empty() {
        let largest = fleet.configs.iter().max_by_key(|(_, counts)| counts.live);
        let newest = largest.and_then(|(config, counts)| {
            let version = counts.versions.iter().find_map(|one| one.version.as_ref())?;
            Some((config, version))
        });
        shown.extend(newest);
    }
    let mut spreads = Vec::new();
    for (config, version) in shown {
        let spread = Spread::load(asked, config, version).await;
        spreads.extend(spread.filter(|spread| spread.curve.is_some()));
    }
    spreads
}

impl Totals {
    fn of(counts: &ConfigCounts) -> Self {
        let live = |state| picture::in_state(counts, state);
        Self {
            all: counts.instances,
            in_sync: counts.in_sync,
            failed: live(ReportState::Failed),
            moving: live(ReportState::Pending) + live(ReportState::Prepared),
            unknown: counts.stale + counts.lost,
        }
    }

    fn and(self, counted: &Counted) -> Self {
        let other = counted.totals;
        Self {
            all: self.all + other.all,
            in_sync: self.in_sync + other.in_sync,
            failed: self.failed + other.failed,
            moving: self.moving + other.moving,
            unknown: self.unknown + other.unknown,
        }
    }
}

impl Counted {
    fn of(links: &Links, config: &ConfigName, counts: &ConfigCounts) -> Self {
        let filtered = |state: &str| {
            let page = links.page("instances").query("config", config.as_str());
            page.query("state", state).into_text()
        };
        let live = counts.versions.iter().map(|version| Version::of(links, version));
        let versions = live.filter(|version| version.live > 0).take(VERSIONS_MAX);
        Self {
            config: Link::new(links.config(config), config.to_string()),
            totals: Totals::of(counts),
            bar: Bar::of_config(counts),
            versions: versions.collect(),
            failed: filtered("failed"),
            unknown: filtered("unknown"),
        }
    }
}

impl Version {
    fn of(links: &Links, version: &VersionCounts) -> Self {
        Self {
            link: version.version.as_ref().map(|commit| Link::commit(links, commit)),
            word: if version.rest { "others" } else { "none of ours" },
            live: version.states.values().sum(),
        }
    }
}
