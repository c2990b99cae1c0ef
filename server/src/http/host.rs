//! Under which names the service is asked.
//!
//! Invariant: under a name that nobody set, nothing is answered but the probes. Whoever has his own name point at this
//! service's address (DNS rebinding) has a page that a browser takes for a page of this very service, so that no other
//! guard holds it off; its name gives it away. An address in figures is always taken: what a browser loaded from there,
//! it loaded from here. What is deliberately absent: headers that tell the name a proxy was asked by, which anybody can
//! write.

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use headwater_wire::{Problem, ProblemCode};
use http::header::HOST;
use http::uri::Authority;

use super::door::Door;
use super::problem::Answer;
use super::state::App;
use crate::auth::Secure;
use crate::settings::Settings;

/// What answers under every name: whoever probes knows no name, and learns nothing.
const PROBES: [&str; 2] = ["/livez", "/readyz"];
/// Characters of a name that are told back.
const TOLD_CHARS_MAX: usize = 255;

/// The names under which the service answers, in lower case.
#[derive(Debug, Default)]
pub(crate) struct Hosts {
    /// As the settings have them: `name`, `.name` for it and all below it, `*` for all.
    allowed: Vec<String>,
    /// How browsers reach the listener for everybody.
    main: Secure,
    /// How they reach the one for administration.
    admin: Secure,
}

impl Hosts {
    /// Those that the settings name, and the one at which people are told to reach the service.
    pub(crate) fn of(settings: &Settings) -> Self {
        let public = settings.public_url.as_deref();
        let public = public.and_then(|url| url.parse::<http::Uri>().ok());
        let public = public.and_then(|url| url.host().and_then(name_of));
        let listed = settings
            .allowed_hosts
            .iter()
            .map(|name| name.to_ascii_lowercase());
        let allowed = listed.chain(public).collect();
        let public = settings.public_url.as_deref().unwrap_or_default();
        let main = match (&settings.tls, public.strip_prefix("https://")) {
            (None, None) => Secure::ClearText,
            (Some(_), _) | (_, Some(_)) => Secure::Https,
        };
        let admin = match settings.admin.as_ref().and_then(|admin| admin.tls.as_ref()) {
            None => Secure::ClearText,
            Some(_) => Secure::Https,
        };
        Self { allowed, main, admin }
    }

    /// How browsers reach a listener, as the settings say.
    pub(super) fn reached(&self, door: Door) -> Secure {
        match door {
            Door::Only | Door::Main => self.main,
            Door::Admin => self.admin,
        }
    }

    /// How they are to come to a name from now on, whichever of its ports they ask: what a listener of one port tells holds
    /// for all, so the one for administration must not shut people out of another that has no TLS.
    pub(super) fn known_by(&self, door: Door) -> Secure {
        match (self.main, self.reached(door)) {
            (Secure::Https, Secure::Https) => Secure::Https,
            (Secure::ClearText, _) | (_, Secure::ClearText) => Secure::ClearText,
        }
    }

    /// Whether the service is reached by what a request names.
    fn take(&self, host: &str) -> bool {
        let Some(name) = name_of(host) else {
            return false;
        };
        let address = name.trim_start_matches('[').trim_end_matches(']');
        let is_loopback = name == "localhost" || name.ends_with(".localhost");
        let is_allowed = |allowed: &String| match allowed.strip_prefix('.') {
            Some(parent) => name == parent || name.ends_with(allowed.as_str()),
            None => allowed == "*" || *allowed == name,
        };
        is_loopback || address.parse::<IpAddr>().is_ok() || self.allowed.iter().any(is_allowed)
    }
}

/// The name without its port and the dot of the root; `None` if it is none.
fn name_of(host: &str) -> Option<String> {
    let authority: Authority = host.parse().ok()?;
    let name = authority.host().to_ascii_lowercase();
    // Who is to log in belongs to no `Host`, and would hide the name from whoever reads the log.
    (!host.contains('@')).then(|| name.strip_suffix('.').unwrap_or(&name).to_owned())
}

/// Refuses requests that were sent to a name of which the service knows nothing.
pub(super) async fn guard(State(app): State<App>, request: Request, next: Next) -> Response {
    if PROBES.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    match refused(&app, &request) {
        Some(host) => misdirected(&host).into_response(),
        None => next.run(request).await,
    }
}

/// The name that is refused, if one is. A request that names none was sent by no browser.
fn refused(app: &App, request: &Request) -> Option<String> {
    let hosts = app.hosts();
    let target = request.uri().authority().map(|target| target.as_str().to_owned());
    let said = request.headers().get_all(HOST).iter();
    let said = said.map(|host| String::from_utf8_lossy(host.as_bytes()).into_owned());
    let mut named = target.into_iter().chain(said);
    named.find(|host| !hosts.take(host))
}

fn misdirected(host: &str) -> Answer {
    let told: String = host.escape_debug().take(TOLD_CHARS_MAX).collect();
    let detail = format!("nobody has said that this service is reached as `{told}`");
    let hint = "ask under its address in figures, or add the name to `allowed_hosts` in the settings of the service; \
                a proxy in front can hand on the name that it was asked by, which `public_url` allows";
    Problem::new(ProblemCode::HostNotAllowed, detail)
        .hint(hint)
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(allowed: &[&str]) -> Hosts {
        Hosts {
            allowed: allowed.iter().map(|name| (*name).to_owned()).collect(),
            main: Secure::ClearText,
            admin: Secure::ClearText,
        }
    }

    #[test]
    fn figures_and_this_machine_are_taken_and_every_other_name_is_not() {
        let none = hosts(&[]);
        for taken in [
            "127.0.0.1:7171",
            "10.0.0.5",
            "[::1]:7171",
            "[2001:db8::1]",
            "localhost:7171",
            "LOCALHOST",
            "localhost.",
            "a.localhost",
        ] {
            assert!(none.take(taken), "{taken}");
        }
        for refused in [
            "rebound.example",
            "rebound.example:7171",
            "127.0.0.1.rebound.example",
            "localhost.rebound.example",
            "notlocalhost",
            "localhost@rebound.example",
            "rebound.example@localhost",
            "2130706433",
            "",
            ":7171",
            "a b",
        ] {
            assert!(!none.take(refused), "{refused}");
        }
    }

    #[test]
    fn a_name_is_taken_as_the_settings_have_it() {
        let listed = hosts(&["config.example", ".svc.cluster.local"]);
        for taken in [
            "config.example",
            "Config.Example:443",
            "config.example.",
            "svc.cluster.local",
            "headwater.prod.svc.cluster.local:7171",
        ] {
            assert!(listed.take(taken), "{taken}");
        }
        for refused in ["a.config.example", "config.example.evil", "xsvc.cluster.local"] {
            assert!(!listed.take(refused), "{refused}");
        }
        assert!(hosts(&["*"]).take("anything.example"));
    }
}
