//! A copy from one place to another, neither of which is a registry.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::io::{AsyncRead, ReadBuf};

use crate::image::{
    BlobReader, Descriptor, ImageError, ImageSource, ImageTarget, Parts, Platforms, RawManifest,
};

/// How often a watcher is told of a blob that is on its way.
const TELL: Duration = Duration::from_millis(100);

/// Watches a copy.
pub trait CopyWatch: Send + Sync {
    /// These blobs make up the image.
    fn planned(&self, _blobs: &[Descriptor]) {}

    /// This many bytes of a blob have been copied in all.
    fn moved(&self, _blob: &Descriptor, _bytes: u64) {}

    /// A blob is there; it `existed` if it was before.
    fn settled(&self, _blob: &Descriptor, _existed: bool) {}
}

/// Nobody watches.
impl CopyWatch for () {}

/// What a copy did.
#[derive(Debug, Clone)]
pub struct Copied {
    /// The manifest or index that is there now.
    pub root: RawManifest,
    /// How many blobs were there already.
    pub existed: usize,
    /// How many blobs were copied.
    pub copied: usize,
    /// How many layers only their maker may serve, so that they were left out.
    pub foreign: usize,
    /// The length of the copied blobs, in bytes.
    pub bytes: u64,
    /// What the index names and was not asked for.
    pub left_out: Vec<Descriptor>,
}

/// Copies the image of `source` into `target`, where it is called `name`.
pub async fn copy(
    source: &dyn ImageSource,
    mut target: Box<dyn ImageTarget>,
    name: Option<&str>,
    platforms: &Platforms,
    watch: &dyn CopyWatch,
) -> Result<Copied, ImageError> {
    let parts = Parts::of(source, platforms).await?;
    watch.planned(&parts.blobs);
    let (mut existed, mut copied, mut bytes) = (0, 0, 0);
    for blob in &parts.blobs {
        let there = target.has(blob).await;
        if there {
            existed += 1;
        } else {
            let moved = Arc::new(AtomicU64::new(0));
            let reader = Counted { reader: source.blob(blob).await?, moved: Arc::clone(&moved) };
            let mut putting = target.put_blob(blob, BlobReader::stream(reader));
            loop {
                let put = tokio::time::timeout(TELL, &mut putting).await;
                watch.moved(blob, moved.load(Ordering::Relaxed));
                if let Ok(put) = put {
                    break put?;
                }
            }
            drop(putting);
            copied += 1;
            bytes += blob.size;
        }
        watch.settled(blob, there);
    }
    for raw in &parts.manifests {
        target.put_manifest(raw).await?;
    }
    let Parts { root, foreign, left_out, .. } = parts;
    target.finish(&root, name).await?;
    Ok(Copied { root, existed, copied, foreign: foreign.len(), bytes, left_out })
}

/// Counts the bytes that are read.
struct Counted {
    reader: BlobReader,
    moved: Arc<AtomicU64>,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.reader).poll_read(context, buffer))?;
        let count = buffer.filled().len() - before;
        self.moved.fetch_add(count as u64, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}
