//! Which people there are, as far as that can be known: who may give an order, who may still, and who could confirm it.
//!
//! Invariant: who is let in by an issuer or a proxy is known when he comes, and nothing is said of him before.

use headwater_core::is_same_person;
use headwater_wire::{OrderKind, RepoName, Timestamp};
use tracing::warn;

use super::gate::Gate;
use super::identity::Identity;
use super::role::Need;
use crate::clock;
use crate::settings::OrderSettings;

impl Gate {
    /// Says of which repositories an order that needs a second person could be confirmed by nobody.
    pub(crate) fn warn_of_few_people<'a>(
        &self,
        orders: &OrderSettings,
        repos: impl Iterator<Item = &'a RepoName>,
    ) {
        if orders.second_person.is_empty() || !self.issuers.is_empty() || self.proxy.is_some() {
            return;
        }
        let kinds: Vec<&str> = orders
            .second_person
            .iter()
            .copied()
            .map(OrderKind::as_str)
            .collect();
        for repo in repos {
            let people = self.people_of(repo);
            if people.len() < 2 {
                warn!(
                    %repo, people = people.len(),
                    hint = "make a token for another person: `headwater token create NAME --role operator`; a revert that is pushed to Git works without anybody's word",
                    "{} of {repo} needs a second person, and of those who may order there is only {}",
                    kinds.join(", "), people.first().map_or("nobody", String::as_str)
                );
            }
        }
    }

    /// Whether whoever gave an order of a repository by this name may give it still. Of a name that an issuer or a proxy
    /// vouched for, which has a colon in it as no name of the file has, that is not known before he comes again.
    pub(crate) fn may_still_order(&self, name: &str, repo: &RepoName) -> bool {
        let now = clock::now();
        let mut holders = self.holders().into_iter();
        name.contains(':') || holders.any(|holder| holder.name() == name && may_order(&holder, repo, now))
    }

    /// Who may order something of a repository, each person once.
    fn people_of(&self, repo: &RepoName) -> Vec<String> {
        let now = clock::now();
        let mut people: Vec<String> = Vec::new();
        for identity in self.holders() {
            let is_known = people.iter().any(|known| is_same_person(known, identity.name()));
            if may_order(&identity, repo, now) && !is_known {
                people.push(identity.name().to_owned());
            }
        }
        people
    }
}

fn may_order(identity: &Identity, repo: &RepoName, now: Timestamp) -> bool {
    let scope = identity.scope();
    let is_free = scope.takes_repo(repo) && !scope.has_configs();
    is_free && identity.role().may(Need::Order) && identity.holds(now)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::entry::{self, Entry};
    use super::super::role::Role;
    use super::*;

    #[test]
    fn each_person_counts_once_and_only_who_may_order() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tokens.toml");
        let entry = |name: &str, role, repos: &[&str], configs: &[&str]| Entry {
            name: name.to_owned(),
            role,
            digest: String::new(),
            san: Vec::new(),
            created: None,
            expires: None,
            repos: repos.iter().map(|repo| (*repo).to_owned()).collect(),
            configs: configs.iter().map(|config| (*config).to_owned()).collect(),
            instances: Vec::new(),
            labels: BTreeMap::new(),
        };
        for made in [
            entry("ann", Role::Operator, &[], &[]),
            entry("ann@example.org", Role::Admin, &[], &[]),
            entry("reader", Role::Reader, &[], &[]),
            entry("elsewhere", Role::Operator, &["other"], &[]),
            entry("bound", Role::Operator, &[], &["app"]),
        ] {
            entry::create(&file, made).unwrap();
        }
        let gate = Gate::new(Some(&file)).unwrap();
        assert_eq!(gate.people_of(&"main".parse().unwrap()).len(), 1);
        assert_eq!(gate.people_of(&"other".parse().unwrap()).len(), 2);
    }
}
