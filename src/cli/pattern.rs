//! `edgepost pattern`: lists of services that a node takes as a whole.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::Value;

use crate::{
    cli::{
        Context, code,
        documents::{
            self, NameArgs, Noun, Publication, PublishingArgs, RemovingArgs, Sheet, VerifyArgs,
            service, tell_verified, text_of, unfold, without_org,
        },
        error::CliError,
        horizon_key::HorizonKeyArgs,
        output::FormatArgs,
    },
    document::{Pattern, Problem, Problems, Source},
    publish::{DocumentPlan, Existing, PublishError, Published, Publisher},
    types::{DocumentKey, DocumentKind, PatternId},
};

/// Patterns: lists of services that a node takes as a whole
#[derive(Debug, Subcommand)]
pub(super) enum PatternCommand {
    /// Publish a pattern from its file
    Publish {
        #[command(flatten)]
        file: FileArgs,
        #[command(flatten)]
        publishing: PublishingArgs,
        #[command(flatten)]
        horizon_key: HorizonKeyArgs,
    },
    /// List the patterns of the organization
    List(FormatArgs),
    /// Show a pattern as the exchange has it
    Show {
        #[command(flatten)]
        which: NameArgs,
        #[command(flatten)]
        format: FormatArgs,
    },
    /// Compare a file with the pattern that is live: exit code 0 if they say the same, 7 if not, 6 if
    /// there is none
    Diff(FileArgs),
    /// Verify a pattern's signature, as a node would
    Verify {
        #[command(flatten)]
        which: NameArgs,
        #[command(flatten)]
        trust: VerifyArgs,
    },
    /// Withdraw a pattern: its nodes run nothing by it any more
    Remove {
        #[command(flatten)]
        which: NameArgs,
        #[command(flatten)]
        removing: RemovingArgs,
    },
}

/// A pattern in a file
#[derive(Debug, Args)]
pub(super) struct FileArgs {
    /// The pattern's file
    file: PathBuf,
    /// The pattern's name; without it: the file's `name`, or the file's own name
    #[arg(short, long)]
    name: Option<PatternId>,
}

impl PatternCommand {
    /// Runs the command.
    pub(super) async fn run(&self, context: &Context) -> Result<(), CliError> {
        match self {
            Self::Publish { file, publishing, horizon_key } => {
                let (noun, pattern) = file.read(context)?;
                let horizon_key = horizon_key.read(context)?;
                documents::publish(&noun, &pattern, publishing, horizon_key, context).await?;
                let next = format!("on a node: edgepost agent register --pattern {}", noun.0);
                context.output.next(next);
                Ok(())
            }
            Self::List(format) => {
                documents::list::<NamedPattern>(DocumentKind::Pattern, format, context).await
            }
            Self::Show { which, format } => documents::show(&id(which)?, format, context).await,
            Self::Diff(file) => {
                let (noun, pattern) = file.read(context)?;
                documents::diff(&noun, &pattern, context).await
            }
            Self::Verify { which, trust } => {
                tell_verified(&documents::verify(&id(which)?, trust, context).await?, context);
                Ok(())
            }
            Self::Remove { which, removing } => {
                documents::remove(&id(which)?, removing, context).await
            }
        }
    }
}

impl FileArgs {
    fn read(&self, context: &Context) -> Result<(NamedPattern, Pattern), CliError> {
        let pattern = documents::read::<NamedPattern>(&self.file, context)?;
        let name = match (&self.name, &pattern.name) {
            (Some(name), _) | (None, Some(name)) => NamedPattern(name.clone()),
            (None, None) => named(&file_stem(&self.file))?,
        };
        Ok((name, pattern))
    }
}

fn id(args: &NameArgs) -> Result<NamedPattern, CliError> {
    named(&args.name)
}

fn named(name: &str) -> Result<NamedPattern, CliError> {
    let name = without_org(name)
        .replace(['/', '!', '*', ',', ';', '?', '@', '&', '~', '=', '%', '$'], "-");
    name.parse().map(NamedPattern).map_err(|error| {
        CliError::new(code::USAGE, format!("`{name}` cannot name a pattern")).because(&error)
    })
}

fn file_stem(file: &Path) -> String {
    file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
}

/// A pattern by its name.
struct NamedPattern(PatternId);

impl Noun for NamedPattern {
    type Written = Pattern;
    type Signed = Pattern;

    const WORD: &'static str = "pattern";
    const LISTED_BY: &'static str = "edgepost pattern list";
    const HEADINGS: &'static [&'static str] = &["PATTERN", "LABEL"];

    fn name(&self) -> &str {
        self.0.as_str()
    }

    fn key(&self) -> DocumentKey {
        DocumentKey::pattern(&self.0)
    }

    fn read(source: &Source) -> Result<(Pattern, Vec<Problem>), Problems> {
        Pattern::from_source(source)
    }

    fn cells(name: &str, row: &Value) -> Vec<String> {
        vec![name.to_owned(), text_of(row, "/label")]
    }

    fn summary(&self, said: &Pattern, sheet: &mut Sheet) {
        sheet.line("label", &said.label);
        sheet.line("description", &said.description);
        sheet.line("public", if said.public { "yes" } else { "no" });
        sheet.line("namespace", &said.cluster_namespace);
        for it in &said.services {
            let name = service(&it.service_orgid, &it.service_url);
            sheet.line("service", format!("{name} for {}", it.service_arch));
            sheet.versions(&it.service_versions);
        }
        sheet.gifts(&said.user_input, &said.secret_binding);
    }

    /// Overrides as objects, and no signature over their text.
    fn comparable(mut pattern: Value) -> Value {
        let services = pattern["services"].as_array_mut().into_iter().flatten();
        for service in services {
            for version in service["serviceVersions"].as_array_mut().into_iter().flatten() {
                unfold(version, "deployment_overrides", "deployment_overrides_signature");
            }
        }
        pattern
    }

    fn to_horizon(written: &Pattern) -> Value {
        written.to_horizon()
    }
}

impl Publication for NamedPattern {
    async fn publish(
        &self,
        publisher: &Publisher,
        pattern: &Pattern,
    ) -> Result<Published, PublishError> {
        publisher.publish_document(&self.0, pattern, Existing::Overwrite).await
    }

    async fn plan(
        &self,
        publisher: &Publisher,
        pattern: &Pattern,
    ) -> Result<DocumentPlan, PublishError> {
        publisher.plan_document(&self.0, pattern).await
    }
}
