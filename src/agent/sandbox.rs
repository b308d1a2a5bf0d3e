//! Whether what a service needs of the host is allowed on this node.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use crate::{
    agent::{
        Agent, Sockets,
        allowances::Allowances,
        folder::FolderError,
        runtime::{Container, ContainerPlan, RuntimeError, labels},
    },
    document::{AccessNeed, HostAccess, NodePolicy, PathAccess, normalized, of_path},
    image::engine::EngineEndpoint,
    types::ServiceId,
};

/// How many needs a message lists.
const MOST_LISTED: usize = 16;

/// What services of this node can use of its host.
#[derive(Debug, Default)]
pub(super) struct Sandbox {
    /// With every link in a path resolved.
    allowed: BTreeSet<HostAccess>,
    /// Sockets of the engines that this node uses, links resolved.
    sockets: Vec<PathBuf>,
    /// What services use whose containers an earlier version made.
    in_use: BTreeMap<String, BTreeSet<HostAccess>>,
}

/// A service whose needs this node's owner does not allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RefusedAccess {
    pub(super) service: ServiceId,
    pub(super) needs: Vec<AccessNeed>,
}

/// Errors of finding out what is allowed.
#[derive(Debug, thiserror::Error)]
pub(super) enum SandboxError {
    #[error("failed to access the allowances of the node")]
    Allowances(#[from] FolderError),
    #[error("failed to list what runs here, which stays allowed after an upgrade")]
    Runtime(#[from] RuntimeError),
}

impl Sandbox {
    /// What `allowances` and the policy that the owner registered the node with allow. By Horizon's
    /// property that policy allows privileged services, and those in the host's network.
    pub(super) fn new(allowances: &Allowances, registered: &NodePolicy, sockets: &Sockets) -> Self {
        let by_policy = if registered.allows_privileged() {
            vec![HostAccess::Privileged, HostAccess::Network]
        } else {
            Vec::new()
        };
        let real = |it: &HostAccess| match it.path() {
            // What cannot be resolved allows nothing.
            Some(path) => resolved(path).map(|real| it.with_path(real)),
            None => Some(it.clone()),
        };
        let allowed = allowances.iter().filter_map(real).chain(by_policy).collect();
        let endpoints = match sockets {
            Sockets::Named(endpoint) => std::slice::from_ref(endpoint),
            Sockets::Usual(endpoints) => endpoints,
        };
        let path = |it: &EngineEndpoint| match it {
            EngineEndpoint::Unix(path) => resolved(path),
            _ => None,
        };
        let sockets = endpoints.iter().filter_map(path).collect();
        Self { allowed, sockets, in_use: allowances.in_use.clone() }
    }

    /// Whether `access` is allowed. Paths are judged as they are on this machine now.
    pub(super) fn allows(&self, access: &HostAccess) -> bool {
        let is_allowed = |needed: &HostAccess| self.allowed.iter().any(|it| it.covers(needed));
        match access {
            HostAccess::HostPath(path, how) => resolved(path)
                .is_some_and(|real| of_path(&real, *how, &self.sockets).iter().all(is_allowed)),
            HostAccess::Device(path) => {
                resolved(path).is_some_and(|real| is_allowed(&HostAccess::Device(real)))
            }
            other => is_allowed(other),
        }
    }

    /// What of these needs is not allowed.
    pub(super) fn refused(&self, needs: &BTreeSet<AccessNeed>) -> Vec<AccessNeed> {
        needs.iter().filter(|it| !self.allows(&it.access)).cloned().collect()
    }

    /// Whether a container that runs here may go on: by its own label, or, if an earlier version made it,
    /// by what was recorded of its service. What nothing is known of goes on.
    pub(super) fn allows_container(&self, container: &Container) -> bool {
        let allows_all = |all: &BTreeSet<HostAccess>| all.iter().all(|it| self.allows(it));
        if let Some(label) = container.labels.get(labels::HOST_ACCESS) {
            return serde_json::from_str(label).is_ok_and(|all| allows_all(&all));
        }
        let service = container.labels.get(labels::SERVICE);
        service.and_then(|it| self.in_use.get(it)).is_none_or(allows_all)
    }
}

impl RefusedAccess {
    /// What is needed, which fields say so, and the command that allows it.
    pub(super) fn describe(&self) -> String {
        let ServiceId { org, url, version, .. } = &self.service;
        let listed = self.needs.iter().take(MOST_LISTED);
        let needs: Vec<_> = listed.map(|it| format!("{} ({})", it.access, it.field)).collect();
        let more = match self.needs.len().saturating_sub(MOST_LISTED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!(
            "{org}/{url} {version} needs {}{more}, which the owner of this node does not allow; to allow it: {}",
            needs.join(", "),
            allow_command(self.needs.iter().map(|it| &it.access)),
        )
    }
}

/// Lets the engine mount what was judged: each path of the host with its links resolved, so that a link
/// that is changed later leads nowhere else.
///
/// # Errors
/// The first path that cannot be resolved.
pub(super) fn resolve_paths(plan: &mut ContainerPlan) -> Result<(), HostAccess> {
    for bind in &mut plan.binds {
        let Some((source, rest)) = bind.split_once(':').filter(|it| it.0.starts_with('/')) else {
            continue;
        };
        let path = normalized(source);
        let access = HostAccess::HostPath(path.clone(), PathAccess::ReadOnly);
        *bind = format!("{}:{rest}", mountable(&path).ok_or(access)?);
    }
    for device in &mut plan.devices {
        let path = normalized(&device.host);
        device.host = mountable(&path).ok_or(HostAccess::Device(path))?;
    }
    Ok(())
}

/// The command by which a node's owner allows access to the host, with every value as one word of a shell.
pub fn allow_command<'a>(access: impl Iterator<Item = &'a HostAccess>) -> String {
    let each: BTreeSet<String> = access.map(|it| shell_word(&it.to_string())).collect();
    format!("edgepost agent allow {}", each.into_iter().collect::<Vec<_>>().join(" "))
}

/// A string as one word of a shell: publishers choose what is in it.
fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/=:._-+".contains(c);
    if text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// A path without links, as far as it exists; nothing if it has a link that leads nowhere.
fn resolved(path: &Path) -> Option<PathBuf> {
    for ancestor in path.ancestors() {
        if let Ok(real) = fs::canonicalize(ancestor) {
            let rest = path.strip_prefix(ancestor).ok()?;
            // Without the slash that joining nothing leaves at the end.
            return Some(real.join(rest).components().collect());
        }
        if fs::symlink_metadata(ancestor).is_ok() {
            return None;
        }
    }
    Some(path.to_owned())
}

/// The resolved path as a bind mount can name it: a `:` would end it.
fn mountable(path: &Path) -> Option<String> {
    let real = resolved(path)?;
    real.to_str().filter(|it| !it.contains(':')).map(str::to_owned)
}

impl Agent {
    /// Reads what the owner allows. At the first start after an upgrade from a version without this rule,
    /// what runs is recorded as allowed, so that an upgrade stops nothing.
    pub(super) async fn refresh_sandbox(&mut self) -> Result<(), SandboxError> {
        let mut allowances = Allowances::load(&self.folder)?;
        if !allowances.is_recorded {
            allowances.in_use = self.access_in_use().await?;
            let carried_over: BTreeSet<_> = allowances.in_use.values().flatten().cloned().collect();
            for access in &carried_over {
                tracing::warn!(
                    event = "sandbox.carried_over",
                    access = %access,
                    "a service that ran before the upgrade uses the host: it stays allowed until \
                     `edgepost agent allow --remove` ends it"
                );
            }
            allowances.carried_over.extend(carried_over);
            allowances.is_recorded = true;
            allowances.save(&self.folder)?;
        }
        self.sandbox = Sandbox::new(&allowances, &self.policy, &self.config.sockets);
        self.carried_over = allowances.carried_over.into_iter().collect();
        Ok(())
    }

    /// What each service that runs here needs of the host, by its document.
    async fn access_in_use(&self) -> Result<BTreeMap<String, BTreeSet<HostAccess>>, RuntimeError> {
        let existing = self.runtime.list(&self.identity.node).await?;
        let known = self.known();
        let services: BTreeSet<_> =
            existing.iter().filter(|it| !it.kept).filter_map(Container::service).collect();
        let access = |it: &ServiceId| {
            let needs = known.service(it)?.body().definition.host_access();
            let access: BTreeSet<_> = needs.into_iter().map(|it| it.access).collect();
            (!access.is_empty()).then(|| (it.to_string(), access))
        };
        Ok(services.iter().filter_map(access).collect())
    }
}
