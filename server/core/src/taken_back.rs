//! The values that a rollback took back, by which a commit is known that still has them.
//!
//! Invariant: what a commit changes elsewhere in a document, in another document of the config, or in the spelling of a
//! number does not hide them. Only where in every document some value is another one has somebody mended something.
//! What is deliberately absent: the values, of which some are secrets; marks of them are kept.

use std::collections::BTreeMap;

use headwater_validators::{Config, Effective};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Values remembered of one document. Beyond, the first so many stand for all.
const LEAVES_MAX: usize = 1_000;

/// Rollbacks of one config that are remembered so.
const REMEMBERED_MAX: usize = 16;

/// Numbers up to here have one spelling as a double, 2⁵³.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// What one rollback took back of one config, by document: the base, or a variant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenBack(BTreeMap<String, Marks>);

/// Where something differed, and what it was; nothing where the value was only gone.
type Marks = BTreeMap<Mark, Option<Mark>>;

/// The first half of a SHA-256, in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Mark(String);

impl TakenBack {
    /// What `left` has otherwise than `kept`. A document that only one of them has is compared with the other's base,
    /// which the same instances get.
    fn between(left: &Config, kept: Option<&Config>) -> Self {
        let documents = left.effectives().filter_map(|document| {
            let kept = kept.map(|config| document_of(config, document.variant()).unwrap_or(config.base()));
            let marks = differences(document, kept);
            (!marks.is_empty()).then(|| (name(document), marks))
        });
        Self(documents.collect())
    }

    /// What is taken back from now on, newest first: each of `left` as against `kept`, and of what was `known` all that
    /// `kept` does not bring back.
    pub fn and<'a>(
        left: impl Iterator<Item = &'a Config>,
        kept: Option<&Config>,
        known: &[Self],
    ) -> Vec<Self> {
        let new = left.map(|left| Self::between(left, kept));
        let known = known
            .iter()
            .filter(|known| !kept.is_some_and(|kept| known.is_in(kept)));
        let mut all: Vec<Self> = Vec::new();
        for one in new.chain(known.cloned()).filter(|one| !one.0.is_empty()) {
            if !all.contains(&one) {
                all.push(one);
            }
        }
        all.truncate(REMEMBERED_MAX);
        all
    }

    /// Whether a document of `config` still has everything that was taken back of it.
    pub fn is_in(&self, config: &Config) -> bool {
        self.0.iter().any(|(name, marks)| {
            let variant = (!name.is_empty()).then_some(name.as_str());
            document_of(config, variant).is_some_and(|document| {
                let leaves = leaves(document);
                marks
                    .iter()
                    .all(|(place, value)| leaves.get(place) == value.as_ref())
            })
        })
    }
}

/// The base has no name; a variant never has an empty one.
fn name(document: &Effective) -> String {
    document.variant().unwrap_or_default().to_owned()
}

fn document_of<'a>(config: &'a Config, variant: Option<&str>) -> Option<&'a Effective> {
    let mut documents = config.effectives();
    documents.find(|document| document.variant() == variant)
}

fn differences(left: &Effective, kept: Option<&Effective>) -> Marks {
    let left = leaves(left);
    let kept = kept.map(leaves).unwrap_or_default();
    let gone = kept.keys().filter(|place| !left.contains_key(place));
    let gone: Vec<(Mark, Option<Mark>)> = gone.map(|place| (place.clone(), None)).collect();
    let other = left
        .into_iter()
        .filter(|(place, value)| kept.get(place) != Some(value));
    let other = other.map(|(place, value)| (place, Some(value)));
    other.chain(gone).take(LEAVES_MAX).collect()
}

/// Scalars, lists and empty objects. A list is one value, as it is merged.
fn leaves(document: &Effective) -> BTreeMap<Mark, Mark> {
    let mut leaves = BTreeMap::new();
    collect(Sha256::new(), document.document(), &mut leaves);
    leaves
}

fn collect(place: Sha256, value: &Value, leaves: &mut BTreeMap<Mark, Mark>) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (key, value) in members {
                let mut place = place.clone();
                feed_text(&mut place, key);
                collect(place, value, leaves);
            }
        }
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_) => {
            let mut hash = Sha256::new();
            feed(&mut hash, value);
            leaves.insert(Mark::of(place), Mark::of(hash));
        }
    }
}

/// Equal values give equal bytes, and others give others: each says what it is, and how long.
fn feed(hash: &mut Sha256, value: &Value) {
    match value {
        Value::Null => hash.update("n"),
        Value::Bool(true) => hash.update("t"),
        Value::Bool(false) => hash.update("f"),
        Value::Number(number) => {
            hash.update("#");
            feed_text(hash, &spelled(number));
        }
        Value::String(text) => {
            hash.update("\"");
            feed_text(hash, text);
        }
        Value::Array(items) => {
            hash.update(format!("[{}", items.len()));
            for item in items {
                feed(hash, item);
            }
        }
        Value::Object(members) => {
            hash.update(format!("{{{}", members.len()));
            let sorted: BTreeMap<&String, &Value> = members.iter().collect();
            for (key, value) in sorted {
                feed_text(hash, key);
                feed(hash, value);
            }
        }
    }
}

fn feed_text(hash: &mut Sha256, text: &str) {
    hash.update(format!(" {}:", text.len()));
    hash.update(text);
}

/// `3` and `3.0` are one number.
fn spelled(number: &serde_json::Number) -> String {
    match number.as_f64() {
        // Adding nothing makes the negative zero the other one.
        Some(value) if number.is_f64() && value.fract() == 0.0 && value.abs() < EXACT_MAX => {
            format!("{:.0}", value + 0.0)
        }
        Some(_) | None => number.to_string(),
    }
}

impl Mark {
    fn of(hash: Sha256) -> Self {
        let half = hash.finalize();
        let half = half
            .iter()
            .take(16)
            .fold(0_u128, |mark, byte| (mark << 8) | u128::from(*byte));
        Self(format!("{half:032x}"))
    }
}
