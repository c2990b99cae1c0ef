//! What an expression can see.

use std::collections::BTreeSet;

use crate::document::Node;
use crate::merge::Merged;
use crate::pattern::Bindings;

/// A name that is known without being bound in the expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Variable {
    /// The document that is judged.
    New,
    /// The document that is exposed now.
    Old,
    /// The config of the document.
    Config,
    /// All configs of the commit.
    Configs,
    /// All documents of the commit, by path.
    Files,
    /// The commit.
    Commit,
}

impl Variable {
    pub(super) const ALL: [(&'static str, Self); 6] = [
        ("new", Self::New),
        ("old", Self::Old),
        ("config", Self::Config),
        ("configs", Self::Configs),
        ("files", Self::Files),
        ("commit", Self::Commit),
    ];

    pub(super) fn named(name: &str) -> Option<Self> {
        let known = Self::ALL.iter().find(|(known, _)| *known == name);
        known.map(|(_, variable)| *variable)
    }

    /// Whether it means nothing where there is no single document.
    pub(super) fn needs_a_document(self) -> bool {
        match self {
            Self::New | Self::Old | Self::Config => true,
            Self::Configs | Self::Files | Self::Commit => false,
        }
    }
}

/// A document in either of its forms.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Tree<'a> {
    /// One file.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "what is judged is merged; tests judge single files")
    )]
    Node(&'a Node),
    /// The result of layers.
    Merged(&'a Merged),
}

/// One config of the commit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConfigFacts<'a> {
    pub(crate) name: &'a str,
    /// Values of its placeholders.
    pub(crate) bindings: &'a Bindings,
    /// Its document for instances without a variant.
    pub(crate) doc: Tree<'a>,
}

/// The commit that is judged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CommitFacts<'a> {
    pub(crate) id: &'a str,
    pub(crate) author: &'a str,
    pub(crate) message: &'a str,
}

/// The values of the variables. What a program does not mention may be absent; a variable that is mentioned and absent
/// is `null`, or empty if it is a list or a map.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scope<'a> {
    pub(crate) new: Option<Tree<'a>>,
    pub(crate) old: Option<Tree<'a>>,
    pub(crate) config: Option<&'a ConfigFacts<'a>>,
    /// In the order of their names.
    pub(crate) configs: &'a [ConfigFacts<'a>],
    /// In the order of their paths.
    pub(crate) files: &'a [(&'a str, &'a Node)],
    pub(crate) commit: Option<&'a CommitFacts<'a>>,
    /// Placeholders that any config of the commit has. One that a config does not have is `null` there, so that
    /// `configs.filter(c, c.env == 'prod')` passes over a config without environments, and a misspelt one is an error.
    pub(crate) placeholders: &'a BTreeSet<&'a str>,
}
