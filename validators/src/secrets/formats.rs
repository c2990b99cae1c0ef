//! Tokens that tell by their format what they are: the one table of them.
//!
//! Invariant: a format is in the table only if its issuer documents it and it does not occur by chance, because what is
//! found here rejects a commit. How random a text looks decides nothing: a hash and a checksum look just as random.
//! What people are shown is looked through with the same table and without the borders of words, since a sentence may
//! glue a token to anything, and hiding too much rejects nobody.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

use regex::bytes::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};

use super::placeholder;

/// No secret below is shorter, in bytes: `a://:b@c`.
const BYTES_MIN: usize = 8;

/// One format. If its pattern has a group, the group alone is the secret.
#[derive(Debug)]
pub(crate) struct Format {
    pub(crate) code: &'static str,
    /// With its article, for a sentence.
    pub(crate) what: &'static str,
    pattern: &'static str,
    /// Shortest run of characters of base 64 in it; what has none is an example of the format.
    run_min: usize,
}

/// What was found, and in which bytes.
#[derive(Debug)]
pub(crate) struct Match {
    pub(crate) format: &'static Format,
    pub(crate) range: Range<usize>,
}

const fn token(what: &'static str, pattern: &'static str) -> Format {
    Format {
        code: "secret/token",
        what,
        pattern,
        run_min: 0,
    }
}

#[rustfmt::skip]
const FORMATS: &[Format] = &[
    // docs/security.md; one that was cut or mistyped, too.
    token("a Headwater token", r"\bhw_[0-9a-f]{64,}"),
    // docs.github.com, "About authentication to GitHub", token formats.
    token("a GitHub token", r"\b(?:gh[pousr]_[A-Za-z0-9_]{36,}|github_pat_[A-Za-z0-9_]{60,})"),
    // docs.gitlab.com, "GitLab token overview", token prefixes.
    token("a GitLab token", r"\bgl(?:pat|oas|dt|rt|rtr|cbt|ptt|ft|imt|agent|wt|soat|ffct)-[A-Za-z0-9_.-]{20,}"),
    // docs.aws.amazon.com, IAM identifiers, "Understanding unique ID prefixes"; base 32 behind the prefix.
    token("an AWS access key", r"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b"),
    // docs.cloud.google.com, "Manage API keys"; developers.google.com, "OAuth 2.0 for web server applications".
    token("a Google API key", r"\bAIza[A-Za-z0-9_-]{35}\b"),
    token("a Google OAuth client secret", r"\bGOCSPX-[A-Za-z0-9_-]{28}\b"),
    // learn.microsoft.com, "Configure Azure Storage connection strings", "Get an Event Hubs connection string".
    token("an Azure access key", r"\b(?:AccountKey|SharedAccessKey)=([A-Za-z0-9+/]{42,86}={1,2})"),
    // learn.microsoft.com, Purview, "Microsoft Entra client secret": three characters, a digit, `Q~`, then the rest.
    token("a Microsoft Entra client secret", r"\b[A-Za-z0-9_~.-]{3}[78]Q~[A-Za-z0-9_~.-]{31,34}"),
    // docs.slack.dev, "Tokens" and "Sending messages using incoming webhooks".
    token("a Slack token", r"\b(?:xox[abeoprs]|xapp)-[A-Za-z0-9]{1,12}-[A-Za-z0-9-]{16,}"),
    token("a Slack webhook", r"\bhooks\.slack\.com/(?:services|workflows|triggers)/([A-Za-z0-9/_-]{30,})"),
    // docs.stripe.com, "API keys" and "Verify webhook signatures".
    token("a Stripe key", r"\b[rs]k_(?:live|test)_[A-Za-z0-9]{20,}"),
    token("a signing secret of webhooks", r"\bwhsec_[A-Za-z0-9+/=]{24,}"),
    // docs.npmjs.com, "About access tokens".
    token("an npm token", r"\bnpm_[A-Za-z0-9]{36}\b"),
    // warehouse.pypa.io, "Secret reporting API": a macaroon whose location is pypi.org or test.pypi.org.
    token("a PyPI token", r"\bpypi-AgE(?:IcHlwaS5vcmc|NdGVzdC5weXBpLm9yZw)[A-Za-z0-9_-]{50,}"),
    // guides.rubygems.org, "API key scopes".
    token("a RubyGems key", r"\brubygems_[a-f0-9]{48}\b"),
    // docs.docker.com, "Personal access tokens".
    token("a Docker token", r"\bdckr_[po]at_[A-Za-z0-9_-]{27,}"),
    // docs.digitalocean.com, "Personal access tokens" and OAuth.
    token("a DigitalOcean token", r"\bdo[opr]_v1_[a-f0-9]{64}\b"),
    // developer.hashicorp.com, Vault "Tokens" and HCP Terraform "API tokens".
    token("a Vault token", r"\bhv[sbr]\.[A-Za-z0-9_-]{24,}"),
    token("an HCP Terraform token", r"\b[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_-]{60,}"),
    // docs.sendgrid.com, "API keys".
    token("a SendGrid key", r"\bSG\.[A-Za-z0-9_-]{20,24}\.[A-Za-z0-9_-]{39,50}\b"),
    // grafana.com, "Service accounts" and "Access policies".
    token("a Grafana token", r"\b(?:glsa_[A-Za-z0-9]{32}_[A-Fa-f0-9]{8}\b|glc_eyJ[A-Za-z0-9+/=]{32,})"),
    // huggingface.co, "User access tokens".
    token("a Hugging Face token", r"\bhf_[A-Za-z0-9]{34}\b"),
    // docs.databricks.com, "Personal access tokens".
    token("a Databricks token", r"\bdapi[a-f0-9]{32}\b"),
    // platform.openai.com and platform.claude.com, API keys.
    token("an OpenAI key", r"\bsk-(?:[A-Za-z]+-)?[A-Za-z0-9_-]{20,}T3BlbkFJ[A-Za-z0-9_-]{20,}"),
    token("an Anthropic key", r"\bsk-ant-[a-z]+[0-9]{2}-[A-Za-z0-9_-]{80,}"),
    // age-encryption.org/v1, "The X25519 recipient type": Bech32.
    token("an age secret key", r"\bAGE-SECRET-KEY-1[AC-HJ-NP-Z02-9]{58}\b"),
    // RFC 7519: two objects in base64url, and a signature; without one it proves nothing and is no credential.
    token("a JSON Web Token", r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{16,}"),
    // RFC 7468 (PKCS #8), RFC 4880 ("BLOCK"), PROTOCOL.key of OpenSSH. Without content it is an example.
    Format {
        code: "secret/private-key",
        what: "a private key",
        pattern: r"-----BEGIN[A-Z0-9 ]{0,32} PRIVATE KEY(?: BLOCK)?-----((?s:.*?))(?:-----END|\z)",
        run_min: 32,
    },
    // RFC 3986, userinfo.
    Format {
        code: "secret/url-password",
        what: "an address with a password",
        pattern: r#"\b[A-Za-z][A-Za-z0-9+.-]*://[^\s/:@"'<>?#]*:([^\s/@"'?#]+)@[^\s@/"']"#,
        run_min: 0,
    },
];

/// The table, ready for use.
struct Compiled {
    any: RegexSet,
    each: Vec<Regex>,
}

impl Compiled {
    fn of(pattern: impl Fn(&Format) -> String) -> Self {
        let patterns: Vec<String> = FORMATS.iter().map(pattern).collect();
        let one = |pattern: &String| RegexBuilder::new(pattern).unicode(false).build();
        let any = RegexSetBuilder::new(&patterns).unicode(false).build();
        Self {
            any: any.expect("the patterns of the table are well formed"),
            each: patterns
                .iter()
                .map(one)
                .collect::<Result<_, _>>()
                .expect("each of them, too"),
        }
    }
}

/// As words of their own, which is how a secret is committed.
static WORDS: LazyLock<Compiled> = LazyLock::new(|| Compiled::of(|format| format.pattern.to_owned()));

/// Wherever they stand, also in the middle of a word.
static ANYWHERE: LazyLock<Compiled> =
    LazyLock::new(|| Compiled::of(|format| format.pattern.replace(r"\b", "")));

/// The first secret in a text, by the order of the table.
pub(crate) fn find(text: &[u8]) -> Option<Match> {
    matches(text).into_iter().next()
}

/// All secrets in a text, by the order of the table.
pub(crate) fn matches(text: &[u8]) -> Vec<Match> {
    matches_of(&WORDS, text)
}

/// What is not shown of a text that is for eyes: all secrets, and what is one but for the letters it is glued to.
pub(super) fn glued(text: &[u8]) -> Vec<Match> {
    matches_of(&ANYWHERE, text)
}

fn matches_of(table: &LazyLock<Compiled>, text: &[u8]) -> Vec<Match> {
    if text.len() < BYTES_MIN || !table.any.is_match(text) {
        return Vec::new();
    }
    let hit = table.any.matches(text);
    let hit = hit
        .iter()
        .filter_map(|index| Some((FORMATS.get(index)?, table.each.get(index)?)));
    hit.flat_map(|(format, regex)| {
        let secrets = regex
            .captures_iter(text)
            .filter_map(|found| found.iter().flatten().last());
        let real = secrets.filter(|secret| {
            let text = secret.as_bytes();
            placeholder::has_run(text, format.run_min)
                && (format.run_min > 0 || !placeholder::is_sample(text))
        });
        real.map(|secret| Match {
            format,
            range: secret.range(),
        })
    })
    .collect()
}

/// A text for people without the secrets that are in it. It comes before the text is cut or put into another one: the
/// half of a token has no format any more.
pub fn redact(text: &str) -> Cow<'_, str> {
    let mut found: Vec<Range<usize>> = glued(text.as_bytes())
        .into_iter()
        .map(|found| found.range)
        .collect();
    if found.is_empty() {
        return Cow::Borrowed(text);
    }
    found.sort_by_key(|range| range.start);
    let mut clean = String::with_capacity(text.len());
    let mut from = 0;
    for range in found.into_iter().filter(|range| range.end > range.start) {
        if range.start >= from {
            clean.push_str(text.get(from..range.start).unwrap_or_default());
            clean.push_str(super::mask::HIDDEN);
        }
        from = from.max(range.end);
    }
    clean.push_str(text.get(from..).unwrap_or_default());
    Cow::Owned(clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The parts are put together here, so that no scanner takes this file for a leak.
    #[rustfmt::skip]
    fn samples() -> Vec<(&'static str, String)> {
        let first = |text: &str, length: usize| text.chars().take(length).collect::<String>();
        let tail = "q8Zr2LmT5vXw9KbN3cYd7HfJ1gPs4DtR6Qa0".repeat(3);
        let take = |length: usize| first(&tail, length);
        let hex = |length: usize| first(&"3f9a0c71be52d846".repeat(5), length);
        let bech32 = first(&"QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L".repeat(2), 58);
        vec![
            ("a Headwater token", format!("h{}_{}", 'w', hex(72))),
            ("a GitHub token", format!("gh{}_{}", 'p', take(36))),
            ("a GitHub token", format!("github_{}_{}_{}", "pat", take(22), take(59))),
            ("a GitLab token", format!("gl{}-{}", "pat", take(20))),
            ("a GitLab token", format!("gl{}-{}", "rt", take(24))),
            ("an AWS access key", format!("AK{}{}", "IA", "Q4ZR2LMT5VXW7KBN")),
            ("a Google API key", format!("AI{}{}", "za", take(35))),
            ("a Google OAuth client secret", format!("GOC{}-{}", "SPX", take(28))),
            ("an Azure access key", format!("AccountName=a;Account{}={}==;", "Key", take(86))),
            ("a Microsoft Entra client secret", format!("abc8{}~{}", 'Q', take(34))),
            ("a Slack token", format!("xo{}-123456789012-{}", "xb", take(24))),
            ("a Slack webhook", format!("https://hooks.slack.{}/services/T0/B0/{}", "com", take(24))),
            ("a Stripe key", format!("s{}_live_{}", 'k', take(24))),
            ("a signing secret of webhooks", format!("wh{}_{}", "sec", take(32))),
            ("an npm token", format!("np{}_{}", 'm', take(36))),
            ("a PyPI token", format!("py{}-AgEIcHlwaS5vcmc{}", "pi", take(60))),
            ("a RubyGems key", format!("ruby{}_{}", "gems", hex(48))),
            ("a Docker token", format!("dckr_{}_{}", "pat", take(27))),
            ("a DigitalOcean token", format!("dop_{}_{}", "v1", hex(64))),
            ("a Vault token", format!("hv{}.{}", 's', take(90))),
            ("an HCP Terraform token", format!("{}.atlas{}.{}", take(14), "v1", take(67))),
            ("a SendGrid key", format!("S{}.{}.{}", 'G', take(22), take(43))),
            ("a Grafana token", format!("gl{}_{}_{}", "sa", take(32), hex(8))),
            ("a Hugging Face token", format!("h{}_{}", 'f', take(34))),
            ("a Databricks token", format!("da{}{}", "pi", hex(32))),
            ("an OpenAI key", format!("sk-proj-{}T3Blb{}{}", take(20), "kFJ", take(20))),
            ("an Anthropic key", format!("sk-{}-api03-{}", "ant", take(93))),
            ("an age secret key", format!("AGE-SECRET-{}-1{bech32}", "KEY")),
            ("a JSON Web Token", format!("eyJ{}.eyJ{}.{}", take(20), take(30), take(43))),
            ("a private key", format!("-----BEGIN RSA {} KEY-----\n{tail}\n-----END", "PRIVATE")),
            ("an address with a password", "postgres://app:s3cr3t-9@db:5432/app".to_owned()),
            ("an address with a password", "redis://:s3cr3t-9@cache".to_owned()),
        ]
    }

    #[test]
    fn every_format_of_the_table_is_found_by_its_name() {
        let samples = samples();
        for (what, sample) in &samples {
            let text = format!("see {sample} there");
            assert_eq!(
                find(text.as_bytes()).map(|found| found.format.what),
                Some(*what),
                "{sample}"
            );
        }
        for format in FORMATS {
            assert!(
                samples.iter().any(|(what, _)| *what == format.what),
                "no sample of {}",
                format.what
            );
        }
    }

    #[test]
    fn what_is_no_secret_is_left_alone() {
        for text in [
            "",
            "AKIAIOSFODNN7EXAMPLE",
            "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "sha512-q8Zr2LmT5vXw9KbN3cYd7HfJ1gPs4DtR6Qa0q8Zr2LmT5vXw9KbN3cYd7HfJ1gPs4DtR6Qa0==",
            "-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIUQ0xq8Zr2LmT5vXw9KbN3cYd7HfJ1\n",
            "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----",
            "postgres://app:${DB_PASSWORD}@db/app",
            "postgres://{x.user}:{x.value}@db/app",
            "https://user:<password>@example.test/",
            "https://example.test:8080/a@b",
            "mailto:somebody@example.test",
            "git@github.com:owner/repo.git",
            "ssh://git@example.test:22/a",
        ] {
            assert!(find(text.as_bytes()).is_none(), "{text}");
        }
    }

    #[test]
    fn a_redacted_text_keeps_everything_else() {
        let token = format!("gh{}_{}", 'p', "q8Zr2LmT5vXw9KbN3cYd7HfJ1gPs4DtR6Qa0");
        assert_eq!(
            redact(&format!("ü {token}, a://b:{token}@c")),
            "ü ••••••, a://b:••••••@c"
        );
        assert_eq!(redact("nothing"), "nothing");
    }

    #[test]
    fn a_secret_is_redacted_whatever_it_is_glued_to() {
        for (what, sample) in samples() {
            for (before, behind) in [
                ("databases/x", ".toml"),
                ("prefix_", ""),
                ("7", "_suffix"),
                ("ü", "é"),
            ] {
                let text = format!("{before}{sample}{behind}");
                let shown = redact(&text);
                let middle: String = sample.chars().skip(sample.len() / 2).take(6).collect();
                assert!(shown.contains(super::super::mask::HIDDEN), "{what}: {text}");
                assert!(!shown.contains(&middle), "{what}: {shown}");
            }
        }
    }

    #[test]
    fn a_text_inside_a_word_rejects_nobody() {
        let token = format!("gh{}_{}", 'p', "q8Zr2LmT5vXw9KbN3cYd7HfJ1gPs4DtR6Qa0");
        assert!(find(format!("x{token}").as_bytes()).is_none());
    }
}
