//! From the bytes of a commit to a verdict: documents, manifest, layers, schemas, findings.
//!
//! Invariant: pure. Equal trees give equal verdicts on every machine, whatever the order of files or threads. What is
//! deliberately absent: Git, disk, clock and network; the caller reads a commit into a [`ConfigTree`] and gets a
//! [`Verdict`] back.

pub mod catalogue;
mod collect;
mod context;
mod diff;
pub mod document;
mod duration;
mod effective;
mod inputs;
mod judge;
mod library;
mod limits;
mod lineage;
mod manifest;
mod merge;
mod pattern;
mod plan;
mod pointer;
mod printable;
pub mod report;
pub mod rollout;
mod rules;
mod schema;
mod secrets;
mod source;
mod suggest;
mod trailer;
mod tree;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};

use headwater_wire::ConfigName;

pub use context::{CommitFacts, Context, Extent, Floor, OldConfig, OldTree, Restored};
pub use diff::diff;
pub use effective::Effective;
pub use inputs::{Inputs, PathChange};
pub use judge::rehearsal::Unsettled;
pub use limits::Limits;
pub use manifest::migrate::{Migrated, migrate, unknown_format};
pub use manifest::schema::MANIFEST_SCHEMA;
pub use printable::{is_unprintable, printable};
pub use rollout::{RolloutKind, RolloutPolicy, Stage};
pub use rules::question::{Outcome, Question, QuestionedConfig};
pub use rules::rule::OnError;
pub use secrets::formats::redact;
pub use secrets::mask::Mask;
pub use suggest::closest;
pub use trailer::{Allowance, allowances};
pub use tree::{ConfigTree, ContentId, Entry, File, wants};
pub use verdict::{Config, Rejection, ValidTree, Variant, Verdict};

/// Judges a tree: parses, merges and checks every config it declares.
pub fn validate(tree: &ConfigTree, context: &Context<'_>) -> Verdict {
    judge::judge(tree, context, judge::Tolerance::Nothing, None)
}

/// Says what [`validate`] says, without working out again what is the same as in an `earlier` tree: configs with the same
/// files under the same manifest, compiled schemas, searched files. The content ids of both must be of the same kind.
pub fn validate_after(tree: &ConfigTree, context: &Context<'_>, earlier: &ValidTree) -> Verdict {
    judge::judge(tree, context, judge::Tolerance::Nothing, Some(earlier))
}

/// Judges a tree whose documents are wanted in spite of errors: it was admitted by other rules, or a person insists on
/// going back to it. Errors that leave every config with a document count as warnings; whatever cannot be read, or is
/// more than the limits allow, still rejects. Of a tree without such errors it says what [`validate`] says.
pub fn tolerate(tree: &ConfigTree, context: &Context<'_>) -> Verdict {
    judge::judge(tree, context, judge::Tolerance::Errors, None)
}

/// Is to [`tolerate`] what [`validate_after`] is to [`validate`].
pub fn tolerate_after(tree: &ConfigTree, context: &Context<'_>, earlier: &ValidTree) -> Verdict {
    judge::judge(tree, context, judge::Tolerance::Errors, Some(earlier))
}

/// What [`validate_after`] would work out of a tree. `None` is all of it, for whatever reason: another manifest, a schema
/// that changed, a rule that looks at any file or config.
pub fn unsettled(tree: &ConfigTree, limits: &Limits, earlier: &ValidTree) -> Option<Unsettled> {
    judge::rehearsal::unsettled(tree, limits, earlier)
}

/// Works out these configs of a tree that has only the files they are made of; the old tree may be such a one too.
/// Whether nothing is wrong with them, which is no verdict: it says that working them out ends, and that finding out
/// what is wrong is not needed.
pub fn rehearse(tree: &ConfigTree, context: &Context<'_>, only: &BTreeSet<ConfigName>) -> bool {
    judge::rehearse(tree, context, only)
}

/// Which configs a tree declares and what decides their content, from the bytes of the manifest and the paths and ids
/// of everything else; other bytes may be absent. `None` if the manifest is invalid. Equal to what [`validate`] puts
/// into [`Config::inputs`], at a small part of the cost.
pub fn declare(tree: &ConfigTree, limits: &Limits) -> Option<BTreeMap<ConfigName, Inputs>> {
    judge::declare(tree, limits)
}
