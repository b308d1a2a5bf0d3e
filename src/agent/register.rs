//! How a machine becomes a node: it is made in the exchange, and the organization's trust is pinned.

use std::{collections::BTreeMap, path::Path};

use jiff::Timestamp;

use crate::{
    agent::{
        AgentConfig, AllowanceChange, AllowanceError, Allowances, Machine,
        allowances::change_allowances,
        folder::{self, FolderError, NodeFolder},
        identity::{Identity, IdentityError},
        introduction::Introduction,
        marks::{Kept, MarksError, MarksFile},
        profile::Profile,
        verify::Refused,
    },
    claim::{Claim, ClaimError},
    document::{HostAccess, NodeFacts, NodePolicy, UserInputValue},
    exchange::{
        api::{NodeRequest, NodeType, WireSecret},
        client::{ExchangeClient, ExchangeConfig, ExchangeError},
    },
    sign::{Envelope, sealed::NodeKey},
    trust::{Refusal, Trust, TrustPin, TrustRoot},
    types::{Arch, JsonProblem, NodeId, NodeRef, PatternRef, Secret},
};

/// A node to be.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Registration {
    /// The exchange, and who registers the node: a user, or the node itself.
    pub exchange: ExchangeConfig,
    /// The node's name.
    pub node: NodeRef,
    /// What it will say to the exchange to be known. Without one, the token of an earlier registration
    /// in the same folder stays, and the first registration generates one.
    pub token: Option<Secret>,
    /// How it comes to its trust.
    pub trust: TrustRoot,
    /// The pattern it takes; without one, policies decide.
    pub pattern: Option<PatternRef>,
    /// Its own policy.
    pub policy: Option<NodePolicy>,
    /// Its own values for the variables of services.
    pub user_input: Vec<UserInputValue>,
    /// The architecture of the services it runs.
    pub arch: Arch,
    /// What its services can use of the host, beyond the default sandbox.
    pub allow: Vec<HostAccess>,
}

impl Registration {
    /// A node of this machine's architecture that takes no pattern and has no policy.
    pub fn new(
        exchange: ExchangeConfig,
        node: NodeRef,
        token: impl Into<Option<Secret>>,
        trust: TrustRoot,
    ) -> Self {
        Self {
            exchange,
            node,
            token: token.into(),
            trust,
            pattern: None,
            policy: None,
            user_input: Vec::new(),
            arch: Arch::of_this_machine(),
            allow: Vec::new(),
        }
    }

    /// Takes a pattern.
    #[must_use]
    pub fn pattern(mut self, pattern: PatternRef) -> Self {
        self.pattern = Some(pattern);
        self
    }

    /// Has a policy of its own.
    #[must_use]
    pub fn policy(mut self, policy: NodePolicy) -> Self {
        self.policy = Some(policy);
        self
    }

    /// Allows services to use more of the host than the default sandbox.
    #[must_use]
    pub fn allow(mut self, access: Vec<HostAccess>) -> Self {
        self.allow = access;
        self
    }

    /// Has values of its own for the variables of services.
    #[must_use]
    pub fn user_input(mut self, values: Vec<UserInputValue>) -> Self {
        self.user_input = values;
        self
    }
}

/// What a registration led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// The node.
    pub node: NodeRef,
    /// The trust that is pinned from now on.
    pub trust: TrustPin,
    /// The version that the chain from there has come to.
    pub trust_version: u64,
}

/// Why a node was not registered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// The exchange did not take the node, or could not be asked.
    #[error("failed to register the node in the exchange")]
    Exchange(#[from] ExchangeError),
    /// The organization has no trust document yet, so that nothing could be believed.
    #[error("the organization {0} has no trust document yet")]
    NoTrust(crate::types::OrgId),
    /// The exchange is one that Edgepost nodes cannot use.
    #[error(
        "the exchange is Open Horizon's own, which keeps no signed documents for Edgepost nodes"
    )]
    HorizonExchange,
    /// The organization's trust is not the one that was pinned, or its chain does not hold.
    #[error("the trust of the organization is refused")]
    Refused(#[from] Refused),
    /// The folder holds another node.
    #[error("the folder holds the node {0} already")]
    OtherNode(NodeRef),
    /// Another machine is that node.
    #[error("another machine is the node {0} already; remove that node first")]
    Taken(NodeRef),
    /// The machine gave no random bytes.
    #[error("failed to generate a token")]
    Random(#[from] getrandom::Error),
    /// The exchange has no form for its policy.
    #[error("the node's policy cannot be sent")]
    Policy(#[source] JsonProblem),
    /// Its identity could not be kept.
    #[error("the node's identity cannot be used")]
    Identity(#[from] IdentityError),
    /// Its folder is not to be had.
    #[error("the node's folder cannot be used")]
    Claim(#[from] ClaimError),
    /// A file of its folder could not be written.
    #[error("the node's folder cannot be used")]
    Folder(#[from] FolderError),
    /// What is allowed on it could not be kept.
    #[error("the allowances of the node cannot be kept")]
    Allowances(#[from] AllowanceError),
    /// Its marks could not be made.
    #[error("the node's marks cannot be used")]
    Marks(#[from] MarksError),
}

impl RegisterError {
    /// Whether the exchange may have made the node all the same: nobody heard its answer.
    fn may_have_happened(&self) -> bool {
        matches!(self, Self::Exchange(error) if error.is_passing())
    }
}

/// Registers a node in the folder of `config`. Doing it again is harmless: key and marks stay, so
/// that nobody can lead the node back by having it registered anew. The clock floor alone falls to the machine's
/// clock, for a node that had seen a time in the future.
pub async fn register(
    config: &AgentConfig,
    registration: Registration,
) -> Result<Registered, RegisterError> {
    let _claim = Claim::of(&config.data)?;
    let folder = NodeFolder::open(&config.data)?;
    let before = Identity::find(&folder)?;
    if let Some(other) = before.as_ref().filter(|it| it.node != registration.node) {
        return Err(RegisterError::OtherNode(other.node.clone()));
    }
    let exchange =
        ExchangeClient::new(&registration.exchange)?.about(registration.node.org.clone());
    let root = match (registration.trust, &before) {
        // What was pinned once is not given up for whatever the exchange says today.
        (TrustRoot::FirstSeen, Some(before)) => TrustRoot::Pinned(before.trust),
        (root, _) => root,
    };
    let chain = exchange.trust_chain().await?;
    let trust = Trust::walk(&chain, root).map_err(Refused::of("trust"))?;
    let Some(trust) = trust else {
        return Err(if exchange.is_edgepost().await? {
            RegisterError::NoTrust(registration.node.org.clone())
        } else {
            RegisterError::HorizonExchange
        });
    };
    let pin = trust.pin();
    if *trust.org() != registration.node.org {
        let expected = format!("the trust of {}", registration.node.org);
        let received = format!("the trust of {}", trust.org());
        return Err(Refused::of("trust")(Refusal::Relabel { expected, received }).into());
    }

    let before_trust = before.as_ref().map(|it| it.trust);
    let token = registration.token.clone().or_else(|| before.as_ref().map(|it| it.token.clone()));
    let token = token.map_or_else(Secret::random, Ok)?;
    let identity = Identity {
        node: registration.node.clone(),
        token,
        exchange: registration.exchange.url.clone(),
        ca: registration.exchange.ca.clone(),
        plain_http: registration.exchange.plain_http,
        pattern: registration.pattern.clone(),
        arch: registration.arch.clone(),
        key: before.map_or_else(NodeKey::generate, |it| it.key),
        trust: pin,
    };
    // Before the exchange hears of it: a key that is lost after that could not be replaced.
    let previous = Identity::find(&folder)?;
    identity.save(&folder)?;
    if before_trust.is_some_and(|before| before != pin) {
        // Another root, by the operator's own word: nothing that the old one vouched for counts.
        MarksFile::remove(&folder.marks())?;
    }
    keep_chain(&folder, &chain, &trust, config.clock.now()).await?;
    if let Err(error) = make(&exchange, &identity, &registration).await {
        if !error.may_have_happened() {
            // A refusal changes nothing: not who this machine was, and not that it was nobody.
            match &previous {
                Some(previous) => previous.save(&folder)?,
                None => folder::remove(&folder.identity())?,
            }
        }
        return Err(error);
    }
    keep_json(&folder.policy(), registration.policy.as_ref())?;
    let input = Some(&registration.user_input).filter(|it| !it.is_empty());
    keep_json(&folder.user_input(), input)?;
    if before_trust.is_none() {
        Allowances::of_new_node(registration.allow).save(&folder)?;
    } else if !registration.allow.is_empty() {
        change_allowances(folder.path(), AllowanceChange::Allow(registration.allow))?;
    }
    Ok(Registered { node: identity.node, trust: pin, trust_version: trust.version() })
}

/// Makes the node in the exchange, or changes it.
async fn make(
    exchange: &ExchangeClient,
    identity: &Identity,
    registration: &Registration,
) -> Result<(), RegisterError> {
    let id = &identity.node.id;
    let policy = registration.policy.clone().unwrap_or_default();
    let facts = NodeFacts {
        user_input: registration.user_input.clone(),
        ..Machine::measured(Path::new("/")).facts(identity.arch.clone())
    };
    let profile = Profile::of(&policy, &facts).map_err(|it| RegisterError::Policy(it.into()))?;
    let public_key = identity.key.public().to_string();
    let known = exchange.find_node(id).await?.map(|it| it.public_key).filter(|it| !it.is_empty());
    let registrant = exchange;
    let is_known = known.is_some();
    let exchange = match known {
        None => exchange.clone(),
        // It is this node, which alone may change what it has registered.
        Some(key) if key == public_key => ExchangeClient::new(&identity.exchange_config())?,
        Some(_) => return Err(RegisterError::Taken(identity.node.clone())),
    };
    let pattern = identity.pattern.as_ref().map(ToString::to_string).unwrap_or_default();
    let request = NodeRequest {
        token: Some(WireSecret(identity.token.clone())),
        name: Some(id.to_string()),
        node_type: Some(NodeType::Device),
        pattern: Some(pattern.clone()),
        registered_services: Some(Vec::new()),
        software_versions: Some(BTreeMap::from([(
            "edgepost".to_owned(),
            env!("CARGO_PKG_VERSION").to_owned(),
        )])),
        public_key: Some(public_key),
        arch: Some(identity.arch.to_string()),
        ..NodeRequest::default()
    };
    exchange.put_node(id, &request).await?;
    if is_known {
        stand_for(registrant, id, pattern, &profile).await?;
    }
    let told = Introduction::default().tell(&profile, &exchange, id).await;
    told.or_else(|error| match error {
        // A service that it has values for has not been published yet. The agent tells them later.
        ExchangeError::Invalid { .. } => {
            tracing::info!(%error, "the exchange does not take the node's values yet");
            Ok(())
        }
        error => Err(error.into()),
    })
}

/// Repeats in the name of the registrant what the node has just changed itself: pull credentials follow what a user has
/// set. A registrant who may not change the node leaves that to an administrator.
async fn stand_for(
    registrant: &ExchangeClient,
    id: &NodeId,
    pattern: String,
    profile: &Profile,
) -> Result<(), RegisterError> {
    let request = NodeRequest { pattern: Some(pattern), ..NodeRequest::default() };
    let set = async {
        registrant.change_node(id, &request).await?;
        registrant.put_node_policy(id, &profile.policy).await
    };
    match set.await {
        Err(error @ (ExchangeError::Denied { .. } | ExchangeError::Invalid { .. })) => {
            tracing::info!(event = "node.not_approved", node = %id, %error, "an administrator has to approve the node");
            Ok(())
        }
        other => Ok(other?),
    }
}

/// Keeps the chain, unless the node has walked as far already.
async fn keep_chain(
    folder: &NodeFolder,
    chain: &[Envelope],
    newest: &Trust,
    now: Timestamp,
) -> Result<(), MarksError> {
    let (mut marks, kept) = MarksFile::open(&folder.marks()).await?;
    let is_known = |(held, given): (&Envelope, &Envelope)| held.digest() == given.digest();
    let goes_on = chain.len() >= kept.trust.len() && kept.trust.iter().zip(chain).all(is_known);
    if !goes_on {
        return Ok(());
    }
    let trust = [&kept.trust, &chain[kept.trust.len()..]].concat();
    let floored = kept.marks.clone().registered_again(newest, now);
    marks.commit(&kept, &Kept { marks: floored, trust, ..kept.clone() }).await
}

fn keep_json<T: serde::Serialize>(path: &Path, value: Option<&T>) -> Result<(), FolderError> {
    // Documents are made of texts and numbers: they are always JSON.
    let text = value.map(|it| serde_json::to_vec_pretty(it).unwrap_or_default());
    match text {
        Some(text) => folder::write_whole(path, &text),
        None => folder::remove(path),
    }
}
