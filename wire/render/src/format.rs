//! The formats, and the words they go by.

use std::fmt;
use std::str::FromStr;

use headwater_wire::RepoPath;

/// A format a document may be written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// TOML 1.1 (1.0 on request).
    Toml,
    /// RFC 8259, duplicate keys refused.
    Json,
    /// YAML 1.2, core schema, one document.
    Yaml,
}

impl Format {
    /// The format that a path's extension names: `toml`, `json`, `yaml` or `yml`, in lower case.
    pub fn of(path: &RepoPath) -> Option<Self> {
        match path.extension()? {
            "toml" => Some(Self::Toml),
            "json" => Some(Self::Json),
            "yaml" | "yml" => Some(Self::Yaml),
            _ => None,
        }
    }

    /// The name a person knows it by.
    pub fn name(self) -> &'static str {
        match self {
            Self::Toml => "TOML",
            Self::Json => "JSON",
            Self::Yaml => "YAML",
        }
    }

    /// The word a person types, which also is the usual extension of a file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Toml => "toml",
            Self::Json => "json",
            Self::Yaml => "yaml",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Format {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "toml" => Ok(Self::Toml),
            "json" => Ok(Self::Json),
            "yaml" => Ok(Self::Yaml),
            _ => Err("not one of toml, json, yaml"),
        }
    }
}
