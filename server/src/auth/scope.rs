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
}
