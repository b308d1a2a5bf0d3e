//! `edgepost pattern`: lists of services that a node takes as a whole.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::{
    cli::{
        Context, code,
        documents::{
            self, NameArgs, Noun, Publication, PublishingArgs, RemovingArgs, Sheet, VerifyArgs,
            describe_verified, horizon_lines, service, text_of, unfold, without_org,
        },
        error::CliError,
        horizon_key::{HorizonKeyArgs, verify_pattern},
        output::FormatArgs,
    },
    document::{Pattern, Problem, Problems, Source},
    publish::{DocumentPlan, Existing, PublishError, Published, Publisher, TrustGrade},
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
    Verify(PatternVerifyArgs),
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

/// Verify a pattern's signature, as a node would
#[derive(Debug, Args)]
pub(super) struct PatternVerifyArgs {
    #[command(flatten)]
    which: NameArgs,
    #[command(flatten)]
    trust: VerifyArgs,
    /// Verify Horizon's signatures over the deployment overrides too, by this public key: its name, or a PEM file with
    /// it or its certificate. What was published by hzn has no others
    #[arg(long, value_name = "KEY")]
    horizon_key: Option<String>,
}

impl PatternVerifyArgs {
    async fn run(&self, context: &Context) -> Result<(), CliError> {
        let noun = id(&self.which)?;
        if let Some(key) = &self.horizon_key
            && let Some(row) = documents::unsigned_row(&noun, context).await?
        {
            return verify_row(&noun, row, key, context);
        }
        let verified = documents::verify(&noun, &self.trust, context).await?;
        let horizon = match &self.horizon_key {
            Some(key) => verify_pattern(verified.body(), key, context)?,
            None => Vec::new(),
        };
        let result = json!({"ok": true, "key": noun.key(), "seq": verified.header().seq,
            "horizon": self.horizon_key.is_some(), "horizonSigned": horizon});
        context.output.result(&result, || describe_verified(&verified) + &horizon_lines(&horizon));
        Ok(())
    }
}

/// Verifies all that a row of Horizon's API has: the signatures over the deployment overrides.
fn verify_row(
    noun: &NamedPattern,
    row: Value,
    key: &str,
    context: &Context,
) -> Result<(), CliError> {
    let pattern = serde_json::from_value(row).map_err(|error| {
        CliError::new(code::ANSWER, format!("pattern {} cannot be read", noun.0)).because(&error)
    })?;
    let horizon = verify_pattern(&pattern, key, context)?;
    let result = json!({"ok": true, "key": noun.key(), "seq": null, "horizon": true,
        "horizonSigned": horizon});
    context.output.result(&result, || {
        format!("{}: only Horizon's key signs its overrides{}", noun.key(), horizon_lines(&horizon))
    });
    Ok(())
}

impl PatternCommand {
    /// Runs the command.
    pub(super) async fn run(&self, context: &Context) -> Result<(), CliError> {
        match self {
            Self::Publish { file, publishing, horizon_key } => {
                let (noun, pattern) = file.read(context)?;
                let horizon_key = horizon_key.read(context)?;
                match documents::publish(&noun, &pattern, publishing, horizon_key, context).await? {
                    None => (),
                    Some(TrustGrade::Full) => context
                        .output
                        .next(format!("on a node: edgepost agent register --pattern {}", noun.0)),
                    Some(TrustGrade::Horizon) => {
                        context
                            .output
                            .next(format!("on a node: hzn register --pattern {}", noun.0));
                    }
                }
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
            Self::Verify(args) => args.run(context).await,
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
