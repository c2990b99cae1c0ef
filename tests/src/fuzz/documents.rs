//! What is read of a commit: documents, the manifest, the message.

use std::sync::Arc;

use headwater_render::{Format, canonical, render};
use headwater_validators::document::lines::LineIndex;
use headwater_validators::document::{Node, ParseOptions, Range, parse};
use headwater_validators::{
    ConfigTree, ContentId, Context, Entry, File, Limits, Verdict, allowances, declare, is_unprintable,
    validate,
};

pub(super) fn toml(bytes: &[u8]) {
    document(Format::Toml, bytes);
}

pub(super) fn yaml(bytes: &[u8]) {
    document(Format::Yaml, bytes);
}

pub(super) fn json(bytes: &[u8]) {
    document(Format::Json, bytes);
}

/// Every place is inside of the file, and what was read is read again from what is written of it, in every format.
fn document(format: Format, bytes: &[u8]) {
    let options = ParseOptions::default();
    match parse(format, bytes, &options) {
        Ok(node) => {
            is_inside(&node, bytes);
            let value = node.to_json();
            let read = |format, text: &str| {
                let read = parse(format, text.as_bytes(), &options);
                read.map(|node| node.to_json())
            };
            assert_eq!(read(Format::Json, &canonical(&value)).as_ref(), Ok(&value));
            for format in [Format::Toml, Format::Yaml, Format::Json] {
                if let Ok(text) = render(&value, format) {
                    assert_eq!(read(format, &text).as_ref(), Ok(&value), "{text}");
                }
            }
        }
        Err(faults) => {
            assert!(!faults.is_empty());
            let lines = LineIndex::new(bytes);
            for fault in faults {
                is_place(fault.range, bytes);
                let span = lines.span(fault.range);
                assert!((span.line, span.column) <= (span.end_line, span.end_column));
                fault
                    .related
                    .iter()
                    .for_each(|(range, _)| is_place(*range, bytes));
            }
        }
    }
}

fn is_inside(node: &Node, bytes: &[u8]) {
    is_place(node.range, bytes);
    node.items().iter().for_each(|item| is_inside(item, bytes));
    for member in node.members() {
        is_place(member.key_range, bytes);
        is_inside(&member.value, bytes);
    }
}

fn is_place(range: Range, bytes: &[u8]) {
    let (start, end) = (range.start as usize, range.end as usize);
    assert!(start <= end && end <= bytes.len(), "{range:?} of {}", bytes.len());
    if let Ok(text) = std::str::from_utf8(bytes) {
        assert!(
            text.is_char_boundary(start) && text.is_char_boundary(end),
            "{range:?}"
        );
    }
}

/// The same tree has the same verdict, what is valid is declared, and findings are about files that there are.
pub(super) fn manifest(bytes: &[u8]) {
    let mut tree = ConfigTree::new();
    let files: [(&str, &[u8]); 4] = [
        ("headwater.toml", bytes),
        ("services/a/base.toml", b"n = 1\n[db]\nhost = \"a\"\n"),
        ("env/prod.yaml", b"n: 2\n"),
        (
            "a.schema.json",
            br#"{"type": "object", "properties": {"n": {"type": "integer"}}}"#,
        ),
    ];
    for (path, bytes) in files {
        let bytes: Arc<[u8]> = bytes.into();
        let id = ContentId::new(path);
        let size = bytes.len() as u64;
        tree.insert(
            path.as_bytes(),
            Entry::File(File {
                id,
                size,
                bytes: Some(bytes),
            }),
        );
    }
    let limits = Limits::default();
    let judge = || validate(&tree, &Context::alone(&limits));
    let (verdict, again) = (judge(), judge());
    assert_eq!(verdict.findings(), again.findings());
    assert!(verdict.findings().len() <= limits.findings + 1);
    if let Verdict::Valid(valid) = &verdict {
        let declared = declare(&tree, &limits).unwrap_or_default();
        assert!(valid.configs().keys().all(|name| declared.contains_key(name)));
    }
}

/// A reason of the message is one that can be shown.
pub(super) fn message(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let read = allowances(&text);
    assert_eq!(read, allowances(&text));
    let shown = headwater_validators::printable(&text);
    assert!(!shown.chars().any(is_unprintable));
    assert_eq!(headwater_validators::printable(&shown), shown);
}
