//! A turn on a WebSocket, which carries reports as well.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use headwater_wire::ReportAnswer;

use super::Transport;
use super::report::Carried;
use super::run::{Watcher, until};
use super::session::Stop;
use crate::error::ApiError;
use crate::socket::{EventSocket, Told};

/// A report that was sent and not answered yet.
struct Pending {
    seq: u64,
    answer: oneshot::Sender<Result<ReportAnswer, ApiError>>,
}

impl Watcher {
    pub(super) async fn follow_socket(&mut self) -> Result<(), Stop> {
        self.compare().await?;
        let opened = self.opened(async |repo, query| repo.socket(&query).await).await?;
        let mut socket = match opened {
            Ok(socket) => socket.with_pulse(&self.session.pulse),
            Err(error) => {
                self.saw_no_opening(&error);
                return Err(error.into());
            }
        };
        let opened = Instant::now();
        self.session.connected(Transport::Socket).await?;
        // One report is under way at a time, so there is never a second one to wait here.
        let (sender, mut reports) = mpsc::channel(1);
        self.uplink.send_replace(Some(sender));
        let read = self.talk(&mut socket, &mut reports, opened).await;
        self.uplink.send_replace(None);
        if let Err(stop) = &read {
            self.saw_the_end(stop, socket.heard(), opened);
        }
        read
    }

    async fn talk(
        &mut self,
        socket: &mut EventSocket,
        reports: &mut mpsc::Receiver<Carried>,
        opened: Instant,
    ) -> Result<(), Stop> {
        let mut pending: Option<Pending> = None;
        loop {
            // Cancel-safe: what a socket has read is kept, and the other arms only wait.
            tokio::select! {
                told = socket.next() => match told?.ok_or(Stop::Ended)? {
                    Told::Event(frame) => {
                        self.alive(opened);
                        self.session.frame(*frame).await?;
                    }
                    Told::Answer(answer) => {
                        // The answer to an earlier report, which was given up, says nothing of this one.
                        let fits = |pending: &mut Pending| answer.seq >= pending.seq || !answer.accepted;
                        if let Some(pending) = pending.take_if(fits) {
                            // If the reporter waits no longer, it has sent a newer one.
                            drop(pending.answer.send(Ok(*answer)));
                        }
                    }
                    Told::Problem(problem) => {
                        // A message has no headers.
                        let retry_after = problem.retry_after_ms.map(Duration::from_millis);
                        if let Some(pending) = pending.take() {
                            drop(pending.answer.send(Err(ApiError::Problem { problem, retry_after })));
                        }
                    }
                },
                Some(Carried { report, answer }) = reports.recv() => {
                    pending = Some(Pending { seq: report.seq, answer });
                    socket.report(report).await?;
                }
                () = until(self.ladder.climb_at()) => return Err(Stop::Climb),
            }
        }
    }
}
