//! What one caller may have at once: `[limits]`.
//!
//! Invariant: what is not set is not known here: the defaults go by how many connections there may be (`crate::limits`).

use super::keys::{Key, put};
use super::table::Only;
use super::values::number;

/// What one caller may have; 0 is no limit, and nothing the default, which spares the addresses of this machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LimitSettings {
    /// Connections of one address at once.
    pub connections_per_address_max: Option<usize>,
    /// Streams, sockets and long polls of one token at once.
    pub watches_per_token_max: Option<usize>,
    /// Requests of one token that are answered at once.
    pub requests_per_token_max: Option<usize>,
    /// Reports with one token within a minute.
    pub reports_per_token_max: Option<u32>,
    /// Reports of one instance within a minute.
    pub reports_per_instance_max: Option<u32>,
}

const LIMIT_KEYS: &[Key<LimitSettings>] = &[
    Key {
        name: "connections_per_address_max",
        help: "most connections of one address at once; without it, three fourths of all, and as many as there are from this machine; 0: no limit",
        default: "",
        set: |draft, text| put(&mut draft.connections_per_address_max, number(text).map(Some)),
    },
    Key {
        name: "watches_per_token_max",
        help: "most streams, sockets and long polls of one token, certificate or (where nobody is asked) address at once; without it, three fourths of all connections; 0: no limit",
        default: "",
        set: |draft, text| put(&mut draft.watches_per_token_max, number(text).map(Some)),
    },
    Key {
        name: "requests_per_token_max",
        help: "most requests that are answered at once for one of these; 0: no limit",
        default: "1024",
        set: |draft, text| put(&mut draft.requests_per_token_max, number(text).map(Some)),
    },
    Key {
        name: "reports_per_token_max",
        help: "most reports of one of these within a minute; 0: no limit",
        default: "300000",
        set: |draft, text| put(&mut draft.reports_per_token_max, number(text).map(Some)),
    },
    Key {
        name: "reports_per_instance_max",
        help: "most reports of one instance within a minute; 0: no limit",
        default: "600",
        set: |draft, text| put(&mut draft.reports_per_instance_max, number(text).map(Some)),
    },
];

impl Only for LimitSettings {
    const KEYS: &'static [Key<Self>] = LIMIT_KEYS;
    const VARIABLES: &'static str = "HEADWATER_LIMITS_";
}
