//! One instance: what it runs, what it should run, and what it ran before.

use askama::Template;
use headwater_wire::{ConfigName, InstanceView, Ran, ValueSource};

use super::api::Told;
use super::asked::{Asked, Links};
use super::frame::{Frame, Section};
use super::instances::labels;
use super::show::{Page, live_block};
use super::sign::{self, Sign};
use super::words::{Link, When, spaced};

/// One config of it.
struct Held {
    config: Link,
    runs: Option<Link>,
    should: Option<Link>,
    prepared: Option<Link>,
    state: Sign,
    drift: Sign,
    source: Option<String>,
    restarts: u32,
    error: Option<String>,
    history: Vec<Past>,
}

/// What it ran for a while.
struct Past {
    from: When,
    until: When,
    version: Option<Link>,
    state: &'static str,
    failed: &'static str,
    life: u64,
}

/// The page.
#[derive(Template)]
#[template(path = "instance.html", blocks = ["live"])]
pub(super) struct Instance {
    frame: Frame,
    name: String,
    liveness: Sign,
    reported: When,
    labels: String,
    client: String,
    held: Vec<Held>,
}

impl Page for Instance {
    async fn load(asked: &Asked) -> Told<Self> {
        let address = asked.v1().part("instances").part(asked.param("instance"));
        let view: InstanceView = asked.api.get(address).await?;
        let links = asked.links();
        let title = format!("Instance {}", view.instance);
        Ok(Self {
            frame: Frame::load(asked, Section::Instances, title).await?,
            name: view.instance.to_string(),
            liveness: sign::liveness(view.liveness),
            reported: When::new(asked.now, view.reported_at),
            labels: labels(&view),
            client: view.report.client.clone(),
            held: view
                .report
                .configs
                .keys()
                .filter_map(|config| held(asked, &links, &view, config))
                .collect(),
        })
    }

    live_block!();
}

fn held(asked: &Asked, links: &Links, view: &InstanceView, config: &ConfigName) -> Option<Held> {
    let report = view.report.configs.get(config)?;
    let standing = view.standings.get(config);
    let assigned = standing.and_then(|standing| standing.assigned.as_ref());
    let running = report.running.as_ref();
    let history = view.history.get(config).map(Vec::as_slice).unwrap_or_default();
    Some(Held {
        config: Link::new(links.config(config), config.to_string()),
        runs: running.map(|running| Link::commit(links, &running.version)),
        should: assigned.map(|assigned| Link::commit(links, &assigned.version)),
        prepared: report.prepared.as_ref().map(|commit| Link::commit(links, commit)),
        state: sign::report(view, report.state),
        drift: sign::drift(standing.and_then(|standing| standing.drift)),
        source: (report.source != ValueSource::Server).then(|| spaced(report.source.as_str())),
        restarts: standing.map_or(0, |standing| standing.restarts),
        error: report
            .error
            .as_ref()
            .map(|error| format!("{}: {}", error.phase.as_str(), error.message)),
        history: history.iter().map(|ran| past(asked, links, ran)).collect(),
    })
}

fn past(asked: &Asked, links: &Links, ran: &Ran) -> Past {
    Past {
        from: When::new(asked.now, ran.from),
        until: When::new(asked.now, ran.until),
        version: ran
            .running
            .as_ref()
            .map(|running| Link::commit(links, &running.version)),
        state: ran.state.as_str(),
        failed: ran
            .failed
            .map(headwater_wire::FailPhase::as_str)
            .unwrap_or_default(),
        life: ran.incarnation,
    }
}
