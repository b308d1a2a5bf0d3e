//! Which exchange, and as whom.

use std::time::Duration;

use crate::types::{NodeId, OrgId, Secret, UserId};

/// What Horizon's own client grants a request.
const PATIENCE: Duration = Duration::from_secs(30);

/// Who speaks to the exchange.
#[derive(Debug, Clone)]
pub enum Auth {
    /// A user, or an API key under the name `apikey`.
    User {
        /// The organization the user belongs to.
        org: OrgId,
        /// The user's name there.
        name: UserId,
        /// The password, or the API key's value.
        password: Secret,
    },
    /// A node.
    Node {
        /// The organization the node belongs to.
        org: OrgId,
        /// The node's name there.
        id: NodeId,
        /// The node's token.
        token: Secret,
    },
}

impl Auth {
    /// `org/name` of the caller.
    pub fn who(&self) -> String {
        match self {
            Self::User { org, name, .. } => format!("{org}/{name}"),
            Self::Node { org, id, .. } => format!("{org}/{id}"),
        }
    }

    /// The password or token.
    pub(super) fn secret(&self) -> &Secret {
        match self {
            Self::User { password, .. } => password,
            Self::Node { token, .. } => token,
        }
    }
}

/// Where unencrypted HTTP may go. Credentials travel with every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PlainHttp {
    /// To this machine alone.
    #[default]
    LoopbackOnly,
    /// Anywhere: the operator trusts the network.
    AnywhereUnsafe,
}

/// Which exchange to speak to, and how.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ExchangeConfig {
    /// The address, with or without the `/v1` at its end.
    pub url: String,
    /// The organization that is spoken about.
    pub org: OrgId,
    /// Who speaks.
    pub auth: Auth,
    /// Certificate authorities to trust beside the system's, as PEM.
    pub ca: Option<String>,
    /// Where unencrypted HTTP may go.
    pub plain_http: PlainHttp,
    /// How long the exchange may take to answer, beyond any wait that it was granted. A request is
    /// not repeated once this has gone by, so that none takes more than twice as long.
    pub patience: Duration,
    /// How often a request that may be repeated is sent again after a passing failure.
    pub retries: usize,
}

impl ExchangeConfig {
    /// The exchange at `url`, the system's certificate authorities, four retries (some four
    /// seconds in all: long enough for a restart of the exchange, short enough for a person).
    pub fn new(url: impl Into<String>, org: OrgId, auth: Auth) -> Self {
        let plain_http = PlainHttp::default();
        Self { url: url.into(), org, auth, ca: None, plain_http, patience: PATIENCE, retries: 4 }
    }

    /// Trusts the certificate authorities in `pem` too.
    #[must_use]
    pub fn trusting(mut self, pem: impl Into<String>) -> Self {
        self.ca = Some(pem.into());
        self
    }

    /// Says where unencrypted HTTP may go.
    #[must_use]
    pub fn plain_http(mut self, plain_http: PlainHttp) -> Self {
        self.plain_http = plain_http;
        self
    }

    /// Says how long the exchange may take to answer.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Says how often a request is repeated.
    #[must_use]
    pub fn retries(mut self, retries: usize) -> Self {
        self.retries = retries;
        self
    }
}
