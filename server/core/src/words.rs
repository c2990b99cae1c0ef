//! Pieces of sentences that decisions are told in.
//!
//! Invariant: one way to write a number of things, and one to write a length of time, wherever a person reads it.

use std::fmt::Display;

/// `1 config`, `2 configs`.
pub fn count<N: Copy + Display + PartialEq + From<u8>>(number: N, one: &str) -> String {
    if number == N::from(1) {
        format!("1 {one}")
    } else {
        format!("{number} {one}s")
    }
}

/// A length of time in one unit, coarser as it grows longer: `4 min`. What is left over is cut off.
pub fn span(ms: u64) -> String {
    let seconds = ms / 1_000;
    match seconds {
        0..100 => format!("{seconds} s"),
        100..6_000 => format!("{} min", seconds / 60),
        6_000..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_grow_coarser() {
        let spans = [
            0,
            999,
            99_999,
            100_000,
            5_999_999,
            6_000_000,
            172_799_999,
            172_800_000,
        ]
        .map(span);
        assert_eq!(
            spans,
            ["0 s", "0 s", "99 s", "1 min", "99 min", "1 h", "47 h", "2 d"]
        );
    }

    #[test]
    fn one_is_said_otherwise_than_none_and_many() {
        let counts = [0_u64, 1, 2].map(|number| count(number, "config"));
        assert_eq!(counts, ["0 configs", "1 config", "2 configs"]);
    }
}
