//! Speaks to an exchange: ours, or Open Horizon's.
//!
//! One method a verb. What both exchanges have stands in the file of its noun; what only ours has
//! stands in `publications`, `trust`, `credentials`, `reports` and `changes`.

mod admin;
mod call;
mod changes;
mod clock;
mod config;
mod credentials;
mod error;
mod node_profiles;
mod nodes;
mod orgs;
mod patterns;
mod policies;
mod publications;
mod reports;
mod rows;
mod services;
mod transport;
mod trust;
mod users;

use std::sync::Arc;

use call::Call;
pub use clock::ClockGap;
pub use config::{Auth, ExchangeConfig, PlainHttp};
pub use error::ExchangeError;
pub use node_profiles::NodePages;
pub use services::HeldLogin;
pub use transport::ClientCertificateWanted;
use transport::Transport;
pub use trust::WalkError;

use crate::types::OrgId;

/// Speaks to one exchange about one organization. Clones share their connections.
#[derive(Debug, Clone)]
pub struct ExchangeClient {
    transport: Arc<Transport>,
    org: OrgId,
}

impl ExchangeClient {
    /// A client for the exchange that `config` names; nothing is sent yet.
    ///
    /// # Errors
    /// [`ExchangeError::Unusable`] if the address or the certificate authority cannot be used, or
    /// if credentials would travel unencrypted.
    pub fn new(config: &ExchangeConfig) -> Result<Self, ExchangeError> {
        Ok(Self { transport: Arc::new(Transport::new(config)?), org: config.org.clone() })
    }

    /// The organization it speaks about.
    pub fn org(&self) -> &OrgId {
        &self.org
    }

    /// The exchange's address, down to `/v1`.
    pub fn url(&self) -> &str {
        self.transport.base().as_str()
    }

    /// Whether the credentials cross the network unencrypted, since the configuration allows it.
    pub fn is_exposed(&self) -> bool {
        self.transport.is_exposed()
    }

    /// The same exchange and credentials, about another organization.
    #[must_use]
    pub fn about(&self, org: OrgId) -> Self {
        Self { transport: Arc::clone(&self.transport), org }
    }

    /// Whether the exchange is Edgepost's, which keeps envelopes, or Open Horizon's, which does not.
    ///
    /// # Errors
    /// If it has not been asked anything yet, and does not answer.
    pub async fn is_edgepost(&self) -> Result<bool, ExchangeError> {
        if self.transport.is_edgepost().is_none() {
            self.transport.send(Call::get(&["admin", "version"])).await?;
        }
        Ok(self.transport.is_edgepost().unwrap_or(false))
    }

    /// `orgs/{org}/…`, the beginning of most paths.
    fn in_org<'a>(&'a self, rest: &[&'a str]) -> Vec<&'a str> {
        [&["orgs", self.org.as_str()], rest].concat()
    }

    /// `orgs/{org}/edgepost/…`, the beginning of what only our exchange has.
    fn extension<'a>(&'a self, rest: &[&'a str]) -> Vec<&'a str> {
        [&["orgs", self.org.as_str(), "edgepost"], rest].concat()
    }
}
