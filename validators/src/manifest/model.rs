//! What a manifest says, once it is known to be well formed.

use std::collections::BTreeMap;

use globset::GlobMatcher;
use headwater_wire::Finding;

use super::ignore::Ignore;
use super::protect::Protect;
use super::secrets::Secrets;
use crate::document::{MergeKeys, Range, TomlVersion};
use crate::limits::Limits;
use crate::merge::Nulls;
use crate::pattern::Pattern;
use crate::rollout::RolloutPolicy;
use crate::rules::rule::Rule;
use crate::schema::{Dialect, Formats, RegexEngine, SchemaOptions};

/// A value and where the manifest says it.
#[derive(Debug, Clone)]
pub(crate) struct Spanned<T> {
    pub(crate) value: T,
    pub(crate) range: Range,
}

/// A whole manifest.
#[derive(Debug, Clone)]
pub(crate) struct Manifest {
    pub(crate) defaults: Defaults,
    /// The server's limits, lowered where the manifest asks for it.
    pub(crate) limits: Limits,
    pub(crate) configs: Vec<ConfigEntry>,
    pub(crate) rollouts: BTreeMap<String, RolloutPolicy>,
    pub(crate) rules: BTreeMap<String, Rule>,
    pub(crate) protect: Protect,
    /// What is probably not meant.
    pub(crate) warnings: Vec<Finding>,
    pub(crate) secrets: Secrets,
}

/// `[defaults]`.
#[derive(Debug, Clone)]
pub(crate) struct Defaults {
    pub(crate) unmatched: Unmatched,
    pub(crate) ignore: Ignore,
    pub(crate) dialect: Dialect,
    pub(crate) regex: RegexEngine,
    pub(crate) formats: Formats,
    pub(crate) merge_keys: MergeKeys,
    pub(crate) toml: TomlVersion,
    pub(crate) nulls: Nulls,
}

impl Defaults {
    /// How schemas are compiled.
    pub(crate) fn schemas(&self) -> SchemaOptions {
        SchemaOptions {
            dialect: self.dialect,
            regex: self.regex,
            formats: self.formats,
        }
    }
}

/// What becomes of a config file that no `[[config]]` claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unmatched {
    /// It is a config of its own, named by its path.
    Serve,
    /// It is not served, and a warning says so.
    Warn,
    /// It is an error.
    Reject,
}

/// Whether files that no layer names are tolerated beside a config's layers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum UnknownLayers {
    /// They are.
    #[default]
    Allow,
    /// They are an error.
    Deny,
}

/// One `[[config]]`, which may yield many configs.
#[derive(Debug, Clone)]
pub(crate) struct ConfigEntry {
    /// Place of the entry as a whole.
    pub(crate) range: Range,
    pub(crate) name: Spanned<Pattern>,
    pub(crate) bind: BTreeMap<String, Vec<String>>,
    /// Never empty.
    pub(crate) layers: Vec<Spanned<Pattern>>,
    pub(crate) schema: Option<Spanned<Pattern>>,
    /// Ids of the rules that hold for it, with their places.
    pub(crate) rules: Vec<Spanned<String>>,
    pub(crate) owners: Vec<Pattern>,
    pub(crate) rollout: Option<String>,
    pub(crate) unknown_layers: UnknownLayers,
    pub(crate) variants: Vec<VariantEntry>,
}

/// One `[[config.variant]]`.
#[derive(Debug, Clone)]
pub(crate) struct VariantEntry {
    pub(crate) name: String,
    pub(crate) when: BTreeMap<String, String>,
    pub(crate) matchers: Vec<(String, GlobMatcher)>,
    pub(crate) layers: Vec<Spanned<Pattern>>,
}
