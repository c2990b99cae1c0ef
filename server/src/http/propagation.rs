//! How a version came to the instances of a config.
//!
//! Invariant: it is told from what the instances said themselves; the time of the commit is its maker's word.

use std::time::Duration;

use axum::extract::{Path, RawQuery, State};
use headwater_core::Arrivals;
use headwater_wire::{ConfigName, PropagationPoint, PropagationShare, PropagationView, Timestamp};

use super::extract::{self, Pairs};
use super::instances;
use super::problem::{Result, bad_request};
use super::state::App;
use super::{answer, commits, history};
use crate::repo::RepoError;
use crate::task;

/// Points of one answer.
const POINTS_MAX: usize = 60;
/// Longest time to look at all instances of a config.
const ARRIVALS_DEADLINE: Duration = Duration::from_secs(20);
/// Shares that are told.
const SHARES: [u8; 3] = [50, 95, 100];

/// `GET /v1/repos/{repo}/propagation?config=&version=`.
pub(super) async fn one(
    State(app): State<App>,
    Path(repo): Path<String>,
    RawQuery(query): RawQuery,
) -> Result {
    let repo = extract::repo(&app, &repo)?;
    let pairs = Pairs::read(query.as_deref())?;
    let missing = |name: &str| bad_request(format!("`{name}` is missing"), "say `?config=NAME&version=REV`");
    let config = extract::config(pairs.get("config").ok_or_else(|| missing("config"))?)?;
    let rev = pairs.get("version").ok_or_else(|| missing("version"))?;
    let version = history::resolve(&repo, rev).await?;
    commits::reachable(&repo, &version).await?;
    let wanted = version.clone();
    let info = repo.read(move |reader| Ok(reader.commit(&wanted)?)).await?;
    let of = config.clone();
    let look = move || instances::read(&repo).arrivals(&of, &version, repo.moment().uptime);
    let arrivals = task::blocking(ARRIVALS_DEADLINE, look).await;
    let arrivals = arrivals.map_err(RepoError::from)?;
    Ok(answer::view(&view(config, &arrivals, &info)))
}

fn view(config: ConfigName, arrivals: &Arrivals, info: &crate::git::history::CommitInfo) -> PropagationView {
    let committed_at = info.committer.at;
    let share = |percent: u8| {
        // Nobody is no part of anybody.
        let needed = (arrivals.instances * u64::from(percent)).div_ceil(100).max(1);
        let last = usize::try_from(needed)
            .ok()
            .and_then(|needed| arrivals.at.get(needed - 1));
        PropagationShare {
            percent,
            at: last.copied(),
            after_ms: last.and_then(|at| u64::try_from(at.ms_since(committed_at)).ok()),
        }
    };
    PropagationView {
        config,
        version: info.commit.clone(),
        committed_at,
        instances: arrivals.instances,
        arrived: arrivals.at.len() as u64,
        points: points(&arrivals.at),
        shares: SHARES.map(share).into(),
    }
}

/// At most [`POINTS_MAX`] of the arrivals, the last among them.
fn points(arrivals: &[Timestamp]) -> Vec<PropagationPoint> {
    let step = arrivals.len().div_ceil(POINTS_MAX).max(1);
    let counted = arrivals.iter().zip(1_u64..).enumerate();
    let kept = counted.filter(|(index, _)| index % step == step - 1 || index + 1 == arrivals.len());
    kept.map(|(_, (at, instances))| PropagationPoint { at: *at, instances })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_very_many_arrivals_some_are_told_and_the_last_in_any_case() {
        let arrivals: Vec<Timestamp> = (0..1_001).map(Timestamp).collect();
        let points = points(&arrivals);
        assert!(points.len() <= POINTS_MAX, "{}", points.len());
        assert_eq!(
            points.last().map(|point| (point.at.0, point.instances)),
            Some((1_000, 1_001))
        );
        assert!(super::points(&[]).is_empty());
    }
}
