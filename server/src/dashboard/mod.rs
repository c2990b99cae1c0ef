//! The dashboard: what the API tells, for people who look, and what it takes from them, as forms.
//!
//! Invariant: a page is a function of what the public API answers (`api`), so that it never tells anything else; it
//! works without script, and with it follows what happens (`live`). What is deliberately absent: state of its own, a
//! second way to compute anything, and files from elsewhere.
//!
//! The page of `/v1/repos/{repo}/commits` is `/repos/{repo}/commits`, and so on.

pub(crate) mod accept;
mod acts;
mod api;
mod asked;
mod assets;
mod audit;
mod changes;
mod commit;
mod commits;
mod config;
mod configs;
pub(crate) mod escape;
mod frame;
mod home;
mod instance;
mod instances;
mod key;
mod live;
pub(crate) mod login;
pub(crate) mod login_by;
mod orders;
mod picture;
mod pledge;
mod preview;
mod refused;
mod repo;
mod rollback;
mod rollout;
mod rollouts;
mod show;
mod sign;
mod sources;
mod spread;
mod words;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::get;

pub(crate) use home::index;
pub(crate) use login_by::LOGIN_COOKIE;
pub(crate) use pledge::FORM_COOKIE;
pub(crate) use refused::explain;
pub(crate) use show::Desk;

use acts::{Accept, ConfirmOrder, GoBack, Order, Release, Withdraw, act, form};
use show::show;

/// Largest form, in bytes: a reason, a name and what is meant.
const FORM_BYTES_MAX: usize = 16 << 10;

/// Every page.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>(desk: Desk) -> Router<S> {
    let acts = Router::new()
        .route(
            "/repos/{repo}/rollouts/{id}/{order}",
            get(form::<Order>).post(act::<Order>),
        )
        .route("/repos/{repo}/rollback", get(form::<GoBack>))
        .route(
            "/repos/{repo}/rollbacks",
            get(show::<rollouts::Rollouts>).post(act::<GoBack>),
        )
        .route(
            "/repos/{repo}/holds/{id}/release",
            get(form::<Release>).post(act::<Release>),
        )
        .route(
            "/repos/{repo}/orders/{id}/confirm",
            get(form::<ConfirmOrder>).post(act::<ConfirmOrder>),
        )
        .route(
            "/repos/{repo}/orders/{id}/withdraw",
            get(form::<Withdraw>).post(act::<Withdraw>),
        )
        .route("/repos/{repo}/accept", get(form::<Accept>).post(act::<Accept>))
        .layer(DefaultBodyLimit::max(FORM_BYTES_MAX));
    Router::new()
        .route("/assets/{name}", get(assets::get))
        .route("/sources", get(show::<sources::Sources>))
        .route("/repos/{repo}", get(show::<repo::Fleet>))
        .route("/repos/{repo}/commits", get(show::<commits::Commits>))
        .route("/repos/{repo}/commits/{rev}", get(show::<commit::Commit>))
        .route("/repos/{repo}/rollouts", get(show::<rollouts::Rollouts>))
        .route("/repos/{repo}/rollouts/{id}", get(show::<rollout::Rollout>))
        .route("/repos/{repo}/orders/{id}", get(show::<orders::Order>))
        .route("/repos/{repo}/rollbacks/{id}", get(show::<rollback::Rollback>))
        .route("/repos/{repo}/configs", get(show::<configs::Configs>))
        .route("/repos/{repo}/configs/{*config}", get(show::<config::Config>))
        .route("/repos/{repo}/keys/{*config}", get(show::<key::Key>))
        .route("/repos/{repo}/instances", get(show::<instances::Instances>))
        .route(
            "/repos/{repo}/instances/{instance}",
            get(show::<instance::Instance>),
        )
        .route("/repos/{repo}/audit", get(show::<audit::Audit>))
        .route("/repos/{repo}/{*rest}", get(show::nothing))
        .merge(acts)
        .with_state(desk)
}
