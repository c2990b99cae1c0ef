//! How often harmless files are taken for leaks: the public suites of the formats, with the count that is expected.
//!
//! A pattern that takes more for a secret is seen here. Over the 2,289 config files of the crates that this workspace is
//! built from, no token was found that was none, and 20 names and 29 addresses, all of them test data of one URL
//! parser.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use headwater_render::Format;
use headwater_wire::RepoPath;

use super::leaf::{Ciphertext, Kind, Role};
use super::scan::{self, File};
use crate::document::{ParseOptions, parse};
use crate::manifest::secrets::Secrets;

fn suites() -> Option<PathBuf> {
    let near = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/suites");
    let found = std::env::var_os("HEADWATER_SUITES").map_or(near, PathBuf::from);
    if found.is_dir() {
        return Some(found);
    }
    println!("skipped: {} is not there", found.display());
    None
}

fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if format(&path).is_some() {
            found.push(path);
        }
    }
}

fn format(path: &Path) -> Option<Format> {
    let name = path.file_name()?.to_str()?;
    Format::of(&name.parse::<RepoPath>().ok()?)
}

#[test]
fn public_files_are_hardly_ever_taken_for_leaks() {
    let Some(root) = suites() else { return };
    let mut paths = Vec::new();
    files(&root, &mut paths);
    let policy = Secrets::default();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for path in &paths {
        let bytes = std::fs::read(path).unwrap();
        let root = parse(format(path).unwrap(), &bytes, &ParseOptions::default()).ok();
        *counts
            .entry(if root.is_some() {
                "parsed"
            } else {
                "searched as text"
            })
            .or_default() += 1;
        let file = File {
            role: Role::Config,
            bytes: &bytes,
            root: root.as_ref(),
            ciphertext: Ciphertext::Useless,
        };
        for found in scan::scan(&policy, file).found {
            let kind = match found.kind {
                Kind::Format(format) => format.what,
                Kind::Name => "name",
                Kind::Path(_) | Kind::Useless(_) => "path",
            };
            *counts.entry(kind).or_default() += 1;
            println!("{kind}: {} {:?}", path.display(), found.pointer);
        }
    }
    println!("{counts:?}");
    let expected = BTreeMap::from([("parsed", 1_509), ("searched as text", 733)]);
    assert_eq!(counts, expected);
}
