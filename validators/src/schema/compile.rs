//! A schema file made ready to check documents, or the finding that says why it cannot be.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use headwater_wire::{Finding, RepoPath, Severity};
use jsonschema::error::ValidationErrorKind;
use jsonschema::{Draft, PatternOptions, ReferencingError, ValidationError, ValidationOptions, Validator};
use serde_json::Value;

use super::formats;
use super::fragment::relax::relax;
use super::message;
use super::seen::Seen;
use super::store::{Led, Retriever, Store, uri_of};
use super::violation::{self, Context, Violation};
use super::{Dialect, Formats, RegexEngine, SchemaOptions};
use crate::document::lines::LineIndex;
use crate::document::{Node, Range};
use crate::effective::Effective;
use crate::source::Source;

/// Address of a schema that is in no file.
const MADE_URI: &str = "made:///schema";

/// Largest compiled regular expression, in bytes; `(\p{L}{1,200}){1,200}` is stopped in a third of a millisecond.
const REGEX_BYTES_MAX: usize = 256 << 10;

/// Most steps back of one match with the backtracking engine: 0.3 ms at worst.
const BACKTRACK_STEPS_MAX: usize = 10_000;

const REGEX_HINT: &str =
    "make it smaller; look-around and back-references need `defaults.regex = \"backtracking\"`";
const DIALECT_HINT: &str = "a schema must follow the dialect that it names in `$schema`, by default 2020-12";

/// A compiled schema. It depends on the files that it was made of and on nothing else, so it may outlive its tree.
#[derive(Debug)]
pub(crate) struct Compiled {
    validator: Validator,
    /// The schema itself, to look up what it says beside a keyword.
    schema: Value,
    /// Its address.
    uri: String,
    /// The files that it was made of.
    store: Arc<Store>,
    /// Those of them, by address, that a finding led to.
    documents: Mutex<BTreeMap<String, Option<Arc<Value>>>>,
    led: Led,
    /// The same for parts of documents, once that was wanted.
    relaxed: OnceLock<Option<Box<Self>>>,
}

impl Compiled {
    pub(super) fn new(
        source: &Source,
        store: &Arc<Store>,
        options: SchemaOptions,
    ) -> Result<Self, Box<Finding>> {
        let schema = source.root.to_json();
        let retriever = Retriever::new(store);
        let uri = uri_of(source.path.as_str());
        let built = configured(&schema, options)
            .with_base_uri(uri.clone())
            .with_retriever(retriever.clone())
            .build(&schema);
        let led = retriever.end();
        match built {
            Ok(validator) => {
                let mut paths = led.to.clone();
                paths.insert(source.path.clone());
                let store = Arc::new(store.part(&paths));
                Ok(Self::of(validator, (schema, uri), (store, led)))
            }
            Err(error) => Err(Box::new(invalid_schema(source, &error))),
        }
    }

    /// A schema that was made from one that compiled.
    fn of_json(schema: Value, store: &Arc<Store>, options: SchemaOptions) -> Option<Self> {
        let retriever = Retriever::new(store);
        let built = configured(&schema, options)
            .with_base_uri(MADE_URI)
            .with_retriever(retriever.clone())
            .build(&schema);
        let led = retriever.end();
        let validator = built.ok()?;
        let schema = (schema, MADE_URI.to_owned());
        Some(Self::of(validator, schema, (Arc::clone(store), led)))
    }

    fn of(validator: Validator, (schema, uri): (Value, String), (store, led): (Arc<Store>, Led)) -> Self {
        Self {
            validator,
            schema,
            uri,
            store,
            documents: Mutex::default(),
            led,
            relaxed: OnceLock::new(),
        }
    }

    /// Where its references led.
    pub(super) fn led(&self) -> &Led {
        &self.led
    }

    /// The same schema, which is at `path`, for parts of documents; `None` if it has no such form.
    pub(super) fn relaxed(&self, path: &RepoPath, options: SchemaOptions) -> Option<&Self> {
        let make = || {
            let relaxed = relax(&self.schema, path, options.dialect)?;
            Self::of_json(relaxed, &self.store, options).map(Box::new)
        };
        self.relaxed.get_or_init(make).as_deref()
    }

    /// What is wrong with a document, at most `limit` things. The cheap question comes first, because collecting
    /// errors can take a hundred times as long as finding out that there are none.
    pub(super) fn check(&self, seen: &Seen<'_>, limit: usize) -> Vec<Violation> {
        let document = seen.document();
        if self.validator.is_valid(document) {
            return Vec::new();
        }
        let excused = seen.excused(self.validator.iter_errors(document));
        let context = Context { schema: self, seen };
        let mut violations = Vec::new();
        for error in self.validator.iter_errors(document) {
            if seen.excuses(&error) || excused.spreads_to(&error) {
                continue;
            }
            violations.extend(violation::explain(Some(context), &error));
            if violations.len() >= limit {
                break;
            }
        }
        violations.truncate(limit);
        violations
    }

    /// What is wrong with a document, as [`Self::check`] has it.
    pub(crate) fn violations(&self, effective: &Effective, limit: usize) -> Vec<Violation> {
        self.check(&Seen::of(effective), limit)
    }

    /// What the schema says in `keyword` beside the one that `error` broke, as `read` has it.
    pub(super) fn sibling<T>(
        &self,
        error: &ValidationError<'_>,
        keyword: &str,
        read: impl FnOnce(&Value) -> T,
    ) -> Option<T> {
        let absolute = error
            .absolute_keyword_location()
            .map(|uri| uri.as_str().to_owned());
        let located = absolute.as_deref().and_then(|uri| uri.split_once('#'));
        let (document, pointer) = match located {
            Some((base, fragment)) => (self.document(base), super::store::decode(fragment)),
            None => (None, error.schema_path().as_str().to_owned()),
        };
        let (parent, _) = pointer.rsplit_once('/')?;
        document
            .as_deref()
            .unwrap_or(&self.schema)
            .pointer(&format!("{parent}/{keyword}"))
            .map(read)
    }

    /// A file that it was made of, parsed once however much is wrong; `None` for its own.
    fn document(&self, uri: &str) -> Option<Arc<Value>> {
        if uri == self.uri {
            return None;
        }
        let mut documents = self.documents.lock().unwrap_or_else(PoisonError::into_inner);
        let parse = || self.store.document(uri).map(Arc::new);
        documents.entry(uri.to_owned()).or_insert_with(parse).clone()
    }
}

/// Options for a schema. The dialect is a default: it never overrides what a schema says of itself.
pub(super) fn configured(schema: &Value, options: SchemaOptions) -> ValidationOptions<'static> {
    let mut built = formats::install(jsonschema::options(), formats::SECRET_SCHEMES)
        .should_validate_formats(options.formats == Formats::Assert)
        .should_ignore_unknown_formats(options.formats == Formats::Annotate);
    built = match options.regex {
        RegexEngine::Linear => {
            built.with_pattern_options(PatternOptions::regex().size_limit(REGEX_BYTES_MAX))
        }
        RegexEngine::Backtracking => built.with_pattern_options(
            PatternOptions::fancy_regex()
                .size_limit(REGEX_BYTES_MAX)
                .backtrack_limit(BACKTRACK_STEPS_MAX),
        ),
    };
    if schema.get("$schema").is_some() {
        built
    } else {
        built.with_draft(draft(options.dialect))
    }
}

fn draft(dialect: Dialect) -> Draft {
    match dialect {
        Dialect::Draft4 => Draft::Draft4,
        Dialect::Draft6 => Draft::Draft6,
        Dialect::Draft7 => Draft::Draft7,
        Dialect::Draft201909 => Draft::Draft201909,
        Dialect::Draft202012 => Draft::Draft202012,
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "every other error is told as it is"
)]
fn invalid_schema(source: &Source, error: &ValidationError<'_>) -> Finding {
    if let ValidationErrorKind::Referencing(error) = error.kind() {
        return unresolved(source, error);
    }
    let pointer = error.instance_path().as_str();
    let (message, hint) = match error.kind() {
        ValidationErrorKind::Format { format } if format == "regex" => {
            let message = format!(
                "not a regular expression that can be used: {}",
                message::shown(error.instance())
            );
            (message, REGEX_HINT.to_owned())
        }
        _ if formats::is_unknown(error) => formats::unknown(error.instance()),
        _ => {
            let first = violation::explain(None, error).into_iter().next();
            let (message, hint) = first.map_or_else(
                || (message::sentence(error, error.instance()), None),
                |first| (first.message, first.hint),
            );
            (message, hint.unwrap_or_else(|| DIALECT_HINT.to_owned()))
        }
    };
    let range = source
        .root
        .at(pointer)
        .map_or(Range::default(), |node| node.range);
    finding(
        source,
        range,
        "schema/invalid",
        format!("the schema is invalid: {message}"),
    )
    .pointer(pointer)
    .hint(hint)
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "every other error is told as it is"
)]
fn unresolved(source: &Source, error: &ReferencingError) -> Finding {
    let (message, hint, name) = match error {
        ReferencingError::Unretrievable { uri, source } => (
            format!("cannot resolve a reference: {source}"),
            "refer to a schema file of this repository by its path",
            uri,
        ),
        ReferencingError::PointerToNowhere { pointer } => (
            format!("a reference points to nothing: `{pointer}`"),
            "repair the part after `#`",
            pointer,
        ),
        ReferencingError::NoSuchAnchor { anchor } | ReferencingError::InvalidAnchor { anchor } => (
            format!("a reference names no anchor: `{anchor}`"),
            "repair the part after `#`",
            anchor,
        ),
        ReferencingError::UnknownSpecification { specification } => {
            let message = format!("no dialect of JSON Schema: `{specification}`");
            return finding(source, at_key(&source.root, "$schema"), "schema/dialect", message)
                .hint("write `https://json-schema.org/draft/2020-12/schema`, or leave `$schema` out");
        }
        other => {
            return finding(
                source,
                Range::default(),
                "schema/ref",
                format!("cannot resolve a reference: {other}"),
            )
            .hint("repair the `$ref`");
        }
    };
    finding(source, reference(&source.root, name), "schema/ref", message).hint(hint)
}

fn at_key(root: &Node, key: &str) -> Range {
    root.get(key).map_or(Range::default(), |node| node.range)
}

/// The `$ref` that most likely led to `target`: one that its text ends with.
fn reference(node: &Node, target: &str) -> Range {
    let own = node.get("$ref").and_then(|reference| {
        let text = reference.as_str()?;
        let plain = text
            .split('#')
            .next()
            .unwrap_or(text)
            .trim_start_matches(['.', '/']);
        let is_it = text.ends_with(target) || (!plain.is_empty() && target.ends_with(plain));
        is_it.then_some(reference.range)
    });
    let below = node
        .members()
        .iter()
        .map(|member| &member.value)
        .chain(node.items());
    let found = own.or_else(|| {
        below
            .map(|child| reference(child, target))
            .find(|range| *range != Range::default())
    });
    found.unwrap_or_default()
}

fn finding(source: &Source, range: Range, code: &str, message: String) -> Finding {
    let span = LineIndex::new(&*source.bytes).span(range);
    Finding::new(code, Severity::Error, (source.path.as_str(), span), message)
}
