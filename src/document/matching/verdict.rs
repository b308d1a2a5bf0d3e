//! What was asked of a service and a node, clause by clause, and how each came out.

use std::fmt;

use serde::Serialize;

/// Whether a service fits a node, and why: every clause that was asked, in the order of Horizon's
/// rules.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Verdict {
    /// What was asked.
    pub clauses: Vec<Clause>,
}

/// One thing that was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Clause {
    /// The rule by which it was asked.
    pub rule: Rule,
    /// How it came out.
    pub outcome: Outcome,
    /// What is asked, as its author wrote it.
    pub text: String,
    /// What was found there, for people; nothing if nothing was there. The value of a variable is
    /// never shown, only its kind.
    pub seen: Option<String>,
    /// Where it is asked; nothing if no line of a document asks it.
    pub origin: Option<Origin>,
    /// What it is made of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Clause>,
}

/// How a clause came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It holds.
    Holds,
    /// It does not hold.
    Fails,
    /// It was decided before this mattered, or what it takes to ask is not known.
    NotAsked,
}

/// The rule by which a clause is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// The policy or the pattern offers this version of this service for its architecture.
    Offered,
    /// The service is for the node's architecture.
    Arch,
    /// The service has a deployment for a node of this type.
    Deployment,
    /// The node may deploy into the name space of its cluster that is asked for.
    Namespace,
    /// A service that is required is there.
    Required,
    /// The node satisfies a constraint of the deployment policy or of the service policy.
    NodeSatisfies,
    /// The deployment satisfies a constraint of the node.
    ServiceSatisfies,
    /// All parts of a constraint hold.
    All,
    /// One part of a constraint holds.
    Any,
    /// One comparison of a constraint.
    Comparison,
    /// The node allows privileged services; asked for a privileged service alone.
    Privileged,
    /// A variable of the service has a value of its type.
    Input,
    /// A secret of a container is bound to one in the store.
    Secret,
}

/// Where a clause is asked: the place in a document, whatever file that was read from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Origin {
    /// The document.
    pub document: Role,
    /// The value in it, such as `deployment.constraints[1]`; empty is the whole.
    pub path: String,
    /// The characters of that text before the clause.
    pub offset: usize,
}

/// What a document is for the question whether a service fits a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The definition of the service.
    Service,
    /// The definition of a service that it requires.
    RequiredService,
    /// The pattern.
    Pattern,
    /// The deployment policy.
    DeploymentPolicy,
    /// The policy of the service.
    ServicePolicy,
    /// The policy of the node.
    NodePolicy,
    /// The values that the node's owner gives to variables.
    NodeInput,
}

impl Verdict {
    /// Whether the service fits the node: no clause fails.
    pub fn fits(&self) -> bool {
        self.clauses.iter().all(|it| it.outcome != Outcome::Fails)
    }

    /// The clauses at the very bottom that fail, each a cause of its own.
    pub fn failures(&self) -> impl Iterator<Item = &Clause> {
        self.clauses.iter().flat_map(Clause::failures)
    }

    /// A sentence for each clause that fails.
    pub fn reasons(&self) -> Vec<String> {
        let failing = self.clauses.iter().filter(|it| it.fails());
        failing.map(|it| it.sentence().to_string()).collect()
    }
}

impl Origin {
    /// A whole value of a document.
    pub(super) fn new(document: Role, path: impl Into<String>) -> Self {
        Self { document, path: path.into(), offset: 0 }
    }
}

impl Clause {
    /// A clause that holds or fails.
    pub(super) fn new(rule: Rule, holds: bool, text: impl Into<String>) -> Self {
        let outcome = if holds { Outcome::Holds } else { Outcome::Fails };
        let text = text.into();
        Self { rule, outcome, text, seen: None, origin: None, parts: Vec::new() }
    }

    pub(super) fn seen(self, seen: impl Into<Option<String>>) -> Self {
        Self { seen: seen.into(), ..self }
    }

    pub(super) fn from(self, origin: impl Into<Option<Origin>>) -> Self {
        Self { origin: origin.into(), ..self }
    }

    pub(super) fn not_asked(self) -> Self {
        Self { outcome: Outcome::NotAsked, ..self }
    }

    /// Whether it does not hold.
    pub fn fails(&self) -> bool {
        self.outcome == Outcome::Fails
    }

    /// Of what it is made of, itself included, the clauses at the very bottom that fail.
    pub fn failures(&self) -> Box<dyn Iterator<Item = &Self> + '_> {
        match self.outcome {
            Outcome::Fails if self.parts.is_empty() => Box::new(std::iter::once(self)),
            Outcome::Fails => Box::new(self.parts.iter().flat_map(Self::failures)),
            _ => Box::new(std::iter::empty()),
        }
    }

    /// What it means that it fails, in a sentence.
    pub fn sentence(&self) -> impl fmt::Display + '_ {
        Sentence(self)
    }
}

struct Sentence<'a>(&'a Clause);

impl fmt::Display for Sentence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Clause { rule, text, seen, .. } = self.0;
        match (rule, seen) {
            (Rule::Offered, _) => write!(f, "{text} is not offered"),
            (Rule::Arch, Some(node)) => {
                write!(f, "the service is for {text}, and the node is {node}")
            }
            (Rule::Deployment, _) => write!(f, "the service has no `{text}`"),
            (Rule::Namespace, Some(node)) => {
                write!(f, "the service is for {text}, and the node is in the name space {node}")
            }
            (Rule::Required, Some(why)) => f.write_str(why),
            (Rule::Required, None) => write!(f, "{text} is required, and there is none"),
            (Rule::NodeSatisfies, _) => self.constraint(f, "the node does not fit"),
            (Rule::ServiceSatisfies, _) => self.constraint(f, "the node refuses"),
            (Rule::Comparison, Some(found)) => write!(f, "{text} but it is {found}"),
            (Rule::Comparison, None) => write!(f, "{text} but there is no such property"),
            (Rule::Privileged, _) => {
                write!(f, "the service is privileged: the node must have {text}")
            }
            (Rule::Input, Some(found)) => write!(f, "the value of {text} is {found}"),
            (Rule::Input, None) => write!(f, "nobody gives a value to {text}"),
            (Rule::Secret, _) => write!(f, "the secret {text} is bound to nothing"),
            (Rule::Arch | Rule::Namespace | Rule::All | Rule::Any, _) => {
                write!(f, "`{text}` does not hold")
            }
        }
    }
}

impl Sentence<'_> {
    /// `who: constraint does not hold: every comparison that fails`
    fn constraint(&self, f: &mut fmt::Formatter<'_>, who: &str) -> fmt::Result {
        write!(f, "{who}: `{}` does not hold", self.0.text)?;
        for (index, comparison) in self.0.failures().enumerate() {
            let joint = if index == 0 { ": " } else { ", " };
            write!(f, "{joint}{}", Sentence(comparison))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn machines_read_a_verdict_by_stable_words() {
        let comparison = Clause::new(Rule::Comparison, false, "a == b").seen("c".to_owned());
        let mut clause = Clause::new(Rule::NodeSatisfies, false, " a == b")
            .from(Origin::new(Role::ServicePolicy, "constraints[0]"));
        clause.parts.push(comparison);
        let verdict = Verdict { clauses: vec![clause] };
        assert_eq!(
            serde_json::to_value(&verdict).unwrap(),
            json!({"clauses": [{
                "rule": "node-satisfies", "outcome": "fails", "text": " a == b", "seen": null,
                "origin": {"document": "service-policy", "path": "constraints[0]", "offset": 0},
                "parts": [{"rule": "comparison", "outcome": "fails", "text": "a == b", "seen": "c",
                    "origin": null}]
            }]})
        );
    }

    #[test]
    fn only_what_fails_itself_is_a_failure() {
        let part = |rule, holds| Clause::new(rule, holds, "x");
        let any = Clause { parts: vec![part(Rule::Comparison, false)], ..part(Rule::Any, true) };
        let both = vec![any, part(Rule::Comparison, false)];
        let all = Clause { parts: both, ..part(Rule::All, false) };
        let verdict = Verdict { clauses: vec![all, part(Rule::Secret, true).not_asked()] };
        assert!(!verdict.fits());
        assert_eq!(verdict.failures().count(), 1);
        assert!(Verdict { clauses: vec![part(Rule::Arch, false).not_asked()] }.fits());
    }
}
