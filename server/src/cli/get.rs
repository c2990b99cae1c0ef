//! `headwater get`: a config, or one value of it.

use std::time::Duration;

use clap::Args;
use headwater_client::{ApiError, ConfigAnswer, ConfigQuery, Fetched, Format, RepoApi};
use headwater_wire::{CommitId, ConfigName, InstanceId, SnapshotBody};
use serde_json::Value;

use super::failure::{Exit, Failure};
use super::options::{Output, ServerOptions, Session, label, pointer, revision};
use super::out::Out;

const EXAMPLES: &str = "\
Examples:
  headwater get payments/prod
  headwater get payments/prod /pool/max
  headwater get payments/prod --format toml --at v1.4 --label region=eu-west
  headwater get payments/prod --min-version \"$(git rev-parse HEAD)\"   # after a push";

/// Print a config, or one value of it
///
/// Prints what a client with these labels should hold now, or held at a revision: the merged document, or the value
/// at a JSON pointer; a single text, number or truth value is printed bare. With --output json, the whole answer of
/// the API, with version, tip, digest and sources.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Get {
    /// Name of the config, such as payments/prod
    config: ConfigName,
    /// JSON pointer of one value, such as /pool/max
    #[arg(value_parser = pointer)]
    pointer: Option<String>,
    /// Print the server's own rendering: toml, json or yaml
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
    /// At this revision instead of now: a commit id, a tag, the followed branch or `HEAD~1`
    #[arg(long, value_name = "REV", value_parser = revision)]
    at: Option<String>,
    /// Label of the client that asks; may be given several times
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// Name of the client that asks
    #[arg(long, value_name = "ID", conflicts_with = "at")]
    instance: Option<InstanceId>,
    /// Wait until this commit or a descendant is published
    #[arg(long, value_name = "COMMIT", conflicts_with = "at")]
    min_version: Option<CommitId>,
    /// How long to wait for --min-version, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=300))]
    wait: u64,
    /// Print only the commit at which the content became what it is
    #[arg(long, conflicts_with_all = ["pointer", "format"])]
    raw_version: bool,
    #[command(flatten)]
    pub(super) server: ServerOptions,
}

/// What is printed; it decides what is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// The rendering of the server, byte by byte.
    Rendering,
    /// One value.
    Value,
    /// The version alone.
    Version,
    /// The document.
    Document,
    /// The whole answer.
    Snapshot,
}

impl Get {
    pub(super) async fn run(&self, session: &Session, out: &mut Out<'_>) -> Result<Exit, Failure> {
        let shape = self.shape(session.output);
        let repo = session.repo().await?;
        let query = self.query(shape);
        let answer = match &self.at {
            Some(rev) => {
                repo.config_at(&resolve(&repo, rev).await?, &self.config, &query)
                    .await?
            }
            None => match repo.config(&self.config, &query).await? {
                Fetched::Modified(answer) => answer,
                Fetched::NotModified(_) => return Err(not_asked_for(repo.server())),
            },
        };
        print(&answer, shape, out)?;
        Ok(Exit::Fine)
    }

    fn shape(&self, output: Output) -> Shape {
        match (self.format, &self.pointer, output) {
            _ if self.raw_version => Shape::Version,
            (Some(_), _, _) => Shape::Rendering,
            (None, Some(_), _) => Shape::Value,
            (None, None, Output::Text) => Shape::Document,
            (None, None, Output::Json) => Shape::Snapshot,
        }
    }

    fn query(&self, shape: Shape) -> ConfigQuery {
        ConfigQuery {
            instance: self.instance.clone(),
            labels: self.labels.iter().cloned().collect(),
            pointer: self.pointer.clone(),
            format: if shape == Shape::Value {
                Some(Format::Json)
            } else {
                self.format
            },
            wait: self.min_version.as_ref().map(|_| Duration::from_secs(self.wait)),
            min_version: self.min_version.clone(),
            ..ConfigQuery::default()
        }
    }
}

/// The commit that a revision names; a full id names itself.
async fn resolve(repo: &RepoApi, rev: &str) -> Result<CommitId, Failure> {
    match rev.parse() {
        Ok(commit) => Ok(commit),
        Err(_) => Ok(repo.commit(rev).await?.commit),
    }
}

fn not_asked_for(server: String) -> Failure {
    Failure::Api(ApiError::Status {
        server,
        status: 304,
        location: None,
        retry_after: None,
    })
}

fn print(answer: &ConfigAnswer, shape: Shape, out: &mut Out<'_>) -> Result<(), Failure> {
    match shape {
        Shape::Rendering => {
            out.raw(&answer.body)?;
            if !answer.body.ends_with(b"\n") {
                out.raw(b"\n")?;
            }
        }
        Shape::Value => print_value(&answer.value()?, out)?,
        Shape::Version => out.line(answer.snapshot()?.version.as_str())?,
        Shape::Document => out.json(&answer.snapshot()?.document)?,
        Shape::Snapshot => out.json::<SnapshotBody>(&answer.snapshot()?)?,
    }
    Ok(())
}

/// A text without its quotes, so that a shell can use it; everything else as JSON.
fn print_value(value: &Value, out: &mut Out<'_>) -> Result<(), Failure> {
    if let Value::String(text) = value {
        out.raw(text.as_bytes())?;
        out.raw(b"\n")?;
    } else {
        out.json(value)?;
    }
    Ok(())
}
