//! What a stage needs the consent of, as a manifest gives it.
//!
//! Invariant: a manifest names who is asked, and never an address, so that whoever may commit cannot make the service
//! speak to a host of its network. What is deliberately absent: asking.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A signal that a stage must have the consent of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignalPolicy {
    /// Name, for people.
    pub name: String,
    /// Who is asked, and what.
    pub source: SignalSource,
    /// Times it must say yes while a stage bakes, at least 1.
    pub passes_min: u32,
    /// Answers in a row that are neither yes nor no and stop the rollout, at least 1.
    pub unclear_max: u32,
    /// Time between two questions, in ms.
    pub interval_ms: u64,
}

/// Who is asked, and what. Where that is, and how to get in, the server's settings say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignalSource {
    /// A query to a Prometheus.
    Prometheus {
        /// Its name in the settings.
        server: String,
        /// The query: a number.
        query: String,
        /// What the number must be.
        pass_if: Bound,
    },
    /// A webhook, which says so itself.
    Webhook {
        /// Its name in the settings.
        server: String,
    },
}

impl SignalSource {
    /// The name in the settings of who is asked.
    pub fn server(&self) -> &str {
        match self {
            Self::Prometheus { server, .. } | Self::Webhook { server } => server,
        }
    }

    /// The word of the manifest, and of the settings.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Prometheus { .. } => "prometheus",
            Self::Webhook { .. } => "webhook",
        }
    }
}

/// What a number must be, such as `< 0.01`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Bound {
    comparison: Comparison,
    limit: f64,
}

/// A limit is finite, so it equals itself.
impl Eq for Bound {}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Below,
    AtMost,
    Above,
    AtLeast,
}

impl Comparison {
    /// The longer ones first: `<` begins `<=`.
    const ALL: [Self; 4] = [Self::AtMost, Self::AtLeast, Self::Below, Self::Above];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Below => "<",
            Self::AtMost => "<=",
            Self::Above => ">",
            Self::AtLeast => ">=",
        }
    }
}

impl Bound {
    /// Whether a number is within it; what is no number never is.
    pub fn holds(self, value: f64) -> bool {
        match self.comparison {
            Comparison::Below => value < self.limit,
            Comparison::AtMost => value <= self.limit,
            Comparison::Above => value > self.limit,
            Comparison::AtLeast => value >= self.limit,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.comparison.as_str(), self.limit)
    }
}

impl FromStr for Bound {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "not a comparison with a number such as `< 0.01`";
        let text = text.trim();
        let parts = Comparison::ALL
            .into_iter()
            .find_map(|comparison| Some((comparison, text.strip_prefix(comparison.as_str())?)));
        let (comparison, number) = parts.ok_or(WRONG)?;
        let limit: f64 = number.trim().parse().map_err(|_| WRONG)?;
        limit
            .is_finite()
            .then_some(Self { comparison, limit })
            .ok_or(WRONG)
    }
}

impl TryFrom<String> for Bound {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Bound> for String {
    fn from(bound: Bound) -> Self {
        bound.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_a_comparison_with_a_number() {
        for (text, written) in [
            ("< 0.01", "< 0.01"),
            (">=99", ">= 99"),
            ("  <=  -1e3 ", "<= -1000"),
        ] {
            assert_eq!(text.parse::<Bound>().unwrap().to_string(), written);
        }
        for bad in ["", "0.01", "== 1", "< ", "< x", "< NaN", "> inf", "=> 1", "<> 1"] {
            assert!(bad.parse::<Bound>().is_err(), "{bad:?} was read");
        }
    }

    #[test]
    fn a_number_is_within_a_bound_or_not_and_what_is_no_number_never_is() {
        let holds = |bound: &str, value: f64| bound.parse::<Bound>().unwrap().holds(value);
        assert_eq!(
            (holds("< 1", 0.5), holds("< 1", 1.0), holds("<= 1", 1.0)),
            (true, false, true)
        );
        assert_eq!(
            (holds("> 1", 1.5), holds("> 1", 1.0), holds(">= 1", 1.0)),
            (true, false, true)
        );
        for bound in ["< 1", "<= 1", "> 1", ">= 1"] {
            assert!(!holds(bound, f64::NAN), "{bound}");
        }
    }
}
