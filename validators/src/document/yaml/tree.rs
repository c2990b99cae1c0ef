//! The tree that YAML's events build.
//!
//! Invariant: an anchored value is kept as a copy that is charged, and an alias is charged before it is copied, so
//! memory stays within the budget whatever refers to what. What is deliberately absent: syntax.

use std::collections::HashMap;
use std::sync::Arc;

use granit_parser::{Event, ScalarStyle, Span, StructureStyle};

use super::super::build::{Build, Stop, duplicate_key};
use super::super::{Fault, Member, MergeKeys, Node, Range, Value};
use super::range_of;
use super::value::{Done, Form, Scalar, check_tag};

/// The lists and objects that are open, and what is finished.
#[derive(Debug, Default)]
pub(super) struct Tree {
    frames: Vec<Frame>,
    anchors: HashMap<usize, Anchor>,
    root: Option<Node>,
}

/// A list or object that is being read.
#[derive(Debug)]
struct Frame {
    range: Range,
    style: StructureStyle,
    anchor: usize,
    content: Content,
}

#[derive(Debug)]
enum Content {
    List(Vec<Node>),
    Map(Map),
}

#[derive(Debug, Default)]
struct Map {
    members: Vec<Member>,
    seen: HashMap<Arc<str>, Range>,
    key: Option<Key>,
    merged: Vec<Node>,
}

/// A key whose value is still to come.
#[derive(Debug)]
enum Key {
    Named(Arc<str>, Range),
    Merge,
    /// It was refused; its value is read and dropped.
    Refused,
}

/// An anchored value, and what a copy of it costs.
#[derive(Debug)]
struct Anchor {
    done: Done,
    cost: Cost,
}

#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    nodes: usize,
    text_bytes: usize,
    levels: usize,
}

impl Tree {
    /// Takes the next event.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the parser may learn events, all of them beside the tree"
    )]
    pub(super) fn see(&mut self, build: &mut Build<'_>, event: Event<'_>, span: &Span) -> Result<(), Stop> {
        let range = range_of(build, span);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                // For a value that is not written the parser says `~`, as an author may.
                let is_missing = style == ScalarStyle::Plain && text == "~" && build.slice_of(range) != "~";
                let text = if is_missing { "" } else { &*text };
                if !self.expects_key() {
                    build.charge_nodes(1, range)?;
                }
                let scalar = Scalar {
                    text,
                    style,
                    tag: tag.as_deref(),
                };
                let done = scalar.build(build, range, span)?;
                self.finish(build, done, anchor)
            }
            Event::SequenceStart(style, anchor, tag) => {
                check_tag(build, tag.as_deref(), "seq", span);
                self.open(
                    build,
                    Frame {
                        range,
                        style,
                        anchor,
                        content: Content::List(Vec::new()),
                    },
                )
            }
            Event::MappingStart(style, anchor, tag) => {
                check_tag(build, tag.as_deref(), "map", span);
                self.open(
                    build,
                    Frame {
                        range,
                        style,
                        anchor,
                        content: Content::Map(Map::default()),
                    },
                )
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(build, range),
            Event::Alias(id) => self.alias(build, id, range),
            // Documents are counted by the caller; comments and anchor names are not asked for.
            _ => Ok(()),
        }
    }

    /// The value of the document; an empty one is none.
    pub(super) fn into_root(self) -> Option<Node> {
        self.root
    }

    /// Whether the next value is a key, which is charged by its bytes only, as in the other formats.
    fn expects_key(&self) -> bool {
        match self.frames.last().map(|frame| &frame.content) {
            Some(Content::Map(map)) => map.key.is_none(),
            Some(Content::List(_)) | None => false,
        }
    }

    fn open(&mut self, build: &mut Build<'_>, frame: Frame) -> Result<(), Stop> {
        build.charge_nodes(1, frame.range)?;
        build.check_depth(self.frames.len() + 1, frame.range)?;
        self.frames.push(frame);
        Ok(())
    }

    fn close(&mut self, build: &mut Build<'_>, end: Range) -> Result<(), Stop> {
        let Some(frame) = self.frames.pop() else {
            return Ok(());
        };
        let (value, last) = match frame.content {
            Content::List(items) => {
                let last = items.last().map(|item| item.range.end);
                (Value::Arr(items), last)
            }
            Content::Map(map) => {
                let last = map.members.last().map(|member| member.value.range.end);
                (Value::Obj(map.into_members(build)), last)
            }
        };
        // The end of a block is only known from what follows it, so its last value is taken instead.
        let end = match frame.style {
            StructureStyle::Flow => end.end,
            StructureStyle::Block => last.unwrap_or(frame.range.end),
        };
        let range = Range {
            start: frame.range.start,
            end: end.max(frame.range.start),
        };
        let done = Done {
            node: Node { range, value },
            text: None,
            form: Form::Other,
        };
        self.finish(build, done, frame.anchor)
    }

    fn alias(&mut self, build: &mut Build<'_>, id: usize, range: Range) -> Result<(), Stop> {
        let Some(anchor) = self.anchors.get(&id) else {
            let fault = Fault::new("parse/alias", range, "alias refers to a value that contains it");
            return build.stop(fault.hint("write the value out"));
        };
        build.charge_nodes(anchor.cost.nodes, range)?;
        build.charge_text(anchor.cost.text_bytes, range)?;
        build.check_depth(self.frames.len() + anchor.cost.levels, range)?;
        let mut done = anchor.done.clone();
        done.node.range = range;
        self.add(build, done);
        Ok(())
    }

    /// Keeps an anchored value for later, then puts it where it belongs.
    fn finish(&mut self, build: &mut Build<'_>, done: Done, anchor: usize) -> Result<(), Stop> {
        if anchor != 0 {
            let cost = Cost::of(&done.node);
            build.charge_nodes(cost.nodes, done.node.range)?;
            self.anchors.insert(
                anchor,
                Anchor {
                    done: done.clone(),
                    cost,
                },
            );
        }
        self.add(build, done);
        Ok(())
    }

    fn add(&mut self, build: &mut Build<'_>, done: Done) {
        match self.frames.last_mut().map(|frame| &mut frame.content) {
            // A file of comments and perhaps a `---` is a config without keys, not the value null.
            None if done.form == Form::Empty => {
                self.root = Some(Node {
                    value: Value::Obj(Vec::new()),
                    ..done.node
                });
            }
            None => self.root = Some(done.node),
            Some(Content::List(items)) => items.push(done.node),
            Some(Content::Map(map)) => map.add(build, done),
        }
    }
}

impl Map {
    fn add(&mut self, build: &mut Build<'_>, done: Done) {
        match self.key.take() {
            None => self.key = Some(self.key_of(build, done)),
            Some(Key::Named(key, key_range)) => self.members.push(Member {
                key,
                key_range,
                value: done.node,
            }),
            Some(Key::Merge) => self.merged.push(done.node),
            Some(Key::Refused) => {}
        }
    }

    fn key_of(&mut self, build: &mut Build<'_>, done: Done) -> Key {
        let range = done.node.range;
        let Some(text) = done.text else {
            let found = done.node.value.type_name();
            let fault = Fault::new("parse/key", range, format!("key must be a scalar, found {found}"));
            build.fault(fault.hint("write the key as text; quote a value that starts with `{` or `[`"));
            return Key::Refused;
        };
        if done.form == Form::MergeKey {
            return merge_key(build, range);
        }
        if let Some(&first) = self.seen.get(&text) {
            build.fault(duplicate_key(&text, range, Some(first)));
            return Key::Refused;
        }
        self.seen.insert(Arc::clone(&text), range);
        Key::Named(text, range)
    }

    /// The members that are written, then those that merge keys fill in.
    fn into_members(mut self, build: &mut Build<'_>) -> Vec<Member> {
        for merged in std::mem::take(&mut self.merged) {
            let found = merged.value.type_name();
            let objects = match merged.value {
                Value::Obj(_) => vec![merged],
                Value::Arr(items) => items,
                Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Str(_) => {
                    build.fault(cannot_merge(found, merged.range));
                    continue;
                }
            };
            for object in objects {
                match object.value {
                    Value::Obj(members) => self.fill_in(members),
                    Value::Null
                    | Value::Bool(_)
                    | Value::Int(_)
                    | Value::Float(_)
                    | Value::Str(_)
                    | Value::Arr(_) => {
                        build.fault(cannot_merge(object.value.type_name(), object.range));
                    }
                }
            }
        }
        self.members
    }

    fn fill_in(&mut self, members: Vec<Member>) {
        for member in members {
            if !self.seen.contains_key(&member.key) {
                self.seen.insert(Arc::clone(&member.key), member.key_range);
                self.members.push(member);
            }
        }
    }
}

fn cannot_merge(found: &str, range: Range) -> Fault {
    let message = format!("merge key must name an object or a list of objects, found {found}");
    Fault::new("parse/merge-key", range, message).hint("write the keys out")
}

fn merge_key(build: &mut Build<'_>, range: Range) -> Key {
    match build.options().merge_keys {
        MergeKeys::Expand => Key::Merge,
        MergeKeys::Refuse => {
            let fault = Fault::new("parse/merge-key", range, "YAML 1.2 has no merge key: `<<`");
            build.fault(fault.hint(
                "write the keys out, or move them to a layer; `yaml = { merge_keys = true }` in headwater.toml allows them",
            ));
            Key::Refused
        }
    }
}

impl Cost {
    fn of(node: &Node) -> Self {
        let children = |nodes: &mut dyn Iterator<Item = Self>| {
            let start = Self {
                nodes: 1,
                text_bytes: 0,
                levels: 0,
            };
            let sum = nodes.fold(start, |sum, cost| Self {
                nodes: sum.nodes + cost.nodes,
                text_bytes: sum.text_bytes + cost.text_bytes,
                levels: sum.levels.max(cost.levels),
            });
            Self {
                levels: sum.levels + 1,
                ..sum
            }
        };
        match &node.value {
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => Self {
                nodes: 1,
                ..Self::default()
            },
            Value::Str(text) => Self {
                nodes: 1,
                text_bytes: text.len(),
                levels: 0,
            },
            Value::Arr(items) => children(&mut items.iter().map(Self::of)),
            Value::Obj(members) => children(&mut members.iter().map(|member| {
                let cost = Self::of(&member.value);
                Self {
                    text_bytes: cost.text_bytes + member.key.len(),
                    ..cost
                }
            })),
        }
    }
}
