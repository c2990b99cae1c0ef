//! A turn of plain polling, the last resort: a request for each config now and then.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::Transport;
use super::run::{Watcher, until};
use super::session::Stop;

/// Mean time between two requests for a config; each is spread by 20 % to both sides.
const INTERVAL: Duration = Duration::from_secs(30);

impl Watcher {
    /// Asks again and again, until it is time to try something better.
    pub(super) async fn poll(&mut self) -> Result<(), Stop> {
        let mut connected = false;
        loop {
            let mut answered = false;
            for config in self.session.request.configs.clone() {
                match self.ask(&config).await {
                    // The config is gone; it may come back.
                    Err(Stop::Broken(error)) if self.session.answered && error.is_permanent() => {}
                    asked => {
                        asked?;
                        answered = true;
                    }
                }
            }
            if answered {
                self.works();
                if !std::mem::replace(&mut connected, true) {
                    self.session.connected(Transport::Poll).await?;
                }
            }
            let next = Instant::now() + INTERVAL.mul_f64(0.8) + self.backoff.spread(INTERVAL.mul_f64(0.4));
            // Cancel-safe: both arms only wait.
            tokio::select! {
                () = sleep_until(next) => {}
                () = until(self.ladder.climb_at()) => return Err(Stop::Climb),
            }
        }
    }
}
