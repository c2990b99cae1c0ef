//! Exposed configs that go on under another name.
//!
//! Invariant: a config that is new and made of files of one that is gone is measured against it, so that no rule is
//! escaped by a new name. A file is still the same if it got another extension, or was moved unchanged and no other
//! file had its content. What is deliberately absent: whether two documents are alike. Where name and files are all
//! new, so is the config.

use std::collections::{BTreeMap, BTreeSet};

use headwater_wire::{ConfigName, RepoPath};

use crate::plan::{Plan, Planned};
use crate::tree::{ConfigTree, ContentId, Entry};

/// Files of one config that are told apart; those beyond share the last bit.
const FILES_MAX: usize = u128::BITS as usize;

/// Of each new config the exposed ones that it takes the place of. None takes the place of one that is still there.
pub(super) fn predecessors(
    (old_tree, old): (&ConfigTree, &Plan),
    (new_tree, new): (&ConfigTree, &Plan),
) -> BTreeMap<ConfigName, Vec<ConfigName>> {
    let gone: Vec<_> = missing(old, new).collect();
    let fresh: Vec<_> = missing(new, old).collect();
    if gone.is_empty() || fresh.is_empty() {
        return BTreeMap::new();
    }
    let holders = Holders::of(old, &gone);
    let moved = moved(old_tree, new_tree);
    let of_config = |(name, planned): (&ConfigName, &Planned)| {
        let found = holders.behind(planned, &moved);
        (!found.is_empty()).then(|| (name.clone(), found))
    };
    fresh.into_iter().filter_map(of_config).collect()
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
    fn behind(&self, planned: &Planned, moved: &BTreeMap<&RepoPath, &RepoPath>) -> Vec<ConfigName> {
        let mut told = BTreeSet::new();
        let mut common: BTreeMap<usize, u128> = BTreeMap::new();
        for (index, path) in files(planned).enumerate() {
            let file = moved.get(path).unwrap_or(&path).without_extension();
            for holder in self.by_file.get(file).into_iter().flatten() {
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

/// Files that are at another place than before, with the place that they had.
fn moved<'t>(old: &'t ConfigTree, new: &'t ConfigTree) -> BTreeMap<&'t RepoPath, &'t RepoPath> {
    let gone = only_by_content(old, new);
    let fresh = only_by_content(new, old);
    let places = fresh.into_iter().filter_map(|(id, path)| {
        let from = gone.get(id).copied().flatten()?;
        Some((path?, from))
    });
    places.collect()
}

/// The files of one tree whose paths the other lacks; `None` for content that several of them have.
fn only_by_content<'t>(
    tree: &'t ConfigTree,
    other: &ConfigTree,
) -> BTreeMap<&'t ContentId, Option<&'t RepoPath>> {
    let mut found = BTreeMap::new();
    for (path, entry) in tree.iter().filter(|(path, _)| other.get(path).is_none()) {
        if let Entry::File(file) = entry {
            found
                .entry(&file.id)
                .and_modify(|known| *known = None)
                .or_insert(Some(path));
        }
    }
    found
}
