//! Three simulated instances: what they hold, and what they say when it changes.

use std::collections::BTreeMap;
use std::time::Duration;

use headwater_client::{Api, Inline, Labels, RepoApi, Watch, WatchEvent, WatchRequest};
use headwater_wire::{CommitId, ConfigName, HeadState, InstanceId, StatusEvent, Timestamp, VersionEvent};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::cli::Environment;
use crate::cli::failure::Failure;
use crate::cli::findings;
use crate::cli::options::REPO_DEFAULT;
use crate::cli::out::{Out, Tone};
use crate::cli::text::{clean, time_of_day, value};

/// The config that all of them watch.
const CONFIG: &str = "payments/prod";
/// Name and label of each. The last one's label makes it a canary.
const INSTANCES: &[(&str, (&str, &str))] = &[
    ("payments-1", ("region", "eu-west")),
    ("payments-2", ("region", "us-east")),
    ("payments-3", ("canary", "true")),
];
/// Values that are shown when an instance starts.
const SHOWN: &[&str] = &["/pool/max", "/refunds/mode"];
/// The first commit is published within a second; a busy machine may need some more.
const FIRST_DEADLINE: Duration = Duration::from_mins(1);
/// How often it is asked for until then.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// Events that may wait to be printed.
const EVENTS_LEN: usize = 64;

/// Instances that run.
pub(super) struct Instances {
    events: mpsc::Receiver<(usize, WatchEvent)>,
    /// What each holds.
    held: BTreeMap<usize, Value>,
    status: Option<StatusEvent>,
    /// The commit that was published when they started.
    pub(super) begun: CommitId,
    /// Their tasks, which end when this is dropped.
    _tasks: JoinSet<()>,
}

impl Instances {
    /// Starts them once there is something to watch.
    pub(super) async fn start(server: &str, environment: &Environment) -> Result<Self, Failure> {
        let repo = Api::builder(server).build()?.in_repo(&parsed(REPO_DEFAULT)?);
        let begun = published(&repo).await?;
        let (sender, events) = mpsc::channel(EVENTS_LEN);
        let mut tasks = JoinSet::new();
        for (index, (name, (label, value))) in INSTANCES.iter().enumerate() {
            let request = WatchRequest {
                configs: vec![parsed::<ConfigName>(CONFIG)?],
                instance: Some(parsed::<InstanceId>(name)?),
                labels: Labels::from([((*label).to_owned(), (*value).to_owned())]),
                inline: Inline::Large,
                seed: environment.seed.wrapping_add(index as u64),
                ..WatchRequest::default()
            };
            let mut watch = Watch::start(repo.clone(), request);
            let sender = sender.clone();
            tasks.spawn(async move {
                while let Some(event) = watch.next().await {
                    if sender.send((index, event)).await.is_err() {
                        return;
                    }
                }
            });
        }
        Ok(Self {
            events,
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
        while self.held.len() < INSTANCES.len() {
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
        let Some((index, event)) = self.events.recv().await else {
            return Ok(false);
        };
        match event {
            WatchEvent::Version(version) => self.version(index, *version, now(), out)?,
            WatchEvent::Status(status) => self.status(*status, now(), out)?,
            WatchEvent::Refused(error) => return Err(error.into()),
            WatchEvent::Connected(_) | WatchEvent::Bookmark(_) | WatchEvent::Disconnected { .. } => {}
        }
        out.flush()?;
        Ok(true)
    }

    fn version(
        &mut self,
        index: usize,
        version: VersionEvent,
        now: Timestamp,
        out: &mut Out<'_>,
    ) -> Result<(), Failure> {
        let document = version.document.unwrap_or(Value::Null);
        let before = self.held.insert(index, document.clone());
        let news = match before {
            None => SHOWN.iter().map(|at| shown(at, document.pointer(at))).collect(),
            Some(before) => changes(&before, &document),
        };
        let (name, (label, value)) = INSTANCES.get(index).copied().unwrap_or_default();
        let who = format!("{name} {label}={value}");
        let news = if news.is_empty() {
            "its document is unchanged".to_owned()
        } else {
            news.join(", ")
        };
        let paint = out.paint();
        let change = format!("{:<8} {}", version.change.as_str(), version.version.short());
        out.line(format!(
            "{}  {}  {CONFIG}  {}  {news}",
            paint.apply(Tone::Dim, &time_of_day(now)),
            paint.apply(Tone::Strong, &format!("{who:<26}")),
            paint.apply(Tone::Good, &change),
        ))?;
        Ok(())
    }

    /// All of them are told of the repository; it is printed once.
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
                format!("held {head}: the branch was reset; every instance keeps what it has"),
            ),
            HeadState::Published => (Tone::Good, "the head is published".to_owned()),
            HeadState::Validating | HeadState::Other => (Tone::Normal, format!("looking at {head}")),
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

fn shown(pointer: &str, now: Option<&Value>) -> String {
    let now = now.map_or_else(|| "absent".to_owned(), value);
    format!("{} = {now}", clean(pointer))
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
