//! Who asks, and what he may.
//!
//! Invariant: the text of a token exists where it is made and where it comes in; what is kept, compared and named is
//! its digest or its name. Every route has a row in one table (`routes`), and a route without one is nobody's. What is
//! deliberately absent: passwords, and a door to make tokens by HTTP: who may write the file may make them.

mod begun;
mod entry;
pub(crate) mod fuzzed;
mod gate;
mod grant;
mod identity;
mod issued;
mod issuer;
mod jwt;
mod login;
mod people;
mod proof;
mod provider;
mod proxy;
mod refused;
mod role;
mod routes;
mod scope;
mod session;
mod token;

pub(crate) use begun::{LOGIN_MS, NEXT_BYTES_MAX, Prove};
pub(crate) use entry::{Entry, TokensError, create, list, revoke};
pub(crate) use gate::Gate;
pub(crate) use identity::Identity;
pub(crate) use jwt::Algorithm;
pub(crate) use login::LoginRefused;
pub(crate) use proof::{Again, Proved, is_grave};
pub(crate) use provider::NoUse;
pub(crate) use proxy::Came;
pub(crate) use refused::Refused;
pub(crate) use role::{Need, Role};
pub(crate) use routes::{Bound, need};
pub(crate) use scope::certificate_names;
pub(crate) use session::{SESSION_COOKIE, Secure, Session, cookie, session_of};
pub(crate) use token::TokenDigest;
