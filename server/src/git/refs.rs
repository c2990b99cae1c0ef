//! Our own refs in the mirror: the recorded head of each branch, and the commits that must outlive a rewritten history.
//!
//! Invariant: a ref of ours moves only by compare-and-swap and only to a commit whose objects were checked. Names are
//! flat, so that `feat` and `feat/x` can follow each other. What is deliberately absent: the upstream's own ref names.

use gix::bstr::ByteSlice;
use gix::refs::transaction::{Change, LogChange, PreviousValue, RefEdit};
use gix::refs::{FullName, Target};
use headwater_wire::BranchName;
use sha2::{Digest, Sha256};

const HEADS: &str = "refs/headwater/heads/";
const SERVED: &str = "refs/headwater/served/";
/// Names of files end at 255 bytes and a lock adds five; a longer branch name is kept as its hash.
const FLAT_NAME_BYTES_MAX: usize = 200;

/// The ref that records the head of `branch`.
pub(crate) fn head_name(branch: &BranchName) -> String {
    let flat = branch.as_str().replace('%', "%25").replace('/', "%2F");
    if flat.len() <= FLAT_NAME_BYTES_MAX {
        return format!("{HEADS}{flat}");
    }
    let mut name = format!("{HEADS}%");
    for byte in Sha256::digest(branch.as_str().as_bytes()) {
        name.extend([byte >> 4, byte & 15].map(|digit| char::from_digit(digit.into(), 16).unwrap_or('0')));
    }
    name
}

/// The ref that keeps a published commit.
pub(crate) fn served_name(commit: gix::ObjectId) -> String {
    format!("{SERVED}{commit}")
}

/// Where the ref points, if it exists.
pub(crate) fn read(repo: &gix::Repository, name: &str) -> gix::Result<Option<gix::ObjectId>> {
    let found = repo.try_find_reference(name)?;
    Ok(found.and_then(|reference| reference.try_id().map(gix::Id::detach)))
}

/// The heads of all branches that were ever followed.
pub(crate) fn recorded_heads(repo: &gix::Repository) -> gix::Result<Vec<gix::ObjectId>> {
    let mut heads = Vec::new();
    let platform = repo.references()?;
    for reference in platform.prefixed(HEADS)? {
        let reference = reference?;
        heads.extend(reference.try_id().map(gix::Id::detach));
    }
    Ok(heads)
}

/// Moves the ref from `expected` to `new`; the error is a conflict if it is elsewhere.
pub(crate) fn swap(
    repo: &gix::Repository,
    name: &str,
    new: gix::ObjectId,
    expected: Option<gix::ObjectId>,
) -> gix::Result<()> {
    let expected = match expected {
        Some(old) => PreviousValue::MustExistAndMatch(Target::Object(old)),
        None => PreviousValue::MustNotExist,
    };
    update(repo, name, new, expected)
}

/// Makes the ref, wherever it was.
pub(crate) fn set(repo: &gix::Repository, name: &str, new: gix::ObjectId) -> gix::Result<()> {
    update(repo, name, new, PreviousValue::Any)
}

fn update(
    repo: &gix::Repository,
    name: &str,
    new: gix::ObjectId,
    expected: PreviousValue,
) -> gix::Result<()> {
    let name: FullName = name
        .as_bytes()
        .as_bstr()
        .try_into()
        .map_err(gix::Error::from_error)?;
    let change = Change::Update {
        log: LogChange::default(),
        expected,
        new: Target::Object(new),
    };
    repo.edit_references_as(
        Some(RefEdit {
            change,
            name,
            deref: false,
        }),
        None,
    )
    .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branch_names_that_contain_each_other_get_flat_distinct_refs() {
        let name = |text: &str| head_name(&text.parse().unwrap());
        assert_eq!(name("main"), "refs/headwater/heads/main");
        assert_eq!(name("feat/x"), "refs/headwater/heads/feat%2Fx");
        assert_eq!(name("feat%2Fx"), "refs/headwater/heads/feat%252Fx");
        let long = name(&vec!["a"; 120].join("/"));
        assert!(long.len() < 240, "{long}");
    }
}
