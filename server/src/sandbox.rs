//! A verdict in a child process that can be killed.
//!
//! Why: no validator can be stopped from within. A schema may take exponential time, a document may take all memory,
//! and a crash of the service for one commit would come back at every start. The child is this same program; it sets
//! its own limits before it reads a byte, and what it says is only a verdict: the documents are made here, once it is
//! known that making them ends well.
//!
//! Invariant: the child gets the files on standard input and nothing else: no path, no address, no credential.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use headwater_validators::{
    CommitFacts, ConfigTree, ContentId, Context, Entry, File, Floor, Limits, Restored, validate,
};
use headwater_wire::{CheckView, ConfigName};
use rustix::process::{Resource, Rlimit, setrlimit};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use crate::judge::Rules;
use crate::measure::Measured;
use crate::tree::{RawEntry, assemble};

/// Argument that makes this program judge its standard input; not for people.
pub const ARGUMENT: &str = "verdict-child";

/// Memory the child may have, in bytes: several times the largest tree that is read, and far below a small machine.
const MEMORY_BYTES_MAX: u64 = 4 << 30;
/// Largest answer of a child, in bytes: its findings, which are limited in number and length.
const ANSWER_BYTES_MAX: u64 = 16 << 20;
/// Largest field of a child's input, in bytes: a guard against reading nonsense as a length.
const FIELD_BYTES_MAX: u64 = 1 << 30;

/// Why a child gave no verdict.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SandboxError {
    /// It took longer than it may.
    #[error("the verdict took longer than {} s", .0.as_secs())]
    TimedOut(Duration),
    /// It ended without an answer: killed for its memory or time, or crashed.
    #[error("the verdict ended without an answer: {0}")]
    Died(String),
    /// It could not be started; this says nothing about the commit.
    #[error("the verdict process could not be started")]
    Start(#[source] io::Error),
}

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
    cpu_seconds: u64,
}

/// Judges `entries` in a child of `program`.
pub(crate) async fn judge(
    program: &Path,
    entries: &[RawEntry],
    (rules, measured): (&Rules, &Measured),
) -> Result<CheckView, SandboxError> {
    let deadline = rules.deadline;
    let input = encode(entries, (rules, measured)).map_err(SandboxError::Start)?;
    let mut child = Command::new(program)
        .arg(ARGUMENT)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(SandboxError::Start)?;
    if let Ok(result) = tokio::time::timeout(deadline, converse(&mut child, &input)).await {
        return result;
    }
    // The child is killed when it is dropped, too; what the kill says does not matter.
    child.start_kill().ok();
    Err(SandboxError::TimedOut(deadline))
}

/// Writes the input, reads the answer, waits for the end.
async fn converse(child: &mut Child, input: &[u8]) -> Result<CheckView, SandboxError> {
    let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(SandboxError::Died("no pipes".to_owned()));
    };
    let write = async {
        // A child that dies while reading is told by its exit, not by the broken pipe.
        stdin.write_all(input).await.ok();
        drop(stdin);
    };
    let mut answer = Vec::new();
    let mut stdout = stdout.take(ANSWER_BYTES_MAX);
    let (read, ()) = tokio::join!(stdout.read_to_end(&mut answer), write);
    let status = child.wait().await.map_err(SandboxError::Start)?;
    let view = serde_json::from_slice::<CheckView>(&answer)
        .ok()
        .filter(|_| status.success() && read.is_ok());
    view.ok_or_else(|| SandboxError::Died(status.to_string()))
}

/// The child: limits first, then input, verdict, output. Gives the exit code.
pub fn child() -> io::Result<()> {
    let mut stdin = io::stdin().lock();
    confine(u64::MAX)?;
    let header: Header = serde_json::from_slice(&field(&mut stdin)?)?;
    confine(header.cpu_seconds)?;
    let mut entries = Vec::new();
    for _ in 0..header.entries {
        entries.push(decode_entry(&mut stdin)?);
    }
    let tree = assemble(&entries);
    let before = match header.before {
        Some(count) => Some(decode_before(&mut stdin, count, entries)?),
        None => None,
    };
    let verdict = validate(
        &tree,
        &Context {
            limits: &header.limits,
            exposed: &header.exposed,
            before: before.as_ref(),
            restored: header.restored.as_ref(),
            commit: &header.commit,
            floor: &header.floor,
        },
    );
    let mut stdout = io::stdout().lock();
    serde_json::to_writer(&mut stdout, &verdict.view())?;
    stdout.flush()
}

/// Takes from this process what a verdict does not need. Limits only fall, so calling it twice is safe.
fn confine(cpu_seconds: u64) -> io::Result<()> {
    let set = |resource, value: u64| {
        setrlimit(
            resource,
            Rlimit {
                current: Some(value),
                maximum: Some(value),
            },
        )
        .map_err(io::Error::from)
    };
    set(Resource::Core, 0)?;
    set(Resource::Fsize, 0)?;
    set(Resource::As, MEMORY_BYTES_MAX)?;
    if cpu_seconds != u64::MAX {
        set(Resource::Cpu, cpu_seconds)?;
    }
    Ok(())
}

fn encode(entries: &[RawEntry], (rules, measured): (&Rules, &Measured)) -> io::Result<Vec<u8>> {
    let measure = &measured.measure;
    let header = Header {
        limits: rules.limits.clone(),
        floor: rules.floor.clone(),
        exposed: measure.exposed.clone(),
        restored: measure.restored.clone(),
        commit: measure.facts.clone(),
        entries: entries.len(),
        before: measured.before.as_ref().map(Vec::len),
        cpu_seconds: rules.deadline.as_secs() + 1,
    };
    let mut out = Vec::new();
    put(&mut out, &serde_json::to_vec(&header)?)?;
    for entry in entries {
        encode_entry(&mut out, entry)?;
    }
    let sent: BTreeMap<&[u8], &Entry> = entries
        .iter()
        .map(|(path, entry)| (path.as_slice(), entry))
        .collect();
    for entry in measured.before.iter().flatten() {
        // What is in both trees is sent once.
        if sent.get(entry.0.as_slice()).is_some_and(|sent| **sent == entry.1) {
            put(&mut out, &entry.0)?;
            out.push(b'=');
        } else {
            encode_entry(&mut out, entry)?;
        }
    }
    Ok(out)
}

fn encode_entry(out: &mut Vec<u8>, (path, entry): &RawEntry) -> io::Result<()> {
    put(out, path)?;
    match entry {
        Entry::Symlink => out.push(b'l'),
        Entry::Submodule => out.push(b's'),
        Entry::File(file) => {
            out.push(if file.bytes.is_some() { b'f' } else { b'n' });
            put(out, file.id.as_str().as_bytes())?;
            out.extend_from_slice(&file.size.to_le_bytes());
            if let Some(bytes) = &file.bytes {
                put(out, bytes)?;
            }
        }
    }
    Ok(())
}

/// The old tree; `newer` are the entries that it may share.
fn decode_before(input: &mut impl Read, count: usize, newer: Vec<RawEntry>) -> io::Result<ConfigTree> {
    let newer: BTreeMap<Vec<u8>, Entry> = newer.into_iter().collect();
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

fn put(out: &mut Vec<u8>, bytes: &[u8]) -> io::Result<()> {
    let len = u64::try_from(bytes.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(bytes);
    Ok(())
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
    use super::*;
    use crate::judge::Questions;

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
        let measured = Measured {
            before: Some(vec![
                entries[0].clone(),
                (b"old.toml".to_vec(), file(Some(b"b = 1"))),
            ]),
            ..Measured::default()
        };
        let rules = Rules {
            limits: Limits::default(),
            deadline: Duration::from_secs(1),
            floor: Floor::default(),
            webhooks: None,
            questions: Questions::Put,
            program: None,
            purpose: crate::judge::Purpose::default(),
        };
        let sent = encode(&entries, (&rules, &measured)).unwrap();
        let mut input = sent.as_slice();
        let header: Header = serde_json::from_slice(&field(&mut input).unwrap()).unwrap();
        assert_eq!(header.entries, entries.len());
        for entry in &entries {
            assert_eq!(
                format!("{:?}", decode_entry(&mut input).unwrap()),
                format!("{entry:?}")
            );
        }
        let before = decode_before(&mut input, header.before.unwrap(), entries).unwrap();
        let paths: Vec<&str> = before.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(paths, ["a.toml", "old.toml"]);
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
