//! Which file belongs to which config.
//!
//! Invariant: every path is relative, stays below its root, and is neither another config's file nor a directory that
//! another one needs; none begins with `..`, which is how the agent's own entries begin.

use std::collections::BTreeMap;

use headwater_wire::{ConfigName, RepoPath};

/// Longest name of one file or directory, in bytes, on the usual file systems.
const COMPONENT_BYTES_MAX: usize = 255;

/// Why configs cannot be written to one directory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LayoutMistake {
    #[error("the file of `{0}` would begin with two dots, as the agent's own entries do")]
    Reserved(ConfigName),
    #[error("the name of `{0}` is too long for a file")]
    TooLong(ConfigName),
    #[error("`{outer}` would be a file, and a directory that `{inner}` needs")]
    Nested { outer: ConfigName, inner: ConfigName },
}

/// The path of each config below the directory.
#[derive(Debug, Clone)]
pub(crate) struct Layout(BTreeMap<ConfigName, RepoPath>);

impl Layout {
    /// `NAME.EXTENSION` for each config. All mistakes at once.
    pub(crate) fn new(configs: &[ConfigName], extension: &str) -> Result<Self, Vec<LayoutMistake>> {
        let mut mistakes = Vec::new();
        let mut paths = BTreeMap::new();
        for config in configs {
            match format!("{config}.{extension}").parse::<RepoPath>() {
                Ok(path) if is_too_long(&path) => mistakes.push(LayoutMistake::TooLong(config.clone())),
                Ok(path) if path.as_str().starts_with("..") => {
                    mistakes.push(LayoutMistake::Reserved(config.clone()));
                }
                Ok(path) => {
                    paths.insert(config.clone(), path);
                }
                // A config name is a path already; only the extension can have made it too long.
                Err(_) => mistakes.push(LayoutMistake::TooLong(config.clone())),
            }
        }
        for (outer, file) in &paths {
            let below = format!("{file}/");
            let inside = paths.iter().filter(|(_, path)| path.as_str().starts_with(&below));
            mistakes.extend(inside.map(|(inner, _)| LayoutMistake::Nested {
                outer: outer.clone(),
                inner: inner.clone(),
            }));
        }
        if mistakes.is_empty() {
            Ok(Self(paths))
        } else {
            Err(mistakes)
        }
    }

    /// The file of a config.
    pub(super) fn path(&self, config: &ConfigName) -> Option<&RepoPath> {
        self.0.get(config)
    }

    /// All configs with their files.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&ConfigName, &RepoPath)> {
        self.0.iter()
    }
}

fn is_too_long(path: &RepoPath) -> bool {
    path.components()
        .any(|component| component.len() > COMPONENT_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes(names: &[&str]) -> String {
        let configs: Vec<ConfigName> = names.iter().map(|name| name.parse().unwrap()).collect();
        let mistakes = Layout::new(&configs, "json").unwrap_err();
        let lines: Vec<String> = mistakes.iter().map(LayoutMistake::to_string).collect();
        lines.join("\n")
    }

    #[test]
    fn configs_that_cannot_stand_side_by_side_are_all_told() {
        insta::assert_snapshot!(mistakes(&["..data", "...", "a", "a.json/b", &"x".repeat(254)]), @"
        the file of `..data` would begin with two dots, as the agent's own entries do
        the file of `...` would begin with two dots, as the agent's own entries do
        the name of `xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx` is too long for a file
        `a` would be a file, and a directory that `a.json/b` needs
        ");
    }

    #[test]
    fn a_config_below_one_of_the_same_name_is_no_conflict() {
        let configs = [
            "a".parse().unwrap(),
            "a/b".parse().unwrap(),
            "a.b".parse().unwrap(),
        ];
        let layout = Layout::new(&configs, "json").unwrap();
        let paths: Vec<&str> = layout.iter().map(|(_, path)| path.as_str()).collect();
        assert_eq!(paths, ["a.json", "a.b.json", "a/b.json"]);
    }
}
