//! The typed calls, one function each, in the order of the API's table.
//!
//! Invariant: a function is one request. What is deliberately absent: retries, caching and decisions.

use std::sync::Arc;

use bytes::Bytes;
use headwater_wire::{
    AcceptRequest, CheckRequest, CheckView, CommitId, CommitPage, CommitView, ConfigList, ConfigName,
    ConfirmedView, DiffView, ExplainView, FleetView, HoldList, InstanceId, InstancePage, InstanceReport,
    InstanceView, OrderAnswer, OrderList, OrderView, OrderWordRequest, PlanView, ReleaseRequest, RepoList,
    RepoName, RepoPath, RepoView, ReportAnswer, RollbackList, RollbackPlanView, RollbackRequest,
    RollbackView, RolloutList, RolloutOrder, RolloutOrderRequest, RolloutView, Timestamp,
};
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderName, IF_NONE_MATCH};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::address::PathBuilder;
use crate::answer::{ConfigAnswer, Fetched, Standing, Token};
use crate::builder::ApiBuilder;
use crate::error::ApiError;
use crate::events::EventStream;
use crate::http::{Call, Connection};
use crate::query::{
    CommitsQuery, ConfigQuery, DiffQuery, EventsQuery, ExplainQuery, InstancesQuery, RolloutsQuery,
};
use crate::socket::EventSocket;

/// One server. Clones share its connections.
#[derive(Debug, Clone)]
pub struct Api {
    connection: Arc<Connection>,
}

impl Api {
    /// Begins with the address, such as `http://127.0.0.1:7171`.
    pub fn builder(server: &str) -> ApiBuilder {
        ApiBuilder::new(server)
    }

    pub(crate) fn new(connection: Arc<Connection>) -> Self {
        Self { connection }
    }

    /// The address, without credentials.
    pub fn server(&self) -> String {
        self.connection.server()
    }

    /// `GET /v1/repos`
    pub async fn repos(&self) -> Result<RepoList, ApiError> {
        self.json(Call::get(PathBuilder::new("/v1/repos")), "a list of repositories")
            .await
    }

    /// `GET /v1/admin/backup`: the decisions of all repositories, for `headwater restore`.
    pub async fn backup(&self) -> Result<Bytes, ApiError> {
        let call = Call::get(PathBuilder::new("/v1/admin/backup"));
        let response = self
            .connection
            .send(call.header(ACCEPT, HeaderValue::from_static("*/*")))
            .await?;
        self.connection.backup_body(response).await
    }

    /// The calls about one repository.
    pub fn in_repo(&self, repo: &RepoName) -> RepoApi {
        RepoApi {
            api: self.clone(),
            name: repo.clone(),
        }
    }

    async fn json<T: DeserializeOwned>(&self, call: Call, expected: &'static str) -> Result<T, ApiError> {
        let response = self.connection.send(call).await?;
        let body = self.connection.body(response).await?;
        serde_json::from_slice(&body).map_err(|error| self.connection.malformed(expected, error))
    }
}

/// The calls about one repository.
#[derive(Debug, Clone)]
pub struct RepoApi {
    api: Api,
    name: RepoName,
}

impl RepoApi {
    /// The repository's name.
    pub fn name(&self) -> &RepoName {
        &self.name
    }

    /// The server's address, without credentials.
    pub fn server(&self) -> String {
        self.api.server()
    }

    /// `GET /v1/repos/{repo}`
    pub async fn view(&self) -> Result<RepoView, ApiError> {
        self.api.json(Call::get(self.root()), "a repository").await
    }

    /// `GET …/configs`
    pub async fn configs(&self) -> Result<ConfigList, ApiError> {
        self.api
            .json(Call::get(self.root().literal("configs")), "a list of configs")
            .await
    }

    /// `GET …/configs/{config}`: what the client should hold now, or after the wait asked for.
    pub async fn config(&self, config: &ConfigName, query: &ConfigQuery) -> Result<Fetched, ApiError> {
        let path = query.all(self.root().literal("configs").name(config.as_str()));
        let mut call = Call::get(path).wait(query.longest_wait());
        if let Some(tokens) = query.if_none_match.as_ref().and_then(Token::header) {
            call = call.header(IF_NONE_MATCH, tokens);
        }
        if query.format.is_some() {
            call = call.header(ACCEPT, HeaderValue::from_static("*/*"));
        }
        self.fetch(call).await
    }

    /// `GET …/commits/{commit}/configs/{config}`; of the query, only labels, pointer and format count here.
    pub async fn config_at(
        &self,
        commit: &CommitId,
        config: &ConfigName,
        query: &ConfigQuery,
    ) -> Result<ConfigAnswer, ApiError> {
        let path = query.rendering(
            self.commit_path(commit.as_str())
                .literal("configs")
                .name(config.as_str()),
        );
        let call = Call::get(path).header(ACCEPT, HeaderValue::from_static("*/*"));
        match self.fetch(call).await? {
            Fetched::Modified(answer) => Ok(answer),
            Fetched::NotModified(_) => Err(self
                .api
                .connection
                .malformed("a config", "status 304 without being asked")),
        }
    }

    /// `GET …/commits/{commit}/files/{path}`: the bytes of the blob.
    pub async fn file_at(&self, commit: &CommitId, path: &RepoPath) -> Result<Bytes, ApiError> {
        let path = self
            .commit_path(commit.as_str())
            .literal("files")
            .name(path.as_str());
        let call = Call::get(path).header(ACCEPT, HeaderValue::from_static("*/*"));
        let response = self.api.connection.send(call).await?;
        self.api.connection.body(response).await
    }

    /// `GET …/commits`: one page of the history.
    pub async fn commits(&self, query: &CommitsQuery) -> Result<CommitPage, ApiError> {
        self.api
            .json(
                Call::get(query.all(self.root().literal("commits"))),
                "page of commits",
            )
            .await
    }

    /// `GET …/commits/{rev}`: the commit that a revision names.
    pub async fn commit(&self, rev: &str) -> Result<CommitView, ApiError> {
        self.api.json(Call::get(self.commit_path(rev)), "a commit").await
    }

    /// `GET …/diff`
    pub async fn diff(&self, query: &DiffQuery) -> Result<DiffView, ApiError> {
        self.api
            .json(Call::get(query.all(self.root().literal("diff"))), "a difference")
            .await
    }

    /// `GET …/explain/{config}`
    pub async fn explain(&self, config: &ConfigName, query: &ExplainQuery) -> Result<ExplainView, ApiError> {
        let path = query.all(self.root().literal("explain").name(config.as_str()));
        self.api.json(Call::get(path), "an explanation").await
    }

    /// `POST …/checks`: the verdict on a revision, without publishing it.
    pub async fn check(&self, rev: &str) -> Result<CheckView, ApiError> {
        let call = self.post("checks", &CheckRequest { rev: rev.to_owned() })?;
        self.api.json(call, "a verdict").await
    }

    /// `POST …/accept`: take a rewritten history. Gives the state in which the decision was kept; publishing follows.
    pub async fn accept(&self, request: &AcceptRequest) -> Result<OrderAnswer<RepoView>, ApiError> {
        self.api.json(self.post("accept", request)?, "a repository").await
    }

    /// `GET …/holds`
    pub async fn holds(&self) -> Result<HoldList, ApiError> {
        self.api
            .json(Call::get(self.root().literal("holds")), "a list of holds")
            .await
    }

    /// `POST …/holds/{id}/release`: expose what a rollback holds back. Gives what is still held.
    pub async fn release(
        &self,
        id: &str,
        request: &ReleaseRequest,
    ) -> Result<OrderAnswer<HoldList>, ApiError> {
        let path = self.root().literal("holds").segment(id).literal("release");
        let call = Call::post(path, self.written(request)?);
        self.api.json(call, "a list of holds").await
    }

    /// `POST …/rollbacks`: go back. May be repeated: the same request again is the same rollback.
    pub async fn roll_back(&self, request: &RollbackRequest) -> Result<OrderAnswer<RollbackView>, ApiError> {
        self.api
            .json(self.post("rollbacks", request)?, "a rollback")
            .await
    }

    /// `GET …/rollbacks/plan`: what the same request would do, or why it would be refused. Its reason, who asks and how
    /// the commit comes to the branch make no difference.
    pub async fn plan_rollback(&self, request: &RollbackRequest) -> Result<RollbackPlanView, ApiError> {
        let path = self.root().literal("rollbacks").literal("plan");
        let path = path
            .query_opt("to", request.to.as_ref())
            .query_opt("revert", request.revert.as_ref())
            .query_opt("mainline", request.mainline)
            .query_opt("config", request.config.as_ref())
            .query_opt("expected_tip", request.expected_tip.as_ref())
            .query_opt("force_invalid", request.force_invalid.then_some(true));
        self.api.json(Call::get(path), "a plan of a rollback").await
    }

    /// `GET …/rollbacks`
    pub async fn rollbacks(&self) -> Result<RollbackList, ApiError> {
        self.api
            .json(Call::get(self.root().literal("rollbacks")), "a list of rollbacks")
            .await
    }

    /// `GET …/rollbacks/{id}`
    pub async fn rollback(&self, id: &str) -> Result<RollbackView, ApiError> {
        let path = self.root().literal("rollbacks").segment(id);
        self.api.json(Call::get(path), "a rollback").await
    }

    /// `GET …/rollouts`
    pub async fn rollouts(&self, query: &RolloutsQuery) -> Result<RolloutList, ApiError> {
        let path = query.all(self.root().literal("rollouts"));
        self.api.json(Call::get(path), "a list of rollouts").await
    }

    /// `GET …/rollouts/{id}`: one rollout with what was decided.
    pub async fn rollout(&self, id: &str) -> Result<RolloutView, ApiError> {
        let path = self.root().literal("rollouts").segment(id);
        self.api.json(Call::get(path), "a rollout").await
    }

    /// `POST …/rollouts/{id}/{promote,pause,resume,abort}`: gives the rollout as it is then.
    pub async fn order(
        &self,
        id: &str,
        order: RolloutOrder,
        request: &RolloutOrderRequest,
    ) -> Result<OrderAnswer<RolloutView>, ApiError> {
        let path = self
            .root()
            .literal("rollouts")
            .segment(id)
            .literal(order.as_str());
        let call = Call::post(path, self.written(request)?);
        self.api.json(call, "a rollout").await
    }

    /// `GET …/orders`: orders that wait for a second person, and what became of others.
    pub async fn orders(&self) -> Result<OrderList, ApiError> {
        let path = self.root().literal("orders");
        self.api.json(Call::get(path), "a list of orders").await
    }

    /// `POST …/orders/{id}/confirm`: has an order of another person carried out.
    pub async fn confirm(&self, id: &str, request: &OrderWordRequest) -> Result<ConfirmedView, ApiError> {
        let path = self.root().literal("orders").segment(id).literal("confirm");
        let call = Call::post(path, self.written(request)?);
        self.api.json(call, "a confirmed order").await
    }

    /// `POST …/orders/{id}/withdraw`: takes an order back that one gave and that waits.
    pub async fn withdraw(&self, id: &str, request: &OrderWordRequest) -> Result<OrderView, ApiError> {
        let path = self.root().literal("orders").segment(id).literal("withdraw");
        let call = Call::post(path, self.written(request)?);
        self.api.json(call, "an order").await
    }

    /// `GET …/plan`: what a commit would touch if it were exposed now.
    pub async fn plan(&self, rev: &str) -> Result<PlanView, ApiError> {
        let path = self.root().literal("plan").query("rev", rev);
        self.api.json(Call::get(path), "a plan").await
    }

    /// `PUT …/instances/{instance}`: what an instance runs; gives what it should. May be repeated: the same report
    /// twice is one report.
    pub async fn report(
        &self,
        instance: &InstanceId,
        report: &InstanceReport,
    ) -> Result<ReportAnswer, ApiError> {
        let json = self.written(report)?;
        self.api
            .json(
                Call::put(self.instance_path(instance), json),
                "an answer to a report",
            )
            .await
    }

    /// `DELETE …/instances/{instance}?incarnation=`: this life of an instance ends.
    pub async fn leave(&self, instance: &InstanceId, incarnation: u64) -> Result<(), ApiError> {
        let path = self.instance_path(instance);
        let path = path.query("incarnation", &incarnation.to_string());
        self.api.connection.send(Call::delete(path)).await.map(drop)
    }

    /// `DELETE …/instances/{instance}`: forgets an instance, as a person wishes: its next report is its first.
    pub async fn forget(&self, instance: &InstanceId) -> Result<(), ApiError> {
        let call = Call::delete(self.instance_path(instance));
        self.api.connection.send(call).await.map(drop)
    }

    /// `GET …/instances`: one page of the newest reports. A page may be short, or empty, although more follow: go on
    /// with its `next`.
    pub async fn instances(&self, query: &InstancesQuery) -> Result<InstancePage, ApiError> {
        let path = query.all(self.root().literal("instances"));
        self.api.json(Call::get(path), "a page of instances").await
    }

    /// `GET …/instances/{instance}`: one instance with what it ran, or with what was last heard of it at a time.
    pub async fn instance(
        &self,
        instance: &InstanceId,
        at: Option<Timestamp>,
    ) -> Result<InstanceView, ApiError> {
        let path = self.instance_path(instance).query_opt("at", at);
        self.api.json(Call::get(path), "an instance").await
    }

    /// `GET …/fleet`: how many instances there are of what, of one config or of all.
    pub async fn fleet(&self, config: Option<&ConfigName>) -> Result<FleetView, ApiError> {
        let path = self.root().literal("fleet").query_opt("config", config);
        self.api.json(Call::get(path), "the counts of a fleet").await
    }

    /// `GET …/events`: opens a stream, which ends with the first fault; see [`Watch`](crate::Watch) for one that
    /// comes back.
    pub async fn events(&self, query: &EventsQuery) -> Result<EventStream, ApiError> {
        let path = query.all(self.root().literal("events"));
        let mut call = Call::get(path)
            .header(ACCEPT, HeaderValue::from_static("text/event-stream"))
            .header(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(id) = query
            .last_event_id
            .as_deref()
            .and_then(|id| HeaderValue::from_str(id).ok())
        {
            call = call.header(HeaderName::from_static("last-event-id"), id);
        }
        let response = self.api.connection.send(call).await?;
        let content_type = response
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("");
        let media_type = content_type.split(';').next().unwrap_or("").trim();
        if response.status() != StatusCode::OK || !media_type.eq_ignore_ascii_case("text/event-stream") {
            let content_type = content_type.chars().take(80).collect();
            return Err(ApiError::NotAStream {
                server: self.api.server(),
                content_type,
            });
        }
        Ok(EventStream::new(
            response.into_body(),
            Arc::clone(&self.api.connection),
        ))
    }

    /// `GET …/socket`: opens a WebSocket that tells the same events; ends with the first fault.
    pub(crate) async fn socket(&self, query: &EventsQuery) -> Result<EventSocket, ApiError> {
        let path = query
            .all(self.root().literal("socket"))
            .query_opt("have", query.last_event_id.as_deref());
        EventSocket::open(Arc::clone(&self.api.connection), path).await
    }

    pub(crate) fn connection(&self) -> &Arc<Connection> {
        &self.api.connection
    }

    async fn fetch(&self, call: Call) -> Result<Fetched, ApiError> {
        let connection = &self.api.connection;
        let response = connection.send(call).await?;
        let standing = Standing::read(response.headers());
        if response.status() == StatusCode::NOT_MODIFIED {
            return Ok(Fetched::NotModified(standing));
        }
        let body = connection.body(response).await?;
        Ok(Fetched::Modified(ConfigAnswer {
            standing,
            body,
            server: connection.server(),
        }))
    }

    fn root(&self) -> PathBuilder {
        PathBuilder::new("/v1/repos").segment(self.name.as_str())
    }

    fn commit_path(&self, rev: &str) -> PathBuilder {
        self.root().literal("commits").segment(rev)
    }

    fn instance_path(&self, instance: &InstanceId) -> PathBuilder {
        self.root().literal("instances").segment(instance.as_str())
    }

    fn post<T: Serialize>(&self, noun: &str, body: &T) -> Result<Call, ApiError> {
        Ok(Call::post(self.root().literal(noun), self.written(body)?))
    }

    fn written<T: Serialize>(&self, body: &T) -> Result<Vec<u8>, ApiError> {
        serde_json::to_vec(body).map_err(|error| self.api.connection.malformed("a request", error))
    }
}
