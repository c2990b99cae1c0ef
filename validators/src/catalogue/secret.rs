//! Codes of secrets in plain text. No finding ever says the value.

use headwater_wire::Severity;

use super::{Example, Explanation, Family};

pub(super) const FAMILY: Family = Family {
    name: "secret",
    about: "A secret stands in the repository in plain text. What was pushed stays in Git's history, so it \
            has to be replaced where it is used, and not only here. The value itself is never shown.",
    codes: &[
        Explanation {
            code: "secret/name",
            severity: Severity::Error,
            meaning: "A literal stands under a key that is the name of a secret.",
            reason: "It looks like a password. It is a warning, or an error with `names = \"reject\"` under \
                     `[secrets]`.",
            example: Example::Files(&[
                ("headwater.toml", "format = 1\n[secrets]\nnames = \"reject\"\n"),
                ("web.toml", "password = \"hunter2\"\n"),
            ]),
            remedy: "If it is a secret, replace it where it is used and write a reference such as \
                     `vault:web/password`; if not, allow it under `[secrets]`, or write `names = \"off\"`.",
        },
        Explanation {
            code: "secret/path",
            severity: Severity::Error,
            meaning: "A value that `[secrets] paths` names is neither a reference nor ciphertext of SOPS.",
            reason: "The repository says itself that this value is a secret.",
            example: Example::Files(&[
                (
                    "headwater.toml",
                    "format = 1\n[secrets]\npaths = [\"**/login\"]\n",
                ),
                ("web.toml", "[db]\nlogin = \"admin\"\n"),
            ]),
            remedy: "Replace it where it is used if it was pushed; then write a reference, or encrypt the \
                     file with SOPS.",
        },
        Explanation {
            code: "secret/private-key",
            severity: Severity::Error,
            meaning: "A private key stands in plain text.",
            reason: "Whoever can read the repository can be whoever the key is for.",
            example: Example::Words(
                "A value that begins with `-----BEGIN`, and goes on with `PRIVATE \
                                     KEY-----`.",
            ),
            remedy: "Replace the key, since it stays in Git. Then write a reference, or encrypt the file \
                     with SOPS.",
        },
        Explanation {
            code: "secret/token",
            severity: Severity::Error,
            meaning: "A token of a known kind stands in plain text.",
            reason: "Tokens of forges, clouds and others have forms by which they are known, also to those \
                     who search public repositories for them.",
            example: Example::Words("A value that begins with `ghp_` and goes on as tokens of GitHub do."),
            remedy: "Revoke the token, since it stays in Git. Then write a reference, or encrypt the file \
                     with SOPS; one that everybody may read is allowed under `[secrets]`, with the reason.",
        },
        Explanation {
            code: "secret/unused-allow",
            severity: Severity::Warning,
            meaning: "An exception under `[secrets]` allows a place where no secret is.",
            reason: "It would silently allow the next secret there.",
            example: Example::Files(&[
                (
                    "headwater.toml",
                    "format = 1\n[secrets]\nallow = [{ at = \"/token\", reason = \"public\" }]\n",
                ),
                ("web.toml", "port = 80\n"),
            ]),
            remedy: "Remove it, or correct its pointer.",
        },
        Explanation {
            code: "secret/url-password",
            severity: Severity::Error,
            meaning: "An address holds a password in plain text.",
            reason: "Addresses are logged and shown where nobody expects a secret.",
            example: Example::Files(&[("web.toml", "db = \"postgres://web:kX8vQz27Lm@db.internal/web\"\n")]),
            remedy: "Replace the password, since it stays in Git. Then write a reference, or give user and \
                     password keys of their own that hold references.",
        },
    ],
};
