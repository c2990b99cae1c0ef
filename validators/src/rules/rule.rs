//! What a rule says, once it is known to be well formed.

use globset::Glob;
use headwater_wire::Severity;

use super::cel::ScopeKind;
use super::expression::Expression;
use super::selector::Selector;
use super::template::Template;
use crate::document::Range;
use crate::pattern::Pattern;

/// One `[rule.ID]`.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) id: String,
    /// Its id in the manifest, for what has no other place.
    pub(crate) range: Range,
    pub(crate) says: Says,
    pub(crate) reach: Reach,
}

/// What a rule holds for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The configs that name it.
    Named,
    /// All: no config names it, and it is about the commit as a whole.
    #[default]
    All,
}

/// All that a rule says; equal for two rules that say the same at different places.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Says {
    /// Where the value is.
    pub(crate) at: Option<Selector>,
    /// The documents that it is about.
    pub(crate) when: Option<Expression>,
    pub(crate) check: Check,
    pub(crate) severity: Severity,
    pub(crate) message: Option<Template>,
    pub(crate) hint: Option<String>,
    pub(crate) overriding: Overriding,
    pub(crate) on_create: OnCreate,
}

/// What must hold.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Check {
    /// The value stays as it is.
    Immutable,
    /// The number changes by this factor at most, up or down.
    MaxFactor(f64),
    /// The number changes by this much at most, up or down.
    MaxDelta(f64),
    /// The number does not fall; the list or object loses nothing.
    OnlyGrow,
    /// No two configs whose names match have this value.
    Unique(Glob),
    /// The value names something that is there.
    Exists(Target),
    /// The value is this text, with the placeholders of its config.
    MatchesPath(Pattern),
    /// All of these are there, or none is; each below `at`, if that is given.
    RequireTogether(Vec<Selector>),
    /// The value is not set.
    DenyPath(DeniedIn),
    /// The expression is true of each document, or of the commit.
    Expr(Expression, ScopeKind),
    /// The server asks this webhook.
    Webhook(WebhookRule),
}

/// What a value must name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Target {
    pub(crate) place: TargetPlace,
    /// Pointer of a value in that place.
    pub(crate) key: Option<Pattern>,
}

/// Where a value's namesake must be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum TargetPlace {
    /// A file of the tree.
    File(Pattern),
    /// A config of the tree.
    Config(Pattern),
    /// The document that holds the value.
    Document,
}

/// Which layers may not set a value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum DeniedIn {
    Everywhere,
    /// Files that one of these matches.
    Files(Vec<Glob>),
}

/// A webhook, and what to make of its silence.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct WebhookRule {
    pub(crate) name: String,
    pub(crate) on_error: OnError,
}

/// What becomes of a commit when a webhook gives no answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnError {
    /// It is rejected.
    #[default]
    Reject,
    /// It is admitted with a warning.
    Warn,
}

/// Whether a commit's author may allow what the rule refuses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Overriding {
    #[default]
    Never,
    /// With `Headwater-Allow` in the message.
    Trailer,
}

/// What a rule that measures a change makes of a value that was not there before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum OnCreate {
    /// Nothing.
    #[default]
    Skip,
    /// It is a change from nothing, or from 0.
    Check,
}

impl Says {
    /// The webhook, if one is to be asked.
    pub(crate) fn webhook(&self) -> Option<&WebhookRule> {
        if let Check::Webhook(webhook) = &self.check {
            Some(webhook)
        } else {
            None
        }
    }
}

impl Rule {
    /// Whether it measures a change, so that the exposed commit's version of it holds for the next commit too.
    pub(crate) fn is_transition(&self) -> bool {
        let is_when = |when: &Expression| when.mentions_old();
        if self.says.when.as_ref().is_some_and(is_when) {
            return true;
        }
        match &self.says.check {
            Check::Expr(test, _) => test.mentions_old(),
            Check::Immutable
            | Check::MaxFactor(_)
            | Check::MaxDelta(_)
            | Check::OnlyGrow
            | Check::Webhook(_) => true,
            Check::Unique(_)
            | Check::Exists(_)
            | Check::MatchesPath(_)
            | Check::RequireTogether(_)
            | Check::DenyPath(_) => false,
        }
    }

    /// Whether it refuses whatever `old` does, leaving severities aside. `false` where that is not known.
    pub(crate) fn is_as_strict_as(&self, old: &Self) -> bool {
        let (ours, theirs) = (&self.says, &old.says);
        let check = match (&ours.check, &theirs.check) {
            (Check::MaxFactor(ours), Check::MaxFactor(theirs))
            | (Check::MaxDelta(ours), Check::MaxDelta(theirs)) => ours <= theirs,
            (Check::Webhook(ours), Check::Webhook(theirs)) => {
                ours.name == theirs.name
                    && (ours.on_error == theirs.on_error || ours.on_error == OnError::Reject)
            }
            (ours, theirs) => ours == theirs,
        };
        let holds_nowhere = old.reach == Reach::All && !old.is_about_all();
        let reach = self.reach == old.reach || self.reach == Reach::All || holds_nowhere;
        let overriding = ours.overriding == theirs.overriding || ours.overriding == Overriding::Never;
        let on_create = ours.on_create == theirs.on_create || ours.on_create == OnCreate::Check;
        let at = ours.at == theirs.at && ours.when == theirs.when;
        check && reach && overriding && on_create && at
    }

    /// Whether it is judged once, and not for each document.
    pub(crate) fn is_about_commit(&self) -> bool {
        matches!(self.says.check, Check::Expr(_, ScopeKind::Commit))
    }

    /// Whether it holds for the commit as a whole if no config names it.
    pub(crate) fn is_about_all(&self) -> bool {
        matches!(
            self.says.check,
            Check::Unique(_) | Check::Webhook(_) | Check::Expr(_, ScopeKind::Commit)
        )
    }

    /// Whether an expression of it looks into files.
    pub(crate) fn mentions_files(&self) -> bool {
        self.expressions().any(Expression::mentions_files)
    }

    /// Whether an expression of it looks at other configs.
    pub(crate) fn mentions_configs(&self) -> bool {
        self.expressions().any(Expression::mentions_configs)
    }

    /// Whether what it costs hangs on documents that nothing but the rule itself can tell.
    pub(crate) fn ranges_widely(&self) -> bool {
        let looks_into_another = match &self.says.check {
            Check::Exists(target) => match target.place {
                TargetPlace::Config(_) => true,
                TargetPlace::File(_) => target.key.is_some(),
                TargetPlace::Document => false,
            },
            Check::Expr(_, ScopeKind::Commit) => true,
            Check::Immutable
            | Check::MaxFactor(_)
            | Check::MaxDelta(_)
            | Check::OnlyGrow
            | Check::Unique(_)
            | Check::MatchesPath(_)
            | Check::RequireTogether(_)
            | Check::DenyPath(_)
            | Check::Expr(_, ScopeKind::Document)
            | Check::Webhook(_) => false,
        };
        looks_into_another || self.mentions_files() || self.mentions_configs()
    }

    fn expressions(&self) -> impl Iterator<Item = &Expression> {
        let test = if let Check::Expr(test, _) = &self.says.check {
            Some(test)
        } else {
            None
        };
        test.into_iter().chain(&self.says.when)
    }

    /// Texts with placeholders that the config must give a value.
    pub(crate) fn patterns(&self) -> Vec<&Pattern> {
        match &self.says.check {
            Check::MatchesPath(pattern) => vec![pattern],
            Check::Exists(target) => {
                let place = match &target.place {
                    TargetPlace::File(pattern) | TargetPlace::Config(pattern) => Some(pattern),
                    TargetPlace::Document => None,
                };
                place.into_iter().chain(&target.key).collect()
            }
            Check::Immutable
            | Check::MaxFactor(_)
            | Check::MaxDelta(_)
            | Check::OnlyGrow
            | Check::Unique(_)
            | Check::RequireTogether(_)
            | Check::DenyPath(_)
            | Check::Expr(..)
            | Check::Webhook(_) => Vec::new(),
        }
    }
}
