//! `edgepost pattern`: lists of services that a node takes as a whole.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::{
    cli::{
        Context, code,
        documents::{
            PublishingArgs, RemoveArgs, ShowArgs, VerifyArgs, remove, show, tell_plan,
            tell_published, tell_verified, verify, without_org,
        },
        error::CliError,
        horizon_key::HorizonKeyArgs,
        project::read_definition,
    },
    document::Pattern,
    publish::Existing,
    types::{DocumentKey, PatternId},
};

/// Patterns: lists of services that a node takes as a whole
#[derive(Debug, Subcommand)]
pub(super) enum PatternCommand {
    /// Publish a pattern from its file
    Publish(PublishArgs),
    /// List the patterns of the organization
    List,
    /// Show a pattern as the exchange has it
    Show(ShowArgs),
    /// Verify a pattern's signature, as a node would
    Verify(VerifyArgs),
    /// Withdraw a pattern: its nodes run nothing by it any more
    Remove(RemoveArgs),
}

/// Publish a pattern from its file
#[derive(Debug, Args)]
pub(super) struct PublishArgs {
    /// The pattern's file
    file: PathBuf,
    /// The pattern's name; without it: the file's `name`, or the file's own name
    #[arg(short, long)]
    name: Option<PatternId>,
    #[command(flatten)]
    publishing: PublishingArgs,
    #[command(flatten)]
    horizon_key: HorizonKeyArgs,
}

impl PatternCommand {
    /// Runs the command.
    pub(super) async fn run(&self, context: &Context) -> Result<(), CliError> {
        match self {
            Self::Publish(args) => args.run(context).await,
            Self::List => {
                let patterns = context.client()?.patterns().await?;
                let rows =
                    patterns.iter().map(|(name, it)| vec![name.clone(), it.value.label.clone()]);
                context.output.list(&patterns, &["PATTERN", "LABEL"], rows);
                Ok(())
            }
            Self::Show(args) => {
                let pattern = context.client()?.find_pattern(&id(&args.name)?).await?;
                show("pattern", &args.name, pattern.as_ref(), context)
            }
            Self::Verify(args) => {
                let key = DocumentKey::pattern(&id(&args.name)?);
                let verified = verify::<Pattern>(&key, args, context).await?;
                tell_verified(&verified, context);
                Ok(())
            }
            Self::Remove(args) => {
                remove(&DocumentKey::pattern(&id(&args.name)?), args, context).await
            }
        }
    }
}

impl PublishArgs {
    async fn run(&self, context: &Context) -> Result<(), CliError> {
        let pattern = read_definition(&self.file, context, Pattern::from_source)?;
        let name = match &self.name {
            Some(name) => name.clone(),
            None => match &pattern.name {
                Some(name) => name.clone(),
                None => id(&file_stem(&self.file))?,
            },
        };
        let publisher =
            self.publishing.keys.publisher(context)?.horizon_key(self.horizon_key.read()?);
        if self.publishing.dry_run {
            let plan = publisher.plan_document(&name, &pattern).await?;
            tell_plan(&DocumentKey::pattern(&name), plan, context);
            return Ok(());
        }
        let outcome = publisher.publish_document(&name, &pattern, Existing::Overwrite).await?;
        tell_published(&outcome, context);
        context.output.next(format!("on a node: edgepost agent register --pattern {name}"));
        Ok(())
    }
}

fn id(name: &str) -> Result<PatternId, CliError> {
    let name = without_org(name)
        .replace(['/', '!', '*', ',', ';', '?', '@', '&', '~', '=', '%', '$'], "-");
    name.parse().map_err(|error| {
        CliError::new(code::USAGE, format!("`{name}` cannot name a pattern")).because(&error)
    })
}

fn file_stem(file: &std::path::Path) -> String {
    file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
}
