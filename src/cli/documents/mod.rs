//! What `service`, `pattern` and `policy` have in common: publishing, listing, showing, comparing,
//! verifying and removing a signed document.

mod diff;
mod horizon;
mod noun;
mod summary;
mod verify;

use std::{collections::BTreeMap, path::Path};

use clap::Args;
use serde_json::{Value, json};

pub(super) use self::{
    diff::diff,
    noun::{Noun, Publication, absent, not_kept, text_of, unfold},
    summary::{Sheet, service},
    verify::{Newest, VerifyArgs, describe_verified, tell_verified, verify},
};
use crate::{
    cli::{
        Context, check::Reach, error::CliError, key::KeyArgs, output::FormatArgs,
        project::read_definition, removal::ForceArgs, trust::PinArgs,
    },
    publish::{DocumentPlan, Published, TrustGrade},
    sign::compat::horizon::HorizonKey,
    types::DocumentKind,
};

/// How a document is published.
#[derive(Debug, Args)]
pub(super) struct PublishingArgs {
    #[command(flatten)]
    keys: KeyArgs,
    #[command(flatten)]
    pin: PinArgs,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// Which document, as it is called in lists
#[derive(Debug, Args)]
pub(super) struct NameArgs {
    /// Its name, as `list` shows it
    pub(super) name: String,
}

/// How a document is removed.
#[derive(Debug, Args)]
pub(super) struct RemovingArgs {
    #[command(flatten)]
    keys: KeyArgs,
    #[command(flatten)]
    pin: PinArgs,
    #[command(flatten)]
    force: ForceArgs,
}

/// The name alone: `list` shows names with their organization, which is the command's anyway.
pub(super) fn without_org(name: &str) -> &str {
    name.rsplit_once('/').map_or(name, |(_, name)| name)
}

/// Lists the documents of a kind.
pub(super) async fn list<N: Noun>(
    kind: DocumentKind,
    format: &FormatArgs,
    context: &Context,
) -> Result<(), CliError> {
    list_rows::<N>(&context.client()?.rows(kind).await?, format, context);
    Ok(())
}

/// Lists the one document that can be there.
pub(super) async fn list_one<N: Noun>(
    noun: &N,
    format: &FormatArgs,
    context: &Context,
) -> Result<(), CliError> {
    let row = noun.row(&context.client()?).await?;
    let rows = row.map(|row| (noun.name().to_owned(), row)).into_iter().collect();
    list_rows::<N>(&rows, format, context);
    Ok(())
}

fn list_rows<N: Noun>(rows: &BTreeMap<String, Value>, format: &FormatArgs, context: &Context) {
    let lines = rows.iter().map(|(name, row)| N::cells(name, row));
    format.of(context.output).list(rows, N::HEADINGS, lines);
}

/// Shows a document as the exchange has it.
pub(super) async fn show<N: Noun>(
    noun: &N,
    format: &FormatArgs,
    context: &Context,
) -> Result<(), CliError> {
    let row = noun.row(&context.client()?).await?.ok_or_else(|| absent(noun))?;
    format.of(context.output).result(&row, || summary::of_row(noun, &row));
    Ok(())
}

/// Reads a document from its file.
pub(super) fn read<N: Noun>(file: &Path, context: &Context) -> Result<N::Written, CliError> {
    read_definition(file, context, N::read)
}

/// Reads a document of the same kind as `noun` from its file.
pub(super) fn read_as<N: Noun>(
    _noun: &N,
    file: &Path,
    context: &Context,
) -> Result<N::Written, CliError> {
    read::<N>(file, context)
}

/// Publishes a document, or says what that would do.
pub(super) async fn publish<N: Publication>(
    noun: &N,
    written: &N::Written,
    args: &PublishingArgs,
    horizon_key: Option<HorizonKey>,
    context: &Context,
) -> Result<(), CliError> {
    let publisher =
        args.keys.publisher(context)?.trusting(args.pin.root()).horizon_key(horizon_key);
    if args.dry_run {
        let plan = noun.plan(&publisher, written).await?;
        let reach = noun.reach(written, context).await.unwrap_or_else(|error| {
            context.output.note(format!("note: nodes cannot be counted: {}", error.what()));
            None
        });
        tell_plan(noun, plan, reach, context);
    } else {
        tell_published(&noun.publish(&publisher, written).await?, context);
    }
    Ok(())
}

/// Says what publishing a document would do.
fn tell_plan<N: Noun>(noun: &N, plan: DocumentPlan, reach: Option<Reach>, context: &Context) {
    let key = noun.key();
    let what = format!("{} {}", N::WORD, noun.name());
    let counted = reach.map(|it| format!("; {it}")).unwrap_or_default();
    let told = json!({"key": key, "document": plan, "reach": reach});
    context.output.result(&told, || match plan {
        DocumentPlan::New => format!("{what} would be published for the first time{counted}"),
        DocumentPlan::Unchanged => format!("{what} is published already, unchanged{counted}"),
        DocumentPlan::SignedAnew => {
            format!("{what} would be signed anew: the keys that signed it count no more{counted}")
        }
        DocumentPlan::Different => format!("{what} would be published over other content{counted}"),
    });
}

/// Says what publishing a document did.
pub(super) fn tell_published(published: &Published, context: &Context) {
    context.output.result(published, || describe_published(published));
}

/// What publishing a document did, in words.
pub(super) fn describe_published(published: &Published) -> String {
    let images = published.images.iter().map(|it| format!("{}\n", it.image));
    let how = match (published.unchanged, published.trust) {
        (true, _) => "unchanged".to_owned(),
        (false, TrustGrade::Full) => format!("published, seq {}", published.seq),
        (false, TrustGrade::Horizon) => {
            "published with Horizon-grade trust: only a service's deployment is signed".to_owned()
        }
    };
    images.collect::<String>() + &format!("{} {how}", published.key)
}

/// Withdraws a document: a signed tombstone takes its place.
pub(super) async fn remove<N: Noun>(
    noun: &N,
    args: &RemovingArgs,
    context: &Context,
) -> Result<(), CliError> {
    let what = format!("{} {}", N::WORD, noun.name());
    args.force.confirm(&what)?;
    let publisher = args.keys.publisher(context)?.trusting(args.pin.root());
    if !noun.withdraw(&publisher).await? {
        return Err(absent(noun));
    }
    context
        .output
        .result(&json!({"ok": true, "withdrawn": noun.key(), "what": what}), || what.clone());
    Ok(())
}
