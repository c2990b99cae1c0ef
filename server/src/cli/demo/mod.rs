//! `headwater demo`: the whole of it on one machine, to be touched.
//!
//! Invariant: everything is what a real set-up has: a bare upstream, a clone to push from, the service over HTTP, and
//! programs that live on the client library. Nothing outside of the demo's directory is read or written. What is
//! deliberately absent: any short cut from the clone to the instances.

mod instances;
mod invite;
mod program;
mod site;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use headwater_core::RewrittenHistory;
use headwater_validators::{Floor, Limits};
use headwater_wire::RepoName;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::Environment;
use super::failure::{Exit, Failure};
use super::out::{Out, Tone};
use super::serve::own_program;
use super::text::clean;
use crate::git::limits::MirrorLimits;
use crate::git::list::BranchWanted;
use crate::git::upstream::Upstream;
use crate::process::ProcessError;
use crate::sandbox::Confinement;
use crate::settings::{
    FleetSettings, HOOK_GRACE, LimitSettings, OrderSettings, RepoSettings, Settings, SignaturePolicy,
    VERDICT_DEADLINE, WriteSettings,
};
use crate::telemetry::{self, LogFormat};
use instances::Instances;
use invite::invite;
use site::Site;

/// How soon a push is seen. A server of one's own looks every half minute, or is woken.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// How often the instances report. A rollout begins once all of them have had the time to, two and a half times this.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// Nobody waits for a demo to end.
const DRAIN_DEADLINE: Duration = Duration::from_secs(1);
/// Only what a person must act on; the demo tells the rest in its own words.
const LOG_FILTER: &str = "error";

const EXAMPLES: &str = "\
Examples:
  headwater demo
  headwater demo --dir ~/headwater-demo    # kept, and taken up again next time";

/// Try it on this machine, with an upstream, a clone and three instances
///
/// Makes a bare repository and a clone of it, serves it, and starts three simulated instances that print what they
/// are told. Then edit, commit and push in the clone and watch. Needs `git`. Ctrl-C ends it.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Demo {
    /// Directory to keep everything in [default: a temporary one, which is removed at the end]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Address and port to listen on; only this machine reaches it [default: 127.0.0.1:7171, or a free port]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
}

impl Demo {
    pub(super) fn run(
        &self,
        environment: &Environment,
        out: &mut Out<'_>,
        err: &mut Out<'_>,
    ) -> Result<Exit, Failure> {
        if let Some(address) = self.listen.filter(|address| !address.ip().is_loopback()) {
            return Err(Failure::Usage {
                message: format!("a demo is for this machine alone and does not listen on `{address}`"),
                hint: "name a port of 127.0.0.1, or use `headwater serve`".to_owned(),
            });
        }
        let site = Site::open(self.dir.as_deref())?;
        telemetry::start(LogFormat::Text, LOG_FILTER);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(Failure::Runtime)?;
        let ended = runtime.block_on(self.show(&site, environment, out, err));
        runtime.shutdown_timeout(DRAIN_DEADLINE);
        site.close(out)?;
        ended
    }

    /// Serves and tells until a signal comes.
    async fn show(
        &self,
        site: &Site,
        environment: &Environment,
        out: &mut Out<'_>,
        err: &mut Out<'_>,
    ) -> Result<Exit, Failure> {
        // The handlers stand before anything is told, so that whoever reads the first line can already end it.
        let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::Runtime)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(Failure::Runtime)?;
        let listener = self.listen(err).await?;
        let address = listener.local_addr().map_err(Failure::Runtime)?;
        let stop = CancellationToken::new();
        let server =
            crate::supervisor::run(settings(site, address)?, listener, stop.clone().cancelled_owned());
        let mut server = tokio::spawn(server);
        let told = tell(site, address, environment, out);
        // Cancel-safe: what is dropped is the telling, and the server is still awaited below.
        let ended = tokio::select! {
            ended = told => ended,
            _ = interrupt.recv() => Ok(()),
            _ = terminate.recv() => Ok(()),
            ended = &mut server => return finished(ended),
        };
        stop.cancel();
        finished(server.await)?;
        ended.map(|()| Exit::Fine)
    }

    /// The address asked for. The usual one may be taken by a server of one's own; then any will do.
    async fn listen(&self, err: &mut Out<'_>) -> Result<TcpListener, Failure> {
        let usual = SocketAddr::from(([127, 0, 0, 1], 7171));
        let address = self.listen.unwrap_or(usual);
        let failed = |source| Failure::Process(ProcessError::Listen { address, source });
        match TcpListener::bind(address).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && self.listen.is_none() => {
                let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))
                    .await
                    .map_err(failed)?;
                err.line(format!(
                    "note: port {} is taken, so the demo listens on a free one",
                    usual.port()
                ))?;
                Ok(listener)
            }
            bound => bound.map_err(failed),
        }
    }
}

fn finished(
    ended: Result<Result<(), crate::start_error::StartError>, tokio::task::JoinError>,
) -> Result<Exit, Failure> {
    match ended {
        Ok(Ok(())) => Ok(Exit::Fine),
        Ok(Err(error)) => Err(Failure::Process(error.into())),
        Err(error) => Err(Failure::Runtime(io::Error::other(error))),
    }
}

fn settings(site: &Site, listen: SocketAddr) -> Result<Settings, Failure> {
    let upstream = site.upstream();
    let url = upstream
        .display()
        .to_string()
        .parse()
        .map_err(|error| Failure::Usage {
            message: format!(
                "cannot follow a repository at `{}`: {error}",
                clean(&upstream.display().to_string())
            ),
            hint: "name another directory with --dir".to_owned(),
        })?;
    let name: RepoName = super::options::REPO_DEFAULT
        .parse()
        .map_err(|error| Failure::Usage {
            message: format!("cannot name the repository: {error}"),
            hint: "this is a fault of the program".to_owned(),
        })?;
    let upstream = Upstream::new(url);
    let repo = RepoSettings {
        name,
        write: WriteSettings {
            allowed: true,
            ..WriteSettings::read_only(&upstream)
        },
        upstream,
        branch: BranchWanted::Default,
        poll_interval: POLL_INTERVAL,
        rewritten_history: RewrittenHistory::default(),
        signatures: SignaturePolicy::Off,
        mirror_limits: MirrorLimits::default(),
        forge_repo: None,
        hook_grace: HOOK_GRACE,
        canary: None,
        notes: None,
    };
    Ok(Settings {
        fleet: FleetSettings {
            heartbeat: HEARTBEAT,
            ..FleetSettings::default()
        },
        listen,
        tls: None,
        admin: None,
        data_dir: site.data(),
        tokens_file: None,
        issuers: Vec::new(),
        proxy_auth: None,
        orders: OrderSettings::default(),
        drain_deadline: DRAIN_DEADLINE,
        allow_write: true,
        log_format: LogFormat::Text,
        log_filter: LOG_FILTER.to_owned(),
        limits: Limits::default(),
        floor: Floor::default(),
        verdict_deadline: VERDICT_DEADLINE,
        verdict_program: own_program(),
        verdict_confinement: Confinement::default(),
        repos: vec![repo],
        hooks: Vec::new(),
        forges: Vec::new(),
        webhooks: Vec::new(),
        signals: Vec::new(),
        alerts: Vec::new(),
        public_url: None,
        allowed_hosts: Vec::new(),
        connections_max: None,
        caller_limits: LimitSettings::default(),
        telemetry: None,
    })
}

/// Everything that is printed from the start on.
async fn tell(
    site: &Site,
    address: SocketAddr,
    environment: &Environment,
    out: &mut Out<'_>,
) -> Result<(), Failure> {
    let server = format!("http://{address}");
    let paint = out.paint();
    out.line(format!(
        "API       {}",
        paint.apply(Tone::Strong, &format!("{server}/v1/repos/default"))
    ))?;
    out.line(format!("upstream  {}", site.upstream().display()))?;
    out.line(format!("clone     {}", site.clone_dir().display()))?;
    out.line("")?;
    out.flush()?;
    let mut instances = Instances::start(&server, environment).await?;
    instances.tell_first(environment.now, out).await?;
    invite(site, (&server, &instances.begun), out)?;
    instances.tell(environment.now, out).await
}
