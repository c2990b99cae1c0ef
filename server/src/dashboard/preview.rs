//! What would happen: what an order changes, and for whom.

use headwater_wire::{
    CommitView, LeftAlone, PlanView, PlannedConfig, Problem, RollbackPlanView, TurnedConfig,
};

use super::api::Told;
use super::asked::{Asked, Links};
use super::changes::Changed;
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

/// A config that stays as it is.
#[derive(Debug, Clone)]
pub(super) struct Alone {
    /// The config.
    pub config: Link,
    /// The rollout that has it in hand.
    pub rollout: Link,
}

impl Alone {
    /// Configs that a rollback leaves alone.
    pub(super) fn all(links: &Links, left_alone: &[LeftAlone]) -> Vec<Self> {
        let alone = |left: &LeftAlone| Self {
            config: Link::new(links.config(&left.config), left.config.to_string()),
            rollout: Link::new(links.rollout(&left.rollout), left.rollout.clone()),
        };
        left_alone.iter().map(alone).collect()
    }
}

/// A config that is turned back.
#[derive(Debug, Clone)]
pub(super) struct Turned {
    /// The config.
    pub config: Link,
    /// Live instances that get other content.
    pub instances: u64,
    /// The rollout that ends.
    pub ends: Option<Link>,
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
    /// What it comes to, or why it would be refused.
    pub end: Result<Coming, Problem>,
}

/// What would come of it.
#[derive(Debug, Clone)]
pub(super) struct Coming {
    /// Head of the branch as it is seen with this.
    pub head: String,
    /// All of it in one sentence.
    pub summary: String,
    /// Configs that are turned back.
    pub turned: Vec<Turned>,
    /// Values that change.
    pub changed: Vec<Changed>,
    /// Configs that stay as they are.
    pub left_alone: Vec<Alone>,
}

impl Preview {
    /// Going back to a revision (`to`), or taking its change back (`revert`), as the API says that it would be decided.
    pub(super) async fn load(asked: &Asked, (way, rev): (&str, &str), config: Option<&str>) -> Told<Self> {
        let view: CommitView = asked.api.get(asked.v1().part("commits").part(rev)).await?;
        let links = asked.links();
        let plan = asked.v1().part("rollbacks").part("plan");
        let plan = plan.query(way, view.commit.as_str()).maybe("config", config);
        let end = match asked.api.get::<RollbackPlanView>(plan).await {
            Ok(plan) => Ok(Coming::of(&links, &plan)),
            Err(refused) => Err(*refused),
        };
        Ok(Self {
            commit: Link::commit(&links, &view.commit),
            hash: view.commit.to_string(),
            subject: subject(&view.message),
            end,
        })
    }
}

impl Coming {
    fn of(links: &Links, plan: &RollbackPlanView) -> Self {
        let turned = |turned: &TurnedConfig| Turned {
            config: Link::new(links.config(&turned.config), turned.config.to_string()),
            instances: turned.instances,
            ends: turned
                .ends
                .as_ref()
                .map(|id| Link::new(links.rollout(id), id.clone())),
        };
        let changes = plan.configs.iter().flat_map(|turned| &turned.changes);
        Self {
            head: plan.base.to_string(),
            summary: plan.summary.clone(),
            turned: plan.configs.iter().map(turned).collect(),
            changed: changes.map(|diff| Changed::of(links, diff)).collect(),
            left_alone: Alone::all(links, &plan.left_alone),
        }
    }
}
