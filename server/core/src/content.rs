//! What a config is made of and what comes out of it: two ways to see that it says the same.
//!
//! Invariant: two contents are the same if their inputs are equal or their documents are. Inputs are known without
//! judging; documents tell that a comment, a space or another spelling of a layer has changed nothing.

use headwater_validators::Config;
use headwater_wire::Digest;
use serde::{Deserialize, Serialize};

/// Content of one config at one commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Kept")]
pub struct Content {
    /// Digest of what decides it.
    pub inputs: Digest,
    /// Digest of the documents that instances get, whatever their labels. Decisions that were kept before documents
    /// were compared do not have it, until it is worked out again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub documents: Option<Digest>,
}

/// As it stands in kept decisions: where there were only inputs, they stood alone.
#[derive(Deserialize)]
#[serde(untagged)]
enum Kept {
    Inputs(Digest),
    Both {
        inputs: Digest,
        #[serde(default)]
        documents: Option<Digest>,
    },
}

impl From<Kept> for Content {
    fn from(kept: Kept) -> Self {
        let (inputs, documents) = match kept {
            Kept::Inputs(inputs) => (inputs, None),
            Kept::Both { inputs, documents } => (inputs, documents),
        };
        Self { inputs, documents }
    }
}

impl Content {
    /// What a commit has of a config.
    pub fn of(config: &Config) -> Self {
        Self {
            inputs: config.inputs().digest().clone(),
            documents: Some(config.documents()),
        }
    }

    /// Whether instances get the same.
    pub fn is_same(&self, other: &Self) -> bool {
        self.inputs == other.inputs || (self.documents.is_some() && self.documents == other.documents)
    }

    /// Equal inputs give equal documents, so these are taken over: they were not known, or are rendered otherwise now.
    pub(crate) fn learn(&mut self, other: &Self) {
        if self.inputs == other.inputs && other.documents.is_some() {
            self.documents.clone_from(&other.documents);
        }
    }
}

/// Whether instances get the same, also where the config does not exist.
pub(crate) fn is_same(one: Option<&Content>, other: Option<&Content>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.is_same(other),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_before_documents_were_compared_is_read() {
        let (inputs, documents) = ("a".repeat(64), "b".repeat(64));
        let kept = format!(
            r#"["sha256:{inputs}", null, {{"inputs": "sha256:{inputs}"}}, {{"inputs": "sha256:{inputs}", "documents": "sha256:{documents}"}}]"#
        );
        let read: Vec<Option<Content>> = serde_json::from_str(&kept).unwrap();
        let old = Content {
            inputs: format!("sha256:{inputs}").parse().unwrap(),
            documents: None,
        };
        let new = Content {
            documents: Some(format!("sha256:{documents}").parse().unwrap()),
            ..old.clone()
        };
        assert_eq!(read, [Some(old.clone()), None, Some(old), Some(new)]);
    }
}
