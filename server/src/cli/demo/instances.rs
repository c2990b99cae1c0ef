//! Three simulated instances: what they hold, and what they say when it changes.

use std::collections::BTreeMap;
use std::time::Duration;

use headwater_client::{Api, RepoApi, Watch, WatchEvent, WatchRequest};
use headwater_wire::{CommitId, HeadState, StatusEvent, Timestamp};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::program::{CONFIGS, News, PROGRAMS, Program, Teller, Told, run};
use crate::cli::Environment;
use crate::cli::failure::Failure;
use crate::cli::findings;
use crate::cli::options::REPO_DEFAULT;
use crate::cli::out::{Out, Tone};
use crate::cli::text::{clean, time_of_day, value};

/// Values that are shown when an instance starts, where it has them.
const SHOWN: &[&str] = &["/pool/max", "/refunds/mode", "/flags/new-checkout/percent"];
/// The first commit is published within a second; a busy machine may need some more.
const FIRST_DEADLINE: Duration = Duration::from_mins(1);
/// How often it is asked for until then.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// Events that may wait to be printed.
const EVENTS_LEN: usize = 64;

/// Instances that run.
pub(super) struct Instances {
    told: mpsc::Receiver<Told>,
    /// What is told of the repository itself.
    watch: Watch,
    /// What each holds of each config.
    held: BTreeMap<(usize, &'static str), Value>,
    status: Option<StatusEvent>,
    /// The commit that was published when they started.
    pub(super) begun: CommitId,
    /// Their tasks, which end when this is dropped, and the clients with them.
    _tasks: JoinSet<()>,
}

impl Instances {
    /// Starts them once there is something to watch.
    pub(super) async fn start(server: &str, environment: &Environment) -> Result<Self, Failure> {
        let repo = Api::builder(server).build()?.in_repo(&parsed(REPO_DEFAULT)?);
        let begun = published(&repo).await?;
        let (sender, told) = mpsc::channel(EVENTS_LEN);
        let mut tasks = JoinSet::new();
        for (index, program) in PROGRAMS.iter().enumerate() {
            let client = program
                .client(server, environment.seed.wrapping_add(index as u64))
                .await?;
            for config in CONFIGS {
                let teller = Teller {
                    program: index,
                    config,
                    sender: sender.clone(),
                };
                let handle = program.open(&client, teller.clone()).await?;
                tasks.spawn(run(handle, teller));
            }
        }
        let configs: Result<_, Failure> = CONFIGS.iter().map(|config| parsed(config)).collect();
        let request = WatchRequest {
            configs: configs?,
            seed: environment.seed.wrapping_add(PROGRAMS.len() as u64),
            ..WatchRequest::default()
        };
        Ok(Self {
            told,
            watch: Watch::start(repo, request),
            held: BTreeMap::new(),
            status: None,
            begun,
            _tasks: tasks,
        })
    }

    /// Tells until each of them holds something.
    pub(super) async fn tell_first(
        &mut self,
        now: fn() -> Timestamp,
        out: &mut Out<'_>,
    ) -> Result<(), Failure> {
        while self.held.len() < PROGRAMS.len() * CONFIGS.len() {
            if !self.tell_next(now, out).await? {
                break;
            }
        }
        Ok(())
    }

    /// Tells for ever.
    pub(super) async fn tell(&mut self, now: fn() -> Timestamp, out: &mut Out<'_>) -> Result<(), Failure> {
        while self.tell_next(now, out).await? {}
        Ok(())
    }

    /// Whether there was anything more to tell.
    async fn tell_next(&mut self, now: fn() -> Timestamp, out: &mut Out<'_>) -> Result<bool, Failure> {
        // Cancel-safe: both only take from a queue.
        tokio::select! {
            Some(told) = self.told.recv() => self.instance(told, now(), out)?,
            Some(event) = self.watch.next() => match event {
                WatchEvent::Status(status) => self.status(*status, now(), out)?,
                WatchEvent::Refused(error) => return Err(error.into()),
                WatchEvent::Version(_)
                | WatchEvent::Connected(_)
                | WatchEvent::Bookmark(_)
                | WatchEvent::Disconnected { .. } => {}
            },
            else => return Ok(false),
        }
        out.flush()?;
        Ok(true)
    }

    fn instance(&mut self, told: Told, now: Timestamp, out: &mut Out<'_>) -> Result<(), Failure> {
        let place = (told.program, told.config);
        let (tone, word, version, news) = match told.news {
            News::Refuses(why) => (Tone::Bad, "refuses", None, vec![clean(&why)]),
            // Of the first content everybody is told that it runs, and that is enough.
            News::Ready(_) if !self.held.contains_key(&place) => return Ok(()),
            News::Ready(version) => (
                Tone::Warning,
                "ready",
                Some(version),
                vec!["switches when all are".to_owned()],
            ),
            News::Runs(version, document) => match self.held.insert(place, document.clone()) {
                None => (Tone::Good, "starts", version, shown(&document)),
                Some(before) => (Tone::Good, "runs", version, changes(&before, &document)),
            },
        };
        let name = PROGRAMS.get(told.program).map(named).unwrap_or_default();
        let version = version.as_ref().map_or("", CommitId::short);
        let paint = out.paint();
        out.line(format!(
            "{}  {}  {:<13}  {}  {}",
            paint.apply(Tone::Dim, &time_of_day(now)),
            paint.apply(Tone::Strong, &format!("{name:<25}")),
            told.config,
            paint.apply(tone, &format!("{word:<7} {version:<10}")),
            news.join(", "),
        ))?;
        Ok(())
    }

    /// A status may be told again, as after a reconnect; it is printed once.
    fn status(&mut self, status: StatusEvent, now: Timestamp, out: &mut Out<'_>) -> Result<(), Failure> {
        if self.status.as_ref() == Some(&status) {
            return Ok(());
        }
        let paint = out.paint();
        let head = status.head.as_ref().map_or("the head", CommitId::short);
        let (tone, told) = match status.head_state {
            HeadState::Rejected => (
                Tone::Bad,
                format!("rejected {head}; every instance keeps what it has"),
            ),
            HeadState::Held => (
                Tone::Warning,
                format!("held {head}: no instance gets what is held back of it"),
            ),
            HeadState::Published => (Tone::Good, "the head is published".to_owned()),
            HeadState::None | HeadState::Validating | HeadState::Other => {
                (Tone::Normal, format!("looking at {head}"))
            }
        };
        // The first word about a repository that is well is no news.
        if self.status.is_some() || status.head_state != HeadState::Published {
            let time = paint.apply(Tone::Dim, &time_of_day(now));
            out.line(format!("{time}  {}", paint.apply(tone, &told)))?;
            findings::print(&status.findings, "           ", out)?;
        }
        self.status = Some(status);
        Ok(())
    }
}

/// Waits until the first commit is served.
async fn published(repo: &RepoApi) -> Result<CommitId, Failure> {
    let waiting = async {
        loop {
            let view = repo.view().await?;
            if let Some(tip) = view.tip.filter(|_| view.configs > 0) {
                return Ok(tip);
            }
            tokio::time::sleep(FIRST_PAUSE).await;
        }
    };
    match tokio::time::timeout(FIRST_DEADLINE, waiting).await {
        Ok(ended) => ended,
        Err(_) => Err(Failure::Refused {
            message: format!("nothing was published within {} s", FIRST_DEADLINE.as_secs()),
            hint: "look at the upstream of the demo with `git log`, or begin in another directory".to_owned(),
        }),
    }
}

/// One of the constants above, as what it is.
fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, Failure> {
    text.parse().map_err(|error: T::Err| Failure::Usage {
        message: format!("no name: `{text}`: {error}"),
        hint: "this is a fault of the program".to_owned(),
    })
}

/// A program, as it is called in what is printed.
fn named(program: &Program) -> String {
    let (label, value) = program.label;
    format!("{} {label}={value}", program.name)
}

fn shown(document: &Value) -> Vec<String> {
    let there = SHOWN
        .iter()
        .filter_map(|at| document.pointer(at).map(|now| (at, now)));
    there
        .map(|(at, now)| format!("{} = {}", clean(at), value(now)))
        .collect()
}

/// The values that differ, by pointer.
fn changes(before: &Value, after: &Value) -> Vec<String> {
    let (before, after) = (leaves(before), leaves(after));
    let pointers: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let differing = pointers
        .into_iter()
        .filter(|at| before.get(*at) != after.get(*at));
    differing
        .map(|at| {
            let word =
                |side: &BTreeMap<String, Value>| side.get(at).map_or_else(|| "absent".to_owned(), value);
            format!("{} {} → {}", clean(at), word(&before), word(&after))
        })
        .collect()
}

fn leaves(document: &Value) -> BTreeMap<String, Value> {
    let mut leaves = BTreeMap::new();
    let mut pending = vec![(String::new(), document)];
    while let Some((pointer, node)) = pending.pop() {
        match node {
            Value::Object(members) if !members.is_empty() => {
                let escaped = |key: &str| key.replace('~', "~0").replace('/', "~1");
                pending.extend(
                    members
                        .iter()
                        .map(|(key, node)| (format!("{pointer}/{}", escaped(key)), node)),
                );
            }
            Value::Object(_)
            | Value::Array(_)
            | Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_) => {
                leaves.insert(pointer, node.clone());
            }
        }
    }
    leaves
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn changes_are_told_by_pointer() {
        let before = json!({"pool": {"max": 40, "min": 1}, "gone": true, "list": [1]});
        let after = json!({"pool": {"max": 50, "min": 1}, "a/b": {}, "list": [1, 2]});
        assert_eq!(
            changes(&before, &after),
            [
                "/a~1b absent → {}",
                "/gone true → absent",
                "/list [1] → [1,2]",
                "/pool/max 40 → 50"
            ]
        );
    }
}
