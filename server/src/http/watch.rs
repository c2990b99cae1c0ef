//! The current config, at once or as a long poll: one `GET`, one comparison.
//!
//! Invariant: a watcher takes its seat before it compares, so a change between the two wakes it; it is answered only with
//! what the comparison allows, so a replica that lags never takes a client backwards.

use std::iter;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use headwater_core::{Answer as Compared, Freshness, Token};
use headwater_validators::Effective;
use headwater_wire::{ChangeKind, CommitId, ConfigName, Phase, Problem, ProblemCode};
use http::HeaderMap;
use tokio::time::Instant;

use super::answer;
use super::extract::{self, Asker, Pairs, Representation};
use super::problem::{Answer, Result, config_not_found, not_ready};
use super::state::App;
use crate::pipeline::Fresh;
use crate::publish::{Exposed, Published, Told, Who};
use crate::repo::{Repo, RepoError};

/// Longest wait for the one listing that a request may force.
pub(super) const FRESH_DEADLINE: Duration = Duration::from_secs(20);

/// One request for a current config.
struct Watch {
    repo: Arc<Repo>,
    config: ConfigName,
    asker: Asker,
    representation: Representation,
    held: Vec<Token>,
    /// The client named something that is no token of ours.
    holds_unknown: bool,
}

/// `GET /v1/repos/{repo}/configs/{config}`, with or without `wait`.
pub(super) async fn current(
    State(app): State<App>,
    Path((repo, config)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result {
    let pairs = Pairs::read(query.as_deref())?;
    let wait = extract::wait(&pairs, &headers)?;
    let held = extract::held(&headers);
    let repo = extract::repo(&app, &repo)?;
    let watch = Watch {
        config: extract::config(&config)?,
        asker: Asker::known_to(&repo, &pairs)?,
        repo,
        representation: Representation::read(&pairs)?,
        holds_unknown: held.is_empty() && extract::holds_something(&headers),
        held,
    };
    let started = Instant::now();
    if let Some(commit) = pairs.parsed::<CommitId>("min_version", "`min_version` takes a full commit id")? {
        watch
            .until_published(&commit, started + extract::wait_or_default(wait))
            .await?;
    }
    // Spread over the last fifth, so that watchers which began together do not come back together.
    let deadline = wait.map(|wait| started + wait.mul_f64(0.8 + 0.2 * rand::random::<f64>()));
    watch.answer(deadline).await
}

impl Watch {
    /// Compares, and waits while the client holds what it should.
    async fn answer(&self, deadline: Option<Instant>) -> Result {
        let mut freshness = Freshness::NotAsked;
        let mut changed = None;
        // A seat first, then read: what is published from here on wakes us.
        let seat = self.repo.board.wait_for(&self.config);
        loop {
            let published = self.repo.board.read();
            let told = self.told(&published)?;
            let effective = told.exposed.config.select(&self.asker.labels);
            let token = self.token(&told, effective);
            let compared = match self.held_token(&token) {
                None if self.holds_unknown => Compared::Target(ChangeKind::UnknownBase),
                held => {
                    let told = (&self.config, &told);
                    self.repo.compare(held, told, &token, freshness).await?
                }
            };
            match compared {
                Compared::Target(change) => {
                    if let Some(changed) = changed {
                        self.repo.metrics.woke(changed);
                        let version = (&self.config, &told.exposed.target.version);
                        self.repo
                            .flights
                            .woke(version, self.asker.instance.as_ref(), changed);
                    }
                    return self.target(&published, &told, effective, (token, change));
                }
                Compared::AskUpstream => freshness = self.ask_upstream().await?,
                Compared::ReplicaBehind => return Err(replica_behind(&published)),
                Compared::UpToDate | Compared::Hold => {
                    let until = deadline.filter(|deadline| *deadline > Instant::now());
                    let Some(until) = until else {
                        let change = last_change(&told.exposed);
                        return Ok(answer::not_modified(answer::headers(&published, &token, change)));
                    };
                    // Cancel-safe: all three only wait.
                    tokio::select! {
                        rung = seat.rung() => changed = rung.changed,
                        () = tokio::time::sleep_until(until) => {}
                        () = self.repo.draining().cancelled() => {
                            let change = last_change(&told.exposed);
                            return Ok(answer::not_modified(answer::headers(&published, &token, change)));
                        }
                    }
                }
            }
        }
    }

    /// The token to compare with: the one that equals the target if the client named several, else the first.
    fn held_token(&self, target: &Token) -> Option<&Token> {
        self.held
            .iter()
            .find(|held| *held == target)
            .or(self.held.first())
    }

    /// What the asker should hold. A bare value cannot say that it is only to be got ready for, so whoever asks for one
    /// goes on getting what he is to run.
    fn told(&self, published: &Published) -> Result<Told> {
        let told = told(&self.repo, published, &self.config, self.asker.who())?;
        if told.phase == Phase::Prepare && self.representation.token_part().is_some() {
            return Ok(published.stable(&self.config).unwrap_or(told));
        }
        Ok(told)
    }

    fn token(&self, told: &Told, effective: &Effective) -> Token {
        let token = told.token(effective);
        Token {
            representation: self.representation.token_part().or(token.representation),
            ..token
        }
    }

    fn target(
        &self,
        published: &Published,
        told: &Told,
        effective: &Effective,
        (token, change): (Token, ChangeKind),
    ) -> Result<Response> {
        if let Some(instance) = &self.asker.instance {
            self.repo
                .told(instance, iter::once((&self.config, told.generation)));
        }
        let headers = answer::headers(published, &token, change);
        if let Some((body, media_type)) = answer::represent(effective, &self.representation)? {
            return Ok(answer::ok(headers, body, media_type));
        }
        let version = &told.exposed.target.version;
        let tip = published.state.tip.as_ref().unwrap_or(version);
        let body = snapshot_body(&self.repo, &self.config, told, (tip, effective));
        Ok(answer::ok(headers, body, "application/json"))
    }

    async fn ask_upstream(&self) -> Result<Freshness> {
        Ok(match self.repo.fresh_listing(FRESH_DEADLINE).await? {
            Fresh::Listed => Freshness::Fresh,
            Fresh::Failed => Freshness::Failed,
        })
    }

    /// Waits until `commit` or a descendant is exposed: who pushed it reads his own write.
    async fn until_published(&self, commit: &CommitId, deadline: Instant) -> Result<()> {
        // The commit may have been pushed a moment ago. One listing is enough: polling goes on anyway.
        let listing = self.repo.fresh_listing(FRESH_DEADLINE);
        let mut listing = std::pin::pin!(listing);
        let mut listed = false;
        loop {
            let mut news = self.repo.board.watch_published();
            // A service that has just started knows its tip before it can hand anything out, or look into the mirror.
            let is_ready = news.borrow_and_update().snapshot.is_some();
            if is_ready && self.repo.tip_contains(commit).await? {
                return Ok(());
            }
            // Cancel-safe: all of them only wait. What a delivery brings is not held up by the listing.
            tokio::select! {
                _ = news.changed() => {}
                done = &mut listing, if !listed => {
                    done?;
                    listed = true;
                }
                () = self.repo.draining().cancelled() => return Err(RepoError::Ended.into()),
                () = tokio::time::sleep_until(deadline) => {
                    let detail = format!("neither {commit} nor a descendant was published in time");
                    let problem = Problem::new(ProblemCode::NotPublished, detail);
                    return Err(problem.hint("GET /v1/repos/{repo} tells whether the head was rejected").into());
                }
            }
        }
    }
}

/// The rendered snapshot body of a config, shared by all who read it at this tip.
pub(super) fn snapshot_body(
    repo: &Repo,
    config: &ConfigName,
    told: &Told,
    (tip, effective): (&CommitId, &Effective),
) -> bytes::Bytes {
    let Told {
        exposed,
        generation,
        phase,
    } = told;
    let frame = answer::Frame {
        repo: repo.name(),
        config,
        version: &exposed.target.version,
        tip,
        generation: *generation,
        phase: *phase,
    };
    let as_told = (effective, *generation, *phase);
    exposed.body(tip, as_told, || answer::body(frame, effective))
}

/// What an asker should hold of a config, or why there is nothing.
pub(super) fn told(repo: &Repo, published: &Published, config: &ConfigName, who: Who<'_>) -> Result<Told> {
    let Some(snapshot) = &published.snapshot else {
        return Err(not_ready(repo.name(), published.source.error.as_deref()));
    };
    if let Some(told) = published.told(config, who) {
        return Ok(told);
    }
    let valid = snapshot.judged.valid.as_ref();
    if let Some(path) = valid.and_then(|valid| valid.unreadable().get(config)) {
        return Err(config_unreadable(config, path.as_str()));
    }
    let names = snapshot.configs.keys().map(ConfigName::as_str);
    let near = headwater_validators::closest(config.as_str(), names);
    Err(config_not_found(config, &snapshot.commit, near))
}

/// A file of a repository without a manifest that never parsed.
pub(super) fn config_unreadable(config: &ConfigName, path: &str) -> Answer {
    Problem::new(
        ProblemCode::ConfigUnreadable,
        format!("`{config}` cannot be read: `{path}` does not parse"),
    )
    .hint(format!(
        "its bytes are at …/commits/{{commit}}/files/{path}; GET …/commits/{{rev}} has the findings"
    ))
    .into()
}

/// The client may be newer than this replica.
pub(super) fn replica_behind(published: &Published) -> Answer {
    let problem = Problem::new(
        ProblemCode::ReplicaBehind,
        "the upstream cannot be asked, and what you hold may be newer than what this replica knows",
    )
    .hint("keep what you hold and try again, or ask another replica");
    match &published.state.tip {
        Some(tip) => problem.actual(tip.clone()).into(),
        None => problem.into(),
    }
}

/// How the present target came about: what a 304 says of it.
pub(super) fn last_change(exposed: &Exposed) -> ChangeKind {
    match exposed.target.past.first() {
        None => ChangeKind::Initial,
        Some((before, _)) if exposed.target.restores(before) => ChangeKind::Rollback,
        Some(_) => ChangeKind::Forward,
    }
}
