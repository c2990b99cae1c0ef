//! What a request asks, parsed once at the door.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use headwater_core::Token;
use headwater_render::Format;
use headwater_wire::{CommitId, ConfigName, InstanceId, RepoName};
use http::HeaderMap;
use http::header::IF_NONE_MATCH;

use super::problem::{Answer, Result, bad_request, repo_not_found};
use super::state::App;
use crate::publish::Who;
use crate::repo::Repo;

/// Longest wait of a watch, in seconds. Proxies in front often cut at 60; the default stays below.
const WAIT_SECONDS_MAX: u64 = 300;
/// Wait where none is said but waiting is asked for, as by `min_version`.
const WAIT_DEFAULT: Duration = Duration::from_secs(50);
/// Labels one client may name.
pub(super) const LABELS_MAX: usize = 64;
/// Longest text of one label's key or value, in bytes.
const LABEL_BYTES_MAX: usize = 256;

/// The repository of a path.
pub(super) fn repo(app: &App, name: &str) -> Result<Arc<Repo>> {
    let parsed: RepoName = name.parse().map_err(|_| repo_not_found(name))?;
    app.repos()
        .get(&parsed)
        .cloned()
        .ok_or_else(|| repo_not_found(name))
}

/// An identifier of a path or query.
pub(super) fn id<T: FromStr<Err: std::fmt::Display>>(text: &str, hint: &str) -> Result<T> {
    text.parse()
        .map_err(|error: T::Err| bad_request(error.to_string(), hint))
}

/// A config name of a path.
pub(super) fn config(text: &str) -> Result<ConfigName> {
    id(text, "a config name is a path such as `payments/prod`")
}

/// A full commit id of a path.
pub(super) fn commit(text: &str) -> Result<CommitId> {
    id(
        text,
        "give the full hash; GET /v1/repos/{repo}/commits/{rev} resolves a shorter one, a branch or a tag",
    )
}

/// The query string as pairs, decoded.
#[derive(Debug, Clone, Default)]
pub(super) struct Pairs(Vec<(String, String)>);

impl Pairs {
    /// Reads the query of an address.
    pub(super) fn read(query: Option<&str>) -> Result<Self> {
        let Some(query) = query else {
            return Ok(Self::default());
        };
        let uri: http::Uri = format!("/?{query}").parse().map_err(|_| unreadable())?;
        let axum::extract::Query(pairs) =
            axum::extract::Query::try_from_uri(&uri).map_err(|_| unreadable())?;
        let pairs = Self(pairs);
        if pairs.is_text() {
            Ok(pairs)
        } else {
            Err(unreadable())
        }
    }

    /// Whether all names and values were UTF-8. The decoder puts the replacement character where they were not, and
    /// nothing that we know has it in its name.
    fn is_text(&self) -> bool {
        let broken = |text: &str| text.contains(char::REPLACEMENT_CHARACTER);
        !self.0.iter().any(|(name, value)| broken(name) || broken(value))
    }

    /// The last value of a key.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.0
            .iter()
            .rev()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.as_str())
    }

    /// All of them, as they were written.
    pub(super) fn into_all(self) -> Vec<(String, String)> {
        self.0
    }

    /// All values of a key.
    pub(super) fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(name, _)| name == key)
            .map(|(_, value)| value.as_str())
    }

    /// A value that must parse.
    pub(super) fn parsed<T: FromStr<Err: std::fmt::Display>>(
        &self,
        key: &str,
        hint: &str,
    ) -> Result<Option<T>> {
        self.get(key).map(|text| id(text, hint)).transpose()
    }

    /// The labels the client says it has: `label.KEY=VALUE`.
    pub(super) fn labels(&self) -> Result<BTreeMap<String, String>> {
        let mut labels = BTreeMap::new();
        for (key, value) in &self.0 {
            let Some(name) = key.strip_prefix("label.") else {
                continue;
            };
            if !is_label(name, value) || labels.len() >= LABELS_MAX {
                let hint = format!(
                    "at most {LABELS_MAX} labels, each `label.KEY=VALUE` with up to {LABEL_BYTES_MAX} bytes"
                );
                return Err(bad_request(
                    format!("not a label: `{}`", name.escape_debug()),
                    hint,
                ));
            }
            labels.insert(name.to_owned(), value.clone());
        }
        Ok(labels)
    }
}

/// Whether a label has a name, and neither its name nor its value is too long or has control characters.
pub(super) fn is_label(name: &str, value: &str) -> bool {
    let fits = |text: &str| text.len() <= LABEL_BYTES_MAX && !text.chars().any(char::is_control);
    !name.is_empty() && fits(name) && fits(value)
}

fn unreadable() -> Answer {
    bad_request(
        "the query string cannot be read",
        "percent-encode names and values as UTF-8",
    )
}

/// What an instance id looks like.
pub(super) const INSTANCE_HINT: &str =
    "an instance id has letters, digits, `.`, `_`, `:`, `-`, at most 128, and is not `.` or `..`";

/// Who asks.
#[derive(Debug, Clone, Default)]
pub(super) struct Asker {
    /// Its name, if it said one.
    pub instance: Option<InstanceId>,
    /// Its labels, which choose the variant.
    pub labels: BTreeMap<String, String>,
}

impl Asker {
    /// Who asks, if he says so.
    pub(super) fn who(&self) -> Who<'_> {
        self.instance.as_ref().map(|instance| (instance, &self.labels))
    }

    /// Reads `instance` and `label.*`. An instance that names no labels has those that it reported.
    pub(super) fn known_to(repo: &Repo, pairs: &Pairs) -> Result<Self> {
        let mut asker = Self::read(pairs)?;
        if let (Some(instance), true) = (&asker.instance, asker.labels.is_empty()) {
            let fleet = repo.fleet.read().unwrap_or_else(PoisonError::into_inner);
            let reported = fleet.get(instance);
            asker.labels =
                reported.map_or_else(BTreeMap::new, |reported| BTreeMap::clone(&reported.report.labels));
        }
        Ok(asker)
    }

    /// Reads `instance` and `label.*`, as they stand there.
    pub(super) fn read(pairs: &Pairs) -> Result<Self> {
        Ok(Self {
            instance: pairs.parsed("instance", INSTANCE_HINT)?,
            labels: pairs.labels()?,
        })
    }
}

/// Which part of a document is asked for, and in which format.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Representation {
    /// JSON pointer of one value.
    pub pointer: Option<String>,
    /// Format of the bare value or document.
    pub format: Option<Format>,
}

impl Representation {
    /// Reads `pointer` and `format`.
    pub(super) fn read(pairs: &Pairs) -> Result<Self> {
        let pointer = pairs.get("pointer").map(str::to_owned);
        if let Some(pointer) = &pointer
            && !(pointer.is_empty() || pointer.starts_with('/'))
        {
            let hint = "a JSON pointer begins with `/`, such as `/db/pool_size` (RFC 6901)";
            return Err(bad_request(format!("not a JSON pointer: `{pointer}`"), hint));
        }
        let format = match pairs.get("format") {
            None => None,
            Some("json") => Some(Format::Json),
            Some("toml") => Some(Format::Toml),
            Some("yaml") => Some(Format::Yaml),
            Some(other) => {
                return Err(bad_request(
                    format!("no such format: `{other}`"),
                    "one of `json`, `toml`, `yaml`",
                ));
            }
        };
        Ok(Self { pointer, format })
    }

    /// What the token says of it; nothing for the snapshot body.
    pub(super) fn token_part(&self) -> Option<String> {
        let format = match self.format {
            Some(Format::Json) => "json",
            Some(Format::Toml) => "toml",
            Some(Format::Yaml) => "yaml",
            None if self.pointer.is_none() => return None,
            None => "value",
        };
        let pointer = self.pointer.as_deref().unwrap_or_default();
        let digest = headwater_render::digest(pointer);
        let short: String = digest.hex().chars().take(12).collect();
        Some(if self.pointer.is_some() {
            format!("{format}.{short}")
        } else {
            format.to_owned()
        })
    }
}

/// How long the request may wait: `?wait=` wins over `Prefer: wait=`.
pub(super) fn wait(pairs: &Pairs, headers: &HeaderMap) -> Result<Option<Duration>> {
    let preferred = headers
        .get_all("prefer")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .find_map(|value| {
            value
                .split([',', ';'])
                .find_map(|part| part.trim().strip_prefix("wait=").map(str::to_owned))
        });
    let Some(text) = pairs.get("wait").map(str::to_owned).or(preferred) else {
        return Ok(None);
    };
    let seconds: Option<u64> = text.parse().ok().filter(|seconds| *seconds <= WAIT_SECONDS_MAX);
    match seconds {
        Some(0) => Ok(None),
        Some(seconds) => Ok(Some(Duration::from_secs(seconds))),
        None => {
            let hint = format!("whole seconds, from 1 to {WAIT_SECONDS_MAX}");
            Err(bad_request(
                format!("not a wait: `{}`", text.escape_debug()),
                hint,
            ))
        }
    }
}

/// The wait of a request that must wait, said or not.
pub(super) fn wait_or_default(wait: Option<Duration>) -> Duration {
    wait.unwrap_or(WAIT_DEFAULT)
}

/// Tokens the client says it holds.
pub(super) fn held(headers: &HeaderMap) -> Vec<Token> {
    let values = headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok());
    values.flat_map(Token::read_list).collect()
}

/// Whether the client named something it holds, even if it is no token of ours.
pub(super) fn holds_something(headers: &HeaderMap) -> bool {
    headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .any(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(query: &str) -> Pairs {
        Pairs::read(Some(query)).unwrap()
    }

    #[test]
    fn a_wait_is_read_from_the_query_first_and_then_from_the_preference() {
        let mut headers = HeaderMap::new();
        headers.insert("prefer", "respond-async, wait=20".parse().unwrap());
        assert_eq!(
            wait(&pairs("wait=5"), &headers).unwrap(),
            Some(Duration::from_secs(5))
        );
        assert_eq!(wait(&pairs(""), &headers).unwrap(), Some(Duration::from_secs(20)));
        assert_eq!(wait(&pairs("wait=0"), &headers).unwrap(), None);
        for bad in ["wait=-1", "wait=301", "wait=1.5", "wait=x", "wait="] {
            assert!(wait(&pairs(bad), &HeaderMap::new()).is_err(), "{bad}");
        }
    }

    #[test]
    fn labels_are_decoded_and_bounded() {
        let labels = pairs("label.region=eu-west&label.a%2Fb=%C3%BC&other=1")
            .labels()
            .unwrap();
        assert_eq!(labels.get("region").map(String::as_str), Some("eu-west"));
        assert_eq!(labels.get("a/b").map(String::as_str), Some("ü"));
        assert_eq!(labels.len(), 2);
        assert!(pairs("label.=x").labels().is_err());
        assert!(pairs(&format!("label.x={}", "a".repeat(257))).labels().is_err());
        assert!(pairs("label.x=%00").labels().is_err());
    }

    #[test]
    fn another_representation_has_another_token() {
        let read = |query: &str| Representation::read(&pairs(query)).unwrap().token_part();
        assert_eq!(read(""), None);
        assert_eq!(read("format=toml"), Some("toml".to_owned()));
        assert_ne!(read("pointer=/a"), read("pointer=/b"));
        assert_ne!(read("pointer=/a"), read("pointer=/a&format=json"));
        assert!(Representation::read(&pairs("pointer=a")).is_err());
        assert!(Representation::read(&pairs("format=xml")).is_err());
    }
}
