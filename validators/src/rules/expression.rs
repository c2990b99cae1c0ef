//! Expressions of rules, and what they see of a commit.
//!
//! Invariant: equal texts are equal expressions, so that a rule that was only moved is the same rule. What is
//! deliberately absent: the language, which is `cel`'s.

use std::cell::LazyCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::Subject;
use super::cel::budget::Budget;
use super::cel::scope::{CommitFacts, ConfigFacts, Scope, Tree, Variable};
use super::cel::{Mistake, Program, RunError, ScopeKind};
use super::unsaid::Unsaid;
use crate::document::Node;

/// One expression of a manifest.
#[derive(Debug, Clone)]
pub(crate) struct Expression {
    text: String,
    program: Arc<Program>,
}

impl Expression {
    pub(crate) fn compile(text: &str, scope: ScopeKind) -> Result<Self, Vec<Mistake>> {
        let program = Arc::new(Program::compile(text, scope)?);
        let text = text.to_owned();
        Ok(Self { text, program })
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Whether it measures a change.
    pub(crate) fn mentions_old(&self) -> bool {
        self.program.mentions_old()
    }

    /// Whether it looks into files.
    pub(crate) fn mentions_files(&self) -> bool {
        self.program.mentions(Variable::Files)
    }

    /// Whether it looks at other configs.
    pub(crate) fn mentions_configs(&self) -> bool {
        self.program.mentions(Variable::Configs)
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// What all expressions of a commit see.
pub(super) struct Stage<'a> {
    pub(super) configs: Vec<ConfigFacts<'a>>,
    pub(super) files: Vec<(&'a str, &'a Node)>,
    pub(super) commit: CommitFacts<'a>,
    pub(super) placeholders: BTreeSet<&'a str>,
    /// What it must not say, made once something fails.
    pub(super) unsaid: LazyCell<Unsaid, Box<dyn FnOnce() -> Unsaid + 'a>>,
}

impl Stage<'_> {
    /// What an expression says of one document, or of the commit as a whole.
    pub(super) fn run(
        &self,
        expression: &Expression,
        subject: Option<&Subject<'_>>,
        budget: &mut Budget,
    ) -> Result<bool, RunError> {
        let config = subject.map(facts);
        let scope = Scope {
            new: subject.map(|subject| Tree::Merged(subject.new.merged())),
            old: subject.and_then(|subject| Some(Tree::Merged(subject.old?.merged()))),
            config: config.as_ref(),
            configs: &self.configs,
            files: &self.files,
            commit: Some(&self.commit),
            placeholders: &self.placeholders,
        };
        let answer = expression.program.run(&scope, budget);
        answer.map_err(|error| self.unsaid.leave_out(error))
    }
}

/// One config, with its document.
pub(super) fn facts<'s>(subject: &Subject<'s>) -> ConfigFacts<'s> {
    ConfigFacts {
        name: subject.known_as.as_str(),
        bindings: subject.bindings,
        doc: Tree::Merged(subject.new.merged()),
    }
}
