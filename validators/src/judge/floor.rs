//! What the server insists on, whatever a manifest says.
//!
//! Invariant: every finding here has a code that begins with `floor/`, so that a rejection is known to be outlived
//! once the settings are others.

use std::sync::Arc;

use headwater_wire::{ConfigName, Finding, RepoPath, Severity, Span};

use crate::context::Context;
use crate::document::Range;
use crate::document::lines::LineIndex;
use crate::manifest;
use crate::manifest::rollout::RolloutKind;
use crate::plan::{Plan, Planned};
use crate::rules::before::Before;
use crate::rules::rule::{Rule, WebhookRule};
use crate::suggest;
use crate::tree::{ConfigTree, Entry};

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
                "ask the operator of the server to add `[webhook.{}]`",
                webhook.name
            ),
        })
    };
    unknown.map(finding).collect()
}

/// No config moves faster than the settings allow.
fn rollouts(plan: &Plan, context: &Context<'_>, index: &LineIndex<'_>) -> Vec<Finding> {
    let Some(least) = context
        .floor
        .rollout
        .filter(|least| *least > RolloutKind::Immediate)
    else {
        return Vec::new();
    };
    let kind = |planned: &Planned| {
        let policy = planned.rollout.as_ref().and_then(|name| plan.rollouts.get(name));
        policy.map_or(RolloutKind::Immediate, |policy| policy.kind)
    };
    let careless = plan.configs.iter().filter(|(_, planned)| kind(planned) < least);
    let finding = |(name, planned): (&ConfigName, &Arc<Planned>)| {
        let message = format!(
            "the server's settings ask for a more careful rollout: `{}`",
            least.as_str()
        );
        let finding = match (planned.terms.declared, planned.layers.first()) {
            (Some(range), _) => at(index, range, "floor/rollout", message),
            (None, path) => {
                let path = path.map_or(manifest::PATH, RepoPath::as_str);
                Finding::new("floor/rollout", Severity::Error, (path, Span::START), message)
            }
        };
        finding.config(name).hint(format!(
            "name a `rollout` of kind `{}` or a more careful one",
            least.as_str()
        ))
    };
    careless.map(finding).collect()
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
