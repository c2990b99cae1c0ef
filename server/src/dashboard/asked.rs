//! What a page is asked for.
//!
//! Invariant: a parameter is handed on to the API as it came; the API is the one that says what it takes.

use headwater_wire::{CommitId, ConfigName, InstanceId, RepoName, Timestamp};
use http::Uri;

use super::api::{Address, Api};
use crate::auth::{Identity, Need};
use crate::clock;
use crate::http::Door;

/// Whether orders are offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Orders {
    /// They are.
    Offered,
    /// Who asks may only read.
    OfOthers,
    /// He may give some, and not at this listener.
    Elsewhere,
}

impl Orders {
    /// Why they are not, if so.
    pub(super) fn why_not(self) -> Option<&'static str> {
        match self {
            Self::Offered => None,
            Self::OfOthers => Some("You may read; ask an operator for what is to change."),
            Self::Elsewhere => Some("Orders are given at the listener for administration."),
        }
    }
}

/// One request for a page.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    /// The API, for who asks.
    pub api: Api,
    /// Now.
    pub now: Timestamp,
    /// Path and query.
    pub here: String,
    /// The listener that is asked at.
    door: Door,
    /// Whether a session is asked in, which can be ended.
    pub in_session: bool,
    /// Who asks, where anybody is asked who he is.
    pub who: Option<Identity>,
    params: Vec<(String, String)>,
    query: Vec<(String, String)>,
}

impl Asked {
    /// A request with the parameters of its path.
    pub(super) fn new(
        (api, door): (Api, Door),
        (in_session, who): (bool, Option<Identity>),
        uri: &Uri,
        params: Vec<(String, String)>,
    ) -> Self {
        let query = uri.query().unwrap_or_default();
        let query = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        Self {
            api,
            now: clock::now(),
            door,
            in_session,
            who,
            here: uri
                .path_and_query()
                .map_or_else(|| uri.path().to_owned(), ToString::to_string),
            params,
            query,
        }
    }

    /// The same, asked again later.
    pub(super) fn at(&self, now: Timestamp) -> Self {
        Self { now, ..self.clone() }
    }

    /// The same, asked by somebody who was let in.
    pub(super) fn by(self, who: Option<Identity>) -> Self {
        Self {
            api: self.api.of(who.clone()),
            who,
            ..self
        }
    }

    /// Whether orders are offered: to who may give them, where they are given. The API looks again at each that is given.
    pub(super) fn orders(&self) -> Orders {
        if self.who.as_ref().is_some_and(|who| !who.role().may(Need::Order)) {
            return Orders::OfOthers;
        }
        if self.door.takes_orders() {
            Orders::Offered
        } else {
            Orders::Elsewhere
        }
    }

    /// A parameter of the path; empty where the path has none of that name.
    pub(super) fn param(&self, name: &str) -> &str {
        find(&self.params, name).unwrap_or_default()
    }

    /// A parameter of the query, if it is there and not empty.
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        find(&self.query, name).filter(|value| !value.is_empty())
    }

    /// The repository of the path.
    pub(super) fn repo(&self) -> &str {
        self.param("repo")
    }

    /// The API's address of the repository.
    pub(super) fn v1(&self) -> Address {
        Address::new("/v1/repos").part(self.repo())
    }

    /// Links of the repository's pages.
    pub(super) fn links(&self) -> Links {
        Links::of(self.repo())
    }
}

fn find<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let mut newest_first = pairs.iter().rev();
    newest_first
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.as_str())
}

/// Links to the pages of one repository.
#[derive(Debug, Clone)]
pub(super) struct Links {
    repo: String,
}

impl Links {
    /// Links of a repository by its name.
    pub(super) fn of(repo: &str) -> Self {
        Self {
            repo: repo.to_owned(),
        }
    }

    /// Links of a repository.
    pub(super) fn to(repo: &RepoName) -> Self {
        Self::of(repo.as_str())
    }

    /// The repository's first page.
    pub(super) fn root(&self) -> Address {
        Address::new("/repos").part(&self.repo)
    }

    /// A page below it.
    pub(super) fn page(&self, page: &str) -> Address {
        self.root().part(page)
    }

    /// The page of a commit.
    pub(super) fn commit(&self, commit: &CommitId) -> String {
        self.page("commits").part(commit.as_str()).into_text()
    }

    /// The page of a config.
    pub(super) fn config(&self, config: &ConfigName) -> String {
        self.page("configs").path(config.as_str()).into_text()
    }

    /// The page of an instance.
    pub(super) fn instance(&self, instance: &InstanceId) -> String {
        self.page("instances").part(instance.as_str()).into_text()
    }

    /// The page of an order that waits for a second person.
    pub(super) fn order(&self, id: &str) -> String {
        self.page("orders").part(id).into_text()
    }

    /// The page of a rollout.
    pub(super) fn rollout(&self, id: &str) -> String {
        self.page("rollouts").part(id).into_text()
    }
}
