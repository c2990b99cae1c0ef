//! Runs all rules of a commit, its own and those of the exposed one.
//!
//! Invariant: a rule of the exposed manifest that measures a change runs on every config it was for, whatever that is
//! called now, unless the commit's own manifest has the very same rule for it. It sees the config as the exposed
//! manifest has it: what a commit calls a config is no way out of a condition.

use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use headwater_render::Format;
use headwater_wire::{CommitId, ConfigName, Finding, Severity, Span};
use serde_json::Value;

use super::before::Before;
use super::cel::ScopeKind;
use super::cel::budget::Budget;
use super::cel::scope::CommitFacts;
use super::expression::{Stage, facts};
use super::finding::{self, Holds};
use super::old::OldValues;
use super::question::Question;
use super::reference::{self, World};
use super::rule::{Check, Reach, Rule};
use super::subjects::{Known, can_be_measured, documents, failed, transitions, untrue};
use super::template::Facts;
use super::unsaid::Unsaid;
use super::{Subject, Violation, shape, transition};
use crate::collect::Collector;
use crate::context::Context;
use crate::document::lines::LineIndex;
use crate::effective::Effective;
use crate::lineage::Lineage;
use crate::manifest;
use crate::plan::{Plan, Planned, Terms};
use crate::source::Source;
use crate::suggest;
use crate::trailer::Allowance;
use crate::tree::Entry;
use crate::verdict::Config;

/// What rules are run on.
pub(crate) struct Checker<'a, 't, 'b> {
    pub(crate) context: &'a Context<'a>,
    pub(crate) plan: &'a Plan,
    pub(crate) before: Option<&'a Before<'b>>,
    /// The documents that instances may hold.
    pub(crate) old: &'a OldValues<'a>,
    /// Which configs of `before` those of the tree go on from.
    pub(crate) lineage: Option<&'a Lineage>,
    /// The configs without a mistake, with what the manifest says of them.
    pub(crate) sound: &'a BTreeMap<ConfigName, Arc<Terms>>,
    /// Whether those are all that the tree declares.
    pub(crate) coverage: Coverage,
    pub(crate) world: World<'a, 't>,
    pub(crate) budget: Budget,
}

/// How much of a tree can be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coverage {
    /// All configs are sound.
    Whole,
    /// Some have mistakes, so that nothing can be said of all together.
    Part,
}

/// A rule, why it holds, and how its manifest knows the config.
#[derive(Clone, Copy)]
pub(super) struct Held<'r> {
    pub(super) rule: &'r Rule,
    pub(super) holds: Holds,
    pub(super) by: (&'r ConfigName, &'r Terms),
}

impl<'a> Checker<'a, '_, '_> {
    /// Runs them; what only a webhook can say is returned.
    pub(crate) fn run(mut self) -> Vec<Question> {
        self.unknown_allowances();
        let sources = self.files();
        let stage = self.stage(&sources);
        let (sound, configs) = (self.sound, self.world.configs);
        for (name, terms) in sound {
            let Some(config) = configs.get(name) else { continue };
            for held in self.rules_for(name, terms) {
                self.document_rule(held, (name, config), &stage);
            }
        }
        self.unique_rules(&stage);
        self.commit_rules(&stage);
        self.questions(&stage)
    }

    /// Every file that can be read, if an expression looks into them.
    fn files(&mut self) -> Vec<Arc<Source>> {
        let asks = |rule: &Rule| rule.mentions_files();
        if !self.plan.rules.values().any(asks) && !self.exposed_rules().any(asks) {
            return Vec::new();
        }
        // What a config needs is known to be readable, or has its finding; of the rest nothing is expected.
        let mut unread = Collector::default();
        let files = self.world.tree.iter().filter(|(path, entry)| {
            let is_file = matches!(entry, Entry::File(file) if file.bytes.is_some());
            is_file && Format::of(path).is_some() && path.as_str() != manifest::PATH
        });
        files
            .filter_map(|(path, _)| self.world.library.source(path, &mut unread))
            .collect()
    }

    fn stage<'s>(&self, sources: &'s [Arc<Source>]) -> Stage<'s>
    where
        'a: 's,
    {
        // Most manifests have no expression, and few expressions look at other configs.
        let asks = |rule: &Rule| rule.mentions_configs();
        let is_asked = self.plan.rules.values().any(asks) || self.exposed_rules().any(asks);
        let asked_about = self.sound.iter().filter(|_| is_asked);
        let configs = asked_about.filter_map(|(name, terms)| {
            let config = self.world.configs.get(name)?;
            let known = Known {
                name,
                by: (name, terms),
            };
            documents(known, config).first().map(facts)
        });
        let exposed = self
            .before
            .into_iter()
            .flat_map(|before| before.plan.configs.values());
        let exposed = exposed.map(|planned| &planned.terms);
        let names = self
            .sound
            .values()
            .chain(exposed)
            .flat_map(|terms| terms.bindings.keys());
        let commit = self.context.commit;
        let (new, old, mask) = (self.world.configs, self.old, &self.plan.mask);
        let unsaid = move || {
            let new = new.values().flat_map(Config::effectives);
            Unsaid::of(new.chain(old.effectives()), (sources, mask))
        };
        Stage {
            configs: configs.collect(),
            files: sources
                .iter()
                .map(|source| (source.path.as_str(), &source.root))
                .collect(),
            commit: CommitFacts {
                id: commit.id.as_ref().map_or("", CommitId::as_str),
                author: &commit.author,
                message: &commit.message,
            },
            placeholders: names.map(String::as_str).collect(),
            unsaid: LazyCell::new(Box::new(unsaid)),
        }
    }

    /// The exposed manifest's rules that hold for one commit more.
    pub(super) fn exposed_rules(&self) -> impl Iterator<Item = &'a Rule> + use<'a> {
        let rules = self.before.map(|before| before.plan.rules.values());
        rules.into_iter().flatten().filter(|rule| rule.is_transition())
    }

    /// The rules that hold for one config, whatever they are about.
    pub(super) fn rules_for(&self, name: &'a ConfigName, terms: &'a Terms) -> Vec<Held<'a>> {
        let own = self.plan.rules.values().filter(|rule| holds_for(rule, terms));
        let itself = |rule| Held {
            rule,
            holds: Holds::Itself,
            by: (name, terms),
        };
        let mut held: Vec<Held<'a>> = own.map(itself).collect();
        // Under another name, nothing but the exposed rule knows what it is measured against.
        let is_same = |own: &Held<'_>, still: &Held<'_>| {
            let (known_as, terms_then) = still.by;
            own.rule.id == still.rule.id
                && own.rule.says == still.rule.says
                && (known_as, &terms_then.bindings) == (name, &terms.bindings)
        };
        let mut still = self.still(name);
        still.retain(|still| !held.iter().any(|own| is_same(own, still)));
        held.append(&mut still);
        if self.is_restored(name) {
            held.retain(|held| !held.rule.is_transition());
        }
        held
    }

    /// The exposed manifest's rules that hold for what becomes of exposed configs.
    fn still(&self, name: &ConfigName) -> Vec<Held<'a>> {
        let mut held = Vec::new();
        for (name, planned) in self.ancestors(name) {
            let rules = self
                .exposed_rules()
                .filter(|rule| holds_for(rule, &planned.terms));
            held.extend(rules.map(|rule| Held {
                rule,
                holds: Holds::Still,
                by: (name, &planned.terms),
            }));
        }
        held
    }

    fn ancestors(&self, name: &ConfigName) -> Vec<(&'a ConfigName, &'a Planned)> {
        let lineage = self.lineage;
        lineage.map(|lineage| lineage.ancestors(name)).unwrap_or_default()
    }

    /// Whether a config is as it was in an admitted commit that this one goes back to.
    fn is_restored(&self, name: &ConfigName) -> bool {
        let config = self.world.configs.get(name);
        let restored = self.context.restored.zip(config);
        restored.is_some_and(|(restored, config)| restored.brings_back(config))
    }

    fn document_rule(
        &mut self,
        held: Held<'a>,
        (name, config): (&'a ConfigName, &'a Config),
        stage: &Stage<'_>,
    ) {
        let known = Known { name, by: held.by };
        let subjects = if held.rule.is_transition() {
            transitions(known, config, self.old.of(held.by.0))
        } else {
            documents(known, config)
        };
        for subject in &subjects {
            let violations = match self.applies(held.rule, subject, stage) {
                Ok(true) => self.violations(held.rule, subject, stage),
                Ok(false) => Vec::new(),
                Err(failed) => vec![*failed],
            };
            self.tell((held.rule, held.holds), subject, violations);
        }
    }

    /// Whether a rule speaks of a document. One that measures a change does so where there is an old value.
    fn applies(
        &mut self,
        rule: &Rule,
        subject: &Subject<'_>,
        stage: &Stage<'_>,
    ) -> Result<bool, Box<Violation>> {
        if rule.is_transition() && (self.before.is_none() || !can_be_measured(rule, subject)) {
            return Ok(false);
        }
        match &rule.says.when {
            None => Ok(true),
            Some(when) => stage
                .run(when, Some(subject), &mut self.budget)
                .map_err(|error| Box::new(failed(rule, Some(subject), error))),
        }
    }

    fn violations(&mut self, rule: &Rule, subject: &Subject<'_>, stage: &Stage<'_>) -> Vec<Violation> {
        let new = subject.new.document();
        match (&rule.says.check, &rule.says.at) {
            (Check::Immutable | Check::MaxFactor(_) | Check::MaxDelta(_) | Check::OnlyGrow, _) => {
                transition::check(
                    &rule.says,
                    subject.old.map_or(&Value::Null, Effective::document),
                    new,
                )
            }
            (Check::Expr(test, ScopeKind::Document), _) => {
                match stage.run(test, Some(subject), &mut self.budget) {
                    Ok(true) => Vec::new(),
                    Ok(false) => vec![untrue(rule, test, subject)],
                    Err(error) => vec![failed(rule, Some(subject), error)],
                }
            }
            (Check::RequireTogether(keys), at) => shape::require_together(keys, at.as_ref(), new),
            (Check::MatchesPath(pattern), Some(at)) => shape::matches_path(pattern, at, subject),
            (Check::DenyPath(denied), Some(at)) => shape::deny_path(denied, at, subject),
            (Check::Exists(target), Some(at)) => self.world.exists(target, at, subject),
            (Check::MatchesPath(_) | Check::DenyPath(_) | Check::Exists(_), None)
            | (Check::Unique(_) | Check::Expr(_, ScopeKind::Commit) | Check::Webhook(_), _) => Vec::new(),
        }
    }

    pub(super) fn tell(&mut self, held: (&Rule, Holds), subject: &Subject<'_>, violations: Vec<Violation>) {
        let on_the_way = subject.besides.into_iter().flat_map(|old| &old.allowed);
        let allowed: Vec<Allowance> = self
            .context
            .commit
            .allowed
            .iter()
            .chain(on_the_way)
            .cloned()
            .collect();
        let resolver = subject.new.resolver();
        for violation in violations {
            if self.world.found.is_full_of(held.0.says.severity) {
                self.world.found.leave_out();
                continue;
            }
            let finding = finding::of_violation(held, (subject, &resolver), violation, &allowed);
            self.world.found.push(finding);
        }
    }

    /// Rules over the documents of several configs.
    fn unique_rules(&mut self, stage: &Stage<'_>) {
        let plan = self.plan;
        for rule in plan.rules.values() {
            let (Check::Unique(across), Some(at)) = (&rule.says.check, &rule.says.at) else {
                continue;
            };
            let held = self.sound.iter().filter(|(_, terms)| holds_for(rule, terms));
            let configs = self.world.configs;
            let all = held.filter_map(|(name, terms)| {
                let known = Known {
                    name,
                    by: (name, terms),
                };
                Some(documents(known, configs.get(name)?))
            });
            let all: Vec<Subject<'_>> = all.flatten().collect();
            let mut spoken_of = Vec::new();
            for subject in all {
                match self.applies(rule, &subject, stage) {
                    Ok(true) => spoken_of.push(subject),
                    Ok(false) => {}
                    Err(failed) => self.tell((rule, Holds::Itself), &subject, vec![*failed]),
                }
            }
            for (subject, violations) in reference::unique(across, at, &spoken_of) {
                self.tell((rule, Holds::Itself), &subject, violations);
            }
        }
    }

    /// Rules about the commit as a whole. Where a config has a mistake, nothing is said of all of them.
    fn commit_rules(&mut self, stage: &Stage<'_>) {
        let plan = self.plan;
        for rule in plan.rules.values().filter(|_| self.coverage == Coverage::Whole) {
            let Check::Expr(test, ScopeKind::Commit) = &rule.says.check else {
                continue;
            };
            let applies = match &rule.says.when {
                None => Ok(true),
                Some(when) => stage.run(when, None, &mut self.budget),
            };
            let holds = match applies {
                Ok(true) => stage.run(test, None, &mut self.budget),
                other => other.map(|_| true),
            };
            let finding = match holds {
                Ok(true) => continue,
                Ok(false) => {
                    let facts = Facts::default();
                    let own = rule.says.message.as_ref().map(|message| message.fill(&facts));
                    let message = own
                        .unwrap_or_else(|| format!("this does not hold for the commit: `{}`", test.text()));
                    self.at_rule(rule, &finding::code(rule), message)
                }
                Err(error) => {
                    let message = format!("this rule cannot be judged: {}", error.message);
                    let finding = self.at_rule(rule, finding::ERROR, message);
                    Finding {
                        hint: error.hint,
                        ..finding
                    }
                }
            };
            let allowed = &self.context.commit.allowed;
            self.world
                .found
                .push(finding::weighed((rule, Holds::Itself), finding, allowed));
        }
    }

    /// A finding about no document: at the rule itself.
    fn at_rule(&self, rule: &Rule, code: &str, message: String) -> Finding {
        let span = self
            .plan
            .manifest
            .as_ref()
            .map_or(Span::START, |bytes| LineIndex::new(bytes).span(rule.range));
        Finding::new(code, rule.says.severity, (manifest::PATH, span), message)
    }

    /// Warnings for trailers that allow nothing, since no rule has their id.
    fn unknown_allowances(&mut self) {
        let ids = self
            .plan
            .rules
            .values()
            .chain(self.exposed_rules())
            .map(|rule| rule.id.as_str());
        let known: Vec<&str> = ids.collect::<BTreeSet<_>>().into_iter().collect();
        let unknown = self
            .context
            .commit
            .allowed
            .iter()
            .filter(|allowance| !known.contains(&allowance.rule.as_str()));
        let findings: Vec<Finding> = unknown
            .map(|allowance| {
                let message = format!("a trailer allows a rule that is not there: `{}`", allowance.rule);
                let finding = Finding::of_all("override/unknown", Severity::Warning, message);
                if known.is_empty() {
                    finding
                } else {
                    finding.hint(suggest::hint(&allowance.rule, &known))
                }
            })
            .collect();
        self.world.found.extend(findings);
    }
}

/// Whether a rule holds for a config of which the manifest says this.
pub(crate) fn holds_for(rule: &Rule, terms: &Terms) -> bool {
    match rule.reach {
        Reach::All => rule.is_about_all(),
        Reach::Named => terms.rules.contains(&rule.id),
    }
}
