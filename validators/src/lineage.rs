//! Which exposed config each config of a tree goes on from.
//!
//! Invariant: every guard that compares a tree with the exposed one asks here, so that none is escaped by a new name. A
//! config that is exposed goes on from itself. One that is new and made of files of one that is gone goes on under
//! another name; a file is the same under another path if enough of what it says is (`files`). What is deliberately
//! absent: configs that share nothing. Where name and files are all new, so is the config.

mod files;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use headwater_wire::{ConfigName, RepoPath};

use crate::library::Library;
use crate::plan::{Plan, Planned};

/// Files of one config that are told apart; those beyond share the last bit.
const FILES_MAX: usize = u128::BITS as usize;

/// Files that are under another path than before, each with the paths that it may have had.
type Moved<'p> = BTreeMap<&'p RepoPath, Vec<&'p RepoPath>>;

/// The exposed configs, and which of them those of a tree go on from.
#[derive(Debug)]
pub(crate) struct Lineage {
    exposed: Arc<Plan>,
    /// Of configs that are not exposed under their name.
    renamed: BTreeMap<ConfigName, Vec<ConfigName>>,
}

impl Lineage {
    /// Of the configs of one tree from those of the exposed one. None goes on from one that is still there.
    pub(crate) fn trace(
        (exposed, old_files): (&Arc<Plan>, &mut Library<'_>),
        (plan, new_files): (&Plan, &mut Library<'_>),
    ) -> Self {
        let gone: Vec<_> = missing(exposed, plan).collect();
        let fresh: Vec<_> = missing(plan, exposed).collect();
        let mut renamed = BTreeMap::new();
        if !gone.is_empty() && !fresh.is_empty() {
            let left = files_beyond(&gone, plan);
            let come = files_beyond(&fresh, exposed);
            let moved = files::moved((&left, old_files), (&come, new_files));
            let holders = Holders::of(exposed, &gone);
            let of_config = |(name, planned): (&ConfigName, &Planned)| {
                let found = holders.behind(planned, &moved);
                (!found.is_empty()).then(|| (name.clone(), found))
            };
            renamed = fresh.into_iter().filter_map(of_config).collect();
        }
        Self {
            exposed: Arc::clone(exposed),
            renamed,
        }
    }

    /// The exposed configs that a config of the tree goes on from: itself, or those whose place it takes.
    pub(crate) fn ancestors(&self, name: &ConfigName) -> Vec<(&ConfigName, &Planned)> {
        let get = |name: &ConfigName| self.exposed.configs.get_key_value(name);
        let names = self.renamed.get(name).map(Vec::as_slice).unwrap_or_default();
        let itself = get(name).into_iter();
        let known = itself.chain(names.iter().filter_map(get));
        known.map(|(name, planned)| (name, &**planned)).collect()
    }
}

/// The configs of one plan that the other does not have.
fn missing<'a>(plan: &'a Plan, other: &'a Plan) -> impl Iterator<Item = (&'a ConfigName, &'a Planned)> {
    let configs = plan.configs.iter().map(|(name, planned)| (name, &**planned));
    configs.filter(|(name, _)| !other.configs.contains_key(*name))
}

/// The files of a config: of its base, then of its variants.
fn files(planned: &Planned) -> impl Iterator<Item = &RepoPath> {
    let of_variants = planned.variants.iter().flat_map(|variant| &variant.layers);
    planned.layers.iter().chain(of_variants)
}

/// The files of configs that no config of another plan is made of.
fn files_beyond<'a>(configs: &[(&ConfigName, &'a Planned)], other: &Plan) -> BTreeSet<&'a RepoPath> {
    let known: BTreeSet<&RepoPath> = other
        .configs
        .values()
        .flat_map(|planned| files(planned))
        .collect();
    let all = configs.iter().flat_map(|(_, planned)| files(planned));
    all.filter(|path| !known.contains(path)).collect()
}

/// Which configs that are gone had a file, by its name without extension.
struct Holders<'a> {
    gone: Vec<&'a ConfigName>,
    by_file: BTreeMap<&'a str, Vec<Holder>>,
}

struct Holder {
    /// Which of those that are gone.
    gone: usize,
    /// Whether the file alone tells which config it is: no other exposed one has it, or it is the lowest layer. A file
    /// that a whole environment shares tells nothing.
    tells: bool,
}

impl<'a> Holders<'a> {
    fn of(old: &'a Plan, gone: &[(&'a ConfigName, &'a Planned)]) -> Self {
        let mut shared: BTreeMap<&str, usize> = BTreeMap::new();
        for planned in old.configs.values() {
            let own: BTreeSet<&str> = files(planned).map(RepoPath::without_extension).collect();
            for file in own {
                *shared.entry(file).or_default() += 1;
            }
        }
        let mut by_file: BTreeMap<&str, Vec<Holder>> = BTreeMap::new();
        for (index, (_, planned)) in gone.iter().enumerate() {
            let lowest = planned.layers.first().map(RepoPath::without_extension);
            for file in files(planned).map(RepoPath::without_extension) {
                let tells = lowest == Some(file) || shared.get(file) == Some(&1);
                by_file
                    .entry(file)
                    .or_default()
                    .push(Holder { gone: index, tells });
            }
        }
        Self {
            gone: gone.iter().map(|(name, _)| *name).collect(),
            by_file,
        }
    }

    /// Those of which a config has a file that tells, without those of which another one had all that they share with
    /// it and more: where all services are renamed at once, each is still measured against itself.
    fn behind(&self, planned: &Planned, moved: &Moved<'_>) -> Vec<ConfigName> {
        let mut told = BTreeSet::new();
        let mut common: BTreeMap<usize, u128> = BTreeMap::new();
        for (index, path) in files(planned).enumerate() {
            let earlier = moved.get(path).map(Vec::as_slice).unwrap_or_default();
            let places: BTreeSet<&str> = std::iter::once(&path)
                .chain(earlier)
                .map(|path| path.without_extension())
                .collect();
            let holders = places
                .iter()
                .filter_map(|place| self.by_file.get(place))
                .flatten();
            for holder in holders {
                *common.entry(holder.gone).or_default() |= 1 << index.min(FILES_MAX - 1);
                if holder.tells {
                    told.insert(holder.gone);
                }
            }
        }
        common.retain(|gone, _| told.contains(gone));
        let kinds: BTreeSet<u128> = common.values().copied().collect();
        let is_less = |mask: &u128| kinds.iter().any(|other| other != mask && other & mask == *mask);
        let found = common.iter().filter(|(_, mask)| !is_less(mask));
        found
            .filter_map(|(gone, _)| self.gone.get(*gone).map(|name| (*name).clone()))
            .collect()
    }
}
