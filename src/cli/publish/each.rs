//! One service for several architectures: a definition for each, and one commit each.

use std::path::Path;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::{
    NEXT, PublishArgs, describe_plan, name_of, note_host_access, note_images, note_no_login,
    stopped,
};
use crate::{
    cli::{
        Context, code, documents::describe_published, error::CliError, project::read_definition,
        registries::warn_of_pushable, stop_signal,
    },
    document::ServiceDefinition,
    publish::{Order, PublishPlan, Published, PullLogin},
    types::Arch,
};

/// For which architectures a service is published.
#[derive(Debug, Args)]
pub(super) struct EachArgs {
    /// Publish for this architecture, which $ARCH then stands for in the definition; repeatable: one definition
    /// each. Without it: the definition's own
    #[arg(long, value_name = "ARCH", env = "EDGEPOST_ARCH", value_delimiter = ',')]
    arch: Vec<Arch>,
    /// Publish for each architecture that all images of the definition are there for
    #[arg(long, value_enum, value_name = "WHICH", conflicts_with = "arch")]
    platforms: Option<Which>,
}

/// Which platforms are meant.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Which {
    /// Every Linux platform that the images have
    All,
}

impl EachArgs {
    /// Whether more than the definition's own architecture is meant.
    pub(super) fn is_asked_for(&self) -> bool {
        self.platforms.is_some() || !self.arch.is_empty()
    }
}

/// Services that were published, in the order of their commits.
#[derive(Debug, Serialize)]
struct PublishedEach {
    services: Vec<Published>,
}

/// What publishing several services would do.
#[derive(Debug, Serialize)]
struct PlanEach {
    services: Vec<PublishPlan>,
}

impl PublishArgs {
    /// Runs the command for several architectures.
    pub(super) async fn run_each(&self, context: &Context) -> Result<(), CliError> {
        let output = context.output;
        let file = self.file(context)?;
        if file == Path::new("-") {
            return Err(CliError::new(
                code::USAGE,
                "a definition on stdin is for one architecture",
            )
            .help("give the definition as a file"));
        }
        let logins = self.logins.read(context)?;
        let publisher = self.publisher(context)?;
        let arches = self.arches(&file, &logins, context).await?;
        // All are read and checked before the first is published.
        let orders = arches.iter().map(|arch| self.order_for(&file, arch, &logins, context));
        let mut orders: Vec<Order> = orders.collect::<Result<_, _>>()?;
        for order in &mut orders {
            self.complete_authorities(order, context).await?;
        }
        let Some(first) = orders.first() else {
            return Err(CliError::new(code::SOURCE, "the images have no platform in common")
                .at(file.display())
                .help("name one by --arch"));
        };
        let registries = self.registries(first, context);
        if self.dry_run {
            let mut services = Vec::new();
            for order in &orders {
                services.push(publisher.plan(order, &registries).await?);
            }
            let images = services.iter().flat_map(|it| &it.images);
            note_images(images.flat_map(|it| &it.notes), output);
            output.result(&PlanEach { services: services.clone() }, || {
                services.iter().map(|plan| describe_plan(plan) + "\n").collect()
            });
            return Ok(());
        }
        // A refusal of a later one leaves nothing of an earlier one behind.
        for order in orders.iter().skip(1) {
            publisher.plan(order, &registries).await?;
        }
        let teller = self.transfer.progress.teller("push", output);
        let mut services = Vec::new();
        for order in &orders {
            output
                .step("service", format!("{} from {}", name_of(&order.definition), file.display()));
            let outcome = tokio::select! {
                outcome = publisher.publish(order, &registries, &teller) => outcome,
                () = stop_signal() => return Err(stopped_after(&services)),
            };
            services.push(outcome.map_err(|error| after(error.into(), &services))?);
        }
        drop(teller);
        note_no_login(first, output);
        note_host_access(first, output);
        let images = services.iter().flat_map(|it| &it.images);
        note_images(images.flat_map(|it| &it.notes), output);
        let pushable = services.iter().flat_map(|it| it.pushable.clone()).collect();
        warn_of_pushable(&pushable, context);
        let each = PublishedEach { services };
        output.result(&each, || {
            each.services.iter().map(|it| describe_published(it) + "\n").collect()
        });
        output.next(NEXT);
        Ok(())
    }

    /// The architectures that are meant, each once.
    async fn arches(
        &self,
        file: &Path,
        logins: &[PullLogin],
        context: &Context,
    ) -> Result<Vec<Arch>, CliError> {
        if self.each.platforms.is_none() {
            let mut arches: Vec<Arch> = Vec::new();
            for arch in &self.each.arch {
                if !arches.contains(arch) {
                    arches.push(arch.clone());
                }
            }
            return Ok(arches);
        }
        let definition = read_definition(file, context, ServiceDefinition::from_source)?;
        let order = self.order(file, definition, logins.to_vec(), context)?;
        let registries = self.registries(&order, context);
        let arches = self.publisher(context)?.architectures(&order, &registries).await?;
        let names: Vec<_> = arches.iter().map(Arch::as_str).collect();
        context.output.step("platforms", names.join(", "));
        Ok(arches)
    }

    /// The order for one architecture.
    fn order_for(
        &self,
        file: &Path,
        arch: &Arch,
        logins: &[PullLogin],
        context: &Context,
    ) -> Result<Order, CliError> {
        let environment = context.environment.with("ARCH", arch.as_str());
        let context = Context { environment, ..context.clone() };
        let definition = read_definition(file, &context, ServiceDefinition::from_source)?;
        self.order(file, definition.for_arch(arch), logins.to_vec(), &context)
    }
}

/// What Ctrl-C in the middle means.
fn stopped_after(published: &[Published]) -> CliError {
    if published.is_empty() {
        return stopped();
    }
    let error = CliError::new(code::CANCELLED, "stopped before the next commit");
    after(error.help("the same command goes on where it stopped"), published)
}

/// The error, with what was published before it.
fn after(error: CliError, published: &[Published]) -> CliError {
    let before = published.iter().map(|it| format!("published before it: {}", it.key));
    error.details(before.collect::<Vec<_>>())
}
