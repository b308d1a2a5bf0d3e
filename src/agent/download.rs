//! One blob onto this node's disk: verified while it streams, resumed where it broke off.
//!
//! What has arrived lies in `partial/<hex>`. After a restart it is hashed again and the rest is
//! asked for with a range, so that a bad link or a power cut costs what was in flight, no more.

use std::{
    future::Future,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use backon::{BackoffBuilder as _, ExponentialBuilder};
use tokio::{
    fs::{self, File, OpenOptions},
    io::{AsyncRead, AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _},
};

use crate::{
    image::Descriptor,
    registry::client::RegistryError,
    types::{Digest, DigestHasher},
};

/// How much is read at once: enough for the disk, little for the memory.
const BUFFER: usize = 64 << 10;

/// How often in a row a download may fail without a single new byte. One that makes progress is
/// never given up, however slow the link. With a first wait of a second that is some 15 seconds;
/// then the next pass tries again.
const FRUITLESS: usize = 5;

/// The longest wait between two attempts, in first waits.
const LONGEST_WAIT: u32 = 30;

/// Why a blob did not arrive.
#[derive(Debug, thiserror::Error)]
pub(super) enum DownloadError {
    /// Its origin did not give it.
    #[error("failed to fetch {digest}")]
    Origin {
        /// The blob.
        digest: Digest,
        /// What the origin said.
        source: RegistryError,
    },
    /// The stream broke off, again and again.
    #[error("{digest} broke off after {received} of {size} bytes")]
    BrokenOff {
        /// The blob.
        digest: Digest,
        /// How much of it is here.
        received: u64,
        /// How much there is.
        size: u64,
        /// Why it broke off.
        source: io::Error,
    },
    /// The origin gave something else.
    #[error("expected {expected}, received {received}")]
    WrongContent {
        /// What was asked for.
        expected: Digest,
        /// The digest of what came, as far as it was read.
        received: Digest,
    },
    /// The disk failed, or is full.
    #[error("failed to keep {}", path.display())]
    Disk {
        /// The partial file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl DownloadError {
    /// Whether another attempt may do better. Content that is longer than it should be will not
    /// become shorter.
    fn may_pass(&self) -> bool {
        match self {
            Self::Origin { source, .. } => source.may_pass(),
            Self::BrokenOff { source, .. } => match inside(source) {
                Some(RegistryError::WrongSize { expected, received, .. }) => received < expected,
                Some(error) => error.may_pass(),
                None => true,
            },
            Self::WrongContent { .. } | Self::Disk { .. } => false,
        }
    }
}

/// What the registry client puts into the errors of its streams.
pub(super) fn inside(error: &io::Error) -> Option<&RegistryError> {
    error.get_ref().and_then(|inner| inner.downcast_ref())
}

/// Brings `wanted` into the file `partial`, whole and verified. `open` gives its bytes from an
/// offset on; `first_wait` is the shortest time between two attempts.
pub(super) async fn download<R, Open, Opening>(
    partial: &Path,
    wanted: &Descriptor,
    open: Open,
    first_wait: Duration,
) -> Result<(), DownloadError>
where
    R: AsyncRead + Unpin,
    Open: Fn(u64) -> Opening,
    Opening: Future<Output = Result<R, RegistryError>>,
{
    let mut part = Part::resume(partial, wanted).await.map_err(disk(partial))?;
    let mut waits = waits(first_wait);
    loop {
        let before = part.received();
        let resumed = before > 0;
        let failure = match part.receive(wanted, &open).await {
            Ok(()) => match part.finish(wanted).await {
                Ok(()) => return Ok(()),
                // What lay on the disk may have been torn by a power cut: once more from the start.
                Err(DownloadError::WrongContent { .. }) if resumed => {
                    tracing::warn!(digest = %wanted.digest, "what was kept of a blob was damaged");
                    part = Part::resume(partial, wanted).await.map_err(disk(partial))?;
                    continue;
                }
                Err(error) => return Err(error),
            },
            Err(error) => error,
        };
        if part.received() > before {
            waits = self::waits(first_wait);
        }
        let wait = if failure.may_pass() { waits.next() } else { None };
        let Some(wait) = wait else {
            part.keep().await.map_err(disk(partial))?;
            return Err(failure);
        };
        tracing::info!(digest = %wanted.digest, received = part.received(), error = %failure, "the download is taken up again");
        tokio::time::sleep(wait).await;
    }
}

fn waits(first: Duration) -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_min_delay(first)
        .with_max_delay(first * LONGEST_WAIT)
        .with_max_times(FRUITLESS - 1)
        .with_jitter()
        .build()
}

fn disk(path: &Path) -> impl Fn(io::Error) -> DownloadError {
    move |source| DownloadError::Disk { path: path.to_owned(), source }
}

/// The part of a blob that is here, and its hash so far.
struct Part<'a> {
    path: &'a Path,
    file: File,
    hasher: DigestHasher,
}

impl<'a> Part<'a> {
    /// What an earlier attempt left, hashed again; nothing if there is more than there can be.
    async fn resume(path: &'a Path, wanted: &Descriptor) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let mut file =
            options.read(true).write(true).create(true).truncate(false).open(path).await?;
        let mut hasher = DigestHasher::new();
        if file.metadata().await?.len() > wanted.size {
            file.set_len(0).await?;
        }
        let mut buffer = vec![0; BUFFER];
        loop {
            let read = file.read(&mut buffer).await?;
            if read == 0 {
                break;
            }
            hasher.update(&buffer[..read]);
        }
        file.seek(io::SeekFrom::Start(hasher.length())).await?;
        Ok(Self { path, file, hasher })
    }

    fn received(&self) -> u64 {
        self.hasher.length()
    }

    /// Takes in the rest, as far as it comes.
    async fn receive<R, Open, Opening>(
        &mut self,
        wanted: &Descriptor,
        open: &Open,
    ) -> Result<(), DownloadError>
    where
        R: AsyncRead + Unpin,
        Open: Fn(u64) -> Opening,
        Opening: Future<Output = Result<R, RegistryError>>,
    {
        if self.received() == wanted.size {
            return Ok(());
        }
        let digest = wanted.digest;
        let mut reader = open(self.received())
            .await
            .map_err(|source| DownloadError::Origin { digest, source })?;
        let mut buffer = vec![0; BUFFER];
        while self.received() <= wanted.size {
            let broken = |received, source| {
                let size = wanted.size;
                DownloadError::BrokenOff { digest, received, size, source }
            };
            let read = match reader.read(&mut buffer).await {
                Ok(0) if self.received() == wanted.size => return Ok(()),
                Ok(0) => {
                    let end = io::ErrorKind::UnexpectedEof.into();
                    return Err(broken(self.received(), end));
                }
                Ok(read) => read,
                Err(error) => return Err(broken(self.received(), error)),
            };
            self.file.write_all(&buffer[..read]).await.map_err(disk(self.path))?;
            self.hasher.update(&buffer[..read]);
        }
        // It goes on beyond its size: whatever this is, it is not what was signed.
        Ok(())
    }

    /// Makes sure of what has come, so that the next attempt can build on it.
    async fn keep(&mut self) -> io::Result<()> {
        self.file.flush().await?;
        self.file.sync_data().await
    }

    /// Checks the whole and makes it last; what is wrong is removed.
    async fn finish(&mut self, wanted: &Descriptor) -> Result<(), DownloadError> {
        let received = self.hasher.clone().finish();
        if received != wanted.digest {
            fs::remove_file(self.path).await.map_err(disk(self.path))?;
            return Err(DownloadError::WrongContent { expected: wanted.digest, received });
        }
        self.file.flush().await.map_err(disk(self.path))?;
        self.file.sync_all().await.map_err(disk(self.path))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// An origin that gives `content`, but breaks off after so many bytes each time.
    #[derive(Default)]
    struct Origin {
        content: Vec<u8>,
        at_most: usize,
        asked_from: Mutex<Vec<u64>>,
    }

    impl Origin {
        fn open(&self, from: u64) -> io::Cursor<Vec<u8>> {
            self.asked_from.lock().unwrap().push(from);
            let rest = &self.content[usize::try_from(from).unwrap()..];
            io::Cursor::new(rest[..rest.len().min(self.at_most)].to_vec())
        }
    }

    async fn run(origin: &Origin, partial: &Path, wanted: &Descriptor) -> Result<(), String> {
        let open = |from| async move { Ok(origin.open(from)) };
        download(partial, wanted, open, Duration::from_millis(1))
            .await
            .map_err(|error| error.to_string())
    }

    fn wanted(content: &[u8]) -> Descriptor {
        Descriptor::of("application/octet-stream", content)
    }

    #[tokio::test]
    async fn a_blob_that_breaks_off_is_taken_up_where_it_broke() {
        let folder = tempfile::tempdir().unwrap();
        let partial = folder.path().join("p");
        let content = vec![7; 2500];
        let origin = Origin { content: content.clone(), at_most: 1000, ..Origin::default() };

        run(&origin, &partial, &wanted(&content)).await.unwrap();

        assert_eq!(std::fs::read(&partial).unwrap(), content);
        assert_eq!(*origin.asked_from.lock().unwrap(), [0, 1000, 2000]);
    }

    #[tokio::test]
    async fn what_a_restart_left_is_not_fetched_again() {
        let folder = tempfile::tempdir().unwrap();
        let partial = folder.path().join("p");
        let content: Vec<u8> = (0..200u8).cycle().take(5000).collect();
        io::Write::write_all(&mut std::fs::File::create(&partial).unwrap(), &content[..3000])
            .unwrap();
        let origin = Origin { content: content.clone(), at_most: 9999, ..Origin::default() };

        run(&origin, &partial, &wanted(&content)).await.unwrap();

        assert_eq!(*origin.asked_from.lock().unwrap(), [3000]);
        assert_eq!(std::fs::read(&partial).unwrap(), content);
    }

    #[tokio::test]
    async fn a_torn_partial_is_fetched_once_more_from_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let partial = folder.path().join("p");
        let content = vec![7; 5000];
        io::Write::write_all(&mut std::fs::File::create(&partial).unwrap(), &[0; 3000]).unwrap();
        let origin = Origin { content: content.clone(), at_most: 9999, ..Origin::default() };

        run(&origin, &partial, &wanted(&content)).await.unwrap();

        assert_eq!(*origin.asked_from.lock().unwrap(), [3000, 0]);
    }

    #[tokio::test]
    async fn swapped_content_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let partial = folder.path().join("p");
        let origin = Origin { content: vec![8; 5000], at_most: 9999, ..Origin::default() };

        let error = run(&origin, &partial, &wanted(&[7; 5000])).await.unwrap_err();

        assert!(error.starts_with("expected sha256:"), "{error}");
        assert!(!partial.exists());
    }

    #[tokio::test]
    async fn content_without_an_end_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let partial = folder.path().join("p");
        let endless = |_| async { Ok::<_, RegistryError>(tokio::io::repeat(7)) };
        let result = download(&partial, &wanted(&[7; 5000]), endless, Duration::ZERO).await;
        assert!(matches!(result, Err(DownloadError::WrongContent { .. })));
    }

    #[tokio::test]
    async fn an_origin_that_gives_nothing_is_given_up_and_the_part_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let partial = folder.path().join("p");
        let content = vec![7; 5000];
        let origin =
            Origin { content: content[..1000].to_vec(), at_most: 9999, ..Origin::default() };

        let error = run(&origin, &partial, &wanted(&content)).await.unwrap_err();

        assert!(error.contains("broke off after 1000 of 5000 bytes"), "{error}");
        assert_eq!(origin.asked_from.lock().unwrap().len(), FRUITLESS);
        assert_eq!(std::fs::metadata(&partial).unwrap().len(), 1000);
    }
}
