//! What a child is sent: a header, the files, and the files of old trees as far as they differ.
//!
//! Invariant: it is sent file by file, so that the service never holds all of it a second time; a length is believed
//! only as far as bytes follow.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::sync::Arc;

use headwater_validators::{
    CommitFacts, ConfigTree, ContentId, Context, Entry, File, Floor, Limits, OldConfig, OldTree, Restored,
};
use headwater_wire::ConfigName;
use serde::{Deserialize, Serialize};

use crate::judge::Rules;
use crate::measure::Measured;
use crate::tree::{RawEntry, assemble};

/// Largest field of a child's input, in bytes: a guard against reading nonsense as a length.
const FIELD_BYTES_MAX: u64 = 1 << 30;

#[derive(Serialize, Deserialize)]
struct Header {
    limits: Limits,
    floor: Floor,
    exposed: BTreeSet<ConfigName>,
    restored: Option<Restored>,
    commit: CommitFacts,
    entries: usize,
    /// Entries of the old tree, which follow.
    before: Option<usize>,
    /// Entries of further old trees, which follow, and the configs that instances hold of them.
    besides: Vec<(usize, BTreeMap<ConfigName, OldConfig>)>,
    left: BTreeSet<ConfigName>,
    /// The configs that are tried, if it is no verdict that is wanted.
    only: Option<BTreeSet<ConfigName>>,
}

/// What is sent.
pub(super) struct Input<'a> {
    header: Vec<u8>,
    entries: &'a [RawEntry],
    before: &'a [RawEntry],
    besides: &'a [Arc<[RawEntry]>],
    /// The entries by path, of which old trees may hold some.
    sent: BTreeMap<&'a [u8], &'a Entry>,
}

impl<'a> Input<'a> {
    pub(super) fn new(
        entries: &'a [RawEntry],
        (rules, measured): (&Rules, &'a Measured),
        only: Option<&BTreeSet<ConfigName>>,
    ) -> io::Result<Self> {
        let measure = &measured.measure;
        let besides = measured.besides.iter().zip(&measure.besides);
        let header = Header {
            limits: rules.limits.clone(),
            floor: rules.floor.clone(),
            exposed: measure.exposed.clone(),
            restored: measure.restored.clone(),
            commit: measure.facts.clone(),
            entries: entries.len(),
            before: measured.before.as_deref().map(<[RawEntry]>::len),
            besides: besides
                .map(|(entries, besides)| (entries.len(), besides.configs.clone()))
                .collect(),
            left: measure.left.clone(),
            only: only.cloned(),
        };
        let mut framed = Vec::new();
        put(&mut framed, &serde_json::to_vec(&header)?);
        Ok(Self {
            header: framed,
            entries,
            before: measured.before.as_deref().unwrap_or_default(),
            besides: &measured.besides,
            sent: entries
                .iter()
                .map(|(path, entry)| (path.as_slice(), entry))
                .collect(),
        })
    }

    /// The bytes in pieces, none of which is much longer than a file.
    pub(super) fn frames(&self) -> impl Iterator<Item = Vec<u8>> {
        let framed = |entry: &RawEntry| {
            let mut frame = Vec::new();
            put_entry(&mut frame, entry);
            frame
        };
        let old = move |entry: &RawEntry| {
            // What is in two trees is sent once.
            if self
                .sent
                .get(entry.0.as_slice())
                .is_some_and(|sent| **sent == entry.1)
            {
                let mut frame = Vec::new();
                put(&mut frame, &entry.0);
                frame.push(b'=');
                frame
            } else {
                framed(entry)
            }
        };
        std::iter::once(self.header.clone())
            .chain(self.entries.iter().map(framed))
            .chain(self.before.iter().map(old))
            .chain(self.besides.iter().flat_map(|tree| tree.iter()).map(old))
    }
}

/// What a child was sent.
pub(super) struct Received {
    header: Header,
    pub(super) tree: ConfigTree,
    before: Option<ConfigTree>,
    besides: Vec<OldTree>,
}

impl Received {
    /// The configs that are to be tried, if that is all.
    pub(super) fn only(&self) -> Option<&BTreeSet<ConfigName>> {
        self.header.only.as_ref()
    }

    pub(super) fn context(&self) -> Context<'_> {
        Context {
            limits: &self.header.limits,
            exposed: &self.header.exposed,
            before: self.before.as_ref(),
            besides: &self.besides,
            left: &self.header.left,
            restored: self.header.restored.as_ref(),
            commit: &self.header.commit,
            floor: &self.header.floor,
        }
    }
}

pub(super) fn receive(input: &mut impl Read) -> io::Result<Received> {
    let mut header: Header = serde_json::from_slice(&field(input)?)?;
    let mut entries = Vec::new();
    for _ in 0..header.entries {
        entries.push(decode_entry(input)?);
    }
    let tree = assemble(&entries);
    let newer: BTreeMap<Vec<u8>, Entry> = entries.into_iter().collect();
    let before = match header.before {
        Some(count) => Some(decode_old(input, count, &newer)?),
        None => None,
    };
    let besides = std::mem::take(&mut header.besides).into_iter();
    let besides = besides.map(|(count, configs)| {
        let tree = decode_old(input, count, &newer)?;
        Ok(OldTree { tree, configs })
    });
    Ok(Received {
        besides: besides.collect::<io::Result<_>>()?,
        header,
        tree,
        before,
    })
}

fn put_entry(out: &mut Vec<u8>, (path, entry): &RawEntry) {
    put(out, path);
    match entry {
        Entry::Symlink => out.push(b'l'),
        Entry::Submodule => out.push(b's'),
        Entry::File(file) => {
            out.push(if file.bytes.is_some() { b'f' } else { b'n' });
            put(out, file.id.as_str().as_bytes());
            out.extend_from_slice(&file.size.to_le_bytes());
            if let Some(bytes) = &file.bytes {
                put(out, bytes);
            }
        }
    }
}

/// An old tree; `newer` are the entries that it may share.
fn decode_old(
    input: &mut impl Read,
    count: usize,
    newer: &BTreeMap<Vec<u8>, Entry>,
) -> io::Result<ConfigTree> {
    let mut tree = ConfigTree::new();
    for _ in 0..count {
        let path = field(input)?;
        let entry = match kind(input)? {
            b'=' => newer.get(&path).cloned().ok_or(io::ErrorKind::InvalidData)?,
            kind => decode_content(input, kind)?,
        };
        tree.insert(&path, entry);
    }
    Ok(tree)
}

fn decode_entry(input: &mut impl Read) -> io::Result<RawEntry> {
    let path = field(input)?;
    let kind = kind(input)?;
    Ok((path, decode_content(input, kind)?))
}

fn kind(input: &mut impl Read) -> io::Result<u8> {
    let mut kind = [0];
    input.read_exact(&mut kind)?;
    let [kind] = kind;
    Ok(kind)
}

fn decode_content(input: &mut impl Read, kind: u8) -> io::Result<Entry> {
    Ok(match kind {
        b'l' => Entry::Symlink,
        b's' => Entry::Submodule,
        b'f' | b'n' => {
            let id = String::from_utf8(field(input)?).map_err(|_| io::ErrorKind::InvalidData)?;
            let mut size = [0; 8];
            input.read_exact(&mut size)?;
            let bytes = if kind == b'f' {
                Some(Arc::from(field(input)?))
            } else {
                None
            };
            Entry::File(File {
                id: ContentId::new(id),
                size: u64::from_le_bytes(size),
                bytes,
            })
        }
        _ => return Err(io::ErrorKind::InvalidData.into()),
    })
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    out.extend_from_slice(bytes);
}

fn field(input: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut len = [0; 8];
    input.read_exact(&mut len)?;
    let len = u64::from_le_bytes(len);
    if len > FIELD_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = Vec::new();
    input.take(len).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).ok() == Some(len) {
        Ok(bytes)
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::besides::Besides;
    use crate::measure::Measure;

    #[test]
    fn what_is_sent_to_the_child_is_what_it_reads() {
        let file = |bytes: Option<&[u8]>| {
            Entry::File(File {
                id: ContentId::new("id"),
                size: 7,
                bytes: bytes.map(Arc::from),
            })
        };
        let entries: Vec<RawEntry> = vec![
            (b"a.toml".to_vec(), file(Some(b"a = 1"))),
            (b"big.json".to_vec(), file(None)),
            (b"li\xffnk".to_vec(), Entry::Symlink),
            (b"sub".to_vec(), Entry::Submodule),
        ];
        let old = |path: &[u8]| [entries[0].clone(), (path.to_vec(), file(Some(b"b = 1")))];
        let configs = BTreeMap::from([("app".parse().unwrap(), OldConfig::default())]);
        let measured = Measured {
            before: Some(old(b"old.toml").into()),
            besides: vec![old(b"older.toml").into()],
            measure: Measure {
                besides: vec![Besides {
                    commit: "a".repeat(40).parse().unwrap(),
                    configs,
                }],
                ..Measure::default()
            },
        };
        let rules = Rules {
            limits: Limits::default(),
            deadline: Duration::from_secs(1),
            floor: Floor::default(),
            webhooks: None,
            questions: crate::judge::Questions::Put,
            program: None,
            purpose: crate::judge::Purpose::default(),
            queue: crate::sandbox::Queue::default(),
            turn: crate::sandbox::Turn::default(),
        };
        let sent: Vec<u8> = Input::new(&entries, (&rules, &measured), None)
            .unwrap()
            .frames()
            .flatten()
            .collect();
        let mut input = sent.as_slice();
        let header: Header = serde_json::from_slice(&field(&mut input).unwrap()).unwrap();
        assert_eq!(header.entries, entries.len());
        for entry in &entries {
            assert_eq!(
                format!("{:?}", decode_entry(&mut input).unwrap()),
                format!("{entry:?}")
            );
        }
        let newer = entries.into_iter().collect();
        let before = decode_old(&mut input, header.before.unwrap(), &newer).unwrap();
        let [(count, configs)] = &header.besides[..] else {
            panic!("one more old tree");
        };
        assert!(configs.contains_key("app"));
        let besides = decode_old(&mut input, *count, &newer).unwrap();
        for (tree, expected) in [
            (before, ["a.toml", "old.toml"]),
            (besides, ["a.toml", "older.toml"]),
        ] {
            let paths: Vec<&str> = tree.iter().map(|(path, _)| path.as_str()).collect();
            assert_eq!(paths, expected);
        }
        assert!(input.is_empty());
    }

    #[test]
    fn a_length_that_is_nonsense_is_refused_before_memory_is_taken() {
        let mut input: &[u8] = &u64::MAX.to_le_bytes();
        assert!(field(&mut input).is_err());
        let mut short: &[u8] = &[5, 0, 0, 0, 0, 0, 0, 0, b'x'];
        assert!(field(&mut short).is_err());
    }
}
