//! `headwater token`: who may ask a service, kept in a file that the service reads.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use headwater_wire::Timestamp;
use serde::Serialize;

use super::Environment;
use super::failure::{Exit, Failure};
use super::options::{Output, label};
use super::out::{Out, Tone};
use super::text::{Cell, age, columns};
use crate::auth::{self, Entry, Role, TokensError};
use crate::settings::duration;

/// Where the file is, unless somebody says otherwise.
const FILE_DEFAULT: &str = "headwater-tokens.toml";

const EXAMPLES: &str = "\
Examples:
  headwater token create payments --role instance --config 'payments/*' --instance 'payments-*'
  headwater token create ann@example.org --role operator --expires-in 90d
  headwater token list
  headwater token revoke ann@example.org

Then start the service with it:
  HEADWATER_TOKENS_FILE=headwater-tokens.toml headwater serve --repo ../config
  HEADWATER_TOKEN=hw_… headwater status";

/// Make, list and take back the tokens that let somebody ask a service
///
/// They are kept in a file, as digests, which the service reads again when it changes: a token that is taken back is
/// refused within two seconds, and what is open for it ends. A role says what it is for: `instance` gets configs and
/// reports, `reader` sees everything, `operator` also moves rollouts and rolls back, `admin` also takes backups.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Token {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Create(Create),
    List(List),
    Revoke(Revoke),
}

#[derive(Debug, Args)]
struct Place {
    #[arg(long, value_name = "FILE")]
    #[arg(help = "File of tokens [env: HEADWATER_TOKENS_FILE] [default: headwater-tokens.toml]")]
    file: Option<PathBuf>,
}

/// Make a token, and print it once
///
/// It is printed alone on standard output, and is nowhere else: the file has its digest.
#[derive(Debug, Args)]
struct Create {
    /// Whose it is; stands in logs, and with what is decided by it
    name: String,
    /// What it is for
    #[arg(long, value_name = "ROLE", value_enum)]
    role: Role,
    /// When it ends by itself, such as 90d or 12h [default: never]
    #[arg(long, value_name = "TIME", value_parser = lasting)]
    expires_in: Option<Duration>,
    /// Bind it to this repository; may be repeated, and may be a glob, as the others may
    #[arg(long = "in-repo", value_name = "GLOB")]
    repos: Vec<String>,
    /// Bind it to configs of this name
    #[arg(long = "config", value_name = "GLOB")]
    configs: Vec<String>,
    /// Let it speak for instances of this name alone
    #[arg(long = "instance", value_name = "GLOB")]
    instances: Vec<String>,
    /// Let it speak for instances with this label alone
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    #[command(flatten)]
    place: Place,
}

/// Show the tokens that there are, without themselves
#[derive(Debug, Args)]
struct List {
    /// How to print them [default: text]
    #[arg(long, value_name = "FORMAT", value_enum, hide_possible_values = true)]
    output: Option<Output>,
    #[command(flatten)]
    place: Place,
}

/// Take a token back
#[derive(Debug, Args)]
struct Revoke {
    /// Its name
    name: String,
    #[command(flatten)]
    place: Place,
}

impl Place {
    fn path(&self, environment: &Environment) -> PathBuf {
        let variable = environment
            .variables
            .iter()
            .find(|(name, _)| name == "HEADWATER_TOKENS_FILE");
        let named = self
            .file
            .clone()
            .or_else(|| variable.map(|(_, path)| PathBuf::from(path)));
        named.unwrap_or_else(|| PathBuf::from(FILE_DEFAULT))
    }
}

impl Token {
    pub(super) fn run(
        self,
        environment: &Environment,
        out: &mut Out<'_>,
        err: &mut Out<'_>,
    ) -> Result<Exit, Failure> {
        match self.what {
            What::Create(create) => create.run(environment, out, err),
            What::List(list) => list.run(environment, out),
            What::Revoke(revoke) => {
                let path = revoke.place.path(environment);
                auth::revoke(&path, &revoke.name).map_err(|error| failed(&error))?;
                out.line(format!(
                    "`{}` is taken back: services that read `{}` refuse it",
                    revoke.name,
                    path.display()
                ))?;
                Ok(Exit::Fine)
            }
        }
    }
}

impl Create {
    fn run(self, environment: &Environment, out: &mut Out<'_>, err: &mut Out<'_>) -> Result<Exit, Failure> {
        let path = self.place.path(environment);
        let now = (environment.now)();
        let later = |time: Duration| {
            now.0
                .saturating_add(i64::try_from(time.as_millis()).unwrap_or(i64::MAX))
        };
        let entry = Entry {
            name: self.name,
            role: self.role,
            digest: String::new(),
            san: Vec::new(),
            created: Some(now),
            expires: self.expires_in.map(|time| Timestamp(later(time))),
            repos: self.repos,
            configs: self.configs,
            instances: self.instances,
            labels: self.labels.into_iter().collect::<BTreeMap<_, _>>(),
        };
        let name = entry.name.clone();
        let token = auth::create(&path, entry).map_err(|error| failed(&error))?;
        out.line(token.expose())?;
        err.line(format!(
            "`{name}` is in `{}`; the token above is shown this once",
            path.display()
        ))?;
        Ok(Exit::Fine)
    }
}

/// A token as it is listed.
#[derive(Debug, Serialize)]
struct Row<'a> {
    #[serde(flatten)]
    entry: &'a Entry,
    expired: bool,
}

impl List {
    fn run(&self, environment: &Environment, out: &mut Out<'_>) -> Result<Exit, Failure> {
        let path = self.place.path(environment);
        let entries = auth::list(&path).map_err(|error| failed(&error))?;
        let now = (environment.now)();
        let rows: Vec<Row<'_>> = entries
            .iter()
            .map(|entry| Row {
                entry,
                expired: entry.expires.is_some_and(|expires| expires <= now),
            })
            .collect();
        if self.output == Some(Output::Json) {
            out.json(&rows)?;
            return Ok(Exit::Fine);
        }
        if rows.is_empty() {
            out.line(format!(
                "`{}` has no tokens; `headwater token create` makes one",
                path.display()
            ))?;
            return Ok(Exit::Fine);
        }
        let table: Vec<Vec<Cell>> = rows.iter().map(|row| row.cells(now)).collect();
        for line in columns(&table, out.paint()) {
            out.line(line)?;
        }
        Ok(Exit::Fine)
    }
}

impl Row<'_> {
    fn cells(&self, now: Timestamp) -> Vec<Cell> {
        let entry = self.entry;
        let ends = match entry.expires {
            Some(expires) if self.expired => format!("expired {}", age(now, expires)),
            Some(expires) => format!("until {expires}"),
            None => "never ends".to_owned(),
        };
        let bound = |what: &str, globs: &[String]| {
            (!globs.is_empty()).then(|| format!("{what} {}", globs.join(", ")))
        };
        let labels: Vec<String> = entry
            .labels
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        let bounds = [
            bound("repos", &entry.repos),
            bound("configs", &entry.configs),
            bound("instances", &entry.instances),
            bound("labels", &labels),
        ];
        let bounds: Vec<String> = bounds.into_iter().flatten().collect();
        [
            entry.name.clone(),
            entry.role.to_string(),
            ends,
            bounds.join("; "),
        ]
        .map(|text| (Tone::Normal, text))
        .into()
    }
}

/// How long a token lasts: not at all is a mistake, and after a hundred years nobody knows what it was.
fn lasting(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    if time.is_zero() || time > Duration::from_hours(100 * 366 * 24) {
        return Err(format!("expected between `1s` and a hundred years, not `{text}`"));
    }
    Ok(time)
}

fn failed(error: &TokensError) -> Failure {
    let hint = error.hint();
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
    Failure::Refused {
        message: format!("{error}{}", cause.unwrap_or_default()),
        hint,
    }
}
