//! The listeners: the one for everybody, and the one for administration where the settings want one.
//!
//! Invariant: each has certificates, places and shares of them of its own, so that whoever fills the one shuts nobody out of
//! the other; both answer by the same routes, which know their door. Where the settings want a listener for administration
//! the other gives no orders, whether or not the first is there.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::http::serve::{self, Serving};
use crate::http::{App, Door, Patience, router};
use crate::settings::{Settings, TlsSettings};
use crate::start_error::StartError;
use crate::tls::Tls;

/// Fewest places of the listener for everybody, however few descriptors there are.
const PLACES_MIN: usize = 64;

/// Sockets that listen.
#[derive(Debug)]
pub struct Listeners {
    main: TcpListener,
    admin: Option<TcpListener>,
}

/// Where they listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// The listener for everybody.
    pub main: SocketAddr,
    /// The one for administration.
    pub admin: Option<SocketAddr>,
}

impl From<TcpListener> for Listeners {
    fn from(main: TcpListener) -> Self {
        Self { main, admin: None }
    }
}

impl Listeners {
    /// The same with a listener for administration, which is served where the settings have an `admin`.
    #[must_use]
    pub fn with_admin(self, admin: TcpListener) -> Self {
        Self {
            admin: Some(admin),
            ..self
        }
    }

    /// Where they listen.
    ///
    /// # Errors
    /// What the system says, as of a socket that is closed already.
    pub fn addresses(&self) -> std::io::Result<Addresses> {
        Ok(Addresses {
            main: self.main.local_addr()?,
            admin: self.admin.as_ref().map(TcpListener::local_addr).transpose()?,
        })
    }

    /// What each of them serves.
    pub(crate) fn open(self, settings: &Settings, app: &App) -> Result<Open, StartError> {
        let door = Door::of_main(settings);
        let main = Serving {
            tls: tls(settings.tls.as_ref(), app, door)?,
            ..serving(settings, app, door)
        };
        let mut open = Open(vec![(self.main, main)]);
        match (&settings.admin, self.admin) {
            (Some(admin), Some(listener)) => {
                let serving = Serving {
                    tls: tls(admin.tls.as_ref(), app, Door::Admin)?,
                    connections_max: admin.connections_max,
                    limits: app.limits().beside(admin.connections_max),
                    ..serving(settings, app, Door::Admin)
                };
                open.0.push((listener, serving));
            }
            (Some(_), None) => warn!("nothing listens for administration, so nobody can give orders"),
            (None, _) => {}
        }
        Ok(open)
    }
}

/// Listeners, and what each serves.
pub(crate) struct Open(Vec<(TcpListener, Serving)>);

impl Open {
    /// Their certificates.
    pub(crate) fn certificates(&self) -> Vec<Arc<Tls>> {
        let all = self.0.iter();
        all.filter_map(|(_, serving)| serving.tls.clone()).collect()
    }

    /// Says where they listen, and for how many repositories.
    pub(crate) fn tell(&self, repos: usize) {
        for (listener, serving) in &self.0 {
            let address = listener.local_addr().ok().map(|address| address.to_string());
            info!(address, listener = serving.label, repos, "listening");
        }
    }

    /// Serves all of them until `draining` is cancelled and what is open has ended.
    pub(crate) async fn serve(self, draining: CancellationToken) {
        let mut loops = JoinSet::new();
        for (listener, serving) in self.0 {
            loops.spawn(serve::serve(listener, serving, draining.clone()));
        }
        while let Some(ended) = loops.join_next().await {
            if ended.is_err() {
                warn!("an accept loop ended in a panic");
            }
        }
    }
}

/// Most connections of the listener for everybody: without a setting, what descriptors there are beside those of the other.
pub(crate) fn places(settings: &Settings) -> usize {
    let of_admin = settings.admin.as_ref().map_or(0, |admin| admin.connections_max);
    let left = || serve::descriptors().saturating_sub(of_admin).max(PLACES_MIN);
    settings.connections_max.unwrap_or_else(left)
}

/// What the listener for everybody would serve, in clear text.
fn serving(settings: &Settings, app: &App, door: Door) -> Serving {
    Serving {
        router: router(app.clone(), door),
        label: door.label(),
        sockets: app.sockets().clone(),
        connections_max: places(settings),
        limits: app.limits().clone(),
        patience: Patience::default(),
        drain_deadline: settings.drain_deadline,
        metrics: app.metrics().connections(door),
        tls: None,
    }
}

/// Certificates, if the settings name some.
fn tls(settings: Option<&TlsSettings>, app: &App, door: Door) -> Result<Option<Arc<Tls>>, StartError> {
    // Counted from the start on, also where nothing is encrypted.
    let metrics = app.metrics().tls(door);
    let tls = settings.map(|settings| Tls::new(settings, metrics).map(Arc::new));
    tls.transpose().map_err(|failed| {
        let texts: Vec<_> = failed.iter().map(ToString::to_string).collect();
        StartError::Tls(texts.join("; "))
    })
}
