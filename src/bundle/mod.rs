//! Everything that a node needs of an organization in one file, for where no network goes.
//!
//! ```text
//! edgepost-bundle.json                     what it is
//! trust/1.json, trust/2.json, …            every version of the trust document
//! stamp.json, catalog.json                 the newest state
//! documents/HEX.json                       signed documents, by the hashes of their payloads
//! oci-layout, index.json, blobs/sha256/HEX the images, as an OCI layout
//! ```
//!
//! A bundle is no authority: whoever opens it verifies what is in it as what an exchange and a registry
//! give. Its tar is read where it lies, and nothing of it is unpacked under a name that it chose.

mod error;
mod export;
mod inventory;
mod read;
mod staging;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use error::{BundleError, ExportError};
pub use export::{Exported, Exporter, Selection, export};
pub use inventory::Inventory;
pub use read::Bundle;

use crate::types::{Digest, OrgId};

/// The form that this program writes and reads.
const FORMAT: u32 = 1;

const HEAD: &str = "edgepost-bundle.json";
const STAMP: &str = "stamp.json";
const CATALOG: &str = "catalog.json";

/// What a bundle says of itself, which nothing depends on but where to look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    format: u32,
    org: OrgId,
    /// How many versions of the trust document there are.
    trust: u64,
    made: Timestamp,
}

fn trust_name(version: u64) -> String {
    format!("trust/{version}.json")
}

fn document_name(sha256: &Digest) -> String {
    format!("documents/{}.json", sha256.hex())
}
