//! Who calls, as far as the connection says.

use std::net::IpAddr;

/// Whose connection a request came by: the client's, or a proxy's before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Caller(pub(crate) IpAddr);
