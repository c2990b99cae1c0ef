//! One spanned tree for TOML, JSON and YAML.
//!
//! Invariant: a [`Node`] holds only what all three formats can say (integers fit `i64`, floats are finite, keys are
//! unique), so that a value means the same whichever format it was written in; and it is never deeper than
//! [`DEPTH_MAX`], so that walking and dropping it cannot exhaust a stack. What is deliberately absent: any knowledge
//! of manifests, layers or schemas.

mod build;
mod json;
pub mod lines;
mod node;
mod number;
mod toml;
mod yaml;

use std::sync::Arc;

use headwater_render::Format;

use build::Build;

/// Byte range of a value or key in its file; the end is exclusive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Range {
    /// First byte.
    pub start: u32,
    /// Byte after the last.
    pub end: u32,
}

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where it stands.
    pub range: Range,
    /// What it is.
    pub value: Value,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// JSON `null`, YAML `~`; TOML has none.
    Null,
    /// Truth value.
    Bool(bool),
    /// Integer.
    Int(i64),
    /// Finite float.
    Float(f64),
    /// Text; dates and times of TOML are RFC 3339 text.
    Str(Arc<str>),
    /// List.
    Arr(Vec<Node>),
    /// Object, in the order of the file, keys unique.
    Obj(Vec<Member>),
}

/// One key of an object.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// Key.
    pub key: Arc<str>,
    /// Where the key stands.
    pub key_range: Range,
    /// Its value.
    pub value: Node,
}

/// Deepest nesting of lists and objects that any option may allow, the root counted. Everything that walks a tree
/// recurses, so this is what bounds the stack.
pub const DEPTH_MAX: usize = 64;

/// Longest document, in bytes. Ranges are `u32`, and no parser below is asked to hold more than this.
pub const DOCUMENT_BYTES_MAX: usize = 16 << 20;

/// Most faults that are reported for one document; a person reads the first few.
pub const FAULTS_MAX: usize = 100;

/// What a YAML merge key (`<<`) does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MergeKeys {
    /// It is a fault: YAML 1.2 has no merge key, and layers do the same visibly.
    #[default]
    Refuse,
    /// The named mappings fill in the keys that are not written, the first one first.
    Expand,
}

/// The newest TOML that is accepted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TomlVersion {
    /// Refuses what TOML 1.1 added: line breaks, comments and a trailing comma in inline tables, times without seconds,
    /// the escapes `\e` and `\x`. That is the whole difference between the two.
    V1_0,
    /// TOML 1.1, which reads every TOML 1.0 document.
    #[default]
    V1_1,
}

/// How a document is read. The limits hold after aliases are expanded, so a small file cannot become a large tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParseOptions {
    /// Deepest nesting of lists and objects, the root counted; 64, and more counts as [`DEPTH_MAX`].
    pub depth: usize,
    /// Most values in one document, an alias counted like a copy and an anchored value twice; 250,000.
    pub nodes: usize,
    /// Most bytes of text, keys included and counted again at each alias; 4 MiB.
    pub scalar_bytes: usize,
    /// What a YAML merge key does; refused.
    pub merge_keys: MergeKeys,
    /// The newest TOML that is accepted; 1.1.
    pub toml: TomlVersion,
}

impl Default for ParseOptions {
    fn default() -> Self {
        Self {
            depth: DEPTH_MAX,
            nodes: 250_000,
            scalar_bytes: 4 << 20,
            merge_keys: MergeKeys::Refuse,
            toml: TomlVersion::V1_1,
        }
    }
}

/// Why a document, or a part of it, cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Stable name: `parse/toml`, `parse/json` or `parse/yaml` for syntax, and `parse/duplicate-key`, `parse/number`,
    /// `parse/encoding`, `parse/depth`, `parse/budget`, `parse/merge-key`, `parse/tag`, `parse/alias`, `parse/key` or
    /// `parse/document` for what the format allows and a config does not.
    pub code: &'static str,
    /// Where it is.
    pub range: Range,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Other places in the same document that explain it.
    pub related: Vec<(Range, String)>,
}

impl Fault {
    pub(crate) fn new(code: &'static str, range: Range, message: impl Into<String>) -> Self {
        Self {
            code,
            range,
            message: message.into(),
            hint: None,
            related: Vec::new(),
        }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn related(mut self, range: Range, note: impl Into<String>) -> Self {
        self.related.push((range, note.into()));
        self
    }
}

/// The tree of a document, or everything that is wrong with it, in the order of the file.
///
/// An empty TOML file is an empty object because TOML says so, and an empty YAML file (or one with comments only) is
/// an empty object because that is what its author sees; an empty JSON file is not JSON.
pub fn parse(format: Format, bytes: &[u8], options: &ParseOptions) -> Result<Node, Vec<Fault>> {
    let mut build = Build::new(bytes, options).map_err(|fault| vec![fault])?;
    let tree = match format {
        Format::Toml => toml::parse(&mut build),
        Format::Json => json::parse(&mut build),
        Format::Yaml => yaml::parse(&mut build),
    };
    build.finish(tree)
}

#[cfg(test)]
mod tests;
