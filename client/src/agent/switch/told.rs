//! What programs were told last, kept on disk: a crash between a switch and its command must not lose the command, and
//! a restart of the agent must not repeat it.

use std::fs;
use std::path::{Path, PathBuf};

use tracing::debug;

use crate::agent::files::{FileSet, fingerprint};
use crate::agent::format::FileFormat;

/// The digest of the files whose command succeeded, in a file.
#[derive(Debug)]
pub(super) struct Told {
    path: PathBuf,
    digest: Option<String>,
}

impl Told {
    /// One file for each place that files are written to.
    pub(super) fn open(state_dir: &Path, root: &Path, format: &FileFormat) -> Self {
        let place = format!("{}\n{}", root.display(), format.extension());
        let digest = headwater_render::digest(&place);
        let key = digest.hex().get(..16).unwrap_or_default();
        let path = state_dir.join(format!("told-{key}"));
        // Nothing readable means that nobody was told, and telling twice is the smaller evil.
        let digest = fs::read_to_string(&path).ok();
        Self { path, digest }
    }

    pub(super) fn knows(&self, files: &FileSet) -> bool {
        self.digest.as_deref() == Some(fingerprint(files).as_str())
    }

    pub(super) fn remember(&mut self, files: &FileSet) {
        let digest = fingerprint(files).to_string();
        if self.digest.as_ref() == Some(&digest) {
            return;
        }
        let new = self.path.with_extension("new");
        let written = fs::write(&new, &digest).and_then(|()| fs::rename(&new, &self.path));
        if let Err(error) = written {
            // The command is repeated after a restart, which it must stand anyway.
            debug!(%error, "`{}` could not be written: {error}", self.path.display());
        }
        self.digest = Some(digest);
    }
}
