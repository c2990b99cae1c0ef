//! Replaces what differs from run to run, so that a snapshot shows the sentence and nothing else.

/// Puts `[1st]`, `[2nd]`, … for hashes in the order they appear, and words for times, request ids and ports.
pub fn scrub(text: &str) -> String {
    let mut hashes: Vec<String> = Vec::new();
    let mut out = String::new();
    let mut word = String::new();
    for c in text.chars().chain(std::iter::once('\n')) {
        if c.is_ascii_alphanumeric() || matches!(c, '-' | ':') || (c == '.' && !word.is_empty()) {
            word.push(c);
            continue;
        }
        out += &scrub_word(&word, &mut hashes);
        word.clear();
        out.push(c);
    }
    out.pop();
    out
}

fn scrub_word(word: &str, hashes: &mut Vec<String>) -> String {
    let hex = |text: &str| {
        text.chars()
            .all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c))
    };
    if let Some(digest) = word
        .strip_prefix("sha256:")
        .filter(|text| text.len() == 64 && hex(text))
    {
        return format!("sha256:[{} digits]", digest.len());
    }
    let (bare, ending) = word.strip_suffix('.').map_or((word, ""), |bare| (bare, "."));
    if hex(bare) && matches!(bare.len(), 10 | 40 | 64) {
        let same = |known: &String| known.starts_with(bare) || bare.starts_with(known.as_str());
        let at = hashes.iter().position(same).unwrap_or_else(|| {
            hashes.push(bare.to_owned());
            hashes.len() - 1
        });
        return format!("[commit {}]{ending}", at + 1);
    }
    let mut parts = bare.split('-');
    let request_id = |part: Option<&str>| part.is_some_and(|part| part.len() == 8 && hex(part));
    if request_id(parts.next()) && parts.next().is_some_and(|part| part.parse::<u64>().is_ok()) {
        return format!("[request]{ending}");
    }
    let is_time = bare.len() >= 20 && bare.ends_with('Z') && bare.contains('T') && bare.contains(':');
    if is_time {
        return format!("[time]{ending}");
    }
    match bare.split_once(':') {
        Some(("127.0.0.1", port)) if port.parse::<u16>().is_ok() => format!("127.0.0.1:[port]{ending}"),
        _ => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_run_to_run_is_named_by_its_kind() {
        let hash = "0123456789abcdef0123456789abcdef01234567";
        let text = format!(
            "{hash} is 0123456789. at 127.0.0.1:4711, `00000000ff`, 1a2b3c4d-7, 2026-01-02T03:04:05.678Z"
        );
        assert_eq!(
            scrub(&text),
            "[commit 1] is [commit 1]. at 127.0.0.1:[port], `[commit 2]`, [request], [time]"
        );
    }
}
