//! `edgepost publish`: a service, from its definition to the nodes.

mod authorities;
mod each;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use jiff::SignedDuration;

use crate::{
    agent::allow_command,
    cli::{
        Context, code,
        documents::tell_published,
        error::CliError,
        horizon_key::HorizonKeyArgs,
        key::KeyArgs,
        operator::read_operator,
        output::Output,
        project::{find_in_project, read_definition},
        pull_logins::PullLoginArgs,
        registries::{as_node, warn_of_pushable, with_logins},
        stop_signal,
        transfer::{PackingArgs, PushArgs, TransferArgs},
    },
    document::{ServiceDefinition, ServicePolicy},
    image::{LocalPlace, Place, engine::EngineEndpoint},
    publish::{
        DocumentPlan, Existing, ImageNote, Order, PublishPlan, Publisher, PullLogin, Registries,
        Source,
    },
    registry::client::{ClientConfig, RegistryClient},
};

/// Publish a service: push its images, pin, sign and commit it
///
/// From the engine of this machine:  edgepost publish horizon/service.definition.json -r reg.example:puller:TOKEN
/// From an OCI layout, without any engine:  edgepost publish service.json --source oci:build/image
/// For every platform that its image has:  edgepost publish service.json --platforms all --dry-run
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct PublishArgs {
    /// The service definition, in JSON or YAML; `-` is stdin. Without it: `definition` of edgepost.toml, or
    /// service.definition.json here, in horizon/, or above
    file: Option<PathBuf>,
    #[command(flatten)]
    logins: PullLoginArgs,
    #[command(flatten)]
    keys: KeyArgs,
    #[command(flatten)]
    horizon_key: HorizonKeyArgs,
    /// Where images come from, [IMAGE=]PLACE; repeatable. PLACE is docker:[SOCKET] or docker:IMAGE (an engine),
    /// docker-archive:FILE, oci-archive:FILE or oci:FOLDER, each with :NAME where it has several, registry:
    /// (pushed before), or an image of another registry. Without it: the engine of this machine, then the registry
    #[arg(long, value_name = "SOURCE")]
    source: Vec<String>,
    /// Properties and constraints that go with the service
    #[arg(long, value_name = "FILE")]
    service_policy: Option<PathBuf>,
    #[command(flatten)]
    authorities: authorities::AuthorityArgs,
    #[command(flatten)]
    each: each::EachArgs,
    #[command(flatten)]
    packing: PackingArgs,
    #[command(flatten)]
    push: PushArgs,
    #[command(flatten)]
    transfer: TransferArgs,
    /// Wait up to this long in each step for rights that take time to arrive, and for a scan or quarantine of what was
    /// pushed: 90s, 15m, 1h
    #[arg(long, value_name = "TIME", value_parser = waiting_time)]
    wait: Option<Duration>,
    /// Publish over other content that stands under the same version
    #[arg(short = 'O', long)]
    overwrite: bool,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
}

impl PublishArgs {
    /// Runs the command.
    pub(super) async fn run(&self, context: &Context) -> Result<(), CliError> {
        if self.each.is_asked_for() {
            return self.run_each(context).await;
        }
        let output = context.output;
        let file = self.file(context)?;
        let definition = read_definition(&file, context, ServiceDefinition::from_source)?;
        output.step("service", format!("{} from {}", name_of(&definition), file.display()));
        let mut order = self.order(&file, definition, self.logins.read(context)?, context)?;
        self.complete_authorities(&mut order, context).await?;
        let registries = self.registries(&order, context);
        let publisher = self.publisher(context)?;
        if self.dry_run {
            let plan = publisher.plan(&order, &registries).await?;
            note_host_access(&order, output);
            note_images(plan.images.iter().flat_map(|it| &it.notes), output);
            output.result(&plan, || describe_plan(&plan));
            return Ok(());
        }
        let teller = self.transfer.progress.teller("push", output);
        let outcome = tokio::select! {
            outcome = publisher.publish(&order, &registries, &teller) => outcome?,
            () = stop_signal() => return Err(stopped()),
        };
        drop(teller);
        note_no_login(&order, output);
        note_host_access(&order, output);
        note_images(outcome.images.iter().flat_map(|it| &it.notes), output);
        warn_of_pushable(&outcome.pushable, context);
        tell_published(&outcome, context);
        output.next(NEXT);
        Ok(())
    }

    /// The file of the definition.
    fn file(&self, context: &Context) -> Result<PathBuf, CliError> {
        self.file.clone().map_or_else(|| find_definition(context), Ok)
    }

    fn order(
        &self,
        file: &Path,
        definition: ServiceDefinition,
        logins: Vec<PullLogin>,
        context: &Context,
    ) -> Result<Order, CliError> {
        let policy = self
            .service_policy
            .as_deref()
            .map(|file| read_definition(file, context, ServicePolicy::from_source))
            .transpose()?;
        let registry_ca = self.authorities.named(&definition)?;
        Ok(Order {
            operator: read_operator(file, &definition, context)?,
            definition,
            policy,
            logins,
            registry_ca,
            sources: self.sources(context)?,
            packing: self.packing.packing(context),
            foreign: self.push.options().foreign,
            wait: self.wait.unwrap_or_default(),
            existing: if self.overwrite { Existing::Overwrite } else { Existing::Refuse },
        })
    }

    fn sources(&self, context: &Context) -> Result<Vec<Source>, CliError> {
        let found = context.environment.engine()?;
        if self.source.is_empty() {
            let engine = found.map(|it| Place::Local(LocalPlace::Engine(it, None)));
            let places = engine.into_iter().chain([Place::Registry(None)]);
            return Ok(places.map(|place| Source { image: None, place }).collect());
        }
        let engine = found.unwrap_or_else(default_engine);
        let read = |text: &String| {
            Source::parse(text, &engine)
                .map_err(|error| CliError::new(code::USAGE, error.to_string()))
        };
        self.source.iter().map(read).collect()
    }

    /// Adds the certificate authorities by which this machine trusts the registries of the images.
    async fn complete_authorities(
        &self,
        order: &mut Order,
        context: &Context,
    ) -> Result<(), CliError> {
        let config = self.push_config(order, context);
        let Order { registry_ca, definition, .. } = order;
        self.authorities.complete(registry_ca, definition, config, context).await
    }

    /// How the publisher speaks with registries.
    fn push_config(&self, order: &Order, context: &Context) -> ClientConfig {
        let mut config = self.transfer.config(context);
        for (registry, ca) in &order.registry_ca {
            config.ca.entry(registry.clone()).or_default().push(ca.clone());
        }
        config
    }

    /// The registries as the publisher speaks with them, and as nodes will.
    fn registries(&self, order: &Order, context: &Context) -> Registries {
        let config = self.push_config(order, context);
        let pull = if self.authorities.are_left_out() {
            with_logins(config.clone(), &order.logins)
        } else {
            as_node(config.clone(), &order.logins, &order.registry_ca)
        };
        Registries { push: RegistryClient::new(config), pull: RegistryClient::new(pull) }
    }

    fn publisher(&self, context: &Context) -> Result<Publisher, CliError> {
        Ok(self.keys.publisher(context)?.horizon_key(self.horizon_key.read(context)?))
    }
}

/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_hours(24);

/// Reads a time such as `90s` or `15m`.
fn waiting_time(text: &str) -> Result<Duration, String> {
    let time = text.parse::<SignedDuration>().ok().and_then(|it| Duration::try_from(it).ok());
    time.filter(|it| *it <= LONGEST_WAIT)
        .ok_or_else(|| format!("`{text}` is no time of up to 24h: expected 90s, 15m or 1h"))
}

/// What usually comes after.
const NEXT: &str = "edgepost pattern publish FILE, or edgepost policy publish NAME FILE";

fn note_no_login(order: &Order, output: Output) {
    if order.logins.is_empty() && order.definition.has_deployment() {
        output.note("note: without -r, nodes pull with no credentials");
    }
}

/// Says what the publisher should know about the images; each sentence once.
fn note_images<'a>(notes: impl Iterator<Item = &'a ImageNote>, output: Output) {
    let sentences: BTreeSet<String> = notes.map(ToString::to_string).collect();
    for sentence in sentences {
        output.note(format!("note: {sentence}"));
    }
}

/// Names what nodes have to allow.
fn note_host_access(order: &Order, output: Output) {
    let needs = order.definition.host_access();
    if needs.is_empty() {
        return;
    }
    let each: Vec<_> = needs.iter().map(|it| format!("{} ({})", it.access, it.field)).collect();
    output.note(format!(
        "note: the service needs {} of its host; the owner of each node allows it: {}",
        each.join(", "),
        allow_command(needs.iter().map(|it| &it.access)),
    ));
}

/// The definition of the project: `definition` of its edgepost.toml, or where Horizon's projects keep
/// it, here and in the folders above.
fn find_definition(context: &Context) -> Result<PathBuf, CliError> {
    let names = ["service.definition.json", "horizon/service.definition.json"];
    let settings = context.environment.project_settings(context.environment.current_folder())?;
    let set = settings.and_then(|it| Some(it.path.with_file_name(it.definition?)));
    find_in_project(context, set, &names, "edgepost publish")
}

/// What Ctrl-C in the middle means.
fn stopped() -> CliError {
    CliError::new(code::CANCELLED, "stopped before the commit: nothing was published")
        .help("the same command goes on where it stopped")
}

/// What `docker:` means where no engine answers: the error then names this place.
fn default_engine() -> EngineEndpoint {
    EngineEndpoint::Unix(PathBuf::from("/var/run/docker.sock"))
}

fn name_of(definition: &ServiceDefinition) -> String {
    format!("{} {} for {}", definition.url, definition.version, definition.arch)
}

fn describe_plan(plan: &PublishPlan) -> String {
    let document = match plan.document {
        DocumentPlan::New => "would be published for the first time",
        DocumentPlan::Unchanged => "is published already, unchanged",
        DocumentPlan::SignedAnew => {
            "is published by keys that count no more: it would be signed anew"
        }
        DocumentPlan::Different => "is published with other content: --overwrite would replace it",
    };
    let images = plan.images.iter().map(|it| {
        let pushed = if it.in_registry { "is in its registry" } else { "would be pushed" };
        format!("{} ({}, {} bytes, from {}) {pushed}\n", it.image, it.platform, it.size, it.from)
    });
    images.collect::<String>() + &format!("{} {document}", plan.key)
}
