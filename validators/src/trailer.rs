//! `Headwater-Allow: <rule> <reason>`: the words by which a commit takes a step that a rule refuses.
//!
//! Invariant: only a line that says so in full allows anything; a reason is part of it. What is deliberately absent:
//! whether the rule lets itself be overridden, which the rule decides.

use serde::{Deserialize, Serialize};

/// The trailer's name.
const KEY: &str = "headwater-allow";

/// Most allowances that are taken from one message.
const ALLOWANCES_MAX: usize = 100;

/// One rule that somebody allows a commit to break.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allowance {
    /// Id of the rule.
    pub rule: String,
    /// Why; without a reason nothing is allowed.
    pub reason: String,
}

/// What a commit message allows. The line may stand anywhere below the subject: forges that squash a branch put the
/// messages of its commits, trailers and all, into the middle of theirs.
pub fn allowances(message: &str) -> Vec<Allowance> {
    message
        .lines()
        .skip(1)
        .filter_map(allowance)
        .take(ALLOWANCES_MAX)
        .collect()
}

fn allowance(line: &str) -> Option<Allowance> {
    let (key, value) = line.split_once(':')?;
    if !key.eq_ignore_ascii_case(KEY) {
        return None;
    }
    let value = value.trim();
    let (rule, reason) = value.split_once(char::is_whitespace).unwrap_or((value, ""));
    (!rule.is_empty()).then(|| Allowance {
        rule: rule.to_owned(),
        reason: reason.trim().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trailer_names_a_rule_and_a_reason() {
        let message = "Grow\n\nHeadwater-Allow: pool-step traffic doubled twice\nheadwater-allow:other  x \n\
                       Signed-off-by: a\n";
        let found: Vec<_> = allowances(message)
            .into_iter()
            .map(|allowance| (allowance.rule, allowance.reason))
            .collect();
        let expected = [("pool-step", "traffic doubled twice"), ("other", "x")];
        assert_eq!(
            found,
            expected.map(|(rule, reason)| (rule.to_owned(), reason.to_owned()))
        );
    }

    #[test]
    fn the_first_hundred_of_a_message_count() {
        let lines: Vec<String> = (0..101).map(|at| format!("Headwater-Allow: r{at} why")).collect();
        let lines = lines.join("\n");
        let found = allowances(&format!("s\n\ntext\n{lines}\n\nmore text"));
        assert_eq!(found.len(), ALLOWANCES_MAX);
        assert_eq!(found.last().map(|one| one.rule.as_str()), Some("r99"));
    }

    #[test]
    fn what_only_looks_like_one_allows_nothing() {
        for message in [
            "Headwater-Allow: pool-step in the subject",
            "s\n\n> Headwater-Allow: quoted reason",
            "s\n\n  Headwater-Allow: indented reason",
            "s\n\nHeadwater-Allow:",
            "s\n\nHeadwater-Allow pool-step reason",
        ] {
            assert_eq!(allowances(message), [], "{message:?}");
        }
        assert_eq!(allowances("s\n\nHeadwater-Allow: pool-step")[0].reason, "");
    }
}
