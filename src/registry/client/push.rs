//! A whole image into a repository: blobs, then the manifests over them, the root last.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::{
    FutureExt as _, StreamExt as _, TryStreamExt as _,
    future::{BoxFuture, try_join, try_join_all},
    stream,
};
use tokio::time::Instant;

use super::{
    BlobOutcome, Progress, RegistryClient, RegistryError,
    lanes::{Lane, Lanes, MOST},
    upload::Watch,
};
use crate::{
    image::{Descriptor, ImageSource, Parts, Platforms, RawManifest},
    registry::protocol::Reference,
    types::{Digest, Repository, Tag},
};

/// How many blobs are asked for, or on their way, at a time; of those that are sent, the lanes let
/// fewer go.
const AT_A_TIME: usize = 8;
/// Blobs up to this length in bytes go beside the lanes: what they cost is the way there and back.
const TINY: u64 = 64 * 1024;
/// How often the progress of a blob is told.
const TELL: Duration = Duration::from_millis(250);

/// What becomes of layers that only their maker may serve: those of Windows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Foreign {
    /// They stay where the manifest says that they are.
    #[default]
    LeaveOut,
    /// They are pushed, if the source has them, and listed as ordinary layers in the manifest that is pushed, which
    /// therefore has another digest than the source's ([`Parts::with_ordinary_layers`]). Nothing is fetched from where
    /// the manifest says that they are.
    Include,
}

/// How an image is pushed.
#[derive(Debug, Clone, Default)]
pub struct PushOptions {
    /// What becomes of foreign layers.
    pub foreign: Foreign,
}

/// What a push did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// The manifest or index that is now in the repository.
    pub root: RawManifest,
    /// How many blobs were there already.
    pub existed: usize,
    /// How many blobs another repository of the registry had.
    pub mounted: usize,
    /// How many blobs were sent.
    pub uploaded: usize,
    /// How many layers only their maker may serve, so that they were left out.
    pub foreign: usize,
    /// The length of the sent blobs, in bytes, without what the registry had of them from an earlier attempt.
    pub bytes: u64,
}

impl Pushed {
    /// The digest by which the image is to be named.
    pub fn digest(&self) -> Digest {
        self.root.digest
    }

    fn count(&mut self, size: u64, outcome: &BlobOutcome) {
        match outcome {
            BlobOutcome::Existed | BlobOutcome::Downloaded => self.existed += 1,
            BlobOutcome::Mounted { .. } => self.mounted += 1,
            BlobOutcome::Uploaded => {
                self.uploaded += 1;
                self.bytes += size;
            }
        }
    }
}

/// Copies the image of `source` into `repository`, with everything below an index.
///
/// The first question is whether its root is there: then everything is, and at most the tag is put.
/// Else one lane takes the shortest blob that is left, and the others the longest; the root goes
/// last, by `tag` if there is one, so that whoever sees it finds everything below.
pub async fn push_image(
    client: &RegistryClient,
    source: &dyn ImageSource,
    repository: &Repository,
    tag: Option<&Tag>,
    options: &PushOptions,
    progress: &dyn Progress,
) -> Result<Pushed, RegistryError> {
    let mut parts = Parts::of(source, &Platforms::All).await?;
    if options.foreign == Foreign::Include {
        parts = parts.with_ordinary_layers()?;
    }
    let Parts { root, manifests, blobs, foreign, .. } = parts;
    let mut pushed =
        Pushed { root, existed: 0, mounted: 0, uploaded: 0, foreign: foreign.len(), bytes: 0 };
    let push = Push { client, source, repository, progress, resumed: AtomicU64::new(0) };
    progress.planned(&blobs);
    if push.has_manifest(&pushed.root).await? {
        for blob in &blobs {
            pushed.count(blob.size, &BlobOutcome::Existed);
            progress.settled(blob, BlobOutcome::Existed);
        }
        client.memory.learn(repository, blobs.iter().map(|blob| blob.digest));
        push.put_tag(tag, &pushed.root).await?;
        return Ok(pushed);
    }

    push.blobs(&blobs, &mut pushed).await?;
    let below = manifests.iter().filter(|raw| raw.digest != pushed.root.digest);
    for raw in below {
        client.put_manifest(repository, &Reference::Digest(raw.digest), raw).await?;
    }
    let reference = match tag {
        Some(tag) => Reference::Tag(tag.clone()),
        None => Reference::Digest(pushed.root.digest),
    };
    client.put_manifest(repository, &reference, &pushed.root).await?;
    Ok(pushed)
}

/// A push under way.
struct Push<'a> {
    client: &'a RegistryClient,
    source: &'a dyn ImageSource,
    repository: &'a Repository,
    progress: &'a dyn Progress,
    /// How many bytes the registry had of blobs from an earlier attempt.
    resumed: AtomicU64,
}

impl Push<'_> {
    /// Whether the repository has `root`, and with it everything below.
    async fn has_manifest(&self, root: &RawManifest) -> Result<bool, RegistryError> {
        let reference = Reference::Digest(root.digest);
        Ok(self.client.known_manifest(self.repository, &reference).await?.is_some())
    }

    /// Puts `tag` on a root that is there, unless it is on it already.
    async fn put_tag(&self, tag: Option<&Tag>, root: &RawManifest) -> Result<(), RegistryError> {
        let Some(tag) = tag else { return Ok(()) };
        let reference = Reference::Tag(tag.clone());
        let standing = self.client.known_manifest(self.repository, &reference).await?;
        if standing.is_none_or(|it| it.digest != root.digest) {
            self.client.put_manifest(self.repository, &reference, root).await?;
        }
        Ok(())
    }

    /// Sees to it that the repository has `blobs`, and learns from it in any case.
    async fn blobs(&self, blobs: &[Descriptor], pushed: &mut Pushed) -> Result<(), RegistryError> {
        let settled = Mutex::new(Vec::new());
        let note = |blob: &Descriptor, outcome: BlobOutcome| {
            let mut settled = settled.lock().unwrap_or_else(PoisonError::into_inner);
            settled.push((blob.clone(), outcome.clone()));
            self.progress.settled(blob, outcome);
        };
        let lanes = Lanes::new();
        let asking = async {
            self.ask_for(blobs, &lanes, &note).await?;
            lanes.close();
            Ok(())
        };
        let brought = try_join(asking, self.send_all(&lanes, &note)).await;
        let settled = settled.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.client.memory.learn(self.repository, settled.iter().map(|(blob, _)| blob.digest));
        for (blob, outcome) in settled {
            pushed.count(blob.size, &outcome);
        }
        pushed.bytes = pushed.bytes.saturating_sub(self.resumed.load(Ordering::Relaxed));
        brought.map(|_| ())
    }

    /// Asks for each of `blobs`, the shortest first. What is missing is brought at once if it is tiny,
    /// and else offered to the lanes.
    async fn ask_for<'b>(
        &self,
        blobs: &'b [Descriptor],
        lanes: &Lanes<'b>,
        note: &Note<'_>,
    ) -> Result<(), RegistryError> {
        // Boxed, because the compiler cannot tell that futures of borrowed blobs may go to another
        // thread if they are not.
        let asked: Vec<BoxFuture<'_, Result<(), RegistryError>>> = blobs
            .iter()
            .map(|blob| {
                async move {
                    if self.has_blob(blob).await? {
                        note(blob, BlobOutcome::Existed);
                    } else if blob.size <= TINY {
                        note(blob, self.bring(blob, None).await?);
                    } else {
                        lanes.offer(blob);
                    }
                    Ok(())
                }
                .boxed()
            })
            .collect();
        stream::iter(asked).buffer_unordered(AT_A_TIME).try_collect().await
    }

    async fn has_blob(&self, blob: &Descriptor) -> Result<bool, RegistryError> {
        let endpoint = self.client.connections.endpoint(self.repository.registry())?;
        let upload = RegistryClient::upload_of(self.repository, &endpoint, blob, &());
        self.client.is_there(&upload).await
    }

    /// Brings what is offered to `lanes`, as far as there are any, until they are closed.
    async fn send_all(&self, lanes: &Lanes<'_>, note: &Note<'_>) -> Result<(), RegistryError> {
        let sending = (0..MOST).map(|_| {
            async move {
                while let Some((lane, blob)) = lanes.enter().await {
                    note(blob, self.bring(blob, Some(lane)).await?);
                }
                Ok(())
            }
            .boxed()
        });
        try_join_all(sending).await.map(|_| ())
    }

    async fn bring<'b>(
        &'b self,
        blob: &'b Descriptor,
        lane: Option<Lane<'b>>,
    ) -> Result<BlobOutcome, RegistryError> {
        let (progress, resumed) = (self.progress, &self.resumed);
        let watch = Told { blob, lane, progress, resumed, last: Mutex::new(None) };
        let endpoint = self.client.connections.endpoint(self.repository.registry())?;
        let upload = RegistryClient::upload_of(self.repository, &endpoint, blob, &watch);
        let open = || self.source.blob(blob);
        self.client.bring_blob(&upload, &open, self.source.repository()).await
    }
}

/// Told what became of a blob.
type Note<'a> = dyn Fn(&Descriptor, BlobOutcome) + Sync + 'a;

/// Passes on how one blob goes.
struct Told<'a> {
    blob: &'a Descriptor,
    lane: Option<Lane<'a>>,
    progress: &'a dyn Progress,
    resumed: &'a AtomicU64,
    last: Mutex<Option<Instant>>,
}

impl Watch for Told<'_> {
    fn moved(&self, bytes: u64) {
        if let Some(lane) = &self.lane {
            lane.moved(bytes);
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if bytes == self.blob.size || last.is_none_or(|last| last.elapsed() >= TELL) {
            *last = Some(Instant::now());
            self.progress.moved(self.blob, bytes);
        }
    }

    fn resumed(&self, bytes: u64) {
        self.resumed.fetch_add(bytes, Ordering::Relaxed);
    }

    fn again(&self, why: &RegistryError, wait: Duration) {
        if let Some(lane) = &self.lane {
            lane.trouble();
        }
        self.progress.again(self.blob, why, wait);
    }
}
