//! What `service`, `pattern` and `policy` have in common: publishing, listing, showing, comparing,
//! verifying and removing a signed document.

mod diff;
mod live;
mod noun;
mod summary;
mod verify;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use clap::Args;
use serde_json::{Value, json};

pub(super) use self::{
    diff::diff,
    noun::{Noun, Publication, absent, not_kept, text_of, unfold},
    summary::{Sheet, service},
    verify::{
        Newest, VerifyArgs, describe_verified, horizon_lines, tell_verified, unsigned_row, verify,
    },
};
use crate::{
    cli::{
        Context, check::Reach, code, error::CliError, key::KeyArgs, output::FormatArgs,
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
    let client = context.client()?;
    let mut rows = client.rows(kind).await?;
    let signed = live::signed_documents(kind, &client).await?;
    if let Some(signed) = &signed {
        for (name, row) in &mut rows {
            mark(row, signed.contains(without_org(name)));
        }
        note_hidden(N::WORD, signed, &rows, context);
    }
    list_rows::<N>(&rows, format, context);
    Ok(())
}

/// Lists the one document that can be there.
pub(super) async fn list_one<N: Noun>(
    noun: &N,
    format: &FormatArgs,
    context: &Context,
) -> Result<(), CliError> {
    let row = match live::shown(noun, context).await {
        Ok(row) => Some(row),
        Err(error) if error.code() == code::NOT_FOUND => None,
        Err(error) => return Err(error),
    };
    let rows = row.map(|row| (noun.name().to_owned(), row)).into_iter().collect();
    list_rows::<N>(&rows, format, context);
    Ok(())
}

/// Says in a row whether a signed document has its name.
fn mark(row: &mut Value, is_signed: bool) {
    if let Some(members) = row.as_object_mut() {
        members.insert(live::SIGNED.to_owned(), Value::Bool(is_signed));
    }
}

/// Names the signed documents that the exchange's list does not have, although nodes go by them.
fn note_hidden(
    word: &str,
    signed: &BTreeSet<String>,
    rows: &BTreeMap<String, Value>,
    context: &Context,
) {
    let listed: BTreeSet<_> = rows.keys().map(|name| without_org(name)).collect();
    let hidden: Vec<_> = signed.iter().filter(|id| !listed.contains(id.as_str())).collect();
    if let [first, rest @ ..] = hidden.as_slice() {
        let more =
            if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
        context.output.note(format!(
            "note: {word} {first}{more} is signed and missing from the list: publish it again, or remove it"
        ));
    }
}

fn list_rows<N: Noun>(rows: &BTreeMap<String, Value>, format: &FormatArgs, context: &Context) {
    let has_marks = rows.values().any(|row| row.get(live::SIGNED).is_some());
    let headings = [N::HEADINGS, if has_marks { &["SIGNED"] } else { &[] }].concat();
    let lines = rows.iter().map(|(name, row)| {
        let mark = row.get(live::SIGNED).map(|it| if *it == false { "no" } else { "yes" });
        N::cells(name, row).into_iter().chain(mark.map(str::to_owned)).collect()
    });
    format.of(context.output).list(rows, &headings, lines);
}

/// Shows a document as the exchange has it.
pub(super) async fn show<N: Noun>(
    noun: &N,
    format: &FormatArgs,
    context: &Context,
) -> Result<(), CliError> {
    let row = live::shown(noun, context).await?;
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

/// Publishes a document, or says what that would do. What protects it now; `None` where nothing was done.
pub(super) async fn publish<N: Publication>(
    noun: &N,
    written: &N::Written,
    args: &PublishingArgs,
    horizon_key: Option<HorizonKey>,
    context: &Context,
) -> Result<Option<TrustGrade>, CliError> {
    let publisher =
        args.keys.publisher(context)?.trusting(args.pin.root()).horizon_key(horizon_key);
    if args.dry_run {
        let plan = noun.plan(&publisher, written).await?;
        let reach = noun.reach(written, context).await.unwrap_or_else(|error| {
            context.output.note(format!("note: nodes cannot be counted: {}", error.what()));
            None
        });
        tell_plan(noun, plan, reach, context);
        return Ok(None);
    }
    let outcome = noun.publish(&publisher, written).await?;
    tell_published(&outcome, context);
    Ok(Some(outcome.trust))
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
        (true, _) if published.credentials_replaced => {
            "unchanged; pull credentials replaced".to_owned()
        }
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
