//! Keys as people name them, for trust documents.

use std::collections::BTreeMap;

use crate::{
    cli::{Context, error::CliError, key::DEFAULT_KEY},
    sign::{KeyId, SigningKey, VerifyingKey},
    trust::Draft,
};

/// What the user of this machine calls keys.
#[derive(Debug, Default)]
pub(super) struct KeyNames(BTreeMap<KeyId, String>);

impl KeyNames {
    /// The names of the keys that the user has; a key that cannot be read has none.
    pub(super) fn read(context: &Context) -> Self {
        let known = context.keys().known().into_iter();
        Self(known.map(|(name, key)| (key.key_id(), name)).collect())
    }

    /// The whole id, since a part of it can be imitated, with the user's own name for it.
    pub(super) fn label(&self, keyid: &KeyId) -> String {
        match self.0.get(keyid) {
            Some(name) => format!("{keyid} (your key `{name}`)"),
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
    for key in signing_keys(names, context)? {
        if names.is_empty() && draft.check_signer(&key.key_id()).is_err() {
            continue;
        }
        draft.sign(&key)?;
    }
    Ok(())
}

/// The signing keys that are named; without a name, the default key if there is one.
fn signing_keys(names: &[String], context: &Context) -> Result<Vec<SigningKey>, CliError> {
    let keys = context.keys();
    if !names.is_empty() {
        return names.iter().map(|name| keys.read(name)).collect();
    }
    if !keys.has(DEFAULT_KEY) {
        return Ok(Vec::new());
    }
    Ok(vec![keys.read(DEFAULT_KEY)?])
}
