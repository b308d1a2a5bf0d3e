//! `edgepost registry delete`: a tag, or a manifest with all its tags.

use clap::Args;
use serde_json::json;

use super::reach::ReachArgs;
use crate::{
    cli::{Context, code, error::CliError},
    publish::leftovers::Contents,
    registry::client::{RegistryClient, RegistryError},
    types::{Digest, ImageRef, Repository, Tag},
};

/// Delete a tag, or a manifest with all the tags that name it
///
/// By a tag, only the tag goes. By a digest, the manifest goes, and with it every tag that names it.
/// Space becomes free when the registry cleans up.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct DeleteArgs {
    /// What to delete: HOST[:PORT]/NAME:TAG or HOST[:PORT]/NAME@DIGEST
    image: ImageRef,
    /// Really delete it
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    reach: ReachArgs,
}

impl DeleteArgs {
    /// Runs the command.
    pub(super) async fn run(&self, context: &Context) -> Result<(), CliError> {
        let repository = &self.image.repository;
        let client = self.reach.client(&[repository.registry().clone()], context);
        match (&self.image.tag, self.image.digest) {
            (_, Some(digest)) => self.manifest(&client, &digest, context).await,
            (Some(tag), None) => self.tag(&client, tag, context).await,
            (None, None) => Err(CliError::new(code::USAGE, "neither a tag nor a digest is named")
                .help("name one: HOST/NAME:TAG or HOST/NAME@DIGEST")),
        }
    }

    async fn manifest(
        &self,
        client: &RegistryClient,
        digest: &Digest,
        context: &Context,
    ) -> Result<(), CliError> {
        let repository = &self.image.repository;
        let tags = tags_of(client, repository, digest).await?;
        if !self.yes {
            return Err(unconfirmed(&format!("{repository}@{digest}"))
                .details(tags.iter().map(|tag| format!("with it goes the tag {tag}"))));
        }
        client.delete_manifest(repository, digest).await?;
        let object = json!({"ok": true, "deleted": digest, "tags": tags});
        context.output.result(&object, || digest.to_string());
        Ok(())
    }

    async fn tag(
        &self,
        client: &RegistryClient,
        tag: &Tag,
        context: &Context,
    ) -> Result<(), CliError> {
        let repository = &self.image.repository;
        if !self.yes {
            return Err(unconfirmed(&format!("the tag {tag} of {repository}")));
        }
        match client.delete_tag(repository, tag).await {
            Ok(()) => {
                context.output.result(&json!({"ok": true, "deleted": tag}), || tag.to_string());
                Ok(())
            }
            // To delete what it names would be more than was asked for.
            Err(error @ RegistryError::NoTagDeletion { .. }) => {
                let named = client.head_manifest(repository, &tag.clone().into()).await?;
                let others = match &named {
                    Some(named) => tags_of(client, repository, &named.digest).await?,
                    None => Vec::new(),
                };
                let others = others.iter().filter(|other| *other != tag);
                let told = CliError::from(error)
                    .details(others.map(|other| format!("the same manifest has the tag {other}")));
                Err(match named {
                    Some(named) => told.help(format!(
                        "the manifest goes, with every tag that names it, by: edgepost registry delete {repository}@{}",
                        named.digest
                    )),
                    None => told,
                })
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// The tags that name a manifest.
async fn tags_of(
    client: &RegistryClient,
    repository: &Repository,
    digest: &Digest,
) -> Result<Vec<Tag>, CliError> {
    let tags = Contents::tags(client, repository).await?;
    Ok(tags.into_iter().filter(|(_, named)| named == digest).map(|(tag, _)| tag).collect())
}

fn unconfirmed(what: &str) -> CliError {
    CliError::new(code::USAGE, format!("{what} is deleted only with --yes")).help("add --yes")
}
