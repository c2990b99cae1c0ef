//! "Did you mean": the known word that a misspelt one is closest to.

/// Longest word, in bytes, that is looked up: nobody mistypes a longer one.
const WORD_MAX: usize = 128;

/// Most candidates that are looked at. Whoever writes the words decides how many they are.
const LOOKED_AT_MAX: usize = 20_000;

/// Most steps of all comparisons for one word, each of which takes its length squared.
const STEPS_MAX: usize = 200_000;

/// The candidate within a third of the word's length in edits; of equally close ones the first. Case and `-`/`_` are
/// free, because they are what people mix up. Among very many candidates, one may be overlooked.
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > WORD_MAX {
        return None;
    }
    let target = plain(word);
    let allowed = (target.chars().count() / 3).clamp(1, 4);
    let letters = Letters::of(word);
    let near = |candidate: &'a str| {
        let distance = strsim::damerau_levenshtein(&target, &plain(candidate));
        (distance <= allowed).then_some((distance, candidate))
    };
    candidates
        .into_iter()
        .take(LOOKED_AT_MAX)
        .filter(|candidate| letters.may_be_within(allowed, candidate))
        .take(STEPS_MAX / (word.len() * word.len()).max(1))
        .filter_map(near)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn plain(text: &str) -> String {
    text.to_lowercase().replace('-', "_")
}

/// How often each kind of byte is in a word, which tells cheaply that another one is too far from it. Case and `-`/`_`
/// are of one kind.
struct Letters([i16; 32]);

impl Letters {
    fn of(word: &str) -> Self {
        let mut letters = Self([0; 32]);
        word.bytes().for_each(|byte| letters.count(byte, 1));
        letters
    }

    fn count(&mut self, byte: u8, by: i16) {
        let kind = if byte == b'-' { b'_' } else { byte } % 32;
        if let Some(count) = self.0.get_mut(usize::from(kind)) {
            *count += by;
        }
    }

    /// Whether a candidate may be within so many edits. One edit changes at most one character, of four bytes at most.
    fn may_be_within(&self, edits: usize, candidate: &str) -> bool {
        if candidate.len() > WORD_MAX + 4 * edits {
            return false;
        }
        let mut rest = Self(self.0);
        candidate.bytes().for_each(|byte| rest.count(byte, -1));
        let differing = |sign: i16| -> i16 { rest.0.iter().map(|count| (count * sign).max(0)).sum() };
        let most = if candidate.is_ascii() { edits } else { 4 * edits };
        usize::try_from(differing(1).max(differing(-1))).is_ok_and(|bytes| bytes <= most)
    }
}

/// A hint that names the closest candidate, or all of them if none is close.
pub(crate) fn hint(word: &str, candidates: &[&str]) -> String {
    match closest(word, candidates.iter().copied()) {
        Some(candidate) => format!("did you mean `{candidate}`?"),
        None if candidates.len() == 1 => format!("the only one known is {}", list(candidates)),
        None => format!("known are {}", list(candidates)),
    }
}

/// Words in back-ticks with commas between; long lists are cut.
pub(crate) fn list<T: AsRef<str>>(words: &[T]) -> String {
    const SHOWN: usize = 12;
    let quoted: Vec<String> = words
        .iter()
        .take(SHOWN)
        .map(|word| format!("`{}`", word.as_ref()))
        .collect();
    and_more(&quoted, words.len())
}

/// The first of some words as they are, and how many more there are.
pub(crate) fn first<T: AsRef<str>>(words: &[T], shown: usize) -> String {
    let first: Vec<&str> = words.iter().take(shown).map(AsRef::as_ref).collect();
    and_more(&first, words.len())
}

fn and_more<T: AsRef<str>>(first: &[T], all: usize) -> String {
    let more = all - first.len();
    let tail = if more == 0 {
        String::new()
    } else {
        format!(" and {more} more")
    };
    let first: Vec<&str> = first.iter().map(AsRef::as_ref).collect();
    first.join(", ") + &tail
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_finds_its_word_and_a_stranger_does_not() {
        let known = ["timeout_ms", "timeout", "retries"];
        assert_eq!(closest("timeot_ms", known), Some("timeout_ms"));
        assert_eq!(closest("timeout-ms", known), Some("timeout_ms"));
        assert_eq!(closest("Retries", known), Some("retries"));
        assert_eq!(closest("password", known), None);
        assert_eq!(closest("x", known), None);
    }

    #[test]
    fn what_is_thrown_away_unseen_is_not_near() {
        for (word, candidate) in [
            ("tïmeout", "timeout"),
            ("größe", "große"),
            ("a-b", "a_b"),
            ("ABC", "abc"),
            ("日本語", "日本"),
        ] {
            assert_eq!(closest(word, [candidate]), Some(candidate), "{word}");
        }
        let many: Vec<String> = (0..5_000).map(|at| format!("q{at:06}")).collect();
        let candidates = many.iter().map(String::as_str).chain(["timeout"]);
        assert_eq!(closest("timeuot", candidates), Some("timeout"));
    }

    #[test]
    fn a_word_that_nobody_types_is_not_looked_up() {
        let word = "x".repeat(WORD_MAX + 1);
        assert_eq!(closest(&word, [word.as_str()]), None);
    }

    #[test]
    fn without_a_close_word_all_are_named() {
        assert_eq!(hint("zzz", &["serve", "warn"]), "known are `serve`, `warn`");
    }
}
