//! The exchange's online key, with which it signs stamps.

use std::path::Path;

use zeroize::Zeroizing;

use super::{SecretFileError, secret_file};
use crate::{sign::SigningKey, text_file::SmallText};

/// The name of the key file in the data folder.
pub(super) const FILE: &str = "stamp-key.pem";

/// The key of the data folder `folder`, made on first use. Losing it costs a new trust document,
/// never a node; a thief can keep news from nodes, but not invent any.
///
/// # Errors
/// If the key file can neither be read nor made, or holds no Ed25519 key.
pub fn stamp_key(folder: &Path) -> Result<SigningKey, SecretFileError> {
    let path = folder.join(FILE);
    let pem = secret_file::load_or_create(&path, || {
        let pem = SigningKey::generate().to_pem();
        Ok(Zeroizing::new(pem.as_bytes().to_vec()))
    })?;
    match SmallText::decode(pem.to_vec()) {
        Ok(text) => SigningKey::from_pem(&text.noted(&path))
            .map_err(|source| SecretFileError::Pem { path, source }),
        Err(source) => Err(SecretFileError::Text { path, source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exchange_keeps_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let key = stamp_key(folder.path()).unwrap();
        assert_eq!(stamp_key(folder.path()).unwrap().key_id(), key.key_id());
        let other = tempfile::tempdir().unwrap();
        assert_ne!(stamp_key(other.path()).unwrap().key_id(), key.key_id());
    }
}
