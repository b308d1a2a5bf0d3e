//! What every command is given, and what several of them say.

use std::sync::Arc;

use serde_json::json;

use crate::{
    cli::{
        code,
        config::{Connection, Environment},
        error::CliError,
        output::Output,
    },
    exchange::client::ExchangeClient,
    publish::{DocumentPlan, Published, TrustGrade},
    types::{Clock, DocumentKey},
};

/// What every command is given.
#[derive(Debug, Clone)]
pub struct Context {
    /// The surroundings of the program.
    pub environment: Environment,
    /// How to reach the exchange.
    pub connection: Connection,
    /// How to speak.
    pub output: Output,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl Context {
    /// A client of the exchange, as the user.
    pub fn client(&self) -> Result<ExchangeClient, CliError> {
        self.connection.settings(&self.environment)?.client()
    }

    /// Refuses to remove `what` unless it was forced: there is no prompt, so that scripts and people
    /// see the same.
    pub fn confirm(&self, forced: bool, what: &str) -> Result<(), CliError> {
        if forced {
            return Ok(());
        }
        Err(CliError::new(code::USAGE, format!("{what} is removed only with --force"))
            .help("add --force"))
    }

    /// Says what publishing a document would do.
    pub fn tell_plan(&self, key: &DocumentKey, plan: DocumentPlan) {
        self.output.result(&json!({"key": key, "document": plan}), || match plan {
            DocumentPlan::New => format!("{key} would be published for the first time"),
            DocumentPlan::Unchanged => format!("{key} is published already, unchanged"),
            DocumentPlan::Different => format!("{key} would be published over other content"),
        });
    }

    /// Says what publishing a document did.
    pub fn tell_published(&self, published: &Published) {
        self.output.result(published, || describe(published));
    }

    /// Says that a document's signatures hold.
    pub fn tell_verified(&self, key: &DocumentKey, seq: u64) {
        self.output.result(&json!({"ok": true, "key": key, "seq": seq}), || {
            format!("{key}: signed by keys that this organization trusts, seq {seq}")
        });
    }
}

fn describe(published: &Published) -> String {
    let images = published.images.iter().map(|it| format!("{}\n", it.image));
    let how = match (published.unchanged, published.trust) {
        (true, _) => "unchanged".to_owned(),
        (false, TrustGrade::Full) => format!("published, seq {}", published.seq),
        (false, TrustGrade::Horizon) => {
            "published with Horizon-grade trust: only the deployment is signed".to_owned()
        }
    };
    images.collect::<String>() + &format!("{} {how}", published.key)
}
