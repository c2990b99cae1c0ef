//! A turn on an event stream.

use tokio::time::Instant;

use super::Transport;
use super::run::{Watcher, until};
use super::session::Stop;
use crate::events::EventStream;

impl Watcher {
    pub(super) async fn follow_stream(&mut self) -> Result<(), Stop> {
        self.compare().await?;
        let opened = self.opened(async |repo, query| repo.events(&query).await).await?;
        let mut stream = match opened {
            Ok(stream) => stream.with_pulse(&self.session.pulse),
            Err(error) => {
                self.saw_no_opening(&error);
                return Err(error.into());
            }
        };
        let opened = Instant::now();
        self.session.connected(Transport::Stream).await?;
        let read = self.read_stream(&mut stream, opened).await;
        if let Err(stop) = &read {
            self.saw_the_end(stop, stream.heard(), opened);
        }
        read
    }

    async fn read_stream(&mut self, stream: &mut EventStream, opened: Instant) -> Result<(), Stop> {
        loop {
            // Cancel-safe: what a stream has read is kept, and the other arm only waits.
            let frame = tokio::select! {
                frame = stream.next() => frame?.ok_or(Stop::Ended)?,
                () = until(self.ladder.climb_at()) => return Err(Stop::Climb),
            };
            self.alive(opened);
            self.session.frame(frame).await?;
        }
    }
}
