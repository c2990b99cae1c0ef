//! The watch lane: requests that wait for news are read and answered here, since the HTTP library keeps some 20 KB for each
//! of them as long as it waits.
//!
//! Invariant: the same routes answer, so that nothing is decided twice; here is only HTTP/1.1 as far as a watch has it, and a
//! watch is a `GET` without a body and with nothing unusual about it. Every other connection goes to the library with
//! all bytes that came, unread, and stays there. So does whatever the lane does not know for certain: it never guesses.
//! Bytes behind a request are the beginning of the next one, and nothing else is made of them.

mod answer;
mod head;
mod held;

use std::future::poll_fn;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tower::ServiceExt as _;

use self::head::{Asked, Head};
use self::held::{Answering, Held, Outcome};
use super::connection::Connection;
use super::peer::Peer;

/// What is kept of a connection. It is boxed, since a future has what it was given twice.
struct Kept<S> {
    peer: Peer<S>,
    connection: Connection,
}

/// Serves a connection: its watches here, and all of it from the first other request on by the library.
pub(super) fn enter<S>(peer: Peer<S>, connection: Connection)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    tokio::spawn(rounds(Box::new(Kept { peer, connection })));
}

/// One request after the other.
async fn rounds<S>(mut kept: Box<Kept<S>>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    loop {
        // What is large and short is boxed: the rest is what somebody weighs who waits.
        let heard = Box::pin(kept.listen()).await;
        let (answering, is_last) = match heard {
            Heard::Watch(asked) => kept.ask(*asked),
            Heard::Other => return (*kept).hand_over(),
            Heard::End => return,
        };
        let Kept { peer, connection } = &mut *kept;
        match Held::new(peer, answering, (is_last, &connection.draining)).await {
            Outcome::Told => {}
            Outcome::Over => {
                // Who is gone needs no farewell.
                Box::pin(kept.peer.shutdown()).await.ok();
                return;
            }
            Outcome::Gone => return,
        }
    }
}

/// What came.
enum Heard {
    /// A watch.
    Watch(Box<Asked>),
    /// Something else, or nothing that is understood here.
    Other,
    /// Nothing more.
    End,
}

impl<S> Kept<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    /// Waits for the head of a request, as long as the peer may take for it.
    async fn listen(&mut self) -> Heard {
        let patience = self.peer.patience().head;
        // Cancel-safe: what was heard stays with the peer.
        let heard = tokio::select! {
            biased;
            heard = hear(&mut self.peer) => Some(heard),
            () = tokio::time::sleep(patience) => Some(Heard::End),
            () = self.connection.draining.cancelled() => None,
        };
        // Whether who has begun a request is still answered is the library's to know.
        heard.unwrap_or_else(|| {
            if self.peer.unread().is_empty() {
                Heard::End
            } else {
                Heard::Other
            }
        })
    }

    /// Asks the routes. Also tells whether the connection is to end with the answer.
    fn ask(&mut self, asked: Asked) -> (Answering, bool) {
        let mut request = asked.request;
        self.peer.take(asked.bytes);
        self.connection.origin.mark(request.extensions_mut());
        let answering = self.connection.router.clone().oneshot(request);
        (Box::pin(answering), asked.is_last)
    }

    /// Leaves the connection to the library.
    fn hand_over(self) {
        let Self { peer, connection } = self;
        connection.serve(peer);
    }
}

async fn hear<S>(peer: &mut Peer<S>) -> Heard
where
    S: AsyncRead + Unpin,
{
    let mut looked_at = 0;
    loop {
        match head::read(peer.unread(), looked_at) {
            Head::Watch(asked) => return Heard::Watch(asked),
            Head::Other => return Heard::Other,
            Head::Begun => {}
        }
        looked_at = peer.unread().len();
        match poll_fn(|cx| peer.poll_hear(cx)).await {
            Ok(1..) => {}
            Ok(0) | Err(_) => return Heard::End,
        }
    }
}

#[cfg(test)]
mod tests;
