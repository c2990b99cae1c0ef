//! "Did you mean": the known word that a misspelt one is closest to.

/// The candidate within a third of the word's length in edits; of equally close ones the first. Case and `-`/`_` are
/// free, because they are what people mix up.
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    let target = plain(word);
    let allowed = (target.chars().count() / 3).clamp(1, 4);
    let distance = |candidate: &str| strsim::damerau_levenshtein(&target, &plain(candidate));
    let near = |candidate: &'a str| {
        // The distance is at least the difference of the lengths, and quadratic to compute.
        let skewed = candidate.len().abs_diff(word.len()) > allowed * 4;
        let distance = if skewed { usize::MAX } else { distance(candidate) };
        (distance <= allowed).then_some((distance, candidate))
    };
    candidates
        .into_iter()
        .filter_map(near)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
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
    fn without_a_close_word_all_are_named() {
        assert_eq!(hint("zzz", &["serve", "warn"]), "known are `serve`, `warn`");
    }
}
