//! Files that are encrypted with SOPS, value by value: <https://getsops.io/docs/>.
//!
//! The keys are in plain text, values are `ENC[AES256_GCM,data:…,iv:…,tag:…,type:…]`, and the key `sops` at the top says
//! how to decrypt them. What is deliberately absent: decrypting. The service holds no key.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;

use crate::document::{Node, Value};
use crate::merge::Merged;
use crate::pointer;

/// The key of the metadata.
const KEY: &str = "sops";

static CIPHERTEXT: LazyLock<Regex> = LazyLock::new(|| {
    let base64 = "[A-Za-z0-9+/=]";
    let pattern = format!(
        r"\AENC\[AES256_GCM,data:{base64}*,iv:{base64}+,tag:{base64}+,type:(?:str|int|float|bytes|bool|comment|time)\]\z"
    );
    Regex::new(&pattern).expect("the pattern of ciphertext is well formed")
});

/// Takes the metadata out of a document; whether there was any. A program wants neither its keys nor its changes.
pub(crate) fn strip(root: &mut Node) -> bool {
    let Value::Obj(members) = &mut root.value else {
        return false;
    };
    let is_metadata = |node: &Node| node.get("mac").is_some() && node.get("version").is_some();
    let found = members
        .iter()
        .position(|member| &*member.key == KEY && is_metadata(&member.value));
    if let Some(index) = found {
        members.remove(index);
    }
    found.is_some()
}

/// Whether a value is encrypted.
pub(crate) fn is_ciphertext(text: &str) -> bool {
    text.starts_with("ENC[") && CIPHERTEXT.is_match(text)
}

/// Writes down the pointers of all encrypted values that layers encrypted by SOPS have set.
pub(crate) fn ciphertexts(
    merged: &Merged,
    is_sops: &impl Fn(usize) -> bool,
    pointer: &mut String,
    found: &mut BTreeSet<String>,
) {
    for (key, child) in merged.members().into_iter().flatten() {
        let length = pointer.len();
        pointer::push(pointer, key);
        ciphertexts(child, is_sops, pointer, found);
        pointer.truncate(length);
    }
    if let Some(node) = merged.leaf().filter(|_| is_sops(merged.origin().layer)) {
        in_leaf(node, pointer, found);
    }
}

fn in_leaf(node: &Node, pointer: &mut String, found: &mut BTreeSet<String>) {
    if node.as_str().is_some_and(is_ciphertext) {
        found.insert(pointer.clone());
    }
    let members = node
        .members()
        .iter()
        .map(|member| (member.key.to_string(), &member.value));
    let items = node
        .items()
        .iter()
        .enumerate()
        .map(|(index, item)| (index.to_string(), item));
    for (token, child) in members.chain(items) {
        let length = pointer.len();
        pointer::push(pointer, &token);
        in_leaf(child, pointer, found);
        pointer.truncate(length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{ParseOptions, parse};
    use headwater_render::Format;

    fn stripped(text: &str) -> (bool, String) {
        let mut root = parse(Format::Yaml, text.as_bytes(), &ParseOptions::default()).unwrap();
        (strip(&mut root), root.to_json().to_string())
    }

    #[test]
    fn metadata_is_taken_out_and_another_key_of_that_name_is_not() {
        let file = "a: 1\nsops:\n  mac: ENC[x]\n  version: 3.9.0\n";
        assert_eq!(stripped(file), (true, r#"{"a":1}"#.to_owned()));
        let other = "sops: {enabled: true}\n";
        assert_eq!(
            stripped(other),
            (false, r#"{"sops":{"enabled":true}}"#.to_owned())
        );
    }

    #[test]
    fn ciphertext_is_whole_or_none() {
        assert!(is_ciphertext(
            "ENC[AES256_GCM,data:aGk=,iv:aXY=,tag:dGFn,type:int]"
        ));
        for text in [
            "ENC[hunter2]",
            "x ENC[AES256_GCM,data:aGk=,iv:aXY=,tag:dGFn,type:int]",
            "ENC[AES256_GCM,data:hunter 2,iv:aXY=,tag:dGFn,type:str]",
        ] {
            assert!(!is_ciphertext(text), "{text}");
        }
    }
}
