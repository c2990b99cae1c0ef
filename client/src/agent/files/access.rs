//! Mode and owner of what is written, and writing itself.
//!
//! Invariant: a file is readable by its maker alone until it has the mode and owner it is to have, and both are in
//! place before anybody finds the file by its name.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;
use std::str::FromStr;

use super::FileError;

/// Mode of files unless another is asked for: a program that runs as another user has to read them.
const MODE_DEFAULT: u32 = 0o644;

/// Who may do what with the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Access {
    mode: u32,
    owner: Owner,
}

/// User and group, where they are not those of the agent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Owner {
    user: Option<u32>,
    group: Option<u32>,
}

/// Why a text is not an owner.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OwnerError {
    #[error("an owner is written `USER`, `USER:GROUP` or `:GROUP`")]
    Form,
    #[error("there is no user `{0}` in /etc/passwd")]
    User(String),
    #[error("there is no group `{0}` in /etc/group")]
    Group(String),
}

impl FromStr for Owner {
    type Err = OwnerError;

    /// Names are looked up in the files of this machine; numbers are taken as they are.
    fn from_str(text: &str) -> Result<Self, OwnerError> {
        let (user, group) = text.split_once(':').unwrap_or((text, ""));
        if user.is_empty() && group.is_empty() {
            return Err(OwnerError::Form);
        }
        let find = |name: &str, file: &str| match name {
            "" => Ok(None),
            name => id_of(name, &std::fs::read_to_string(file).unwrap_or_default())
                .map(Some)
                .ok_or(()),
        };
        Ok(Self {
            user: find(user, "/etc/passwd").map_err(|()| OwnerError::User(user.to_owned()))?,
            group: find(group, "/etc/group").map_err(|()| OwnerError::Group(group.to_owned()))?,
        })
    }
}

/// The third field of the line that begins with the name, or the number itself.
fn id_of(name: &str, table: &str) -> Option<u32> {
    if let Ok(id) = name.parse() {
        return Some(id);
    }
    let mut lines = table.lines().map(|line| line.split(':'));
    let mut fields = lines.find_map(|mut fields| (fields.next() == Some(name)).then_some(fields))?;
    fields.nth(1)?.parse().ok()
}

impl Access {
    pub(crate) fn new(mode: Option<u32>, owner: Option<Owner>) -> Self {
        Self {
            mode: mode.unwrap_or(MODE_DEFAULT),
            owner: owner.unwrap_or_default(),
        }
    }

    /// Who may read a file may go through its directory; its owner may always write to it.
    fn directory_mode(self) -> u32 {
        self.mode | ((self.mode & 0o444) >> 2) | 0o300
    }

    /// Whether a file has this mode and owner.
    pub(super) fn fits(self, path: &Path) -> bool {
        path.metadata().is_ok_and(|metadata| {
            metadata.mode() & 0o7777 == self.mode
                && self.owner.user.is_none_or(|user| user == metadata.uid())
                && self.owner.group.is_none_or(|group| group == metadata.gid())
        })
    }

    /// Writes a file that does not exist, down to the disk.
    pub(super) fn write_new(self, path: &Path, text: &str) -> Result<(), FileError> {
        let write = || {
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(path)?;
            file.write_all(text.as_bytes())?;
            self.give(&file, self.mode)?;
            file.sync_all()
        };
        write().map_err(FileError::io("write", path))
    }

    /// Makes a directory that does not exist.
    pub(super) fn make_directory(self, path: &Path) -> Result<(), FileError> {
        let make = || {
            DirBuilder::new().mode(0o700).create(path)?;
            self.give(&File::open(path)?, self.directory_mode())
        };
        make().map_err(FileError::io("make", path))
    }

    fn give(self, file: &File, mode: u32) -> io::Result<()> {
        if self.owner != Owner::default() {
            fchown(file, self.owner.user, self.owner.group)?;
        }
        file.set_permissions(Permissions::from_mode(mode))
    }
}

/// Makes the entries of a directory durable.
pub(super) fn sync_directory(path: &Path) -> Result<(), FileError> {
    File::open(path)
        .and_then(|directory| directory.sync_all())
        .map_err(FileError::io("sync", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_a_name_or_a_number() {
        let root: Owner = "root:root".parse().unwrap();
        assert_eq!(root, "0:0".parse().unwrap());
        assert_eq!(
            "12".parse(),
            Ok(Owner {
                user: Some(12),
                group: None
            })
        );
        assert_eq!(
            ":7".parse(),
            Ok(Owner {
                user: None,
                group: Some(7)
            })
        );
    }

    #[test]
    fn an_owner_that_nobody_is_is_refused() {
        let error = |text: &str| text.parse::<Owner>().unwrap_err().to_string();
        insta::assert_snapshot!(error("nobody-here"), @"there is no user `nobody-here` in /etc/passwd");
        insta::assert_snapshot!(error("0:nobody-here"), @"there is no group `nobody-here` in /etc/group");
        insta::assert_snapshot!(error(":"), @"an owner is written `USER`, `USER:GROUP` or `:GROUP`");
    }

    #[test]
    fn who_may_read_a_file_may_reach_it() {
        for (mode, directory) in [(0o640, 0o750), (0o600, 0o700), (0o444, 0o755), (0o644, 0o755)] {
            assert_eq!(Access::new(Some(mode), None).directory_mode(), directory);
        }
    }
}
