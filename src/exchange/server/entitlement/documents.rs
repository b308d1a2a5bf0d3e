//! What decides about a node, fetched from one snapshot: signed documents, verified by the trust of today, and rows of
//! Horizon's API where the organization counts them.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;

use super::{
    EntitlementMemory,
    answers::AnswerKey,
    opened::Opened,
    walk::{
        Author, Definition, KNOWN_TO_THE_NODE, KnownServices, Offer, Question, Step, Voucher, Walk,
    },
};
use crate::{
    document::{DeploymentPolicy, NodeFacts, NodePolicy, Pattern, ServiceBody, ServicePolicy},
    exchange::{
        api::{
            NodeDescription, NodePolicyRequest, NodeType, OrgSettings, PatternRequest,
            PolicyRequest, ServicePolicyRequest, ServiceRequest, UnsignedDocuments,
        },
        server::ApiError,
        store::{NodeRecord, RegisteredNode, Snapshot, UnsignedDocument},
    },
    trust::Trust,
    types::{Arch, Digest, DocumentKey, NodeId, OrgId, PatternRef, ServiceUrl},
};

/// The documents of an organization, as one snapshot has them.
pub(super) struct Documents<'s, 'a> {
    org: &'s OrgId,
    snapshot: &'s mut Snapshot<'a>,
    trust: Option<&'s Trust>,
    memory: &'s EntitlementMemory,
}

impl<'s, 'a> Documents<'s, 'a> {
    /// The documents of `org` under `trust`, which has to be the newest of the snapshot.
    ///
    /// # Errors
    /// [`ApiError::Busy`] if a trust document was published in between: the caller asks again.
    pub(super) async fn new(
        org: &'s OrgId,
        snapshot: &'s mut Snapshot<'a>,
        trust: Option<&'s Trust>,
        memory: &'s EntitlementMemory,
    ) -> Result<Self, ApiError> {
        let newest = snapshot.newest_trust(org).await?;
        if newest != trust.map(|it| (it.version(), it.digest())) {
            return Err(ApiError::Busy);
        }
        Ok(Self { org, snapshot, trust, memory })
    }

    /// Node `id`, if it is to run `service`, which belongs to `owner`, and may have its credentials.
    pub(super) async fn entitled(
        &mut self,
        id: &NodeId,
        service: (&str, &str),
        settings: OrgSettings,
    ) -> Result<Option<NodeRecord>, ApiError> {
        let Some(node) = self.snapshot.node(self.org, id).await? else { return Ok(None) };
        let is_entitled = self.entitles(id, &node, service, settings).await?;
        Ok(is_entitled.then_some(node.record))
    }

    async fn entitles(
        &mut self,
        id: &NodeId,
        node: &RegisteredNode,
        (service, owner): (&str, &str),
        settings: OrgSettings,
    ) -> Result<bool, ApiError> {
        let Ok(arch) = node.record.description.arch.parse::<Arch>() else { return Ok(false) };
        let counted = self.policy(id, node).await?;
        let pattern = Some(&node.record.registration.pattern).filter(|it| !it.is_empty());
        let (policy, voucher) = match (pattern, counted) {
            // A pattern was set for the node whatever its policy.
            (Some(_), counted) => {
                let policy = counted.map(|(policy, _)| policy).unwrap_or_default();
                (policy, self.voucher(&node.record.registration.pattern_by).await?)
            }
            (None, Some(counted)) => counted,
            (None, None) => return Ok(false),
        };
        let facts = facts(arch, &node.record.description);
        let org = self.org;
        let question = Question { org, service, owner, settings, facts, policy };
        if !question.vouches(&voucher) {
            return Ok(false);
        }
        let pattern = pattern.map(String::as_str);
        let version = self.snapshot.entitlement_version(org).await?;
        let key = AnswerKey::new(version, self.trust.map(Trust::digest), pattern, &question);
        if let Some(answer) = self.memory.answers.get(&key) {
            return Ok(answer);
        }
        let answer = self.answer(pattern, &question).await?;
        self.memory.answers.insert(key, answer);
        Ok(answer)
    }

    /// Whether a pattern, or the policies if there is none, lead to the service.
    async fn answer(
        &mut self,
        pattern: Option<&str>,
        question: &Question<'_>,
    ) -> Result<bool, ApiError> {
        let mut search = Search { walk: Walk::new(question), known: KnownServices::new() };
        match pattern {
            Some(pattern) => self.by_pattern(pattern, question, &mut search).await,
            None => self.by_policies(question, &mut search).await,
        }
    }

    async fn by_pattern(
        &mut self,
        name: &str,
        question: &Question<'_>,
        search: &mut Search<'_>,
    ) -> Result<bool, ApiError> {
        let Ok(name) = name.parse::<PatternRef>() else { return Ok(false) };
        if name.org != *self.org {
            return Ok(false);
        }
        let key = DocumentKey::pattern(&name.id);
        if let Some(sha256) = self.snapshot.newest_signed(self.org, &key).await? {
            return match self.open(&key, sha256).await? {
                Opened::Pattern(pattern) => {
                    self.leads(Offer::Pattern(&pattern), &Author::Trust, question, search).await
                }
                _ => Ok(false),
            };
        }
        if question.settings.unsigned_documents == UnsignedDocuments::Ignored {
            return Ok(false);
        }
        let row = self.snapshot.unsigned_pattern(self.org, name.id.as_str()).await?;
        let Some(UnsignedDocument { id, author }) = row else { return Ok(false) };
        let value = self.snapshot.posted::<PatternRequest>(self.org, &id).await?;
        let Some(pattern) = value.as_ref().and_then(document::<Pattern>) else { return Ok(false) };
        self.leads(Offer::Pattern(&pattern), &Author::User(author), question, search).await
    }

    async fn by_policies(
        &mut self,
        question: &Question<'_>,
        search: &mut Search<'_>,
    ) -> Result<bool, ApiError> {
        let signed = self.snapshot.signed_policies(self.org).await?;
        // Policies that name the service itself come first.
        for names_it in [true, false] {
            for (key, sha256) in &signed {
                if let Opened::Policy(policy) = self.open(key, *sha256).await?
                    && search.walk.may_be(&policy.service.name) == names_it
                    && self.leads(Offer::Policy(&policy), &Author::Trust, question, search).await?
                {
                    return Ok(true);
                }
            }
        }
        if question.settings.unsigned_documents == UnsignedDocuments::Ignored {
            return Ok(false);
        }
        let rows = self.snapshot.unsigned_policies(self.org, question.owner).await?;
        for UnsignedDocument { id, author } in rows {
            let author = Author::User(author);
            if !question.counts(&author) {
                continue;
            }
            let value = self.snapshot.posted::<PolicyRequest>(self.org, &id).await?;
            // A policy that cannot be read fits no node.
            let Some(policy) = value.as_ref().and_then(document::<DeploymentPolicy>) else {
                continue;
            };
            if self.leads(Offer::Policy(&policy), &author, question, search).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether an offer leads to the service; fetches what that takes to say.
    async fn leads(
        &mut self,
        offer: Offer<'_>,
        author: &Author,
        question: &Question<'_>,
        search: &mut Search<'_>,
    ) -> Result<bool, ApiError> {
        loop {
            match search.walk.follow(offer, author, &search.known) {
                Step::Reached => return Ok(true),
                Step::Exhausted => return Ok(false),
                Step::Needs(url) => {
                    let versions = self.versions(&url, question).await?;
                    search.known.insert(url, versions);
                }
            }
        }
    }

    /// The versions of a service for the architecture of the node.
    async fn versions(
        &mut self,
        url: &ServiceUrl,
        question: &Question<'_>,
    ) -> Result<Vec<Definition>, ApiError> {
        let (org, arch) = (self.org, &question.facts.arch);
        let mut found = Vec::new();
        for (key, sha256) in self.snapshot.signed_versions(org, url, arch).await? {
            let Opened::Service(body) = self.open(&key, sha256).await? else { continue };
            // Two names can have one key: what counts is the signed one.
            if body.definition.url == *url && body.definition.arch == *arch {
                let id = key.id().to_owned();
                found.push(Definition { id, author: Author::Trust, body });
            }
        }
        if question.settings.unsigned_documents == UnsignedDocuments::Ignored {
            return Ok(found);
        }
        for UnsignedDocument { id, author } in
            self.snapshot.unsigned_versions(org, url, arch).await?
        {
            if let Some(body) = self.unsigned_service(&id).await? {
                let author = Author::User(author);
                found.push(Definition { id, author, body: Arc::new(body) });
            }
        }
        Ok(found)
    }

    /// A service as a row has it, with its policy; `None` if either cannot be read.
    async fn unsigned_service(&mut self, id: &str) -> Result<Option<ServiceBody>, ApiError> {
        let row = self.snapshot.posted::<ServiceRequest>(self.org, id).await?;
        let Some(definition) = row.as_ref().and_then(document) else { return Ok(None) };
        let policy = match self.snapshot.service_policy(self.org, id).await? {
            None => None,
            Some(text) => match service_policy(&text) {
                Some(policy) => Some(policy),
                None => return Ok(None),
            },
        };
        let (images, registry_ca) = (Vec::new(), BTreeMap::new());
        Ok(Some(ServiceBody { definition, images, policy, registry_ca }))
    }

    /// The policy that counts for a node, and who stands for it; `None` if it cannot be read, or if nobody whom the
    /// organization trusts vouches for the one that is published any more.
    async fn policy(
        &mut self,
        id: &NodeId,
        node: &RegisteredNode,
    ) -> Result<Option<(NodePolicy, Voucher)>, ApiError> {
        let Some(own) = registered_policy(node) else { return Ok(None) };
        let registration = &node.record.registration;
        let by = match registration.policy_by.as_str() {
            "" => &registration.pattern_by,
            by => by,
        };
        let key = DocumentKey::node_policy(id);
        let Some(sha256) = self.snapshot.newest_signed(self.org, &key).await? else {
            return Ok(Some((own, self.voucher(by).await?)));
        };
        Ok(match self.open(&key, sha256).await? {
            Opened::NodePolicy(published) => {
                // A policy from before the node was made, under the same name, is not about this registration.
                let is_of_this = sha256.hex() == registration.policy_sha256;
                let voucher = if is_of_this { Voucher::Trust } else { self.voucher(by).await? };
                Some((published.in_place_of(&own), voucher))
            }
            Opened::Withdrawn => Some((own, self.voucher(by).await?)),
            _ => None,
        })
    }

    async fn voucher(&mut self, name: &str) -> Result<Voucher, ApiError> {
        if name.is_empty() {
            return Ok(Voucher::Node);
        }
        Ok(Voucher::User(self.snapshot.account(self.org, name).await?))
    }

    /// Verifies a signed document, unless that was done under this very trust.
    async fn open(&mut self, key: &DocumentKey, sha256: Digest) -> Result<Opened, ApiError> {
        let Some(trust) = self.trust else { return Ok(Opened::Untrusted) };
        let memory = &self.memory.opened;
        if let Some(opened) = memory.get(trust.digest(), sha256, key) {
            return Ok(opened);
        }
        let bytes = self.snapshot.envelope(self.org, &sha256).await?.unwrap_or_default();
        let opened = Opened::open(trust, &bytes, sha256, key);
        memory.insert(trust.digest(), sha256, key, opened.clone());
        Ok(opened)
    }
}

/// A walk, and the services that it has come to know.
struct Search<'q> {
    walk: Walk<'q>,
    known: KnownServices,
}

/// What the exchange knows of the node beside its policy, which states the rest.
fn facts(arch: Arch, node: &NodeDescription) -> NodeFacts {
    match node.node_type {
        NodeType::Device => NodeFacts::device(arch),
        NodeType::Cluster => NodeFacts::cluster(arch),
    }
}

/// The policy that a user set, under what the node measures of itself; `None` if it cannot be read.
fn registered_policy(node: &RegisteredNode) -> Option<NodePolicy> {
    let registered = match &node.registered_policy {
        Some(text) => {
            document::<NodePolicy>(&serde_json::from_str::<NodePolicyRequest>(text).ok()?)?
        }
        None => NodePolicy::default(),
    };
    let own = node.own_policy.as_deref().and_then(stated).unwrap_or_default();
    Some(registered.with_measured(&own, KNOWN_TO_THE_NODE))
}

/// The properties that a node states of itself, whatever its constraints are.
fn stated(own: &str) -> Option<NodePolicy> {
    let own: NodePolicyRequest = serde_json::from_str(own).ok()?;
    let properties = json!({
        "properties": own.properties,
        "deployment": {"properties": own.deployment.properties},
    });
    serde_json::from_value(properties).ok()
}

/// The policy of a service in a row; `None` if it cannot be read.
fn service_policy(text: &str) -> Option<ServicePolicy> {
    document(&serde_json::from_str::<ServicePolicyRequest>(text).ok()?)
}

/// The same document, by the type that decides; `None` if it cannot be read.
fn document<T: DeserializeOwned>(wire: &impl Serialize) -> Option<T> {
    serde_json::from_value(serde_json::to_value(wire).ok()?).ok()
}
