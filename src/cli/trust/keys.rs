//! Keys as people name them, for trust documents.

use std::collections::BTreeMap;

use crate::{
    cli::{Context, error::CliError, key::DEFAULT_KEY},
    sign::{KeyId, VerifyingKey},
    trust::Draft,
};

/// What the user of this machine calls keys, their own and those of others.
#[derive(Debug, Default)]
pub(super) struct KeyNames(BTreeMap<KeyId, String>);

impl KeyNames {
    /// The names of the keys whose public halves lie here; a key that cannot be read has none.
    pub(super) fn read(context: &Context) -> Self {
        let known = context.keys().known().into_iter();
        Self(known.map(|(name, key)| (key.key_id(), name)).collect())
    }

    /// The whole id, since a part of it can be imitated, with the user's own name for it.
    pub(super) fn label(&self, keyid: &KeyId) -> String {
        match self.0.get(keyid) {
            Some(name) => format!("{keyid} (here `{name}`)"),
            None => keyid.to_string(),
        }
    }
}

/// The public keys that are named, or whose PEM files are.
pub(super) fn public_keys(
    names: &[String],
    context: &Context,
) -> Result<Vec<VerifyingKey>, CliError> {
    let keys = context.keys();
    names.iter().map(|name| keys.public(name)).collect()
}

/// The ids of keys that are named, by a name, a PEM file or the id itself: of a lost key there is no more.
pub(super) fn key_ids(names: &[String], context: &Context) -> Result<Vec<KeyId>, CliError> {
    let keys = context.keys();
    let id = |name: &String| match name.parse::<KeyId>() {
        Ok(id) => Ok(id),
        Err(_) => keys.public(name).map(|key| key.key_id()),
    };
    names.iter().map(id).collect()
}

/// Signs `draft` with the keys that are named. Where none is, the default key signs, if there is one and it
/// may: another person's signature is then still to come.
pub(super) fn sign_here(
    draft: &mut Draft,
    names: &[String],
    context: &Context,
) -> Result<(), CliError> {
    let keys = context.keys();
    if names.is_empty() && keys.has(DEFAULT_KEY) {
        // Before its passphrase is asked for.
        let keyid = keys.public(DEFAULT_KEY)?.key_id();
        if draft.check_signer(&keyid).is_ok() {
            draft.sign(&keys.read(DEFAULT_KEY)?)?;
        }
    }
    for name in names {
        draft.sign(&keys.read(name)?)?;
    }
    Ok(())
}
