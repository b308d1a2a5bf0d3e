//! What helps: for each cause of a miss, what somebody could change.

use std::collections::BTreeSet;

use super::{paper::place, question::Answer};
use crate::document::matching::{Clause, Rule};

/// More advice than this is none.
const MOST: usize = 3;

/// What could be changed, so that the service fits.
pub(super) fn fixes(answer: &Answer) -> Vec<String> {
    if let Some(why) = &answer.barred {
        let pattern = why.rsplit(' ').next().unwrap_or_default();
        return vec![format!("ask about what it takes: --pattern {pattern}")];
    }
    let mut fixes = Vec::new();
    let mut seen = BTreeSet::new();
    for clause in answer.verdict.clauses.iter().filter(|it| it.fails()) {
        for cause in causes(clause) {
            let at = place(&answer.papers, cause.origin.as_ref()).map(|it| it.to_string());
            let fix = fix(clause.rule, cause, at.as_deref());
            if seen.insert(fix.clone()) {
                fixes.push(fix);
            }
        }
    }
    fixes.truncate(MOST);
    fixes
}

/// What makes a clause fail: of those that must all hold each one that does not, of those of which
/// one must hold all together.
pub(super) fn causes(clause: &Clause) -> Vec<&Clause> {
    let failing: Vec<_> = clause.parts.iter().filter(|it| it.fails()).collect();
    let is_whole = matches!(clause.rule, Rule::Any) || failing.is_empty();
    if is_whole { vec![clause] } else { failing.into_iter().flat_map(causes).collect() }
}

fn fix(rule: Rule, cause: &Clause, at: Option<&str>) -> String {
    let text = &cause.text;
    let change = at.map(|at| format!("change {at}"));
    let or = |first: String| match &change {
        Some(change) => format!("{first}, or {change}"),
        None => first,
    };
    match rule {
        Rule::NodeSatisfies if is_measured(text) => match change {
            Some(change) => format!("{change}, or choose a node with {text}"),
            None => format!("choose a node with {text}"),
        },
        Rule::NodeSatisfies => or(format!("give the node's policy what satisfies {text}")),
        Rule::ServiceSatisfies => {
            or(format!("give the policy or the service what satisfies {text}"))
        }
        Rule::Arch => match &cause.seen {
            Some(arch) => format!("publish the service for {arch} too"),
            None => "publish the service for the node's architecture".to_owned(),
        },
        Rule::Deployment => format!("give the service a `{text}`"),
        Rule::Offered => at.map_or("offer it".to_owned(), |at| format!("let {at} name it")),
        Rule::Namespace => change.unwrap_or_else(|| "choose the node's name space".to_owned()),
        Rule::Required => "publish what it requires, or give it by --service FILE".to_owned(),
        Rule::Privileged => {
            format!("let the node's policy state {text}, if its owner trusts the service")
        }
        Rule::Input if cause.seen.is_some() => {
            change.unwrap_or_else(|| "give it a value of its type".to_owned())
        }
        Rule::Input => format!(
            "give {text} a value, in the userInput of the policy or pattern or in that of the node"
        ),
        Rule::Secret => format!("bind {text} in the secretBinding of the policy or pattern"),
        Rule::All | Rule::Any | Rule::Comparison => or(format!("let {text} hold")),
    }
}

/// Whether a constraint is about what a node has measured, which nobody can state otherwise.
fn is_measured(text: &str) -> bool {
    text.contains("openhorizon.") && !text.contains("openhorizon.allowPrivileged")
}
