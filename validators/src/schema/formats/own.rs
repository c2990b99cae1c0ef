//! What our own formats accept; docs/manifest.md says the same in a table.
//!
//! Invariant: total, and linear in the text. Where a format is somebody else's (Go, semantic versions, globs of the manifest), it
//! accepts what they accept and nothing more.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::cron;

/// One format without parameters.
pub(super) struct Own {
    pub(super) name: &'static str,
    pub(super) accepts: fn(&str) -> bool,
    pub(super) hint: &'static str,
}

/// In the order of their names.
pub(super) const OWN: &[Own] = &[
    Own {
        name: "byte-size",
        accepts: |text| byte_size(text).is_some(),
        hint: "write a number with a unit, such as `512MiB`, `10 GB` or `64Ki`",
    },
    Own {
        name: "cidr",
        accepts: is_cidr,
        hint: "write an address and the length of its prefix, such as `10.0.0.0/8` or `2001:db8::/32`",
    },
    Own {
        name: "cron",
        accepts: cron::is_cron,
        hint: "write minute, hour, day, month and weekday (0 to 6), such as `*/15 6-18 * * MON-FRI`, or `@daily`",
    },
    Own {
        name: "glob",
        accepts: is_glob,
        hint: "write a glob such as `services/*/base.toml` or `docs/**`",
    },
    Own {
        name: "go-duration",
        accepts: |text| go_duration_ns(text).is_some(),
        hint: "write numbers with units, such as `300ms`, `90s` or `1h30m`",
    },
    Own {
        name: "host-port",
        accepts: is_host_port,
        hint: "write a host and a port, such as `db.example.com:5432` or `[::1]:80`",
    },
    Own {
        name: "semver",
        accepts: |text| semver::Version::parse(text).is_ok(),
        hint: "write three numbers without `v`, such as `1.4.0` or `2.0.0-rc.1`",
    },
];

/// Digits behind the point that are looked at; more say nothing in any unit.
const FRACTION_DIGITS_MAX: usize = 18;

/// Bytes: a number and a unit, which must come out as a whole number that a config can hold.
pub(super) fn byte_size(text: &str) -> Option<i64> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, tail) = text.split_at_checked(end)?;
    let unit = match tail.strip_prefix(' ') {
        Some("") => return None,
        Some(unit) => unit,
        None => tail,
    };
    let (whole, fraction) = match number.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (number, None),
    };
    let unit_bytes = unit_bytes(unit)?;
    let mut bytes = whole
        .parse::<u64>()
        .ok()
        .map(u128::from)?
        .checked_mul(unit_bytes)?;
    if let Some(fraction) = fraction {
        let digits = u32::try_from(fraction.len())
            .ok()
            .filter(|_| fraction.len() <= FRACTION_DIGITS_MAX)?;
        let part = fraction
            .parse::<u64>()
            .ok()
            .map(u128::from)?
            .checked_mul(unit_bytes)?;
        let scale = 10_u128.pow(digits);
        if part % scale != 0 {
            return None;
        }
        bytes = bytes.checked_add(part / scale)?;
    }
    i64::try_from(bytes).ok()
}

/// `k`, `K`, `M` … are powers of 1000, `Ki`, `Mi` … of 1024; a `B` behind them changes nothing.
fn unit_bytes(unit: &str) -> Option<u128> {
    let prefix = unit.strip_suffix('B').unwrap_or(unit);
    let (letter, base) = match prefix.strip_suffix('i') {
        Some("k") => return None,
        Some(letter) => (letter, 1_024_u128),
        None => (prefix, 1_000),
    };
    let power = match letter {
        "" if base == 1_000 => 0,
        "k" | "K" => 1,
        "M" => 2,
        "G" => 3,
        "T" => 4,
        "P" => 5,
        "E" => 6,
        _ => return None,
    };
    Some(base.pow(power))
}

/// Bits of the host may be set, as in the address of an interface with its network.
fn is_cidr(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else {
        return false;
    };
    let longest = match address.parse::<IpAddr>() {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    decimal(length).is_some_and(|length| length <= longest)
}

/// What `ignore` of the manifest accepts.
fn is_glob(text: &str) -> bool {
    crate::pattern::path_glob(text).is_ok()
}

/// A port that can be connected to, behind a name or an address; an IPv6 address is in brackets.
fn is_host_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let is_host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => host.parse::<Ipv4Addr>().is_ok() || is_host_name(host),
    };
    is_host && decimal(port).is_some_and(|port| (1..=65_535).contains(&port))
}

/// RFC 1123; a last label of digits alone would be a misspelt IPv4 address.
fn is_host_name(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let last = name.rsplit('.').next().unwrap_or_default();
    name.len() <= 253 && name.split('.').all(is_label) && !last.bytes().all(|byte| byte.is_ascii_digit())
}

/// A number as a person writes it: digits, no sign, no zero in front.
pub(super) fn decimal(text: &str) -> Option<u32> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    is_plain.then(|| text.parse().ok()).flatten()
}

/// Nanoseconds of a length of time as Go's `time.ParseDuration` reads it.
pub(super) fn go_duration_ns(text: &str) -> Option<i64> {
    let is_negative = text.starts_with('-');
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total = 0_u128;
    while !rest.is_empty() {
        let (ns, tail) = go_step(rest)?;
        total = total.checked_add(ns)?;
        rest = tail;
    }
    let signed = i128::try_from(total).ok()?;
    i64::try_from(if is_negative { -signed } else { signed }).ok()
}

/// One number with its unit, and what follows.
fn go_step(text: &str) -> Option<(u128, &str)> {
    let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (whole, tail) = text.split_at_checked(digits(text))?;
    let (fraction, tail) = match tail.strip_prefix('.') {
        Some(tail) => tail.split_at_checked(digits(tail))?,
        None => ("", tail),
    };
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let end = tail
        .find(|c: char| c.is_ascii_digit() || c == '.')
        .unwrap_or(tail.len());
    let (unit, tail) = tail.split_at_checked(end)?;
    let unit_ns: u128 = match unit {
        "ns" => 1,
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    let whole = if whole.is_empty() {
        0
    } else {
        whole.parse::<u64>().ok()?
    };
    let fraction = fraction.get(..FRACTION_DIGITS_MAX).unwrap_or(fraction);
    let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let part = if fraction.is_empty() {
        0
    } else {
        fraction.parse::<u64>().ok()?
    };
    let ns = u128::from(whole) * unit_ns + u128::from(part) * unit_ns / scale;
    Some((ns, tail))
}

/// A scheme and something behind it, without white space.
pub(super) fn is_secret_ref(text: &str, schemes: &[String]) -> bool {
    let rest = schemes
        .iter()
        .find_map(|scheme| text.strip_prefix(scheme.as_str()));
    let is_plain = |c: char| !c.is_whitespace() && !c.is_control();
    rest.is_some_and(|rest| !rest.is_empty() && rest.chars().all(is_plain))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::SECRET_SCHEMES;
    use super::*;

    fn accepts(format: &str, text: &str) -> bool {
        if format == "secret-ref" {
            let schemes: Vec<String> = SECRET_SCHEMES.iter().map(|&scheme| scheme.to_owned()).collect();
            return is_secret_ref(text, &schemes);
        }
        (OWN.iter().find(|own| own.name == format).unwrap().accepts)(text)
    }

    /// Name, what is accepted, what is refused.
    const TABLE: &[(&str, &[&str], &[&str])] = &[
        (
            "byte-size",
            &[
                "0",
                "1024",
                "1B",
                "512MiB",
                "10 GB",
                "64Ki",
                "1.5GiB",
                "1k",
                "1KB",
                "0.001kB",
                "7EiB",
                "9223372036854775807",
            ],
            &[
                "",
                " ",
                "B",
                "1 ",
                "1  MB",
                "-1",
                "+1",
                "1b",
                "1mb",
                "1kiB",
                "1i",
                "1iB",
                "1.5",
                "1.5B",
                "1.",
                ".5kB",
                "1.0005kB",
                "1e3",
                "8EiB",
                "9223372036854775808",
                "1.0000000000000000000kB",
                "1MBB",
                "1..5kB",
                "1.2.3kB",
            ],
        ),
        (
            "cidr",
            &[
                "10.0.0.0/8",
                "10.1.2.3/16",
                "0.0.0.0/0",
                "1.2.3.4/32",
                "2001:db8::/32",
                "::/0",
                "::1/128",
            ],
            &[
                "",
                "10.0.0.0",
                "10.0.0.0/",
                "/8",
                "10.0.0.0/33",
                "::1/129",
                "10.0.0.0/08",
                "10.0.0.0/+8",
                "10.0.0/8",
                "010.0.0.0/8",
                "a/8",
                "10.0.0.0/8/8",
                "fe80::1%eth0/64",
                "10.0.0.0/99999999999",
            ],
        ),
        (
            "glob",
            &[
                "*",
                "a/**/b.{toml,json}",
                "[a-z]?",
                "services/*/base.toml",
                "a\\b",
                "",
            ],
            &["[", "a{b", "a}b", "[z-a]"],
        ),
        (
            "go-duration",
            &[
                "0",
                "+0",
                "300ms",
                "1h30m",
                "-1.5h",
                ".5s",
                "1.s",
                "1us",
                "1µs",
                "1μs",
                "1h1h",
                "9223372036854775807ns",
                "-9223372036854775808ns",
            ],
            &[
                "",
                "-",
                "+",
                "10",
                "1d",
                ".s",
                ".",
                "1 s",
                "s",
                "1h-1m",
                "1S",
                "PT1H",
                "9223372036854775808ns",
                "2562048h",
                "99999999999999999999s",
            ],
        ),
        (
            "host-port",
            &[
                "a:1",
                "db.example.com:5432",
                "10.0.0.1:80",
                "[::1]:65535",
                "a-b.c1:80",
                "1a:80",
            ],
            &[
                "",
                "a",
                ":80",
                "a:",
                "a:0",
                "a:65536",
                "a:080",
                "a:+80",
                "::1:80",
                "[10.0.0.1]:80",
                "[::1:80",
                "a..b:80",
                "-a:80",
                "a-:80",
                "a_b:80",
                "1.2.3:80",
                "256.1.1.1:80",
                "a.:80",
                "http://a:80",
                "a b:80",
            ],
        ),
        (
            "semver",
            &["0.0.0", "1.4.0", "2.0.0-rc.1+build.5"],
            &[
                "", "1", "1.2", "v1.2.3", "01.2.3", "1.2.3-", "1.2.3-01", "1.2.3.4", " 1.2.3",
            ],
        ),
        (
            "secret-ref",
            &[
                "vault:team/app#password",
                "env:PASSWORD",
                "file:/run/secrets/x",
                "aws-sm:arn:aws:x",
            ],
            &[
                "", "vault:", "vault", "VAULT:x", "http:x", "env:A B", "env:A\n", " env:A",
            ],
        ),
    ];

    #[test]
    fn each_format_accepts_what_the_manual_says_and_no_more() {
        for (format, good, bad) in TABLE {
            for text in *good {
                assert!(accepts(format, text), "`{format}` refused {text:?}");
            }
            for text in *bad {
                assert!(!accepts(format, text), "`{format}` accepted {text:?}");
            }
        }
    }

    #[test]
    fn labels_and_names_of_hosts_have_a_longest() {
        let label = "a".repeat(63);
        let longest = [label.as_str(); 4].join(".");
        assert!(accepts("host-port", &format!("{label}:1")));
        assert!(!accepts("host-port", &format!("a{label}:1")));
        assert!(accepts(
            "host-port",
            &format!("{}:1", longest.get(..253).unwrap())
        ));
        assert!(!accepts(
            "host-port",
            &format!("{}:1", longest.get(..254).unwrap())
        ));
    }

    #[test]
    fn units_mean_what_they_say() {
        assert_eq!(byte_size("1.5KiB"), Some(1_536));
        assert_eq!(byte_size("1.5 kB"), Some(1_500));
        assert_eq!(byte_size("2EB"), Some(2_000_000_000_000_000_000));
        for (at, unit) in ["", "K", "M", "G", "T", "P", "E"].into_iter().enumerate() {
            let power = u32::try_from(at).unwrap();
            assert_eq!(byte_size(&format!("1{unit}")), Some(1_000_i64.pow(power)));
            if at > 0 {
                assert_eq!(byte_size(&format!("1{unit}iB")), Some(1_024_i64.pow(power)));
            }
        }
        assert_eq!(go_duration_ns("-1.5h"), Some(-5_400_000_000_000));
        assert_eq!(go_duration_ns("1h2m3s4ms5us6ns"), Some(3_723_004_005_006));
    }

    proptest! {
        /// The manifest knows days and Go does not; apart from them whatever one release policy may say is a duration.
        #[test]
        fn a_duration_of_the_manifest_without_days_is_one_of_go(
            parts in prop::collection::vec((0_u64..1_000, prop::sample::select(vec!["ms", "s", "m", "h"])), 1..5)
        ) {
            let text = parts.iter().fold(String::new(), |text, (number, unit)| text + &number.to_string() + unit);
            let ms = crate::duration::parse_ms(&text).unwrap();
            prop_assert_eq!(go_duration_ns(&text), i64::try_from(ms).ok().map(|ms| ms * 1_000_000));
        }

        #[test]
        fn any_text_has_an_answer(text in any::<String>()) {
            for own in OWN {
                let _answer = (own.accepts)(&text);
            }
        }

        /// What is accepted says as many bytes as it is written to say.
        #[test]
        fn a_whole_number_is_that_many_units(number in 0_i64..8, power in 1_u32..7) {
            let letter = ["K", "M", "G", "T", "P", "E"][power as usize - 1];
            prop_assert_eq!(byte_size(&format!("{number}{letter}i")), number.checked_mul(1_024_i64.pow(power)));
        }

        #[test]
        fn an_address_with_a_prefix_is_a_network(address in any::<IpAddr>(), length in 0_u32..140) {
            let longest = if address.is_ipv4() { 32 } else { 128 };
            prop_assert_eq!(is_cidr(&format!("{address}/{length}")), length <= longest);
        }

        #[test]
        fn whatever_the_system_reads_as_an_address_with_a_port_is_one(address in any::<std::net::SocketAddr>()) {
            let has_scope = matches!(address, std::net::SocketAddr::V6(address) if address.scope_id() != 0);
            prop_assume!(!has_scope);
            prop_assert_eq!(is_host_port(&address.to_string()), address.port() != 0);
        }
    }
}
