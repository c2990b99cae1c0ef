//! What a token is for, and what that lets its holder do.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Role {
    /// A program that gets its configs, and says what it runs.
    Instance,
    /// Who may see everything and change nothing: people, dashboards, scrapers.
    Reader,
    /// Who may also move rollouts, roll back, release and accept.
    Operator,
    /// Who may also take a backup of the decisions.
    Admin,
}

/// What a route lets somebody do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Anybody may: probes, files of the dashboard, and what proves itself otherwise.
    Nothing,
    /// Get the content of configs, and wait for it.
    Fetch,
    /// Say what an instance runs.
    Report,
    /// Have an instance forgotten: for its own life a program may, for good a person may.
    End,
    /// See history, verdicts, instances, rollouts.
    Read,
    /// Change what instances should hold.
    Order,
    /// Take what only the operator of the service needs.
    Administer,
}

impl Role {
    /// Whether a holder of this role may do that.
    pub(crate) fn may(self, need: Need) -> bool {
        match need {
            Need::Nothing | Need::Fetch => true,
            Need::Report => matches!(self, Self::Instance),
            Need::End => self.may(Need::Report) || self.may(Need::Order),
            Need::Read => self >= Self::Reader,
            Need::Order => self >= Self::Operator,
            Need::Administer => self >= Self::Admin,
        }
    }

    /// As it stands in the file.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Instance => "instance",
            Self::Reader => "reader",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Need {
    /// The least role that may do it, for a hint.
    pub(crate) fn least(self) -> Role {
        match self {
            Self::Nothing | Self::Fetch | Self::Report | Self::End => Role::Instance,
            Self::Read => Role::Reader,
            Self::Order => Role::Operator,
            Self::Administer => Role::Admin,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_do_what() {
        let needs = [
            Need::Nothing,
            Need::Fetch,
            Need::Report,
            Need::End,
            Need::Read,
            Need::Order,
            Need::Administer,
        ];
        let table: Vec<String> = [Role::Instance, Role::Reader, Role::Operator, Role::Admin]
            .into_iter()
            .map(|role| {
                let may = needs.iter().filter(|need| role.may(**need));
                format!("{role}: {:?}", may.collect::<Vec<_>>())
            })
            .collect();
        insta::assert_debug_snapshot!(table, @r#"
        [
            "instance: [Nothing, Fetch, Report, End]",
            "reader: [Nothing, Fetch, Read]",
            "operator: [Nothing, Fetch, End, Read, Order]",
            "admin: [Nothing, Fetch, End, Read, Order, Administer]",
        ]
        "#);
        for need in needs {
            assert!(need.least().may(need), "{need:?}");
        }
    }
}
