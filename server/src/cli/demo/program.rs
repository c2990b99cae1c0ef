//! One simulated program: a real client with two configs, and a limit of its own.
//!
//! Invariant: it does what any program does that lives on the client library: it checks, gets ready, switches and
//! reports. What is deliberately absent: any knowledge of rollouts.

use std::time::Duration;

use futures_util::StreamExt;
use headwater_client::{Candidate, Client, Handle, OpenError};
use headwater_wire::CommitId;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::cli::failure::Failure;

/// The config that is moved in stages.
const STAGED: &str = "payments/prod";
/// The config to which all switch together.
const TOGETHER: &str = "feature-flags";
/// What each program reads.
pub(super) const CONFIGS: &[&str] = &[STAGED, TOGETHER];
/// New content is trusted after this; a program of one's own takes a minute.
const PROBATION: Duration = Duration::from_secs(1);

/// A program before it runs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Program {
    /// Name of the instance.
    pub(super) name: &'static str,
    /// Its label.
    pub(super) label: (&'static str, &'static str),
    limit: Option<Limit>,
}

/// The most that a program takes of one value. The schema allows more, so that only the program can tell.
#[derive(Debug, Clone, Copy)]
struct Limit {
    at: &'static str,
    max: u64,
}

/// All of them. The label of the last one makes it a canary.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        name: "payments-1",
        label: ("region", "eu-west"),
        limit: None,
    },
    Program {
        name: "payments-2",
        label: ("region", "us-east"),
        limit: Some(Limit {
            at: "/flags/new-checkout/percent",
            max: 50,
        }),
    },
    Program {
        name: "payments-3",
        label: ("canary", "true"),
        limit: Some(Limit {
            at: "/pool/max",
            max: 45,
        }),
    },
];

/// What became of content in a program.
#[derive(Debug)]
pub(super) enum News {
    /// Its own check said no, and why.
    Refuses(String),
    /// It could switch now, and waits for the word.
    Ready(CommitId),
    /// It switched.
    Runs(Option<CommitId>, Value),
}

/// One piece of news, and whose it is.
#[derive(Debug)]
pub(super) struct Told {
    /// Its place among [`PROGRAMS`].
    pub(super) program: usize,
    /// The config that it is about.
    pub(super) config: &'static str,
    /// What there is to tell.
    pub(super) news: News,
}

/// How a program tells what becomes of one config.
#[derive(Debug, Clone)]
pub(super) struct Teller {
    pub(super) program: usize,
    pub(super) config: &'static str,
    pub(super) sender: mpsc::Sender<Told>,
}

impl Teller {
    fn told(&self, news: News) -> Told {
        Told {
            program: self.program,
            config: self.config,
            news,
        }
    }

    /// Whether anybody listens still.
    async fn tell(&self, news: News) -> bool {
        self.sender.send(self.told(news)).await.is_ok()
    }
}

impl Limit {
    fn check(self, document: &Value) -> Result<(), String> {
        let asked = document.pointer(self.at).and_then(Value::as_u64);
        match asked.filter(|asked| *asked > self.max) {
            Some(asked) => Err(format!(
                "{} {asked}: this machine takes {} at most",
                self.at, self.max
            )),
            None => Ok(()),
        }
    }
}

impl Program {
    /// A client in the name of this program.
    pub(super) async fn client(&self, server: &str, seed: u64) -> Result<Client, Failure> {
        let (label, value) = self.label;
        let builder = Client::builder(server)
            .instance(self.name)
            .label(label, value)
            .program("headwater demo")
            .probation(PROBATION)
            .seed(seed);
        Ok(builder.start().await?)
    }

    /// Opens a config. What the check refuses is told by itself, so that it is told even if the program is told
    /// something else right afterwards.
    pub(super) async fn open(&self, client: &Client, teller: Teller) -> Result<Handle<Value>, Failure> {
        let limit = self.limit;
        let config = client.config::<Value>(teller.config);
        let refused = teller.clone();
        let config = config.check(move |document: &Value| {
            let checked = limit.map_or(Ok(()), |limit| limit.check(document));
            if let Err(why) = &checked {
                // Where so much waits to be printed that there is no room, this may be missing.
                refused
                    .sender
                    .try_send(refused.told(News::Refuses(why.clone())))
                    .ok();
            }
            checked
        });
        let config = if teller.config == TOGETHER {
            config.prepare(move |candidate: Candidate<Value>| {
                let teller = teller.clone();
                async move {
                    teller.tell(News::Ready(candidate.version)).await;
                    Ok::<(), String>(())
                }
            })
        } else {
            config
        };
        config.open().await.map_err(|error: OpenError| Failure::Refused {
            message: error.to_string(),
            hint: error.hint().to_owned(),
        })
    }
}

/// Tells what the program runs, now and whenever it is something else.
pub(super) async fn run(handle: Handle<Value>, teller: Teller) {
    let mut changes = handle.changes();
    let mut held = handle.snapshot();
    loop {
        let news = News::Runs(held.version().cloned(), Value::clone(held.value()));
        if !teller.tell(news).await {
            return;
        }
        match changes.next().await {
            Some(change) => held = change.new,
            None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_limit_refuses_what_is_above_it_and_says_so() {
        let limit = Limit {
            at: "/pool/max",
            max: 45,
        };
        assert_eq!(limit.check(&json!({"pool": {"max": 45}})), Ok(()));
        assert_eq!(limit.check(&json!({"other": true})), Ok(()));
        assert_eq!(
            limit.check(&json!({"pool": {"max": 46}})),
            Err("/pool/max 46: this machine takes 45 at most".to_owned())
        );
    }
}
