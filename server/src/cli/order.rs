//! `headwater promote`, `pause`, `resume` and `abort`: what a person orders of a rollout.

use clap::Args;
use headwater_client::{RepoApi, RolloutsQuery};
use headwater_wire::{ConfigName, OrderAnswer, ProblemCode, RolloutOrder, RolloutOrderRequest, RolloutView};

use super::failure::{Exit, Failure};
use super::options::{Output, ServerOptions, Session};
use super::orders;
use super::out::Out;
use super::rollouts::print_one;

const EXAMPLES: &str = "\
Examples:
  headwater promote r-57 --reason \"the canary is well\"
  headwater pause payments/prod --reason \"have a look first\"
  headwater resume r-57 --reason \"the instance was at fault\"
  headwater abort r-57 --reason \"errors since noon\" --requested-by \"Ada <ada@example.test>\"";

/// Which rollout, and why.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Order {
    /// The rollout, as `headwater rollouts` names it, or the config that it moves
    #[arg(value_name = "ID|CONFIG")]
    rollout: String,
    /// Why; kept with the decision
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Who asks, as `Name <address>` or a name; kept with the decision
    #[arg(long, value_name = "PERSON")]
    requested_by: Option<String>,
    #[command(flatten)]
    pub(super) server: ServerOptions,
}

impl Order {
    pub(super) async fn run(
        &self,
        order: RolloutOrder,
        session: &Session,
        out: &mut Out<'_>,
    ) -> Result<Exit, Failure> {
        let repo = session.repo().await?;
        let request = RolloutOrderRequest {
            reason: self.reason.trim().to_owned(),
            requested_by: self.requested_by.clone(),
            expected_steps: None,
        };
        let id = id(&repo, &self.rollout).await?;
        let view = match repo.order(&id, order, &request).await? {
            OrderAnswer::Waits(waits) => return orders::print_waits(&waits, session, out),
            OrderAnswer::Done(view) => view,
        };
        match session.output {
            Output::Json => out.json(&view)?,
            Output::Text => print_one(&view, (session.now)(), out)?,
        }
        Ok(Exit::Fine)
    }
}

/// The id that is meant: that of the only rollout that moves a config, if a config is named.
async fn id(repo: &RepoApi, named: &str) -> Result<String, Failure> {
    match repo.rollout(named).await {
        Ok(view) => Ok(view.id),
        Err(error) if error.code() == Some(ProblemCode::RolloutNotFound) => {
            match moving(repo, named).await? {
                Some(view) => Ok(view.id),
                None => Err(error.into()),
            }
        }
        Err(error) => Err(error.into()),
    }
}

async fn moving(repo: &RepoApi, named: &str) -> Result<Option<RolloutView>, Failure> {
    let Ok(config) = named.parse::<ConfigName>() else {
        return Ok(None);
    };
    let query = RolloutsQuery {
        config: Some(config),
        state: None,
    };
    let rollouts = repo.rollouts(&query).await?.rollouts;
    Ok(rollouts.into_iter().find(|view| !view.state.is_final()))
}
