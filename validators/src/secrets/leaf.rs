//! Whether one value is a secret, and of which kind: the one answer that findings and masks go by.

use super::formats::{self, Format};
use super::{names, sops};
use crate::document::{Node, Value};
use crate::manifest::secrets::{Level, Secrets};
use crate::pointer::PointerPattern;

/// A value that is no list and no object.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Leaf<'a> {
    Text(&'a str),
    Number,
    /// Null or a truth value: too little to hold a secret.
    Switch,
}

/// What is wrong with a value.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind<'p> {
    /// It holds a secret that its format gives away.
    Format(&'static Format),
    /// It is neither a reference nor ciphertext, and this path says it must be.
    Path(&'p PointerPattern),
    /// It is ciphertext, as this path wants it, and what is needed to decrypt it is not there.
    Useless(&'p PointerPattern),
    /// It is a literal, and its key is the name of a secret.
    Name,
}

impl<'a> Leaf<'a> {
    /// `None` for a list or object.
    pub(super) fn of(node: &'a Node) -> Option<Self> {
        match &node.value {
            Value::Null | Value::Bool(_) => Some(Self::Switch),
            Value::Int(_) | Value::Float(_) => Some(Self::Number),
            Value::Str(text) => Some(Self::Text(text)),
            Value::Arr(_) | Value::Obj(_) => None,
        }
    }

    /// `None` for a list or object.
    pub(super) fn of_json(value: &'a serde_json::Value) -> Option<Self> {
        match value {
            serde_json::Value::Null | serde_json::Value::Bool(_) => Some(Self::Switch),
            serde_json::Value::Number(_) => Some(Self::Number),
            serde_json::Value::String(text) => Some(Self::Text(text)),
            serde_json::Value::Array(_) | serde_json::Value::Object(_) => None,
        }
    }

    pub(super) fn text(self) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Number | Self::Switch => None,
        }
    }
}

/// Where a value stands.
#[derive(Debug)]
pub(super) struct Place<'a, T> {
    pub(super) tokens: &'a [T],
    pub(super) role: Role,
    pub(super) ciphertext: Ciphertext,
}

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Its values are config.
    Config,
    /// It is the manifest or a schema: what stands under a key describes, so only formats tell.
    Description,
}

/// Whether ciphertext here comes with what is needed to decrypt it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ciphertext {
    Usable,
    Useless,
}

/// What speaks against a value, the gravest first; exceptions are not looked at.
pub(super) fn judge<'p, T: AsRef<str>>(
    policy: &'p Secrets,
    place: &Place<'_, T>,
    leaf: Leaf<'_>,
) -> Option<(Kind<'p>, Level)> {
    let format = leaf.text().and_then(|text| formats::find(text.as_bytes()));
    let format = format.map(|found| (Kind::Format(found.format), policy.plaintext));
    let is_decided = matches!(format, Some((_, Level::Reject))) || place.role == Role::Description;
    if is_decided {
        return format;
    }
    let path = || policy.paths.iter().find(|path| path.covers(place.tokens));
    let text = match leaf {
        Leaf::Switch => return format,
        Leaf::Text(text) if text.is_empty() || policy.is_reference(text) => return format,
        Leaf::Text(text) if sops::is_ciphertext(text) => {
            let path = path().filter(|_| place.ciphertext == Ciphertext::Useless);
            return path.map(|path| (Kind::Useless(path), Level::Reject)).or(format);
        }
        Leaf::Text(text) => Some(text),
        Leaf::Number => None,
    };
    let path = path().map(|path| (Kind::Path(path), Level::Reject));
    path.or(format).or_else(|| {
        let is_named = policy.names != Level::Off
            && text.is_some_and(names::could_be_secret)
            && key(place.tokens).is_some_and(names::is_suspicious);
        is_named.then_some((Kind::Name, policy.names))
    })
}

/// The key that a value belongs to; an element of a list belongs to the list's.
fn key<T: AsRef<str>>(tokens: &[T]) -> Option<&str> {
    let is_index = |token: &&str| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_digit());
    tokens
        .iter()
        .rev()
        .map(AsRef::as_ref)
        .find(|token| !is_index(token))
}
