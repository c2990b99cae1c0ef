//! Lengths of time, as the manifest and its rules spell them: `90s`, `10m`, `1h30m`.

/// Milliseconds of numbers with units, added up; `None` if the text is no length of time.
pub(crate) fn parse_ms(text: &str) -> Option<u64> {
    let mut total: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at_checked(digits)?;
        let letters = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at_checked(letters)?;
        let unit_ms = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(unit_ms)?)?;
        rest = tail;
    }
    (!text.is_empty()).then_some(total)
}

/// Milliseconds as a person would write them: in the largest unit that leaves no rest.
pub(crate) fn written(ms: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
    let whole = UNITS
        .into_iter()
        .find(|(unit_ms, _)| ms > 0 && ms.is_multiple_of(*unit_ms));
    whole.map_or(format!("{ms}ms"), |(unit_ms, unit)| {
        format!("{}{unit}", ms / unit_ms)
    })
}

#[cfg(test)]
mod tests {
    use super::{parse_ms, written};

    #[test]
    fn a_duration_is_written_as_it_is_read() {
        for (ms, text) in [
            (0, "0ms"),
            (600_000, "10m"),
            (5_400_000, "90m"),
            (250, "250ms"),
            (172_800_000, "2d"),
        ] {
            assert_eq!(written(ms), text);
            assert_eq!(parse_ms(text), Some(ms));
        }
    }

    #[test]
    fn a_duration_is_numbers_with_units() {
        assert_eq!(parse_ms("10m"), Some(600_000));
        assert_eq!(parse_ms("1h30m"), Some(5_400_000));
        assert_eq!(parse_ms("250ms"), Some(250));
        for bad in [
            "",
            "10",
            "m",
            "10 m",
            "-1s",
            "1x",
            "99999999999999999999s",
            "9999999999999999d",
        ] {
            assert_eq!(parse_ms(bad), None, "{bad:?} was accepted");
        }
    }
}
