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
    tar_index::{Slice, SliceReader, TarIndex},
};
use crate::{
    image::{Compression, Descriptor, ImageError, hashing::HashingWriter, parts::MAX_BLOBS},
    types::{Digest, DigestHasher},
};

/// How many layers are compressed at a time.
const AT_A_TIME: usize = 2;
/// How much larger than itself a compressed archive may become; beyond that it is a bomb.
const MAX_RATIO: u64 = 200;
/// How long a layer may become in any case, in bytes: a short one may be compressed further than [`MAX_RATIO`].
const ALWAYS_READ: u64 = 16 << 20;
/// How many bytes tell how something is compressed.
const MAGIC_LENGTH: u64 = 10;
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

    let mut by_slice = HashMap::new();
    for (slice, layer) in done {
        // A layer that is compressed already stays so.
        let compression =
            if layer.file.is_none() { Compression::GZIP } else { reading.compression };
        let media_type = compression.layer_type(dockers);
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
    let head = tar.read(Slice { size: slice.size.min(MAGIC_LENGTH), ..slice })?;
    let plain = match CompressedForm::of(&head) {
        None => LayerReader::Plain(tar.reader(slice)),
        Some(CompressedForm::Gzip) => {
            let mut hasher = HashingWriter::new(io::sink());
            io::copy(&mut tar.reader(slice), &mut hasher)?;
            let (digest, size, _) = hasher.finish()?;
            return Ok(Layer { digest, size, diff_id: None, file: None });
        }
        // Docker's manifest has no type for it, so that it is compressed in the way that was asked for.
        Some(CompressedForm::Zstd) => LayerReader::Zstd(zstd_decoder(
            io::BufReader::with_capacity(BUFFER, tar.reader(slice)),
        )?),
        Some(other) => return Err(other.unreadable()),
    };
    let limit = slice.size.saturating_mul(MAX_RATIO).max(ALWAYS_READ);
    let file = tempfile::NamedTempFile::new_in(folder)?;
    let target = HashingWriter::new(io::BufWriter::with_capacity(BUFFER, file.as_file()));
    let mut source = Hashed { reader: plain.take(limit + 1), hasher: DigestHasher::new() };
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
    if source.hasher.length() > limit {
        return Err(too_large());
    }
    let (digest, size, _) = target.finish()?;
    let (_, path) = file.keep().map_err(|error| error.error)?; // its folder is a temporary one
    Ok(Layer { digest, size, diff_id: Some(source.hasher.finish()), file: Some(path) })
}

/// The bytes of a layer in plain.
enum LayerReader<'a> {
    Plain(SliceReader<'a>),
    Zstd(zstd::Decoder<'static, io::BufReader<SliceReader<'a>>>),
}

impl io::Read for LayerReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(reader) => reader.read(buffer),
            Self::Zstd(reader) => reader.read(buffer).map_err(|error| damaged("zstd", error)),
        }
    }
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
    file.take(MAGIC_LENGTH).read_to_end(&mut head)?;
    file.rewind()?;
    let limit = file.metadata()?.len().saturating_mul(MAX_RATIO);
    let source = io::BufReader::with_capacity(BUFFER, file);
    match CompressedForm::of(&head) {
        None => Ok(None),
        Some(CompressedForm::Gzip) => inflate(MultiGzDecoder::new(source), limit, "gzip").map(Some),
        Some(CompressedForm::Zstd) => inflate(zstd_decoder(source)?, limit, "zstd").map(Some),
        Some(other) => Err(other.unreadable()),
    }
}

fn zstd_decoder<R: io::BufRead>(source: R) -> io::Result<zstd::Decoder<'static, R>> {
    let mut decoder = zstd::Decoder::with_buffer(source)?;
    decoder.window_log_max(ZSTD_WINDOW)?;
    Ok(decoder)
}

/// How some bytes are compressed, by their beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CompressedForm {
    Gzip,
    Zstd,
    Xz,
    Bzip2,
}

impl CompressedForm {
    /// By the first [`MAGIC_LENGTH`] bytes; none if they are not compressed.
    fn of(head: &[u8]) -> Option<Self> {
        // A tar may begin with a file called `BZh`, so that more is compared.
        let is_bzip2 = head.starts_with(b"BZh") && head.get(4..10) == Some(b"1AY&SY");
        if head.starts_with(&[0x1f, 0x8b]) {
            Some(Self::Gzip)
        } else if head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
            Some(Self::Zstd)
        } else if head.starts_with(b"\xfd7zXZ\0") {
            Some(Self::Xz)
        } else if is_bzip2 {
            Some(Self::Bzip2)
        } else {
            None
        }
    }

    /// The error for a form that is not read here.
    fn unreadable(self) -> io::Error {
        let (form, tool) = match self {
            Self::Xz => ("xz", "xz -d"),
            Self::Bzip2 => ("bzip2", "bzip2 -d"),
            Self::Gzip => ("gzip", "gzip -d"),
            Self::Zstd => ("zstd", "zstd -d"),
        };
        let why = format!(
            "it is compressed with {form}, which is not read here; decompress it first: {tool} FILE"
        );
        io::Error::new(io::ErrorKind::InvalidData, why)
    }
}

/// An error of a decoder: the system's as it is, and else in our own words.
fn damaged(form: &str, error: io::Error) -> io::Error {
    if error.raw_os_error().is_some() {
        return error;
    }
    io::Error::new(io::ErrorKind::InvalidData, format!("its {form} stream is damaged or cut short"))
}

fn too_large() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it becomes too large when it is inflated")
}

fn inflate(source: impl io::Read, limit: u64, form: &str) -> io::Result<TempPath> {
    let mut target = tempfile::NamedTempFile::new()?;
    let copied = io::copy(&mut source.take(limit + 1), &mut target);
    let written = copied.map_err(|error| damaged(form, error))?;
    if written > limit {
        return Err(too_large());
    }
    Ok(target.into_temp_path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_known_by_its_beginning_and_named_if_it_is_not_read() {
        assert_eq!(CompressedForm::of(b"\x1f\x8b\x08"), Some(CompressedForm::Gzip));
        assert_eq!(CompressedForm::of(b"\x28\xb5\x2f\xfd\0\0"), Some(CompressedForm::Zstd));
        assert_eq!(CompressedForm::of(b"hello"), None);
        assert_eq!(CompressedForm::of(b"BZhang.txt"), None);
        let xz = CompressedForm::of(b"\xfd7zXZ\0").unwrap().unreadable();
        assert!(xz.to_string().contains("xz -d"), "{xz}");
        let bzip2 = CompressedForm::of(b"BZh91AY&SY").unwrap().unreadable();
        assert!(bzip2.to_string().contains("bzip2 -d"), "{bzip2}");
    }
}
