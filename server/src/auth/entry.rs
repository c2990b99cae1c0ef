//! The file of tokens: who holds one, what it is for, until when; and its digest.
//!
//! Invariant: nothing in the file lets anybody in, so it may be kept in Git, in a secret of a cluster, or beside the
//! settings. It is replaced whole or not at all. What is deliberately absent: comments, which do not outlive a change.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use headwater_wire::Timestamp;
use serde::{Deserialize, Serialize};

use super::role::Role;
use super::scope::{CertificateNames, Scope};
use super::token::{BearerToken, TokenDigest};

/// Most tokens of one file. Each holder has one, and a fleet of one kind shares one.
const TOKENS_MAX: usize = 10_000;
/// Largest file, in bytes.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// Longest name of a token, in bytes; it stands in logs and in commits.
const NAME_BYTES_MAX: usize = 64;

/// What the file begins with.
const HEAD: &str = "\
# Who may ask this service. Written by `headwater token`; the service reads it again when it changes.
# It holds digests and no tokens. To take a token back, remove its table or run `headwater token revoke NAME`.
";

/// One token, as the file has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    /// Whose it is, for logs and decisions.
    pub(crate) name: String,
    /// What it is for.
    pub(crate) role: Role,
    /// SHA-256 of its text; none, of a certificate.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) digest: String,
    /// Names of the certificates it stands for, with `*`: `URI:…` and `DNS:…`. None, of a token.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) san: Vec<String>,
    /// When it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) created: Option<Timestamp>,
    /// When it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expires: Option<Timestamp>,
    /// Repositories it is bound to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) repos: Vec<String>,
    /// Configs it is bound to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) configs: Vec<String>,
    /// Instances it may speak for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) instances: Vec<String>,
    /// Labels that these must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) labels: BTreeMap<String, String>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entries {
    #[serde(default, rename = "token")]
    tokens: Vec<Entry>,
    /// The same for who shows a certificate instead of a token.
    #[serde(default, rename = "certificate", skip_serializing_if = "Vec::is_empty")]
    certificates: Vec<Entry>,
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokensError {
    /// It cannot be read or written.
    #[error("cannot use the file of tokens `{}`", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// It is no such file.
    #[error("`{}` is no file of tokens: {message}", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// There is one of that name already.
    #[error("there is a token `{0}` already")]
    Taken(String),
    /// There is none of that name.
    #[error("there is no token `{name}`")]
    Missing {
        /// The name.
        name: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// What was asked for makes no token.
    #[error("{0}")]
    Wish(String),
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    Random,
}

impl TokensError {
    /// What a person can do about it.
    pub(crate) fn hint(&self) -> String {
        match self {
            Self::File { .. } => "name a file that this user can read, in a directory it can write to".to_owned(),
            Self::Form { .. } => {
                "mend the file, or make a new one with `headwater token create`; docs/security.md has its form".to_owned()
            }
            Self::Taken(_) => "choose another name, or take that one back with `headwater token revoke`".to_owned(),
            Self::Missing { known, .. } if known.is_empty() => "the file holds no token".to_owned(),
            Self::Missing { known, .. } => format!("the file has {}", known.join(", ")),
            Self::Wish(_) => "see `headwater token create --help`".to_owned(),
            Self::Random => "try again; if it stays, the kernel is too old".to_owned(),
        }
    }
}

impl Entry {
    /// What it is bound to.
    pub(super) fn scope(&self) -> Result<Scope, String> {
        Scope::new(&self.repos, &self.configs, &self.instances, self.labels.clone())
            .map_err(|error| error.to_string())
    }

    /// What it is known by: the digest of a token, or one that no token has.
    pub(super) fn key(&self) -> Option<TokenDigest> {
        if self.san.is_empty() {
            TokenDigest::read(&self.digest)
        } else {
            // No token has a space.
            Some(TokenDigest::of(&format!("certificate {}", self.name)))
        }
    }

    /// Which certificates it stands for.
    pub(super) fn certificates(&self) -> Option<CertificateNames> {
        CertificateNames::new(&self.san)
            .ok()
            .filter(|_| !self.san.is_empty())
    }

    /// What is wrong with it, in one line.
    fn mistake(&self) -> Option<String> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '@');
        if self.name.is_empty() || self.name.len() > NAME_BYTES_MAX || !self.name.chars().all(is_name) {
            let name = self.name.escape_debug();
            return Some(format!(
                "`{name}` is no name of a token: letters, digits, `.`, `_`, `-` and `@`, up to {NAME_BYTES_MAX}"
            ));
        }
        if !self.san.is_empty() {
            if !self.digest.is_empty() {
                return Some(format!(
                    "`{}` has names of certificates and a `digest`",
                    self.name
                ));
            }
            if let Err(mistake) = CertificateNames::new(&self.san) {
                return Some(format!("of `{}`: {mistake}", self.name));
            }
        } else if TokenDigest::read(&self.digest).is_none() {
            return Some(format!(
                "`digest` of `{}` is not `sha256:` and 64 digits",
                self.name
            ));
        }
        if self.role != Role::Instance && !(self.instances.is_empty() && self.labels.is_empty()) {
            return Some(format!(
                "`{}` is no instance, so `instances` and `labels` mean nothing",
                self.name
            ));
        }
        self.scope()
            .err()
            .map(|error| format!("of `{}`: {error}", self.name))
    }
}

/// Reads the file; all of it must be right, or nobody knows who is let in.
pub(super) fn read(path: &Path) -> Result<Vec<Entry>, TokensError> {
    let at = |source| TokensError::File {
        path: path.to_owned(),
        source,
    };
    let mut text = String::new();
    // A pipe would keep whoever opens it, and a device has no end.
    if !std::fs::metadata(path).map_err(at)?.is_file() {
        return Err(TokensError::Form {
            path: path.to_owned(),
            message: "it is no file".to_owned(),
        });
    }
    let file = File::open(path).map_err(at)?;
    std::io::Read::read_to_string(&mut std::io::Read::take(file, FILE_BYTES_MAX), &mut text).map_err(at)?;
    parse(&text).map_err(|message| TokensError::Form {
        path: path.to_owned(),
        message,
    })
}

/// What is wrong and in which line, without the line: whatever lies at the path is no business of the log.
fn mistake(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start));
    let line = before.map(|before| before.matches('\n').count() + 1);
    let message = error.message();
    line.map_or_else(|| message.to_owned(), |line| format!("{message}, at line {line}"))
}

/// Reads what stands in the file.
pub(super) fn parse(text: &str) -> Result<Vec<Entry>, String> {
    let read: Entries = toml::from_str(text).map_err(|error| mistake(text, &error))?;
    if let Some(entry) = read.tokens.iter().find(|entry| !entry.san.is_empty()) {
        return Err(format!("`{}` is a token, so `san` means nothing", entry.name));
    }
    if let Some(entry) = read.certificates.iter().find(|entry| entry.san.is_empty()) {
        return Err(format!(
            "`{}` is a certificate, and its `san` is missing",
            entry.name
        ));
    }
    let entries: Vec<_> = read.tokens.into_iter().chain(read.certificates).collect();
    if entries.len() > TOKENS_MAX {
        return Err(format!("it has more than {TOKENS_MAX} tokens"));
    }
    let (mut names, mut digests) = (BTreeSet::new(), BTreeSet::new());
    for entry in &entries {
        if let Some(mistake) = entry.mistake() {
            return Err(mistake);
        }
        if !names.insert(&entry.name) {
            return Err(format!("it has two tokens `{}`", entry.name));
        }
        if entry.san.is_empty() && !digests.insert(&entry.digest) {
            return Err(format!("`{}` has the digest of another one", entry.name));
        }
    }
    Ok(entries)
}

/// What the file has; nothing, if there is none.
pub(crate) fn list(path: &Path) -> Result<Vec<Entry>, TokensError> {
    match read(path) {
        Err(TokensError::File { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            Ok(Vec::new())
        }
        entries => entries,
    }
}

/// Adds a token, and gives its text, which is nowhere else. `digest` of the wish is not looked at.
pub(crate) fn create(path: &Path, wish: Entry) -> Result<BearerToken, TokensError> {
    let token = BearerToken::random().map_err(|_| TokensError::Random)?;
    let entry = Entry {
        digest: token.digest().to_string(),
        ..wish
    };
    if let Some(mistake) = entry.mistake() {
        return Err(TokensError::Wish(mistake));
    }
    change(path, |entries| {
        if entries.iter().any(|known| known.name == entry.name) {
            return Err(TokensError::Taken(entry.name.clone()));
        }
        entries.push(entry);
        Ok(())
    })?;
    Ok(token)
}

/// Takes a token back.
pub(crate) fn revoke(path: &Path, name: &str) -> Result<(), TokensError> {
    change(path, |entries| {
        let before = entries.len();
        entries.retain(|entry| entry.name != name);
        if entries.len() < before {
            return Ok(());
        }
        let name = name.to_owned();
        let known = entries.iter().map(|entry| format!("`{}`", entry.name)).collect();
        Err(TokensError::Missing { name, known })
    })
}

/// Changes the file, whole or not at all. Two who do it at once wait for each other.
fn change(
    path: &Path,
    change: impl FnOnce(&mut Vec<Entry>) -> Result<(), TokensError>,
) -> Result<(), TokensError> {
    let at = |source| TokensError::File {
        path: path.to_owned(),
        source,
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let turn = File::create(path.with_file_name(format!(".{name}.lock"))).map_err(at)?;
    turn.lock().map_err(at)?;
    let mut entries = list(path)?;
    change(&mut entries)?;
    let text = rewritten(entries).map_err(|message| TokensError::Form {
        path: path.to_owned(),
        message,
    })?;
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    // Only this user reads it, as long as nobody says otherwise: it names people.
    let mut fresh = tempfile::NamedTempFile::new_in(dir.unwrap_or(Path::new("."))).map_err(at)?;
    fresh.write_all(text.as_bytes()).map_err(at)?;
    fresh.as_file().sync_all().map_err(at)?;
    if let Ok(before) = std::fs::metadata(path) {
        fresh
            .as_file()
            .set_permissions(before.permissions())
            .map_err(at)?;
    }
    fresh.persist(path).map(drop).map_err(|error| at(error.error))
}

/// The whole file with these entries.
pub(super) fn rewritten(entries: Vec<Entry>) -> Result<String, String> {
    let (tokens, certificates) = entries.into_iter().partition(|entry| entry.san.is_empty());
    let entries = Entries { tokens, certificates };
    let text = toml::to_string(&entries).map_err(|error| error.to_string())?;
    Ok(format!("{HEAD}\n{text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(name: &str) -> Entry {
        Entry {
            name: name.to_owned(),
            role: Role::Instance,
            digest: String::new(),
            san: Vec::new(),
            created: Some(Timestamp(1_700_000_000_000)),
            expires: None,
            repos: Vec::new(),
            configs: vec!["payments/*".to_owned()],
            instances: Vec::new(),
            labels: BTreeMap::new(),
        }
    }

    #[test]
    fn a_token_that_was_made_is_in_the_file_by_its_digest_alone_until_it_is_taken_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens.toml");
        let token = create(&path, wish("payments")).unwrap();
        create(&path, wish("web")).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(&token.digest().to_string()) && !text.contains(token.expose()));
        let names = |entries: Vec<Entry>| entries.into_iter().map(|entry| entry.name).collect::<Vec<_>>();
        assert_eq!(names(list(&path).unwrap()), ["payments", "web"]);
        assert!(matches!(create(&path, wish("web")), Err(TokensError::Taken(_))));
        revoke(&path, "payments").unwrap();
        assert_eq!(names(list(&path).unwrap()), ["web"]);
        let error = revoke(&path, "payments").unwrap_err();
        assert_eq!(error.hint(), "the file has `web`");
    }

    #[test]
    fn two_who_make_tokens_at_once_both_get_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens.toml");
        std::thread::scope(|scope| {
            for number in 0..8 {
                let path = &path;
                scope.spawn(move || create(path, wish(&format!("t{number}"))).unwrap());
            }
        });
        assert_eq!(list(&path).unwrap().len(), 8);
    }

    #[test]
    fn the_file_is_read_by_this_user_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens.toml");
        create(&path, wish("payments")).unwrap();
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }

    #[test]
    fn a_file_with_a_mistake_is_refused_whole() {
        let digest = TokenDigest::of("x");
        let entry = |rest: &str| format!("[[token]]\nname = \"a\"\ndigest = \"{digest}\"\n{rest}\n");
        let told = |text: String| {
            parse(&text)
                .unwrap_err()
                .lines()
                .last()
                .unwrap_or_default()
                .to_owned()
        };
        let good = entry("role = \"reader\"");
        let mistakes = [
            told(entry("role = \"owner\"")),
            told(entry("role = \"reader\"\nconfig = [\"x\"]")),
            told(entry("role = \"reader\"\nlabels = { env = \"prod\" }")),
            told(entry("role = \"instance\"\nconfigs = [\"[\"]")),
            told(format!("{good}{good}")),
            told(good.replace("sha256:", "md5:")),
            told(good.replace("\"a\"", "\"a b\"")),
        ];
        insta::assert_debug_snapshot!(mistakes, @r#"
        [
            "unknown variant `owner`, expected one of `instance`, `reader`, `operator`, `admin`, at line 4",
            "unknown field `config`, expected one of `name`, `role`, `digest`, `san`, `created`, `expires`, `repos`, `configs`, `instances`, `labels`, at line 5",
            "`a` is no instance, so `instances` and `labels` mean nothing",
            "of `a`: error parsing glob '[': unclosed character class; missing ']'",
            "it has two tokens `a`",
            "`digest` of `a` is not `sha256:` and 64 digits",
            "`a b` is no name of a token: letters, digits, `.`, `_`, `-` and `@`, up to 64",
        ]
        "#);
    }
}
