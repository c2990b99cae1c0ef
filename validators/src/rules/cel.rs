//! Rules as expressions of the Common Expression Language (CEL).
//!
//! The crate `cel` only reads an expression; it is evaluated here, over the trees as they are. The reasons: documents
//! are looked at and never copied, every step is counted and so is everything that is made, numbers of both kinds can
//! be mixed, and a mistake is told with its place and the names that would have been right.
//!
//! Invariant: total and bounded. Any text is a program or a list of mistakes, and any run of a program ends within a
//! number of steps that bounds its memory too, with a boolean or with an error. What is deliberately absent: time,
//! which only a process that can be killed bounds; and what an error or `false` means for a commit.

mod arithmetic;
pub(crate) mod budget;
mod collection;
mod compare;
mod convert;
mod expression;
mod functions;
mod helpers;
mod load;
mod lookup;
mod lower;
mod machine;
mod pattern;
mod places;
pub(crate) mod scope;
mod text;
mod value;
mod wrong;

use std::collections::BTreeSet;

use budget::Budget;
use expression::Expr;
use machine::Machine;
use pattern::Patterns;
use scope::{Scope, Variable};

use crate::document::Range;

/// What a rule is judged against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ScopeKind {
    /// Each document of each config that names the rule.
    Document,
    /// The commit, once.
    Commit,
}

/// Something that is wrong with an expression, found before any document is seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mistake {
    /// Bytes of the expression.
    pub(crate) range: Range,
    pub(crate) message: String,
    pub(crate) hint: String,
}

/// Why a run came to no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RunError {
    /// Bytes of the expression.
    pub(crate) range: Range,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

/// A rule's expression, ready to run.
#[derive(Debug)]
pub(crate) struct Program {
    root: Expr,
    mentions: BTreeSet<Variable>,
    patterns: Patterns,
}

impl Program {
    /// Reads an expression and checks its names, its functions and its constant patterns; all mistakes together, in
    /// the order of the text.
    pub(crate) fn compile(text: &str, scope: ScopeKind) -> Result<Self, Vec<Mistake>> {
        load::load(text, scope)
    }

    /// Whether the expression can see the variable, so that those that are costly are only made where they are used.
    pub(crate) fn mentions(&self, variable: Variable) -> bool {
        self.mentions.contains(&variable)
    }

    /// Whether this is a rule about a transition.
    pub(crate) fn mentions_old(&self) -> bool {
        self.mentions(Variable::Old)
    }

    /// What the expression says of `scope`. Its steps are taken from `budget`.
    pub(crate) fn run<'a>(&'a self, scope: &'a Scope<'a>, budget: &mut Budget) -> Result<bool, RunError> {
        Machine::new(scope, &self.patterns, budget).decide(&self.root)
    }
}

#[cfg(test)]
mod laws;
#[cfg(test)]
mod page;
#[cfg(test)]
mod tests;
