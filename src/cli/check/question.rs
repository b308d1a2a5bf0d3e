//! What is asked: which services come to nodes by a policy, a pattern or a file, and whether each
//! fits.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use super::{
    node::Node,
    paper::{Paper, Papers},
    services::{Offered, Services},
};
use crate::{
    cli::{code, error::CliError},
    document::{
        AccessNeed, ArchChoice, DeploymentPolicy, Pattern, PatternService,
        matching::{
            Candidate, Role, Rule, Verdict, fits, fits_pattern,
            fleet::{PreparedNode, PreparedOffer},
        },
    },
    types::{Arch, OrgId, ServiceId, ServiceUrl},
};

/// What offers the services.
#[derive(Debug)]
pub(super) enum Offer {
    /// A deployment policy.
    Policy(Paper<DeploymentPolicy>),
    /// A pattern.
    Pattern(Paper<Pattern>),
    /// Nothing: it is asked about services as they are.
    Nothing,
}

impl Offer {
    /// The organization of a service of that name: as it is offered, or that of what is.
    pub(super) fn org_of(&self, url: &ServiceUrl) -> Option<&OrgId> {
        match self {
            Self::Policy(paper) => Some(&paper.content.service.org),
            Self::Pattern(paper) => {
                let services = &paper.content.services;
                let named = services.iter().find(|it| it.service_url == *url);
                named.or(services.first()).map(|it| &it.service_orgid)
            }
            Self::Nothing => None,
        }
    }
}

/// Which versions are asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Versions {
    /// The one whose turn it is.
    InTurn,
    /// Every one that is offered.
    All,
}

/// A question about nodes.
#[derive(Debug)]
pub(super) struct Question {
    offer: Offer,
    services: Services,
    versions: Versions,
    /// The services that come to nodes of an architecture, once they were found.
    found: BTreeMap<Arch, Arc<Vec<Offered>>>,
}

/// Whether one service fits one node.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) service: ServiceId,
    pub(super) verdict: Verdict,
    /// What it needs of its host beyond the default sandbox: the node's owner decides, and the node alone knows.
    pub(super) access: BTreeSet<AccessNeed>,
    /// Why the node is not asked at all.
    pub(super) barred: Option<Barred>,
    /// Where the documents are written that the verdict names.
    pub(super) papers: Papers,
}

/// Why a node is not asked: it takes a pattern, and so goes by no policy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Barred {
    /// `org/pattern`
    pub(super) pattern: String,
}

impl fmt::Display for Barred {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it takes the pattern {}", self.pattern)
    }
}

impl Answer {
    pub(super) fn fits(&self) -> bool {
        self.barred.is_none() && self.verdict.fits()
    }
}

impl Question {
    pub(super) fn new(offer: Offer, services: Services, versions: Versions) -> Self {
        Self { offer, services, versions, found: BTreeMap::new() }
    }

    /// The services that are asked about.
    pub(super) fn services(&self) -> &Services {
        &self.services
    }

    /// What offers the services, for people: `policy acme/lyon`, `policy.json`.
    pub(super) fn offered_by(&self) -> Option<&str> {
        match &self.offer {
            Offer::Policy(paper) => Some(paper.written.name()),
            Offer::Pattern(paper) => Some(paper.written.name()),
            Offer::Nothing => None,
        }
    }

    /// Whether services would run on `node`, each with the reasons; there is at least one.
    pub(super) async fn ask(&mut self, node: &Node) -> Result<Vec<Answer>, CliError> {
        let offered = self.offered_to(&node.facts.arch).await?;
        if offered.is_empty() {
            let by = self.offered_by().unwrap_or("the question");
            return Err(CliError::new(code::DOES_NOT_FIT, format!("{by} names no service"))
                .why("nothing would run on any node")
                .help("let it name one"));
        }
        offered.iter().map(|it| self.answer(it, node)).collect()
    }

    /// Which of `nodes` all of it would run on, without the reasons.
    pub(super) async fn fit(&mut self, nodes: &[Node]) -> Result<Vec<bool>, CliError> {
        let mut fit = vec![false; nodes.len()];
        let mut by_arch = BTreeMap::<&Arch, Vec<usize>>::new();
        for (index, node) in nodes.iter().enumerate().filter(|(_, it)| self.barred(it).is_none()) {
            by_arch.entry(&node.facts.arch).or_default().push(index);
        }
        for (arch, indexes) in by_arch {
            let offered = self.offered_to(arch).await?;
            for &index in indexes.iter().filter(|_| !offered.is_empty()) {
                fit[index] = true;
            }
            let prepared = self.prepared(nodes, &indexes);
            for it in offered.iter() {
                it.judged(|candidate| self.sift(candidate, nodes, &prepared, &mut fit))?;
            }
        }
        Ok(fit)
    }

    /// The nodes at `indexes`, ready to be held against every service; by a pattern nothing is
    /// worked out beforehand.
    fn prepared(&self, nodes: &[Node], indexes: &[usize]) -> Vec<(usize, Option<PreparedNode>)> {
        let is_fast = !matches!(self.offer, Offer::Pattern(_));
        let prepare = |index: usize| {
            let Node { policy, facts, .. } = &nodes[index];
            (index, is_fast.then(|| PreparedNode::new(policy, facts)))
        };
        indexes.iter().copied().map(prepare).collect()
    }

    /// Takes out of `fit` those of the prepared nodes that a service does not fit.
    fn sift(
        &self,
        candidate: &Candidate<'_>,
        nodes: &[Node],
        prepared: &[(usize, Option<PreparedNode>)],
        fit: &mut [bool],
    ) -> Result<(), CliError> {
        let offering = match &self.offer {
            Offer::Policy(paper) => Cow::Borrowed(&paper.content),
            Offer::Nothing => Cow::Owned(offering(candidate)?),
            Offer::Pattern(paper) => {
                for &(index, _) in prepared {
                    let Node { policy, facts, .. } = &nodes[index];
                    fit[index] &= fits_pattern(&paper.content, candidate, policy, facts).fits();
                }
                return Ok(());
            }
        };
        let offer = PreparedOffer::new(&offering, candidate);
        for (index, node) in prepared {
            fit[*index] &= node.as_ref().is_some_and(|it| offer.fits(it));
        }
        Ok(())
    }

    fn answer(&self, offered: &Offered, node: &Node) -> Result<Answer, CliError> {
        Ok(Answer {
            service: offered.id(),
            verdict: offered.judged(|candidate| self.judge(candidate, node))?,
            access: offered.host_access(),
            barred: self.barred(node),
            papers: self.papers(offered, node),
        })
    }

    fn judge(&self, candidate: &Candidate<'_>, node: &Node) -> Result<Verdict, CliError> {
        let Node { policy, facts, .. } = node;
        Ok(match &self.offer {
            Offer::Policy(paper) => fits(&paper.content, candidate, policy, facts),
            Offer::Pattern(paper) => fits_pattern(&paper.content, candidate, policy, facts),
            Offer::Nothing => {
                let mut verdict = fits(&offering(candidate)?, candidate, policy, facts);
                verdict.clauses.retain(|it| it.rule != Rule::Offered);
                verdict
            }
        })
    }

    /// Why a node is not asked at all.
    fn barred(&self, node: &Node) -> Option<Barred> {
        match (&self.offer, &node.pattern) {
            (Offer::Policy(_), Some(pattern)) => Some(Barred { pattern: pattern.clone() }),
            _ => None,
        }
    }

    fn papers(&self, offered: &Offered, node: &Node) -> Papers {
        let mut papers = node.papers.clone();
        papers.insert(Role::Service, offered.definition.written.clone());
        if let Some(policy) = &offered.policy {
            papers.insert(Role::ServicePolicy, policy.written.clone());
        }
        match &self.offer {
            Offer::Policy(paper) => {
                papers.insert(Role::DeploymentPolicy, paper.written.clone());
            }
            Offer::Pattern(paper) => {
                papers.insert(Role::Pattern, paper.written.clone());
            }
            Offer::Nothing => {}
        }
        papers
    }

    /// The services that come to nodes of `arch`.
    async fn offered_to(&mut self, arch: &Arch) -> Result<Arc<Vec<Offered>>, CliError> {
        if let Some(found) = self.found.get(arch) {
            return Ok(Arc::clone(found));
        }
        let all = self.versions == Versions::All;
        let offered = match &self.offer {
            Offer::Nothing => self.services.given().await?,
            Offer::Policy(paper) => {
                let it = &paper.content.service;
                let name = (&it.org, &it.name);
                self.services.chosen(name, &it.service_versions, arch, all).await?
            }
            Offer::Pattern(paper) => {
                let mut offered = Vec::new();
                for it in meant(&paper.content, arch) {
                    let name = (&it.service_orgid, &it.service_url);
                    offered
                        .extend(self.services.chosen(name, &it.service_versions, arch, all).await?);
                }
                offered
            }
        };
        let offered = Arc::new(offered);
        self.found.insert(arch.clone(), Arc::clone(&offered));
        Ok(offered)
    }
}

/// The services of a pattern that are for `arch`; of one that is for others alone, the first.
fn meant<'a>(pattern: &'a Pattern, arch: &Arch) -> Vec<&'a PatternService> {
    let mut meant: Vec<&PatternService> = Vec::new();
    for it in &pattern.services {
        let same = |other: &PatternService| {
            other.service_orgid == it.service_orgid && other.service_url == it.service_url
        };
        match meant.iter().position(|other| same(other)) {
            None => meant.push(it),
            Some(at)
                if it.service_arch.includes(arch) && !meant[at].service_arch.includes(arch) =>
            {
                meant[at] = it;
            }
            Some(_) => {}
        }
    }
    meant
}

/// A policy that offers the service, and asks nothing.
fn offering(candidate: &Candidate<'_>) -> Result<DeploymentPolicy, CliError> {
    let definition = candidate.definition;
    serde_json::from_value(serde_json::json!({"service": {
        "name": definition.url, "org": candidate.org, "arch": ArchChoice::Any,
        "serviceVersions": [{"version": definition.version}],
    }}))
    .map_err(|error| {
        CliError::new(code::FAILED, "the service cannot be asked about").because(&error)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        cli::check::live::Live,
        document::{NodeFacts, NodePolicy},
    };

    #[tokio::test]
    async fn a_pattern_without_services_is_no_answer() {
        let pattern = serde_json::from_value(json!({"label": "p", "services": []})).unwrap();
        let offer = Offer::Pattern(Paper::live("pattern acme/p", pattern));
        let services = Services::new(Vec::new(), None, Live::nothing());
        let mut question = Question::new(offer, services, Versions::InTurn);
        let node = Node {
            name: "n1".to_owned(),
            policy: NodePolicy::default(),
            facts: NodeFacts::device("amd64".parse().unwrap()),
            pattern: None,
            papers: Papers::new(),
        };

        let refused = question.ask(&node).await.unwrap_err();

        assert_eq!(refused.what(), "pattern acme/p names no service");
        assert_eq!(question.fit(&[node]).await.unwrap(), [false]);
    }
}
