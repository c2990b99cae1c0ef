//! Reads `[[rollout.NAME.freeze]]`: `from` and `until`, both a time of the week or both a date.
//!
//! Invariant: what is read ends, and the weekly ones leave time in which something may go forward. Times are UTC: a
//! zone would have hours that are there twice, or not at all.

use headwater_wire::Timestamp;

use super::super::model::Spanned;
use super::super::reader::{Reader, TIME_MAX_MS};
use crate::document::Node;
use crate::rollout::{Freeze, WEEK_MINUTES};

pub(in super::super) const KEYS: &[&str] = &["from", "until"];

/// Most freezes of a policy.
const FREEZES_MAX: usize = 256;

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// One end of a freeze.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Minutes since Monday 00:00.
    OfTheWeek(u32),
    Once(Timestamp),
}

pub(super) fn read(reader: &mut Reader<'_>, policy: &Node) -> Vec<Freeze> {
    let mut freezes = Vec::new();
    let tables = reader.list(policy, "freeze");
    if tables.len() > FREEZES_MAX
        && let Some(list) = policy.get("freeze")
    {
        let message = format!(
            "a rollout has more freezes than {FREEZES_MAX}: `{}`",
            tables.len()
        );
        reader.error(
            list.range,
            "manifest/value",
            message,
            "remove those that are over",
        );
        return freezes;
    }
    for table in tables {
        freezes.extend(read_one(reader, table));
    }
    if let Some(list) = policy.get("freeze")
        && Freeze::fill_the_week(&freezes)
    {
        let message = "the freezes leave no time of the week in which anything may be exposed";
        let hint = "leave a gap between them; to stop everything for now, `headwater pause` a rollout";
        reader.error(list.range, "manifest/value", message, hint);
    }
    freezes
}

fn read_one(reader: &mut Reader<'_>, table: &Node) -> Option<Freeze> {
    const WHAT: &str = "a freeze";
    reader.table(table, WHAT, KEYS);
    let owner = (table.range, WHAT);
    let from = reader.required_string(table, "from", owner);
    let until = reader.required_string(table, "until", owner);
    let (from, until) = (end(reader, from, "from"), end(reader, until, "until"));
    let freeze = match (from?, until?) {
        (End::OfTheWeek(from), End::OfTheWeek(until)) => weekly(from, until),
        (End::Once(from), End::Once(until)) => (from < until).then_some(Freeze::Between { from, until }),
        (End::OfTheWeek(_), End::Once(_)) | (End::Once(_), End::OfTheWeek(_)) => {
            let message = "a freeze has a time of the week and a date";
            reader.error(table.range, "manifest/value", message, "write both in one way");
            return None;
        }
    };
    match &freeze {
        None => {
            let message = "a freeze ends before it begins, or when it begins";
            reader.error(table.range, "manifest/value", message, "write a later `until`");
        }
        Some(Freeze::Between { from, until }) if until.0.abs_diff(from.0) > TIME_MAX_MS => {
            let message = "a freeze is longer than a year";
            let hint = "write a sooner `until`; to keep what is served, do not merge";
            reader.error(table.range, "manifest/value", message, hint);
        }
        Some(Freeze::Between { .. } | Freeze::Weekly { .. }) => {}
    }
    freeze
}

/// One that ends when it begins would take the whole week.
fn weekly(from: u32, until: u32) -> Option<Freeze> {
    let minutes = (until + WEEK_MINUTES - from) % WEEK_MINUTES;
    (minutes > 0).then_some(Freeze::Weekly {
        from_minute: from,
        minutes,
    })
}

fn end(reader: &mut Reader<'_>, text: Option<Spanned<String>>, key: &str) -> Option<End> {
    let text = text?;
    let end = match text.value.parse() {
        Ok(moment) => Some(End::Once(moment)),
        Err(_) => minute_of_week(&text.value).map(End::OfTheWeek),
    };
    if end.is_none() {
        let message = format!("`{key}` is no time: `{}`", text.value);
        let hint =
            "write a time of the week such as `fri 16:00`, or a date such as `2027-01-01T00:00:00Z`, in UTC";
        reader.error(text.range, "manifest/value", message, hint);
    }
    end
}

fn minute_of_week(text: &str) -> Option<u32> {
    let (day, clock) = text.split_once(' ')?;
    let days = (0..).zip(DAYS).find(|(_, name)| *name == day)?.0;
    let (hour, minute) = clock.split_once(':')?;
    let two_digits = |digits: &str, limit: u32| {
        let is_plain = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits
            .parse::<u32>()
            .ok()
            .filter(|number| is_plain && *number < limit)
    };
    Some((days * 24 + two_digits(hour, 24)?) * 60 + two_digits(minute, 60)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_the_week_is_a_day_and_a_clock() {
        assert_eq!(minute_of_week("mon 00:00"), Some(0));
        assert_eq!(minute_of_week("sun 23:59"), Some(WEEK_MINUTES - 1));
        for bad in [
            "",
            "fri",
            "friday 16:00",
            "fri 24:00",
            "fri 16:60",
            "fri 6:00",
            "fri 16:00 ",
            "fri +6:00",
        ] {
            assert_eq!(minute_of_week(bad), None, "{bad:?} was read");
        }
    }

    #[test]
    fn a_week_goes_on_after_sunday() {
        let friday_to_monday = weekly(
            minute_of_week("fri 16:00").unwrap(),
            minute_of_week("mon 08:00").unwrap(),
        );
        let expected = Freeze::Weekly {
            from_minute: (4 * 24 + 16) * 60,
            minutes: (2 * 24 + 16) * 60,
        };
        assert_eq!(friday_to_monday, Some(expected));
        assert_eq!(weekly(5, 5), None);
    }
}
