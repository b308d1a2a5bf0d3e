//! Answers for machines: the whole of every verdict, with the places of its clauses.

use serde::Serialize;

use super::{
    fix::fixes,
    paper::{Papers, Place, Written, place},
    question::Answer,
};
use crate::{
    document::{
        HostAccess,
        matching::{Clause, Origin, Outcome, Rule},
    },
    types::ServiceId,
};

/// The version of the format: what it says does not change its meaning within one.
pub(super) const FORMAT: u32 = 1;

/// What `check --json` prints about one node.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report<'a> {
    format: u32,
    fits: bool,
    node: &'a str,
    /// The policy or the pattern that offers the services.
    offered_by: Option<&'a str>,
    services: Vec<ServiceReport<'a>>,
}

/// Whether one service fits.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ServiceReport<'a> {
    id: String,
    service: &'a ServiceId,
    fits: bool,
    /// Why the node is not asked at all.
    barred: Option<String>,
    clauses: Vec<ClauseReport<'a>>,
    /// What the node's owner has to allow.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    host_access: Vec<AccessReport<'a>>,
    fix: Vec<String>,
}

/// What a service needs of its host.
#[derive(Debug, Serialize)]
struct AccessReport<'a> {
    access: &'a HostAccess,
    field: &'a str,
}

/// One clause, and where it is asked.
#[derive(Debug, Serialize)]
struct ClauseReport<'a> {
    rule: Rule,
    outcome: Outcome,
    text: &'a str,
    seen: Option<&'a str>,
    origin: Option<&'a Origin>,
    #[serde(flatten)]
    place: Option<PlaceReport>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parts: Vec<Self>,
}

/// Where a clause is asked.
#[derive(Debug, Default, Serialize)]
pub(super) struct PlaceReport {
    /// The file.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    /// The document's name in the exchange.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
}

impl<'a> Report<'a> {
    pub(super) fn of(answers: &'a [Answer], node: &'a str, offered_by: Option<&'a str>) -> Self {
        let services = answers.iter().map(|answer| ServiceReport {
            id: answer.service.to_string(),
            service: &answer.service,
            fits: answer.fits(),
            barred: answer.barred.as_ref().map(ToString::to_string),
            clauses: clauses(&answer.verdict.clauses, &answer.papers),
            host_access: answer
                .access
                .iter()
                .map(|it| AccessReport { access: &it.access, field: &it.field })
                .collect(),
            fix: fixes(answer),
        });
        let fits = answers.iter().all(Answer::fits);
        Self { format: FORMAT, fits, node, offered_by, services: services.collect() }
    }
}

fn clauses<'a>(all: &'a [Clause], papers: &Papers) -> Vec<ClauseReport<'a>> {
    let report = |clause: &'a Clause| ClauseReport {
        rule: clause.rule,
        outcome: clause.outcome,
        text: &clause.text,
        seen: clause.seen.as_deref(),
        origin: clause.origin.as_ref(),
        place: PlaceReport::of(papers, clause.origin.as_ref()),
        parts: clauses(&clause.parts, papers),
    };
    all.iter().map(report).collect()
}

impl PlaceReport {
    /// Where a clause is asked, if its document is known.
    pub(super) fn of(papers: &Papers, origin: Option<&Origin>) -> Option<Self> {
        let Place { document, at, .. } = place(papers, origin)?;
        let is_file = matches!(papers.get(&origin?.document)?, Written::File(_));
        let (file, name) = if is_file { (Some(document), None) } else { (None, Some(document)) };
        let (line, column) = (at.map(|it| it.0), at.map(|it| it.1));
        Some(Self { file, name, line, column })
    }
}
