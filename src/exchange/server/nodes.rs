//! Nodes.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use serde::Deserialize;

use super::{
    ApiError, AppState,
    answer::{attribute, fits, listed, no_attribute, written},
    caller::{Caller, Role},
    extract::{Body, Path, Query, SecretBody, check_new_account},
    lengths::{SecretKind, check_length},
    lists::{Batches, List, Position, members},
    orgs::Only,
};
use crate::{
    audit::AuditEvent,
    exchange::{
        api::{
            ConfigStateRequest, NoMessages, Node, NodeDescription, NodeRequest, NodeType, Nodes,
            Reply, Resource,
        },
        store::{NodeCount, NodeRecord, NodesOf, Store, StoreError},
    },
    types::{NodeId, OrgId},
};

/// Which nodes to list.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Filters {
    idfilter: Option<String>,
    name: Option<String>,
    owner: Option<String>,
    arch: Option<String>,
    nodetype: Option<NodeType>,
    clusternamespace: Option<String>,
    #[serde(rename = "isNamespaceScoped")]
    is_namespace_scoped: Option<bool>,
}

impl Filters {
    fn fit(&self, id: &str, node: &Node) -> bool {
        let (_, id) = id.split_once('/').unwrap_or_default();
        let it = &node.description;
        fits(self.idfilter.as_deref(), id)
            && fits(self.name.as_deref(), &it.name)
            && fits(self.owner.as_deref(), &node.owner)
            && fits(self.arch.as_deref(), &it.arch)
            && fits(self.clusternamespace.as_deref(), &it.cluster_namespace)
            && self.nodetype.is_none_or(|kind| kind == it.node_type)
            && self.is_namespace_scoped.is_none_or(|scoped| scoped == it.is_namespace_scoped)
    }
}

/// Lists the nodes that the caller may see.
pub(super) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Path(org): Path<OrgId>,
    Query(filters): Query<Filters>,
) -> Result<Response, ApiError> {
    caller.may_list_nodes(&org)?;
    let owner = matches!(caller.role, Role::User(_)).then(|| caller.name());
    let which = NodesOf { org, owner, only: caller.node().cloned() };
    let size = state.store.nodes_size(&which).await?;
    let batches = NodeBatches {
        store: state.store.clone(),
        which,
        filters: Arc::new(filters),
        position: Position::Start,
    };
    List::of_nodes().answer(&state, &caller, size, batches).await
}

/// The nodes of a list, a batch at a time.
struct NodeBatches {
    store: Store,
    which: NodesOf,
    filters: Arc<Filters>,
    position: Position,
}

impl Batches for NodeBatches {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, ApiError> {
        let after = match &self.position {
            Position::Start => None,
            Position::After(row) => Some(row),
            Position::End => return Ok(None),
        };
        let batch = self.store.nodes_batch(&self.which, after).await?;
        self.position = Position::from(batch.next.clone());
        let filters = Arc::clone(&self.filters);
        let encode = move || {
            let nodes = batch.decode();
            members(nodes.into_iter().filter(|(id, node)| filters.fit(id, node)))
        };
        tokio::task::spawn_blocking(encode).await.map_err(ApiError::internal)?.map(Some)
    }
}

/// Tells about one node.
pub(super) async fn get(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, id)): Path<(OrgId, NodeId)>,
    Query(only): Query<Only>,
) -> Result<Response, ApiError> {
    let held = state.store.node(&org, &id).await?;
    caller.may_read_node(&org, &id, held.as_ref().map(|node| node.owner.as_str()))?;
    if let (Some(node), Some(name)) = (&held, &only.attribute) {
        return Ok(attribute(node, name)?.into_response());
    }
    let nodes: BTreeMap<_, _> =
        held.into_iter().map(|node| (format!("{org}/{id}"), node)).collect();
    Ok(listed(nodes.is_empty(), Nodes { nodes, last_index: 0 }))
}

/// Whether a write is no sign of life of the node.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Quiet {
    /// True if it is none.
    #[serde(default)]
    pub(super) noheartbeat: bool,
}

/// Makes a node, or changes it.
pub(super) async fn put(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, id)): Path<(OrgId, NodeId)>,
    Query(quiet): Query<Quiet>,
    SecretBody(request): SecretBody<NodeRequest>,
) -> Result<(StatusCode, Json<Reply>), ApiError> {
    refuse_early(&state, &caller, &org, &id).await?;
    let token_hash = token_hash(&state, &org, &request).await?;
    if token_hash.is_some() {
        caller.note(AuditEvent::TokenChanged);
    }
    let now = state.clock.now();
    let heartbeat = (!quiet.noheartbeat).then(|| now.as_millisecond());
    let permit = caller.permit(|caller, held: Option<NodeRecord>| {
        caller.may_change_node(&org, &id, held.as_ref().map(|it| it.owner.as_str()))?;
        if held.is_none() {
            check_new_account(id.as_str())?;
        }
        replaced(caller, &org, held, request, (token_hash, heartbeat))
    });
    let count = state.store.write_node(&org, &id, Resource::Node, permit, now).await?;
    Ok(written(counted(&org, count)))
}

/// Changes one attribute of a node.
pub(super) async fn patch(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, id)): Path<(OrgId, NodeId)>,
    SecretBody(request): SecretBody<NodeRequest>,
) -> Result<(StatusCode, Json<Reply>), ApiError> {
    refuse_early(&state, &caller, &org, &id).await?;
    let token_hash = token_hash(&state, &org, &request).await?;
    if token_hash.is_some() {
        caller.note(AuditEvent::TokenChanged);
    }
    let permit = caller.permit(|caller, held| {
        changed(caller, &org, may_replace(caller, &org, &id, held)?, request, token_hash)
    });
    state.store.write_node(&org, &id, Resource::Node, permit, state.clock.now()).await?;
    Ok(written(format!("attribute of node '{org}/{id}' updated")))
}

/// Removes a node.
pub(super) async fn delete(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, id)): Path<(OrgId, NodeId)>,
) -> Result<StatusCode, ApiError> {
    let permit = caller.permit_node(&org, &id);
    state.store.delete_node(&org, &id, permit, state.clock.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes a sign of life.
pub(super) async fn heartbeat(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, id)): Path<(OrgId, NodeId)>,
) -> Result<(StatusCode, Json<Reply>), ApiError> {
    let permit = caller.permit_node(&org, &id);
    state.store.heartbeat(&org, &id, permit, state.clock.now()).await?;
    Ok(written("heartbeat successful"))
}

/// Suspends services of a node, or lets them run again.
pub(super) async fn config_state(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, id)): Path<(OrgId, NodeId)>,
    Body(request): Body<ConfigStateRequest>,
) -> Result<(StatusCode, Json<Reply>), ApiError> {
    let permit =
        caller.permit(|caller, held| suspended(may_replace(caller, &org, &id, held)?, &request));
    state.store.write_node(&org, &id, Resource::ConfigState, permit, state.clock.now()).await?;
    Ok(written("services config state updated"))
}

/// How many messages to tell.
#[derive(Debug, Default, Deserialize)]
pub(super) struct MessageFilters {
    #[serde(rename = "maxmsgs")]
    _most: Option<u64>,
}

/// Lists the messages to a node. There are none: only agreement bots would send any.
pub(super) async fn messages(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, id)): Path<(OrgId, NodeId)>,
    Query(_): Query<MessageFilters>,
) -> Result<Response, ApiError> {
    let owner = state.store.node_owner(&org, &id).await?;
    caller.may_read_node(&org, &id, owner.as_deref())?;
    Ok(listed(true, NoMessages::default()))
}

/// Refuses before the costly hash of a token is computed. The decision is made inside the write transaction.
async fn refuse_early(
    state: &AppState,
    caller: &Caller,
    org: &OrgId,
    id: &NodeId,
) -> Result<(), ApiError> {
    let owner = state.store.node_owner(org, id).await?;
    caller.may_change_node(org, id, owner.as_deref())
}

/// What is there, if it is and the caller may change it.
fn may_replace(
    caller: &Caller,
    org: &OrgId,
    id: &NodeId,
    held: Option<NodeRecord>,
) -> Result<NodeRecord, ApiError> {
    caller.may_change_node(org, id, held.as_ref().map(|it| it.owner.as_str()))?;
    Ok(held.ok_or_else(|| StoreError::missing("node", org, id))?)
}

/// The hash of the token in the request, if there is one; checks the request by itself.
async fn token_hash(
    state: &AppState,
    org: &OrgId,
    request: &NodeRequest,
) -> Result<Option<String>, ApiError> {
    if let Some(problem) = request.problem() {
        return Err(ApiError::InvalidInput(problem));
    }
    match &request.token {
        Some(token) => {
            check_length(state, org, SecretKind::Token, &token.0).await?;
            state.passwords.hash(&token.0).await.map(Some)
        }
        None => Ok(None),
    }
}

/// What a `PUT` makes of a node.
fn replaced(
    caller: &Caller,
    org: &OrgId,
    held: Option<NodeRecord>,
    mut request: NodeRequest,
    (token_hash, heartbeat): (Option<String>, Option<i64>),
) -> Result<NodeRecord, ApiError> {
    let refuse = |msg: &str| Err(ApiError::InvalidInput(msg.to_owned()));
    if request.name.is_none() {
        return refuse("the node's name is missing");
    }
    let (pattern, public_key) = (request.pattern.take(), request.public_key.take());
    let is_whole = request.token.is_some();
    let (token_hash, pattern, public_key) = match (token_hash, pattern, public_key, &held) {
        (Some(_), Some(_), Some(_), Some(held))
            if !held.public_key.is_empty() && !is_itself(caller) =>
        {
            return refuse("the node is registered: unregister it to change token, pattern or key");
        }
        (Some(token_hash), Some(pattern), Some(public_key), _) => (token_hash, pattern, public_key),
        (None, None, None, Some(held)) => {
            (held.token_hash.clone(), held.pattern.clone(), held.public_key.clone())
        }
        (None, None, None, None) => return refuse("a new node needs token, pattern and publicKey"),
        _ => return refuse("token, pattern and publicKey come together or not at all"),
    };
    let registration = held.as_ref().map(|it| it.registration.clone()).unwrap_or_default();
    // Without token, pattern and key it says nothing of what decides about credentials.
    let registration = if is_whole {
        registration.after(caller.author(org).as_ref(), &pattern, &public_key)
    } else {
        registration
    };
    let (owner, description, last_heartbeat) = match held {
        Some(held) if is_whole => (held.owner, NodeDescription::default(), held.last_heartbeat),
        Some(held) => (held.owner, held.description, held.last_heartbeat),
        None => (caller.name(), NodeDescription::default(), None),
    };
    Ok(NodeRecord {
        owner,
        token_hash,
        pattern,
        public_key,
        registration,
        description: description.with(request),
        last_heartbeat: heartbeat.or(last_heartbeat),
    })
}

/// What a `PATCH` makes of a node.
fn changed(
    caller: &Caller,
    org: &OrgId,
    held: NodeRecord,
    mut request: NodeRequest,
    token_hash: Option<String>,
) -> Result<NodeRecord, ApiError> {
    let refuse = |msg: &str| Err(ApiError::InvalidInput(msg.to_owned()));
    match request.attributes() {
        0 => return Err(no_attribute()),
        1 => {}
        _ => return refuse("the body names several attributes; change one at a time"),
    }
    let author = caller.author(org);
    let mut node = held;
    let is_registered = !node.public_key.is_empty();
    if let Some(token_hash) = token_hash {
        if is_registered && !is_itself(caller) {
            return refuse("the node is registered: only it can change its token");
        }
        node.token_hash = token_hash;
    }
    if let Some(pattern) = request.pattern.take() {
        if is_registered && node.pattern.is_empty() && !pattern.is_empty() {
            return refuse("the node goes by policies: unregister it to give it a pattern");
        }
        node.pattern = pattern;
        node.registration = node.registration.after(author.as_ref(), &node.pattern, "");
    }
    if let Some(public_key) = request.public_key.take() {
        if !is_itself(caller) {
            let msg = "Access denied: only the node itself can change its publicKey";
            return Err(ApiError::AccessDenied(msg.to_owned()));
        }
        if is_registered && !public_key.is_empty() && public_key != node.public_key {
            return refuse("the node has a publicKey: blank it before giving it another");
        }
        node.public_key = public_key;
        node.registration = node.registration.after(None, "", &node.public_key);
    }
    node.description = node.description.with(request);
    Ok(node)
}

/// What suspending services makes of a node.
fn suspended(held: NodeRecord, request: &ConfigStateRequest) -> Result<NodeRecord, ApiError> {
    let mut node = held;
    let any = |wanted: &str, is: &str| wanted.is_empty() || wanted == is;
    let mut found = false;
    for service in &mut node.description.registered_services {
        let (org, url) = service.url.split_once('/').unwrap_or(("", &service.url));
        if any(&request.org, org)
            && any(&request.url, url)
            && any(&request.version, &service.version)
        {
            service.config_state = request.config_state;
            found = true;
        }
    }
    if found {
        Ok(node)
    } else {
        Err(ApiError::NotFound("the node has no such service".to_owned()))
    }
}

/// Whether the caller is the node itself, or may do whatever the node may.
fn is_itself(caller: &Caller) -> bool {
    matches!(caller.role, Role::Node(_) | Role::Root(_))
}

fn counted(org: &OrgId, NodeCount { nodes, most }: NodeCount) -> String {
    // 95 % of the limit, in whole numbers.
    if most > 0 && nodes * 100 >= most * 95 {
        return format!("The org {org} has reached 95% of the node limit: {nodes} nodes.");
    }
    "node added or updated".to_owned()
}

#[cfg(test)]
mod tests;
