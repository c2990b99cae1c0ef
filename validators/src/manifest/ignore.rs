//! `defaults.ignore`: files that are none of a repository's configs.

use globset::{Glob, GlobSet, GlobSetBuilder};

/// Globs of paths, in the order written. The default ignores nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ignore {
    set: GlobSet,
    texts: Vec<String>,
}

impl Ignore {
    /// `None` if there are too many to be matched together.
    pub(super) fn of(globs: Vec<Glob>) -> Option<Self> {
        let mut set = GlobSetBuilder::new();
        let texts = globs.iter().map(|glob| glob.glob().to_owned()).collect();
        for glob in globs {
            set.add(glob);
        }
        let set = set.build().ok()?;
        Some(Self { set, texts })
    }

    pub(crate) fn is_match(&self, path: &str) -> bool {
        self.set.is_match(path)
    }

    /// The globs that another one does not have.
    pub(crate) fn beyond(&self, other: &Self) -> Vec<&str> {
        let texts = self.texts.iter().filter(|text| !other.texts.contains(text));
        texts.map(String::as_str).collect()
    }
}

impl PartialEq for Ignore {
    fn eq(&self, other: &Self) -> bool {
        self.texts == other.texts
    }
}
