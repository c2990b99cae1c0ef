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
use crate::tree::{ConfigTree, ContentId, Entry, File};
use headwater_render::Format;

/// Scheme of the addresses of files in the tree. The empty authority makes `/` the root of the repository.
const SCHEME: &str = "repo:///";

/// Which files of a tree can be read, and which of them are schemas by their place.
#[derive(Debug)]
pub(super) struct Shelf<'a> {
    tree: &'a ConfigTree,
    /// Schemas by their name or by the manifest.
    named: BTreeSet<RepoPath>,
    file_bytes: u64,
    options: ParseOptions,
}

impl<'a> Shelf<'a> {
    pub(super) fn new(tree: &'a ConfigTree, plan: &Plan) -> Self {
        Self {
            tree,
            named: plan.schemas.clone(),
            file_bytes: plan.limits.file_bytes,
            options: plan.parse_options(),
        }
    }

    /// Content of the file at a path, if a file is there.
    pub(super) fn id(&self, path: &RepoPath) -> Option<&'a ContentId> {
        match self.tree.get(path) {
            Some(Entry::File(file)) => Some(&file.id),
            Some(Entry::Symlink | Entry::Submodule) | None => None,
        }
    }

    /// The files that are looked into for an `$id`, with their content: schemas, and whatever lies beside one.
    pub(super) fn index(&self) -> BTreeMap<RepoPath, ContentId> {
        let directories: BTreeSet<_> = self.named.iter().filter_map(RepoPath::parent).collect();
        let is_schema = |path: &RepoPath| {
            self.named.contains(path) || path.parent().is_some_and(|parent| directories.contains(parent))
        };
        self.readable()
            .filter(|(path, ..)| is_schema(path))
            .map(|(path, file, _)| (path.clone(), file.id.clone()))
            .collect()
    }

    fn readable(&self) -> impl Iterator<Item = (&'a RepoPath, &'a File, Format)> {
        let file_bytes = self.file_bytes;
        self.tree.iter().filter_map(move |(path, entry)| {
            let Entry::File(file) = entry else { return None };
            let is_here = file.bytes.is_some() && file.size <= file_bytes;
            Some((path, file, Format::of(path).filter(|_| is_here)?))
        })
    }
}

/// A file, and how it is read.
type Readable = (Format, Arc<[u8]>);

/// Config files of a tree by path, and schemas by `$id`.
#[derive(Debug, Default)]
pub(super) struct Store {
    files: BTreeMap<RepoPath, Readable>,
    /// Files that are looked into for an `$id`.
    schemas: BTreeSet<RepoPath>,
    options: ParseOptions,
    ids: OnceLock<BTreeMap<String, RepoPath>>,
}

impl Store {
    /// The readable files of a tree.
    pub(super) fn new(shelf: &Shelf<'_>) -> Self {
        let files = shelf.readable().filter_map(|(path, file, format)| {
            let bytes = file.bytes.as_ref()?;
            Some((path.clone(), (format, Arc::clone(bytes))))
        });
        Self {
            files: files.collect(),
            schemas: shelf.index().into_keys().collect(),
            options: shelf.options,
            ids: OnceLock::new(),
        }
    }

    /// Only these files. A schema that outlives its tree must not hold on to all of it.
    pub(super) fn part(&self, paths: &BTreeSet<RepoPath>) -> Self {
        let kept = |path: &RepoPath| Some((path.clone(), self.files.get(path)?.clone()));
        let files: BTreeMap<_, _> = paths.iter().filter_map(kept).collect();
        let is_kept = |(_, path): &(&String, &RepoPath)| paths.contains(*path);
        let known = |ids: &BTreeMap<String, RepoPath>| -> BTreeMap<String, RepoPath> {
            let kept = ids.iter().filter(is_kept);
            kept.map(|(id, path)| (id.clone(), path.clone())).collect()
        };
        Self {
            files,
            schemas: paths.intersection(&self.schemas).cloned().collect(),
            options: self.options,
            ids: self
                .ids
                .get()
                .map_or_else(OnceLock::new, |ids| OnceLock::from(known(ids))),
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

    fn parse(&self, path: &str) -> Result<Value, String> {
        let (_, (format, bytes)) = self.file(path)?;
        let first =
            |faults: Vec<crate::document::Fault>| faults.into_iter().next().map(|fault| fault.message);
        parse(*format, bytes, &self.options)
            .map(|root| root.to_json())
            .map_err(|faults| format!("`{path}` cannot be read: {}", first(faults).unwrap_or_default()))
    }

    fn file(&self, path: &str) -> Result<(&RepoPath, &Readable), String> {
        self.files
            .get_key_value(path)
            .ok_or_else(|| format!("no such file in the repository: `{path}`"))
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

    /// The document at an address, written down in `led` with whatever decided which one it is.
    fn resolve(&self, uri: &str, led: &mut Led) -> Result<Value, String> {
        let path = if let Some(path) = uri.strip_prefix(SCHEME) {
            decode(path)
        } else {
            led.by_id = true;
            match self.ids().get(uri.trim_end_matches('#')) {
                Some(path) => path.as_str().to_owned(),
                None => {
                    return Err(format!(
                        "nothing is read from outside the repository, and no schema has this `$id`: `{uri}`"
                    ));
                }
            }
        };
        let (found, _) = self.file(&path)?;
        led.to.insert(found.clone());
        self.parse(&path)
    }
}

/// Where the references of a schema led.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Led {
    pub(super) to: BTreeSet<RepoPath>,
    /// Whether one was looked for by its `$id`, so that every file with an `$id` had a say.
    pub(super) by_id: bool,
}

/// The store, as the schema crate asks for it.
#[derive(Clone)]
pub(super) struct Retriever(Arc<Mutex<(Arc<Store>, Led)>>);

impl Retriever {
    pub(super) fn new(store: &Arc<Store>) -> Self {
        Self(Arc::new(Mutex::new((Arc::clone(store), Led::default()))))
    }

    /// Ends retrieving: where the references led. Whoever still holds a copy holds no files with it.
    pub(super) fn end(&self) -> Led {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, led) = std::mem::take(&mut *held);
        led
    }
}

impl Retrieve for Retriever {
    fn retrieve(&self, uri: &Uri<String>) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (store, led) = &mut *held;
        store.resolve(uri.as_str(), led).map_err(Into::into)
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
