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

/// Most files that one value, or one set of keys, is looked for in: what so many have tells none of them apart.
const SHARED_MAX: usize = 256;

/// Most values of a file that are compared one by one.
const VALUES_MAX: usize = 65_536;

/// Names at the end of a path by which files that say the same are told apart, and none.
const NAMES_MAX: usize = 3;

/// For each file that came those among the ones that left it may have been.
pub(super) fn moved<'p>(
    (left, old): (&BTreeSet<&'p RepoPath>, &mut Library<'_>),
    (come, new): (&BTreeSet<&'p RepoPath>, &mut Library<'_>),
) -> Moved<'p> {
    let left: Vec<Said<'p>> = left.iter().filter_map(|path| Said::of(path, old)).collect();
    let come: Vec<Said<'p>> = come.iter().filter_map(|path| Said::of(path, new)).collect();
    let index = Index::of(&left, &come);
    let found = come.iter().map(|said| (said.path, index.behind(said)));
    found.filter(|(_, earlier)| !earlier.is_empty()).collect()
}

/// What a file says, whatever the order.
struct Said<'p> {
    path: &'p RepoPath,
    /// All values with their places, and the last names of its path, the most of them first.
    whole: [u64; NAMES_MAX],
    /// Its directory, and the places that have a value.
    shape: u64,
    /// Each value with its place, sorted.
    values: Vec<u64>,
}

impl<'p> Said<'p> {
    /// `None` if it cannot be read.
    fn of(path: &'p RepoPath, library: &mut Library<'_>) -> Option<Self> {
        // Whoever is made of a file that cannot be read has its finding.
        let source = library.source(path, &mut Collector::default())?;
        let mut leaves = Leaves::default();
        leaves.collect(&source.root, &mut String::new());
        let Leaves {
            mut values,
            all,
            places,
        } = leaves;
        values.sort_unstable();
        values.dedup();
        let last = |count: usize| {
            path.without_extension()
                .rsplit('/')
                .take(count)
                .collect::<Vec<_>>()
        };
        Some(Self {
            path,
            whole: std::array::from_fn(|fewer| hash(&(all, last(NAMES_MAX - 1 - fewer)))),
            shape: hash(&(path.parent(), places)),
            values,
        })
    }
}

/// Everything in a document that holds nothing else, as it is gone through.
#[derive(Default)]
struct Leaves {
    values: Vec<u64>,
    /// Of all values with their places, in any order.
    all: u64,
    /// Of all places, in any order.
    places: u64,
}

impl Leaves {
    fn collect(&mut self, node: &Node, pointer: &mut String) {
        let length = pointer.len();
        match &node.value {
            Value::Obj(members) if !members.is_empty() => {
                for member in members {
                    pointer::push(pointer, &member.key);
                    self.collect(&member.value, pointer);
                    pointer.truncate(length);
                }
            }
            Value::Arr(items) if !items.is_empty() => {
                for (index, item) in items.iter().enumerate() {
                    pointer::push(pointer, &index.to_string());
                    self.collect(item, pointer);
                    pointer.truncate(length);
                }
            }
            // An empty document says nothing.
            Value::Obj(_) if pointer.is_empty() => {}
            // A number is the same with and without a fraction that is zero.
            Value::Int(number) => self.push(pointer, &number.to_string()),
            Value::Float(number) => self.push(pointer, &number.to_string()),
            Value::Obj(_) | Value::Arr(_) | Value::Null | Value::Bool(_) | Value::Str(_) => {
                self.push(pointer, &headwater_render::canonical(&node.to_json()));
            }
        }
    }

    fn push(&mut self, pointer: &str, value: &str) {
        let leaf = hash(&(pointer, value));
        self.all = self.all.wrapping_add(leaf);
        self.places = self.places.wrapping_add(hash(&pointer));
        if self.values.len() < VALUES_MAX {
            self.values.push(leaf);
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
    /// Here and by value, those come first of which nobody has the whole.
    by_shape: BTreeMap<u64, Vec<usize>>,
    /// Of values that somebody says who has not the whole of a file.
    by_value: BTreeMap<u64, Vec<usize>>,
    /// Those of which somebody has the whole.
    taken: BTreeSet<usize>,
}

impl<'s, 'p> Index<'s, 'p> {
    fn of(left: &'s [Said<'p>], come: &[Said<'p>]) -> Self {
        let mut index = Self {
            left,
            by_whole: BTreeMap::new(),
            by_shape: BTreeMap::new(),
            by_value: BTreeMap::new(),
            taken: BTreeSet::new(),
        };
        for (number, said) in left.iter().enumerate() {
            for whole in said.whole {
                index.by_whole.entry(whole).or_default().push(number);
            }
        }
        for said in come {
            let whole = index.unchanged(said).to_vec();
            if whole.is_empty() {
                let values = said.values.iter().map(|value| (*value, Vec::new()));
                index.by_value.extend(values);
            }
            index.taken.extend(whole);
        }
        let (taken, free): (Vec<_>, Vec<_>) = left
            .iter()
            .enumerate()
            .partition(|(number, _)| index.taken.contains(number));
        for (number, said) in free.into_iter().chain(taken) {
            index.by_shape.entry(said.shape).or_default().push(number);
            for value in &said.values {
                if let Some(holders) = index.by_value.get_mut(value) {
                    holders.push(number);
                }
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

    fn behind(&self, said: &Said<'p>) -> Vec<&'p RepoPath> {
        let same = self.unchanged(said);
        if !same.is_empty() {
            return self.paths(same).collect();
        }
        let mut alike = self.alike(said);
        if alike.is_empty() {
            let beside = self.by_shape.get(&said.shape);
            alike = beside.into_iter().flatten().copied().take(SHARED_MAX).collect();
        }
        let is_free = |number: &usize| !self.taken.contains(number);
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
        for number in known.flat_map(|known| known.iter().take(SHARED_MAX)) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;
    use crate::plan::Plan;
    use crate::tree::{ConfigTree, ContentId, Entry, File};

    /// What each file of one tree may have been in the other, as `new <- old old`.
    fn said(old: &[(&str, &str)], new: &[(&str, &str)]) -> Vec<String> {
        let [old, new] = [old, new].map(|files| {
            let mut tree = ConfigTree::new();
            for (path, text) in files {
                let file = File {
                    id: ContentId::new(*text),
                    size: text.len() as u64,
                    bytes: Some(text.as_bytes().into()),
                };
                tree.insert(path.as_bytes(), Entry::File(file));
            }
            tree
        });
        let [old_plan, new_plan] = [&old, &new].map(|tree| Plan::of(tree, &Limits::default()));
        let (mut old_files, mut new_files) = (Library::new(&old, &old_plan), Library::new(&new, &new_plan));
        let [left, come] = [&old, &new].map(|tree| tree.iter().map(|(path, _)| path).collect());
        let found = moved((&left, &mut old_files), (&come, &mut new_files));
        found
            .into_iter()
            .map(|(path, earlier)| {
                let earlier: Vec<&str> = earlier.into_iter().map(RepoPath::as_str).collect();
                format!("{path} <- {}", earlier.join(" "))
            })
            .collect()
    }

    #[test]
    fn half_of_what_a_file_said_is_enough_and_less_is_not() {
        let old = [("a/x.toml", "n = 1\nm = 2\nk = 3\nl = [4]")];
        assert_eq!(
            said(&old, &[("b/y.json", r#"{"l": [4], "k": 3.0, "m": 5, "z": 1}"#)]),
            ["b/y.json <- a/x.toml"]
        );
        assert_eq!(said(&old, &[("b/y.json", r#"{"l": [4], "k": 9}"#)]), [""; 0]);
        assert_eq!(said(&old, &[("b/y.json", r#"{"l": [4], "m": "2"}"#)]), [""; 0]);
    }

    #[test]
    fn the_same_keys_are_enough_beside_the_old_place_and_nowhere_else() {
        let old = [("a/x.toml", "n = 1")];
        assert_eq!(
            said(&old, &[("a/y.json", r#"{"n": 2}"#)]),
            ["a/y.json <- a/x.toml"]
        );
        assert_eq!(said(&old, &[("b/x.json", r#"{"n": 2}"#)]), [""; 0]);
        assert_eq!(said(&old, &[("a/y.json", r#"{"m": 2}"#)]), [""; 0]);
    }

    #[test]
    fn of_several_the_one_counts_of_which_most_goes_on_then_one_that_nobody_has_whole_then_names() {
        let old = [
            ("a/x.toml", "n = 1\nm = 2\nk = 3"),
            ("b/y.toml", "n = 1\nm = 2\nk = 4"),
            ("c/z.toml", "n = 1\nm = 2\nk = 5"),
        ];
        let edited = ("d/q.toml", "n = 1\nm = 2\nk = 5\nl = 6");
        assert_eq!(said(&old, &[edited]), ["d/q.toml <- c/z.toml"]);
        let edited = ("d/q.toml", "n = 1\nm = 2");
        assert_eq!(said(&old, &[edited]), ["d/q.toml <- a/x.toml b/y.toml c/z.toml"]);
        assert_eq!(
            said(&old, &[("d/x.toml", "n = 1\nm = 2")]),
            ["d/x.toml <- a/x.toml"]
        );
        let (first, second) = (("d/a.toml", old[0].1), ("d/b.toml", old[1].1));
        assert_eq!(
            said(&old, &[first, second, edited]),
            [
                "d/a.toml <- a/x.toml",
                "d/b.toml <- b/y.toml",
                "d/q.toml <- c/z.toml"
            ]
        );
    }

    /// Whoever wants to hide an edit moves all that says the same along with it.
    #[test]
    fn a_file_is_found_among_hundreds_that_said_the_same() {
        let paths = |directory: &str| -> Vec<String> {
            (0..400)
                .map(|number| format!("{directory}/{number:03}/x.toml"))
                .collect()
        };
        let (before, after) = (paths("a"), paths("b"));
        let text = "n = 1\nm = 2";
        let old: Vec<_> = before.iter().map(|path| (path.as_str(), text)).collect();
        let mut new: Vec<_> = after.iter().map(|path| (path.as_str(), text)).collect();
        new[300].1 = "n = 9\nm = 2";
        let found = said(&old, &new);
        assert_eq!(found.len(), 400);
        assert_eq!(found[300], "b/300/x.toml <- a/300/x.toml");
        assert_eq!(found[299], "b/299/x.toml <- a/299/x.toml");
    }
}
