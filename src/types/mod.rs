//! Values that every layer speaks: parsed once where they enter, valid for life.

pub mod clock;
pub mod copied_secret;
pub mod digest;
pub mod document_key;
pub mod foreign_text;
pub mod generated_token;
pub mod ids;
pub mod image_ref;
pub mod json_problem;
pub mod jwt;
pub mod pem;
pub mod platform;
pub mod secret;
pub mod service_id;
pub mod subject;
pub mod subnet;
pub mod version;

pub use clock::{Clock, ManualClock, SystemClock};
pub use copied_secret::CopyFlaw;
pub use digest::{Digest, DigestHasher};
pub use document_key::{DocumentKey, DocumentKind};
pub use foreign_text::escape_foreign;
pub use generated_token::GeneratedToken;
pub use ids::{
    NameProblem, NodeId, NodeRef, OrgId, PatternId, PatternRef, PolicyId, UserId,
    check_account_name, check_visible,
};
pub use image_ref::{ImageRef, PinnedImage, Registry, Repository, Tag};
pub use json_problem::JsonProblem;
pub use platform::{Arch, ParsePlatformError, Platform};
pub use secret::Secret;
pub use service_id::{ServiceId, ServiceUrl};
pub use subject::{DocumentBody, Subject};
pub use subnet::Subnet;
pub use version::{Version, VersionOrInfinity, VersionRange};
