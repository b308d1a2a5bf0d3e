//! What the commands need to know of a kind of document. A new kind is one implementation more.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    cli::{Context, check::Reach, documents::summary::Sheet, error::CliError},
    document::{Problem, Problems, Source},
    exchange::client::{ExchangeClient, ExchangeError},
    publish::{DocumentPlan, PublishError, Published, Publisher},
    types::{DocumentBody, DocumentKey},
};

/// One document of a kind.
pub(in crate::cli) trait Noun {
    /// What its author writes.
    type Written: Serialize + DeserializeOwned;
    /// What is signed: the same, or what it is a part of.
    type Signed: DocumentBody + DeserializeOwned;

    /// The word for it.
    const WORD: &'static str;
    /// The command that lists its kind.
    const LISTED_BY: &'static str;
    /// Over the columns of a list.
    const HEADINGS: &'static [&'static str];

    /// What it is called, as in a list.
    fn name(&self) -> &str;

    /// What is signed under which name.
    fn key(&self) -> DocumentKey;

    /// Reads what its author has written, with warnings; or tells everything that is wrong with it.
    fn read(source: &Source) -> Result<(Self::Written, Vec<Problem>), Problems>;

    /// What the exchange keeps of it for everybody: its row.
    async fn row(&self, client: &ExchangeClient) -> Result<Option<Value>, ExchangeError> {
        client.row(&self.key()).await
    }

    /// Its line in a list.
    fn cells(name: &str, row: &Value) -> Vec<String>;

    /// What it says, for people.
    fn summary(&self, said: &Self::Written, sheet: &mut Sheet);

    /// What would be signed, fit to be compared.
    fn written(written: &Self::Written) -> Value {
        // Every key is a text, so that this cannot fail.
        serde_json::to_value(written).unwrap_or_default()
    }

    /// Its part of what is signed, fit to be compared; `None` where nothing is said about it.
    fn signed(body: Value) -> Option<Value> {
        Some(body)
    }

    /// Whether there is anything of it in what is signed.
    fn is_in(_signed: &Self::Signed) -> bool {
        true
    }

    /// The form in which both sides are compared.
    fn comparable(said: Value) -> Value {
        said
    }

    /// Exactly what `hzn` sends for it.
    fn to_horizon(written: &Self::Written) -> Value;

    /// Withdraws it: a signed tombstone takes its place. `false` where there is none.
    async fn withdraw(&self, publisher: &Publisher) -> Result<bool, PublishError> {
        publisher.withdraw(&self.key()).await
    }
}

/// A document that is published by itself, from one file.
pub(in crate::cli) trait Publication: Noun {
    /// Publishes it over what is there.
    async fn publish(
        &self,
        publisher: &Publisher,
        written: &Self::Written,
    ) -> Result<Published, PublishError>;

    /// What publishing it would do.
    async fn plan(
        &self,
        publisher: &Publisher,
        written: &Self::Written,
    ) -> Result<DocumentPlan, PublishError>;

    /// How many nodes it would match; `None` for what matches nodes only together with others.
    async fn reach(
        &self,
        _written: &Self::Written,
        _context: &Context,
    ) -> Result<Option<Reach>, CliError> {
        Ok(None)
    }
}

/// There is none of this name.
pub(in crate::cli) fn absent<N: Noun>(noun: &N) -> CliError {
    use crate::cli::code;
    CliError::new(code::NOT_FOUND, format!("there is no {} {}", N::WORD, noun.name()))
        .help(format!("`{}` shows what there is", N::LISTED_BY))
}

/// Why the exchange did not do what was asked about it: that it is missing is told as everywhere.
pub(in crate::cli) fn not_kept<N: Noun>(noun: &N, error: ExchangeError) -> CliError {
    if error.is_not_found() { absent(noun) } else { error.into() }
}

/// Makes the object of a member that is its text, and leaves out the signature over that text.
pub(in crate::cli) fn unfold(value: &mut Value, member: &str, signature: &str) {
    let Some(members) = value.as_object_mut() else { return };
    members.shift_remove(signature);
    if let Some(text) = members.get_mut(member)
        && let Some(object) = text.as_str().and_then(|it| serde_json::from_str(it).ok())
    {
        *text = object;
    }
}

/// A text of a row; empty where there is none.
pub(in crate::cli) fn text_of(row: &Value, pointer: &str) -> String {
    row.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}
