//! The Headwater service: Git in, HTTP out. ARCHITECTURE.md is the map of the rooms.

pub mod git;
pub mod secret;
