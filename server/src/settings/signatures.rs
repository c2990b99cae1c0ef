//! Which commits must be signed, and by whom.
//!
//! Invariant: who may sign is said by whoever runs the service, and never by the repository that is to be checked. A
//! policy that could admit nothing is a mistake before the service starts.

use std::str::FromStr;

use super::SignaturePolicy;
use super::access::Rule;
use super::draft::RepoDraft;

/// The word for a policy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum RequireSignatures {
    #[default]
    Off,
    Head,
    All,
}

impl FromStr for RequireSignatures {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            "head" => Ok(Self::Head),
            "all" => Ok(Self::All),
            other => Err(format!("expected `off`, `head` or `all`, not `{other}`")),
        }
    }
}

/// The policy of a repository.
pub(super) fn finish(draft: &RepoDraft) -> SignaturePolicy {
    // Without a file the draft is refused by the rules below.
    let file = draft.allowed_signers_file.clone().unwrap_or_default();
    match draft.require_signatures {
        RequireSignatures::Off => SignaturePolicy::Off,
        RequireSignatures::Head => SignaturePolicy::Head(file),
        RequireSignatures::All => SignaturePolicy::All(file),
    }
}

/// What does not fit together in that.
pub(super) fn rules(draft: &RepoDraft) -> [Rule; 2] {
    let required = draft.require_signatures != RequireSignatures::Off;
    let named = draft.allowed_signers_file.is_some();
    [
        (
            required && !named,
            "`require_signatures` is set without `allowed_signers_file`",
            "name the file that says who may sign",
        ),
        (
            named && !required,
            "`allowed_signers_file` is set, and `require_signatures` is `off`",
            "say `require_signatures = \"head\"` or `\"all\"`, or take the file out",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::{Flags, SignaturePolicy, load};

    fn policy(toml: &str) -> Result<SignaturePolicy, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), format!("[[repo]]\nurl = \"/srv/x\"\n{toml}")).unwrap();
        let flags = Flags {
            file: Some(file.path().to_owned()),
            ..Flags::default()
        };
        match load(&flags, &[]) {
            Ok(mut settings) => Ok(settings.repos.remove(0).signatures),
            Err(mistakes) => Err(mistakes[0].to_string()),
        }
    }

    #[test]
    fn nobody_has_to_sign_unless_it_is_said_who_may() {
        assert_eq!(policy(""), Ok(SignaturePolicy::Off));
        let all = policy("require_signatures = \"all\"\nallowed_signers_file = \"/etc/signers\"\n");
        assert_eq!(all, Ok(SignaturePolicy::All("/etc/signers".into())));
        // `ssh-keygen` is not started where the service was.
        let here = policy("require_signatures = \"all\"\nallowed_signers_file = \"signers\"\n");
        let whole = std::path::absolute("signers").unwrap();
        assert_eq!(here, Ok(SignaturePolicy::All(whole)));
        let alone = policy("require_signatures = \"head\"\n").unwrap_err();
        assert!(alone.contains("without `allowed_signers_file`"), "{alone}");
        let idle = policy("allowed_signers_file = \"/etc/signers\"\n").unwrap_err();
        assert!(idle.contains("is `off`"), "{idle}");
        let wrong = policy("require_signatures = \"some\"\n").unwrap_err();
        assert!(wrong.contains("expected `off`, `head` or `all`"), "{wrong}");
    }
}
