//! `[protect] manifest_changes = "alone"`: a commit that loosens a guard does nothing else.
//!
//! Invariant: the exposed commit's `[protect]` decides, so that it cannot be switched off by the commit it would
//! refuse. Whatever is not known to be as strict as before counts as loosened. Tightening may come with its fixes.

use headwater_wire::{ConfigName, Finding, RepoPath, Severity, Span};

use crate::document::Range;
use crate::document::lines::LineIndex;
use crate::manifest;
use crate::manifest::model::Unmatched;
use crate::manifest::protect::ManifestChanges;
use crate::plan::Plan;
use crate::rules::before::Before;
use crate::rules::rule::Rule;
use crate::suggest;
use crate::tree::{ConfigTree, Entry};

/// Something that holds less than before.
struct Loosened {
    what: String,
    /// Where the manifest says it now, if it still says anything.
    range: Option<Range>,
    config: Option<ConfigName>,
}

/// What a commit that loosens guards may not touch, as findings.
pub(super) fn check(tree: &ConfigTree, plan: &Plan, before: &Before<'_>) -> Vec<Finding> {
    if before.plan.protect.manifest_changes == ManifestChanges::Mixed {
        return Vec::new();
    }
    let touched = touched(tree, plan, before);
    if touched.is_empty() {
        return Vec::new();
    }
    let index = plan.manifest.as_ref().map(LineIndex::new);
    let hint = format!("leave these to another commit: {}", suggest::list(&touched));
    let finding = |loosened: Loosened| {
        let span = loosened
            .range
            .zip(index.as_ref())
            .map(|(range, index)| index.span(range));
        let place = (manifest::PATH, span.unwrap_or(Span::START));
        let message = format!(
            "this commit loosens a guard, so it may change the manifest and schemas alone: {}",
            loosened.what
        );
        let finding = Finding::new("protect/alone", Severity::Error, place, message).hint(hint.clone());
        Finding {
            config: loosened.config,
            ..finding
        }
    };
    loosened(&before.plan, plan).into_iter().map(finding).collect()
}

/// Paths that differ, besides the manifest and schemas.
fn touched(tree: &ConfigTree, plan: &Plan, before: &Before<'_>) -> Vec<RepoPath> {
    let is_free = |path: &RepoPath| {
        path.as_str() == manifest::PATH || plan.schemas.contains(path) || before.plan.schemas.contains(path)
    };
    let edited = tree
        .iter()
        .filter(|(path, entry)| before.tree.get(path).is_none_or(|old| !is_same(old, entry)));
    let removed = before.tree.iter().filter(|(path, _)| tree.get(path).is_none());
    let mut touched: Vec<RepoPath> = edited.chain(removed).map(|(path, _)| path.clone()).collect();
    touched.retain(|path| !is_free(path));
    touched.sort();
    touched
}

fn is_same(old: &Entry, new: &Entry) -> bool {
    match (old, new) {
        (Entry::File(old), Entry::File(new)) => old.id == new.id,
        (Entry::Symlink, Entry::Symlink) | (Entry::Submodule, Entry::Submodule) => true,
        _ => false,
    }
}

fn loosened(old: &Plan, new: &Plan) -> Vec<Loosened> {
    let mut found = Vec::new();
    for (id, before) in &old.rules {
        found.extend(loosened_rule(id, before, new.rules.get(id)));
    }
    if openness(new.defaults.unmatched) > openness(old.defaults.unmatched) {
        found.push(whole("`unmatched` is wider".to_owned()));
    }
    if new.protect != old.protect {
        found.push(whole("`[protect]` is edited".to_owned()));
    }
    for (name, policy) in &old.rollouts {
        if new.rollouts.get(name) != Some(policy) {
            found.push(whole(format!("`[rollout.{name}]` is edited")));
        }
    }
    let both = old
        .configs
        .iter()
        .filter_map(|(name, before)| Some((name, before, new.configs.get(name)?)));
    for (name, before, after) in both {
        let ids = before.terms.rules.difference(&after.terms.rules);
        let kept = ids.filter(|id| new.rules.contains_key(*id));
        let mut what: Vec<String> = kept
            .map(|id| format!("the rule `{id}` no longer holds"))
            .collect();
        if after.owners != before.owners {
            what.push("`owners` is edited".to_owned());
        }
        if after.rollout != before.rollout {
            what.push("`rollout` is edited".to_owned());
        }
        found.extend(what.into_iter().map(|what| Loosened {
            what,
            range: after.terms.declared,
            config: Some(name.clone()),
        }));
    }
    found
}

fn whole(what: String) -> Loosened {
    Loosened {
        what,
        range: None,
        config: None,
    }
}

fn loosened_rule(id: &str, old: &Rule, new: Option<&Rule>) -> Option<Loosened> {
    let Some(new) = new else {
        return Some(whole(format!("the rule `{id}` is removed")));
    };
    let what = if new.says.severity > old.says.severity {
        "has a lower severity"
    } else if !new.is_as_strict_as(old) {
        "is not known to be as strict as before"
    } else {
        return None;
    };
    Some(Loosened {
        what: format!("the rule `{id}` {what}"),
        range: Some(new.range),
        config: None,
    })
}

/// How much is served that nobody declared.
fn openness(unmatched: Unmatched) -> u8 {
    match unmatched {
        Unmatched::Reject => 0,
        Unmatched::Warn => 1,
        Unmatched::Serve => 2,
    }
}
