//! `[protect]`: how the manifest itself may change.

use super::reader::Reader;
use crate::document::Node;

pub(super) const KEYS: &[&str] = &["manifest_changes", "schema_changes"];

/// What `[protect]` says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Protect {
    /// Of a commit that loosens a guard.
    pub(crate) manifest_changes: Changes,
    /// Of a commit that needs a schema to admit more than before.
    pub(crate) schema_changes: Changes,
}

/// What a commit may do besides, the strictest first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Changes {
    /// Nothing: it changes the manifest and schemas alone.
    Alone,
    /// Anything.
    #[default]
    Mixed,
}

pub(super) fn read(reader: &mut Reader<'_>, root: &Node) -> Protect {
    let Some(table) = root.get("protect") else {
        return Protect::default();
    };
    reader.table(table, "[protect]", KEYS);
    let words = [("alone", Changes::Alone), ("mixed", Changes::Mixed)];
    let mut choice = |key| reader.choice(table, key, &words).unwrap_or_default();
    Protect {
        manifest_changes: choice("manifest_changes"),
        schema_changes: choice("schema_changes"),
    }
}
