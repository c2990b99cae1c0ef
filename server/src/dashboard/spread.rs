//! How a version came to the instances of a config: a curve, and the same as a table.
//!
//! Invariant: it is told from what the instances said themselves, as the API tells it.

use headwater_core::{count, span};
use headwater_wire::{CommitId, ConfigName, PropagationShare, PropagationView};

use super::asked::Asked;
use super::picture::Curve;
use super::words::{Link, When};

/// How a version came to the instances.
pub(super) struct Spread {
    /// Config.
    pub config: Link,
    /// Version.
    pub version: Link,
    /// The curve; none while nobody has the version.
    pub curve: Option<Curve>,
    /// When the first had it, and the last that has it.
    pub ends: Option<(When, When)>,
    /// How far it is, in words.
    pub said: String,
    /// When 50, 95 and 100 of a hundred had it.
    pub shares: Vec<Share>,
}

/// When a part of them had it.
pub(super) struct Share {
    /// So many of a hundred.
    pub percent: u8,
    /// When they had all said so.
    pub at: Option<When>,
    /// How long after the commit that was.
    pub after: Option<String>,
}

impl Spread {
    /// Asks how a version came to them; what cannot be told is left out.
    pub(super) async fn load(asked: &Asked, config: &ConfigName, version: &CommitId) -> Option<Self> {
        let address = asked.v1().part("propagation").query("config", config.as_str());
        let view = asked.api.get(address.query("version", version.as_str())).await;
        view.ok().map(|view: PropagationView| Self::of(asked, &view))
    }

    fn of(asked: &Asked, view: &PropagationView) -> Self {
        let links = asked.links();
        let when = |at| When::new(asked.now, at);
        let share = |share: &PropagationShare| Share {
            percent: share.percent,
            at: share.at.map(when),
            after: share.after_ms.map(span),
        };
        let ends = view.points.first().zip(view.points.last());
        Self {
            config: Link::new(links.config(&view.config), view.config.to_string()),
            version: Link::commit(&links, &view.version),
            curve: Curve::of(view),
            ends: ends.map(|(first, last)| (when(first.at), when(last.at))),
            said: format!(
                "{} of {} {} run it",
                view.arrived,
                count(view.instances, "instance"),
                if view.arrived == 1 { "has" } else { "have" }
            ),
            shares: view.shares.iter().map(share).collect(),
        }
    }
}
