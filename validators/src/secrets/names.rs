//! Keys whose name says that their value is a secret.
//!
//! Invariant: a suspicion and no more. It looks at the name and at what the value cannot be; a name is suspicious by its
//! last word, so that `token_url` and `password_length` are not.

use super::placeholder;

/// Last words that are enough.
const WORDS: &[&str] = &["password", "passwd", "passphrase", "pwd", "secret", "token"];

/// Last words of names that are written without a border between words.
const ENDINGS: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "apikey",
    "authtoken",
    "accesstoken",
    "secretkey",
    "privatekey",
];

/// What a `key` is for if it is a secret.
const KEYS: &[&str] = &[
    "api",
    "access",
    "account",
    "auth",
    "encryption",
    "master",
    "private",
    "secret",
    "service",
    "shared",
    "signing",
    "storage",
];

/// Whether the name of a key says so.
pub(super) fn is_suspicious(key: &str) -> bool {
    let words = words(key);
    let Some((last, before)) = words.split_last() else {
        return false;
    };
    let is_key = last == "key" && before.last().is_some_and(|word| KEYS.contains(&word.as_str()));
    is_key || WORDS.contains(&last.as_str()) || ENDINGS.iter().any(|ending| last.ends_with(ending))
}

/// Whether a text could be the secret itself: no template, no address, no path, no name of a variable, no sentence.
pub(super) fn could_be_secret(text: &str) -> bool {
    let is_path = ["/", "./", "../", "~/"]
        .iter()
        .any(|start| text.starts_with(start))
        && !text.ends_with('=');
    let is_switch = matches!(
        text.to_ascii_lowercase().as_str(),
        "true" | "false" | "yes" | "no" | "on" | "off" | "read" | "write"
    );
    let is_variable = text.contains('_')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    let is_prose = text.chars().any(char::is_whitespace);
    let is_address = text.contains("://");
    let is_sample = text.is_empty() || placeholder::is_sample(text.as_bytes());
    !(is_sample || is_path || is_switch || is_variable || is_prose || is_address)
}

/// `dbPassword`, `db-password` and `DB_PASSWORD` as `db`, `password`; `APIToken` as `api`, `token`.
fn words(key: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    let mut rest = key.chars().peekable();
    while let Some(c) = rest.next() {
        let begins = c.is_uppercase()
            && (before.is_lowercase()
                || before.is_numeric()
                || rest.peek().is_some_and(|next| next.is_lowercase()));
        if begins || !c.is_alphanumeric() {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| c.is_alphanumeric()) {
            word.extend(c.to_lowercase());
        }
        before = c;
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_of_a_key_says_what_it_holds() {
        for key in [
            "password",
            "db_password",
            "DB_PASSWORD",
            "dbPassword",
            "auth-token",
            "client.secret",
            "apiKey",
            "apikey",
            "api_key",
            "aws_secret_access_key",
            "signingKey",
            "secretKey",
            "dbpassword",
            "APIToken",
            "stripe-api-key",
        ] {
            assert!(is_suspicious(key), "{key}");
        }
        for key in [
            "",
            "token_url",
            "password_min_length",
            "secretName",
            "tokens",
            "max_tokens",
            "tokenizer",
            "key",
            "primary_key",
            "partition_key",
            "keyword",
            "monkey",
            "passage",
            "secrets",
            "passwordPolicy",
            "public_key",
        ] {
            assert!(!is_suspicious(key), "{key}");
        }
    }

    #[test]
    fn what_cannot_be_a_secret_is_none() {
        for text in ["hunter2", "123456", "aGVsbG8/d29ybGQ=", "a"] {
            assert!(could_be_secret(text), "{text}");
        }
        for text in [
            "",
            "/run/secrets/db",
            "./key.pem",
            "true",
            "DB_PASSWORD",
            "Enter your password",
            "https://example.test/",
            "${X}",
            "changeme-please",
        ] {
            assert!(!could_be_secret(text), "{text}");
        }
    }
}
