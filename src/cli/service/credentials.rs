//! `edgepost service credentials`: what nodes pull a service's images with, changed without publishing it anew.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::NamedService;
use crate::{
    cli::{
        Context, code,
        documents::{self, NameArgs, Noun as _},
        error::CliError,
        output::FormatArgs,
        pull_logins::PullLoginArgs,
        registries::{
            days_until, push_config, time_until, warn_of_end, warn_of_pushable, with_logins,
        },
        removal::ForceArgs,
    },
    document::Deployment,
    exchange::{api::MaskedCredential, client::ExchangeClient},
    publish::{PullLogin, credentials, pushable},
    registry::{
        client::{RegistryClient, RegistryError},
        protocol::Reference,
    },
    types::{PinnedImage, Registry},
};

/// How long a registry may take to say whether it accepts a login.
const PATIENCE: Duration = Duration::from_secs(20);
/// More images than a service has; of more than these none is asked for.
const MOST_IMAGES: usize = 32;

/// What nodes pull a service's images with
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum CredentialsCommand {
    /// List the logins: for which registries, as whom, and when they end; never their tokens
    List {
        #[command(flatten)]
        which: NameArgs,
        #[command(flatten)]
        format: FormatArgs,
    },
    /// Set the login for a registry: it takes the place of the one there was
    Set(SetArgs),
    /// Remove logins: nodes pull no more with them
    Remove(RemoveArgs),
}

/// Set the login for a registry: it takes the place of the one there was
///
/// Nothing is published anew: nodes ask for the new login when they next need it, or when the registry refuses the
/// old one. It is tried first, on the images of the service.
#[derive(Debug, Args)]
pub(in crate::cli) struct SetArgs {
    #[command(flatten)]
    which: NameArgs,
    #[command(flatten)]
    logins: PullLoginArgs,
    /// Set it even if the registry refuses it
    #[arg(short, long)]
    force: bool,
}

/// Remove logins: nodes pull no more with them
#[derive(Debug, Args)]
pub(in crate::cli) struct RemoveArgs {
    #[command(flatten)]
    which: NameArgs,
    #[command(flatten)]
    of: WhichLogins,
    #[command(flatten)]
    force: ForceArgs,
}

/// Which logins of a service.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct WhichLogins {
    /// Those for this registry
    #[arg(long, value_name = "HOST")]
    registry: Option<Registry>,
    /// The one with this number, as `list` shows it
    #[arg(long, value_name = "N")]
    number: Option<i64>,
    /// All of them
    #[arg(long)]
    all: bool,
}

impl WhichLogins {
    fn are(&self, login: &MaskedCredential) -> bool {
        self.all || self.number == Some(login.id) || self.registry.as_ref() == Some(&login.registry)
    }
}

impl CredentialsCommand {
    /// Runs the command.
    pub(super) async fn run(&self, context: &Context) -> Result<(), CliError> {
        match self {
            Self::List { which, format } => list(which, format, context).await,
            Self::Set(args) => args.run(context).await,
            Self::Remove(args) => args.run(context).await,
        }
    }
}

async fn list(which: &NameArgs, format: &FormatArgs, context: &Context) -> Result<(), CliError> {
    let noun = NamedService::named(&which.name)?;
    let client = speaking_ours(context).await?;
    let held = held(&noun, &client).await?;
    for login in &held {
        if let Some(ends) = login.expires {
            warn_of_end(&login.username, &login.registry, ends, context);
        }
    }
    tell(&held, format, context);
    Ok(())
}

fn tell(held: &[MaskedCredential], format: &FormatArgs, context: &Context) {
    let values: Vec<_> = held.iter().map(|it| to_json(it, context)).collect();
    let rows = held.iter().map(|it| cells(it, context));
    format.of(context.output).list(&values, HEADINGS, rows);
}

const HEADINGS: &[&str] = &["LOGIN", "REGISTRY", "USER", "VERSION", "CHANGED", "EXPIRES"];

fn cells(login: &MaskedCredential, context: &Context) -> Vec<String> {
    let expires = login.expires.map(|ends| match time_until(ends, context) {
        Some(left) => format!("in {left}"),
        None => format!("ended on {ends}"),
    });
    vec![
        login.id.to_string(),
        login.registry.to_string(),
        login.username.clone(),
        login.version.to_string(),
        login.last_updated.to_string(),
        // Most tokens say nothing of their end.
        expires.unwrap_or_else(|| "unknown".to_owned()),
    ]
}

fn to_json(login: &MaskedCredential, context: &Context) -> Value {
    json!({
        "number": login.id, "registry": login.registry, "username": login.username,
        "version": login.version, "lastUpdated": login.last_updated, "expires": login.expires,
        "daysLeft": login.expires.map(|ends| days_until(ends, context)),
    })
}

impl SetArgs {
    async fn run(&self, context: &Context) -> Result<(), CliError> {
        let noun = NamedService::named(&self.which.name)?;
        let logins = self.logins.read(context)?;
        check_logins(&logins)?;
        let client = speaking_ours(context).await?;
        let service = client.find_service(noun.name()).await?;
        let service = service.ok_or_else(|| documents::absent(&noun))?;
        let images = images_of(&service.value.deployment);
        let registry = RegistryClient::new(with_logins(push_config(context, &[]), &logins));
        self.prove(&logins, images.as_deref(), &registry, context).await?;

        let set = client.set_credentials(noun.name(), credentials(&logins)?).await;
        let set = set.map_err(|error| documents::not_kept(&noun, error))?;
        let with_login: BTreeSet<_> = logins.iter().map(|it| it.registry.clone()).collect();
        let repositories = images.into_iter().flatten().map(|it| it.repository);
        let pushable = pushable(repositories, &with_login, &registry).await;
        warn_of_pushable(&pushable, context);
        let values: Vec<_> = set.credentials.iter().map(|it| to_json(it, context)).collect();
        let result = json!({"ok": true, "service": noun.name(), "changed": set.changed,
            "credentials": values, "pushable": pushable});
        context.output.result(&result, || {
            let how = if set.changed { "set" } else { "unchanged" };
            let named: Vec<_> =
                logins.iter().map(|it| format!("{} as {}", it.registry, it.username)).collect();
            format!("{}: {how} for {}", noun.name(), named.join(", "))
        });
        Ok(())
    }

    /// Tries each login on the images of its registry. One that is refused is not set: nodes would lose what they
    /// have. What cannot be asked is set, and told.
    async fn prove(
        &self,
        logins: &[PullLogin],
        images: Option<&[PinnedImage]>,
        registry: &RegistryClient,
        context: &Context,
    ) -> Result<(), CliError> {
        let Some(images) = images else {
            context.output.note("note: which images the service has cannot be seen here, so that the login was not tried");
            return Ok(());
        };
        let mut of_registry: BTreeMap<&Registry, Vec<&PinnedImage>> = BTreeMap::new();
        for image in images.iter().take(MOST_IMAGES) {
            of_registry.entry(image.repository.registry()).or_default().push(image);
        }
        for login in logins {
            let Some(images) = of_registry.get(&login.registry) else {
                context.output.note(format!(
                    "warning: no image of the service is in {}: nodes will not use this login",
                    login.registry
                ));
                continue;
            };
            for image in images {
                if let Err(error) = prove(login, image, registry, context).await {
                    if !self.force {
                        return Err(error.help(
                            "give one that may pull the image; --force sets it all the same",
                        ));
                    }
                    context.output.note(format!("warning: {}", error.what()));
                }
            }
        }
        Ok(())
    }
}

/// Whether the registry shows an image to a login.
async fn prove(
    login: &PullLogin,
    image: &PinnedImage,
    client: &RegistryClient,
    context: &Context,
) -> Result<(), CliError> {
    use RegistryError as E;
    let PullLogin { registry, username, .. } = login;
    let reference = Reference::Digest(image.digest);
    let refused = |code| {
        CliError::new(code, format!("{registry} does not give {image} to `{username}`"))
            .at(&image.repository)
    };
    match timeout(PATIENCE, client.head_manifest(&image.repository, &reference)).await {
        Ok(Ok(Some(_))) => Ok(()),
        Ok(Ok(None)) => Err(refused(code::IMAGE_NOT_FOUND)
            .why("it says that there is no such image, or does not show it to this login")),
        Ok(Err(error @ E::Unauthorized { .. })) => {
            Err(refused(code::REGISTRY_AUTH).because(&error))
        }
        Ok(Err(error @ (E::Denied { .. } | E::NotFound { .. }))) => {
            Err(refused(code::REGISTRY_DENIED).because(&error))
        }
        Ok(Err(error)) => {
            context.output.note(format!(
                "warning: {registry} could not be asked whether it accepts the login: {error}"
            ));
            Ok(())
        }
        Err(_) => {
            context.output.note(format!(
                "warning: {registry} did not say in time whether it accepts the login"
            ));
            Ok(())
        }
    }
}

impl RemoveArgs {
    async fn run(&self, context: &Context) -> Result<(), CliError> {
        let noun = NamedService::named(&self.which.name)?;
        let client = speaking_ours(context).await?;
        let mut held = held(&noun, &client).await?;
        held.retain(|login| self.of.are(login));
        if held.is_empty() {
            return Err(none_such(&noun));
        }
        let names: Vec<_> = held
            .iter()
            .map(|it| format!("{} ({} as {})", it.id, it.registry, it.username))
            .collect();
        let what = format!("login {} of service {}", names.join(", "), noun.name());
        self.force.confirm(&what)?;
        let mut removed = Vec::new();
        for login in held {
            // One that somebody else has removed meanwhile is gone as well.
            if client.remove_credential(noun.name(), login.id).await? {
                removed.push(login.id);
            }
        }
        if removed.is_empty() {
            return Err(none_such(&noun));
        }
        let result = json!({"ok": true, "service": noun.name(), "removed": removed});
        context.output.result(&result, || what.clone());
        Ok(())
    }
}

/// The logins of a service, for whoever it belongs to.
async fn held(
    noun: &NamedService,
    client: &ExchangeClient,
) -> Result<Vec<MaskedCredential>, CliError> {
    let held = client.masked_credentials(noun.name()).await;
    held.map_err(|error| documents::not_kept(noun, error))
}

/// The exchange, if it has what these commands need.
async fn speaking_ours(context: &Context) -> Result<ExchangeClient, CliError> {
    let client = context.client()?;
    if client.is_edgepost().await? {
        return Ok(client);
    }
    Err(CliError::new(code::FAILED, "this exchange is Horizon's own, and keeps logins in its way")
        .help("publish the service again with -r: its login takes the place of the one there is; hzn exchange service listauth and removeauth work as well"))
}

/// Refuses to set no login at all.
fn check_logins(logins: &[PullLogin]) -> Result<(), CliError> {
    if logins.is_empty() {
        return Err(CliError::new(code::USAGE, "there is no login to set")
            .help("give one by -r HOST:USER:TOKEN, or a file of them by --registry-token-file"));
    }
    Ok(())
}

/// The images of a deployment, if it says them by digest.
fn images_of(deployment: &str) -> Option<Vec<PinnedImage>> {
    let deployment = Deployment::<PinnedImage>::from_text(deployment).ok()?;
    let images: BTreeSet<_> = deployment.services.into_values().map(|it| it.image).collect();
    Some(images.into_iter().collect())
}

fn none_such(noun: &NamedService) -> CliError {
    CliError::new(code::NOT_FOUND, format!("service {} has no such login", noun.name()))
        .help(format!("`edgepost service credentials list {}` shows them", noun.name()))
}
