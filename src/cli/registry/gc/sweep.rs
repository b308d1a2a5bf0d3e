//! Deleting what is left over, so that what is published meanwhile loses nothing.
//!
//! A service may be published at any moment. So the exchange and the tags are asked again before each
//! image; publishing itself looks at its images a last time before it commits; and at the end the
//! exchange is asked once more: what was needed in between is put back from the bytes that were kept,
//! since no registry drops blobs within seconds.

use std::{collections::BTreeSet, time::Duration};

use serde::Serialize;

use super::{GcArgs, Needed, Seen};
use crate::{
    cli::{Context, code, error::CliError},
    image::RawManifest,
    publish::leftovers::{Contents, Leftover, Leftovers},
    registry::{
        client::{RegistryClient, RegistryError},
        protocol::Reference,
    },
    types::{Digest, Repository, Tag},
};

/// How long a publisher may take from its last look at its images to its commit.
const SETTLE: Duration = Duration::from_secs(5);

/// Deletes what is left over.
pub(super) struct Sweep<'a> {
    pub(super) args: &'a GcArgs,
    pub(super) client: &'a RegistryClient,
    pub(super) context: &'a Context,
}

/// What became of what was left over.
#[derive(Debug, Default, Serialize)]
pub(super) struct Swept {
    /// Images that are gone.
    pub(super) deleted: Vec<String>,
    /// Images that were needed when their turn came.
    pub(super) spared: Vec<String>,
    /// Images that were deleted, needed after all, and put back.
    pub(super) restored: Vec<String>,
    #[serde(skip)]
    gone: Vec<Gone>,
}

/// An image that was deleted, and what puts it back.
#[derive(Debug)]
struct Gone {
    repository: Repository,
    tags: Vec<Tag>,
    /// The image first.
    manifests: Vec<RawManifest>,
}

impl Sweep<'_> {
    /// Deletes everything of `found` that is still left over when its turn comes.
    pub(super) async fn run(
        &self,
        seen: &mut [Seen],
        found: &Leftovers,
        needed: &mut Needed,
    ) -> Result<Swept, CliError> {
        let mut swept = Swept::default();
        let swept_all = self.delete_all(seen, found, needed, &mut swept).await;
        // Also after a failure: what is gone by then may have been needed.
        if !swept.gone.is_empty() {
            tokio::time::sleep(SETTLE).await;
            needed.refresh(self.args, self.context).await?;
            self.restore(needed, &mut swept).await?;
        }
        swept_all.map(|()| swept)
    }

    async fn delete_all(
        &self,
        seen: &mut [Seen],
        found: &Leftovers,
        needed: &mut Needed,
        swept: &mut Swept,
    ) -> Result<(), CliError> {
        for (at, leftovers) in found.repositories.iter().enumerate() {
            for leftover in leftovers {
                needed.refresh(self.args, self.context).await?;
                let Some(it) = self.still_left(seen, at, leftover, needed).await? else {
                    swept.spared.push(leftover.digest.to_string());
                    continue;
                };
                let Some(here) = seen.get_mut(at) else { continue };
                let gone = self.delete(&here.repository, &it).await?;
                here.contents
                    .tags
                    .retain(|_, digest| *digest != it.digest && !it.parts.contains(digest));
                here.contents
                    .manifests
                    .retain(|digest, _| *digest != it.digest && !it.parts.contains(digest));
                self.context.output.step("delete", format!("{}@{}", here.repository, it.digest));
                swept.deleted.push(it.digest.to_string());
                swept.gone.push(gone);
            }
        }
        Ok(())
    }

    /// The leftover as it is now, if it is one still. A repository whose tags have changed is looked
    /// at anew.
    async fn still_left(
        &self,
        seen: &mut [Seen],
        at: usize,
        leftover: &Leftover,
        needed: &Needed,
    ) -> Result<Option<Leftover>, CliError> {
        let Some(here) = seen.get_mut(at) else { return Ok(None) };
        let tags = Contents::tags(self.client, &here.repository).await?;
        if tags != here.contents.tags {
            here.contents = Contents::of(self.client, &here.repository).await?;
        }
        let mut now = self.args.judge(seen, needed).repositories.into_iter().nth(at);
        let now = now.as_mut().and_then(|all| {
            let place = all.iter().position(|it| it.digest == leftover.digest)?;
            Some(all.swap_remove(place))
        });
        Ok(now)
    }

    /// Deletes an image: itself first, so that what breaks off is an image that is gone, and not one
    /// in pieces.
    async fn delete(&self, repository: &Repository, leftover: &Leftover) -> Result<Gone, CliError> {
        let (tags, mut manifests) = (leftover.tags.clone(), Vec::new());
        for digest in [&leftover.digest].into_iter().chain(&leftover.parts) {
            match self.client.delete_manifest(repository, digest).await {
                Ok(raw) => manifests.push(raw),
                // Some registries take what is below an image with it.
                Err(RegistryError::NotFound { .. }) => (),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Gone { repository: repository.clone(), tags, manifests })
    }

    /// Puts back what a service needs after all.
    async fn restore(&self, needed: &Needed, swept: &mut Swept) -> Result<(), CliError> {
        for gone in &swept.gone {
            let digests: BTreeSet<Digest> = gone.manifests.iter().map(|raw| raw.digest).collect();
            if digests.is_disjoint(&needed.digests) {
                continue;
            }
            let lost = |error: RegistryError| {
                CliError::new(
                    code::REGISTRY_AWAY,
                    "an image that a new service needs could not be put back",
                )
                .at(&gone.repository)
                .because(&error)
                .help("publish that service again: its image is pushed anew")
            };
            for raw in gone.manifests.iter().rev() {
                let reference = Reference::Digest(raw.digest);
                let put = self.client.put_manifest(&gone.repository, &reference, raw).await;
                put.map_err(lost)?;
            }
            if let Some(root) = gone.manifests.first() {
                for tag in &gone.tags {
                    let reference = Reference::Tag(tag.clone());
                    let put = self.client.put_manifest(&gone.repository, &reference, root).await;
                    put.map_err(lost)?;
                }
                swept.restored.push(root.digest.to_string());
            }
        }
        swept.deleted.retain(|digest| !swept.restored.contains(digest));
        Ok(())
    }
}

impl Swept {
    /// Says what became of it.
    pub(super) fn tell(&self, context: &Context) {
        for digest in &self.spared {
            context.output.note(format!("{digest} is needed now, and stays"));
        }
        for digest in &self.restored {
            context.output.note(format!("{digest} was needed after all, and is there again"));
        }
        let deleted = self.deleted.len();
        context.output.note(format!(
            "{deleted} images deleted; the registry frees their space when it cleans up"
        ));
    }
}
