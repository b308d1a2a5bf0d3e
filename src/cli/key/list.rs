//! `edgepost key list`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::folder::{KeyFolder, Kind, Private, read_private};
use crate::{
    cli::{Context, error::CliError},
    sign::{KeyId, VerifyingKey, encrypted},
};

/// A key, and what of it lies here.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    name: String,
    kind: &'static str,
    /// None for RSA keys, which Horizon knows by no id, and where it would take a passphrase to tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<KeyId>,
    private: Half,
}

/// The private half.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "lowercase")]
enum Half {
    /// It is here, and whoever has the file can sign.
    Plain,
    /// It is here under a passphrase.
    Encrypted,
    /// Only the public half is here.
    None,
}

impl Half {
    fn words(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Encrypted => "under a passphrase",
            Self::None => "not here",
        }
    }
}

pub(super) fn list(context: &Context) -> Result<(), CliError> {
    let keys = context.keys();
    let known: BTreeMap<_, _> = keys.known().into_iter().collect();
    let mut found = Vec::new();
    for kind in Kind::ALL {
        for name in keys.names(kind)? {
            found.push(row(&keys, kind, name, &known)?);
        }
    }
    let rows = found.iter().map(|row| {
        let id = row.id.map_or_else(|| "-".to_owned(), |id| id.to_string());
        vec![row.name.clone(), row.kind.to_owned(), row.private.words().to_owned(), id]
    });
    context.output.list(&found, &["KEY", "KIND", "PRIVATE HALF", "ID"], rows);
    Ok(())
}

fn row(
    keys: &KeyFolder,
    kind: Kind,
    name: String,
    known: &BTreeMap<String, VerifyingKey>,
) -> Result<Row, CliError> {
    let path = keys.private_path(kind, &name)?;
    let private = if !path.exists() {
        Half::None
    } else if encrypted::is_encrypted(&read_private(&path, Private::Key)?) {
        Half::Encrypted
    } else {
        Half::Plain
    };
    let id = match (kind, known.get(&name), private) {
        (Kind::Ed25519, Some(public), _) => Some(public.key_id()),
        // A list asks for no passphrase.
        (Kind::Rsa, ..) | (_, None, Half::Encrypted) => None,
        (_, None, _) => Some(keys.public(&name)?.key_id()),
    };
    Ok(Row { name, kind: kind.name(), id, private })
}
