//! Which files go on under another path.
//!
//! Invariant: what a file says decides, whatever its format, its extension and its comments: all of it, or at least half
//! of what it said, each value at its place. Beside its old place, the same keys are enough: who moves a file there and
//! edits each of its values has renamed it all the same. Of several that fit, those count that fit best, then those
//! of which no other file has everything, then those whose path is the most alike. What is deliberately absent: guessing
//! by names alone.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use headwater_wire::RepoPath;

use super::Moved;
use crate::collect::Collector;
use crate::document::{Node, Value};
use crate::library::Library;
use crate::pointer;

/// Most files that one value, or one set of keys, is looked for in: what more of them have tells none of them apart.
const SHARED_MAX: usize = 256;

/// Names at the end of a path by which files that say the same are told apart, and none.
const NAMES_MAX: usize = 3;

/// For each file that came those among the ones that left it may have been.
pub(super) fn moved<'p>(
    (left, old): (&BTreeSet<&'p RepoPath>, &mut Library<'_>),
    (come, new): (&BTreeSet<&'p RepoPath>, &mut Library<'_>),
) -> Moved<'p> {
    let left: Vec<Said<'p>> = left.iter().filter_map(|path| Said::of(path, old)).collect();
    let index = Index::of(&left);
    let come: Vec<Said<'p>> = come.iter().filter_map(|path| Said::of(path, new)).collect();
    let unchanged = come.iter().flat_map(|said| index.unchanged(said));
    let taken: BTreeSet<usize> = unchanged.copied().collect();
    let found = come.iter().map(|said| (said.path, index.behind(said, &taken)));
    found.filter(|(_, earlier)| !earlier.is_empty()).collect()
}

/// What a file says.
struct Said<'p> {
    path: &'p RepoPath,
    /// Every value with its place.
    values: BTreeSet<u64>,
    /// All of them, and the last names of its path, the most of them first.
    whole: [u64; NAMES_MAX],
    /// Its directory, and the places that have a value.
    shape: u64,
}

impl<'p> Said<'p> {
    /// `None` if it cannot be read.
    fn of(path: &'p RepoPath, library: &mut Library<'_>) -> Option<Self> {
        // Whoever is made of a file that cannot be read has its finding.
        let source = library.source(path, &mut Collector::default())?;
        let mut leaves = Vec::new();
        collect(&source.root, &mut String::new(), &mut leaves);
        let values: BTreeSet<u64> = leaves.iter().map(hash).collect();
        let places: BTreeSet<&str> = leaves.iter().map(|(pointer, _)| pointer.as_str()).collect();
        Some(Self {
            path,
            whole: std::array::from_fn(|fewer| {
                let names = path.without_extension().rsplit('/');
                hash(&(&values, names.take(NAMES_MAX - 1 - fewer).collect::<Vec<_>>()))
            }),
            shape: hash(&(path.parent(), places)),
            values,
        })
    }
}

/// The places and values of everything that holds nothing else.
fn collect(node: &Node, pointer: &mut String, leaves: &mut Vec<(String, String)>) {
    let length = pointer.len();
    match &node.value {
        Value::Obj(members) if !members.is_empty() => {
            for member in members {
                pointer::push(pointer, &member.key);
                collect(&member.value, pointer, leaves);
                pointer.truncate(length);
            }
        }
        Value::Arr(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                pointer::push(pointer, &index.to_string());
                collect(item, pointer, leaves);
                pointer.truncate(length);
            }
        }
        // An empty document says nothing.
        Value::Obj(_) if pointer.is_empty() => {}
        // A number is the same with and without a fraction that is zero.
        Value::Int(number) => leaves.push((pointer.clone(), number.to_string())),
        Value::Float(number) => leaves.push((pointer.clone(), number.to_string())),
        Value::Obj(_) | Value::Arr(_) | Value::Null | Value::Bool(_) | Value::Str(_) => {
            let value = headwater_render::canonical(&node.to_json());
            leaves.push((pointer.clone(), value));
        }
    }
}

fn hash(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

/// The files that left, by what they said.
struct Index<'s, 'p> {
    left: &'s [Said<'p>],
    by_whole: BTreeMap<u64, Vec<usize>>,
    by_value: BTreeMap<u64, Vec<usize>>,
    by_shape: BTreeMap<u64, Vec<usize>>,
}

impl<'s, 'p> Index<'s, 'p> {
    fn of(left: &'s [Said<'p>]) -> Self {
        let mut index = Self {
            left,
            by_whole: BTreeMap::new(),
            by_value: BTreeMap::new(),
            by_shape: BTreeMap::new(),
        };
        for (number, said) in left.iter().enumerate() {
            for whole in said.whole {
                index.by_whole.entry(whole).or_default().push(number);
            }
            index.by_shape.entry(said.shape).or_default().push(number);
            for value in &said.values {
                index.by_value.entry(*value).or_default().push(number);
            }
        }
        index
    }

    /// Those that said the same; of several, those with the most names in common.
    fn unchanged(&self, said: &Said<'p>) -> &[usize] {
        let same = said.whole.iter().find_map(|whole| self.by_whole.get(whole));
        let same = same.map(Vec::as_slice).unwrap_or_default();
        same.get(..SHARED_MAX).unwrap_or(same)
    }

    fn behind(&self, said: &Said<'p>, taken: &BTreeSet<usize>) -> Vec<&'p RepoPath> {
        let same = self.unchanged(said);
        if !same.is_empty() {
            return self.paths(same).collect();
        }
        let mut alike = self.alike(said);
        if alike.is_empty() {
            let beside = self.by_shape.get(&said.shape);
            alike = beside.into_iter().flatten().copied().take(SHARED_MAX).collect();
        }
        let is_free = |number: &usize| !taken.contains(number);
        if alike.iter().any(is_free) {
            alike.retain(is_free);
        }
        self.nearest(said, &alike)
    }

    fn paths(&self, some: &[usize]) -> impl Iterator<Item = &'p RepoPath> {
        some.iter()
            .filter_map(|number| Some(self.left.get(*number)?.path))
    }

    /// Those of which most goes on, if that is half of what they said.
    fn alike(&self, said: &Said<'p>) -> Vec<usize> {
        let mut kept: BTreeMap<usize, usize> = BTreeMap::new();
        let known = said.values.iter().filter_map(|value| self.by_value.get(value));
        for number in known.filter(|known| known.len() <= SHARED_MAX).flatten() {
            *kept.entry(*number).or_default() += 1;
        }
        let is_enough = |number: usize, kept: usize| {
            self.left
                .get(number)
                .is_some_and(|left| 2 * kept >= left.values.len())
        };
        kept.retain(|number, kept| is_enough(*number, *kept));
        let most = kept.values().copied().max().unwrap_or_default();
        kept.retain(|_, kept| *kept == most);
        kept.into_keys().collect()
    }

    /// Those of some whose path is the most like the one that it has now.
    fn nearest(&self, said: &Said<'p>, some: &[usize]) -> Vec<&'p RepoPath> {
        let likeness = |path: &RepoPath| likeness(path, said.path);
        let most = self.paths(some).map(likeness).max();
        let best = self.paths(some).filter(|path| Some(likeness(path)) == most);
        best.collect()
    }
}

/// How many names two paths have in common, from the end and without extension.
fn likeness(one: &RepoPath, other: &RepoPath) -> usize {
    let (one, other) = (one.without_extension(), other.without_extension());
    let pairs = one.rsplit('/').zip(other.rsplit('/'));
    pairs.filter(|(one, other)| one == other).count()
}
