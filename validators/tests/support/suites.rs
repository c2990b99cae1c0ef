//! Where the public conformance suites are: in `HEADWATER_SUITES`, or in `shared/suites` beside a directory that this
//! checkout is in. They are too large for the repository, and each has a licence of its own.

use std::io::Write as _;
use std::path::{Path, PathBuf};

/// The directory of one suite. A test without its suite says so, past the harness that hides what a passing test
/// prints, and counts as passed; where `HEADWATER_SUITES` is set, the suite has to be there.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    if let Some(root) = std::env::var_os("HEADWATER_SUITES") {
        let suite = PathBuf::from(root).join(name);
        assert!(suite.is_dir(), "no suite at {}", suite.display());
        return Some(suite);
    }
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut beside = here
        .ancestors()
        .map(|directory| directory.join("shared/suites").join(name));
    let found = beside.find(|directory| directory.is_dir());
    if found.is_none() {
        let _said = writeln!(
            std::io::stderr(),
            "SKIPPED: the conformance suite `{name}` is not there; set HEADWATER_SUITES to the directory that has it"
        );
    }
    found
}
