//! Webhooks in the settings: their keys, and what must be true of each.
//!
//! Invariant: a hook without a secret that could protect it does not exist. Secrets are read here, when the settings
//! are, so that a missing one is told before the service starts; SIGHUP reads them again.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use headwater_wire::{HookName, RepoName};

use super::keys::{Key, path, put};
use super::source::{Mistake, Place};
use super::{HookSettings, RepoSettings};
use crate::forge::{ForgeKind, is_signing, remote_path, signing_key};
use crate::secret::Secret;

/// Shortest secret, in bytes: shorter ones can be tried out from one delivery that was overheard.
const SECRET_BYTES_MIN: usize = 16;
/// Longest secret, in bytes; a larger file is another file.
const SECRET_BYTES_MAX: usize = 4_096;

/// One hook's values while they are being collected.
#[derive(Debug, Clone)]
pub(super) struct HookDraft {
    place: Place,
    name: Option<HookName>,
    forge: Option<ForgeKind>,
    repos: Option<Vec<RepoName>>,
    secret_file: Option<PathBuf>,
    second_secret_file: Option<PathBuf>,
    secret_env: Option<String>,
    second_secret_env: Option<String>,
}

pub(super) const HOOK_KEYS: &[Key<HookDraft>] = &[
    Key {
        name: "name",
        help: "last part of its address `/hooks/NAME`: lower-case letters, digits, `.`, `_`, `-`",
        default: "default",
        set: |draft, text| {
            draft.name = Some(text.parse().map_err(|e: headwater_wire::IdError| e.to_string())?);
            Ok(())
        },
    },
    Key {
        name: "forge",
        help: "who sends it: github, gitea, forgejo, gogs, gitlab, bitbucket-cloud, bitbucket-data-center, generic",
        default: "",
        set: |draft, text| put(&mut draft.forge, text.parse().map(Some)),
    },
    Key {
        name: "repo",
        help: "repository it tells of, or a list of them; may be left out where there is one",
        default: "",
        set: |draft, text| {
            let names = text.split(',').map(|name| name.trim().parse::<RepoName>());
            let names: Result<Vec<RepoName>, _> = names.collect();
            draft.repos = Some(names.map_err(|error| error.to_string())?);
            Ok(())
        },
    },
    Key {
        name: "secret_file",
        help: "file with the secret that signs it; read at the start and at SIGHUP",
        default: "",
        set: |draft, text| put(&mut draft.secret_file, path(text).map(Some)),
    },
    Key {
        name: "second_secret_file",
        help: "file with another secret that is taken, too, while the first one is being replaced",
        default: "",
        set: |draft, text| put(&mut draft.second_secret_file, path(text).map(Some)),
    },
    Key {
        name: "secret_env",
        help: "name of an environment variable with the secret, instead of `secret_file`",
        default: "",
        set: |draft, text| put(&mut draft.secret_env, Ok(Some(text.to_owned()))),
    },
    Key {
        name: "second_secret_env",
        help: "the same for the second secret",
        default: "",
        set: |draft, text| put(&mut draft.second_secret_env, Ok(Some(text.to_owned()))),
    },
];

impl HookDraft {
    /// Nothing said yet, at a place of the file.
    pub(super) fn at(place: Place) -> Self {
        Self {
            place,
            name: None,
            forge: None,
            repos: None,
            secret_file: None,
            second_secret_file: None,
            secret_env: None,
            second_secret_env: None,
        }
    }
}

/// The hooks, and what is wrong with them.
pub(super) fn finish(
    drafts: &[HookDraft],
    repos: &[RepoSettings],
    environment: &[(String, String)],
    mistakes: &mut Vec<Mistake>,
) -> Vec<HookSettings> {
    let mut names = BTreeSet::new();
    let mut hooks = Vec::new();
    for draft in drafts {
        let Some(name) = draft.name.clone().or_else(|| "default".parse().ok()) else {
            continue;
        };
        let mut finishing = Finishing {
            draft,
            name: &name,
            mistakes,
        };
        if !names.insert(name.clone()) {
            finishing.mistake("is there twice", "give each `[[hook]]` its own `name`");
        }
        let secrets = finishing.secrets(environment);
        let told = finishing.repos(repos);
        if let Some(forge) = finishing.forge(&secrets, &told, repos) {
            hooks.push(HookSettings {
                name,
                forge,
                repos: told,
                secrets,
            });
        }
    }
    hooks
}

struct Finishing<'a> {
    draft: &'a HookDraft,
    name: &'a HookName,
    mistakes: &'a mut Vec<Mistake>,
}

impl Finishing<'_> {
    fn mistake(&mut self, what: &str, hint: impl Into<String>) {
        let message = format!("hook `{}` {what}", self.name);
        self.mistakes
            .push(Mistake::new(self.draft.place.clone(), message).hint(hint));
    }

    /// The forge, if all that depends on it fits.
    fn forge(&mut self, secrets: &[Secret], told: &[RepoName], repos: &[RepoSettings]) -> Option<ForgeKind> {
        let Some(forge) = self.draft.forge else {
            let words: Vec<&str> = ForgeKind::ALL.iter().map(|kind| kind.as_str()).collect();
            self.mistake(
                "has no `forge`",
                format!("say who sends it: {}", words.join(", ")),
            );
            return None;
        };
        let takes_signing = matches!(forge, ForgeKind::Generic | ForgeKind::GitLab);
        if takes_signing && secrets.iter().any(|secret| signing_key(secret).is_none()) {
            let hint = "copy the signing token whole; `whsec_` and base64";
            self.mistake("has a signing token that is not base64", hint);
        }
        if !takes_signing && secrets.iter().any(is_signing) {
            let hint = "`whsec_…` is a signing token of gitlab and generic hooks; make another secret";
            self.mistake("has a secret that this forge does not sign with", hint);
        }
        let unknowable = |repo: &&RepoSettings| {
            told.contains(&repo.name)
                && repo.forge_repo.is_none()
                && remote_path(&repo.upstream.url).is_none()
        };
        if forge != ForgeKind::Generic
            && let Some(repo) = repos.iter().find(unknowable)
        {
            let what = format!(
                "tells of `{}`, whose address does not say its name at the forge",
                repo.name
            );
            self.mistake(&what, "set `forge_repo = \"owner/name\"` for that repository");
        }
        Some(forge)
    }

    /// The repositories it tells of.
    fn repos(&mut self, repos: &[RepoSettings]) -> Vec<RepoName> {
        let Some(named) = &self.draft.repos else {
            if let [only] = repos {
                return vec![only.name.clone()];
            }
            if !repos.is_empty() {
                self.mistake(
                    "has no `repo`",
                    "name the repository it tells of, or a list of them",
                );
            }
            return Vec::new();
        };
        for name in named {
            if repos.is_empty() || repos.iter().any(|repo| repo.name == *name) {
                continue;
            }
            let near =
                headwater_validators::closest(name.as_str(), repos.iter().map(|repo| repo.name.as_str()));
            let hint = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => "add a `[[repo]]` with that name".to_owned(),
            };
            self.mistake(&format!("tells of `{name}`, which is no repository"), hint);
        }
        named.clone()
    }

    /// The secrets: at least one, at most two.
    fn secrets(&mut self, environment: &[(String, String)]) -> Vec<Secret> {
        let draft = self.draft;
        let pairs = [
            ("secret_file", "secret_env", &draft.secret_file, &draft.secret_env),
            (
                "second_secret_file",
                "second_secret_env",
                &draft.second_secret_file,
                &draft.second_secret_env,
            ),
        ];
        let mut secrets = Vec::new();
        let before = self.mistakes.len();
        for (file_key, env_key, file, variable) in pairs {
            match secret((file_key, file), (env_key, variable), environment) {
                None => {}
                Some(Ok(secret)) => secrets.push(secret),
                Some(Err(what)) => self.mistake(&format!("has no secret that can be used: {what}"), MAKE_ONE),
            }
        }
        if secrets.is_empty() && self.mistakes.len() == before {
            self.mistake("has no secret, so that anybody could send it", MAKE_ONE);
        }
        secrets
    }
}

/// How to come by a secret.
const MAKE_ONE: &str = "make one with `openssl rand -hex 32`, put it into a file, name that with `secret_file`, and tell it to the forge";

/// The secret that a file or a variable holds; none if neither is named.
pub(super) fn secret(
    (file_key, file): (&str, &Option<PathBuf>),
    (env_key, variable): (&str, &Option<String>),
    environment: &[(String, String)],
) -> Option<Result<Secret, String>> {
    let read = match (file, variable) {
        (None, None) => return None,
        (Some(_), Some(_)) => Err(format!("`{file_key}` and `{env_key}` are both set")),
        (Some(file), None) => from_file(file),
        (None, Some(variable)) => from_variable(variable, environment),
    };
    Some(read.and_then(|text| whole(&text)))
}

fn from_file(path: &Path) -> Result<String, String> {
    let told = |error: std::io::Error| format!("`{}` cannot be read: {error}", path.display());
    let size = std::fs::metadata(path).map_err(told)?.len();
    if size > SECRET_BYTES_MAX as u64 {
        return Err(format!("`{}` is too large for a secret", path.display()));
    }
    std::fs::read_to_string(path).map_err(told)
}

fn from_variable(name: &str, environment: &[(String, String)]) -> Result<String, String> {
    let found = environment.iter().find(|(key, _)| key == name);
    found
        .map(|(_, value)| value.clone())
        .ok_or_else(|| format!("there is no environment variable `{name}`"))
}

/// A secret without the line end of its file, if it is long enough to be one.
fn whole(text: &str) -> Result<Secret, String> {
    let bare = text.trim();
    if bare.is_empty() {
        return Err("it is empty".to_owned());
    }
    if bare.len() < SECRET_BYTES_MIN || bare.len() > SECRET_BYTES_MAX {
        return Err(format!(
            "it is shorter than {SECRET_BYTES_MIN} bytes, or very long"
        ));
    }
    Ok(Secret::new(bare))
}

#[cfg(test)]
mod tests {
    use super::super::{Flags, load};
    use super::*;

    const REPO: &str = "[[repo]]\nname = \"config\"\nurl = \"https://h.example.test/acme/config.git\"\n";
    const GOOD: &str = "a secret of some length";

    fn read(hook: &str) -> Result<Vec<HookSettings>, Vec<String>> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), format!("{REPO}{hook}")).unwrap();
        let flags = Flags {
            file: Some(file.path().to_owned()),
            ..Flags::default()
        };
        let environment = [
            ("GOOD", GOOD),
            ("OTHER", "another secret of it"),
            ("EMPTY", " \n"),
            ("SHORT", "short"),
        ];
        let environment = environment.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let settings = load(&flags, &environment);
        settings
            .map(|settings| settings.hooks)
            .map_err(|mistakes| mistakes.into_iter().map(|mistake| mistake.message).collect())
    }

    #[test]
    fn a_hook_has_a_forge_a_repository_and_one_or_two_secrets() {
        let hooks = read(
            "[[hook]]\nname = \"gh\"\nforge = \"github\"\nrepo = [\"config\"]\nsecret_env = \"GOOD\"\nsecond_secret_env = \"OTHER\"\n",
        )
        .unwrap();
        let [hook] = hooks.as_slice() else {
            panic!("{hooks:?}")
        };
        assert_eq!((hook.name.as_str(), hook.forge), ("gh", ForgeKind::GitHub));
        assert_eq!(
            hook.secrets,
            [Secret::new(GOOD), Secret::new("another secret of it")]
        );
        assert!(!format!("{hook:?}").contains(GOOD));
        let short = read("[[hook]]\nforge = \"gitea\"\nsecret_env = \"GOOD\"\n").unwrap();
        assert_eq!(short[0].repos, ["config".parse().unwrap()]);
        assert_eq!(short[0].name.as_str(), "default");
    }

    #[test]
    fn a_hook_that_anybody_could_send_does_not_start() {
        for (secret, expected) in [
            ("", "hook `default` has no secret, so that anybody could send it"),
            (
                "secret_env = \"EMPTY\"",
                "hook `default` has no secret that can be used: it is empty",
            ),
            (
                "secret_env = \"SHORT\"",
                "hook `default` has no secret that can be used: it is shorter than 16 bytes, or very long",
            ),
            (
                "secret_env = \"ABSENT\"",
                "hook `default` has no secret that can be used: there is no environment variable `ABSENT`",
            ),
            (
                "secret_env = \"GOOD\"\nsecret_file = \"/x\"",
                "hook `default` has no secret that can be used: `secret_file` and `secret_env` are both set",
            ),
        ] {
            let told = read(&format!("[[hook]]\nforge = \"github\"\n{secret}\n")).unwrap_err();
            assert_eq!(told, [expected], "{secret}");
        }
    }

    #[test]
    fn what_does_not_fit_together_is_told_all_at_once() {
        let told = read(concat!(
            "[[hook]]\nforge = \"hub\"\nrepo = \"confg\"\nsecret_env = \"GOOD\"\nsecret = \"x\"\n",
            "[[hook]]\nforge = \"github\"\nsecret_env = \"GOOD\"\n",
        ))
        .unwrap_err();
        let told = told.join("\n");
        for part in [
            "`forge`: expected one of `github`, `gitea`",
            "there is no setting `secret`",
            "hook `default` has no `forge`",
            "hook `default` tells of `confg`, which is no repository",
            "hook `default` is there twice",
        ] {
            assert!(told.contains(part), "{part} in {told}");
        }
    }
}
