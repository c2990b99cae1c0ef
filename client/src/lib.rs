//! Typed calls to a Headwater server: one request, an event stream, a watch that stays up, and the last known good.
//!
//! Invariant: nothing here waits without a deadline, reads without a limit or prints a credential. What is
//! deliberately absent: `Handle<T>`, which is the next layer and will stand on these; and any retry of a single call,
//! since only the caller knows what may be repeated.
//!
//! ```no_run
//! use headwater_client::{Api, ConfigQuery, Fetched};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let api = Api::builder("http://127.0.0.1:7171").build()?;
//! let repo = api.in_repo(&"default".parse()?);
//! if let Fetched::Modified(answer) = repo.config(&"payments/prod".parse()?, &ConfigQuery::default()).await? {
//!     println!("{}", answer.snapshot()?.document);
//! }
//! # Ok(())
//! # }
//! ```

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
pub use error::{ApiError, Stage};
pub use events::{Event, EventStream, Frame};
pub use handle::{Change, Changes, Handle, Listener, Loaded, Reader};
pub use headwater_render::Format;
pub use open::{ConfigBuilder, OpenError};
pub use query::{
    CommitsQuery, ConfigQuery, DiffQuery, EventsQuery, ExplainQuery, Inline, InstancesQuery, Labels,
};
pub use secret::{BearerToken, TokenError};
pub use servers::Servers;
pub use slot::{Candidate, Held};
pub use sse::{Item, Message, Parser, SseError};
pub use watch::{Link, Transport, TransportChoice, Watch, WatchEvent, WatchRequest};
