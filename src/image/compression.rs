//! How layers that an engine has in plain are compressed.

use crate::image::{Remembered, media_type};

/// How layers are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// With gzip, which everything reads, at a level of 1 to 9.
    Gzip(u32),
    /// With zstd, which is smaller and faster at both ends, at a level of 1 to 19. Docker reads it
    /// since version 23; an image by Docker's own manifest becomes one by OCI's, which alone has it.
    Zstd(i32),
}

/// A layer is compressed once and pulled by every node, but its publisher waits: level 3 takes half
/// the time of the usual 6 and costs a few per cent of size.
const GZIP_LEVEL: u32 = 3;
/// What zstd itself takes where nothing is said.
const ZSTD_LEVEL: i32 = 3;

impl Compression {
    /// Gzip at our usual level.
    pub const GZIP: Self = Self::Gzip(GZIP_LEVEL);
    /// Zstd at its usual level.
    pub const ZSTD: Self = Self::Zstd(ZSTD_LEVEL);

    /// The media type of a layer so compressed, in Docker's family where it has one.
    pub(super) fn layer_type(self, docker: bool) -> &'static str {
        match self {
            Self::Gzip(_) if docker => media_type::DOCKER_LAYER_GZIP,
            Self::Gzip(_) => media_type::OCI_LAYER_GZIP,
            Self::Zstd(_) => media_type::OCI_LAYER_ZSTD,
        }
    }

    /// Its name among the forms that images were packed to. Another version of us may compress
    /// otherwise.
    pub(super) fn form(self) -> String {
        format!("{self:?} {}", env!("CARGO_PKG_VERSION"))
    }

    /// Whether Docker's own manifest can name such layers.
    pub(super) fn is_dockers(self) -> bool {
        matches!(self, Self::Gzip(_))
    }
}

impl Default for Compression {
    fn default() -> Self {
        Self::GZIP
    }
}

/// How a source that has plain layers makes an image of them that a registry takes.
#[derive(Debug, Clone, Default)]
pub struct Packing {
    /// How layers are compressed.
    pub compression: Compression,
    /// What images became that were packed before.
    pub remembered: Remembered,
}
