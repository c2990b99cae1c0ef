//! The client against real sockets: a small axum server where answers are well formed, a scripted socket where not.

#[cfg(test)]
mod api;
#[cfg(test)]
mod events;
#[cfg(test)]
mod ladder;
#[cfg(test)]
mod report;
#[cfg(test)]
mod server;
#[cfg(test)]
mod servers;
#[cfg(test)]
mod socket;
#[cfg(test)]
mod watch;
