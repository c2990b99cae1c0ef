//! Whether anybody still reads what a command prints that goes on for long.
//!
//! Invariant: asking writes nothing, so that a reader who has seen enough and goes ends the command at once, and not
//! with the next line there is to tell. What is deliberately absent: the signal, which Rust ignores for good reasons.

use std::future::pending;
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::unix::pipe::Sender;

/// Ends when nobody reads standard output any more.
pub(crate) async fn gone() -> io::Error {
    // What cannot be waited for, such as a file, is read by nobody who could go away.
    if let Ok(stdout) = stdout() {
        while let Ok(ready) = stdout.ready(Interest::ERROR).await {
            if ready.is_error() {
                return io::ErrorKind::BrokenPipe.into();
            }
        }
    }
    pending().await
}

/// Standard output to be waited for. Nothing is written by it, so it stays as it is: writing waits where a reader is slow.
fn stdout() -> io::Result<Sender> {
    Sender::from_owned_fd_unchecked(io::stdout().as_fd().try_clone_to_owned()?)
}

/// Waits for `pause`.
///
/// # Errors
/// The reader is gone, which ends the wait.
pub(crate) fn wait(pause: Duration) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let gone = runtime.block_on(async { tokio::time::timeout(pause, gone()).await });
    gone.map_or(Ok(()), Err)
}
