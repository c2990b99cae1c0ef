//! `headwater instances INSTANCE`: what one instance runs, and what it ran when.
//!
//! Invariant: what nobody heard is not told as if somebody had: of a time in which the instance was silent, it is said
//! when it was heard last.

use std::io;
use std::str::FromStr;

use headwater_core::count;
use headwater_wire::{ConfigName, InstanceId, InstanceView, Ran, Timestamp, ValueSource};

use super::failure::{Exit, Failure};
use super::instances::{heard, tone};
use super::options::{Output, Session};
use super::out::{Out, Tone};
use super::text::{Cell, clean, columns, time_of_day};

const DAY_MS: i64 = 86_400_000;

/// A time as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Time {
    /// On a day of its own.
    At(Timestamp),
    /// The last time that the clock showed it, in ms since midnight.
    OfDay(i64),
}

/// Reads a time in UTC.
pub(super) fn time(text: &str) -> Result<Time, &'static str> {
    if let Ok(at) = Timestamp::from_str(text) {
        return Ok(Time::At(at));
    }
    let expected = "expected a time in UTC such as `14:03`, `14:03:20` or `2026-01-31T14:03:00Z`";
    let mut parts = text.strip_suffix('Z').unwrap_or(text).split(':');
    let mut part = |below: i64| {
        let part = parts.next()?;
        let is_number = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        part.parse()
            .ok()
            .filter(|number| is_number && (0..below).contains(number))
    };
    let (hour, minute) = part(24).zip(part(60)).ok_or(expected)?;
    let has_seconds = text.matches(':').count() == 2;
    let second = if has_seconds { part(60).ok_or(expected)? } else { 0 };
    if parts.next().is_some() {
        return Err(expected);
    }
    Ok(Time::OfDay(((hour * 60 + minute) * 60 + second) * 1_000))
}

impl Time {
    /// The moment that is meant now.
    fn before(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::OfDay(ms) => {
                let midnight = now.0 - now.0.rem_euclid(DAY_MS);
                let today = Timestamp(midnight + ms);
                if today <= now {
                    today
                } else {
                    Timestamp(today.0 - DAY_MS)
                }
            }
        }
    }
}

/// Lets the service forget an instance.
pub(super) async fn forget(
    session: &Session,
    instance: &InstanceId,
    out: &mut Out<'_>,
) -> Result<Exit, Failure> {
    session.repo().await?.forget(instance).await?;
    match session.output {
        Output::Json => out.json(&serde_json::json!({ "forgotten": instance }))?,
        Output::Text => {
            let name = clean(instance.as_str());
            out.line(format!(
                "`{name}` is forgotten: its next report counts as its first"
            ))?;
        }
    }
    Ok(Exit::Fine)
}

/// Shows one instance, or what it ran at a time.
pub(super) async fn run(
    session: &Session,
    (instance, config): (&InstanceId, Option<&ConfigName>),
    at: Option<Time>,
    out: &mut Out<'_>,
) -> Result<Exit, Failure> {
    let at = at.map(|at| at.before((session.now)()));
    let mut view = session.repo().await?.instance(instance, at).await?;
    if let Some(config) = config {
        view.report.configs.retain(|name, _| name == config);
        view.standings.retain(|name, _| name == config);
        view.history.retain(|name, _| name == config);
    }
    match (session.output, at) {
        (Output::Json, _) => out.json(&view)?,
        (Output::Text, None) => print(&view, (session.now)(), out)?,
        (Output::Text, Some(at)) => print_at(&view, at, out)?,
    }
    Ok(Exit::Fine)
}

fn print(view: &InstanceView, now: Timestamp, out: &mut Out<'_>) -> io::Result<()> {
    let report = &view.report;
    let labels: Vec<String> = report
        .labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let (tone, heard) = heard(view, now);
    let paint = out.paint();
    out.line(format!(
        "{}  {}",
        paint.apply(Tone::Strong, &clean(view.instance.as_str())),
        paint.apply(tone, &heard)
    ))?;
    for (what, text) in [
        ("client", clean(&report.client)),
        ("labels", clean(&labels.join(" "))),
    ] {
        if !text.is_empty() {
            out.line(format!("  {what}: {text}"))?;
        }
    }
    for (config, standing) in &view.standings {
        let assigned = standing.assigned.as_ref();
        let assigned = assigned.map_or("nothing".to_owned(), |assigned| {
            format!(
                "{} (generation {})",
                assigned.version.short(),
                assigned.generation
            )
        });
        let restarts = match standing.restarts as usize {
            0 => String::new(),
            restarts => format!(
                ", and has begun anew {} since it was told",
                count(restarts, "time")
            ),
        };
        out.line(format!(
            "  {} should run {assigned}{restarts}",
            clean(config.as_str())
        ))?;
    }
    if view.history.is_empty() {
        return Ok(());
    }
    out.line("")?;
    let titles = ["CONFIG", "FROM", "LAST HEARD", "RAN", "STATE", "LIFE"];
    let mut table = vec![titles.map(|title| (Tone::Dim, title.to_owned())).to_vec()];
    for (config, history) in &view.history {
        table.extend(history.iter().map(|ran| row(config, ran)));
    }
    columns(&table, paint).iter().try_for_each(|line| out.line(line))
}

fn row(config: &ConfigName, ran: &Ran) -> Vec<Cell> {
    let failed = ran
        .failed
        .map_or(String::new(), |phase| format!(": {}", phase.as_str()));
    vec![
        (Tone::Normal, clean(config.as_str())),
        (Tone::Normal, moment(ran.from)),
        (Tone::Normal, moment(ran.until)),
        (Tone::Normal, what(ran)),
        (tone(ran.state), format!("{}{failed}", ran.state.as_str())),
        (Tone::Dim, ran.incarnation.to_string()),
    ]
}

fn print_at(view: &InstanceView, at: Timestamp, out: &mut Out<'_>) -> io::Result<()> {
    let instance = clean(view.instance.as_str());
    if view.history.is_empty() {
        let at = moment(at);
        return out.line(format!(
            "nothing is known of what `{instance}` ran at {at}: its history begins later"
        ));
    }
    for (config, history) in &view.history {
        let Some(ran) = history.first() else {
            continue;
        };
        let config = clean(config.as_str());
        let what = what(ran);
        let state = ran.state.as_str();
        out.line(if at <= ran.until {
            format!("{config}: ran {what} at {} ({state})", moment(at))
        } else {
            let until = moment(ran.until);
            format!("{config}: ran {what} when it was last heard before that, at {until} ({state})")
        })?;
        if let Some(running) = &ran.running {
            out.line(format!(
                "  who set a value there: headwater explain {config} /KEY --at {}",
                running.version.short()
            ))?;
        }
    }
    Ok(())
}

/// What it ran, and where that came from if not from the server.
fn what(ran: &Ran) -> String {
    let version = ran
        .running
        .as_ref()
        .map_or("nothing", |running| running.version.short());
    if ran.source == ValueSource::Server {
        return version.to_owned();
    }
    format!("{version} ({})", ran.source.as_str().replace('_', " "))
}

/// Day and time of day, in UTC.
fn moment(at: Timestamp) -> String {
    let text = at.to_string();
    let day = text.split('T').next().unwrap_or_default();
    format!("{day} {}", time_of_day(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_day_is_the_last_one_that_was() {
        let now: Timestamp = "2026-01-31T14:03:00Z".parse().unwrap();
        let read = |text: &str| time(text).unwrap().before(now).to_string();
        assert_eq!(read("14:03"), "2026-01-31T14:03:00.000Z");
        assert_eq!(read("14:03:20"), "2026-01-30T14:03:20.000Z");
        assert_eq!(read("00:00Z"), "2026-01-31T00:00:00.000Z");
        assert_eq!(read("2025-12-31T23:59:59Z"), "2025-12-31T23:59:59.000Z");
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "14",
            "14:3",
            "24:00",
            "14:60",
            "14:03:60",
            "14:03:",
            "14:03:01:02",
            "+1:00",
            "now",
        ] {
            assert!(time(text).is_err(), "{text}");
        }
    }
}
