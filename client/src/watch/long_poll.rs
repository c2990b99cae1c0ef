//! A turn of long polls: one request for each config, held by the server until there is something to tell.

use std::time::Duration;

use headwater_wire::ConfigName;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::Transport;
use super::ladder::Seen;
use super::run::Watcher;
use super::session::Stop;
use crate::answer::Fetched;
use crate::backoff::Pace;
use crate::error::{ApiError, Stage};

/// Pause before a config that is refused, because it is gone, is asked for again.
const REFUSED_PAUSE: Duration = Duration::from_mins(1);

/// One long poll that came back.
struct Polled {
    config: ConfigName,
    pace: Pace,
    took: Duration,
    outcome: Result<Fetched, ApiError>,
}

impl Watcher {
    /// Polls all configs side by side, until it is time to try something better.
    pub(super) async fn long_poll(&mut self) -> Result<(), Stop> {
        self.compare().await?;
        // What was compared was an answer; else the first answer is that of the first poll.
        let mut connected = !self.session.to_compare().is_empty();
        if connected {
            self.session.connected(Transport::LongPoll).await?;
        }
        let mut calls = JoinSet::new();
        for config in self.session.request.configs.clone() {
            calls.spawn(self.call(config, Pace::new(), Duration::ZERO));
        }
        while let Some(joined) = calls.join_next().await {
            // A call neither panics nor is aborted while the set lives.
            let Ok(Polled {
                config,
                mut pace,
                took,
                outcome,
            }) = joined
            else {
                continue;
            };
            let pause = match outcome {
                Err(error) if self.session.answered && error.is_permanent() => REFUSED_PAUSE,
                Err(error) => {
                    if is_cut(&error) {
                        self.ladder.saw(Seen::Cut(took), Instant::now());
                    }
                    return Err(error.into());
                }
                Ok(fetched) => {
                    if !connected {
                        connected = true;
                        self.session.connected(Transport::LongPoll).await?;
                    }
                    if matches!(fetched, Fetched::NotModified(_)) {
                        // It was held to the end, and came through.
                        self.ladder.saw(Seen::Good, Instant::now());
                    }
                    self.session.fetched(&config, fetched).await?;
                    self.works();
                    pace.after(took)
                }
            };
            if self.ladder.climb_at().is_some_and(|at| at <= Instant::now()) {
                return Err(Stop::Climb);
            }
            calls.spawn(self.call(config, pace, pause));
        }
        Ok(())
    }

    fn call(
        &self,
        config: ConfigName,
        pace: Pace,
        pause: Duration,
    ) -> impl Future<Output = Polled> + Send + 'static {
        let repo = self.repo();
        let wait = repo.connection().deadlines.long_poll;
        let query = self.session.query(&config, Some(wait));
        async move {
            sleep(pause).await;
            let started = Instant::now();
            let outcome = repo.config(&config, &query).await;
            Polled {
                config,
                pace,
                took: started.elapsed(),
                outcome,
            }
        }
    }
}

/// Whether something in between cut the wait short: a broken connection, silence, or the answer of a gateway.
fn is_cut(error: &ApiError) -> bool {
    match error {
        ApiError::CutOff { .. } => true,
        ApiError::TimedOut { stage, .. } => *stage != Stage::Connect,
        ApiError::Status { status, .. } => matches!(status, 408 | 502 | 504),
        ApiError::Unreachable { .. }
        | ApiError::Untrusted { .. }
        | ApiError::Problem { .. }
        | ApiError::Malformed { .. }
        | ApiError::TooLarge { .. }
        | ApiError::Stream { .. }
        | ApiError::NotAStream { .. }
        | ApiError::Request(_) => false,
    }
}
