//! What would happen: what an order changes, and for whom.

use headwater_wire::{CommitView, ConfigName, FleetView, PlanView, PlannedConfig, RepoView, VerdictState};

use super::api::Told;
use super::asked::{Asked, Links};
use super::changes::{self, Changed};
use super::rollouts::{gates, members};
use super::words::{Link, subject};

/// One config that is touched.
#[derive(Debug, Clone)]
pub(super) struct Touched {
    /// Config.
    pub config: Link,
    /// Whether it is added, removed or modified.
    pub kind: String,
    /// Live instances that have it.
    pub instances: u64,
    /// How it goes, a stage each.
    pub stages: Vec<String>,
    /// What to know before it begins.
    pub warning: Option<String>,
}

impl Touched {
    /// What a plan touches.
    pub(super) fn all(links: &Links, plan: &PlanView) -> Vec<Self> {
        plan.configs
            .iter()
            .map(|planned| Self::of(links, planned))
            .collect()
    }

    fn of(links: &Links, planned: &PlannedConfig) -> Self {
        let stages = planned.policy.iter().flat_map(|policy| &policy.stages);
        let stage = |stage: &headwater_wire::RolloutStageView| match gates(stage) {
            gates if gates.is_empty() => members(stage),
            gates => format!("{}, then {gates}", members(stage)),
        };
        Self {
            config: Link::new(links.config(&planned.config), planned.config.to_string()),
            kind: planned.kind.clone(),
            instances: planned.instances,
            stages: stages.map(stage).collect(),
            warning: planned.warning.clone(),
        }
    }
}

/// What a rollback would do.
#[derive(Debug, Clone)]
pub(super) struct Preview {
    /// The commit it names.
    pub commit: Link,
    /// Its whole hash.
    pub hash: String,
    /// First line of its message.
    pub subject: String,
    /// Head of the branch as it is seen with this.
    pub head: Option<String>,
    /// All of it in one sentence.
    pub summary: String,
    /// Configs and instances that are touched.
    pub touched: Vec<Touched>,
    /// Values that change.
    pub changed: Vec<Changed>,
}

impl Preview {
    /// Going back to the content of a revision, of one config or of all.
    pub(super) async fn of_going_back(asked: &Asked, rev: &str, config: Option<&str>) -> Told<Self> {
        let (repo, view) = look(asked, rev).await?;
        let links = asked.links();
        let tip = repo.tip.as_ref().unwrap_or(&view.commit).as_str();
        let diff = changes::between(asked, (tip, view.commit.as_str()), config).await?;
        let plan = asked.v1().part("plan").query("rev", view.commit.as_str());
        let plan: PlanView = asked.api.get(plan).await?;
        let mut touched = Touched::all(&links, &plan);
        // A rollback waits for no stage.
        for touched in &mut touched {
            touched.stages.clear();
        }
        touched.retain(|touched| config.is_none_or(|config| touched.config.text == config));
        let rejected = view.verdict.state == VerdictState::Rejected;
        let summary = match (rejected, config) {
            (true, _) => "that commit was rejected, and its content is not exposed".to_owned(),
            (false, Some(config)) => format!("only `{config}` goes back"),
            (false, None) => format!(
                "everything goes back, at once and for everybody; touched: {}",
                headwater_core::count(plan.instances, "instance")
            ),
        };
        Ok(Self::new(&repo, &view, summary, (touched, &diff.configs, &links)))
    }

    /// Taking the change of one commit back.
    pub(super) async fn of_taking_back(asked: &Asked, rev: &str) -> Told<Self> {
        let (repo, view) = look(asked, rev).await?;
        let links = asked.links();
        let configs = match view.parents.first() {
            Some(parent) => {
                let diff = changes::between(asked, (view.commit.as_str(), parent.as_str()), None).await?;
                diff.configs
            }
            None => Vec::new(),
        };
        let touched = counted(asked, &links, &view.configs_changed).await?;
        let summary = "what this commit changed is taken back; what came after it stays. Where later commits \
             changed the same, it is refused and nothing happens";
        Ok(Self::new(
            &repo,
            &view,
            summary.to_owned(),
            (touched, &configs, &links),
        ))
    }

    fn new(
        repo: &RepoView,
        view: &CommitView,
        summary: String,
        (touched, configs, links): (Vec<Touched>, &[headwater_wire::ConfigDiff], &Links),
    ) -> Self {
        Self {
            commit: Link::commit(links, &view.commit),
            hash: view.commit.to_string(),
            subject: subject(&view.message),
            head: repo.head.as_ref().map(ToString::to_string),
            summary,
            touched,
            changed: configs.iter().map(|diff| Changed::of(links, diff)).collect(),
        }
    }
}

async fn look(asked: &Asked, rev: &str) -> Told<(RepoView, CommitView)> {
    let repo = asked.api.get(asked.v1()).await?;
    let view = asked.api.get(asked.v1().part("commits").part(rev)).await?;
    Ok((repo, view))
}

/// Configs with the instances that have them.
async fn counted(asked: &Asked, links: &Links, configs: &[ConfigName]) -> Told<Vec<Touched>> {
    if configs.is_empty() {
        return Ok(Vec::new());
    }
    let address = asked.v1().part("fleet");
    let address = configs.iter().fold(address, |address, config| {
        address.query("config", config.as_str())
    });
    let fleet: FleetView = asked.api.get(address).await?;
    let touched = |config: &ConfigName| Touched {
        config: Link::new(links.config(config), config.to_string()),
        kind: "modified".to_owned(),
        instances: fleet.configs.get(config).map_or(0, |counts| counts.live),
        stages: Vec::new(),
        warning: None,
    };
    Ok(configs.iter().map(touched).collect())
}
