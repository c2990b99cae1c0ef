//! What an operator reads: one line for each thing that changed, in words that say what it means.
//!
//! Invariant: a line is worked out from two states, so that nothing is told twice. What is deliberately absent:
//! refusals by the check and the commands, which are told where they happen, with the version.

use headwater_wire::{ConfigName, ConfigReport, FailPhase, ReportState};
use tracing::{Level, debug, info, warn};

use crate::{ClientStatus, Transport};

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    level: Level,
    text: String,
}

impl Line {
    fn new(level: Level, text: impl Into<String>) -> Self {
        Self {
            level,
            text: text.into(),
        }
    }

    /// Writes it to the log.
    pub(crate) fn say(&self) {
        match self.level {
            Level::WARN | Level::ERROR => warn!("{}", self.text),
            Level::INFO => info!("{}", self.text),
            _ => debug!("{}", self.text),
        }
    }
}

/// What is to be told of the way from one state to the next.
pub(crate) fn lines(old: &ClientStatus, new: &ClientStatus) -> Vec<Line> {
    let mut lines = Vec::new();
    lines.extend(connection(old, new));
    if new.superseded && !old.superseded {
        let text = "another process reports under this instance's name; give each its own with `--instance`";
        lines.push(Line::new(Level::WARN, text));
    }
    for trouble in new.trouble.difference(&old.trouble) {
        lines.push(Line::new(Level::WARN, trouble.clone()));
    }
    for (config, report) in &new.configs {
        lines.extend(of_config(config, old.configs.get(config), report));
    }
    lines
}

fn connection(old: &ClientStatus, new: &ClientStatus) -> Option<Line> {
    match (old.transport, new.transport) {
        (before, Some(now)) if before != Some(now) => {
            let how = match now {
                Transport::Stream | Transport::Socket => "the server is reached, and changes come at once",
                Transport::LongPoll => {
                    "the server is reached by long polls, since streams do not get through"
                }
                Transport::Poll => {
                    "the server is asked now and then, since neither streams nor long polls get through"
                }
            };
            Some(Line::new(Level::INFO, how))
        }
        (_, None) if new.error.is_some() && (old.transport.is_some() || old.error.is_none()) => {
            let why = new.error.as_deref().unwrap_or_default();
            let is_here = new.configs.values().any(|report| report.running.is_some());
            let stays = if is_here {
                ", and what is here stays in use"
            } else {
                ""
            };
            let text = format!("no news from the server{stays}: {why}");
            Some(Line::new(Level::WARN, text))
        }
        _ => None,
    }
}

fn of_config(config: &ConfigName, old: Option<&ConfigReport>, new: &ConfigReport) -> Option<Line> {
    if let Some(error) = &new.error
        && old.and_then(|old| old.error.as_ref()) != Some(error)
    {
        let phase = error.phase.as_str();
        let stays = match &new.running {
            Some(running) => format!("{} stays in use", running.version.short()),
            None => "there is no version to use".to_owned(),
        };
        return match error.phase {
            FailPhase::Prepare | FailPhase::Activate => None,
            FailPhase::Fence
            | FailPhase::Fetch
            | FailPhase::Verify
            | FailPhase::Validate
            | FailPhase::Crash
            | FailPhase::Health
            | FailPhase::Other => {
                let text = format!("{config} is not further ({phase}): {}; {stays}", error.message);
                Some(Line::new(Level::WARN, text))
            }
        };
    }
    let was = old.map(|old| old.state);
    match (new.state, &new.running) {
        (ReportState::Prepared, _) if was != Some(ReportState::Prepared) => {
            let version = new.prepared.as_ref()?.short();
            let text = format!("{config} is ready for {version}, and waits for the word to use it");
            Some(Line::new(Level::INFO, text))
        }
        (ReportState::Confirmed, Some(running)) if was == Some(ReportState::Applied) => {
            let text = format!("{config} counts {} as good", running.version.short());
            Some(Line::new(Level::INFO, text))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use headwater_wire::{ReportError, Running};

    use super::*;

    fn report(state: ReportState, error: Option<(FailPhase, &str)>) -> ConfigReport {
        ConfigReport {
            running: Some(Running {
                version: "1".repeat(40).parse().unwrap(),
                digest: headwater_render::digest("{}"),
            }),
            generation: headwater_wire::Generation(1),
            state,
            error: error.map(|(phase, message)| ReportError {
                phase,
                message: message.to_owned(),
            }),
            prepared: (state == ReportState::Prepared).then(|| "2".repeat(40).parse().unwrap()),
            source: headwater_wire::ValueSource::Server,
        }
    }

    fn status(transport: Option<Transport>, report: Option<ConfigReport>) -> ClientStatus {
        ClientStatus {
            transport,
            error: transport
                .is_none()
                .then(|| "cannot reach the server at `http://c:7171`".to_owned()),
            configs: report
                .map(|report| BTreeMap::from([("payments/prod".parse().unwrap(), report)]))
                .unwrap_or_default(),
            ..ClientStatus::default()
        }
    }

    #[test]
    fn each_step_is_one_line_and_none_is_told_twice() {
        let stream = Some(Transport::Stream);
        let steps = [
            ClientStatus::default(),
            status(None, None),
            status(stream, None),
            status(stream, Some(report(ReportState::Prepared, None))),
            status(stream, Some(report(ReportState::Applied, None))),
            status(stream, Some(report(ReportState::Confirmed, None))),
            status(stream, Some(report(ReportState::Confirmed, None))),
            status(None, Some(report(ReportState::Confirmed, None))),
            status(
                Some(Transport::LongPoll),
                Some(report(ReportState::Confirmed, None)),
            ),
            status(
                Some(Transport::LongPoll),
                Some(report(
                    ReportState::Failed,
                    Some((FailPhase::Crash, "the program ended 2 times on probation")),
                )),
            ),
            status(
                Some(Transport::LongPoll),
                Some(report(
                    ReportState::Failed,
                    Some((FailPhase::Prepare, "told elsewhere")),
                )),
            ),
        ];
        let mut told = Vec::new();
        for pair in steps.windows(2) {
            for line in lines(&pair[0], &pair[1]) {
                told.push(format!("{} {}", line.level, line.text));
            }
        }
        insta::assert_snapshot!(told.join("\n"), @"
        WARN no news from the server: cannot reach the server at `http://c:7171`
        INFO the server is reached, and changes come at once
        INFO payments/prod is ready for 2222222222, and waits for the word to use it
        INFO payments/prod counts 1111111111 as good
        WARN no news from the server, and what is here stays in use: cannot reach the server at `http://c:7171`
        INFO the server is reached by long polls, since streams do not get through
        WARN payments/prod is not further (crash): the program ended 2 times on probation; 1111111111 stays in use
        ");
    }
}
