//! Configs of a Headwater server in a running program.
//!
//! A [`Client`] is one instance; a [`Handle`] is the value of one config, typed by serde, always the newest that was good.
//! A value that the program cannot read, or that its own check refuses, is never seen by a reader: the old one serves,
//! and the service is told why. With a cache directory the program starts while the service is down.
//!
//! ```no_run
//! use headwater_client::{Client, Handle};
//!
//! #[derive(serde::Deserialize)]
//! struct Pool {
//!     min: u32,
//!     max: u32,
//! }
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::builder("http://127.0.0.1:7171")
//!     .instance("payments-7f9c")
//!     .label("region", "eu")
//!     .cache_dir("/var/cache/payments")
//!     .start()
//!     .await?;
//! let pool: Handle<Pool> = client
//!     .config("payments/prod")
//!     .check(|pool: &Pool| if pool.min <= pool.max { Ok(()) } else { Err("min is above max") })
//!     .open()
//!     .await?;
//! let now = pool.load(); // a few nanoseconds, never a wait, one version's whole value
//! println!("{} to {} connections", now.min, now.max);
//! # Ok(())
//! # }
//! ```
//!
//! Below that stand the layers it is made of, each of use by itself: the typed calls ([`Api`]), a [`Watch`] that stays
//! up, the last known good on disk ([`Cache`]), and the pure [`engine`] that decides.
//!
//! Invariant: nothing here waits without a deadline, reads without a limit or prints a credential.

#[cfg(feature = "agent")]
pub mod agent;

mod address;
mod answer;
mod api;
mod backoff;
mod builder;
mod cache;
mod client;
mod decode;
mod driver;
pub mod engine;
mod error;
mod events;
mod fetch;
mod handle;
mod http;
mod identity;
mod lock;
mod open;
mod pulse;
mod query;
mod secret;
mod servers;
mod slot;
mod socket;
mod sse;
mod watch;

pub use address::{AddressError, ServerAddress};
pub use answer::{ConfigAnswer, Fetched, Standing, Token};
pub use api::{Api, RepoApi};
pub use backoff::{Backoff, Jitter, Pace};
pub use builder::{ApiBuilder, Deadlines, SetupError};
pub use cache::{Cache, CacheError, CacheKey, CacheTrouble, Incarnation, Life, Restored};
pub use client::{Client, ClientBuilder, ClientStatus};
pub use engine::CrashSign;
pub use error::{ApiError, Stage};
pub use events::{Event, EventStream, Frame};
pub use handle::{Change, Changes, Handle, Listener, Loaded, Reader};
pub use headwater_render::Format;
pub use identity::ClientIdentity;
pub use open::{ConfigBuilder, OpenError};
pub use query::{
    CommitsQuery, ConfigQuery, DiffQuery, EventsQuery, ExplainQuery, Inline, InstancesQuery, Labels,
    RolloutsQuery,
};
pub use secret::{BearerToken, TokenError};
pub use servers::Servers;
pub use slot::{Candidate, Held};
pub use sse::{Item, Message, Parser, SseError};
pub use watch::{Link, Transport, TransportChoice, Watch, WatchEvent, WatchRequest};
