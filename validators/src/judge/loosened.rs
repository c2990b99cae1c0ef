//! What a manifest guards less well than another one.
//!
//! Invariant: whatever is not known to be as strict as before is here. What is deliberately absent: limits and the way
//! documents are read, which guard the server and not the values; and what a schema file says, of which nobody can tell
//! whether it admits more (see `widened`).

#[cfg(test)]
mod keys;

use headwater_wire::ConfigName;

use crate::document::Range;
use crate::lineage::Lineage;
use crate::manifest::model::{UnknownLayers, Unmatched};
use crate::manifest::secrets::Secrets;
use crate::plan::{Plan, Planned};
use crate::rollout::{RolloutKind, RolloutPolicy};
use crate::rules::rule::Rule;
use crate::schema::Formats;
use crate::tree::ConfigTree;

/// A way to loosen a guard, in the order in which they are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Protect,
    Unmatched,
    Ignore,
    SecretLevel,
    SecretPath,
    SecretAllowed,
    SecretReference,
    RuleRemoved,
    RuleSeverity,
    RuleWeaker,
    RuleDropped,
    ConfigDropped,
    Schema,
    SchemasRead,
    UnknownLayers,
    Owners,
    Rollout,
    RolloutPolicy,
}

impl Kind {
    /// What is said of one, and of more; `{}` is how many.
    pub(super) fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Protect => (
                "a key of `[protect]` is weaker",
                "{} keys of `[protect]` are weaker",
            ),
            Self::Unmatched => ("more is served that nobody declared", "{} defaults are wider"),
            Self::Ignore => ("a pattern of `ignore` is new", "{} patterns of `ignore` are new"),
            Self::SecretLevel => (
                "a level of `[secrets]` is lower",
                "{} levels of `[secrets]` are lower",
            ),
            Self::SecretPath => (
                "a path of `[secrets]` is removed",
                "{} paths of `[secrets]` are removed",
            ),
            Self::SecretAllowed => (
                "an exception of `[secrets]` is new",
                "{} exceptions of `[secrets]` are new",
            ),
            Self::SecretReference => (
                "a scheme of `[secrets] refs` is new",
                "{} schemes of `[secrets] refs` are new",
            ),
            Self::RuleRemoved => ("a rule is removed", "{} rules are removed"),
            Self::RuleSeverity => ("a rule has a lower severity", "{} rules have a lower severity"),
            Self::RuleWeaker => (
                "a rule is not known to be as strict as before",
                "{} rules are not known to be as strict as before",
            ),
            Self::RuleDropped => ("a rule no longer holds", "{} rules no longer hold"),
            Self::ConfigDropped => (
                "a config is no longer declared, and its files are there",
                "{} configs are no longer declared, and their files are there",
            ),
            Self::Schema => (
                "a config no longer has its schema",
                "{} configs no longer have their schemas",
            ),
            Self::SchemasRead => (
                "schemas are read in another way",
                "schemas are read in {} other ways",
            ),
            Self::UnknownLayers => (
                "a config tolerates files beside its layers",
                "{} configs tolerate files beside their layers",
            ),
            Self::Owners => (
                "the `owners` of a config are edited",
                "the `owners` of {} configs are edited",
            ),
            Self::Rollout => (
                "the `rollout` of a config is not known to be as careful as before",
                "the `rollout` of {} configs is not known to be as careful as before",
            ),
            Self::RolloutPolicy => (
                "a rollout policy is not known to be as careful as before",
                "{} rollout policies are not known to be as careful as before",
            ),
        }
    }
}

/// Something that holds less than before.
pub(super) struct Loosened {
    pub(super) kind: Kind,
    /// What it is, with its back-ticks.
    pub(super) name: String,
    /// Where the manifest says it now, if it still says anything.
    pub(super) range: Option<Range>,
    pub(super) config: Option<ConfigName>,
}

impl Loosened {
    fn whole(kind: Kind, name: &str) -> Self {
        Self {
            kind,
            name: format!("`{name}`"),
            range: None,
            config: None,
        }
    }
}

/// All that `new`, the plan of `tree`, guards less well than `old`.
pub(super) fn loosened((old, new): (&Plan, &Plan), lineage: &Lineage, tree: &ConfigTree) -> Vec<Loosened> {
    let mut found = defaults(old, new);
    found.extend(secrets(old.mask.secrets(), new.mask.secrets()));
    for (id, before) in &old.rules {
        found.extend(rule(id, before, new.rules.get(id)));
    }
    let looser = old.rollouts.iter().filter(|(name, before)| {
        // Of one that is gone, its configs tell.
        let after = new.rollouts.get(*name);
        after.is_some_and(|after| !after.is_as_careful_as(before))
    });
    found.extend(looser.map(|(name, _)| Loosened::whole(Kind::RolloutPolicy, name)));
    for (name, after) in &new.configs {
        let ancestors = lineage.ancestors(name).into_iter();
        found.extend(ancestors.flat_map(|before| config((before, (name, after)), (old, new))));
    }
    let gone = old
        .configs
        .iter()
        .filter(|(name, _)| !new.configs.contains_key(*name));
    found.extend(gone.filter_map(|(name, before)| dropped(name, before, tree)));
    found
}

fn defaults(old: &Plan, new: &Plan) -> Vec<Loosened> {
    let mut found = Vec::new();
    let protected = [
        (
            "manifest_changes",
            old.protect.manifest_changes,
            new.protect.manifest_changes,
        ),
        (
            "schema_changes",
            old.protect.schema_changes,
            new.protect.schema_changes,
        ),
    ];
    let freer = protected.iter().filter(|(_, old, new)| new > old);
    found.extend(freer.map(|(name, ..)| Loosened::whole(Kind::Protect, name)));
    if openness(new.defaults.unmatched) > openness(old.defaults.unmatched) {
        found.push(Loosened::whole(Kind::Unmatched, "unmatched"));
    }
    let ways = [
        ("dialect", old.defaults.dialect != new.defaults.dialect),
        ("regex", old.defaults.regex != new.defaults.regex),
        (
            "formats",
            (old.defaults.formats, new.defaults.formats) == (Formats::Assert, Formats::Annotate),
        ),
    ];
    let other = ways.iter().filter(|(_, differs)| *differs);
    found.extend(other.map(|(name, _)| Loosened::whole(Kind::SchemasRead, name)));
    let globs = new.defaults.ignore.beyond(&old.defaults.ignore);
    found.extend(globs.into_iter().map(|glob| Loosened::whole(Kind::Ignore, glob)));
    found
}

fn secrets(old: &Secrets, new: &Secrets) -> Vec<Loosened> {
    let mut found = Vec::new();
    let levels = [
        ("plaintext", old.plaintext, new.plaintext),
        ("names", old.names, new.names),
    ];
    let lower = levels.iter().filter(|(_, old, new)| new > old);
    found.extend(lower.map(|(name, ..)| Loosened::whole(Kind::SecretLevel, name)));
    let removed = old.paths.iter().filter(|path| !new.paths.contains(path));
    found.extend(removed.map(|path| Loosened::whole(Kind::SecretPath, path.text())));
    let allowed = new.exceptions.iter().filter(|one| !old.exceptions.contains(one));
    found.extend(allowed.map(|exception| Loosened {
        range: Some(exception.at.range),
        ..Loosened::whole(Kind::SecretAllowed, exception.at.value.text())
    }));
    let schemes = new.references.iter().filter(|one| !old.references.contains(one));
    found.extend(schemes.map(|scheme| Loosened::whole(Kind::SecretReference, scheme)));
    found
}

fn rule(id: &str, old: &Rule, new: Option<&Rule>) -> Option<Loosened> {
    let Some(new) = new else {
        return Some(Loosened::whole(Kind::RuleRemoved, id));
    };
    let kind = if new.says.severity > old.says.severity {
        Kind::RuleSeverity
    } else if !new.is_as_strict_as(old) {
        Kind::RuleWeaker
    } else {
        return None;
    };
    Some(Loosened {
        range: Some(new.range),
        ..Loosened::whole(kind, id)
    })
}

/// What holds less for a config than for an exposed one that it goes on from.
fn config(
    ((old_name, before), (name, after)): ((&ConfigName, &Planned), (&ConfigName, &Planned)),
    (old, new): (&Plan, &Plan),
) -> Vec<Loosened> {
    let told = if old_name == name {
        format!("`{name}`")
    } else {
        format!("`{name}`, which was `{old_name}`")
    };
    let ids = before.terms.rules.difference(&after.terms.rules);
    let kept = ids.filter(|id| new.rules.contains_key(*id));
    let mut what: Vec<(Kind, String)> = kept
        .map(|id| (Kind::RuleDropped, format!("`{id}` for {told}")))
        .collect();
    let (wrote, writes) = (&before.terms.written, &after.terms.written);
    // What is named after a config has another name after a rename, and is written as before.
    let has_its_own = old_name != name && after.schema.is_some() && writes.schema == wrote.schema;
    if before.schema.is_some() && after.schema != before.schema && !has_its_own {
        what.push((Kind::Schema, told.clone()));
    }
    if after.owners != before.owners && writes.owners != wrote.owners {
        what.push((Kind::Owners, told.clone()));
    }
    if (wrote.unknown_layers, writes.unknown_layers) == (UnknownLayers::Deny, UnknownLayers::Allow) {
        what.push((Kind::UnknownLayers, told.clone()));
    }
    // A policy that was edited under its name is told once, and not for each config.
    if after.rollout != before.rollout && is_less_careful(old.policy(before), new.policy(after)) {
        what.push((Kind::Rollout, told.clone()));
    }
    let loosened = |(kind, name_told): (Kind, String)| Loosened {
        kind,
        name: name_told,
        range: after.terms.declared,
        config: Some(name.clone()),
    };
    what.into_iter().map(loosened).collect()
}

/// Without a policy, everybody is moved at once.
fn is_less_careful(before: Option<&RolloutPolicy>, after: Option<&RolloutPolicy>) -> bool {
    let at_once = RolloutPolicy::of_kind(RolloutKind::Immediate);
    before.is_some_and(|before| !after.unwrap_or(&at_once).is_as_careful_as(before))
}

/// A guarded config that is no longer declared under its name, although all of its files are there: nothing of what was
/// said of it holds for them any more. Where a file is gone too, the config is.
fn dropped(name: &ConfigName, before: &Planned, tree: &ConfigTree) -> Option<Loosened> {
    let is_bound = before.schema.is_some() || before.rollout.is_some();
    let is_guarded = is_bound || !before.terms.rules.is_empty() || !before.owners.is_empty();
    let of_variants = before.variants.iter().flat_map(|variant| &variant.layers);
    let is_there = || {
        before
            .layers
            .iter()
            .chain(of_variants)
            .all(|path| tree.get(path).is_some())
    };
    (is_guarded && is_there()).then(|| Loosened::whole(Kind::ConfigDropped, name.as_str()))
}

/// How much is served that nobody declared.
fn openness(unmatched: Unmatched) -> u8 {
    match unmatched {
        Unmatched::Reject => 0,
        Unmatched::Warn => 1,
        Unmatched::Serve => 2,
    }
}
