//! `edgepost agent allow`: what services can use of this host beyond the default sandbox.

use clap::Args;

use crate::{
    agent::{AllowanceChange, Allowances, allowances, change_allowances},
    cli::{Context, agent::FolderArgs, error::CliError},
    document::HostAccess,
};

const KINDS: &str = "\
Kinds of access:
  host-path=/PATH          read and change a folder or file of the host, and what is in it
  host-path=/PATH:ro       the same, to read alone
  device=/dev/NAME         a device, or a folder of devices
  capability=NAME          a Linux capability, such as NET_ADMIN; ALL is all of them
  network=host             the network of the host
  pid=host, ipc=host       the processes, the shared memory of the host
  sysctl=NAME              a kernel parameter of the container
  security-option=OPTION   such as seccomp=unconfined
  log-driver=NAME          a log driver that sends elsewhere, such as fluentd
  privileged               everything that root can do
  engine-socket            the container engine itself, and so everything that root can do

Examples:
  edgepost agent allow                                  what is allowed here
  edgepost agent allow host-path=/var/data capability=NET_ADMIN
  edgepost agent allow --remove capability=NET_ADMIN

Without any, a service has a container of its own with volumes, published ports and memory file systems.
Publishers and the exchange cannot allow anything. An agent that runs reads the list before its next pass,
within some minutes. Services that can write to one folder can mislead each other there: allow each a folder
of its own.";

/// Allow services to use more of this host than a container's usual sandbox
#[derive(Debug, Args)]
#[command(after_help = KINDS)]
pub(in crate::cli) struct AllowArgs {
    #[command(flatten)]
    folder: FolderArgs,
    /// What is allowed, KIND or KIND=VALUE; without any, the list is shown
    #[arg(value_name = "ACCESS")]
    access: Vec<HostAccess>,
    /// Allow these no more: what uses them stops
    #[arg(long, requires = "access")]
    remove: bool,
}

impl AllowArgs {
    pub(super) fn run(&self, context: &Context) -> Result<(), CliError> {
        let access = self.access.clone();
        let change = if self.remove { AllowanceChange::Remove } else { AllowanceChange::Allow };
        let changed = if access.is_empty() {
            allowances(self.folder.data())?
        } else {
            change_allowances(self.folder.data(), change(access))?
        };
        context.output.result(&changed, || describe(&changed));
        Ok(())
    }
}

fn describe(allowances: &Allowances) -> String {
    let carried_over = allowances
        .carried_over
        .iter()
        .map(|it| format!("{it}  (in use when the agent was upgraded)"));
    let all: Vec<_> =
        allowances.allow.iter().map(ToString::to_string).chain(carried_over).collect();
    if all.is_empty() { "nothing beyond the usual sandbox".to_owned() } else { all.join("\n") }
}
