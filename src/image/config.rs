//! What an image says about how to run it: the part of its configuration that we read.

use serde::Deserialize;

use crate::types::{Arch, Digest, Platform};

/// The longest configuration that is read, in bytes.
pub const MAX_CONFIG: u64 = 8 * 1024 * 1024;

/// The configuration of an image (OCI image-spec, "Image Configuration"; Docker's has the same fields).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ImageConfig {
    /// The processor it was built for.
    pub architecture: Arch,
    /// The system it was built for.
    pub os: String,
    /// `v7`, `v8`, …
    #[serde(default)]
    pub variant: Option<String>,
    /// The layers, lowest first.
    pub rootfs: RootFs,
}

/// The layers of an image, not compressed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RootFs {
    /// The digests of the tar files, lowest layer first.
    #[serde(default)]
    pub diff_ids: Vec<Digest>,
}

impl ImageConfig {
    /// Reads the bytes of a configuration blob.
    pub fn from_json(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }

    /// What the image runs on.
    pub fn platform(&self) -> Platform {
        Platform {
            os: self.os.clone(),
            arch: self.architecture.clone(),
            variant: self.variant.clone().filter(|variant| !variant.is_empty()),
        }
    }
}
