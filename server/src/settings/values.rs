//! One value of the settings, as a person writes it.
//!
//! Invariant: what cannot be read says what was expected, as the end of a sentence that names the key.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use headwater_validators::RolloutKind;

use super::keys::path;

/// A file of which a program is told that is started in another directory.
pub(super) fn told_file(text: &str) -> Result<PathBuf, String> {
    std::path::absolute(path(text)?).map_err(|error| error.to_string())
}

/// An address to listen on.
pub(super) fn socket_address(text: &str, example: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| format!("expected an address and port such as `{example}`"))
}

pub(super) fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        other => Err(format!("expected `true` or `false`, not `{other}`")),
    }
}

pub(super) fn number<N: std::str::FromStr>(text: &str) -> Result<N, String> {
    text.parse()
        .map_err(|_| format!("expected a whole number, not `{text}`"))
}

pub(super) fn rollout(text: &str) -> Result<RolloutKind, String> {
    let kinds = [RolloutKind::Immediate, RolloutKind::Staged, RolloutKind::TwoPhase];
    let found = kinds.into_iter().find(|kind| kind.as_str() == text);
    found.ok_or_else(|| format!("expected `immediate`, `staged` or `two-phase`, not `{text}`"))
}

pub(super) fn duration_ms(text: &str) -> Result<u64, String> {
    u64::try_from(duration(text)?.as_millis()).map_err(|_| format!("expected a shorter time, not `{text}`"))
}

pub(super) fn percent(text: &str) -> Result<u8, String> {
    let percent = number(text).ok().filter(|percent| (1..=100).contains(percent));
    percent.ok_or_else(|| format!("expected a number from 1 to 100, not `{text}`"))
}

pub(super) fn log_filter(text: &str) -> Result<String, String> {
    tracing_subscriber::EnvFilter::try_new(text)
        .map(|_| text.to_owned())
        .map_err(|_| format!("expected a level such as `info`, not `{text}`"))
}

/// A poll interval below a second would only load the upstream; webhooks are the way to be quicker.
pub(super) fn poll_interval(text: &str) -> Result<Duration, String> {
    let interval = duration(text)?;
    if interval < Duration::from_secs(1) || interval > Duration::from_hours(24) {
        return Err(format!("expected between `1s` and `24h`, not `{text}`"));
    }
    Ok(interval)
}

/// Reads `500ms`, `30s`, `5m`, `2h`, or a bare number of seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let expected = || format!("expected a duration such as `30s`, `500ms` or `5m`, not `{text}`");
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| expected())?;
    let ms = match unit.trim() {
        "ms" => Some(number),
        "" | "s" => number.checked_mul(1_000),
        "m" => number.checked_mul(60_000),
        "h" => number.checked_mul(3_600_000),
        "d" => number.checked_mul(86_400_000),
        _ => None,
    };
    ms.map(Duration::from_millis).ok_or_else(expected)
}

/// One name: `name`, `.name` for it and all below it, or `*` for all.
///
/// # Errors
/// It is no name, or an address with more than a name in it.
pub(super) fn host_name(text: &str) -> Result<String, String> {
    let text = text.trim();
    let name = text.strip_prefix('.').unwrap_or(text);
    let is_name = !name.is_empty()
        && name.split('.').all(|label| !label.is_empty())
        && name
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || "-._".contains(letter));
    if is_name || text == "*" {
        return Ok(text.to_ascii_lowercase());
    }
    Err(format!(
        "expected names such as `config.example.test`, without scheme and port, not `{text}`"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_a_unit_or_is_seconds() {
        for (text, ms) in [
            ("500ms", 500),
            ("30s", 30_000),
            ("30", 30_000),
            ("5m", 300_000),
            ("2h", 7_200_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)));
        }
        for bad in [
            "",
            "s",
            "-1s",
            "1.5s",
            "5 weeks",
            "99999999999999999999s",
            "18446744073709551615h",
        ] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_poll_interval_goes_down_to_one_second() {
        assert!(poll_interval("1s").is_ok());
        assert!(poll_interval("999ms").is_err());
    }

    #[test]
    fn a_name_stands_alone_and_one_mistake_is_told() {
        for name in [
            "headwater",
            "Config.Example.test",
            ".svc.cluster.local",
            "a_b",
            "*",
        ] {
            assert_eq!(host_name(name), Ok(name.to_ascii_lowercase()));
        }
        for wrong in ["", ".", "https://a", "a:7171", "*.a", "a..b", "a b", "ä.example"] {
            assert!(host_name(wrong).is_err(), "{wrong}");
        }
    }
}
