//! A whole image out of its registry.

use std::{collections::VecDeque, path::PathBuf};

use futures_util::{FutureExt as _, StreamExt as _, stream};

use super::{BlobOutcome, DownloadError, Progress, RegistryClient};
use crate::{
    image::{Copied, Descriptor, ImageError, ImageSource, ImageTarget, Parts, Platforms},
    types::Repository,
};

/// How many blobs are looked after at a time. How many of them are on their way, the client's streams
/// decide.
const AT_A_TIME: usize = 32;

impl RegistryClient {
    /// Copies `platforms` of the image `source`, whose blobs `repository` has, into `target`, where it
    /// is called `name`.
    ///
    /// Blobs come at once, each by several streams if it is long, and lie in the target's own place
    /// for parts of them until they are whole: whatever ends the copy, the next one goes on there.
    pub async fn pull_image(
        &self,
        source: &dyn ImageSource,
        repository: &Repository,
        mut target: Box<dyn ImageTarget>,
        name: Option<&str>,
        platforms: &Platforms,
        progress: &dyn Progress,
    ) -> Result<Copied, ImageError> {
        let parts = Parts::of(source, platforms).await?;
        progress.planned(&parts.blobs);
        let (mut existed, mut copied, mut bytes) = (0, 0, 0);
        let mut missing = Vec::new();
        for blob in &parts.blobs {
            if target.has(blob).await {
                existed += 1;
                progress.settled(blob, BlobOutcome::Existed);
            } else {
                missing.push((blob, target.partial(blob)));
            }
        }
        let fetching: Vec<_> = from_both_ends(missing)
            .map(|(blob, partial)| self.fetch(repository, blob, partial, progress).boxed())
            .collect();
        let mut fetching = stream::iter(fetching).buffer_unordered(AT_A_TIME);
        while let Some(fetched) = fetching.next().await {
            let (blob, file) = fetched.map_err(|source| ImageError::Source {
                origin: repository.to_string(),
                source: source.into(),
            })?;
            target.adopt(blob, file).await?;
            copied += 1;
            bytes += blob.size;
        }
        for raw in &parts.manifests {
            target.put_manifest(raw).await?;
        }
        target.finish(&parts.root, name).await?;
        self.memory.learn(repository, parts.blobs.iter().map(|blob| blob.digest));
        let Parts { root, foreign, left_out, .. } = parts;
        Ok(Copied { root, existed, copied, foreign: foreign.len(), bytes, left_out })
    }

    async fn fetch<'a>(
        &self,
        repository: &Repository,
        blob: &'a Descriptor,
        partial: PathBuf,
        progress: &dyn Progress,
    ) -> Result<(&'a Descriptor, PathBuf), DownloadError> {
        self.download(repository, blob, &partial, progress).await?;
        Ok((blob, partial))
    }
}

/// The first, the last, the second, the last but one, and so on: of blobs in the order of their length,
/// much is soon done for a link that breaks, and no long one is left to go alone at the end.
fn from_both_ends<T>(in_order: Vec<T>) -> impl Iterator<Item = T> {
    let mut left = VecDeque::from(in_order);
    let mut from_the_front = false;
    std::iter::from_fn(move || {
        from_the_front = !from_the_front;
        if from_the_front { left.pop_front() } else { left.pop_back() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_and_the_longest_go_first() {
        let order: Vec<_> = from_both_ends((1..=5).collect()).collect();
        assert_eq!(order, [1, 5, 2, 4, 3]);
    }
}
