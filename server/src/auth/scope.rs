//! What a token is bound to: repositories, configs, instances, labels.
//!
//! Invariant: a list that is empty binds to nothing, and one that is there lets nothing else through.

use std::collections::BTreeMap;

use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};
use headwater_wire::{ConfigName, InstanceId, RepoName};

/// What its holder may touch.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scope {
    repos: Option<GlobSet>,
    configs: Option<GlobSet>,
    instances: Option<GlobSet>,
    /// What every report must say of the instance.
    labels: BTreeMap<String, String>,
}

impl Scope {
    /// From the globs of a file. `*` stays within one part of a name, `**` does not.
    pub(crate) fn new(
        repos: &[String],
        configs: &[String],
        instances: &[String],
        labels: BTreeMap<String, String>,
    ) -> Result<Self, globset::Error> {
        Ok(Self {
            repos: globs(repos)?,
            configs: globs(configs)?,
            instances: globs(instances)?,
            labels,
        })
    }

    /// Whether it is bound to some configs.
    pub(crate) fn has_configs(&self) -> bool {
        self.configs.is_some()
    }

    /// Whether it has anything to do with a repository.
    pub(crate) fn takes_repo(&self, repo: &RepoName) -> bool {
        takes(self.repos.as_ref(), repo.as_str())
    }

    /// Whether a config is one of its own.
    pub(crate) fn takes_config(&self, config: &ConfigName) -> bool {
        takes(self.configs.as_ref(), config.as_str())
    }

    /// Whether an instance is one of its own.
    pub(crate) fn takes_instance(&self, instance: &InstanceId) -> bool {
        takes(self.instances.as_ref(), instance.as_str())
    }

    /// A label that an instance of it must have and that this one has not.
    pub(crate) fn lacking(&self, labels: &BTreeMap<String, String>) -> Option<(&str, &str)> {
        let mut wanted = self.labels.iter();
        let lacking = wanted.find(|(key, value)| labels.get(*key) != Some(value));
        lacking.map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

/// Which certificates an entry stands for.
#[derive(Debug, Clone)]
pub(crate) struct CertificateNames(GlobSet);

impl CertificateNames {
    /// From patterns such as `URI:spiffe://prod/payments/*` and `DNS:*.payments.example`; `*` stays within one part.
    pub(crate) fn new(patterns: &[String]) -> Result<Self, String> {
        let mut set = GlobSetBuilder::new();
        for pattern in patterns {
            let is_kind = ["URI:", "DNS:"]
                .iter()
                .any(|kind| pattern.strip_prefix(kind).is_some_and(|rest| !rest.is_empty()));
            if !is_kind {
                let pattern = pattern.escape_debug();
                return Err(format!(
                    "`{pattern}` does not begin with `URI:` or `DNS:`, as in `URI:spiffe://prod/*`"
                ));
            }
            set.add(glob(&parts(pattern)).map_err(|error| error.to_string())?);
        }
        set.build().map(Self).map_err(|error| error.to_string())
    }

    /// Whether one of a certificate's names is one of its own.
    pub(crate) fn take(&self, names: &[String]) -> bool {
        names.iter().any(|name| self.0.is_match(parts(name)))
    }
}

/// Whether these are patterns of names of certificates.
///
/// # Errors
/// Which one is none.
pub(crate) fn certificate_names(patterns: &[String]) -> Result<(), String> {
    CertificateNames::new(patterns).map(|_| ())
}

/// A name with `/` between its parts, of whichever kind it is.
fn parts(name: &str) -> String {
    match name.strip_prefix("DNS:") {
        Some(dns) => format!("DNS:{}", dns.to_ascii_lowercase().replace('.', "/")),
        None => name.to_owned(),
    }
}

fn takes(globs: Option<&GlobSet>, name: &str) -> bool {
    globs.is_none_or(|globs| globs.is_match(name))
}

/// Globs of names, in one set; none where there are none.
pub(super) fn globs(patterns: &[String]) -> Result<Option<GlobSet>, globset::Error> {
    if patterns.is_empty() {
        return Ok(None);
    }
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(glob(pattern)?);
    }
    set.build().map(Some)
}

fn glob(pattern: &str) -> Result<Glob, globset::Error> {
    GlobBuilder::new(pattern).literal_separator(true).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound() -> Scope {
        let list = |text: &str| vec![text.to_owned()];
        let labels = [("env".to_owned(), "prod".to_owned())].into();
        Scope::new(&list("main"), &list("payments/*"), &list("payments-*"), labels).unwrap()
    }

    #[test]
    fn what_is_bound_takes_its_own_and_nothing_else() {
        let scope = bound();
        assert!(scope.takes_repo(&"main".parse().unwrap()) && !scope.takes_repo(&"other".parse().unwrap()));
        let config = |name: &str| scope.takes_config(&name.parse().unwrap());
        assert!(config("payments/prod"));
        assert!(!config("payments/eu/prod") && !config("payments") && !config("web/payments/x"));
        let instance = |name: &str| scope.takes_instance(&name.parse().unwrap());
        assert!(instance("payments-7") && !instance("web-7") && !instance("xpayments-7"));
        assert_eq!(scope.lacking(&BTreeMap::new()), Some(("env", "prod")));
        assert_eq!(
            scope.lacking(&[("env".to_owned(), "prod".to_owned())].into()),
            None
        );
        assert_eq!(
            scope.lacking(&[("env".to_owned(), "dev".to_owned())].into()),
            Some(("env", "prod"))
        );
    }

    #[test]
    fn what_is_not_bound_takes_everything() {
        let scope = Scope::default();
        assert!(scope.takes_config(&"a/b/c".parse().unwrap()) && !scope.has_configs());
        assert!(scope.takes_instance(&"x".parse().unwrap()) && scope.lacking(&BTreeMap::new()).is_none());
    }

    #[test]
    fn a_glob_that_is_none_is_told() {
        let wrong = vec!["payments/[".to_owned()];
        assert!(Scope::new(&[], &wrong, &[], BTreeMap::new()).is_err());
    }

    #[test]
    fn a_certificate_is_an_entrys_own_by_whole_parts_of_its_names() {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let patterns = ["URI:spiffe://prod/payments/*", "DNS:*.payments.example"];
        let own = CertificateNames::new(&list(&patterns)).unwrap();
        for (name, is_own) in [
            ("URI:spiffe://prod/payments/7", true),
            ("URI:spiffe://prod/payments/7/x", false),
            ("URI:spiffe://test/payments/7", false),
            ("DNS:a.payments.example", true),
            ("DNS:A.Payments.Example", true),
            ("DNS:a.b.payments.example", false),
            ("DNS:payments.example", false),
            ("DNS:a.payments.example.evil", false),
            ("URI:a.payments.example", false),
        ] {
            assert_eq!(own.take(&list(&[name])), is_own, "{name}");
        }
        assert!(own.take(&list(&["DNS:other", "DNS:a.payments.example"])));
        assert!(!own.take(&[]));
        assert!(CertificateNames::new(&list(&["payments"])).is_err());
        assert!(CertificateNames::new(&list(&["DNS:"])).is_err());
    }
}
