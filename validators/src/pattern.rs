//! Paths with placeholders, alternatives and wildcards, as the manifest's layers and schemas spell them.
//!
//! `{x}` is a placeholder: one or more characters of one path component, as few as fit. `{a,b}` is an alternative.
//! `*` is any run of characters within a component, `**` any number of components. A trailing `?` means the file may
//! be absent. Invariant: matching takes time proportional to pattern × path; there is no exponential case.

use std::collections::BTreeMap;

use globset::{Glob, GlobBuilder};

/// Most literal paths one pattern may stand for; `{a,b}` multiply.
const CHOICES_MAX: usize = 64;

/// Longest pattern, in bytes, as the longest path; matching recurses once a piece.
const TEXT_BYTES_MAX: usize = 1_024;

/// Values of placeholders.
pub(crate) type Bindings = BTreeMap<String, String>;

/// A glob over paths as `ignore` spells it: `*` stays within a component, and a backslash is a character like others.
/// Its length is limited because alternatives nest, and are read by recursion.
pub(crate) fn path_glob(text: &str) -> Result<Glob, String> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(format!("longer than {TEXT_BYTES_MAX} bytes"));
    }
    let mut builder = GlobBuilder::new(text);
    let built = builder.literal_separator(true).backslash_escape(false).build();
    built.map_err(|error| error.kind().to_string())
}

/// A parsed pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    text: String,
    pieces: Vec<Piece>,
    is_optional: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Placeholder(String),
    Alternatives(Vec<String>),
    /// `*`
    Star,
    /// `**/`
    Directories,
    /// `**` at the end
    Everything,
}

/// Why a text is no pattern, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PatternError {
    pub(crate) message: String,
    pub(crate) hint: &'static str,
}

/// What may stand in a text with placeholders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Syntax {
    /// A path: everything this module knows.
    Path,
    /// A name or an address: placeholders only.
    Text,
}

impl Pattern {
    pub(crate) fn parse(text: &str, syntax: Syntax) -> Result<Self, PatternError> {
        let optional = if syntax == Syntax::Path {
            text.strip_suffix('?')
        } else {
            None
        };
        let mut pieces = Vec::new();
        let mut rest = optional.unwrap_or(text);
        while let Some(c) = rest.chars().next() {
            rest = match c {
                '{' => parse_braces(rest, syntax, &mut pieces)?,
                '}' => {
                    return Err(error(
                        "`}` without `{`",
                        text,
                        "close what was opened, or remove it",
                    ));
                }
                '*' if syntax == Syntax::Path => parse_star(rest, &mut pieces)?,
                '[' | ']' | '?' | '\\' if syntax == Syntax::Path => {
                    let message = format!("`{c}` cannot stand here");
                    return Err(error(
                        &message,
                        text,
                        "`*`, `**`, `{x}`, `{a,b}` and a `?` at the end are all there is",
                    ));
                }
                plain => push_literal(&mut pieces, plain, rest),
            };
        }
        let pattern = Self {
            text: text.to_owned(),
            pieces,
            is_optional: optional.is_some(),
        };
        pattern.check(syntax)?;
        Ok(pattern)
    }

    /// The text it was parsed from.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Whether the file may be absent.
    pub(crate) fn is_optional(&self) -> bool {
        self.is_optional
    }

    /// Whether it has `*` or `**`.
    pub(crate) fn has_wildcard(&self) -> bool {
        self.pieces.iter().any(Piece::is_wildcard)
    }

    /// Names of its placeholders, in order, perhaps repeated.
    pub(crate) fn placeholders(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Placeholder(name) => Some(name.as_str()),
            Piece::Literal(_)
            | Piece::Alternatives(_)
            | Piece::Star
            | Piece::Directories
            | Piece::Everything => None,
        })
    }

    /// The pattern with the placeholders that have a value replaced by it.
    pub(crate) fn bind(&self, bindings: &Bindings) -> Self {
        let mut pieces: Vec<Piece> = Vec::new();
        for piece in &self.pieces {
            let value = if let Piece::Placeholder(name) = piece {
                bindings.get(name)
            } else {
                None
            };
            let bound = value.map_or_else(|| piece.clone(), |value| Piece::Literal(value.clone()));
            match (pieces.last_mut(), bound) {
                (Some(Piece::Literal(text)), Piece::Literal(more)) => text.push_str(&more),
                (_, bound) => pieces.push(bound),
            }
        }
        Self {
            text: self.text.clone(),
            pieces,
            is_optional: self.is_optional,
        }
    }

    /// The pattern as it is now, with what was bound; without the `?`.
    pub(crate) fn shown(&self) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Literal(text) => text.clone(),
            Piece::Placeholder(name) => format!("{{{name}}}"),
            Piece::Alternatives(options) => format!("{{{}}}", options.join(",")),
            Piece::Star => "*".to_owned(),
            Piece::Directories => "**/".to_owned(),
            Piece::Everything => "**".to_owned(),
        };
        self.pieces.iter().map(piece).collect()
    }

    /// The texts this stands for, in the order written, if it has neither placeholders nor wildcards left.
    pub(crate) fn choices(&self) -> Option<Vec<String>> {
        let mut choices = vec![String::new()];
        for piece in &self.pieces {
            choices = match piece {
                Piece::Literal(text) => choices.into_iter().map(|choice| choice + text).collect(),
                Piece::Alternatives(options) => choices
                    .iter()
                    .flat_map(|choice| options.iter().map(move |option| format!("{choice}{option}")))
                    .collect(),
                Piece::Placeholder(_) | Piece::Star | Piece::Directories | Piece::Everything => return None,
            };
        }
        Some(choices)
    }

    /// The text before the first piece that can vary.
    pub(crate) fn prefix(&self) -> &str {
        match self.pieces.first() {
            Some(Piece::Literal(text)) => text,
            Some(_) | None => "",
        }
    }

    /// Directories that hold everything a pattern with a wildcard can stand for, once its placeholders are bound.
    pub(crate) fn directories(&self) -> Vec<String> {
        let fixed = self
            .pieces
            .iter()
            .take_while(|piece| !piece.is_wildcard())
            .cloned()
            .collect();
        let fixed = Self {
            text: String::new(),
            pieces: fixed,
            is_optional: false,
        };
        let directory = |choice: String| choice.rsplit_once('/').map(|(directory, _)| directory.to_owned());
        fixed
            .choices()
            .unwrap_or_default()
            .into_iter()
            .filter_map(directory)
            .collect()
    }

    /// The values of the placeholders with which this pattern is `path`; `None` if it is not. A placeholder that
    /// occurs twice must have one value.
    pub(crate) fn captures(&self, path: &str) -> Option<Bindings> {
        let mut bindings = Bindings::new();
        for (name, value) in self.taken(path)? {
            if bindings
                .insert(name.to_owned(), value.to_owned())
                .is_some_and(|before| before != value)
            {
                return None;
            }
        }
        Some(bindings)
    }

    /// Whether `path` is this pattern with any values of its placeholders, even if one that occurs twice has two.
    pub(crate) fn could_be(&self, path: &str) -> bool {
        self.taken(path).is_some()
    }

    /// What each placeholder takes of `path`, in order; `None` if this pattern cannot be `path`.
    fn taken<'a>(&'a self, path: &'a str) -> Option<Vec<(&'a str, &'a str)>> {
        if !path.starts_with(self.prefix()) {
            return None;
        }
        let mut matcher = Matcher {
            pieces: &self.pieces,
            path,
            dead: Vec::new(),
            taken: Vec::new(),
        };
        matcher
            .dead
            .resize((self.pieces.len() + 1) * (path.len() + 1), false);
        matcher.run(0, 0).then_some(matcher.taken)
    }

    fn check(&self, syntax: Syntax) -> Result<(), PatternError> {
        let text = &self.text;
        if text.len() > TEXT_BYTES_MAX {
            let start: String = text.chars().take(40).chain(['…']).collect();
            return Err(error(
                &format!("longer than {TEXT_BYTES_MAX} bytes"),
                &start,
                "no path is that long",
            ));
        }
        if self.pieces.is_empty() {
            return Err(error("nothing is written here", text, "name a file or a config"));
        }
        for pair in self.pieces.windows(2) {
            if let [Piece::Placeholder(_), Piece::Placeholder(_) | Piece::Star]
            | [Piece::Star, Piece::Placeholder(_)] = pair
            {
                return Err(error(
                    "two parts that can be anything touch",
                    text,
                    "put a character between them",
                ));
            }
        }
        let options = |piece: &Piece| {
            if let Piece::Alternatives(options) = piece {
                options.len()
            } else {
                1
            }
        };
        let choices = self.pieces.iter().map(options).fold(1, usize::saturating_mul);
        if choices > CHOICES_MAX {
            return Err(error(
                &format!("more than {CHOICES_MAX} alternatives"),
                text,
                "use a wildcard or fewer alternatives",
            ));
        }
        if syntax == Syntax::Path {
            self.check_path()
        } else {
            Ok(())
        }
    }

    /// Every path it can stand for must be one, and changes of it must be visible below one directory.
    fn check_path(&self) -> Result<(), PatternError> {
        let sample = self.pieces.iter().map(Piece::sample).collect::<String>();
        if let Err(reason) = sample.parse::<headwater_wire::RepoPath>() {
            return Err(error(
                &reason.to_string(),
                &self.text,
                "write a path from the root of the repository, such as `services/a.toml`",
            ));
        }
        let first = self
            .pieces
            .iter()
            .take_while(|piece| !matches!(piece, Piece::Literal(text) if text.contains('/')));
        let in_first = first.into_iter().any(Piece::is_wildcard);
        if in_first {
            return Err(error(
                "a wildcard in the first component",
                &self.text,
                "spell out the first directory",
            ));
        }
        Ok(())
    }
}

impl Piece {
    fn is_wildcard(&self) -> bool {
        match self {
            Self::Star | Self::Directories | Self::Everything => true,
            Self::Literal(_) | Self::Placeholder(_) | Self::Alternatives(_) => false,
        }
    }

    /// Something it can stand for.
    fn sample(&self) -> &str {
        match self {
            Self::Literal(text) => text,
            Self::Alternatives(options) => options.first().map_or("", String::as_str),
            Self::Placeholder(_) | Self::Star | Self::Everything => "x",
            Self::Directories => "x/",
        }
    }
}

fn error(what: &str, text: &str, hint: &'static str) -> PatternError {
    PatternError {
        message: format!("{what}: `{text}`"),
        hint,
    }
}

fn push_literal<'a>(pieces: &mut Vec<Piece>, c: char, rest: &'a str) -> &'a str {
    if let Some(Piece::Literal(text)) = pieces.last_mut() {
        text.push(c);
    } else {
        pieces.push(Piece::Literal(c.to_string()));
    }
    rest.strip_prefix(c).unwrap_or_default()
}

/// `{x}` or `{a,b}`; returns what follows.
fn parse_braces<'a>(rest: &'a str, syntax: Syntax, pieces: &mut Vec<Piece>) -> Result<&'a str, PatternError> {
    let inner = rest.strip_prefix('{').unwrap_or(rest);
    let Some((inside, after)) = inner.split_once('}') else {
        return Err(error(
            "`{` without `}`",
            rest,
            "close what was opened, or remove it",
        ));
    };
    if inside.contains('{') {
        return Err(error(
            "braces inside braces",
            rest,
            "write the alternatives side by side",
        ));
    }
    if syntax == Syntax::Path && inside.contains(',') {
        let options: Vec<String> = inside.split(',').map(|option| option.trim().to_owned()).collect();
        if options
            .iter()
            .any(|option| option.contains(['*', '?', '[', ']', '\\']))
        {
            return Err(error(
                "a wildcard inside alternatives",
                rest,
                "write two layers instead",
            ));
        }
        pieces.push(Piece::Alternatives(options));
    } else if is_placeholder(inside) {
        pieces.push(Piece::Placeholder(inside.to_owned()));
    } else {
        return Err(error(
            "no name of a placeholder",
            inside,
            "use lower-case letters, digits, `_` and `-`, a letter first",
        ));
    }
    Ok(after)
}

/// Whether a text can name a placeholder.
pub(crate) fn is_placeholder(text: &str) -> bool {
    let rest = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
    text.starts_with(|c: char| c.is_ascii_lowercase()) && text.chars().all(rest)
}

/// `*`, `**/` or a final `**`; returns what follows.
fn parse_star<'a>(rest: &'a str, pieces: &mut Vec<Piece>) -> Result<&'a str, PatternError> {
    let Some(after) = rest.strip_prefix("**") else {
        pieces.push(Piece::Star);
        return Ok(rest.strip_prefix('*').unwrap_or_default());
    };
    let at_component = match pieces.last() {
        None | Some(Piece::Directories) => true,
        Some(Piece::Literal(text)) => text.ends_with('/'),
        Some(Piece::Placeholder(_) | Piece::Alternatives(_) | Piece::Star | Piece::Everything) => false,
    };
    match (at_component, after.strip_prefix('/')) {
        (true, Some(after)) => {
            pieces.push(Piece::Directories);
            Ok(after)
        }
        (true, None) if after.is_empty() => {
            pieces.push(Piece::Everything);
            Ok(after)
        }
        _ => Err(error(
            "`**` must be a whole component",
            rest,
            "write `**/` or use `*`",
        )),
    }
}

/// Backtracking with a memory of dead ends, so that each pair of piece and offset is tried once.
struct Matcher<'a> {
    pieces: &'a [Piece],
    path: &'a str,
    dead: Vec<bool>,
    taken: Vec<(&'a str, &'a str)>,
}

impl<'a> Matcher<'a> {
    fn run(&mut self, piece: usize, at: usize) -> bool {
        let slot = piece * (self.path.len() + 1) + at;
        if self.dead.get(slot).copied().unwrap_or(true) {
            return false;
        }
        let matched = self.step(piece, at);
        if !matched && let Some(dead) = self.dead.get_mut(slot) {
            *dead = true;
        }
        matched
    }

    fn step(&mut self, piece: usize, at: usize) -> bool {
        let rest = self.path.get(at..).unwrap_or_default();
        match self.pieces.get(piece) {
            None => rest.is_empty(),
            Some(Piece::Literal(text)) => {
                rest.starts_with(text.as_str()) && self.run(piece + 1, at + text.len())
            }
            Some(Piece::Alternatives(options)) => options
                .iter()
                .any(|option| rest.starts_with(option.as_str()) && self.run(piece + 1, at + option.len())),
            Some(Piece::Placeholder(name)) => self.placeholder(name, rest, (piece, at)),
            Some(Piece::Star) => component_ends(rest).any(|length| self.run(piece + 1, at + length)),
            Some(Piece::Directories) => {
                let starts = rest.match_indices('/').map(|(slash, _)| slash + 1);
                std::iter::once(0)
                    .chain(starts)
                    .any(|length| self.run(piece + 1, at + length))
            }
            Some(Piece::Everything) => !rest.is_empty() && self.run(piece + 1, self.path.len()),
        }
    }

    fn placeholder(&mut self, name: &'a str, rest: &'a str, (piece, at): (usize, usize)) -> bool {
        for length in component_ends(rest).skip(1) {
            self.taken.push((name, rest.get(..length).unwrap_or_default()));
            if self.run(piece + 1, at + length) {
                return true;
            }
            self.taken.pop();
        }
        false
    }
}

/// Lengths, from 0 up, of what can be taken from the front without crossing a `/` or cutting a character.
fn component_ends(rest: &str) -> impl Iterator<Item = usize> {
    let component = rest.split('/').next().unwrap_or_default();
    component
        .char_indices()
        .map(|(at, _)| at)
        .chain([component.len()])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Pattern {
        Pattern::parse(text, Syntax::Path).unwrap()
    }

    fn found(pattern: &str, text: &str) -> Option<String> {
        let shown = |(name, value): (String, String)| format!("{name}={value}");
        path(pattern)
            .captures(text)
            .map(|found| found.into_iter().map(shown).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn a_placeholder_takes_one_component_or_a_part_of_it() {
        let pattern = "services/{service}/base.{toml,yaml}";
        assert_eq!(
            found(pattern, "services/a.b/base.yaml").as_deref(),
            Some("service=a.b")
        );
        assert_eq!(found(pattern, "services/a/b/base.toml"), None);
        assert_eq!(found(pattern, "services//base.toml"), None);
        assert_eq!(
            found("c/{a}-{b}.toml", "c/x-y-z.toml").as_deref(),
            Some("a=x b=y-z")
        );
        assert_eq!(found("c/{a}/{a}.toml", "c/x/x.toml").as_deref(), Some("a=x"));
        assert_eq!(found("c/{a}/{a}.toml", "c/x/y.toml"), None);
        assert!(path("c/{a}-{b}/{a}.toml").could_be("c/x-y-z/x-y.toml"));
        assert!(!path("c/{a}/{a}.toml").could_be("c/x.toml"));
    }

    #[test]
    fn a_star_stays_in_its_component_and_two_do_not() {
        assert!(found("conf/*.toml", "conf/a.toml").is_some());
        assert!(found("conf/*.toml", "conf/a/b.toml").is_none());
        assert!(found("conf/**/*.toml", "conf/b.toml").is_some());
        assert!(found("conf/**/*.toml", "conf/a/c/b.toml").is_some());
        assert!(found("conf/**", "conf/a/c").is_some());
        assert!(found("conf/**", "conf").is_none());
    }

    #[test]
    fn alternatives_multiply_in_the_order_written() {
        let choices = path("{a,b}/x.{toml,json}?").choices().unwrap();
        assert_eq!(choices, ["a/x.toml", "a/x.json", "b/x.toml", "b/x.json"]);
        assert_eq!(path("a/{x}.toml").choices(), None);
        assert!(path("{a,b}/x.toml?").is_optional());
    }

    #[test]
    fn a_pattern_without_meaning_is_refused() {
        let cases = [
            "",
            "?",
            "/a",
            "a//b",
            "../a",
            "a/{b",
            "a/b}",
            "a/{B}",
            "a/{}",
            "a/{a{b}}",
            "a/[ab]",
            "a/b?c",
            "*.toml",
            "*/a.toml",
            "**/a.toml",
            "a**/b",
            "a/{x}{y}",
            "a/{x}*",
            "a/{x,*}",
        ];
        for text in cases {
            assert!(
                Pattern::parse(text, Syntax::Path).is_err(),
                "{text:?} was accepted"
            );
        }
        assert!(Pattern::parse("@team-{service}?*", Syntax::Text).is_ok());
    }

    #[test]
    fn many_wildcards_are_matched_in_linear_time() {
        let pattern = format!("a/{}b", "*x".repeat(100));
        let hostile = format!("a/{}", "x".repeat(1_000));
        assert_eq!(found(&pattern, &hostile), None);
    }
}
