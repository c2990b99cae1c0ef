//! Tables that stand under names of their own, such as `[forge.NAME]`.
//!
//! Invariant: each kind is read in one way from the file and from the environment, which speaks of the only one of its
//! kind. What is deliberately absent: what a kind means, which its own file knows.

use headwater_validators::document::{Member, Range, Value};

use headwater_wire::HookName;

use super::keys::Key;
use super::source::{Mistake, Place};
use super::table::{apply, members, set};

/// The values of one such table while they are being collected.
pub(super) trait Named: Sized + 'static {
    /// Its key, which is also what people call one of them.
    const TABLE: &'static str;
    /// Its keys.
    const KEYS: &'static [Key<Self>];

    /// Nothing said yet, at a place of the file.
    fn at(place: Place, name: &str) -> Self;

    /// Where it stands.
    fn place(&self) -> &Place;

    /// Its name.
    fn name(&self) -> &str;

    /// The variable of a key.
    fn variable(key: &str) -> String {
        format!("HEADWATER_{}_{key}", Self::TABLE).to_ascii_uppercase()
    }
}

/// Reads all tables of a kind.
pub(super) fn read<D: Named>(
    drafts: &mut Vec<D>,
    member: &Member,
    place: &dyn Fn(Range) -> Place,
    mistakes: &mut Vec<Mistake>,
) {
    let Value::Obj(tables) = &member.value.value else {
        let (at, kind) = (place(member.key_range), D::TABLE);
        let mistake = Mistake::new(at, format!("`{kind}` is not a table of tables"));
        mistakes.push(mistake.hint(format!("write `[{kind}.NAME]`, once for each")));
        return;
    };
    for table in tables {
        let mut draft = D::at(place(table.key_range), &table.key);
        for member in members(&table.value) {
            apply(D::KEYS, &mut draft, member, place(member.key_range), mistakes);
        }
        drafts.push(draft);
    }
}

/// Reads the variables of the only one of a kind, which exists from the first of them on.
pub(super) fn read_variables<'a, D: Named>(
    drafts: &mut Vec<D>,
    find: &dyn Fn(&str) -> Option<&'a str>,
    mistakes: &mut Vec<Mistake>,
) {
    for key in D::KEYS {
        let name = D::variable(key.name);
        let Some(text) = find(&name) else { continue };
        let place = Place::Environment(name);
        if drafts.is_empty() {
            drafts.push(D::at(Place::Whole, "default"));
        }
        let kind = D::TABLE;
        if let [draft] = drafts.as_mut_slice() {
            set(key, draft, text, place, mistakes);
        } else {
            let message = format!("several {kind}s are set, so it is not clear which one is meant");
            let hint = format!("set it in that {kind}'s `[{kind}.NAME]` table");
            mistakes.push(Mistake::new(place, message).hint(hint));
        }
    }
}

/// What is wrong with one of them, after its name, and what to do.
pub(super) type Wrong = (String, String);

pub(super) fn wrong<T>(what: impl Into<String>, hint: impl Into<String>) -> Result<T, Wrong> {
    Err((what.into(), hint.into()))
}

/// Those of a kind that are whole, and what is wrong with the others.
pub(super) fn finish<D: Named, S>(
    drafts: &[D],
    mistakes: &mut Vec<Mistake>,
    whole: impl Fn(&D) -> Result<S, Wrong>,
) -> Vec<S> {
    let mut found = Vec::new();
    for draft in drafts {
        let made = if draft.name().parse::<HookName>().is_ok() {
            whole(draft)
        } else {
            wrong(
                "has a name that is none",
                "use lower-case letters, digits, `.`, `_`, `-`",
            )
        };
        match made {
            Ok(made) => found.push(made),
            Err((what, hint)) => {
                let message = format!("{} `{}` {what}", D::TABLE, draft.name());
                mistakes.push(Mistake::new(draft.place().clone(), message).hint(hint));
            }
        }
    }
    found
}
