//! Which repository a delivery speaks of.
//!
//! Invariant: nothing of a payload is ever dialled; addresses in it are only compared. Hosts and ports are not
//! compared, since one forge has many names (inside, outside, by ssh), and the signature has said who it is.

use percent_encoding::percent_decode_str;

use crate::secret::{UpstreamUrl, UrlKind};

/// Addresses of one repository that are looked at.
const ADDRESSES_MAX: usize = 8;

/// How a delivery names its repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// The forge's own id of it, which survives a rename.
    pub id: Option<String>,
    /// Owner or group and name.
    pub full_name: Option<String>,
    /// Addresses to clone it from.
    pub addresses: Vec<String>,
}

impl Identity {
    /// From an id, a full name and addresses, each of which may be missing.
    pub(super) fn new<'a>(
        id: Option<String>,
        full_name: Option<&str>,
        addresses: impl IntoIterator<Item = Option<&'a str>>,
    ) -> Self {
        let addresses = addresses.into_iter().flatten().take(ADDRESSES_MAX);
        Self {
            id,
            full_name: full_name.map(str::to_owned),
            addresses: addresses.map(str::to_owned).collect(),
        }
    }

    /// Whether the delivery does not say where it happened.
    pub fn is_unknown(&self) -> bool {
        self.id.is_none() && self.full_name.is_none() && self.addresses.is_empty()
    }

    /// Whether this is the repository at `upstream`. What the operator said of it at its forge (`forge_repo`: an id or
    /// a full name) counts alone; else the path of the address must be the full name, or that of an address of the
    /// delivery.
    pub fn is(&self, upstream: &UpstreamUrl, forge_repo: Option<&str>) -> bool {
        if let Some(said) = forge_repo {
            let is_id = self.id.as_deref().map(bare_id) == Some(bare_id(said));
            let is_name = self.full_name.as_deref().map(normalised) == Some(normalised(said));
            return is_id || is_name;
        }
        let Some(ours) = remote_path(upstream) else {
            return false;
        };
        let named = self.full_name.as_deref().map(normalised);
        let addressed = self
            .addresses
            .iter()
            .filter_map(|text| remote_path(&text.parse().ok()?));
        named.into_iter().chain(addressed).any(|theirs| theirs == ours)
    }
}

/// Path of an address on another machine; `None` for a directory here, whose path says nothing about a forge.
pub(crate) fn remote_path(address: &UpstreamUrl) -> Option<String> {
    match address.kind() {
        UrlKind::Http { path, .. } | UrlKind::Ssh { path, .. } => Some(normalised(path)),
        UrlKind::Path(_) | UrlKind::File(_) => None,
    }
}

/// A path or full name without what forges do not tell apart: case, escapes, slashes at the ends, `.git`.
pub(crate) fn normalised(path: &str) -> String {
    let decoded = percent_decode_str(path).decode_utf8_lossy().to_lowercase();
    let bare = decoded.trim_matches('/');
    bare.strip_suffix(".git").unwrap_or(bare).to_owned()
}

/// Bitbucket writes ids in braces.
fn bare_id(id: &str) -> &str {
    id.trim_start_matches('{').trim_end_matches('}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(full_name: &str) -> Identity {
        Identity::new(None, Some(full_name), [])
    }

    fn is(identity: &Identity, url: &str) -> bool {
        identity.is(&url.parse().unwrap(), None)
    }

    #[test]
    fn a_full_name_is_matched_whatever_the_scheme_port_case_and_ending() {
        for url in [
            "https://git.example.test/acme/config.git",
            "https://git.example.test:8443/Acme/Config",
            "http://git.example.test/acme/config/",
            "ssh://git@git.example.test:2222/acme/config.git",
            "git@git.example.test:acme/config.git",
            "https://git.example.test/%61cme/config.GIT",
        ] {
            assert!(is(&named("acme/config"), url), "{url}");
            assert!(is(&named("ACME/config"), url), "{url}");
        }
    }

    #[test]
    fn a_name_that_merely_begins_or_ends_alike_is_another_repository() {
        for url in [
            "https://git.example.test/acme/config-old.git",
            "https://git.example.test/evil/acme/config.git",
            "https://git.example.test/acme/conf.git",
            "https://git.example.test/acme.git",
            "/srv/git/acme/config.git",
            "/acme/config.git",
        ] {
            assert!(!is(&named("acme/config"), url), "{url}");
        }
    }

    #[test]
    fn a_forge_below_a_path_is_known_by_the_addresses_it_sends() {
        let sent = ["https://git.example.test/gitea/acme/config.git", "no address"].map(Some);
        let identity = Identity::new(None, Some("acme/config"), sent);
        assert!(is(&identity, "http://inside:3000/gitea/acme/config"));
        assert!(!is(&identity, "http://inside:3000/other/acme/config"));
    }

    #[test]
    fn what_the_operator_said_counts_alone() {
        let url: UpstreamUrl = "https://git.example.test/acme/config.git".parse().unwrap();
        let identity = Identity::new(Some("{7f-1}".to_owned()), Some("acme/renamed"), []);
        assert!(identity.is(&url, Some("7f-1")));
        assert!(identity.is(&url, Some("Acme/Renamed")));
        assert!(!identity.is(&url, Some("7f-2")));
        assert!(!named("acme/config").is(&url, Some("7f-1")));
    }
}
