//! Blocking work beside the async threads, with the caller's span and a deadline.
//!
//! Invariant: this is the only `spawn_blocking` of the program. A call that passes its deadline is answered with an
//! error; the thread goes on until its own limit stops it, which every blocking room has.

use std::time::Duration;

use tracing::Span;

/// Why blocking work gave no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BlockingError {
    /// It took longer than the caller waits.
    #[error("no result within {0:?}")]
    TimedOut(Duration),
    /// It panicked, which is a fault of this program.
    #[error("the work ended in a panic")]
    Panicked,
}

/// Runs `work` on a thread for blocking calls and waits at most `deadline` for its result.
pub(crate) async fn blocking<T: Send + 'static>(
    deadline: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, BlockingError> {
    let span = Span::current();
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the wrapper that the ban points to"
    )]
    let task = tokio::task::spawn_blocking(move || span.in_scope(work));
    match tokio::time::timeout(deadline, task).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(_)) => Err(BlockingError::Panicked),
        Err(_) => Err(BlockingError::TimedOut(deadline)),
    }
}
