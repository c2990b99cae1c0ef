//! The listener for administration: `[admin]`.
//!
//! Invariant: it has nothing of the listener for everybody: no certificate, no authority and no place of that one is its
//! own. What is deliberately absent: who may do what, which is the same at both.

use std::net::SocketAddr;

use super::keys::{Key, put};
use super::source::{Mistake, Place};
use super::table::Only;
use super::tls::{TlsDraft, TlsSettings, Whose, tls_keys};
use super::values::{number, socket_address};

/// Places that it has, unless set: some dozen people with browsers and their jobs, and few descriptors.
const CONNECTIONS_MAX: usize = 128;

/// The listener for administration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminSettings {
    /// Address to listen on.
    pub listen: SocketAddr,
    /// Its certificates; without them, it speaks in clear text.
    pub tls: Option<TlsSettings>,
    /// Most connections at once, beside those of the other listener.
    pub connections_max: usize,
}

impl AdminSettings {
    /// One at this address, in clear text and with the places that it has unless set.
    pub fn at(listen: SocketAddr) -> Self {
        Self {
            listen,
            tls: None,
            connections_max: CONNECTIONS_MAX,
        }
    }
}

/// The values while they are being collected.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct AdminDraft {
    listen: Option<SocketAddr>,
    /// Whether an address was said at all, if only one that is none.
    says_where: bool,
    tls: TlsDraft,
    connections_max: Option<usize>,
}

impl AsMut<TlsDraft> for AdminDraft {
    fn as_mut(&mut self) -> &mut TlsDraft {
        &mut self.tls
    }
}

const ADMIN_KEYS: &[Key<AdminDraft>] = &{
    let [cert, key, clients, authorities, taken_back] = tls_keys();
    [
        Key {
            name: "listen",
            help: "address and port of a listener for administration; with it, the other one gives no orders",
            default: "",
            set: |draft, text| {
                draft.says_where = true;
                put(
                    &mut draft.listen,
                    socket_address(text, "127.0.0.1:9443").map(Some),
                )
            },
        },
        cert,
        key,
        clients,
        authorities,
        taken_back,
        Key {
            name: "connections_max",
            help: "most connections at once, beside those of the other listener",
            default: "128",
            set: |draft, text| put(&mut draft.connections_max, number(text).map(Some)),
        },
    ]
};

impl Only for AdminDraft {
    const KEYS: &'static [Key<Self>] = ADMIN_KEYS;
    const VARIABLES: &'static str = "HEADWATER_ADMIN_";
}

impl AdminDraft {
    /// Where it listens, if it does.
    pub(super) fn listen(&self) -> Option<SocketAddr> {
        self.listen
    }

    /// The values, if such a listener is wanted beside the one at `main`.
    pub(super) fn finish(&self, main: SocketAddr, mistakes: &mut Vec<Mistake>) -> Option<AdminSettings> {
        let tls = self.tls.finish(Whose::Admin, mistakes);
        let mut whole = |message: String, hint: &str| {
            mistakes.push(Mistake::new(Place::Whole, message).hint(hint));
        };
        let Some(listen) = self.listen else {
            if !self.says_where && *self != Self::default() {
                whole(
                    "`[admin]` has no `listen`, so there is no listener for administration".to_owned(),
                    "name its address in `[admin]`, such as `127.0.0.1:9443`, or leave the table out",
                );
            }
            return None;
        };
        if overlap(main, listen) {
            let message = format!("`listen` of `[admin]` is the address of the other listener: `{listen}`");
            whole(
                message,
                "name another port for it, and let no one but those who order reach that",
            );
        }
        if self.connections_max == Some(0) {
            whole(
                "`connections_max` of `[admin]` is 0, so nobody could give an order".to_owned(),
                "leave it out, or name how many connections there may be",
            );
        }
        Some(AdminSettings {
            tls,
            connections_max: self.connections_max.unwrap_or(CONNECTIONS_MAX),
            ..AdminSettings::at(listen)
        })
    }
}

/// Whether one of them would take the connections of the other. Port 0 is a free one, another each time.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let any = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() == other.port() && one.port() != 0 && (one.ip() == other.ip() || any)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_listeners_are_at_two_addresses() {
        let overlap = |one: &str, other: &str| overlap(one.parse().unwrap(), other.parse().unwrap());
        assert!(overlap("127.0.0.1:7171", "127.0.0.1:7171"));
        assert!(overlap("0.0.0.0:7171", "127.0.0.1:7171"));
        assert!(overlap("127.0.0.1:7171", "[::]:7171"));
        assert!(!overlap("127.0.0.1:7171", "127.0.0.1:9443"));
        assert!(!overlap("127.0.0.1:7171", "10.0.0.5:7171"));
        assert!(!overlap("127.0.0.1:0", "127.0.0.1:0"));
    }
}
