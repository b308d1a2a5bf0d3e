//! Layers that an archive has in plain, compressed so that the same layer always gives the same bytes.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read as _, Seek as _},
    path::PathBuf,
    sync::Arc,
};

use flate2::{GzBuilder, read::MultiGzDecoder};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tempfile::TempPath;

use super::{
    Place, Reading,
    tar_index::{Slice, TarIndex},
};
use crate::{
    image::{Compression, Descriptor, ImageError, hashing::HashingWriter, parts::MAX_BLOBS},
    types::{Digest, DigestHasher},
};

/// How many layers are compressed at a time.
const AT_A_TIME: usize = 2;
/// How much larger than itself a compressed archive may become; beyond that it is a bomb.
const MAX_RATIO: u64 = 200;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// How far back a compressed archive may refer, as a power of two: 32 MiB of memory, and what zstd
/// writes up to level 20.
const ZSTD_WINDOW: u32 = 25;
const BUFFER: usize = 128 * 1024;

/// A layer of an archive, and what its image's configuration says about it.
#[derive(Debug, Clone, Copy)]
pub(super) struct PlainLayer {
    pub(super) slice: Slice,
    /// The digest of the layer in plain.
    pub(super) diff_id: Digest,
}

/// Compresses `layers` and records where they are in `places`. The descriptors are in order and, if
/// `dockers`, of Docker's family; a layer that is compressed already stays where and as it is.
pub(super) async fn layers(
    reading: &Reading,
    layers: &[PlainLayer],
    dockers: bool,
    places: &mut HashMap<Digest, Place>,
) -> Result<Vec<Descriptor>, ImageError> {
    if layers.len() > MAX_BLOBS {
        return Err(reading.malformed(format!("it names more than {MAX_BLOBS} blobs")));
    }
    let mut distinct: Vec<PlainLayer> = Vec::new();
    for layer in layers {
        if distinct.iter().all(|other| other.slice != layer.slice) {
            distinct.push(*layer);
        }
    }
    let done: Vec<(Slice, Layer)> = stream::iter(distinct)
        .map(|layer| async move {
            let (tar, folder) = (Arc::clone(&reading.tar), reading.folder.clone());
            let compression = reading.compression;
            let compressed = tokio::task::spawn_blocking(move || {
                one_layer(&tar, layer.slice, folder, compression)
            })
            .await
            .map_err(io::Error::other)
            .flatten()
            .map_err(|error| reading.malformed(format!("layer {}: {error}", layer.diff_id)))?;
            match compressed.diff_id {
                Some(received) if received != layer.diff_id => {
                    Err(ImageError::WrongContent { expected: layer.diff_id, received })
                }
                _ => Ok((layer.slice, compressed)),
            }
        })
        .buffered(AT_A_TIME)
        .try_collect()
        .await?;

    let media_type = reading.compression.layer_type(dockers);
    let mut by_slice = HashMap::new();
    for (slice, layer) in done {
        let place = layer.file.map_or(Place::Slice(slice), Place::File);
        places.insert(layer.digest, place);
        by_slice.insert(slice, Descriptor::new(media_type, layer.digest, layer.size));
    }
    Ok(layers.iter().filter_map(|layer| by_slice.get(&layer.slice).cloned()).collect())
}

/// A layer as it is sent.
struct Layer {
    digest: Digest,
    size: u64,
    /// The digest in plain, where it passed by.
    diff_id: Option<Digest>,
    /// The file it was written to; none if it lies compressed in the archive.
    file: Option<PathBuf>,
}

fn one_layer(
    tar: &TarIndex,
    slice: Slice,
    folder: PathBuf,
    compression: Compression,
) -> io::Result<Layer> {
    let head = Slice { size: slice.size.min(2), ..slice };
    if tar.read(head)? == GZIP_MAGIC {
        let mut hasher = HashingWriter::new(io::sink());
        io::copy(&mut tar.reader(slice), &mut hasher)?;
        let (digest, size, _) = hasher.finish()?;
        return Ok(Layer { digest, size, diff_id: None, file: None });
    }
    let file = tempfile::NamedTempFile::new_in(folder)?;
    let target = HashingWriter::new(io::BufWriter::with_capacity(BUFFER, file.as_file()));
    let mut source = Hashed { reader: tar.reader(slice), hasher: DigestHasher::new() };
    let target = match compression {
        // No name and no time: the same layer gives the same bytes, and the registry knows it again.
        Compression::Gzip(level) => {
            let level = flate2::Compression::new(level);
            let mut encoder = GzBuilder::new().mtime(0).write(target, level);
            copy(&mut source, &mut encoder)?;
            encoder.finish()?
        }
        Compression::Zstd(level) => {
            let mut encoder = zstd::Encoder::new(target, level)?;
            copy(&mut source, &mut encoder)?;
            encoder.finish()?
        }
    };
    let (digest, size, _) = target.finish()?;
    let (_, path) = file.keep().map_err(|error| error.error)?; // its folder is a temporary one
    Ok(Layer { digest, size, diff_id: Some(source.hasher.finish()), file: Some(path) })
}

/// Hashes what is read.
struct Hashed<R> {
    reader: R,
    hasher: DigestHasher,
}

impl<R: io::Read> io::Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}

fn copy(source: &mut impl io::Read, target: &mut impl io::Write) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        match source.read(&mut buffer)? {
            0 => return Ok(()),
            count => target.write_all(&buffer[..count])?,
        }
    }
}

/// The plain form of an archive that was compressed whole; none if it is plain.
pub(super) fn inflate_archive(mut file: &File) -> io::Result<Option<TempPath>> {
    let mut head = Vec::new();
    file.take(4).read_to_end(&mut head)?;
    file.rewind()?;
    let limit = file.metadata()?.len().saturating_mul(MAX_RATIO);
    let source = io::BufReader::with_capacity(BUFFER, file);
    if head.starts_with(&GZIP_MAGIC) {
        inflate(MultiGzDecoder::new(source), limit).map(Some)
    } else if head == ZSTD_MAGIC {
        let mut decoder = zstd::Decoder::with_buffer(source)?;
        decoder.window_log_max(ZSTD_WINDOW)?;
        inflate(decoder, limit).map(Some)
    } else {
        Ok(None)
    }
}

fn inflate(source: impl io::Read, limit: u64) -> io::Result<TempPath> {
    let mut target = tempfile::NamedTempFile::new()?;
    let written = io::copy(&mut source.take(limit + 1), &mut target)?;
    if written > limit {
        return Err(io::Error::other("it becomes too large when it is inflated"));
    }
    Ok(target.into_temp_path())
}
