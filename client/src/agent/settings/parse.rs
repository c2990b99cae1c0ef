//! The small languages of flags.

use std::time::Duration;

use headwater_wire::InstanceId;
use tracing::Level;

use super::LogFormat;

/// Longest time that a flag may say, which is far above what makes sense and below what overflows.
const DURATION_MAX: Duration = Duration::from_hours(24);

/// `500ms`, `10s`, `5m`, `1h`.
pub(super) fn duration(text: &str) -> Result<Duration, &'static str> {
    const FORM: &str = "not a time such as 500ms, 10s or 5m";
    let split = text.find(|c: char| !c.is_ascii_digit()).ok_or(FORM)?;
    let (number, unit) = text.split_at(split);
    let number: u64 = number.parse().map_err(|_| FORM)?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(FORM),
    };
    let duration = Duration::from_millis(number.saturating_mul(millis));
    if duration > DURATION_MAX {
        Err("longer than a day")
    } else {
        Ok(duration)
    }
}

/// Octal, as `chmod` takes it; nothing executable, and no bits that change whom a program runs as.
pub(super) fn mode(text: &str) -> Result<u32, &'static str> {
    match u32::from_str_radix(text.trim_start_matches("0o"), 8) {
        Ok(mode) if mode & !0o666 != 0 => Err("a config file is read and written, not run"),
        Ok(mode) if mode & 0o400 == 0 => Err("its owner could not read it"),
        Ok(mode) => Ok(mode),
        Err(_) => Err("not an octal number"),
    }
}

/// The first part of a host name, with `-` for what an id cannot have.
pub(super) fn instance_of(host_name: &str) -> Option<InstanceId> {
    let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let text: String = host_name
        .trim()
        .chars()
        .take(128)
        .map(|c| if valid(c) { c } else { '-' })
        .collect();
    text.parse().ok()
}

/// Whether a text may begin a variable's name.
pub(super) fn is_env_name(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !text.starts_with(|c: char| c.is_ascii_digit())
}

pub(super) fn log_format(text: &str) -> Result<LogFormat, &'static str> {
    match text {
        "auto" => Ok(LogFormat::Auto),
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("not one of auto, text, json"),
    }
}

pub(super) fn level(text: &str) -> Result<Level, &'static str> {
    match text {
        "error" => Ok(Level::ERROR),
        "warn" => Ok(Level::WARN),
        "info" => Ok(Level::INFO),
        "debug" => Ok(Level::DEBUG),
        _ => Err("not one of error, warn, info, debug"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(duration("5m"), Ok(Duration::from_mins(5)));
        for bad in [
            "",
            "10",
            "s",
            "-1s",
            "1.5s",
            "10 s",
            "1d",
            "99999999999999999999s",
            "25h",
        ] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_mode_is_octal_and_nothing_is_executable() {
        assert_eq!(mode("0640"), Ok(0o640));
        assert_eq!(mode("600"), Ok(0o600));
        for bad in ["", "rw", "0755", "4644", "0044", "888"] {
            assert!(mode(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_host_name_becomes_a_valid_instance() {
        let id = |text: &str| instance_of(text).map(|id| id.to_string());
        assert_eq!(id("web-1.example.org").as_deref(), Some("web-1.example.org"));
        assert_eq!(id("büro pc\n").as_deref(), Some("b-ro-pc"));
        assert_eq!(id(""), None);
        assert_eq!(id(&"x".repeat(300)).map(|id| id.len()), Some(128));
    }
}
