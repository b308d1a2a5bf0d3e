//! What a service is called.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::types::{Arch, OrgId, Version};

/// The name of a service within its organization. Horizon calls it a URL, though a plain word is usual.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(
    inline,
    example = &"$SERVICE_NAME",
    extend("pattern" = r"^[^\u0000-\u0020]([^\u0000-\u001f]*[^\u0000-\u0020])?$"),
    extend("patternErrorMessage" = "a name without a blank at either end")
)]
pub struct ServiceUrl(String);

/// A text that cannot name a service.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` cannot name a service: 1 to 255 characters, no control characters, no blank at either end"
)]
pub struct ParseServiceUrlError(String);

impl ServiceUrl {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as the exchange puts it into paths: without its scheme, and with each of
    /// `$ ! * , ; / ? @ & ~ = %` as `-` (Horizon fact, vectors `service_id`).
    pub fn mangled(&self) -> String {
        mangled(&self.0)
    }
}

fn mangled(url: &str) -> String {
    let plain = |c| if "$!*,;/?@&~=%".contains(c) { '-' } else { c };
    without_scheme(url).chars().map(plain).collect()
}

/// The id that an exchange gives to a service: `url_version_arch`. Horizon forms it of any texts, also of those that no
/// service of ours has, such as the architecture `*`.
pub fn form_exchange_id(url: &str, version: &str, arch: &str) -> String {
    format!("{}_{version}_{arch}", mangled(url))
}

/// The text behind a leading `scheme://`.
fn without_scheme(url: &str) -> &str {
    let is_scheme = |s: &str| s.chars().all(|c| c.is_ascii_alphanumeric() || "+.-".contains(c));
    match url.split_once("://") {
        Some((scheme, rest)) if is_scheme(scheme) => rest,
        _ => url,
    }
}

impl FromStr for ServiceUrl {
    type Err = ParseServiceUrlError;

    fn from_str(text: &str) -> Result<Self, ParseServiceUrlError> {
        let fits = !text.is_empty()
            && text.len() <= 255
            && text.trim() == text
            && !text.chars().any(char::is_control)
            && !matches!(without_scheme(text), "" | "." | "..");
        if fits { Ok(Self(text.to_owned())) } else { Err(ParseServiceUrlError(text.to_owned())) }
    }
}

impl TryFrom<String> for ServiceUrl {
    type Error = ParseServiceUrlError;

    fn try_from(text: String) -> Result<Self, ParseServiceUrlError> {
        text.parse()
    }
}

impl From<ServiceUrl> for String {
    fn from(url: ServiceUrl) -> Self {
        url.0
    }
}

impl fmt::Display for ServiceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One version of a service for one architecture.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceId {
    /// The organization that publishes it.
    pub org: OrgId,
    /// Its name there.
    pub url: ServiceUrl,
    /// Its version, as its author wrote it.
    pub version: Version,
    /// The architecture it is for.
    pub arch: Arch,
}

impl ServiceId {
    /// The id that the exchange gives it: `url_version_arch`, without the organization.
    pub fn exchange_id(&self) -> String {
        form_exchange_id(self.url.as_str(), self.version.as_str(), self.arch.as_str())
    }
}

impl fmt::Display for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.org, self.exchange_id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exchange_id_is_the_mangled_name_with_version_and_architecture() {
        let id = ServiceId {
            org: "acme".parse().unwrap(),
            url: "https://bluehorizon.network/services/gps".parse().unwrap(),
            version: "2.0.3".parse().unwrap(),
            arch: "amd64".parse().unwrap(),
        };
        assert_eq!(id.to_string(), "acme/bluehorizon.network-services-gps_2.0.3_amd64");
    }

    #[test]
    fn an_exchange_id_is_formed_of_any_text() {
        for (url, arch, expected) in [
            ("", "*", "_1.0.0_*"),
            ("://x", "*", "x_1.0.0_*"),
            ("http://", "amd64", "_1.0.0_amd64"),
            ("a b://c", "amd64", "a b:--c_1.0.0_amd64"),
            (" svc ", "", " svc _1.0.0_"),
        ] {
            assert_eq!(form_exchange_id(url, "1.0.0", arch), expected, "{url}");
        }
    }
}
