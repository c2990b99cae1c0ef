//! What was read at one look at a directory and need not be read again at the next.
//!
//! Invariant: a file is remembered only if its stamp has stood still for two looks, since of two writes within one tick
//! of a file system's clock only a later look is sure to see the second. What is deliberately absent: which files there
//! are; each look lists them anew.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use headwater_validators::File;

/// The files of the look before, and of this one.
#[derive(Default)]
pub(super) struct Memory {
    before: BTreeMap<Vec<u8>, Known>,
    now: BTreeMap<Vec<u8>, Known>,
}

/// A file as it was read.
struct Known {
    stamp: Stamp,
    age: Age,
    file: File,
}

/// For how many looks a stamp has stood still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Age {
    /// For one.
    New,
    /// For more.
    Settled,
}

/// What changes when a file does.
#[derive(PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    written: (i64, i64),
    changed: (i64, i64),
}

impl Memory {
    /// Begins another look; what the last one did not see is forgotten.
    pub(super) fn begin_look(&mut self) {
        self.before = std::mem::take(&mut self.now);
    }

    /// The file at `path`, which is read from `on_disk` by `read` unless it is known.
    pub(super) fn file(
        &mut self,
        path: &[u8],
        on_disk: &Path,
        read: impl FnOnce() -> io::Result<Option<File>>,
    ) -> io::Result<Option<File>> {
        let stamp = Stamp::of(&fs::symlink_metadata(on_disk)?);
        let before = self.before.remove(path).filter(|known| known.stamp == stamp);
        let age = if before.is_some() { Age::Settled } else { Age::New };
        let file = match before {
            Some(known) if known.age == Age::Settled => Some(known.file),
            Some(_) | None => read()?,
        };
        if let Some(file) = file.clone() {
            self.now.insert(path.to_vec(), Known { stamp, age, file });
        }
        Ok(file)
    }
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            size: metadata.size(),
            written: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use headwater_validators::ContentId;

    use super::*;

    #[test]
    fn a_file_is_read_until_it_stood_still_for_two_looks_and_again_when_it_changes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.toml");
        fs::write(&path, "a = 1").unwrap();
        let mut memory = Memory::default();
        let mut reads = 0;
        let mut look = |memory: &mut Memory| {
            memory.begin_look();
            let read = || {
                reads += 1;
                Ok(Some(File {
                    id: ContentId::new(reads.to_string()),
                    size: 5,
                    bytes: None,
                }))
            };
            memory.file(b"a.toml", &path, read).unwrap();
            reads
        };
        let counts: Vec<u32> = (0..4).map(|_| look(&mut memory)).collect();
        assert_eq!(counts, [1, 2, 2, 2]);
        fs::write(&path, "a = 1234").unwrap();
        assert_eq!(
            [look(&mut memory), look(&mut memory), look(&mut memory)],
            [3, 4, 4]
        );
    }
}
