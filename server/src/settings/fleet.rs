//! How often instances report, and when one is given up: `[fleet]`.
//!
//! Invariant: an instance has the time to miss a report before it is lost, or a lost packet would fail a rollout.

use std::time::Duration;

use headwater_core::Heartbeat;
use headwater_validators::document::{Member, Range};

use super::keys::{Key, put};
use super::source::{Mistake, Place};
use super::table::{apply, only_table};
use super::values::duration;

/// Shortest and longest time between two reports: below, a large fleet does nothing else; above, nobody is known.
const HEARTBEAT_MIN: Duration = Duration::from_secs(1);
const HEARTBEAT_MAX: Duration = Duration::from_mins(10);

/// When instances report, and when they are given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FleetSettings {
    /// How often an instance reports while nothing changes.
    pub heartbeat: Duration,
    /// Silence after which it is lost.
    pub lost_after: Duration,
}

impl Default for FleetSettings {
    fn default() -> Self {
        let Heartbeat {
            every_ms,
            lost_after_ms,
        } = Heartbeat::default();
        Self {
            heartbeat: Duration::from_millis(every_ms),
            lost_after: Duration::from_millis(lost_after_ms),
        }
    }
}

impl From<FleetSettings> for Heartbeat {
    fn from(settings: FleetSettings) -> Self {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Self {
            every_ms: ms(settings.heartbeat),
            lost_after_ms: ms(settings.lost_after),
        }
    }
}

/// The values while they are being collected.
#[derive(Debug, Clone, Default)]
pub(super) struct FleetDraft {
    /// Where one of them was set last.
    place: Option<Place>,
    settings: FleetSettings,
}

pub(super) const FLEET_KEYS: &[Key<FleetDraft>] = &[
    Key {
        name: "heartbeat",
        help: "how often an instance reports while nothing changes; it is live while at most one is missing",
        default: "30s",
        set: |draft, text| put(&mut draft.settings.heartbeat, heartbeat(text)),
    },
    Key {
        name: "lost_after",
        help: "silence after which an instance is given up",
        default: "5m",
        set: |draft, text| put(&mut draft.settings.lost_after, duration(text)),
    },
];

/// The variable of a key.
pub(super) fn fleet_variable(key: &str) -> String {
    format!("HEADWATER_FLEET_{}", key.to_ascii_uppercase())
}

fn heartbeat(text: &str) -> Result<Duration, String> {
    let heartbeat = duration(text)?;
    if !(HEARTBEAT_MIN..=HEARTBEAT_MAX).contains(&heartbeat) {
        return Err(format!("expected between `1s` and `10m`, not `{text}`"));
    }
    Ok(heartbeat)
}

impl FleetDraft {
    /// Something of it is set here.
    pub(super) fn at(&mut self, place: Place) -> &mut Self {
        self.place = Some(place);
        self
    }

    /// Reads the table of the file.
    pub(super) fn read(
        &mut self,
        table: &Member,
        place: &dyn Fn(Range) -> Place,
        mistakes: &mut Vec<Mistake>,
    ) {
        for member in only_table(table, place(table.key_range), mistakes) {
            let at = place(member.key_range);
            apply(FLEET_KEYS, self.at(at.clone()), member, at, mistakes);
        }
    }

    /// The values, and what is wrong with them together.
    pub(super) fn finish(self, mistakes: &mut Vec<Mistake>) -> FleetSettings {
        let heartbeat = Heartbeat::from(self.settings);
        if heartbeat.lost_after_ms <= heartbeat.live_ms() {
            let message = "`lost_after` is too short: an instance is live for 2.5 heartbeats without a word";
            let hint = "set it to three times `heartbeat`, or longer";
            mistakes.push(Mistake::new(self.place.unwrap_or(Place::Whole), message).hint(hint));
        }
        self.settings
    }
}

#[cfg(test)]
mod tests {
    use crate::settings::{Flags, Settings, load};

    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Settings, Vec<String>> {
        let flags = Flags {
            values: vec![("--repo", "url", "/srv/config.git".to_owned())],
            ..Flags::default()
        };
        let variables: Vec<_> = variables
            .iter()
            .map(|(name, value)| (format!("HEADWATER_FLEET_{name}"), (*value).to_owned()))
            .collect();
        load(&flags, &variables).map_err(|mistakes| {
            let told = mistakes
                .iter()
                .map(|mistake| format!("{}: {}", mistake.place, mistake.message));
            told.collect()
        })
    }

    #[test]
    fn heartbeats_are_half_a_minute_apart_unless_they_are_set() {
        assert_eq!(Heartbeat::from(read(&[]).unwrap().fleet), Heartbeat::default());
        let set = read(&[("HEARTBEAT", "2s"), ("LOST_AFTER", "6s")]).unwrap();
        assert_eq!(
            Heartbeat::from(set.fleet),
            Heartbeat {
                every_ms: 2_000,
                lost_after_ms: 6_000
            }
        );
    }

    #[test]
    fn an_instance_is_not_lost_while_it_is_live() {
        insta::assert_debug_snapshot!(read(&[("HEARTBEAT", "2m")]).unwrap_err(), @r#"
        [
            "environment HEADWATER_FLEET_HEARTBEAT: `lost_after` is too short: an instance is live for 2.5 heartbeats without a word",
        ]
        "#);
        insta::assert_debug_snapshot!(read(&[("HEARTBEAT", "0s"), ("LOST_AFTER", "soon")]).unwrap_err(), @r#"
        [
            "environment HEADWATER_FLEET_HEARTBEAT: `heartbeat`: expected between `1s` and `10m`, not `0s`",
            "environment HEADWATER_FLEET_LOST_AFTER: `lost_after`: expected a duration such as `30s`, `500ms` or `5m`, not `soon`",
        ]
        "#);
    }
}
