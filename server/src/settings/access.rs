//! Whether what is said of one repository's access can work together.
//!
//! Invariant: what is certain to fail at every connection is told before the service starts.

use std::path::PathBuf;

use super::draft::RepoDraft;
use super::signatures;
use super::source::{Mistake, Place};
use super::write;
use crate::git::upstream::{Credentials, TokenStyle};
use crate::secret::{UpstreamUrl, UrlKind};

/// Whether something does not fit together, what that is, and what to do.
pub(super) type Rule = (bool, &'static str, &'static str);

/// What does not fit together.
pub(super) fn mistakes(repo: &RepoDraft) -> Vec<Mistake> {
    let Some(url) = &repo.url else { return Vec::new() };
    let (http, ssh) = match url.kind() {
        UrlKind::Http { .. } => (true, false),
        UrlKind::Ssh { .. } => (false, true),
        UrlKind::Path { .. } | UrlKind::File { .. } => (false, false),
    };
    let secret_file = repo.password_file.is_some() || repo.token_file.is_some();
    let has_password = url
        .embedded()
        .is_some_and(|(_, password)| !password.expose().is_empty());
    let ssh_key = repo.ssh_key_file.is_some() || repo.known_hosts_file.is_some();
    let rules = [
        (
            repo.token_file.is_some() && repo.password_file.is_some(),
            "`token_file` and `password_file` are both set",
            "keep the one the upstream asks for",
        ),
        (
            secret_file && has_password,
            "the address holds a password, and a file with one is named too",
            "take the password out of the address",
        ),
        (
            secret_file && !http,
            "`token_file` and `password_file` are for http(s) addresses",
            "use an https address, or `ssh_key_file` for ssh",
        ),
        (
            repo.username.is_some() && !secret_file,
            "`username` is set without `password_file` or `token_file`",
            "name the file with its password or token",
        ),
        (
            ssh_key && !ssh,
            "`ssh_key_file` and `known_hosts_file` are for ssh addresses",
            "use an ssh address, or `token_file` for https",
        ),
        (
            ssh && repo.known_hosts_file.is_none(),
            "an ssh address needs `known_hosts_file`",
            "compare the host's key with one it publishes, put it into a file, and name that",
        ),
        (
            secret_file && is_clear_text(url),
            "a password or token would be sent in clear text to another machine",
            "use an https address",
        ),
        (
            repo.proxy
                .as_ref()
                .is_some_and(|proxy| proxy.parse::<http::Uri>().is_err()),
            "`proxy` is not an address",
            "write it as `http://HOST:PORT`",
        ),
    ];
    let named = repo
        .name
        .as_ref()
        .map(|name| format!(" of repository `{name}`"))
        .unwrap_or_default();
    let rules = rules
        .into_iter()
        .chain(write::rules(repo, url))
        .chain(signatures::rules(repo));
    let broken = rules.filter(|(applies, ..)| *applies);
    broken
        .map(|(_, what, hint)| Mistake::new(Place::Whole, format!("{what}{named}")).hint(hint))
        .collect()
}

/// Credentials from the files for a password and for a token, and who they belong to.
pub(super) fn credentials(
    files: (&Option<PathBuf>, &Option<PathBuf>),
    username: Option<&String>,
) -> Credentials {
    match files {
        (Some(password_file), _) => Credentials::Basic {
            username: username.cloned().unwrap_or_else(|| "git".to_owned()),
            password_file: password_file.clone(),
        },
        (None, Some(token_file)) => match username {
            // Some hosts want their tokens with a certain user, such as the name of a deploy token.
            Some(username) => Credentials::Basic {
                username: username.clone(),
                password_file: token_file.clone(),
            },
            None => Credentials::Token {
                file: token_file.clone(),
                style: TokenStyle::Basic,
            },
        },
        (None, None) => Credentials::None,
    }
}

/// Whether a secret would travel in clear text.
pub(super) fn is_clear_text(url: &UpstreamUrl) -> bool {
    url.to_string().starts_with("http://") && !url.is_loopback()
}

#[cfg(test)]
mod tests {
    use super::super::{Flags, load};

    fn mistakes(toml: &str) -> Vec<String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), toml).unwrap();
        let flags = Flags {
            file: Some(file.path().to_owned()),
            ..Flags::default()
        };
        load(&flags, &[])
            .err()
            .unwrap_or_default()
            .into_iter()
            .map(|mistake| mistake.message)
            .collect()
    }

    #[test]
    fn access_that_can_never_work_is_told_before_the_start() {
        let cases = [
            (
                "url = \"ssh://git@h/x\"",
                "an ssh address needs `known_hosts_file`",
            ),
            (
                "url = \"http://h.example.test/x\"\ntoken_file = \"t\"",
                "a password or token would be sent in clear text to another machine",
            ),
            (
                "url = \"/srv/x\"\ntoken_file = \"t\"",
                "`token_file` and `password_file` are for http(s) addresses",
            ),
            (
                "url = \"https://h/x\"\nssh_key_file = \"k\"",
                "`ssh_key_file` and `known_hosts_file` are for ssh addresses",
            ),
            (
                "url = \"https://h/x\"\nusername = \"bot\"",
                "`username` is set without `password_file` or `token_file`",
            ),
            (
                "url = \"https://h/x\"\ntoken_file = \"t\"\npassword_file = \"p\"",
                "`token_file` and `password_file` are both set",
            ),
            (
                "url = \"https://h/x\"\npush_token_file = \"t\"\npush_password_file = \"p\"",
                "`push_token_file` and `push_password_file` are both set",
            ),
            (
                "url = \"https://h/x\"\npush_username = \"bot\"",
                "`push_username` is set without `push_password_file` or `push_token_file`",
            ),
            (
                "url = \"/srv/x\"\npush_token_file = \"t\"",
                "`push_token_file` and `push_password_file` are for http(s) addresses",
            ),
            (
                "url = \"http://h.example.test/x\"\npush_token_file = \"t\"",
                "a password or token that may write would be sent in clear text to another machine",
            ),
            (
                "url = \"https://h/x\"\npush_ssh_key_file = \"k\"",
                "`push_ssh_key_file` is for ssh addresses",
            ),
            (
                "url = \"/srv/x\"\nwrites_per_minute = 0",
                "`writes_per_minute` is 0",
            ),
            (
                "url = \"https://h/x\"\nproxy = \"ht!tp://:bad\"",
                "`proxy` is not an address",
            ),
        ];
        for (repo, expected) in cases {
            assert_eq!(mistakes(&format!("[[repo]]\n{repo}\n")), [expected], "{repo}");
        }
    }

    #[test]
    fn access_that_works_is_not_complained_of() {
        for repo in [
            "url = \"https://h/x\"\ntoken_file = \"t\"\nusername = \"bot\"",
            "url = \"http://127.0.0.1:1/x\"\npassword_file = \"p\"\nusername = \"bot\"",
            "url = \"git@h:x\"\nknown_hosts_file = \"k\"",
            "url = \"/srv/x\"",
        ] {
            assert_eq!(
                mistakes(&format!("[[repo]]\n{repo}\n")),
                Vec::<String>::new(),
                "{repo}"
            );
        }
    }

    #[test]
    fn a_password_on_the_command_line_is_refused() {
        let values = vec![("--repo", "url", "https://bot:hunter2@h.example.test/x".to_owned())];
        let mistakes = load(
            &Flags {
                values,
                ..Flags::default()
            },
            &[],
        )
        .unwrap_err();
        assert_eq!(mistakes.len(), 1);
        assert!(!mistakes[0].to_string().contains("hunter2"));
    }
}
