//! The HTTP API: the whole route table, and nothing that decides.
//!
//! Invariant: a handler parses, asks a room and answers. No request reaches the upstream, except through
//! [`crate::repo::Repo::listing`].

mod admin;
mod answer;
mod auth;
mod body;
mod caller;
mod checks;
mod commits;
mod configs;
mod connection;
mod cookies;
mod diff;
mod door;
mod extract;
mod feed;
mod files;
pub(crate) mod fuzzed;
mod health;
mod history;
mod hooks;
mod host;
mod instances;
mod lane;
mod layers;
mod limits;
mod look;
mod metrics;
mod openapi;
mod orders;
mod origin;
mod peer;
mod plan;
mod problem;
mod propagation;
mod proposals;
mod reports;
mod repos;
mod rollbacks;
mod rollouts;
pub(crate) mod serve;
mod socket;
mod state;
mod stream;
mod traced;
mod views;
mod wanted;
mod watch;
mod wish;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};

use crate::dashboard::{self, Desk, login, login_by};

pub(crate) use caller::Caller;
pub(crate) use door::Door;
pub(crate) use host::Hosts;
pub(crate) use instances::counted as fleet_view;
pub(crate) use peer::Patience;
pub(crate) use state::App;
pub(crate) use views::{git_pending, repo as repo_view};

/// Largest body where a call says nothing else, in bytes: an order has a reason, a name and some hashes.
const ORDER_BYTES_MAX: usize = 256 << 10;

/// Every address of the service, as it is asked at one listener: the API, and the dashboard, which asks the same API.
pub(crate) fn router(app: App, door: Door) -> Router {
    let asked = layers::wrap(api(), (app.clone(), door)).with_state(app.clone());
    let desk = Desk::new(
        (asked, app.gate().clone(), door),
        app.metrics().pages().clone(),
        app.draining().clone(),
    );
    let pages = dashboard::routes(desk.clone());
    let routes = api()
        .route("/", get(health::index))
        .route("/login", get(login::form).post(login::log_in))
        .route("/login/{issuer}", get(login_by::begin))
        .route("/login/{issuer}/callback", get(login_by::finish))
        .route("/logout", post(login::log_out))
        .merge(pages);
    // Once more, for the pages.
    let routes = routes.method_not_allowed_fallback(problem::method_not_allowed);
    let routes = layers::wrap(routes, (app.clone(), door)).with_state(app.clone());
    let routes = routes.layer(from_fn_with_state(desk, dashboard::explain));
    routes.layer(from_fn_with_state((app, door), cookies::rename))
}

/// Every address of the API. Config names and paths hold slashes, so they stand last.
fn api() -> Router<App> {
    Router::new()
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(metrics::metrics))
        .route("/openapi.json", get(openapi::document))
        .route("/v1/admin/backup", get(admin::backup))
        .route("/v1/repos", get(repos::list))
        .route("/v1/repos/{repo}", get(repos::one))
        .route("/v1/repos/{repo}/configs", get(configs::list))
        .route("/v1/repos/{repo}/configs/{*config}", get(watch::current))
        .route("/v1/repos/{repo}/events", get(stream::events))
        .route("/v1/repos/{repo}/socket", get(socket::socket))
        .route("/v1/repos/{repo}/fleet", get(instances::fleet))
        .route("/v1/repos/{repo}/propagation", get(propagation::one))
        .route("/v1/repos/{repo}/instances", get(instances::list))
        .route(
            "/v1/repos/{repo}/instances/{instance}",
            get(instances::one)
                .put(instances::report)
                .delete(instances::leave)
                .layer(DefaultBodyLimit::max(reports::REPORT_BYTES_MAX)),
        )
        .route("/v1/repos/{repo}/commits", get(history::page))
        .route("/v1/repos/{repo}/commits/{rev}", get(history::one))
        .route(
            "/v1/repos/{repo}/commits/{commit}/configs/{*config}",
            get(commits::config),
        )
        .route(
            "/v1/repos/{repo}/commits/{commit}/files/{*path}",
            get(files::file),
        )
        .route("/v1/repos/{repo}/proposals/{commit}", get(proposals::one))
        .route("/v1/repos/{repo}/diff", get(diff::diff))
        .route("/v1/repos/{repo}/explain/{*config}", get(diff::explain))
        .route(
            "/v1/repos/{repo}/checks",
            post(checks::check).layer(DefaultBodyLimit::max(checks::BODY_BYTES_MAX)),
        )
        .route("/v1/repos/{repo}/accept", post(repos::accept))
        .route("/v1/repos/{repo}/holds", get(repos::holds))
        .route("/v1/repos/{repo}/holds/{id}/release", post(rollbacks::release))
        .route(
            "/v1/repos/{repo}/rollbacks",
            get(rollbacks::list).post(rollbacks::create),
        )
        .route("/v1/repos/{repo}/rollbacks/plan", get(rollbacks::plan))
        .route("/v1/repos/{repo}/rollbacks/{id}", get(rollbacks::one))
        .route("/v1/repos/{repo}/plan", get(plan::plan))
        .route("/v1/repos/{repo}/rollouts", get(rollouts::list))
        .route("/v1/repos/{repo}/rollouts/{id}", get(rollouts::one))
        .route("/v1/repos/{repo}/rollouts/{id}/{order}", post(rollouts::order))
        .route("/v1/repos/{repo}/orders", get(orders::list))
        .route("/v1/repos/{repo}/orders/{id}", get(orders::one))
        .route("/v1/repos/{repo}/orders/{id}/confirm", post(orders::confirm))
        .route("/v1/repos/{repo}/orders/{id}/withdraw", post(orders::withdraw))
        .route("/hooks/{hook}", post(hooks::deliver))
        .layer(DefaultBodyLimit::max(ORDER_BYTES_MAX))
        .fallback(problem::not_found)
        .method_not_allowed_fallback(problem::method_not_allowed)
}
