//! How people log in to the dashboard at an issuer: the part of `[issuer.NAME]` that begins with `client_id`.
//!
//! Invariant: an issuer without `client_id` offers nobody to log in there. Codes and secrets go over encrypted connections,
//! and the browser comes back to an address of the settings, never to one that a request names.

use std::path::PathBuf;
use std::time::Duration;

use super::forges::is_clear_text;
use super::hooks::secret;
use super::named::{Wrong, wrong};
use super::values::duration;
use crate::secret::Secret;

/// Longest that a session may last, which is also what it lasts if nothing is said: a working day.
pub(crate) const SESSION_MAX: Duration = Duration::from_hours(12);
/// Shortest, so that somebody who has logged in gets to see a page.
const SESSION_MIN: Duration = Duration::from_mins(1);
/// What is asked for unless it is said.
const SCOPES: [&str; 3] = ["openid", "email", "profile"];

/// How people log in at an issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginSettings {
    /// What the issuer calls this service.
    pub client_id: String,
    /// What this service proves itself by; without it, by the verifier of each login alone.
    pub client_secret: Option<Secret>,
    /// What is asked for.
    pub scopes: Vec<String>,
    /// Longest time of a session.
    pub session_max: Duration,
    /// Where the browser comes back to.
    pub redirect_uri: String,
}

/// The values while they are being collected.
#[derive(Debug, Clone)]
pub(super) struct LoginDraft {
    pub client_id: Option<String>,
    pub client_secret_file: Option<PathBuf>,
    pub client_secret_env: Option<String>,
    pub scopes: Vec<String>,
    pub session_max: Duration,
}

impl Default for LoginDraft {
    fn default() -> Self {
        Self {
            client_id: None,
            client_secret_file: None,
            client_secret_env: None,
            scopes: SCOPES.map(str::to_owned).to_vec(),
            session_max: SESSION_MAX,
        }
    }
}

/// What else of the settings a login depends on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Around<'a> {
    /// Where people reach the service.
    pub public_url: Option<&'a str>,
    /// The variables.
    pub environment: &'a [(String, String)],
}

/// Scopes, among them the one without which there is no token that says who somebody is.
pub(super) fn scopes(text: &str) -> Result<Vec<String>, String> {
    let parts = text.split([',', ' ']).map(str::trim);
    let scopes: Vec<String> = parts
        .filter(|scope| !scope.is_empty())
        .map(str::to_owned)
        .collect();
    if scopes.iter().any(|scope| scope == "openid") {
        Ok(scopes)
    } else {
        Err("expected `openid` among them".to_owned())
    }
}

/// How long a session may last.
pub(super) fn session_max(text: &str) -> Result<Duration, String> {
    let session = duration(text)?;
    if (SESSION_MIN..=SESSION_MAX).contains(&session) {
        Ok(session)
    } else {
        Err(format!("expected from `1m` to `12h`, not `{text}`"))
    }
}

/// How people log in at the issuer `name`, if they do.
pub(super) fn finish(
    draft: &LoginDraft,
    (name, issuer): (&str, &str),
    around: Around<'_>,
) -> Result<Option<LoginSettings>, Wrong> {
    let client_secret = secret(
        ("client_secret_file", &draft.client_secret_file),
        ("client_secret_env", &draft.client_secret_env),
        around.environment,
    );
    let Some(client_id) = draft.client_id.clone() else {
        return match client_secret {
            None => Ok(None),
            Some(_) => wrong(
                "has a client secret and no `client_id`",
                "say what the provider calls this service",
            ),
        };
    };
    let client_secret = match client_secret.transpose() {
        Ok(secret) => secret,
        Err(what) => {
            return wrong(
                format!("has no client secret that can be used: {what}"),
                "put the one that the provider shows into a file, and name that with `client_secret_file`; a public client has none",
            );
        }
    };
    let Some(public_url) = around.public_url else {
        return wrong(
            "has a `client_id`, and there is no `public_url` that a browser could come back to",
            format!(
                "set `public_url`, and tell the provider the redirect URI `PUBLIC_URL/login/{name}/callback`"
            ),
        );
    };
    if is_clear_text(public_url) {
        return wrong(
            "would have browsers come back in clear text",
            "set `public_url` to an https address",
        );
    }
    if is_clear_text(issuer) {
        return wrong(
            "would have people log in where they could be led astray on the way",
            "use an issuer with an https address",
        );
    }
    Ok(Some(LoginSettings {
        client_id,
        client_secret,
        scopes: draft.scopes.clone(),
        session_max: draft.session_max,
        redirect_uri: format!("{public_url}/login/{name}/callback"),
    }))
}

#[cfg(test)]
mod tests {
    use super::super::webhooks::tests::read;

    const LOGIN: &str = "[issuer.sso]\nissuer = \"https://sso.example.test\"\nclient_id = \"headwater\"\n";
    const GRANT: &str = "[grant.ops]\nfrom = \"sso\"\nclaims = [\"groups=ops\"]\nrole = \"operator\"\n";
    const PUBLIC: &str = "public_url = \"https://config.example.test/\"\n";

    #[test]
    fn people_log_in_where_a_client_is_named_and_what_is_not_said_is_careful() {
        let settings = read(&format!("{PUBLIC}{LOGIN}{GRANT}")).unwrap();
        let login = settings.issuers[0].login.clone().unwrap();
        assert_eq!(
            login.redirect_uri,
            "https://config.example.test/login/sso/callback"
        );
        assert_eq!(login.scopes, ["openid", "email", "profile"]);
        assert_eq!(
            (login.session_max.as_secs(), login.client_secret),
            (12 * 60 * 60, None)
        );
        assert_eq!(
            settings.issuers[0].audience, None,
            "its tokens are for logging in alone"
        );
    }

    #[test]
    fn a_login_that_could_not_work_or_not_safely_is_told_before_the_start() {
        for (text, expected) in [
            (
                format!("{LOGIN}{GRANT}"),
                "issuer `sso` has a `client_id`, and there is no `public_url` that a browser could come back to",
            ),
            (
                format!("public_url = \"http://config.example.test\"\n{LOGIN}{GRANT}"),
                "issuer `sso` would have browsers come back in clear text",
            ),
            (
                format!(
                    "{PUBLIC}{}jwks_url = \"https://sso.example.test/keys\"\n{GRANT}",
                    LOGIN.replace("https", "http")
                ),
                "issuer `sso` would have people log in where they could be led astray on the way",
            ),
            (
                format!("{PUBLIC}{LOGIN}client_secret_file = \"/nowhere\"\n{GRANT}"),
                "issuer `sso` has no client secret that can be used: `/nowhere` cannot be read: No such file or directory (os error 2)",
            ),
            (
                format!("{PUBLIC}{LOGIN}scopes = [\"email\"]\n{GRANT}"),
                "`scopes`: expected `openid` among them",
            ),
            (
                format!("{PUBLIC}{LOGIN}session_max = \"30d\"\n{GRANT}"),
                "`session_max`: expected from `1m` to `12h`, not `30d`",
            ),
            (
                format!(
                    "{PUBLIC}{}client_secret_env = \"SECRET\"\n{GRANT}",
                    LOGIN.replace("client_id", "audience")
                ),
                "issuer `sso` has a client secret and no `client_id`",
            ),
        ] {
            let told = read(&text).unwrap_err();
            assert!(told.contains(&expected.to_owned()), "{text}: {told:?}");
        }
    }
}
