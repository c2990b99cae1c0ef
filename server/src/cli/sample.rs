//! The sample repository, as part of the program.
//!
//! Invariant: the same files as in `sample-repo/`; a test compares them, so that neither can be forgotten.

use std::fs;
use std::io;
use std::path::Path;

/// Path and text of each file.
macro_rules! files {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../../sample-repo/", $path)))),*]
    };
}

const FILES: &[(&str, &str)] = files![
    "README.md",
    "env/dev.toml",
    "env/prod.toml",
    "env/staging.toml",
    "flags/base.yaml",
    "headwater.toml",
    "schemas/catalog.schema.json",
    "schemas/flags.schema.json",
    "schemas/payments.schema.json",
    "schemas/web.schema.json",
    "services/catalog/base.yaml",
    "services/catalog/prod.yaml",
    "services/payments/base.toml",
    "services/payments/dev.toml",
    "services/payments/prod.canary.toml",
    "services/payments/prod.toml",
    "services/payments/staging.toml",
    "services/web/base.json",
    "services/web/prod.json",
    "services/web/staging.json",
];

/// Writes the files below a directory, which is made if needed. Nothing that is there is replaced.
pub(super) fn write(dir: &Path) -> io::Result<()> {
    for (path, text) in FILES {
        let path = dir.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut file = fs::File::create_new(path)?;
        io::Write::write_all(&mut file, text.as_bytes())?;
    }
    Ok(())
}
