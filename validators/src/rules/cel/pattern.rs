//! Patterns of `matches` and `glob`.
//!
//! Invariant: matching takes time in proportion to the text, and a compiled pattern has a limit.

use std::collections::BTreeMap;

use globset::{GlobBuilder, GlobMatcher};
use regex::{Regex, RegexBuilder};

use super::machine::Machine;
use super::wrong::Wrong;

/// Largest compiled regular expression, in bytes; what the schemas have too.
const COMPILED_BYTES_MAX: usize = 256 << 10;

/// Longest pattern, in bytes.
const PATTERN_BYTES_MAX: usize = 1_024;

/// Most patterns that one run keeps compiled.
const KEPT_MAX: usize = 64;

/// Steps of compiling one.
const COMPILE_STEPS: u64 = 5_000;

/// Compiled patterns.
#[derive(Debug, Default)]
pub(super) struct Patterns {
    regexes: BTreeMap<String, Regex>,
    globs: BTreeMap<String, GlobMatcher>,
}

impl Patterns {
    /// Compiles a regular expression; why not, if it is none.
    pub(super) fn add_regex(&mut self, text: &str) -> Result<Regex, String> {
        check_length(text)?;
        let built = RegexBuilder::new(text)
            .size_limit(COMPILED_BYTES_MAX)
            .dfa_size_limit(COMPILED_BYTES_MAX)
            .build()
            .map_err(|error| regex_fault(&error))?;
        if self.regexes.len() < KEPT_MAX {
            self.regexes.insert(text.to_owned(), built.clone());
        }
        Ok(built)
    }

    /// Compiles a glob; why not, if it is none.
    pub(super) fn add_glob(&mut self, text: &str) -> Result<GlobMatcher, String> {
        check_length(text)?;
        let built = GlobBuilder::new(text)
            .literal_separator(true)
            .backslash_escape(false)
            .build()
            .map_err(|error| format!("the string is no glob: {}", error.kind()))?
            .compile_matcher();
        if self.globs.len() < KEPT_MAX {
            self.globs.insert(text.to_owned(), built.clone());
        }
        Ok(built)
    }
}

impl Machine<'_, '_> {
    /// Whether a regular expression matches a part of `text`.
    pub(super) fn matches(&mut self, text: &str, pattern: &str) -> Result<bool, Wrong> {
        self.meter.take_items(text.len())?;
        if let Some(regex) = self.patterns.regexes.get(pattern) {
            return Ok(regex.is_match(text));
        }
        if let Some(regex) = self.made_patterns.regexes.get(pattern) {
            return Ok(regex.is_match(text));
        }
        self.meter.take(COMPILE_STEPS)?;
        let regex = self.made_patterns.add_regex(pattern).map_err(Wrong::new)?;
        Ok(regex.is_match(text))
    }

    /// Whether a glob matches the whole of `path`.
    pub(super) fn glob(&mut self, path: &str, pattern: &str) -> Result<bool, Wrong> {
        self.meter.take_items(path.len())?;
        if let Some(glob) = self.patterns.globs.get(pattern) {
            return Ok(glob.is_match(path));
        }
        if let Some(glob) = self.made_patterns.globs.get(pattern) {
            return Ok(glob.is_match(path));
        }
        self.meter.take(COMPILE_STEPS)?;
        let glob = self.made_patterns.add_glob(pattern).map_err(Wrong::new)?;
        Ok(glob.is_match(path))
    }
}

fn check_length(text: &str) -> Result<(), String> {
    if text.len() > PATTERN_BYTES_MAX {
        return Err(format!("the pattern is longer than {PATTERN_BYTES_MAX} bytes"));
    }
    Ok(())
}

/// The last line says what is wrong; the ones before draw the pattern.
fn regex_fault(error: &regex::Error) -> String {
    let whole = error.to_string();
    let last = whole.lines().last().unwrap_or_default();
    let what = last.trim_start_matches("error: ");
    format!("the string is no regular expression: {what}")
}
