//! What [`crate::fuzzed`] tries of this room.

use headwater_wire::{InstanceReport, Problem};
use http::HeaderMap;

use super::extract::{Asker, Pairs, Representation, wait};
use super::{body, reports, socket};

/// The pairs of a query, if the request would not be refused for it.
pub(crate) fn query(text: &str) -> Option<Vec<(String, String)>> {
    let pairs = Pairs::read(Some(text)).ok()?;
    Asker::read(&pairs).ok()?;
    Representation::read(&pairs).ok()?.token_part();
    wait(&pairs, &HeaderMap::new()).ok()?;
    Some(pairs.into_all())
}

/// A report that came by PUT.
pub(crate) fn report(bytes: &[u8]) -> Result<InstanceReport, Box<Problem>> {
    let read: InstanceReport = body::read(bytes, ("the report", "…")).map_err(told)?;
    reports::check(&read).map_err(told)?;
    Ok(read)
}

/// A report that came by a socket.
pub(crate) fn socket_message(text: &str) -> Result<InstanceReport, Box<Problem>> {
    socket::reading(text).map_err(told)
}

fn told(answer: super::problem::Answer) -> Box<Problem> {
    Box::new(answer.into_problem())
}
