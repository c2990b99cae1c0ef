//! Which steps instances can take when the documents of a config change.
//!
//! Invariant: a step that some instance can take is one of them, however variants are renamed, put in another order
//! or given other conditions. Where the conditions are as they were, each document goes on as itself.

use std::collections::{BTreeMap, BTreeSet};

/// What the labels of an instance must be for a variant: all of these globs match.
pub(crate) type When = BTreeMap<String, String>;

/// One condition: a label and its glob.
type Atom<'a> = (&'a String, &'a String);

/// Pairs of an old and a new document, by index: 0 is the base, and the variants follow. Conditions are in the order in
/// which they are tried.
pub(super) fn possible(old: &[&When], new: &[&When]) -> Vec<(usize, usize)> {
    if old == new {
        return (0..=old.len()).map(|index| (index, index)).collect();
    }
    let (old, new) = (Conditions::of(old), Conditions::of(new));
    let mut steps = Vec::new();
    for from in 0..=old.0.len() {
        for to in 0..=new.0.len() {
            if is_possible((&old, from), (&new, to)) {
                steps.push((from, to));
            }
        }
    }
    steps
}

/// Whether labels can choose one document before and the other one now. Conditions can only be met by more labels, so
/// if any labels do, the fewest that meet these two do. Globs that are not the same count as independent, unless they
/// are two words for one label.
fn is_possible((old, from): (&Conditions<'_>, usize), (new, to): (&Conditions<'_>, usize)) -> bool {
    let met: BTreeSet<Atom<'_>> = old.at(from).chain(new.at(to)).copied().collect();
    let mut words: BTreeMap<&str, &str> = BTreeMap::new();
    let is_clear = met
        .iter()
        .filter(|(_, glob)| is_word(glob))
        .all(|(label, word)| *words.entry(label.as_str()).or_insert(word.as_str()) == word.as_str());
    is_clear && !old.is_met_before(from, &met) && !new.is_met_before(to, &met)
}

/// Whether a glob stands for itself alone.
fn is_word(glob: &str) -> bool {
    !glob.contains(['*', '?', '[', ']', '{', '}', '\\', '!'])
}

struct Conditions<'a>(Vec<BTreeSet<Atom<'a>>>);

impl<'a> Conditions<'a> {
    fn of(all: &[&'a When]) -> Self {
        Self(all.iter().map(|when| when.iter().collect()).collect())
    }

    /// What must be met for a document; for the base nothing.
    fn at(&self, document: usize) -> impl Iterator<Item = &Atom<'a>> {
        let variant = document.checked_sub(1).and_then(|index| self.0.get(index));
        variant.into_iter().flatten()
    }

    /// Whether another document is chosen, since its condition is tried before: for the base, any variant's.
    fn is_met_before(&self, document: usize, met: &BTreeSet<Atom<'a>>) -> bool {
        let before = document.checked_sub(1).unwrap_or(self.0.len());
        self.0
            .iter()
            .take(before)
            .any(|condition| condition.is_subset(met))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn when(text: &str) -> When {
        let pairs = text.split(' ').filter(|pair| !pair.is_empty());
        pairs
            .map(|pair| pair.split_once('=').unwrap())
            .map(|(label, glob)| (label.to_owned(), glob.to_owned()))
            .collect()
    }

    fn steps(old: &[&str], new: &[&str]) -> Vec<(usize, usize)> {
        let [old, new] = [old, new].map(|all| all.iter().map(|text| when(text)).collect::<Vec<_>>());
        possible(&old.iter().collect::<Vec<_>>(), &new.iter().collect::<Vec<_>>())
    }

    #[test]
    fn each_document_goes_on_as_itself_where_no_condition_changes() {
        assert_eq!(steps(&["a=1", "b=*"], &["a=1", "b=*"]), [(0, 0), (1, 1), (2, 2)]);
    }

    #[test]
    fn instances_of_a_variant_that_is_new_come_from_the_base_and_those_of_one_that_is_gone_go_there() {
        assert_eq!(steps(&[], &["a=1"]), [(0, 0), (0, 1)]);
        assert_eq!(steps(&["a=1"], &[]), [(0, 0), (1, 0)]);
    }

    #[test]
    fn another_order_moves_those_that_meet_both() {
        assert_eq!(
            steps(&["a=1", "b=*"], &["b=*", "a=1"]),
            [(0, 0), (1, 1), (1, 2), (2, 1)]
        );
    }

    #[test]
    fn nobody_has_two_values_of_one_label() {
        assert_eq!(steps(&["a=1", "a=2"], &["a=2", "a=1"]), [(0, 0), (1, 2), (2, 1)]);
        assert_eq!(steps(&["a=1"], &["a=2"]), [(0, 0), (0, 1), (1, 0)]);
        assert_eq!(steps(&["a=1"], &["a=*"]), [(0, 0), (0, 1), (1, 0), (1, 1)]);
    }

    #[test]
    fn what_is_never_chosen_is_no_step() {
        assert_eq!(steps(&["a=1"], &["a=1", "a=1 b=2"]), [(0, 0), (1, 1)]);
    }
}
