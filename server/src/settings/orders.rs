//! What is asked of people before grave orders: `[orders]`.
//!
//! Invariant: nothing here weakens what a role may; it only asks for more.

use std::collections::BTreeSet;
use std::time::Duration;

use headwater_validators::closest;
use headwater_wire::OrderKind;

use super::keys::{Key, put};
use super::table::Only;
use super::values::duration;

/// Long enough to look, think and order twice; shorter than a lunch that somebody goes to without locking his screen.
const REAUTH_AFTER: Duration = Duration::from_mins(15);

/// Long enough to find somebody; short enough that what was looked at is still what there is.
const SECOND_PERSON_WITHIN: Duration = Duration::from_hours(1);

/// What is asked of people before grave orders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderSettings {
    /// How long after he proved who he is somebody in a session may give them without doing so again; none is for ever,
    /// zero is never.
    pub reauth_after: Option<Duration>,
    /// Orders that take effect only when a second person confirms them.
    pub second_person: BTreeSet<OrderKind>,
    /// How long such an order waits for him.
    pub second_person_within: Duration,
}

impl Default for OrderSettings {
    fn default() -> Self {
        Self {
            reauth_after: Some(REAUTH_AFTER),
            second_person: BTreeSet::new(),
            second_person_within: SECOND_PERSON_WITHIN,
        }
    }
}

const ORDERS_KEYS: &[Key<OrderSettings>] = &[
    Key {
        name: "reauth_after",
        help: "how long after proving who he is somebody at the dashboard may roll back, abort and accept without doing so again; `0s` asks each time, `off` never",
        default: "15m",
        set: |orders, text| put(&mut orders.reauth_after, reauth_after(text)),
    },
    Key {
        name: "second_person",
        help: "orders that take effect only when another person confirms them, such as `rollback, promote, abort, accept, release`; `pause` and `resume` may be named, too",
        default: "",
        set: |orders, text| put(&mut orders.second_person, second_person(text)),
    },
    Key {
        name: "second_person_within",
        help: "how long such an order waits for the second person",
        default: "1h",
        set: |orders, text| put(&mut orders.second_person_within, within(text)),
    },
];

/// A list of orders, with commas in between.
fn second_person(text: &str) -> Result<BTreeSet<OrderKind>, String> {
    let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
    words.map(kind).collect()
}

fn kind(word: &str) -> Result<OrderKind, String> {
    OrderKind::read(word).ok_or_else(|| {
        let known = OrderKind::ALL.iter().map(|kind| kind.as_str());
        let all: Vec<String> = known.clone().map(|kind| format!("`{kind}`")).collect();
        let near = closest(word, known).map(|near| format!("; did you mean `{near}`?"));
        let word = word.escape_debug();
        format!(
            "there is no order `{word}`, only {}{}",
            all.join(", "),
            near.unwrap_or_default()
        )
    })
}

fn within(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("nobody can confirm an order within no time".to_owned()),
        within => Ok(within),
    }
}

/// What is wrong with asking for a second person, and what to do: where nobody is asked who he is, one person is as good
/// as two.
pub(super) fn tells_nobody_apart(
    orders: &OrderSettings,
    asks_who: AsksWho,
) -> Option<(String, &'static str)> {
    let named = orders.second_person.iter().next()?;
    let why = match asks_who {
        AsksWho::Yes => return None,
        AsksWho::No => "nobody is asked who he is",
        AsksWho::NoAsItWasSaid => "`insecure_no_auth` says that nobody has to say who he is",
    };
    let message = format!(
        "`second_person` names `{}`, and {why}: no two people can be told apart",
        named.as_str()
    );
    let hint = "set `tokens_file`, an `[issuer.NAME]` or `[proxy_auth]`, without --insecure-no-auth; or leave \
                `second_person` out of `[orders]`";
    Some((message, hint))
}

/// Whether people are asked who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AsksWho {
    /// They are.
    Yes,
    /// Nothing is set that could.
    No,
    /// Whoever set it up says so.
    NoAsItWasSaid,
}

fn reauth_after(text: &str) -> Result<Option<Duration>, String> {
    if text == "off" {
        return Ok(None);
    }
    let read = duration(text).map(Some);
    read.map_err(|_| format!("expected a duration such as `15m`, or `off`, not `{text}`"))
}

impl Only for OrderSettings {
    const KEYS: &'static [Key<Self>] = ORDERS_KEYS;
    const VARIABLES: &'static str = "HEADWATER_ORDERS_";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_holds_for_a_while_not_at_all_or_for_ever() {
        assert_eq!(reauth_after("5m"), Ok(Some(Duration::from_mins(5))));
        assert_eq!(reauth_after("0s"), Ok(Some(Duration::ZERO)));
        assert_eq!(reauth_after("off"), Ok(None));
        insta::assert_snapshot!(reauth_after("never").unwrap_err(), @"expected a duration such as `15m`, or `off`, not `never`");
    }

    #[test]
    fn orders_that_need_a_second_person_are_named_and_no_others() {
        let read = second_person("rollback, abort,release").unwrap();
        assert_eq!(
            read,
            [OrderKind::Rollback, OrderKind::Abort, OrderKind::Release].into()
        );
        assert_eq!(second_person("").unwrap(), BTreeSet::new());
        insta::assert_snapshot!(second_person("rolback").unwrap_err(), @"there is no order `rolback`, only `rollback`, `promote`, `pause`, `resume`, `abort`, `accept`, `release`; did you mean `rollback`?");
        insta::assert_snapshot!(within("0s").unwrap_err(), @"nobody can confirm an order within no time");
    }

    fn mistakes(toml: &str) -> Vec<String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), toml).unwrap();
        let flags = super::super::Flags {
            file: Some(file.path().to_owned()),
            ..super::super::Flags::default()
        };
        let found = super::super::load(&flags, &[]).err().unwrap_or_default();
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn nobody_asks_for_a_second_person_where_no_two_can_be_told_apart() {
        let with = |more: &str| {
            let rest = "[orders]\nsecond_person = [\"rollback\"]\n[[repo]]\nurl = \"/srv/x\"\n";
            mistakes(&format!("{more}{rest}")).join("\n")
        };
        insta::assert_snapshot!(with(""), @r"
        settings: `second_person` names `rollback`, and nobody is asked who he is: no two people can be told apart
          hint: set `tokens_file`, an `[issuer.NAME]` or `[proxy_auth]`, without --insecure-no-auth; or leave `second_person` out of `[orders]`
        ");
        insta::assert_snapshot!(with("insecure_no_auth = true\ntokens_file = \"t\"\n"), @r"
        settings: `second_person` names `rollback`, and `insecure_no_auth` says that nobody has to say who he is: no two people can be told apart
          hint: set `tokens_file`, an `[issuer.NAME]` or `[proxy_auth]`, without --insecure-no-auth; or leave `second_person` out of `[orders]`
        ");
        assert_eq!(with("tokens_file = \"t\"\n"), "");
    }
}
