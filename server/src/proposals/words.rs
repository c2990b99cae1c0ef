//! How the forge is told what would become of a proposal.
//!
//! Invariant: pure, and one short sentence each; what was found is behind the link and, where the forge shows it, beside
//! the lines.

use headwater_wire::{CommitId, MergeState, ProposalView, VerdictState};

use crate::forge::desk::{FINDINGS_MAX, Words, errors};
use crate::forge::{Status, StatusState};

/// Paths in conflict that are named.
const PATHS_NAMED: usize = 3;

/// It is being judged.
pub(super) fn pending(words: &Words, head: &CommitId) -> Status {
    Status {
        commit: head.clone(),
        context: words.context.clone(),
        state: StatusState::Pending,
        description: "what the branch would be with it is being judged".to_owned(),
        target_url: None,
        findings: Vec::new(),
    }
}

/// It was judged.
pub(super) fn judged(words: &Words, view: &ProposalView) -> Status {
    let is_good = view.verdict.state == VerdictState::Admitted;
    Status {
        commit: view.head.clone(),
        context: words.context.clone(),
        state: if is_good {
            StatusState::Success
        } else {
            StatusState::Failure
        },
        description: sentence(view),
        target_url: words.link("proposals", &view.head),
        findings: view.verdict.findings.iter().take(FINDINGS_MAX).cloned().collect(),
    }
}

/// What would become of it.
pub(super) fn sentence(view: &ProposalView) -> String {
    let branch = &view.branch;
    match (view.merge, view.verdict.state) {
        (MergeState::Conflict, _) => {
            let named: Vec<String> = view
                .conflicts
                .iter()
                .take(PATHS_NAMED)
                .map(|path| format!("`{path}`"))
                .collect();
            let more = if view.conflicts.len() > PATHS_NAMED {
                ", …"
            } else {
                ""
            };
            format!(
                "cannot be merged into {branch}, resolve {}{more}",
                named.join(", ")
            )
        }
        (MergeState::Unrelated, _) => {
            format!("cannot be merged into {branch}, with which it has no commit in common")
        }
        (MergeState::Contained, VerdictState::Admitted) => format!("is part of {branch}"),
        (_, VerdictState::Admitted) => {
            let unless = view.webhooks.first().map_or_else(String::new, |webhook| {
                format!(", unless `{webhook}` refuses, which is asked then")
            });
            let plan = view.plan.as_ref();
            let plan = plan.map_or_else(String::new, |plan| format!("; {}", plan.summary));
            format!("would be admitted to {branch}{unless}{plan}")
        }
        (merge, _) => {
            let errors = errors(&view.verdict.findings).unwrap_or_else(|| "no reason is known".to_owned());
            if merge == MergeState::Contained {
                format!("is part of {branch}, which was rejected: {errors}")
            } else {
                format!("would be rejected from {branch}: {errors}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use headwater_wire::{Finding, PlanView, Severity, Span, VerdictView};

    use super::*;

    fn view(merge: MergeState, state: VerdictState) -> ProposalView {
        let at = ("a.toml", Span::START);
        ProposalView {
            head: "1".repeat(40).parse().unwrap(),
            number: Some(7),
            branch: "main".parse().unwrap(),
            base: "2".repeat(40).parse().unwrap(),
            merge,
            conflicts: ["a.toml", "b.toml", "c.toml", "d.toml"]
                .map(str::to_owned)
                .to_vec(),
            verdict: VerdictView {
                state,
                findings: vec![
                    Finding::new("style/x", Severity::Warning, at, "odd"),
                    Finding::new("parse/toml", Severity::Error, at, "bad"),
                ],
            },
            plan: None,
            webhooks: Vec::new(),
        }
    }

    #[test]
    fn each_fate_of_a_proposal_is_one_short_sentence() {
        let said = [
            (MergeState::Clean, VerdictState::Admitted),
            (MergeState::Clean, VerdictState::Rejected),
            (MergeState::Conflict, VerdictState::Unjudged),
            (MergeState::Unrelated, VerdictState::Unjudged),
            (MergeState::Contained, VerdictState::Admitted),
            (MergeState::Contained, VerdictState::Rejected),
        ]
        .map(|(merge, state)| sentence(&view(merge, state)));
        let asked = ProposalView {
            webhooks: vec!["change-calendar".to_owned()],
            ..view(MergeState::Clean, VerdictState::Admitted)
        };
        insta::assert_snapshot!(sentence(&asked), @"would be admitted to main, unless `change-calendar` refuses, which is asked then");
        let plan = PlanView {
            commit: asked.head.clone(),
            base: None,
            verdict: VerdictState::Admitted,
            summary: "changes 3 configs, 41 instances; staged in 3 steps, at least 25 min".to_owned(),
            configs: Vec::new(),
            instances: 41,
            shortest_ms: 1_500_000,
        };
        let planned = ProposalView {
            plan: Some(plan),
            ..view(MergeState::Clean, VerdictState::Admitted)
        };
        insta::assert_snapshot!(sentence(&planned), @"would be admitted to main; changes 3 configs, 41 instances; staged in 3 steps, at least 25 min");
        insta::assert_snapshot!(said.join("\n"), @"
        would be admitted to main
        would be rejected from main: 1 error; parse/toml at a.toml:1
        cannot be merged into main, resolve `a.toml`, `b.toml`, `c.toml`, …
        cannot be merged into main, with which it has no commit in common
        is part of main
        is part of main, which was rejected: 1 error; parse/toml at a.toml:1
        ");
    }
}
