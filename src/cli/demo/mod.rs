//! `edgepost demo`: the whole story on one machine.

mod attacks;
mod executable;
mod narrator;
mod node;
mod publisher;
mod stage;
mod thief;

use clap::Args;

use crate::cli::{
    Context,
    agent::Engine,
    code,
    demo::{narrator::Narrator, stage::Stage},
    error::CliError,
    stop_signal,
};

/// Tell the whole story on this machine: publish, verify, run, update, attack
///
/// A hub starts on a free loopback port in a temporary folder; a service is published, a node verifies and
/// runs it, takes an update, and refuses five attacks by name. Nothing is left behind.
#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// Which engine runs the containers; none: images are pulled and verified only
    #[arg(long, value_enum, default_value = "auto")]
    engine: Engine,
}

impl DemoArgs {
    /// Tells the story; an error unless every step held.
    pub(super) async fn run(&self, context: &Context) -> Result<(), CliError> {
        let mut stage = Stage::new(self.engine, context)?;
        let mut narrator = Narrator::new(context.output);
        let stopped = tokio::select! {
            _ = tell(&mut stage, &mut narrator) => false,
            () = stop_signal() => true,
        };
        stage.clear().await;
        if stopped {
            return Err(CliError::new(code::CANCELLED, "the demonstration was stopped")
                .help("nothing was left behind"));
        }
        narrator.end()
    }
}

/// The story. A step that does not hold ends it, since the next ones stand on it.
async fn tell(stage: &mut Stage, narrator: &mut Narrator) -> Option<()> {
    narrator.step("hub", stage.start_hub()).await?;
    narrator.step("organization", stage.make_organization()).await?;
    narrator.step("trust", stage.make_trust()).await?;
    narrator.step("image", stage.make_image("1.0.0")).await?;
    narrator.step("publish", stage.publish("1.0.0")).await?;
    narrator.step("pattern", stage.publish_pattern("1.0.0")).await?;
    narrator.step("register", stage.register()).await?;
    narrator.step("run", stage.settle("1.0.0")).await?;
    narrator.step("image-2", stage.make_image("2.0.0")).await?;
    narrator.step("publish-2", stage.publish("2.0.0")).await?;
    narrator.step("pattern-2", stage.publish_pattern("2.0.0")).await?;
    narrator.step("update", stage.settle("2.0.0")).await?;
    narrator.step("image-3", stage.make_image("3.0.0")).await?;
    narrator.step("publish-3", stage.publish("3.0.0")).await?;
    narrator.step("pattern-3", stage.publish_pattern("3.0.0")).await?;
    narrator.step("altered", attacks::altered(stage)).await?;
    narrator.step("stranger", attacks::stranger(stage)).await?;
    narrator.step("rollback", attacks::rollback(stage)).await?;
    narrator.step("freeze", attacks::freeze(stage)).await?;
    narrator.step("swapped-layer", attacks::swapped_layer(stage)).await?;
    narrator.step("recovery", stage.settle("3.0.0")).await
}
