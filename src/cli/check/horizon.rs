//! Answers in the form of `hzn deploycheck`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::question::Answer;
use crate::document::matching::{Clause, Rule};

/// What `hzn deploycheck` prints.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Compatibility {
    pub(super) compatible: bool,
    /// For each `org/id` of a service what came out.
    reason: BTreeMap<String, String>,
}

impl Compatibility {
    /// Of several versions that a policy offers the first that fits is enough, and is told alone;
    /// of a pattern every service must fit.
    pub(super) fn of(answers: &[Answer], one_is_enough: bool) -> Self {
        let reason = |answer: &Answer| (answer.service.to_string(), reason(answer));
        if let Some(first) = answers.iter().find(|it| it.fits()).filter(|_| one_is_enough) {
            return Self { compatible: true, reason: BTreeMap::from([reason(first)]) };
        }
        Self {
            compatible: !answers.is_empty() && answers.iter().all(Answer::fits),
            reason: answers.iter().map(reason).collect(),
        }
    }
}

/// `Compatible`, or what the first of Horizon's checks found: policy, then values, then secrets.
fn reason(answer: &Answer) -> String {
    if let Some(why) = &answer.barred {
        return format!("Policy Incompatible: {why}");
    }
    let failing: Vec<_> = answer.verdict.clauses.iter().filter(|it| it.fails()).collect();
    let Some(kind) = failing.iter().map(|it| kind(it)).min() else {
        return "Compatible".to_owned();
    };
    let sentences: Vec<_> = failing
        .iter()
        .filter(|it| self::kind(it) == kind)
        .map(|it| it.sentence().to_string())
        .collect();
    format!("{}: {}", kind.words(), sentences.join("; "))
}

/// The checks of `hzn deploycheck`, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Policy,
    Input,
    Secret,
}

impl Kind {
    fn words(self) -> &'static str {
        match self {
            Self::Policy => "Policy Incompatible",
            Self::Input => "User Input Incompatible",
            Self::Secret => "Secret Binding Incompatible",
        }
    }
}

fn kind(clause: &Clause) -> Kind {
    match clause.rule {
        Rule::Input => Kind::Input,
        Rule::Secret => Kind::Secret,
        _ => Kind::Policy,
    }
}
