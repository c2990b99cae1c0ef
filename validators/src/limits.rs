//! How much of a commit is judged before it is refused.
//!
//! Invariant: everything that an author's bytes could make grow has a named ceiling here. A manifest may lower the
//! first four and never raise one.

/// The server's ceilings. The defaults suit a repository of a few thousand configs on a small machine.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Limits {
    /// Largest config file, in bytes (1 MiB: the TOML parser needs about a second for three times that).
    pub file_bytes: u64,
    /// Most entries in the tree (200,000).
    pub files: usize,
    /// Deepest nesting of lists and objects in a document (64).
    pub depth: u32,
    /// Most findings reported for one commit (100); errors are kept before warnings.
    pub findings: usize,
    /// Most documents a manifest may declare, base and variants counted (50,000): `bind` takes cross products.
    pub documents: usize,
    /// Most bytes of all merged documents together (64 MiB): one large layer may be part of every config,
    /// and a document with its origins takes many times its bytes.
    pub merged_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            file_bytes: 1 << 20,
            files: 200_000,
            depth: 64,
            findings: 100,
            documents: 50_000,
            merged_bytes: 64 << 20,
        }
    }
}
