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
use std::pin::Pin;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use self::head::{Asked, Head};
use self::held::{Held, Outcome};
use super::connection::Connection;
use super::peer::Peer;

/// Serves a connection: its watches here, and all of it from the first other request on by the library.
pub(super) fn enter<S>(peer: Peer<S>, connection: Connection)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    tokio::spawn(rounds(peer, connection));
}

/// One request after the other.
async fn rounds<S>(mut peer: Peer<S>, connection: Connection)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    loop {
        // What is large and short is boxed: the rest is what somebody weighs who waits.
        let heard = Box::pin(listen(&mut peer, &connection.draining)).await;
        let asked = match heard {
            Heard::Watch(asked) => asked,
            Heard::Other => return connection.serve(peer),
            Heard::End => return,
        };
        let Asked {
            mut request,
            bytes,
            is_last,
        } = *asked;
        peer.take(bytes);
        connection.origin.mark(request.extensions_mut());
        let answering = Box::pin(connection.router.clone().oneshot(request));
        let outcome = Held::new(&mut peer, answering, (is_last, &connection.draining)).await;
        match outcome {
            Outcome::Told => {}
            Outcome::Over => {
                // Who is gone needs no farewell.
                Box::pin(peer.shutdown()).await.ok();
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

/// Waits for the head of a request, as long as the peer may take for it.
async fn listen<S>(peer: &mut Peer<S>, draining: &CancellationToken) -> Heard
where
    S: AsyncRead + Unpin,
{
    let patience = peer.patience().head;
    // Cancel-safe: what was heard stays with the peer.
    let heard = tokio::select! {
        biased;
        heard = hear(peer) => Some(heard),
        () = tokio::time::sleep(patience) => Some(Heard::End),
        () = draining.cancelled() => None,
    };
    // Who has begun a request is told by the library that it is too late, or answered.
    heard.unwrap_or_else(|| {
        if peer.unread().is_empty() {
            Heard::End
        } else {
            Heard::Other
        }
    })
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
        match poll_fn(|cx| Pin::new(&mut *peer).poll_hear(cx)).await {
            Ok(1..) => {}
            Ok(0) | Err(_) => return Heard::End,
        }
    }
}

#[cfg(test)]
mod tests;
