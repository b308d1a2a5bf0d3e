//! Who the node is: its name, its secrets, and the trust it was given.

use std::{mem::take, path::PathBuf};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize as _, Zeroizing};

use crate::{
    agent::folder::{self, FolderError, NodeFolder},
    exchange::client::{Auth, ExchangeConfig, PlainHttp},
    sign::sealed::NodeKey,
    trust::TrustPin,
    types::{Arch, JsonProblem, NodeRef, PatternRef, Secret},
};

/// Everything that makes this machine that node.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Its name.
    pub node: NodeRef,
    /// What it says to the exchange to be known.
    pub token: Secret,
    /// The exchange's address.
    pub exchange: String,
    /// Certificate authorities of the exchange beside the system's, as PEM.
    pub ca: Option<String>,
    /// Whether the operator takes plain HTTP to an exchange that is not on this machine.
    pub plain_http: PlainHttp,
    /// The pattern it takes; without one, policies decide.
    pub pattern: Option<PatternRef>,
    /// The architecture of the services it runs.
    pub arch: Arch,
    /// The key that credentials are sealed to.
    pub key: NodeKey,
    /// The first trust document of its organization.
    pub trust: TrustPin,
}

/// Why the identity could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The file could not be read or written.
    #[error("failed to use the node's identity")]
    Folder(#[from] FolderError),
    /// There is none: the node has not been registered.
    #[error("{} holds no registered node", path.display())]
    NotRegistered {
        /// The folder.
        path: PathBuf,
    },
    /// It cannot be read as an identity.
    #[error("{} is damaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: JsonProblem,
    },
}

/// The file, with its secrets: the only form in which they lie on the disk.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct IdentityFile {
    node: NodeRef,
    token: String,
    exchange: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ca: Option<String>,
    #[serde(default)]
    plain_http_anywhere: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pattern: Option<PatternRef>,
    arch: Arch,
    key: String,
    trust: String,
}

impl Drop for IdentityFile {
    fn drop(&mut self) {
        self.token.zeroize();
        self.key.zeroize();
    }
}

impl Identity {
    /// The identity in `folder`, if nobody else could have read it.
    pub fn load(folder: &NodeFolder) -> Result<Self, IdentityError> {
        Self::find(folder)?
            .ok_or_else(|| IdentityError::NotRegistered { path: folder.path().to_owned() })
    }

    /// The identity in `folder`, or none if no node has been registered there.
    pub fn find(folder: &NodeFolder) -> Result<Option<Self>, IdentityError> {
        let path = folder.identity();
        let Some(bytes) = folder::read_private(&path)? else {
            return Ok(None);
        };
        let damaged = |source| IdentityError::Damaged { path: path.clone(), source };
        let mut file: IdentityFile = serde_json::from_slice(&bytes)
            .map_err(|error| damaged(JsonProblem::of_secret(&error)))?;
        let wrong = |what: &str| damaged(JsonProblem::new(what));
        let key = BASE64_STANDARD.decode(&file.key).map(Zeroizing::new);
        let key = key.map_err(|_| wrong("its key is not base64"))?;
        Ok(Some(Self {
            node: file.node.clone(),
            token: Secret::new(file.token.as_str()),
            exchange: take(&mut file.exchange),
            ca: file.ca.take(),
            plain_http: if file.plain_http_anywhere {
                PlainHttp::AnywhereUnsafe
            } else {
                PlainHttp::LoopbackOnly
            },
            pattern: file.pattern.take(),
            arch: file.arch.clone(),
            key: NodeKey::from_bytes(&key).map_err(|_| wrong("its key is not one"))?,
            trust: file.trust.parse().map_err(|_| wrong("its trust is not a digest"))?,
        }))
    }

    /// Keeps it in `folder`, in a file of mode 0600.
    pub fn save(&self, folder: &NodeFolder) -> Result<(), IdentityError> {
        let path = folder.identity();
        let file = IdentityFile {
            node: self.node.clone(),
            token: self.token.expose().to_owned(),
            exchange: self.exchange.clone(),
            ca: self.ca.clone(),
            plain_http_anywhere: matches!(self.plain_http, PlainHttp::AnywhereUnsafe),
            pattern: self.pattern.clone(),
            arch: self.arch.clone(),
            key: BASE64_STANDARD.encode(*self.key.to_bytes()),
            trust: self.trust.to_string(),
        };
        let bytes = serde_json::to_vec_pretty(&file).map(Zeroizing::new).map_err(|source| {
            IdentityError::Damaged { path: path.clone(), source: source.into() }
        })?;
        Ok(folder::write_whole(&path, &bytes)?)
    }

    /// How to speak to the exchange as this node. The agent's own loop repeats what fails, so the
    /// client need not do it long.
    pub fn exchange_config(&self) -> ExchangeConfig {
        let (org, id) = (self.node.org.clone(), self.node.id.clone());
        let auth = Auth::Node { org: org.clone(), id, token: self.token.clone() };
        let config = ExchangeConfig::new(self.exchange.clone(), org, auth)
            .plain_http(self.plain_http)
            .retries(1);
        match &self.ca {
            Some(pem) => config.trusting(pem.clone()),
            None => config,
        }
    }
}
