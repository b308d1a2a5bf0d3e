//! Images made on the spot: for tests, demonstrations and measurements.

use std::{collections::BTreeMap, io, path::Path};

use flate2::{Compression, GzBuilder};
use serde_json::json;

use crate::{
    image::{
        Descriptor, ImageError, ImageManifest, Manifest, RawManifest,
        hashing::HashingWriter,
        layout::{OciLayout, OciLayoutWriter},
        media_type,
    },
    types::{Arch, Digest, Platform},
};

/// An image to be made: the same description gives the same bytes.
#[derive(Debug, Clone)]
pub struct SyntheticImage {
    seed: u64,
    noise: Vec<u64>,
    files: Vec<SyntheticFile>,
    entrypoint: Vec<String>,
    environment: BTreeMap<String, String>,
    platform: Platform,
}

#[derive(Debug, Clone)]
struct SyntheticFile {
    path: String,
    bytes: Vec<u8>,
    mode: u32,
}

impl SyntheticImage {
    /// An image for Linux on this machine's processor, with nothing in it.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            noise: Vec::new(),
            files: Vec::new(),
            entrypoint: Vec::new(),
            environment: BTreeMap::new(),
            platform: Platform::linux(Arch::of_this_machine()),
        }
    }

    /// With `count` layers more, of `size` bytes each that cannot be compressed, different for every
    /// seed and layer.
    #[must_use]
    pub fn layers(mut self, count: usize, size: u64) -> Self {
        self.noise.extend(std::iter::repeat_n(size, count));
        self
    }

    /// With a file; all files share one layer, the lowest.
    #[must_use]
    pub fn file(mut self, path: &str, bytes: impl Into<Vec<u8>>, mode: u32) -> Self {
        let path = path.trim_start_matches('/').to_owned();
        self.files.push(SyntheticFile { path, bytes: bytes.into(), mode });
        self
    }

    /// With the program to run and its arguments.
    #[must_use]
    pub fn entrypoint<'a>(mut self, words: impl IntoIterator<Item = &'a str>) -> Self {
        self.entrypoint = words.into_iter().map(str::to_owned).collect();
        self
    }

    /// With an environment variable.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    /// For another processor.
    #[must_use]
    pub fn arch(mut self, arch: Arch) -> Self {
        self.platform.arch = arch;
        self
    }

    /// Makes the image in `layout`; the descriptor names its manifest and platform.
    pub async fn write(&self, layout: &mut OciLayoutWriter) -> Result<Descriptor, ImageError> {
        let mut layers = Vec::new();
        let mut diff_ids = Vec::new();
        let mut add = async |contents: LayerContents| {
            let (descriptor, diff_id) = write_layer(layout, contents).await?;
            layers.push(descriptor);
            diff_ids.push(diff_id);
            Ok::<(), ImageError>(())
        };
        if !self.files.is_empty() {
            add(LayerContents::Files(self.files.clone())).await?;
        }
        for (number, size) in (0_u64..).zip(&self.noise) {
            let seed = self.seed.wrapping_mul(1_000_003).wrapping_add(number);
            add(LayerContents::Noise { name: format!("noise-{number}"), seed, size: *size })
                .await?;
        }

        let environment: Vec<String> =
            self.environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let config = json!({
            "architecture": self.platform.arch,
            "os": self.platform.os,
            "config": {"Entrypoint": self.entrypoint, "Env": environment},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
            "history": [{"created_by": format!("edgepost synthetic {}", self.seed)}],
        });
        let config =
            layout.add_bytes(media_type::OCI_CONFIG, config.to_string().as_bytes()).await?;
        let raw = RawManifest::encode(&Manifest::Image(ImageManifest::new(config, layers)))
            .map_err(|error| ImageError::malformed("a synthetic image", error.to_string()))?;
        layout.add_manifest(&raw).await?;
        Ok(Descriptor { platform: Some(self.platform.clone()), ..raw.descriptor() })
    }

    /// Makes a layout at `folder` with this image alone.
    pub async fn in_folder(
        &self,
        folder: &Path,
        name: Option<&str>,
    ) -> Result<OciLayout, ImageError> {
        let mut layout = OciLayoutWriter::create(folder).await?;
        let root = self.write(&mut layout).await?;
        layout.finish(root, name).await
    }
}

enum LayerContents {
    Files(Vec<SyntheticFile>),
    Noise { name: String, seed: u64, size: u64 },
}

/// Writes a layer of any size with little memory; returns its descriptor and the digest in plain.
async fn write_layer(
    layout: &mut OciLayoutWriter,
    contents: LayerContents,
) -> Result<(Descriptor, Digest), ImageError> {
    let (file, path) = layout.temporary()?;
    let made = tokio::task::spawn_blocking(move || {
        let packed = HashingWriter::new(io::BufWriter::new(file));
        let level = match &contents {
            LayerContents::Files(_) => Compression::fast(),
            LayerContents::Noise { .. } => Compression::none(), // noise only grows by trying
        };
        let gzip = GzBuilder::new().mtime(0).write(packed, level);
        let mut tar = tar::Builder::new(HashingWriter::new(gzip));
        match contents {
            LayerContents::Files(files) => {
                for file in files {
                    let size = file.bytes.len() as u64;
                    append(&mut tar, &file.path, file.mode, size, &file.bytes[..])?;
                }
            }
            LayerContents::Noise { name, seed, size } => {
                append(&mut tar, &name, 0o644, size, io::Read::take(Noise::new(seed), size))?;
            }
        }
        let (diff_id, _, gzip) = tar.into_inner()?.finish()?;
        let (digest, size, _) = gzip.finish()?.finish()?;
        Ok::<_, io::Error>((digest, size, diff_id))
    })
    .await
    .map_err(io::Error::other)
    .flatten();
    let (digest, size, diff_id) = made.map_err(ImageError::io("write", &*path))?;
    layout.adopt_file(&digest, path).await?;
    Ok((Descriptor::new(media_type::OCI_LAYER_GZIP, digest, size), diff_id))
}

fn append(
    tar: &mut tar::Builder<impl io::Write>,
    path: &str,
    mode: u32,
    size: u64,
    bytes: impl io::Read,
) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(0);
    tar.append_data(&mut header, path, bytes)
}

/// Endless bytes that look random and are the same for the same seed (`SplitMix64`).
struct Noise {
    state: u64,
}

impl Noise {
    fn new(seed: u64) -> Self {
        Self { state: seed }
    }
}

impl io::Read for Noise {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        for chunk in buffer.chunks_mut(8) {
            self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut word = self.state;
            word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            chunk.copy_from_slice(&(word ^ (word >> 31)).to_le_bytes()[..chunk.len()]);
        }
        Ok(buffer.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{ImageConfig, ImageSource as _};

    #[tokio::test]
    async fn the_same_description_gives_the_same_image() {
        let folder = tempfile::tempdir().unwrap();
        let image = SyntheticImage::new(7).layers(2, 100_000).file("/bin/x", "#!", 0o755);
        let once = image.in_folder(&folder.path().join("a"), Some("1")).await.unwrap();
        let twice = image.in_folder(&folder.path().join("b"), Some("1")).await.unwrap();
        let other = SyntheticImage::new(8)
            .layers(2, 100_000)
            .file("/bin/x", "#!", 0o755)
            .in_folder(&folder.path().join("c"), None)
            .await
            .unwrap();
        assert_eq!(once.descriptor(), twice.descriptor());
        assert_ne!(once.descriptor().digest, other.descriptor().digest);
    }

    #[tokio::test]
    async fn a_layout_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let image = SyntheticImage::new(1).layers(1, 1000).entrypoint(["/bin/x", "-v"]);
        image.in_folder(folder.path(), Some("1.0")).await.unwrap();
        let layout = OciLayout::open(folder.path(), Some("1.0")).unwrap();
        let Manifest::Image(manifest) = layout.root().await.unwrap().parse().unwrap() else {
            panic!("an image");
        };
        let config = layout.blob(&manifest.config).await.unwrap();
        let config = crate::image::VerifiedReader::new(config, &manifest.config)
            .into_bytes(10_000)
            .await
            .unwrap();
        let config = ImageConfig::from_json(&config).unwrap();
        assert_eq!(config.rootfs.diff_ids.len(), 1);
        assert!(OciLayout::open(folder.path(), Some("2.0")).is_err());
    }
}
