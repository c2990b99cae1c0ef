//! A parsed file of the tree, and lines and columns of what stands in it.

use std::cell::OnceCell;
use std::sync::Arc;

use headwater_wire::{Origin, RepoPath, Span};

use crate::document::lines::LineIndex;
use crate::document::{Node, Range};
use crate::merge::Place;

/// A document and where it came from. The bytes are kept because only they tell lines and columns.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) path: RepoPath,
    pub(crate) bytes: Arc<[u8]>,
    pub(crate) root: Node,
    /// Whether it came with the metadata by which SOPS decrypts it; `root` is without them.
    pub(crate) is_sops: bool,
}

/// Turns places into lines and columns; counts the lines of each layer at most once.
pub(crate) struct Resolver<'a> {
    layers: &'a [Arc<Source>],
    indexes: Vec<OnceCell<LineIndex<'a>>>,
}

impl<'a> Resolver<'a> {
    pub(crate) fn new(layers: &'a [Arc<Source>]) -> Self {
        Self {
            layers,
            indexes: layers.iter().map(|_| OnceCell::new()).collect(),
        }
    }

    /// File of one layer.
    pub(crate) fn path(&self, layer: usize) -> Option<&'a RepoPath> {
        self.layers.get(layer).map(|source| &source.path)
    }

    /// File and span of a range in one layer.
    pub(crate) fn span(&self, layer: usize, range: Range) -> (&'a str, Span) {
        let (Some(source), Some(cell)) = (self.layers.get(layer), self.indexes.get(layer)) else {
            return ("", Span::START);
        };
        (
            source.path.as_str(),
            cell.get_or_init(|| LineIndex::new(&source.bytes)).span(range),
        )
    }

    /// Where a value was set: at its key, since the line of the key is the one a person looks for.
    pub(crate) fn origin(&self, place: Place) -> Origin {
        let (path, span) = self.span(place.layer, place.key.unwrap_or(place.value));
        Origin {
            path: path.to_owned(),
            line: span.line,
            column: span.column,
        }
    }
}
