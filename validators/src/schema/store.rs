//! The files that a `$ref` may lead to: those of one tree, and nothing else.
//!
//! Invariant: answers come from memory. `http:` and `file:` addresses are looked up among the `$id`s of the tree's
//! schemas and refused by name if none is it; a path that leaves the tree normalizes to one that is not in it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use headwater_wire::RepoPath;
use jsonschema::{Retrieve, Uri};
use serde_json::Value;

use crate::document::{ParseOptions, parse};
use crate::plan::Plan;
use crate::tree::{ConfigTree, Entry};
use headwater_render::Format;

/// Scheme of the addresses of files in the tree. The empty authority makes `/` the root of the repository.
const SCHEME: &str = "repo:///";

/// Config files of a tree by path, and schemas by `$id`.
#[derive(Default)]
pub(super) struct Store {
    files: BTreeMap<RepoPath, (Format, Arc<[u8]>)>,
    /// Files that are looked into for an `$id`.
    schemas: BTreeSet<RepoPath>,
    options: ParseOptions,
    ids: OnceLock<BTreeMap<String, RepoPath>>,
    retrieved: Mutex<BTreeSet<RepoPath>>,
}

impl Store {
    /// The readable files of a tree; none if no config has a schema.
    pub(super) fn new(tree: &ConfigTree, plan: &Plan) -> Self {
        if plan.configs.values().all(|planned| planned.schema.is_none()) {
            return Self::default();
        }
        let readable = tree.iter().filter_map(|(path, entry)| {
            let Entry::File(file) = entry else { return None };
            let bytes = file
                .bytes
                .as_ref()
                .filter(|_| file.size <= plan.limits.file_bytes)?;
            Some((path.clone(), (Format::of(path)?, Arc::clone(bytes))))
        });
        let files: BTreeMap<_, _> = readable.collect();
        let directories: BTreeSet<_> = plan.schemas.iter().filter_map(RepoPath::parent).collect();
        let is_schema = |path: &RepoPath| {
            plan.schemas.contains(path) || path.parent().is_some_and(|parent| directories.contains(parent))
        };
        let schemas = files.keys().filter(|path| is_schema(path)).cloned().collect();
        Self {
            files,
            schemas,
            options: plan.parse_options(),
            ..Self::default()
        }
    }

    /// Files that are found under an address of their own, as the official test suite needs it.
    #[cfg(test)]
    pub(super) fn addressed(base: &str, files: BTreeMap<RepoPath, Arc<[u8]>>) -> Self {
        let ids: BTreeMap<_, _> = files
            .keys()
            .map(|path| (format!("{base}{path}"), path.clone()))
            .collect();
        let files = files
            .into_iter()
            .map(|(path, bytes)| (path, (Format::Json, bytes)))
            .collect();
        Self {
            files,
            ids: OnceLock::from(ids),
            ..Self::default()
        }
    }

    /// Files by path alone.
    #[cfg(test)]
    pub(super) fn of_json(files: BTreeMap<RepoPath, Arc<[u8]>>) -> Self {
        Self::addressed("", files)
    }

    /// The document at an address without fragment, if it is of this tree.
    pub(super) fn document(&self, uri: &str) -> Option<Value> {
        let path = uri.strip_prefix(SCHEME).map(decode);
        let by_id = || {
            self.ids()
                .get(uri.trim_end_matches('#'))
                .map(|path| path.as_str().to_owned())
        };
        self.parse(&path.or_else(by_id)?).ok()
    }

    /// Paths that references led to.
    pub(super) fn retrieved(&self) -> BTreeSet<RepoPath> {
        self.retrieved
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn parse(&self, path: &str) -> Result<Value, String> {
        let Some((path, (format, bytes))) = self.files.get_key_value(path) else {
            return Err(format!("no such file in the repository: `{path}`"));
        };
        self.retrieved
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(path.clone());
        let first =
            |faults: Vec<crate::document::Fault>| faults.into_iter().next().map(|fault| fault.message);
        parse(*format, bytes, &self.options)
            .map(|root| root.to_json())
            .map_err(|faults| format!("`{path}` cannot be read: {}", first(faults).unwrap_or_default()))
    }

    /// Schemas by the address they give themselves; of two with one address the first by path.
    fn ids(&self) -> &BTreeMap<String, RepoPath> {
        self.ids.get_or_init(|| {
            let mut ids = BTreeMap::new();
            for path in &self.schemas {
                let Some((format, bytes)) = self.files.get(path) else {
                    continue;
                };
                let Ok(root) = parse(*format, bytes, &self.options) else {
                    continue;
                };
                let id = root
                    .get("$id")
                    .or_else(|| root.get("id"))
                    .and_then(|id| id.as_str());
                if let Some(id) = id {
                    ids.entry(id.trim_end_matches('#').to_owned())
                        .or_insert_with(|| path.clone());
                }
            }
            ids
        })
    }

    fn resolve(&self, uri: &str) -> Result<Value, String> {
        if let Some(path) = uri.strip_prefix(SCHEME) {
            return self.parse(&decode(path));
        }
        match self.ids().get(uri.trim_end_matches('#')) {
            Some(path) => self.parse(path.as_str()),
            None => Err(format!(
                "nothing is read from outside the repository, and no schema has this `$id`: `{uri}`"
            )),
        }
    }
}

/// The store, as the schema crate asks for it.
pub(super) struct Retriever(pub(super) Arc<Store>);

impl Retrieve for Retriever {
    fn retrieve(&self, uri: &Uri<String>) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        self.0.resolve(uri.as_str()).map_err(Into::into)
    }
}

/// Address of a path: what is not plain in an address is percent-encoded.
pub(super) fn uri_of(path: &str) -> String {
    format!("{SCHEME}{}", encode(path))
}

/// A path or a pointer as part of an address.
pub(super) fn encode(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            uri.push('%');
            uri.extend([byte >> 4, byte & 15].map(|digit| {
                char::from_digit(digit.into(), 16)
                    .unwrap_or('0')
                    .to_ascii_uppercase()
            }));
        }
    }
    uri
}

/// The text behind percent-encoding; what is no encoding stays.
pub(super) fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let encoded = if first == b'%' {
            after
                .split_at_checked(2)
                .and_then(|(hex, tail)| Some((hex_byte(hex)?, tail)))
        } else {
            None
        };
        let (byte, tail) = encoded.unwrap_or((first, after));
        bytes.push(byte);
        rest = tail;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex_byte(hex: &[u8]) -> Option<u8> {
    u8::from_str_radix(
        std::str::from_utf8(hex)
            .ok()
            .filter(|hex| !hex.starts_with('+'))?,
        16,
    )
    .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_survives_the_way_through_an_address() {
        for path in ["a/b.json", "a b/ü%20.json", "100%.json", "%zz/%4"] {
            let uri = uri_of(path);
            assert_eq!(decode(uri.strip_prefix(SCHEME).unwrap()), path);
        }
    }
}
