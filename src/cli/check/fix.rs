//! What helps: for each cause of a miss, what somebody could change.

use std::collections::BTreeSet;

use super::{
    paper::place,
    question::{Answer, Barred},
};
use crate::document::{
    Constraint, Property,
    matching::{Clause, Rule},
};

/// More advice than this is none.
const MOST: usize = 3;

/// What could be changed, so that the service fits.
pub(super) fn fixes(answer: &Answer) -> Vec<String> {
    if let Some(Barred { pattern }) = &answer.barred {
        // A name may have blanks.
        let quote = if pattern.contains(char::is_whitespace) { "'" } else { "" };
        return vec![format!("ask about what it takes: --pattern {quote}{pattern}{quote}")];
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
        Rule::NodeSatisfies if !can_be_stated(cause) => match change {
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

/// Whether a node's policy could state what a clause asks for: of what must all hold, all that does
/// not; of what one must hold, one. What a node measures nobody can state otherwise.
fn can_be_stated(clause: &Clause) -> bool {
    let failing: Vec<_> = clause.parts.iter().filter(|it| it.fails()).collect();
    match clause.rule {
        _ if failing.is_empty() => {
            let names = |it: Constraint| it.names().into_iter().any(Property::is_measured);
            !Constraint::parse(&clause.text).is_ok_and(names)
        }
        Rule::Any => failing.into_iter().any(can_be_stated),
        _ => failing.into_iter().all(can_be_stated),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::document::{
        Candidate, DeploymentPolicy, NodeFacts, NodePolicy, ServiceDefinition, matching::fits,
    };

    /// What helps a node of amd64 that states nothing, under a policy with this constraint.
    fn helps(constraint: &str) -> String {
        let policy: DeploymentPolicy = serde_json::from_value(json!({
            "service": {"name": "hello", "org": "acme", "arch": "*",
                "serviceVersions": [{"version": "1.0.0"}]},
            "constraints": [constraint]}))
        .unwrap();
        let service: ServiceDefinition = serde_json::from_value(json!({
            "url": "hello", "version": "1.0.0", "arch": "amd64", "sharable": "multiple",
            "deployment": {"services": {"a": {"image": "a.example/b:1"}}}}))
        .unwrap();
        let org = "acme".parse().unwrap();
        let facts = NodeFacts::device("amd64".parse().unwrap());
        let candidate = Candidate::new(&org, &service, None);
        let answer = Answer {
            service: service.service_id(&org),
            verdict: fits(&policy, &candidate, &NodePolicy::default(), &facts),
            barred: None,
            access: BTreeSet::new(),
            papers: crate::cli::check::paper::Papers::new(),
        };
        fixes(&answer).join("; ")
    }

    #[test]
    fn another_node_is_advised_only_where_no_property_would_do() {
        for (constraint, other_node) in [
            ("openhorizon.memory > 5", true),
            ("site == x", false),
            ("openhorizon.mine == x", false),
            ("openhorizon.allowPrivileged == true", false),
            ("site == x OR openhorizon.memory > 5", false),
            ("openhorizon.cpu > 64 OR openhorizon.memory > 5", true),
            ("openhorizon.cpu > 64 OR (site == x AND purpose == y)", false),
            ("openhorizon.cpu > 64 OR (openhorizon.memory > 5 AND site == x)", true),
            ("site == \"openhorizon.memory\"", false),
        ] {
            let told = helps(constraint);
            assert_eq!(told.contains("choose a node"), other_node, "{constraint}: {told}");
            assert_eq!(told.contains("node's policy"), !other_node, "{constraint}: {told}");
        }
    }
}
