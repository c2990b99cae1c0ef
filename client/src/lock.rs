//! A lock on a file, which says that one process owns what stands beside it.
//!
//! Invariant: who is told that another one has the lock was told so for a while. A child that is just being started holds
//! every lock of its parent until it runs its own program: that is a moment, and no second owner.

use std::fs::{File, TryLockError};
use std::io;
use std::time::Duration;

/// How often and how long to wait for a lock that may only be on its way through a fork.
const TRIES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(10);

/// Whose a lock is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// Ours, until the file is dropped.
    Us,
    /// Another process's.
    Other,
}

/// Takes the lock, if nobody has it.
pub(crate) fn take(file: &File) -> io::Result<Owner> {
    for _ in 0..TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(Owner::Us),
            Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Ok(Owner::Other)
}
