//! Points in time that repeat, in the part of the language that cron of every system reads alike.
//!
//! Invariant: what is accepted means the same to crontab(5) and to a Kubernetes `CronJob`. So Sunday is 0 and not 7,
//! a step needs `*` or a range in front, and there are five fields: no seconds, no `@every`, no `@reboot`, no `L`, `W`,
//! `#` or `?`.

use super::own::decimal;

const WORDS: &[&str] = &[
    "@yearly",
    "@annually",
    "@monthly",
    "@weekly",
    "@daily",
    "@midnight",
    "@hourly",
];

const MONTHS: &[&str] = &[
    "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
];

const WEEKDAYS: &[&str] = &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// What one of the five fields holds.
struct Field {
    min: u32,
    max: u32,
    /// Names of the values, from `min` on.
    names: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field {
        min: 0,
        max: 59,
        names: &[],
    },
    Field {
        min: 0,
        max: 23,
        names: &[],
    },
    Field {
        min: 1,
        max: 31,
        names: &[],
    },
    Field {
        min: 1,
        max: 12,
        names: MONTHS,
    },
    Field {
        min: 0,
        max: 6,
        names: WEEKDAYS,
    },
];

pub(super) fn is_cron(text: &str) -> bool {
    if WORDS.contains(&text) {
        return true;
    }
    let mut parts = text.split([' ', '\t']).filter(|part| !part.is_empty());
    let all_fit = FIELDS.iter().all(|field| {
        parts
            .next()
            .is_some_and(|part| part.split(',').all(|item| field.accepts(item)))
    });
    let is_trimmed = !text.starts_with([' ', '\t']) && !text.ends_with([' ', '\t']);
    all_fit && is_trimmed && parts.next().is_none()
}

impl Field {
    /// `*`, `5`, `1-5`, `*/2` or `1-5/2`.
    fn accepts(&self, item: &str) -> bool {
        let (range, step) = match item.split_once('/') {
            Some((range, step)) => (range, Some(step)),
            None => (item, None),
        };
        let is_step =
            step.is_none_or(|step| decimal(step).is_some_and(|step| (1..=self.max).contains(&step)));
        let is_range = range == "*"
            || range
                .split_once('-')
                .is_some_and(|(from, to)| self.is_range(from, to));
        is_step && (is_range || (step.is_none() && self.value(range).is_some()))
    }

    fn is_range(&self, from: &str, to: &str) -> bool {
        matches!((self.value(from), self.value(to)), (Some(from), Some(to)) if from <= to)
    }

    fn value(&self, text: &str) -> Option<u32> {
        let named = self.names.iter().position(|name| name.eq_ignore_ascii_case(text));
        let value = match named {
            Some(index) => self.min + u32::try_from(index).ok()?,
            None => decimal(text)?,
        };
        (self.min..=self.max).contains(&value).then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::is_cron;

    #[test]
    fn five_fields_of_what_everybody_reads_alike() {
        for good in [
            "* * * * *",
            "*/15 6-18 * * MON-FRI",
            "0 0 1,15 * *",
            "59 23 31 12 6",
            "0\t0  1 jan sun",
            "1-5/2 * * * *",
            "@daily",
        ] {
            assert!(is_cron(good), "refused {good:?}");
        }
        for bad in [
            "",
            "* * * *",
            "* * * * * *",
            " * * * * *",
            "* * * * * ",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * 32 * *",
            "* * * 0 *",
            "* * * 13 *",
            "* * * * 7",
            "*/0 * * * *",
            "*/60 * * * *",
            "5/2 * * * *",
            "5-1 * * * *",
            "1- * * * *",
            "-1 * * * *",
            ", * * * *",
            "01 * * * *",
            "? * * * *",
            "* * L * *",
            "* * * MON *",
            "@every 1h",
            "@reboot",
            "@DAILY",
            "*/ * * * *",
            "1/2/3 * * * *",
        ] {
            assert!(!is_cron(bad), "accepted {bad:?}");
        }
    }

    proptest! {
        #[test]
        fn values_inside_their_range_are_accepted_and_those_outside_are_not(
            values in [0_u32..70, 0_u32..30, 0_u32..40, 0_u32..15, 0_u32..9]
        ) {
            let [minute, hour, day, month, weekday] = values;
            let inside = minute <= 59 && hour <= 23 && (1..=31).contains(&day) && (1..=12).contains(&month) && weekday <= 6;
            prop_assert_eq!(is_cron(&values.map(|value| value.to_string()).join(" ")), inside);
        }
    }
}
