//! The wire contract of the exchange, used by both ends.

pub mod credentials;
pub mod publication;
pub mod report;
pub mod trust;
pub mod wait;

pub use credentials::{
    BadCredential, Credential, CredentialError, MaskedCredential, SealedCredential,
};
pub use publication::{Publication, Published};
pub use report::{NodeReport, ReceivedReport, RefusalReport, ServiceReport, ServiceState};
pub use trust::{StampKey, TrustHead};
pub use wait::{ChangesWait, LONGEST_WAIT};

/// The header by which our exchange tells itself apart from Open Horizon's: its version.
pub const VERSION_HEADER: &str = "edgepost-version";
