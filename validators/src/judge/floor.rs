//! What the server insists on, whatever a manifest says.
//!
//! Invariant: every error here has a code that begins with `floor/`, so that a rejection is known to be outlived
//! once the settings are others.

use std::collections::BTreeSet;

use headwater_wire::{Finding, RepoPath, Severity, Span};

use crate::context::{Context, Floor};
use crate::document::Range;
use crate::document::lines::LineIndex;
use crate::manifest;
use crate::plan::Plan;
use crate::rollout::{BAKE_UNSAID_MS, RolloutKind, RolloutPolicy, SignalPolicy, Stage};
use crate::rules::before::Before;
use crate::rules::rule::{Rule, WebhookRule};
use crate::tree::{ConfigTree, Entry};
use crate::{duration, suggest};

/// Everything that is below the floor.
pub(super) fn check(
    tree: &ConfigTree,
    plan: &Plan,
    before: Option<&Before<'_>>,
    context: &Context<'_>,
) -> Vec<Finding> {
    let bytes = plan.manifest.as_deref().unwrap_or_default();
    let index = LineIndex::new(bytes);
    let mut found = webhooks(plan, context, &index);
    found.extend(rollouts(plan, context, &index));
    found.extend(signals(plan, context));
    found.extend(owner(tree, before, context));
    found
}

fn at(index: &LineIndex<'_>, range: Range, code: &str, message: String) -> Finding {
    Finding::new(
        code,
        Severity::Error,
        (manifest::PATH, index.span(range)),
        message,
    )
}

/// A rule may only ask what the settings know: an address in a repository would let its authors reach into the
/// server's network.
fn webhooks(plan: &Plan, context: &Context<'_>, index: &LineIndex<'_>) -> Vec<Finding> {
    let Some(known) = &context.floor.webhooks else {
        return Vec::new();
    };
    let names: Vec<&str> = known.iter().map(String::as_str).collect();
    let asked = plan
        .rules
        .values()
        .filter_map(|rule| Some((rule, rule.says.webhook()?)));
    let unknown = asked.filter(|(_, webhook)| !known.contains(&webhook.name));
    let finding = |(rule, webhook): (&Rule, &WebhookRule)| {
        let message = format!(
            "the server's settings have no webhook of this name: `{}`",
            webhook.name
        );
        let finding = at(index, rule.range, "floor/webhook", message);
        finding.hint(match suggest::closest(&webhook.name, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!(
                "ask the operator of the server to add `{}`",
                table("webhook", &webhook.name)
            ),
        })
    };
    unknown.map(finding).collect()
}

/// No config moves faster than the settings allow.
fn rollouts(plan: &Plan, context: &Context<'_>, index: &LineIndex<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for (name, planned) in &plan.configs {
        for (message, hint) in too_careless(plan.policy(planned), context.floor) {
            let finding = match (planned.terms.declared, planned.layers.first()) {
                (Some(range), _) => at(index, range, "floor/rollout", message),
                (None, path) => {
                    let path = path.map_or(manifest::PATH, RepoPath::as_str);
                    Finding::new("floor/rollout", Severity::Error, (path, Span::START), message)
                }
            };
            found.push(finding.config(name).hint(hint));
        }
    }
    found
}

/// What the settings ask for and a policy does not have, and what to do.
fn too_careless(policy: Option<&RolloutPolicy>, floor: &Floor) -> Vec<(String, String)> {
    let kind = policy.map_or(RolloutKind::Immediate, |policy| policy.kind);
    if let Some(least) = floor.rollout.filter(|least| kind < *least) {
        let (message, least) = (
            "the server's settings ask for a more careful rollout",
            least.as_str(),
        );
        let hint = format!("name a `rollout` of kind `{least}` or a more careful one");
        return vec![(format!("{message}: `{least}`"), hint)];
    }
    let mut lacks = Vec::new();
    let stages = policy.map(|policy| policy.stages.as_slice()).unwrap_or_default();
    // Whoever is left comes in a last stage that is not written, and bakes for as long as one that says nothing.
    let is_open = !stages.last().is_some_and(Stage::takes_everyone);
    let is_short = |stage: &Stage| stage.bake_ms() < floor.bake_min_ms;
    let unsaid = is_open && BAKE_UNSAID_MS < floor.bake_min_ms;
    if kind > RolloutKind::Immediate && (unsaid || stages.iter().any(is_short)) {
        let least = duration::written(floor.bake_min_ms);
        let message = format!("the server's settings ask every stage to bake for longer: `{least}`");
        lacks.push((
            message,
            format!("write `bake = \"{least}\"` or a longer time into each stage of the rollout, and let the last take everybody"),
        ));
    }
    if let Some(most) = floor.first_percent_max
        && !stages.first().is_some_and(|stage| takes_at_most(stage, most))
    {
        let message = format!("the server's settings ask for a smaller first stage: `{most}` percent");
        let hint =
            format!("let the rollout begin with a stage of `percent = {most}` or less, or of `count = 1`");
        lacks.push((message, hint));
    }
    lacks
}

/// A signal may only ask what the settings know, as a rule may: also where no config names the policy yet.
fn signals(plan: &Plan, context: &Context<'_>) -> Vec<Finding> {
    let Some(known) = &context.floor.signals else {
        return not_checked(plan).into_iter().collect();
    };
    let asked = plan
        .rollouts
        .iter()
        .flat_map(|(policy, says)| says.signals.iter().map(move |signal| (policy, signal)));
    let unknown = asked.filter(|(_, signal)| {
        known.get(signal.source.server()).map(String::as_str) != Some(signal.source.kind())
    });
    let finding = |(policy, signal): (&String, &SignalPolicy)| {
        let (server, kind) = (signal.source.server(), signal.source.kind());
        let name = &signal.name;
        let message = format!(
            "[rollout.{policy}] asks what the server's settings have no signal of kind `{kind}` for, \
             in `{name}`: `{server}`"
        );
        let of_kind = known.iter().filter(|(_, of)| *of == kind);
        let near = suggest::closest(server, of_kind.map(|(name, _)| name.as_str()));
        manifest::whole("floor/signal", message).hint(match (near, known.get(server)) {
            (_, Some(other)) => format!(
                "that name is one of kind `{other}`: ask it so, or ask the operator of the server to add one of \
                 kind `{kind}` under another name"
            ),
            (Some(near), None) => format!("did you mean `{near}`?"),
            (None, None) => format!(
                "ask the operator of the server to add `{}` with `kind = \"{kind}\"`",
                table("signal", server)
            ),
        })
    };
    unknown.map(finding).collect()
}

/// Where the settings are not known, what only they can say.
fn not_checked(plan: &Plan) -> Option<Finding> {
    let signals = plan.rollouts.values().flat_map(|policy| &policy.signals);
    let servers: BTreeSet<&str> = signals.map(|signal| signal.source.server()).collect();
    if servers.is_empty() {
        return None;
    }
    let names: Vec<&str> = servers.into_iter().collect();
    let message = format!(
        "whether the server's settings have what signals ask is not known here: {}",
        suggest::list(&names)
    );
    Some(Finding {
        severity: Severity::Info,
        ..manifest::whole("signal/not-checked", message)
    })
}

/// The head of a table of the settings; a dot in the name would make it a table in a table.
fn table(kind: &str, name: &str) -> String {
    if name.contains('.') {
        format!("[{kind}.\"{name}\"]")
    } else {
        format!("[{kind}.{name}]")
    }
}

/// Nobody knows how large a fleet is, or how many have a label; one instance is few in any.
fn takes_at_most(stage: &Stage, percent: u8) -> bool {
    stage.count == Some(1) || stage.count.is_none() && stage.percent.is_some_and(|share| share <= percent)
}

/// Only some may change the manifest. An author is what a commit says of itself: the forge must keep others out.
fn owner(tree: &ConfigTree, before: Option<&Before<'_>>, context: &Context<'_>) -> Option<Finding> {
    let owners = &context.floor.manifest_owners;
    let before = before.filter(|_| !owners.is_empty())?;
    let id = |tree: &ConfigTree| match tree.entry(manifest::PATH) {
        Some((_, Entry::File(file))) => Some(file.id.clone()),
        Some((_, Entry::Symlink | Entry::Submodule)) | None => None,
    };
    let author = &context.commit.author;
    if id(tree) == id(before.tree) || owners.contains(author) {
        return None;
    }
    let message =
        format!("the server's settings let only some people change the manifest, and not: `{author}`");
    let finding = manifest::whole("floor/owners", message);
    Some(finding.hint(format!("let one of {} make the commit", suggest::list(owners))))
}
