//! `edgepost bundle export`: what is published, into a file.

use std::path::PathBuf;

use clap::Args;

use super::FileArgs;
use crate::{
    bundle::{Exported, Exporter, Inventory, Selection, export},
    cli::{
        Context, code,
        documents::without_org,
        error::{CliError, file_error},
        files::read_at_most,
        progress::amount,
        stop_signal,
        transfer::TransferArgs,
        trust::PinArgs,
    },
    types::{Arch, DocumentKey},
};

/// The longest inventory that is read, in bytes: room for some 100,000 blobs.
const LONGEST_INVENTORY: u64 = 16 << 20;

/// Write documents and images of the organization into a file
///
/// For every node:      edgepost bundle export site.tar --trust-sha256 PIN
/// For one node:        edgepost bundle export site.tar --arch arm64 --service hello_1.0.0_arm64
/// What it lacks:       edgepost bundle export site.tar --for inventory.json
///
/// Every signed document goes into it, since nodes decide by them. The images are fetched with the logins
/// of this user.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(in crate::cli) struct ExportArgs {
    #[command(flatten)]
    file: FileArgs,
    /// Take the images of this service and of those that it requires, instead of all; repeatable
    #[arg(long, value_name = "SERVICE", value_parser = service_key)]
    service: Vec<DocumentKey>,
    /// Take the images of services for this architecture alone; repeatable
    #[arg(long, value_name = "ARCH", conflicts_with = "service")]
    arch: Vec<Arch>,
    /// Take no images: the node has them, or reaches their registry
    #[arg(long, conflicts_with_all = ["service", "arch"])]
    no_images: bool,
    /// Leave out what a node has, by what `edgepost bundle inventory` said there
    #[arg(long = "for", value_name = "INVENTORY")]
    inventory: Option<PathBuf>,
    #[command(flatten)]
    pin: PinArgs,
    #[command(flatten)]
    transfer: TransferArgs,
}

/// Reads a service's id, with its organization or without.
fn service_key(text: &str) -> Result<DocumentKey, String> {
    let key = format!("service/{}", without_org(text));
    key.parse().map_err(|error: <DocumentKey as std::str::FromStr>::Err| error.to_string())
}

impl ExportArgs {
    pub(super) async fn run(&self, context: &Context) -> Result<(), CliError> {
        let client = context.client()?;
        let selection = Selection {
            services: self.service.clone(),
            arches: self.arch.clone(),
            without_images: self.no_images,
            held: self.held()?,
        };
        let from = Exporter {
            exchange: &client,
            root: self.pin.root(),
            registries: self.transfer.config(context),
            now: context.clock.now(),
        };
        if !self.pin.is_given() {
            context
                .output
                .note("note: taking the exchange's word for the trust; nodes go by their own pin");
        }
        let file = &self.file.file;
        let teller = self.transfer.progress.teller("fetch", context.output);
        let exported = tokio::select! {
            exported = export(file, &from, &selection, &teller) => exported?,
            () = stop_signal() => {
                return Err(CliError::new(code::CANCELLED, "stopped; no bundle was written")
                    .help("the same command goes on where it stopped"));
            }
        };
        drop(teller);
        for (key, why) in &exported.refused {
            context
                .output
                .note(format!("note: no images of {key}, which no node would take: {why}"));
        }
        context.output.result(&exported, || describe(&exported, &file.display().to_string()));
        Ok(())
    }

    fn held(&self) -> Result<Option<Inventory>, CliError> {
        let Some(path) = &self.inventory else { return Ok(None) };
        let bytes =
            read_at_most(path, LONGEST_INVENTORY).map_err(|error| file_error(path, &error))?;
        let inventory = serde_json::from_slice(&bytes).map_err(|error| {
            CliError::new(code::BUNDLE, "the inventory cannot be read")
                .at(path.display())
                .because(&error)
                .help("give what `edgepost bundle inventory --json` printed on the node, as it is")
        })?;
        Ok(Some(inventory))
    }
}

fn describe(exported: &Exported, file: &str) -> String {
    format!(
        "{file}: documents {}, images {}, services {}; {}\nits stamp holds until {}: import it by then, or as root with --accept-stale",
        exported.documents,
        exported.images,
        exported.services.len(),
        amount(exported.bytes),
        exported.stamp_expires,
    )
}
