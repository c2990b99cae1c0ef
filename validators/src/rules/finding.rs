//! From what a rule refuses to what its author reads.

use headwater_wire::{Finding, Severity};

use super::rule::{Overriding, Rule};
use super::template::Facts;
use super::{Detail, Subject, Violation, Voice, selector};
use crate::pointer;
use crate::schema::place::located;
use crate::schema::violation::Spot;
use crate::source::Resolver;
use crate::trailer::Allowance;

/// Code of a rule that could not be judged; no rule may have this id.
pub(crate) const ERROR: &str = "rule/error";

/// Whose rule it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holds {
    /// The commit's own.
    Itself,
    /// The exposed commit's, whose rules hold for the next one too.
    Still,
}

/// The finding, at the layer that set the value, or at what it would stand in.
pub(super) fn of_violation(
    (rule, holds): (&Rule, Holds),
    (subject, resolver): (&Subject<'_>, &Resolver<'_>),
    violation: Violation,
    allowed: &[Allowance],
) -> Finding {
    let Violation {
        tokens,
        sentence,
        voice,
        old,
        new,
        detail,
        hint,
        related,
    } = violation;
    let pointer = pointer::text(&tokens);
    let mask = subject.new.mask();
    let [old, new] = [old, new].map(|value| value.map(|value| mask.value(&pointer, &value)));
    let detail = detail.map(|detail| match detail {
        Detail::Value(value) => mask.value(&pointer, &value),
        Detail::Item(index, value) => mask.value(&format!("{pointer}/{index}"), &value),
        Detail::Words(words) => words.into(),
    });
    let facts = Facts {
        old: old.as_ref(),
        new: new.as_ref(),
        detail: detail.as_ref(),
        config: Some(subject.name),
        pointer: &pointer,
    };
    let own = rule.says.message.as_ref().filter(|_| voice == Voice::Rule);
    let message = own.unwrap_or(&sentence).fill(&facts);
    let document = subject.new.document();
    let mut there = tokens.as_slice();
    while let Some((_, parent)) = there
        .split_last()
        .filter(|_| selector::at(document, there).is_none())
    {
        there = parent;
    }
    let absent = tokens.get(there.len()).cloned();
    let spot = absent.map_or(Spot::Value, Spot::Absent);
    let code = match voice {
        Voice::Rule | Voice::Ours => code(rule),
        Voice::Failed => ERROR.to_owned(),
    };
    let mut finding = located(subject.new, resolver, (there, &spot), |place| {
        Finding::new(&code, rule.says.severity, place, message).config(subject.name)
    });
    finding.pointer = Some(pointer).filter(|pointer| !pointer.is_empty());
    finding.hint = hint;
    finding.related.extend(related);
    let mut finding = weighed((rule, holds), finding, allowed);
    if let Some(old) = subject.besides.filter(|_| finding.severity != Severity::Info) {
        add_hint(&mut finding, old.hint.clone());
    }
    if subject.known_as != subject.name {
        let renamed = format!(
            "this config is made of files of `{}`, which is served now, so it is measured against that; rename it in \
             a commit of its own",
            subject.known_as
        );
        add_hint(&mut finding, renamed);
    }
    finding
}

fn add_hint(finding: &mut Finding, more: String) {
    let known = finding.hint.take().into_iter();
    finding.hint = Some(known.chain([more]).collect::<Vec<_>>().join("; "));
}

/// The code of what a rule finds.
pub(super) fn code(rule: &Rule) -> String {
    format!("rule/{}", rule.id)
}

/// The finding with what was said about it: allowed by somebody, or how it could be.
pub(super) fn weighed((rule, holds): (&Rule, Holds), mut finding: Finding, allowed: &[Allowance]) -> Finding {
    let allowance = allowed.iter().find(|allowance| allowance.rule == rule.id);
    let mut hints: Vec<String> = finding
        .hint
        .take()
        .or_else(|| rule.says.hint.clone())
        .into_iter()
        .collect();
    match (rule.says.overriding, allowance) {
        (Overriding::Trailer, Some(allowance)) if !allowance.reason.is_empty() => {
            finding.severity = Severity::Info;
            hints = vec![format!("allowed by trailer: {}", allowance.reason)];
        }
        (Overriding::Trailer, Some(_)) => hints.push("the trailer that allows it gives no reason".to_owned()),
        (Overriding::Trailer, None) if hints.is_empty() => hints.push(format!(
            "if it must be, write `Headwater-Allow: {} <reason>` into the commit message",
            rule.id
        )),
        (Overriding::Never, Some(_)) => hints.push("no trailer can allow what this rule refuses".to_owned()),
        (Overriding::Never | Overriding::Trailer, None) => {}
    }
    if holds == Holds::Still {
        hints.push(
            "the rule is one of the commit that is served now, and holds for the commit that changes it too"
                .to_owned(),
        );
    }
    if !hints.is_empty() {
        finding.hint = Some(hints.join("; "));
    }
    finding
}
