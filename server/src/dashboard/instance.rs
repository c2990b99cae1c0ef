//! One instance: what it runs, what it should run, and what it ran before.

use askama::Template;
use headwater_wire::{
    Assigned, ConfigName, Drift, InstanceView, Ran, RolloutList, RolloutView, Running, Standing, ValueSource,
};

use super::api::Told;
use super::asked::{Asked, Links};
use super::frame::{Frame, Section};
use super::instances::labels;
use super::rollouts::why;
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
    /// What is to be known where the two versions differ, and all is well.
    same: bool,
    blamed: Vec<Blamed>,
    history: Vec<Past>,
}

/// A rollout that counts it as failed.
struct Blamed {
    rollout: Link,
    target: Link,
    why: String,
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
        let rollouts: RolloutList = asked.api.get(asked.v1().part("rollouts")).await?;
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
                .filter_map(|config| held(asked, &view, &rollouts.rollouts, config))
                .collect(),
        })
    }

    live_block!();
}

fn held(asked: &Asked, view: &InstanceView, rollouts: &[RolloutView], config: &ConfigName) -> Option<Held> {
    let links = &asked.links();
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
        drift: sign::drift(view.liveness, standing.and_then(|standing| standing.drift)),
        source: (report.source != ValueSource::Server).then(|| spaced(report.source.as_str())),
        restarts: standing.map_or(0, |standing| standing.restarts),
        error: report
            .error
            .as_ref()
            .map(|error| format!("{}: {}", error.phase.as_str(), error.message)),
        same: is_same_content(standing, running),
        blamed: blamed(links, view, rollouts, config),
        history: history.iter().map(|ran| past(asked, links, ran)).collect(),
    })
}

/// Whether it runs what it should under another version, as where a rollback's commit was built anew.
pub(super) fn is_same_content(standing: Option<&Standing>, running: Option<&Running>) -> bool {
    let assigned = standing.and_then(|standing| standing.assigned.as_ref());
    let in_sync = standing.and_then(|standing| standing.drift) == Some(Drift::InSync);
    let differ = |(assigned, running): (&Assigned, &Running)| assigned.version != running.version;
    in_sync && assigned.zip(running).is_some_and(differ)
}

/// Rollouts of a config that count the instance as failed.
fn blamed(links: &Links, view: &InstanceView, rollouts: &[RolloutView], config: &ConfigName) -> Vec<Blamed> {
    let of_config = rollouts.iter().filter(|rollout| rollout.config == *config);
    let found = of_config.filter_map(|rollout| {
        let mut failures = rollout.failures.iter();
        let failure = failures.find(|failure| failure.instance == view.instance)?;
        Some(Blamed {
            rollout: Link::new(links.rollout(&rollout.id), rollout.id.clone()),
            target: Link::commit(links, &rollout.target),
            why: why(failure),
        })
    });
    found.collect()
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_same_content_under_another_hash_is_said_to_be_the_same_and_nothing_else_is() {
        let digest = format!("sha256:{}", "0".repeat(64));
        let version = |digit: &str| digit.repeat(40);
        let running = |digit: &str| -> Running {
            serde_json::from_value(json!({"version": version(digit), "digest": digest})).unwrap()
        };
        let standing = |drift: &str| -> Standing {
            let assigned = json!({"version": version("a"), "digest": digest, "generation": 1});
            serde_json::from_value(json!({"assigned": assigned, "drift": drift})).unwrap()
        };
        let same = |drift: &str, digit: &str| is_same_content(Some(&standing(drift)), Some(&running(digit)));
        assert!(same("in_sync", "b"));
        assert!(!same("in_sync", "a") && !same("divergent", "b"));
        assert!(!is_same_content(Some(&standing("in_sync")), None) && !is_same_content(None, None));
    }
}
