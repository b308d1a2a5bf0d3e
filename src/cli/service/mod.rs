//! `edgepost service`: what is published.

mod credentials;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::{
    cli::{
        Context, code,
        documents::{
            self, NameArgs, Noun, RemovingArgs, Sheet, VerifyArgs, describe_verified,
            horizon_lines, service, text_of, unfold, without_org,
        },
        error::CliError,
        horizon_key::verify_service,
        operator::{self, read_operator},
        output::FormatArgs,
        publish::PublishArgs,
    },
    document::{ClusterDeployment, Problem, Problems, ServiceBody, ServiceDefinition, Source},
    types::{Digest, DocumentKey, DocumentKind},
};

/// Published services
#[derive(Debug, Subcommand)]
pub(super) enum ServiceCommand {
    /// Publish a service: the same as `edgepost publish`
    Publish(Box<PublishArgs>),
    /// List the services of the organization
    List(FormatArgs),
    /// Show a service as the exchange has it
    Show {
        #[command(flatten)]
        which: NameArgs,
        #[command(flatten)]
        format: FormatArgs,
    },
    /// Compare a definition with the service that is live: exit code 0 if they say the same, 7 if not, 6
    /// if there is none. Whether a tag still means the digest that is live is for the registry to say, so
    /// that such an image counts as the same, marked `(pinned)`
    Diff(DiffArgs),
    /// Verify a service's signatures, as a node would
    Verify(ServiceVerifyArgs),
    /// What nodes pull its images with: list, set and remove, without publishing it anew
    #[command(subcommand)]
    Credentials(credentials::CredentialsCommand),
    /// Withdraw a service: nodes stop it, and its version cannot come back unseen
    Remove {
        #[command(flatten)]
        which: NameArgs,
        #[command(flatten)]
        removing: RemovingArgs,
    },
}

/// Compare a definition with the service that is live
#[derive(Debug, Args)]
pub(super) struct DiffArgs {
    /// The service definition
    file: PathBuf,
}

/// Verify a service's signatures, as a node would
#[derive(Debug, Args)]
pub(super) struct ServiceVerifyArgs {
    #[command(flatten)]
    which: NameArgs,
    #[command(flatten)]
    trust: VerifyArgs,
    /// Verify Horizon's signatures over the deployments too, by this public key: its name, or a PEM file with it or its
    /// certificate. What was published by hzn has no others
    #[arg(long, value_name = "KEY")]
    horizon_key: Option<String>,
}

impl ServiceCommand {
    /// Runs the command.
    pub(super) async fn run(&self, context: &Context) -> Result<(), CliError> {
        match self {
            Self::Publish(args) => args.run(context).await,
            Self::List(format) => {
                documents::list::<NamedService>(DocumentKind::Service, format, context).await
            }
            Self::Show { which, format } => documents::show(&id(which)?, format, context).await,
            Self::Diff(args) => {
                let definition = args.definition(context)?;
                let id = definition.service_id(context.client()?.org());
                let noun = NamedService { name: id.exchange_id(), key: DocumentKey::from(&id) };
                documents::diff(&noun, &definition, context).await
            }
            Self::Verify(args) => args.run(context).await,
            Self::Credentials(command) => command.run(context).await,
            Self::Remove { which, removing } => {
                documents::remove(&id(which)?, removing, context).await
            }
        }
    }
}

impl DiffArgs {
    /// The definition as it would be published, but for the digests of its images.
    fn definition(&self, context: &Context) -> Result<ServiceDefinition, CliError> {
        let definition = documents::read::<NamedService>(&self.file, context)?;
        let archive = read_operator(&self.file, &definition, context)?;
        Ok(match (&definition.cluster_deployment, archive) {
            (ClusterDeployment::Described(operator), Some(archive)) => {
                definition.with_cluster_deployment(operator.to_canonical(&archive), String::new())
            }
            _ => definition,
        })
    }
}

impl ServiceVerifyArgs {
    async fn run(&self, context: &Context) -> Result<(), CliError> {
        let noun = id(&self.which)?;
        if let Some(key) = &self.horizon_key
            && let Some(row) = documents::unsigned_row(&noun, context).await?
        {
            return verify_row(&noun, row, key, context);
        }
        let verified = documents::verify(&noun, &self.trust, context).await?;
        let definition = &verified.body().definition;
        let horizon = match &self.horizon_key {
            Some(key) => verify_service(definition, key, context)?,
            None => Vec::new(),
        };
        context.output.result(
            &json!({"ok": true, "key": noun.key, "seq": verified.header().seq,
                "horizon": self.horizon_key.is_some(), "horizonSigned": horizon,
                "images": verified.body().images, "cluster": operator::outline(definition)}),
            || {
                let operator = operator::describe(definition).map(|it| format!("\n{it}"));
                describe_verified(&verified)
                    + &horizon_lines(&horizon)
                    + &operator.unwrap_or_default()
            },
        );
        Ok(())
    }
}

/// Verifies all that a row of Horizon's API has: the signatures over the deployments.
fn verify_row(
    noun: &NamedService,
    row: Value,
    key: &str,
    context: &Context,
) -> Result<(), CliError> {
    let definition = serde_json::from_value(row).map_err(|error| {
        CliError::new(code::ANSWER, format!("service {} cannot be read", noun.name)).because(&error)
    })?;
    let horizon = verify_service(&definition, key, context)?;
    let result = json!({"ok": true, "key": noun.key, "seq": null, "horizon": true,
        "horizonSigned": horizon, "cluster": operator::outline(&definition)});
    context.output.result(&result, || {
        format!("{}: only Horizon's key signs it{}", noun.key, horizon_lines(&horizon))
    });
    Ok(())
}

fn id(args: &NameArgs) -> Result<NamedService, CliError> {
    NamedService::named(&args.name)
}

/// A service by the exchange's id.
pub(super) struct NamedService {
    name: String,
    key: DocumentKey,
}

impl NamedService {
    /// The service that a list calls so.
    pub(super) fn named(name: &str) -> Result<Self, CliError> {
        let name = without_org(name).to_owned();
        let key = format!("service/{name}").parse().map_err(|_| {
            CliError::new(code::USAGE, format!("`{name}` is no service id"))
                .help("an id is URL_VERSION_ARCH; `edgepost service list` shows them")
        })?;
        Ok(Self { name, key })
    }
}

impl Noun for NamedService {
    type Written = ServiceDefinition;
    type Signed = ServiceBody;

    const WORD: &'static str = "service";
    const LISTED_BY: &'static str = "edgepost service list";
    const HEADINGS: &'static [&'static str] = &["SERVICE", "VERSION", "ARCH", "LABEL"];

    fn name(&self) -> &str {
        &self.name
    }

    fn key(&self) -> DocumentKey {
        self.key.clone()
    }

    fn read(source: &Source) -> Result<(ServiceDefinition, Vec<Problem>), Problems> {
        ServiceDefinition::from_source(source)
    }

    fn cells(name: &str, row: &Value) -> Vec<String> {
        let text = |member: &str| text_of(row, member);
        vec![name.to_owned(), text("/version"), text("/arch"), text("/label")]
    }

    fn summary(&self, said: &ServiceDefinition, sheet: &mut Sheet) {
        sheet.line("label", &said.label);
        sheet.line("description", &said.description);
        sheet.line("url", &said.url);
        sheet.line("version", &said.version);
        sheet.line("arch", &said.arch);
        sheet.line("public", if said.public { "yes" } else { "no" });
        sheet.lines(
            "requires",
            said.required_services
                .iter()
                .map(|it| format!("{} {}", service(&it.org, &it.url), it.versions())),
        );
        sheet.lines(
            "variables",
            said.user_input.iter().map(|it| {
                if it.is_required() {
                    format!("{}, to be given", it.name)
                } else {
                    format!("{} = \"{}\" unless it is given", it.name, it.default_value)
                }
            }),
        );
        containers(&Self::comparable(Self::written(said)), sheet);
        sheet.lines("cluster", operator::describe(said));
    }

    fn signed(mut body: Value) -> Option<Value> {
        body.get_mut("definition").map(Value::take)
    }

    fn to_horizon(written: &ServiceDefinition) -> Value {
        written.to_horizon()
    }

    /// Deployments as objects, and no signature over their text; the archive of an operator by its
    /// digest.
    fn comparable(mut definition: Value) -> Value {
        unfold(&mut definition, "deployment", "deploymentSignature");
        unfold(&mut definition, "clusterDeployment", "clusterDeploymentSignature");
        if let Some(archive) = definition.pointer_mut("/clusterDeployment/operatorYamlArchive")
            && let Some(text) = archive.as_str()
        {
            *archive =
                format!("{} bytes of base64, {}", text.len(), Digest::of(text.as_bytes())).into();
        }
        definition
    }
}

/// The containers of a definition: each with its image, and what it may do beyond its own walls.
fn containers(definition: &Value, sheet: &mut Sheet) {
    let services = definition.pointer("/deployment/services").and_then(Value::as_object);
    for (name, container) in services.into_iter().flatten() {
        sheet.line("container", name);
        sheet.line("  image", text_of(container, "/image"));
        if container["privileged"] == true {
            sheet.line("  privileged", "yes");
        }
        sheet.line("  network", text_of(container, "/network"));
        for (word, member) in [("  ports", "ports"), ("  binds", "binds")] {
            let items = container[member].as_array().into_iter().flatten();
            sheet.lines(
                word,
                items.map(|it| {
                    let port = it["HostPort"].as_str().or_else(|| it.as_str());
                    port.map_or_else(|| it.to_string(), str::to_owned)
                }),
            );
        }
    }
}
