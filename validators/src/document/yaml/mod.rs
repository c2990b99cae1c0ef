//! YAML 1.2 to the tree, from the parser's events.
//!
//! Invariant: exactly one document, keys are scalars and unique, tags are those of the core schema, and an alias costs
//! as much as the copy it stands for. What is deliberately absent: merge keys unless asked for, tags that make
//! objects, a second document.

mod explain;
mod scalar;
mod tree;
mod value;

use granit_parser::{Event, Parser, Span};

use super::build::{Build, Stop};

use super::{Fault, Node, Range, Value};
use tree::Tree;

const CODE: &str = "parse/yaml";

/// The tree of the document; what is wrong goes to `build`.
pub(super) fn parse(build: &mut Build<'_>) -> Result<Node, Stop> {
    let text = build.text();
    let mut options = granit_parser::options! { strict_indentation: true };
    options.set_emit_comments(false);
    let mut tree = Tree::default();
    let mut documents = 0_usize;
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = match event {
            Ok(event) => event,
            Err(error) => {
                let fault = explain::syntax(build, &error);
                return build.stop(fault);
            }
        };
        let range = range_of(build, &span);
        if matches!(event, Event::DocumentStart(..)) {
            documents += 1;
            if documents > 1 {
                return build.stop(second_document(range));
            }
        }
        tree.see(build, event, &span)?;
        if build.is_full() {
            return Err(Stop);
        }
    }
    let whole = build.range(0..text.len());
    Ok(tree.into_root().unwrap_or(Node {
        range: whole,
        value: Value::Obj(Vec::new()),
    }))
}

/// Where an event stands in the file.
pub(super) fn range_of(build: &Build<'_>, span: &Span) -> Range {
    build.range(span.byte_range().unwrap_or(0..0))
}

fn second_document(range: Range) -> Fault {
    Fault::new(
        "parse/document",
        range,
        "a file holds one document, and a second one starts here",
    )
    .hint("move it to a file of its own")
}
