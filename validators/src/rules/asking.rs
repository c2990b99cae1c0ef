//! Which webhooks a commit asks, and about what.
//!
//! Invariant: a rule asks once, about every config it is for that changes; of one that is gone the exposed rules ask.
//! What is deliberately absent: asking, and what becomes of an answer (`question`).

use std::collections::BTreeSet;
use std::sync::Arc;

use headwater_wire::{ConfigName, Finding, Span};

use super::Subject;
use super::checker::{Checker, Held};
use super::expression::Stage;
use super::finding::{self, Holds};
use super::old::Old;
use super::question::{Question, QuestionedConfig};
use super::rule::{Rule, WebhookRule};
use super::subjects::{Known, changed, documents, failed, transitions};
use super::template::Facts;
use crate::document::lines::LineIndex;
use crate::manifest;
use crate::verdict::Config;

/// A rule that asks, and whose it is.
type Asker<'r> = (&'r Rule, Holds);

impl<'a> Checker<'a, '_, '_> {
    /// One question for each rule with a webhook, if a config it is for changes.
    pub(super) fn questions(&mut self, stage: &Stage<'_>) -> Vec<Question> {
        let asks = |rule: &Rule| rule.says.webhook().is_some();
        let is_anybody_asked = self.plan.rules.values().any(asks) || self.exposed_rules().any(asks);
        if self.before.is_none() || !is_anybody_asked {
            return Vec::new();
        }
        let mut asked: Vec<(Asker<'_>, Vec<QuestionedConfig>)> = Vec::new();
        let names: BTreeSet<&ConfigName> = self.world.configs.keys().chain(self.old.names()).collect();
        for name in names {
            let changes = changed(name, self.world.configs.get(name), self.old.of(name));
            if changes.is_empty() {
                continue;
            }
            for asker in self.askers(name, stage) {
                match asked.iter_mut().find(|(known, _)| is_same(*known, asker)) {
                    Some((_, configs)) => configs.extend(changes.clone()),
                    None => asked.push((asker, changes.clone())),
                }
            }
        }
        asked
            .into_iter()
            .filter_map(|(asker, configs)| self.question(asker, configs))
            .collect()
    }

    /// The rules that ask about a config.
    fn askers(&mut self, name: &'a ConfigName, stage: &Stage<'_>) -> Vec<Asker<'a>> {
        let sound = self.sound.get(name).map(Arc::as_ref);
        let config = self.world.configs.get(name).filter(|_| sound.is_some());
        // Of a config that is gone, the exposed manifest says what it was.
        let terms = sound.or_else(|| Some(&*self.before?.plan.configs.get(name)?.terms));
        let held = terms.map_or_else(Vec::new, |terms| self.rules_for(name, terms));
        let mut askers: Vec<Asker<'a>> = Vec::new();
        for held in held.into_iter().filter(|held| held.rule.says.webhook().is_some()) {
            let asker = (held.rule, held.holds);
            // Where it takes the place of several, each of them may have the rule.
            if askers.iter().any(|known| is_same(*known, asker)) {
                continue;
            }
            if self.asks_about(held, config.map(|config| (name, config)), stage) {
                askers.push(asker);
            }
        }
        askers
    }

    /// Whether a webhook is asked about a config; of one that is gone, it always is.
    fn asks_about(
        &mut self,
        held: Held<'a>,
        config: Option<(&'a ConfigName, &'a Config)>,
        stage: &Stage<'_>,
    ) -> bool {
        let (Some((name, config)), Some(when)) = (config, &held.rule.says.when) else {
            return true;
        };
        let known = Known { name, by: held.by };
        // One document speaks for its config; what instances may hold of it, each for itself.
        let first_from = |old: &'a Old<'a>| {
            let steps = transitions(known, config, std::slice::from_ref(old));
            steps.first().copied()
        };
        let mut subjects: Vec<Subject<'a>> = self.old.of(held.by.0).iter().filter_map(first_from).collect();
        if subjects.is_empty() {
            subjects.extend(documents(known, config).first());
        }
        let mut asks = subjects.is_empty();
        for subject in subjects {
            match stage.run(when, Some(&subject), &mut self.budget) {
                Ok(applies) => asks |= applies,
                Err(error) => {
                    let failed = failed(held.rule, Some(&subject), error);
                    self.tell((held.rule, held.holds), &subject, vec![failed]);
                }
            }
        }
        asks
    }

    fn question(&self, (rule, holds): (&Rule, Holds), configs: Vec<QuestionedConfig>) -> Option<Question> {
        let WebhookRule { name, on_error } = rule.says.webhook()?;
        let manifest = self.plan.manifest.as_ref().filter(|_| holds == Holds::Itself);
        let span = manifest.map_or(Span::START, |bytes| LineIndex::new(bytes).span(rule.range));
        let message = rule
            .says
            .message
            .as_ref()
            .map_or_else(String::new, |message| message.fill(&Facts::default()));
        let place = (manifest::PATH, span);
        Some(Question {
            finding: Finding::new(&finding::code(rule), rule.says.severity, place, message),
            rule: rule.clone(),
            holds,
            webhook: name.clone(),
            on_error: *on_error,
            configs,
            allowed: self.context.commit.allowed.clone(),
        })
    }
}

fn is_same(one: Asker<'_>, other: Asker<'_>) -> bool {
    std::ptr::eq(one.0, other.0)
}
