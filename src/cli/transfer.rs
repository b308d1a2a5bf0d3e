//! The options of every command that moves images.

use clap::Args;

use crate::{
    cli::{
        Context,
        progress::ProgressArgs,
        registries::{MirrorArgs, push_config},
    },
    image::{Compression, Packing, Remembered},
    registry::client::{ByteRate, ClientConfig, Foreign, Pace, PushOptions},
    types::Registry,
};

/// How layers are packed that their source has in plain, as an engine does.
#[derive(Debug, Args)]
pub(super) struct PackingArgs {
    /// How layers are compressed that are not yet: gzip, zstd, or either with :LEVEL. Docker reads zstd since
    /// version 23
    #[arg(
        long,
        value_name = "FORM",
        env = "EDGEPOST_COMPRESSION",
        value_parser = compression
    )]
    compression: Option<Compression>,
}

impl PackingArgs {
    /// How they are packed.
    pub(super) fn packing(&self, context: &Context) -> Packing {
        Packing {
            compression: self.compression.unwrap_or_default(),
            remembered: context
                .environment
                .transfers_folder()
                .map_or_else(Remembered::none, |it| Remembered::at(it.join("packed"))),
        }
    }
}

/// Reads `gzip`, `zstd`, `gzip:LEVEL` or `zstd:LEVEL`.
fn compression(text: &str) -> Result<Compression, String> {
    let expected =
        || format!("`{text}` is none: expected gzip, gzip:1 to gzip:9, zstd or zstd:1 to zstd:19");
    let (form, level) = match text.split_once(':') {
        Some((form, level)) => (form, Some(level.parse::<u8>().map_err(|_| expected())?)),
        None => (text, None),
    };
    match (form, level) {
        ("gzip", None) => Ok(Compression::GZIP),
        ("zstd", None) => Ok(Compression::ZSTD),
        ("gzip", Some(level @ 1..=9)) => Ok(Compression::Gzip(level.into())),
        ("zstd", Some(level @ 1..=19)) => Ok(Compression::Zstd(level.into())),
        _ => Err(expected()),
    }
}

/// How images are moved.
#[derive(Debug, Args)]
pub(super) struct TransferArgs {
    /// Move no more than this in a second, all blobs together, fetched and sent: 500k, 2M, 1.5MiB
    #[arg(long, env = "EDGEPOST_LIMIT_RATE", value_name = "RATE")]
    limit_rate: Option<ByteRate>,
    /// Send a blob in requests of this length at most, for a proxy that refuses longer ones: 20M. Without it a blob
    /// goes in one, and in shorter ones once a proxy refused it
    #[arg(long, env = "EDGEPOST_CHUNK_SIZE", value_name = "SIZE", value_parser = chunk_size)]
    chunk_size: Option<u64>,
    /// How many blobs, or parts of a long one, are fetched at a time
    #[arg(long, env = "EDGEPOST_STREAMS", value_name = "COUNT", value_parser = clap::value_parser!(u8).range(1..=32))]
    streams: Option<u8>,
    /// Speak plain HTTP with this registry, though it is not on this machine; repeatable
    #[arg(long, env = "EDGEPOST_PLAIN_HTTP", value_name = "REGISTRY", value_delimiter = ',')]
    plain_http: Vec<Registry>,
    #[command(flatten)]
    mirrors: MirrorArgs,
    #[command(flatten)]
    pub(super) progress: ProgressArgs,
}

impl TransferArgs {
    /// A client's configuration with the logins of this user, as was asked for, with an allowance of
    /// its own.
    pub(super) fn config(&self, context: &Context) -> ClientConfig {
        let config = push_config(context, &self.plain_http);
        ClientConfig {
            pace: self.limit_rate.map_or_else(Pace::unlimited, Pace::limited),
            largest_chunk: self.chunk_size,
            mirrors: self.mirrors.by_registry(),
            streams: self.streams.map_or(config.streams, usize::from),
            ..config
        }
    }
}

/// The least that a request of an upload may bring, in bytes: shorter ones are all latency.
const SHORTEST_CHUNK: u64 = 64 << 10;

/// Reads a length as rates are written: `20M`, `512k`.
fn chunk_size(text: &str) -> Result<u64, String> {
    let size = text
        .parse::<ByteRate>()
        .map_err(|_| "expected a length like 20M or 512KiB".to_owned())?
        .bytes_per_second();
    if size < SHORTEST_CHUNK {
        return Err("expected 64KiB at least".to_owned());
    }
    Ok(size)
}

/// What is pushed besides what everybody may serve.
#[derive(Debug, Args)]
pub(super) struct PushArgs {
    /// Push foreign layers too, as those of Windows, if the source has them: for nodes that do not reach their maker, and
    /// for registries that take no image without them. The manifest that is pushed lists them as ordinary layers, so that
    /// the image has a new digest
    #[arg(long, env = "EDGEPOST_INCLUDE_FOREIGN_LAYERS")]
    include_foreign_layers: bool,
}

impl PushArgs {
    /// How images are pushed.
    pub(super) fn options(&self) -> PushOptions {
        let foreign =
            if self.include_foreign_layers { Foreign::Include } else { Foreign::LeaveOut };
        PushOptions { foreign }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_not_shorter_than_what_pays() {
        assert_eq!(chunk_size("20M"), Ok(20_000_000));
        assert_eq!(chunk_size("64KiB"), Ok(65_536));
        assert!(chunk_size("1k").is_err());
        assert!(chunk_size("much").is_err());
    }

    #[test]
    fn a_compression_is_a_form_and_perhaps_a_level() {
        assert_eq!(compression("gzip"), Ok(Compression::GZIP));
        assert_eq!(compression("gzip:9"), Ok(Compression::Gzip(9)));
        assert_eq!(compression("zstd:19"), Ok(Compression::Zstd(19)));
        for text in ["", "gzip:0", "gzip:10", "zstd:20", "zstd:", "xz", "gzip:fast"] {
            assert!(compression(text).is_err(), "{text}");
        }
    }
}
