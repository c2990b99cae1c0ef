//! Layers into one document, by RFC 7396, remembering where every value comes from.
//!
//! Invariant: the lowest layer is the document and is taken as it is; each layer above is a patch. Objects merge key
//! by key, everything else (lists too) replaces what is below, and `null` deletes unless the manifest keeps it.
//! Patches are associative: `(a ∘ b) ∘ c = a ∘ (b ∘ c)`. What is deliberately absent: merging of lists.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::document::{Member, Node, Range, Value};
use crate::pointer;
use crate::source::Source;

/// Most notes on one layer; a file that repeats another one has said so by then.
const NOTES_MAX: usize = 200;

/// Where a value stands: in which layer, and in which bytes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Place {
    /// Index into the layers, 0 the lowest.
    pub(crate) layer: usize,
    /// The key, if the value has one.
    pub(crate) key: Option<Range>,
    /// The value.
    pub(crate) value: Range,
}

/// What `null` in a patch means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) enum Nulls {
    /// It deletes the key.
    #[default]
    Delete,
    /// It is a value like others.
    Keep,
}

/// A merged value with its history.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Merged {
    origin: Place,
    /// Values this one replaced, lowest layer first.
    overridden: Vec<Place>,
    value: MergedValue,
}

#[derive(Debug, Clone, PartialEq)]
enum MergedValue {
    /// A scalar or a list: replaced as a whole.
    Leaf(Node),
    Object(BTreeMap<Arc<str>, Merged>),
}

/// Something in a patch that its author may not have meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum NoteKind {
    /// Deletes a key that no lower layer has.
    DeletesAbsent,
    /// Puts an object over something else, or something else over an object.
    ChangesType,
    /// Sets what is there already.
    Redundant,
}

/// A [`NoteKind`] and its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Note {
    pub(crate) kind: NoteKind,
    pub(crate) at: Place,
    pub(crate) pointer: String,
    /// The value below, where there is one.
    pub(crate) below: Option<Place>,
}

impl Merged {
    /// The lowest layer, as it is.
    pub(crate) fn document(node: &Node) -> Self {
        Self::taken(
            node,
            Place {
                layer: 0,
                key: None,
                value: node.range,
            },
        )
    }

    /// The document of no layers.
    pub(crate) fn empty() -> Self {
        Self::document(&Node {
            range: Range::default(),
            value: Value::Obj(Vec::new()),
        })
    }

    /// All layers, the lowest first; what their authors may not have meant is not said.
    pub(crate) fn of_layers(layers: &[Arc<Source>], nulls: Nulls) -> Self {
        let Some((lowest, above)) = layers.split_first() else {
            return Self::empty();
        };
        let mut merged = Self::document(&lowest.root);
        for (below, layer) in above.iter().enumerate() {
            merged.apply(&layer.root, below + 1, nulls);
        }
        merged
    }

    /// Puts the layer with index `layer` on top. An empty patch, such as a YAML file of comments, changes nothing.
    pub(crate) fn apply(&mut self, patch: &Node, layer: usize, nulls: Nulls) -> Vec<Note> {
        let mut patcher = Patcher {
            layer,
            nulls,
            path: Vec::new(),
            notes: Vec::new(),
        };
        if patch.value != Value::Null {
            patcher.patch(
                self,
                patch,
                Place {
                    layer,
                    key: None,
                    value: patch.range,
                },
            );
        }
        patcher.notes
    }

    pub(crate) fn origin(&self) -> Place {
        self.origin
    }

    pub(crate) fn overridden(&self) -> &[Place] {
        &self.overridden
    }

    /// Whether a layer put a value in the place of another, here or below.
    pub(crate) fn has_overridden(&self) -> bool {
        let mut below = self.members().into_iter().flat_map(BTreeMap::values);
        !self.overridden.is_empty() || below.any(Self::has_overridden)
    }

    /// The members, if this is an object.
    pub(crate) fn members(&self) -> Option<&BTreeMap<Arc<str>, Self>> {
        match &self.value {
            MergedValue::Object(members) => Some(members),
            MergedValue::Leaf(_) => None,
        }
    }

    /// The scalar or list, if this is none that has members.
    pub(crate) fn leaf(&self) -> Option<&Node> {
        match &self.value {
            MergedValue::Leaf(node) => Some(node),
            MergedValue::Object(_) => None,
        }
    }

    /// The deepest merged value on the way along `tokens`, and the tokens that are left: none if the way was found,
    /// else they go into a list or do not exist.
    pub(crate) fn descend<'a, 'b>(&'a self, tokens: &'b [String]) -> (&'a Self, &'b [String]) {
        let (mut here, mut rest) = (self, tokens);
        while let Some((token, after)) = rest.split_first()
            && let Some(child) = here.members().and_then(|members| members.get(token.as_str()))
        {
            (here, rest) = (child, after);
        }
        (here, rest)
    }

    /// Place of the value that `tokens` name inside this list.
    pub(crate) fn element(&self, tokens: &[String]) -> Option<Place> {
        let MergedValue::Leaf(node) = &self.value else {
            return None;
        };
        let mut place = self.origin;
        let mut here = node;
        for token in tokens {
            (here, place.key) = match &here.value {
                Value::Arr(items) => (items.get(token.parse::<usize>().ok()?)?, None),
                Value::Obj(members) => {
                    let member = members.iter().find(|member| *member.key == **token)?;
                    (&member.value, Some(member.key_range))
                }
                Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Str(_) => {
                    return None;
                }
            };
            place.value = here.range;
        }
        Some(place)
    }

    /// The value alone.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        match &self.value {
            MergedValue::Leaf(node) => node.to_json(),
            MergedValue::Object(members) => {
                let member = |(key, child): (&Arc<str>, &Self)| (key.to_string(), child.to_json());
                serde_json::Value::Object(members.iter().map(member).collect())
            }
        }
    }

    fn taken(node: &Node, origin: Place) -> Self {
        let value = match &node.value {
            Value::Obj(members) => MergedValue::Object(
                members
                    .iter()
                    .map(|member| {
                        (
                            Arc::clone(&member.key),
                            Self::taken(&member.value, place_of(member, origin.layer)),
                        )
                    })
                    .collect(),
            ),
            Value::Null
            | Value::Bool(_)
            | Value::Int(_)
            | Value::Float(_)
            | Value::Str(_)
            | Value::Arr(_) => MergedValue::Leaf(node.clone()),
        };
        Self {
            origin,
            overridden: Vec::new(),
            value,
        }
    }

    fn is_null(&self) -> bool {
        matches!(
            &self.value,
            MergedValue::Leaf(Node {
                value: Value::Null,
                ..
            })
        )
    }

    /// History for the value that takes this one's place.
    fn history(&self) -> Vec<Place> {
        self.overridden.iter().copied().chain([self.origin]).collect()
    }
}

/// One layer on its way into the document.
struct Patcher<'a> {
    layer: usize,
    nulls: Nulls,
    path: Vec<&'a str>,
    notes: Vec<Note>,
}

impl<'a> Patcher<'a> {
    fn patch(&mut self, target: &mut Merged, patch: &'a Node, at: Place) {
        match &patch.value {
            Value::Obj(members) => {
                if target.members().is_none() {
                    self.make_object(target, at);
                }
                self.patch_members(target, members);
            }
            Value::Null
            | Value::Bool(_)
            | Value::Int(_)
            | Value::Float(_)
            | Value::Str(_)
            | Value::Arr(_) => {
                self.replace(target, patch, at);
            }
        }
    }

    fn patch_members(&mut self, target: &mut Merged, patch: &'a [Member]) {
        let MergedValue::Object(members) = &mut target.value else {
            return;
        };
        for member in patch {
            let at = place_of(member, self.layer);
            self.path.push(&member.key);
            if member.value.value == Value::Null && self.nulls == Nulls::Delete {
                if members.remove(&member.key).is_none() {
                    self.note(NoteKind::DeletesAbsent, at, None);
                }
            } else if let Some(below) = members.get_mut(&member.key) {
                self.patch(below, &member.value, at);
            } else {
                let fresh = self.fresh(&member.value, at);
                members.insert(Arc::clone(&member.key), fresh);
            }
            self.path.pop();
        }
    }

    /// A value where there was none: still a patch, so that a `null` deep inside deletes nothing and vanishes.
    fn fresh(&mut self, node: &'a Node, at: Place) -> Merged {
        let Value::Obj(members) = &node.value else {
            return Merged::taken(node, at);
        };
        let mut empty = Merged {
            origin: at,
            overridden: Vec::new(),
            value: MergedValue::Object(BTreeMap::new()),
        };
        self.patch_members(&mut empty, members);
        empty
    }

    fn make_object(&mut self, target: &mut Merged, at: Place) {
        if !target.is_null() {
            self.note(NoteKind::ChangesType, at, Some(target.origin));
        }
        let overridden = target.history();
        *target = Merged {
            origin: at,
            overridden,
            value: MergedValue::Object(BTreeMap::new()),
        };
    }

    fn replace(&mut self, target: &mut Merged, patch: &Node, at: Place) {
        match &target.value {
            MergedValue::Object(_) => self.note(NoteKind::ChangesType, at, Some(target.origin)),
            MergedValue::Leaf(below) if same(below, patch) => {
                self.note(NoteKind::Redundant, at, Some(target.origin));
            }
            MergedValue::Leaf(_) => {}
        }
        let overridden = target.history();
        *target = Merged {
            origin: at,
            overridden,
            value: MergedValue::Leaf(patch.clone()),
        };
    }

    fn note(&mut self, kind: NoteKind, at: Place, below: Option<Place>) {
        if self.notes.len() >= NOTES_MAX {
            return;
        }
        let mut text = String::new();
        for token in &self.path {
            pointer::push(&mut text, token);
        }
        self.notes.push(Note {
            kind,
            at,
            pointer: text,
            below,
        });
    }
}

fn place_of(member: &Member, layer: usize) -> Place {
    Place {
        layer,
        key: Some(member.key_range),
        value: member.value.range,
    }
}

/// Equal values, wherever they stand.
fn same(a: &Node, b: &Node) -> bool {
    match (&a.value, &b.value) {
        (Value::Arr(a), Value::Arr(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Obj(a), Value::Obj(b)) => {
            let find = |key: &Arc<str>| b.iter().find(|member| member.key == *key);
            a.len() == b.len()
                && a.iter()
                    .all(|m| find(&m.key).is_some_and(|n| same(&m.value, &n.value)))
        }
        (a, b) => a == b,
    }
}

#[cfg(test)]
mod laws;
