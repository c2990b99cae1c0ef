//! `[protect]`: how the manifest itself may change.

use super::reader::Reader;
use crate::document::Node;

pub(super) const KEYS: &[&str] = &["manifest_changes"];

/// What `[protect]` says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Protect {
    pub(crate) manifest_changes: ManifestChanges,
}

/// What a commit that loosens a guard may do besides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum ManifestChanges {
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
    let changes = [
        ("alone", ManifestChanges::Alone),
        ("mixed", ManifestChanges::Mixed),
    ];
    Protect {
        manifest_changes: reader
            .choice(table, "manifest_changes", &changes)
            .unwrap_or_default(),
    }
}
