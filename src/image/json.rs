//! What Go writes for "nothing" in the JSON of an image.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use crate::types::{Arch, Platform};

/// Reads a list, or `null` or `{}` in its place.
pub(super) fn list<'de, T, D>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    deserializer.deserialize_any(ListVisitor(PhantomData))
}

struct ListVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ListVisitor<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_unit<E>(self) -> Result<Vec<T>, E> {
        Ok(Vec::new())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<T>, A::Error> {
        match map.next_key::<IgnoredAny>()? {
            None => Ok(Vec::new()),
            Some(_) => Err(serde::de::Error::invalid_type(serde::de::Unexpected::Map, &self)),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Vec<T>, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = sequence.next_element()? {
            list.push(item);
        }
        Ok(list)
    }
}

/// Reads a value, or `null` in its place.
pub(super) fn null_is_default<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Deserialize<'de> + Default,
    D: Deserializer<'de>,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Reads a string; an empty one says as little as none.
pub(super) fn string<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.filter(|it| !it.is_empty()))
}

/// Reads an architecture; an empty one says as little as none.
pub(super) fn arch<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Arch>, D::Error> {
    let name = string(deserializer)?;
    name.map(|name| name.parse().map_err(serde::de::Error::custom)).transpose()
}

/// A platform any of whose fields may be missing or empty, as Go writes what nobody has set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(super) struct PartialPlatform {
    #[serde(default, deserialize_with = "string")]
    pub(super) os: Option<String>,
    #[serde(rename = "architecture", default, deserialize_with = "arch")]
    pub(super) arch: Option<Arch>,
    #[serde(default, deserialize_with = "string")]
    pub(super) variant: Option<String>,
    #[serde(rename = "os.version", default, deserialize_with = "string")]
    pub(super) os_version: Option<String>,
    #[serde(rename = "os.features", default, deserialize_with = "list")]
    pub(super) os_features: Vec<String>,
}

impl PartialPlatform {
    /// The platform, if it names a system and an architecture.
    pub(super) fn complete(&self) -> Option<Platform> {
        Some(Platform {
            os: self.os.clone()?,
            arch: self.arch.clone()?,
            variant: self.variant.clone(),
            os_version: self.os_version.clone(),
            os_features: self.os_features.clone(),
        })
    }

    /// The platform, with what it does not name taken from `other`.
    pub(super) fn completed_by(self, other: &Platform) -> Platform {
        // A variant belongs to its architecture.
        let variant = if self.arch.is_none() { other.variant.clone() } else { self.variant };
        Platform {
            os: self.os.unwrap_or_else(|| other.os.clone()),
            arch: self.arch.unwrap_or_else(|| other.arch.clone()),
            variant,
            os_version: self.os_version.or_else(|| other.os_version.clone()),
            os_features: self.os_features,
        }
    }
}

/// Reads a platform; `null`, `{}`, and one without a system or an architecture are none.
pub(super) fn platform<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Platform>, D::Error> {
    Ok(Option::<PartialPlatform>::deserialize(deserializer)?.and_then(|it| it.complete()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_empty_object_is_an_empty_list() {
        #[derive(Deserialize)]
        struct Lists {
            #[serde(default, deserialize_with = "list")]
            list: Vec<u8>,
        }
        let read = |json: &str| serde_json::from_str::<Lists>(json).map(|it| it.list).ok();
        for empty in ["{}", r#"{"list":null}"#, r#"{"list":{}}"#, r#"{"list":[]}"#] {
            assert_eq!(read(empty), Some(vec![]), "{empty}");
        }
        assert_eq!(read(r#"{"list":[1,2]}"#), Some(vec![1, 2]));
        for wrong in [r#"{"list":{"a":1}}"#, r#"{"list":"1"}"#, r#"{"list":1}"#] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
