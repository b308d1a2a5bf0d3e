//! Whether the registration of a node leads to a service: from what its pattern or its policies offer to what that
//! requires. Pure: what is not known yet is asked for.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use crate::{
    document::{
        Candidate, DeploymentPolicy, NodeFacts, NodePolicy, Pattern, Properties, Rule, ServiceBody,
        matching::{self, Verdict},
    },
    exchange::{
        api::{NodeCredentials, OrgSettings, UnsignedDocuments},
        store::{Account, AccountRole},
    },
    types::{OrgId, ServiceUrl, VersionRange},
};

/// More services than any organization's policies name and require; the walk ends there.
pub(super) const MOST_SERVICES: usize = 2048;

/// What only the node knows about itself, unless its policy says so. What identifies a node (`openhorizon.hardwareId`,
/// the name space of a cluster) is not among them: that counts as a user has set it.
pub(super) const KNOWN_TO_THE_NODE: &[&str] = &[
    "openhorizon.cpu",
    "openhorizon.memory",
    "openhorizon.operatingSystem",
    "openhorizon.containerized",
    "openhorizon.kubernetesVersion",
];

/// Who stands behind a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Author {
    /// The keys that the organization's trust names for it.
    Trust,
    /// The owner of a row of Horizon's API.
    User(Account),
}

/// Who stands behind the registration of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Voucher {
    /// A signed policy that was published for this node.
    Trust,
    /// The user who set it last.
    User(Account),
    /// The node itself.
    Node,
}

/// What is asked: whether a node is to run a service.
#[derive(Debug)]
pub(super) struct Question<'a> {
    /// The organization of node and service.
    pub(super) org: &'a OrgId,
    /// The id of the service in the exchange.
    pub(super) service: &'a str,
    /// `org/user`, whose service it is.
    pub(super) owner: &'a str,
    /// The settings of the organization.
    pub(super) settings: OrgSettings,
    /// What is known of the node.
    pub(super) facts: NodeFacts,
    /// The policy that counts for the node.
    pub(super) policy: NodePolicy,
}

impl Question<'_> {
    /// Whether a document by `author` may give nodes the credentials of the service.
    pub(super) fn counts(&self, author: &Author) -> bool {
        match author {
            Author::Trust => true,
            Author::User(account) => {
                self.settings.unsigned_documents == UnsignedDocuments::Counted
                    && self.may_change(account)
            }
        }
    }

    /// Whether a registration that `voucher` stands for gives the node the credentials of the service.
    pub(super) fn vouches(&self, voucher: &Voucher) -> bool {
        let any_member = self.settings.node_credentials == NodeCredentials::Members;
        match voucher {
            Voucher::Trust => true,
            Voucher::User(Account { role: AccountRole::Member, .. }) if any_member => true,
            Voucher::User(account) => self.may_change(account),
            Voucher::Node => false,
        }
    }

    /// Whether the account may change the service, judged by what it is now.
    fn may_change(&self, account: &Account) -> bool {
        match account.role {
            AccountRole::Administrator => true,
            AccountRole::Member => account.name == self.owner,
            AccountRole::Outsider => false,
        }
    }
}

/// A pattern or a deployment policy.
#[derive(Debug, Clone, Copy)]
pub(super) enum Offer<'a> {
    Pattern(&'a Pattern),
    Policy(&'a DeploymentPolicy),
}

/// A version of a service, as its author defines it.
#[derive(Debug)]
pub(super) struct Definition {
    /// Its id in the exchange.
    pub(super) id: String,
    /// Who stands behind it.
    pub(super) author: Author,
    /// What it is, with its policy.
    pub(super) body: Arc<ServiceBody>,
}

/// The versions of services for the node's architecture, as far as they are known.
pub(super) type KnownServices = HashMap<ServiceUrl, Vec<Definition>>;

/// How far a walk has come.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The service is reached.
    Reached,
    /// Nothing more is offered or required.
    Exhausted,
    /// The versions of this service must be known first.
    Needs(ServiceUrl),
}

/// The way from what is offered to what is required.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    question: &'a Question<'a>,
    /// What is required and was not looked at yet.
    required: Vec<(ServiceUrl, VersionRange)>,
    /// The ids of the services whose requirements were followed.
    seen: HashSet<String>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(question: &'a Question<'a>) -> Self {
        Self { question, required: Vec::new(), seen: HashSet::new() }
    }

    /// Follows an offer: [`Step::Exhausted`] if it does not lead to the service.
    pub(super) fn follow(
        &mut self,
        offer: Offer<'_>,
        author: &Author,
        known: &KnownServices,
    ) -> Step {
        if !self.question.counts(author) {
            return Step::Exhausted;
        }
        let arch = &self.question.facts.arch;
        let mut choices: Vec<_> = match offer {
            Offer::Pattern(pattern) => {
                let services = pattern.services.iter().filter(|it| it.service_arch.includes(arch));
                services
                    .map(|it| (&it.service_orgid, &it.service_url, &it.service_versions))
                    .collect()
            }
            Offer::Policy(policy) => {
                let it = &policy.service;
                let choice = (&it.org, &it.name, &it.service_versions);
                it.arch.includes(arch).then_some(choice).into_iter().collect()
            }
        };
        // What may be the service itself comes first: most nodes ask for what their pattern names.
        choices.sort_by_key(|(_, url, _)| !self.may_be(url));
        for (org, url, versions) in choices {
            if org != self.question.org {
                continue;
            }
            let Some(definitions) = known.get(url) else { return Step::Needs(url.clone()) };
            for it in definitions {
                let is_offered = versions.iter().any(|v| v.version == it.body.definition.version);
                if is_offered && self.fits(offer, it) && self.reaches(it) {
                    return Step::Reached;
                }
            }
        }
        self.follow_required(known)
    }

    /// Whether a service of this name can be the one in question.
    pub(super) fn may_be(&self, url: &ServiceUrl) -> bool {
        let rest = self.question.service.strip_prefix(&url.mangled());
        rest.is_some_and(|it| it.starts_with('_'))
    }

    fn follow_required(&mut self, known: &KnownServices) -> Step {
        while let Some((url, range)) = self.required.pop() {
            let Some(definitions) = known.get(&url) else {
                self.required.push((url.clone(), range));
                return Step::Needs(url);
            };
            for it in definitions {
                if range.contains(&it.body.definition.version) && self.reaches(it) {
                    return Step::Reached;
                }
            }
        }
        Step::Exhausted
    }

    /// Whether this is the service; if not, what it requires is looked at later.
    fn reaches(&mut self, it: &Definition) -> bool {
        if it.id == self.question.service {
            return true;
        }
        // A row of somebody else must not lead to the service by what it requires.
        let is_new = self.question.counts(&it.author)
            && self.seen.len() < MOST_SERVICES
            && self.seen.insert(it.id.clone());
        if is_new {
            let own = it.body.definition.required_services.iter();
            let own = own.filter(|required| required.org == *self.question.org);
            self.required.extend(own.map(|required| (required.url.clone(), required.versions())));
        }
        false
    }

    /// Whether nothing that the exchange knows of keeps the service from the node.
    fn fits(&self, offer: Offer<'_>, service: &Definition) -> bool {
        let Question { org, policy, facts, .. } = self.question;
        let candidate = Candidate::new(org, &service.body.definition, service.body.policy.as_ref());
        let verdict = match offer {
            Offer::Pattern(pattern) => matching::fits_pattern(pattern, &candidate, policy, facts),
            Offer::Policy(of) => matching::fits(of, &candidate, policy, facts),
        };
        may_fit(&verdict, &policy.for_deployment().properties)
    }
}

/// Whether a node fits as far as the exchange can tell. Values for variables may be the node's secret. Where a service
/// goes in its cluster, and whether it allows privileged services, is the node's own affair. What it is made of is its
/// own word unless its policy states it.
fn may_fit(verdict: &Verdict, stated: &Properties) -> bool {
    verdict.clauses.iter().filter(|it| it.fails()).all(|clause| match clause.rule {
        Rule::Input | Rule::Secret | Rule::Privileged | Rule::Namespace => true,
        Rule::NodeSatisfies => {
            clause.failures().all(|comparison| only_the_node_knows(&comparison.text, stated))
        }
        _ => false,
    })
}

/// Whether a comparison is about a property that only the node knows, and that is not stated.
fn only_the_node_knows(comparison: &str, stated: &Properties) -> bool {
    KNOWN_TO_THE_NODE.iter().any(|name| {
        let rest = comparison.strip_prefix(name);
        let is_named = rest.is_some_and(|it| it.starts_with([' ', '\t', '=', '<', '>', '!']));
        is_named && stated.get(name).is_none()
    })
}
