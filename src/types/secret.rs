//! Secrets: no `Display`, a redacted `Debug`, no `Serialize`.

use secrecy::{ExposeSecret as _, SecretString};
use subtle::ConstantTimeEq as _;

/// A password, token or key text. It leaves this type only where [`Secret::expose`] is called.
#[derive(Debug, Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Keeps `text` secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(SecretString::from(text.into()))
    }

    /// A new secret of 256 random bits, in the form of a [`super::GeneratedToken`].
    pub fn random() -> Result<Self, getrandom::Error> {
        super::GeneratedToken::random().map(super::GeneratedToken::into_secret)
    }

    /// The text itself: for a wire format, a hash or a file of mode 0600, never for people.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.expose().is_empty()
    }
}

impl PartialEq for Secret {
    /// Compares in constant time for equal lengths.
    fn eq(&self, other: &Self) -> bool {
        self.expose().as_bytes().ct_eq(other.expose().as_bytes()).into()
    }
}

impl Eq for Secret {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_show_itself() {
        assert!(!format!("{:?}", Secret::new("canary")).contains("canary"));
    }
}
