//! The forges to speak to: their keys, and what must be true of each.
//!
//! Invariant: a token is never sent in clear text to another machine, and never to an address that was not set.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;

use headwater_wire::{HookName, RepoName};
use reqwest::Url;

use super::keys::{Key, path, put};
use super::named::{Named, Wrong, wrong};
use super::source::{Mistake, Place};
use super::{ForgeSettings, PullRequests, RELIST, RepoSettings};
use crate::forge::{ApiKind, Credential, ForgeKind, remote_path};

/// Context of commit statuses where none is said.
const CONTEXT: &str = "headwater";

/// One forge's values while they are being collected.
#[derive(Debug, Clone)]
pub(super) struct ForgeDraft {
    place: Place,
    name: String,
    kind: Option<ForgeKind>,
    api_url: Option<String>,
    project: Option<String>,
    repo: Option<RepoName>,
    token_file: Option<PathBuf>,
    app_id: Option<String>,
    app_key_file: Option<PathBuf>,
    app_installation: Option<String>,
    context: Option<String>,
    pull_requests: PullRequests,
}

const FORGE_KEYS: &[Key<ForgeDraft>] = &[
    Key {
        name: "kind",
        help: "whose API it has: github, gitea, forgejo, gitlab",
        default: "",
        set: |draft, text| put(&mut draft.kind, text.parse().map(Some)),
    },
    Key {
        name: "api_url",
        help: "where its API begins, such as `https://git.example.com/api/v1`; github.com and gitlab.com need none",
        default: "",
        set: |draft, text| put(&mut draft.api_url, http_address(text).map(Some)),
    },
    Key {
        name: "project",
        help: "`owner/name` there, or a project's id at GitLab; else what the repository's settings say",
        default: "",
        set: |draft, text| put(&mut draft.project, Ok(Some(text.trim_matches('/').to_owned()))),
    },
    Key {
        name: "repo",
        help: "repository of this service that it holds; may be left out where there is one",
        default: "",
        set: |draft, text| {
            draft.repo = Some(text.parse().map_err(|e: headwater_wire::IdError| e.to_string())?);
            Ok(())
        },
    },
    Key {
        name: "token_file",
        help: "file with a token that may set commit statuses and open pull requests; read again when it is refused",
        default: "",
        set: |draft, text| put(&mut draft.token_file, path(text).map(Some)),
    },
    Key {
        name: "app_id",
        help: "id or client id of a GitHub App, instead of a token",
        default: "",
        set: |draft, text| put(&mut draft.app_id, Ok(Some(text.to_owned()))),
    },
    Key {
        name: "app_key_file",
        help: "PEM file with the private key of the App",
        default: "",
        set: |draft, text| put(&mut draft.app_key_file, path(text).map(Some)),
    },
    Key {
        name: "app_installation",
        help: "id of the App's installation",
        default: "",
        set: |draft, text| put(&mut draft.app_installation, Ok(Some(text.to_owned()))),
    },
    Key {
        name: "context",
        help: "name under which commit statuses appear",
        default: CONTEXT,
        set: |draft, text| put(&mut draft.context, Ok(Some(text.to_owned()))),
    },
    Key {
        name: "pull_requests",
        help: "`judge` tells on open pull requests what would become of them; `ignore` does not look at them",
        default: "judge",
        set: |draft, text| {
            draft.pull_requests = match text {
                "judge" => PullRequests::Judge,
                "ignore" => PullRequests::Ignore,
                other => return Err(format!("expected `judge` or `ignore`, not `{other}`")),
            };
            Ok(())
        },
    },
];

impl Named for ForgeDraft {
    const TABLE: &'static str = "forge";
    const KEYS: &'static [Key<Self>] = FORGE_KEYS;

    fn at(place: Place, name: &str) -> Self {
        Self {
            place,
            name: name.to_owned(),
            kind: None,
            api_url: None,
            project: None,
            repo: None,
            token_file: None,
            app_id: None,
            app_key_file: None,
            app_installation: None,
            context: None,
            pull_requests: PullRequests::default(),
        }
    }

    fn place(&self) -> &Place {
        &self.place
    }

    fn name(&self) -> &str {
        &self.name
    }
}

/// An address of HTTP without credentials in it and without a slash at its end.
pub(super) fn http_address(text: &str) -> Result<String, String> {
    let expected = || "expected an address such as `https://config.example.com`".to_owned();
    let url: Url = text.parse().map_err(|_| expected())?;
    if !matches!(url.scheme(), "http" | "https") || url.query().is_some() || url.fragment().is_some() {
        return Err(expected());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("expected an address without user and password".to_owned());
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// Whether what is sent there could be read on the way.
pub(crate) fn is_clear_text(address: &str) -> bool {
    let Ok(url) = address.parse::<Url>() else {
        return true;
    };
    let host = url.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let is_loopback =
        bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    url.scheme() != "https" && !is_loopback
}

/// The forges, and what is wrong with them.
pub(super) fn finish(
    drafts: &[ForgeDraft],
    repos: &[RepoSettings],
    mistakes: &mut Vec<Mistake>,
) -> Vec<ForgeSettings> {
    let mut held = BTreeSet::new();
    let mut forges = Vec::new();
    for draft in drafts {
        match whole(draft, repos) {
            Ok(forge) if !held.insert(forge.repo.clone()) => {
                let message = format!("two forges hold `{}`", forge.repo);
                mistakes.push(Mistake::new(draft.place.clone(), message).hint("keep one of them"));
            }
            Ok(forge) => forges.push(forge),
            Err((what, hint)) => {
                let message = format!("forge `{}` {what}", draft.name);
                mistakes.push(Mistake::new(draft.place.clone(), message).hint(hint));
            }
        }
    }
    forges
}

fn whole(draft: &ForgeDraft, repos: &[RepoSettings]) -> Result<ForgeSettings, Wrong> {
    if draft.name.parse::<HookName>().is_err() {
        return wrong(
            "has a name that is none",
            "use lower-case letters, digits, `.`, `_`, `-`",
        );
    }
    let Some(kind) = draft.kind.and_then(ApiKind::of) else {
        return wrong(
            "has no `kind` that can be spoken to",
            "say github, gitea, forgejo or gitlab",
        );
    };
    let repo = repo(draft, repos)?;
    let api_url = api_url(draft, kind)?;
    let by_repo = || {
        repo.forge_repo
            .clone()
            .or_else(|| remote_path(&repo.upstream.url))
    };
    let project = draft.project.clone().or_else(by_repo).unwrap_or_default();
    let is_number = !project.is_empty() && project.bytes().all(|byte| byte.is_ascii_digit());
    let is_id = is_number && kind == ApiKind::GitLab;
    let parts = project.split('/');
    let is_name = parts.clone().count() >= 2 && parts.clone().all(|part| !matches!(part, "" | "." | ".."));
    let is_deep = parts.count() > 2;
    if !is_id && (!is_name || (is_deep && kind != ApiKind::GitLab)) {
        return wrong("has no `project`", "set `project = \"owner/name\"`");
    }
    Ok(ForgeSettings {
        name: draft.name.clone(),
        kind,
        api_url,
        project,
        repo: repo.name.clone(),
        credential: credential(draft, kind)?,
        ca_file: repo.upstream.ca_file.clone(),
        proxy: repo.upstream.proxy.clone(),
        context: draft.context.clone().unwrap_or_else(|| CONTEXT.to_owned()),
        pull_requests: draft.pull_requests,
        relist: RELIST,
    })
}

fn repo<'a>(draft: &ForgeDraft, repos: &'a [RepoSettings]) -> Result<&'a RepoSettings, Wrong> {
    let found = match (&draft.repo, repos) {
        (Some(name), _) => repos.iter().find(|repo| repo.name == *name),
        (None, [only]) => Some(only),
        (None, _) => None,
    };
    match found {
        Some(repo) => Ok(repo),
        None => wrong(
            "does not say which repository it holds",
            "set `repo` to the name of a `[[repo]]`",
        ),
    }
}

fn api_url(draft: &ForgeDraft, kind: ApiKind) -> Result<String, Wrong> {
    let url = match (&draft.api_url, kind) {
        (Some(url), _) => url.clone(),
        (None, ApiKind::GitHub) => "https://api.github.com".to_owned(),
        (None, ApiKind::GitLab) => "https://gitlab.com/api/v4".to_owned(),
        (None, ApiKind::Gitea) => return wrong("has no `api_url`", "set it to `https://HOST/api/v1`"),
    };
    if is_clear_text(&url) {
        return wrong("would be sent a token in clear text", "use an https address");
    }
    Ok(url)
}

fn credential(draft: &ForgeDraft, kind: ApiKind) -> Result<Credential, Wrong> {
    let app = (&draft.app_id, &draft.app_key_file, &draft.app_installation);
    match (&draft.token_file, app) {
        (Some(file), (None, None, None)) => Ok(Credential::Token { file: file.clone() }),
        (None, (Some(app_id), Some(key_file), Some(installation_id))) if kind == ApiKind::GitHub => {
            Ok(Credential::App {
                app_id: app_id.clone(),
                key_file: key_file.clone(),
                installation_id: installation_id.clone(),
            })
        }
        _ => wrong(
            "needs one way to say who we are",
            "set `token_file`, or for a GitHub App `app_id`, `app_key_file` and `app_installation`",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Flags, Settings, load};

    fn read(forge: &str) -> Result<Settings, Vec<String>> {
        let file = tempfile::NamedTempFile::new().unwrap();
        let repo = "[[repo]]\nurl = \"https://git.example.test/acme/config.git\"\n";
        std::fs::write(
            file.path(),
            format!("public_url = \"https://c.example.test/\"\n{repo}{forge}"),
        )
        .unwrap();
        let flags = Flags {
            file: Some(file.path().to_owned()),
            ..Flags::default()
        };
        load(&flags, &[]).map_err(|mistakes| mistakes.into_iter().map(|mistake| mistake.message).collect())
    }

    #[test]
    fn a_forge_of_the_only_repository_needs_its_kind_and_a_token() {
        let settings = read("[forge.hub]\nkind = \"github\"\ntoken_file = \"t\"\n").unwrap();
        assert_eq!(settings.public_url.as_deref(), Some("https://c.example.test"));
        let [forge] = settings.forges.as_slice() else {
            panic!()
        };
        assert_eq!(forge.api_url, "https://api.github.com");
        assert_eq!(
            (forge.project.as_str(), forge.context.as_str()),
            ("acme/config", "headwater")
        );
        let gitlab = "[forge.lab]\nkind = \"gitlab\"\nproject = \"15\"\ntoken_file = \"t\"\n";
        assert_eq!(read(gitlab).unwrap().forges[0].project, "15");
    }

    #[test]
    fn a_forge_that_cannot_be_spoken_to_is_told_before_the_start() {
        let token = "token_file = \"t\"\n";
        for (forge, expected) in [
            ("kind = \"gogs\"", "forge `x` has no `kind` that can be spoken to"),
            ("kind = \"gitea\"", "forge `x` has no `api_url`"),
            (
                "kind = \"gitea\"\napi_url = \"http://git.example.test/api/v1\"",
                "forge `x` would be sent a token in clear text",
            ),
            (
                "kind = \"gitea\"\napi_url = \"ssh://git.example.test/api/v1\"",
                "`api_url`: expected an address such as `https://config.example.com`",
            ),
            (
                "kind = \"github\"\napi_url = \"https://bot:hunter2@h.example.test\"",
                "`api_url`: expected an address without user and password",
            ),
            (
                "kind = \"github\"\nproject = \"acme\"",
                "forge `x` has no `project`",
            ),
            (
                "kind = \"github\"\nproject = \"a/../b\"",
                "forge `x` has no `project`",
            ),
            (
                "kind = \"github\"\napp_id = \"1\"",
                "forge `x` needs one way to say who we are",
            ),
            (
                "kind = \"github\"\nrepo = \"other\"",
                "forge `x` does not say which repository it holds",
            ),
            (
                "kind = \"github\"\ntokenfile = \"t\"",
                "there is no setting `tokenfile`",
            ),
        ] {
            let told = read(&format!("[forge.x]\n{forge}\n{token}")).unwrap_err();
            assert!(told.contains(&expected.to_owned()), "{forge}: {told:?}");
        }
        assert_eq!(read("forge = 1\n[forge2]\n").unwrap_err().len(), 2);
    }
}
