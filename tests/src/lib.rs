//! Harness of the suite: real Git repositories, real servers on port 0, and servers that lie.
//!
//! `origin` is an upstream driven by the `git` program, which is also the oracle; `git_http` and `sshd` serve it;
//! `authority` signs certificates; `canary` makes secrets and finds them; `collector` takes traces; `docs` takes the examples out of pages; `forge` is a forge with its API; `fuzz` tries doors with any bytes; `hostile` serves what no honest server
//! would; `issuer` is an OIDC provider that signs tokens. `server` runs the service itself; `http`, `sse` and `socket` talk to it; `program` is one that lives on it;
//! `relay` is an address that outlives it; `wait` waits for states. Invariant: nothing here reads the settings of who
//! runs the tests, and everything is gone when its handle is dropped.

#![expect(
    clippy::missing_panics_doc,
    clippy::panic,
    reason = "a harness that cannot do its part panics; that is its contract"
)]

pub mod authority;
pub mod browser;
pub mod canary;
pub mod collector;
pub mod docs;
pub mod forge;
pub mod fuzz;
pub mod git_http;
pub mod hostile;
pub mod http;
pub mod issuer;
pub mod oracle;
pub mod origin;
pub mod program;
pub mod relay;
pub mod scrub;
pub mod served;
pub mod server;
pub mod socket;
pub mod sse;
pub mod sshd;
pub mod wait;
