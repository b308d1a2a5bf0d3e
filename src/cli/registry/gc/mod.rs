//! `edgepost registry gc`: what lies in registries and no published service needs.

mod needed;
mod sweep;

use clap::Args;
use serde_json::{Value, json};

use self::{needed::Needed, sweep::Sweep};
use super::reach::ReachArgs;
use crate::{
    cli::{Context, code, error::CliError, trust::PinArgs},
    publish::leftovers::{Contents, Leftover, Leftovers, OtherTags, leftovers},
    registry::client::RegistryClient,
    types::{Registry, Repository},
};

/// List what no published service needs, and never what one needs
///
/// An image is listed if publishing has left its tag `edgepost-…` at it and no service of the exchange
/// names it, by any document that was ever published, nor any other tag of its repository, nor an index
/// that is needed. With it go its signatures, and the parts of an index that nothing else needs.
/// Registries list nothing but tags: what has none is neither seen nor named. Their own clean-up frees
/// the space afterwards.
///
/// If the exchange does not show everything, nothing is listed at all.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct GcArgs {
    /// Where to look: registries that list their repositories, or repositories
    #[arg(required = true, value_name = "HOST[/REPO]")]
    places: Vec<String>,
    /// Only list: this is what happens without --delete too
    #[arg(long, conflicts_with = "delete")]
    dry_run: bool,
    /// Delete what is listed. The exchange is asked again before each image, and at the end: what was
    /// published meanwhile stays, or is put back
    #[arg(long, requires = "yes")]
    delete: bool,
    /// That --delete is meant
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    count: CountArgs,
    #[command(flatten)]
    pin: PinArgs,
    #[command(flatten)]
    reach: ReachArgs,
}

/// What counts as needed.
#[derive(Debug, Args)]
struct CountArgs {
    /// Ask for the services of this organization alone: no other one publishes into these repositories
    #[arg(long)]
    alone: bool,
    /// Do not count what withdrawn and replaced documents named: every node has what is published now
    #[arg(long)]
    forget_withdrawn: bool,
    /// Let other tags go with an image that we have published and no service names, such as its version
    #[arg(long)]
    with_tags: bool,
}

/// A repository as it was seen.
struct Seen {
    repository: Repository,
    contents: Contents,
}

impl GcArgs {
    /// Runs the command.
    pub(super) async fn run(&self, context: &Context) -> Result<(), CliError> {
        let places = self.places()?;
        let registries: Vec<Registry> = places.iter().map(|it| it.registry().clone()).collect();
        let client = self.reach.client(&registries, context);
        // Who may not ask the exchange need not wait for the registries.
        let mut needed = Needed::ask(self, context).await?;
        let mut seen = Vec::new();
        for repository in repositories(&places, &client).await? {
            context.output.step("look", repository.to_string());
            let contents = Contents::of(&client, &repository).await?;
            seen.push(Seen { repository, contents });
        }
        // Asked again: what was published while the registries were looked at is needed too.
        needed.refresh(self, context).await?;
        let found = self.judge(&seen, &needed);
        let swept = if self.delete {
            let sweep = Sweep { args: self, client: &client, context };
            Some(sweep.run(&mut seen, &found, &mut needed).await?)
        } else {
            None
        };
        let object = json!({
            "ok": true,
            "dryRun": !self.delete,
            "organizations": needed.organizations,
            "services": needed.services,
            "needed": needed.digests.len(),
            "bytes": found.bytes,
            "repositories": seen.iter().zip(&found.repositories).map(|(seen, leftovers)| json!({
                "repository": seen.repository,
                "leftovers": leftovers,
            })).collect::<Vec<Value>>(),
            "deleted": swept.as_ref().map(|it| &it.deleted),
            "spared": swept.as_ref().map(|it| &it.spared),
            "restored": swept.as_ref().map(|it| &it.restored),
        });
        context.output.result(&object, || describe(&seen, &found, &needed));
        if let Some(swept) = &swept {
            swept.tell(context);
        } else if !found.repositories.iter().all(Vec::is_empty) {
            context.output.next("the same with --delete --yes");
        }
        Ok(())
    }

    /// What is left over of what was seen.
    fn judge(&self, seen: &[Seen], needed: &Needed) -> Leftovers {
        let mut digests = needed.digests.clone();
        for it in seen {
            let path = it.repository.path();
            let named = it.contents.tags.iter().filter(|(tag, _)| needed.names(path, tag));
            digests.extend(named.map(|(_, digest)| *digest));
        }
        let contents: Vec<Contents> = seen.iter().map(|it| it.contents.clone()).collect();
        let others = if self.count.with_tags { OtherTags::GoWithOurs } else { OtherTags::Protect };
        leftovers(&contents, &digests, others)
    }

    fn places(&self) -> Result<Vec<Place>, CliError> {
        let read = |text: &String| {
            let unusable = |error: &dyn std::fmt::Display| {
                CliError::new(code::USAGE, format!("`{text}` is no registry or repository"))
                    .why(error.to_string())
                    .help("write HOST[:PORT], or HOST[:PORT]/NAME without a tag")
            };
            if text.contains('/') {
                text.parse().map(Place::Repository).map_err(|error| unusable(&error))
            } else {
                text.parse().map(Place::Registry).map_err(|error| unusable(&error))
            }
        };
        self.places.iter().map(read).collect()
    }
}

fn describe(seen: &[Seen], found: &Leftovers, needed: &Needed) -> String {
    let mut lines = Vec::new();
    for (seen, leftovers) in seen.iter().zip(&found.repositories) {
        let kept = seen.contents.manifests.len();
        let goes: usize = leftovers.iter().map(|it| 1 + it.parts.len()).sum();
        lines.push(format!(
            "{}: {} manifests, {goes} of them in {} images that no service needs",
            seen.repository,
            kept,
            leftovers.len()
        ));
        lines.extend(leftovers.iter().map(line));
    }
    let orgs: Vec<String> = needed.organizations.iter().map(ToString::to_string).collect();
    lines.push(format!(
        "{} bytes would be free; {} services of {} were asked, which name {} digests",
        found.bytes,
        needed.services,
        orgs.join(", "),
        needed.digests.len()
    ));
    lines.join("\n")
}

fn line(leftover: &Leftover) -> String {
    let tags: Vec<&str> = leftover.tags.iter().map(crate::types::Tag::as_str).collect();
    format!(
        "  {}  {} bytes of its own, {} shared, {} manifests with it, tags {}",
        leftover.digest,
        leftover.unique_bytes,
        leftover.shared_bytes,
        leftover.parts.len(),
        tags.join(" ")
    )
}

/// What is to be looked at.
enum Place {
    Registry(Registry),
    Repository(Repository),
}

impl Place {
    fn registry(&self) -> &Registry {
        match self {
            Self::Registry(registry) => registry,
            Self::Repository(repository) => repository.registry(),
        }
    }
}

/// The repositories of all places, each once.
async fn repositories(
    places: &[Place],
    client: &RegistryClient,
) -> Result<Vec<Repository>, CliError> {
    let mut all = Vec::new();
    for place in places {
        match place {
            Place::Repository(repository) => all.push(repository.clone()),
            Place::Registry(registry) => all.extend(client.repositories(registry).await?),
        }
    }
    all.sort_unstable();
    all.dedup();
    Ok(all)
}
