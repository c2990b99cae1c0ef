//! Pieces of text that several commands show: ages, columns, values, and nothing that a terminal would obey.

use headwater_core::span;
use headwater_wire::{Origin, Timestamp};
use serde_json::Value;

use super::out::{Paint, Tone};

/// A text from outside that neither moves the cursor nor hides what it is; a commit message, a value or a path.
pub(crate) fn clean(text: &str) -> String {
    headwater_validators::printable(text)
}

/// At most `limit` characters, the last of which says that there was more.
pub(crate) fn clip(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    text.chars().take(limit.saturating_sub(1)).chain(['…']).collect()
}

/// How long ago `then` was; a date where nobody would count any more.
pub(crate) fn age(now: Timestamp, then: Timestamp) -> String {
    // Two clocks never agree to the second.
    const SKEW_MS: i64 = 5_000;
    const DATED_FROM_MS: i64 = 60 * 24 * 60 * 60 * 1_000;
    let ms = now.ms_since(then);
    match u64::try_from(ms) {
        Ok(0..1_000) => "just now".to_owned(),
        Ok(ms_ago) if ms < DATED_FROM_MS => format!("{} ago", span(ms_ago)),
        Err(_) if ms >= -SKEW_MS => "just now".to_owned(),
        Ok(_) | Err(_) => then.to_string().split('T').next().unwrap_or_default().to_owned(),
    }
}

/// The time of day, in UTC.
pub(crate) fn time_of_day(at: Timestamp) -> String {
    let text = at.to_string();
    let time = text.split(['T', '.']).nth(1).unwrap_or_default();
    format!("{time}Z")
}

/// A value on one line, as JSON.
pub(crate) fn value(value: &Value) -> String {
    clean(&value.to_string())
}

/// `file:line`.
pub(crate) fn place(origin: &Origin) -> String {
    format!("{}:{}", clean(&origin.path), origin.line)
}

/// Sentences in lines of at most `width` characters; a word that is longer has a line of its own.
pub(crate) fn filled(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(word.to_owned()),
        }
    }
    lines
}

/// One field of a line, with its meaning.
pub(crate) type Cell = (Tone, String);

/// Lines whose columns are as wide as their widest field, two spaces apart; the last column is not padded.
pub(crate) fn columns(rows: &[Vec<Cell>], paint: Paint) -> Vec<String> {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        for (index, (_, text)) in row.iter().enumerate().take(row.len().saturating_sub(1)) {
            let width = text.chars().count();
            match widths.get_mut(index) {
                Some(widest) => *widest = (*widest).max(width),
                None => widths.push(width),
            }
        }
    }
    let line = |row: &Vec<Cell>| {
        let fields = row.iter().enumerate().map(|(index, (tone, text))| {
            let width = if index + 1 == row.len() {
                0
            } else {
                widths.get(index).copied().unwrap_or(0)
            };
            let padding = " ".repeat(width.saturating_sub(text.chars().count()));
            format!("{}{padding}", paint.apply(*tone, text))
        });
        fields.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_grow_coarser() {
        let now = Timestamp::from_seconds(1_800_000_000);
        let ages: Vec<String> = [
            -60, -2, 0, 1, 99, 100, 5_999, 6_000, 172_799, 172_800, 5_183_999, 5_184_000,
        ]
        .map(|seconds| age(now, Timestamp(now.0 - seconds * 1_000)))
        .into();
        assert_eq!(
            ages,
            [
                "2027-01-15",
                "just now",
                "just now",
                "1 s ago",
                "99 s ago",
                "1 min ago",
                "99 min ago",
                "1 h ago",
                "47 h ago",
                "2 d ago",
                "59 d ago",
                "2026-11-16"
            ]
        );
    }

    #[test]
    fn sentences_are_filled_into_lines() {
        assert_eq!(
            filled("one two  three fours\nü", 7),
            ["one two", "three", "fours ü"]
        );
        assert_eq!(filled("unbreakable", 3), ["unbreakable"]);
    }

    #[test]
    fn columns_align_by_characters_and_not_by_bytes_or_colours() {
        let row = |a: &str, b: &str| vec![(Tone::Good, a.to_owned()), (Tone::Normal, b.to_owned())];
        assert_eq!(
            columns(&[row("ü", "x"), row("abc", "y")], Paint::Plain),
            ["ü    x", "abc  y"]
        );
        assert_eq!(
            columns(&[row("ü", "x"), row("abc", "y")], Paint::Ansi)[0],
            "\u{1b}[32mü\u{1b}[0m    x"
        );
    }

    #[test]
    fn the_time_of_day_is_short() {
        assert_eq!(time_of_day(Timestamp(1_764_113_511_042)), "23:31:51Z");
    }
}
