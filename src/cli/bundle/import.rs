//! `edgepost bundle import`: what a bundle brings, into this node.

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::FileArgs;
use crate::{
    agent::Agent,
    bundle::Bundle,
    cli::{
        Context,
        agent::{Engine, FolderArgs, reached, settled},
        code,
        error::CliError,
        stop_signal,
    },
    trust::Freshness,
};

/// Let this node take what a bundle brings, verified as what an exchange and a registry give
///
/// The node settles by it once: 0 settled, 8 refused by trust, 9 nothing fits. An agent that runs here is
/// stopped first and started again afterwards; what runs goes on meanwhile.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(in crate::cli) struct ImportArgs {
    #[command(flatten)]
    file: FileArgs,
    #[command(flatten)]
    folder: FolderArgs,
    /// Which engine runs the containers; none: images are pulled and verified only
    #[arg(long, value_enum, default_value = "auto", env = "EDGEPOST_ENGINE")]
    engine: Engine,
    /// Take it though its stamp has expired: newer states may exist that nobody here knows of. For root alone, and
    /// written down in the node's status
    #[arg(long)]
    accept_stale: bool,
}

impl ImportArgs {
    pub(super) async fn run(&self, context: &Context) -> Result<(), CliError> {
        let freshness = self.freshness(context)?;
        let config = self.folder.config(context, self.engine, reached(context))?;
        let bundle = Bundle::open(&self.file.file).await?;
        let mut agent = Agent::open(config).await?;
        let (node, theirs) = (agent.identity().node.clone(), bundle.org());
        if *theirs != node.org {
            return Err(CliError::new(code::BUNDLE, format!("the bundle is of {theirs}"))
                .at(self.file.file.display())
                .why(format!("this node is {node}"))
                .help("export one with the credentials of the node's organization"));
        }
        let shutdown = CancellationToken::new();
        let stopped = shutdown.clone();
        tokio::spawn(async move {
            stop_signal().await;
            stopped.cancel();
        });
        let Some(outcome) = agent.import_until(bundle, freshness, &shutdown).await else {
            return Err(CliError::new(code::CANCELLED, "stopped; what was copied stays")
                .help("the same command goes on where it stopped"));
        };
        settled(&outcome, context)
    }

    fn freshness(&self, context: &Context) -> Result<Freshness, CliError> {
        let now = context.clock.now().into();
        if self.accept_stale { waived(now, rustix::process::geteuid().is_root()) } else { Ok(now) }
    }
}

/// What has expired may be taken at the word of root: whoever is that could change the node's marks anyway.
fn waived(now: Freshness, is_root: bool) -> Result<Freshness, CliError> {
    if is_root {
        return Ok(now.with_expiry_waived());
    }
    Err(CliError::new(code::ROOT_ONLY, "only root may accept what is stale")
        .why("a state whose stamp has expired may be one that somebody has brought back on purpose")
        .help("run it as root, or export a new bundle"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_alone_accepts_what_is_stale() {
        let now = Freshness::from(jiff::Timestamp::UNIX_EPOCH);
        assert!(waived(now, true).unwrap().is_expiry_waived());
        assert_eq!(waived(now, false).unwrap_err().code().id, "E0406");
    }
}
