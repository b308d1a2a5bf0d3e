//! Secrets at the wire: where they go in, and what is shown in their place.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::types::Secret;

/// A secret that travels: the one place where a secret becomes JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireSecret(pub Secret);

impl Serialize for WireSecret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose())
    }
}

impl<'de> Deserialize<'de> for WireSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // What went wrong would be told with the value.
        let text = String::deserialize(deserializer);
        text.map(|text| Self(Secret::new(text)))
            .map_err(|_| D::Error::custom("a secret is no text"))
    }
}

impl From<Secret> for WireSecret {
    fn from(secret: Secret) -> Self {
        Self(secret)
    }
}

/// Stands where a secret would: fifteen stars, however long the secret is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hidden;

impl Serialize for Hidden {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("***************")
    }
}

impl<'de> Deserialize<'de> for Hidden {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}
