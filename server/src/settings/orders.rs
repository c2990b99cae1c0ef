//! What is asked of people before grave orders: `[orders]`.
//!
//! Invariant: nothing here weakens what a role may; it only asks for more.

use std::time::Duration;

use super::keys::{Key, put};
use super::table::Only;
use super::values::duration;

/// Long enough to look, think and order twice; shorter than a lunch that somebody goes to without locking his screen.
const REAUTH_AFTER: Duration = Duration::from_mins(15);

/// What is asked of people before grave orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderSettings {
    /// How long after he proved who he is somebody in a session may give them without doing so again; none is for ever,
    /// zero is never.
    pub reauth_after: Option<Duration>,
}

impl Default for OrderSettings {
    fn default() -> Self {
        Self {
            reauth_after: Some(REAUTH_AFTER),
        }
    }
}

const ORDERS_KEYS: &[Key<OrderSettings>] = &[Key {
    name: "reauth_after",
    help: "how long after proving who he is somebody at the dashboard may roll back, abort and accept without doing so again; `0s` asks each time, `off` never",
    default: "15m",
    set: |orders, text| put(&mut orders.reauth_after, reauth_after(text)),
}];

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
}
