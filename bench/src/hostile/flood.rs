//! What floods are made of: requests that must be refused, or that must harm nobody.
//!
//! Invariant: each request has the answers that are right; any other is a fault of the service. To be turned away for
//! coming too often is always right.

use std::net::SocketAddr;

use aws_lc_rs::hmac;

use super::attack::Attack;
use crate::hook::deliver;
use crate::repository::CONFIG;

/// Kinds of bogus reports that come in turns.
const KINDS: u64 = 8;
/// The greatest number that a report may have.
const NUMBER_MAX: u64 = (1 << 53) - 1;
/// Far above what is told, and not so far that it is not believed.
const LEAP: u64 = 1_000;
/// Names that attackers report under where they do not make up new ones.
const NAMES: u64 = 1_000;

/// One request.
pub(super) struct Shot {
    pub(super) request: String,
    /// What it is, for whoever reads that it was answered wrongly.
    pub(super) what: &'static str,
    expected: &'static [u16],
}

impl Shot {
    /// Whether a status is a right answer.
    pub(super) fn is_expected(&self, status: u16) -> bool {
        self.expected.contains(&status) || matches!(status, 429 | 503)
    }
}

/// Where the requests of one connection come from.
pub(super) struct Ammunition<'a> {
    address: &'a SocketAddr,
    attack: Attack,
    /// The first connection has numbers of directives alone, which may keep it waiting.
    first: bool,
    token: &'a str,
    stranger: &'a str,
    secret: hmac::Key,
    /// What is sent again and again.
    replayed: String,
}

impl<'a> Ammunition<'a> {
    /// For the connection of that number. The credentials are a token, a token of another service, and a secret.
    pub(super) fn new(
        address: &'a SocketAddr,
        (attack, number): (Attack, u32),
        credentials: &'a [String],
    ) -> Self {
        let credential = |at: usize| credentials.get(at).map_or("", String::as_str);
        let mut ammunition = Self {
            address,
            attack,
            first: number == 0,
            token: credential(0),
            stranger: credential(1),
            secret: hmac::Key::new(hmac::HMAC_SHA256, credential(2).as_bytes()),
            replayed: String::new(),
        };
        ammunition.replayed = ammunition.delivery(&format!("again-{number}"), Signature::True);
        ammunition
    }

    /// The request of that number.
    pub(super) fn shot(&mut self, number: u64) -> Shot {
        match self.attack {
            Attack::Names => self.under_new_name(number),
            Attack::Webhooks => self.webhook(number),
            Attack::Reports if self.first => self.leap(number),
            Attack::Reports
            | Attack::Slowloris
            | Attack::HalfOpen
            | Attack::Unread
            | Attack::Unfinished
            | Attack::Upstream => self.bogus(number),
        }
    }

    fn webhook(&self, number: u64) -> Shot {
        match number % 3 {
            0 => Shot {
                request: self.delivery(&format!("forged-{number}"), Signature::Forged),
                what: "a delivery with a wrong signature",
                expected: &[401],
            },
            1 => Shot {
                request: self.replayed.clone(),
                what: "a delivery that was sent before",
                expected: &[200, 202],
            },
            _ => Shot {
                request: self.delivery(&format!("new-{number}"), Signature::True),
                what: "a true delivery",
                expected: &[202],
            },
        }
    }

    fn delivery(&self, id: &str, signature: Signature) -> String {
        let body = match signature {
            Signature::True => "{}",
            Signature::Forged => "{ }",
        };
        deliver(self.address, ("quiet", id), (&self.secret, "{}"), body)
    }

    /// A number of a directive that is above what is told, so that everybody has to be told again.
    fn leap(&self, number: u64) -> Shot {
        let sent = number & u64::from(u32::MAX);
        let body = report((1, sent + 1), CONFIG, (sent + 1) * LEAP);
        Shot {
            request: self.report(self.token, "bad-leap", &body),
            what: "a report of a directive that was never given",
            expected: &[200, 400],
        }
    }

    fn under_new_name(&self, number: u64) -> Shot {
        let body = format!(
            "{{\"incarnation\":1,\"seq\":1,\"labels\":{{\"number\":\"{number}\"}},\"configs\":{{\"{CONFIG}\":\
             {{\"generation\":1,\"state\":\"pending\"}}}}}}"
        );
        Shot {
            request: self.report(self.token, &format!("bad-new-{number}"), &body),
            what: "a report under a new name",
            expected: &[200],
        }
    }

    fn bogus(&self, number: u64) -> Shot {
        let (own, good) = (format!("bad-{}", number % NAMES), report((1, 1), CONFIG, 1));
        let (request, what, expected): (String, _, &'static [u16]) = match number % KINDS {
            0 => (self.report("", &own, &good), "a report without a token", &[401]),
            1 => (
                self.report(self.stranger, &own, &good),
                "a report with a token of another service",
                &[401],
            ),
            2 => (
                self.report(self.token, &format!("good-{number}"), &good),
                "a report for another instance",
                &[403],
            ),
            3 => (
                self.report(self.token, &own, &report((1, 1), "other", 1)),
                "a report of another config",
                &[403],
            ),
            4 => (
                self.report(self.token, &own, &report((NUMBER_MAX, 1), CONFIG, 1)),
                "a report of a life in the far future",
                &[400],
            ),
            5 => (
                self.report(self.token, &own, &report((1, NUMBER_MAX), CONFIG, 1)),
                "a report of a number that nobody counts to",
                &[400],
            ),
            6 => (
                self.report(self.token, &own, &report((1, 1), CONFIG, NUMBER_MAX + 1)),
                "a report with a number that is too large",
                &[400],
            ),
            _ => (
                self.report(self.token, &own, &report((1, 1), CONFIG, NUMBER_MAX)),
                "a report of a directive that nobody can have seen",
                &[200, 400],
            ),
        };
        Shot {
            request,
            what,
            expected,
        }
    }

    fn report(&self, token: &str, instance: &str, body: &str) -> String {
        let authorization = if token.is_empty() {
            String::new()
        } else {
            format!("authorization: Bearer {token}\r\n")
        };
        format!(
            "PUT /v1/repos/default/instances/{instance} HTTP/1.1\r\nhost: {}\r\n{authorization}content-type: \
             application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        )
    }
}

#[derive(Clone, Copy)]
enum Signature {
    True,
    Forged,
}

fn report((incarnation, seq): (u64, u64), config: &str, generation: u64) -> String {
    format!(
        "{{\"incarnation\":{incarnation},\"seq\":{seq},\"configs\":{{\"{config}\":{{\"generation\":{generation},\
         \"state\":\"pending\"}}}}}}"
    )
}
