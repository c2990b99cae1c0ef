//! Tables of the settings file: from members to keys.
//!
//! Invariant: a member that is no key, or no value of one, is a mistake with its place.

use headwater_validators::document::{Member, Node, Range, Value};

use super::keys::Key;
use super::source::{Mistake, Place};

impl<D> Key<D> {
    /// Whether the file may give several values at once. No other key does, so that a bracket too many is told.
    fn takes_list(&self) -> bool {
        matches!(
            self.name,
            "repo"
                | "repos"
                | "events"
                | "manifest_owners"
                | "allowed_hosts"
                | "algorithms"
                | "claims"
                | "scopes"
                | "configs"
                | "instances"
                | "from"
                | "san"
                | "second_person"
        )
    }
}

/// Finds the key of a member and sets it, or says which key was probably meant.
pub(super) fn apply<D>(
    keys: &[Key<D>],
    draft: &mut D,
    member: &Member,
    place: Place,
    mistakes: &mut Vec<Mistake>,
) {
    let Some(key) = keys.iter().find(|key| key.name == &*member.key) else {
        let names = keys.iter().map(|key| key.name);
        let near = headwater_validators::closest(&member.key, names);
        let mistake = Mistake::new(place, format!("there is no setting `{}`", member.key));
        mistakes.push(match near {
            Some(near) => mistake.hint(format!("did you mean `{near}`?")),
            None => mistake.hint("see `headwater serve --help` for the settings there are"),
        });
        return;
    };
    let text = if key.takes_list() {
        list(&member.value)
    } else {
        scalar(&member.value)
    };
    match text {
        Some(text) => set(key, draft, &text, place, mistakes),
        None => mistakes.push(Mistake::new(
            place,
            format!("`{}` is not a single value", member.key),
        )),
    }
}

pub(super) fn set<D>(key: &Key<D>, draft: &mut D, text: &str, place: Place, mistakes: &mut Vec<Mistake>) {
    if let Err(expected) = (key.set)(draft, text) {
        mistakes.push(Mistake::new(place, format!("`{}`: {expected}", key.name)));
    }
}

/// Sets a value of the only table of its kind (a `what`, written as `table`), which exists from the first such value on.
pub(super) fn set_only<D>(
    drafts: &mut Vec<D>,
    first: impl FnOnce() -> D,
    (key, text, place): (&Key<D>, &str, Place),
    (what, table): (&str, &str),
    mistakes: &mut Vec<Mistake>,
) {
    if drafts.len() > 1 {
        let message = format!("several {what}s are set, so it is not clear which one is meant");
        mistakes.push(Mistake::new(place, message).hint(format!("set it in that {what}'s `{table}` table")));
        return;
    }
    if drafts.is_empty() {
        drafts.push(first());
    }
    if let Some(draft) = drafts.first_mut() {
        set(key, draft, text, place, mistakes);
    }
}

/// The members of a table that there is once; another kind of value is a mistake.
pub(super) fn only_table<'a>(table: &'a Member, place: Place, mistakes: &mut Vec<Mistake>) -> &'a [Member] {
    if !matches!(table.value.value, Value::Obj(_)) {
        let name = &table.key;
        let mistake = Mistake::new(place, format!("`{name}` is not a table"));
        mistakes.push(mistake.hint(format!("write `[{name}]`")));
    }
    members(&table.value)
}

/// What is collected of a table that there is once.
pub(super) trait Only: Sized + 'static {
    /// Its keys.
    const KEYS: &'static [Key<Self>];
    /// What the names of its variables begin with.
    const VARIABLES: &'static str;

    /// The variable of a key.
    fn variable(key: &str) -> String {
        format!("{}{}", Self::VARIABLES, key.to_ascii_uppercase())
    }

    /// Reads the table of the file.
    fn read(&mut self, table: &Member, place: &dyn Fn(Range) -> Place, mistakes: &mut Vec<Mistake>) {
        for member in only_table(table, place(table.key_range), mistakes) {
            apply(Self::KEYS, self, member, place(member.key_range), mistakes);
        }
    }

    /// Reads the variables.
    fn read_variables<'a>(&mut self, find: impl Fn(&str) -> Option<&'a str>, mistakes: &mut Vec<Mistake>) {
        set_variables(Self::KEYS, self, Self::variable, find, mistakes);
    }
}

/// Sets what the environment says of a table's keys, each in the variable that `variable` names.
pub(super) fn set_variables<'a, D>(
    keys: &[Key<D>],
    draft: &mut D,
    variable: fn(&str) -> String,
    find: impl Fn(&str) -> Option<&'a str>,
    mistakes: &mut Vec<Mistake>,
) {
    for key in keys {
        let name = variable(key.name);
        if let Some(text) = find(&name) {
            set(key, draft, text, Place::Environment(name), mistakes);
        }
    }
}

pub(super) fn members(node: &Node) -> &[Member] {
    if let Value::Obj(members) = &node.value {
        members
    } else {
        &[]
    }
}

pub(super) fn table_lacks(table: &Node, key: &str) -> bool {
    !members(table).iter().any(|member| &*member.key == key)
}

/// A scalar, or a list of them, as the text a variable would hold: with commas in between.
pub(super) fn list(node: &Node) -> Option<String> {
    match &node.value {
        Value::Arr(elements) => {
            let texts: Option<Vec<String>> = elements.iter().map(scalar).collect();
            Some(texts?.join(","))
        }
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Str(_) | Value::Obj(_) => {
            scalar(node)
        }
    }
}

/// A scalar as the text a variable would hold.
pub(super) fn scalar(node: &Node) -> Option<String> {
    match &node.value {
        Value::Bool(value) => Some(value.to_string()),
        Value::Int(value) => Some(value.to_string()),
        Value::Float(value) => Some(value.to_string()),
        Value::Str(value) => Some(value.to_string()),
        Value::Null | Value::Arr(_) | Value::Obj(_) => None,
    }
}
