//! `edgepost registry tags`, `repos` and `referrers`: what there is.

use clap::Args;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::json;

use super::reach::ReachArgs;
use crate::{
    cli::{Context, code, error::CliError},
    registry::client::{ListedBy, Place, RegistryClient, RegistryError},
    types::{Digest, ImageRef, Registry, Repository, Tag},
};

/// How many tags are looked up at a time.
const AT_A_TIME: usize = 8;

/// List the tags of a repository
#[derive(Debug, Args)]
pub(super) struct TagsArgs {
    /// The repository: HOST[:PORT]/NAME
    repository: Repository,
    /// Say too what each tag names now: a request for each
    #[arg(long)]
    digests: bool,
    #[command(flatten)]
    reach: ReachArgs,
}

impl TagsArgs {
    /// Runs the command.
    pub(super) async fn run(&self, context: &Context) -> Result<(), CliError> {
        let client = self.reach.client(&[self.repository.registry().clone()], context);
        let tags = client.tags(&self.repository).await?;
        if !self.digests {
            context.output.list(&tags, &["TAG"], tags.iter().map(|tag| vec![tag.to_string()]));
            return Ok(());
        }
        let named: Vec<(Tag, Option<Digest>)> = stream::iter(tags)
            .map(|tag| named(&client, &self.repository, tag))
            .buffered(AT_A_TIME)
            .try_collect()
            .await?;
        let objects: Vec<_> =
            named.iter().map(|(tag, digest)| json!({"tag": tag, "digest": digest})).collect();
        let rows = named.iter().map(|(tag, digest)| {
            let digest = digest.map_or_else(|| "gone meanwhile".to_owned(), |it| it.to_string());
            vec![tag.to_string(), digest]
        });
        context.output.list(&objects, &["TAG", "DIGEST"], rows);
        Ok(())
    }
}

async fn named(
    client: &RegistryClient,
    repository: &Repository,
    tag: Tag,
) -> Result<(Tag, Option<Digest>), RegistryError> {
    let found = client.head_manifest(repository, &tag.clone().into()).await?;
    Ok((tag, found.map(|found| found.digest)))
}

/// List the repositories of a registry, as far as it shows them
#[derive(Debug, Args)]
pub(super) struct ReposArgs {
    /// The registry: HOST or HOST:PORT
    #[arg(value_name = "HOST")]
    registry: Registry,
    #[command(flatten)]
    reach: ReachArgs,
}

impl ReposArgs {
    /// Runs the command.
    pub(super) async fn run(&self, context: &Context) -> Result<(), CliError> {
        let client = self.reach.client(std::slice::from_ref(&self.registry), context);
        let repositories = client.repositories(&self.registry).await?;
        let rows = repositories.iter().map(|it| vec![it.to_string()]);
        context.output.list(&repositories, &["REPOSITORY"], rows);
        Ok(())
    }
}

/// List what was said about an image: signatures, lists of parts
#[derive(Debug, Args)]
pub(super) struct ReferrersArgs {
    /// The image: HOST[:PORT]/NAME:TAG or HOST[:PORT]/NAME@DIGEST
    image: ImageRef,
    /// Only what is of this kind
    #[arg(long, value_name = "MEDIA_TYPE")]
    artifact_type: Option<String>,
    #[command(flatten)]
    reach: ReachArgs,
}

impl ReferrersArgs {
    /// Runs the command.
    pub(super) async fn run(&self, context: &Context) -> Result<(), CliError> {
        let repository = &self.image.repository;
        let client = self.reach.client(&[repository.registry().clone()], context);
        let subject = digest_of(&client, &self.image).await?;
        let found = client.referrers(repository, &subject, self.artifact_type.as_deref()).await?;
        if found.listed_by == ListedBy::Tag {
            context.output.note(
                "note: this registry keeps no list of referrers; these are what the tag \
                 `sha256-…` names, which those who push keep",
            );
        }
        let rows = found.manifests.iter().map(|it| {
            let kind = it.artifact_type.clone().unwrap_or_else(|| it.media_type.clone());
            vec![it.digest.to_string(), kind, it.size.to_string()]
        });
        context.output.list(&found.manifests, &["REFERRER", "KIND", "BYTES"], rows);
        Ok(())
    }
}

/// What an image is named by: its digest, or what its tag names now.
pub(super) async fn digest_of(
    client: &RegistryClient,
    image: &ImageRef,
) -> Result<Digest, CliError> {
    if let Some(digest) = image.digest {
        return Ok(digest);
    }
    let tag = image.tag.clone().unwrap_or_else(Tag::latest);
    match client.head_manifest(&image.repository, &tag.clone().into()).await? {
        Some(found) => Ok(found.digest),
        None => Err(CliError::new(code::IMAGE_NOT_FOUND, format!("there is no tag {tag}"))
            .at(Place::from(&image.repository))
            .help(format!("`edgepost registry tags {}` lists them", image.repository))),
    }
}
