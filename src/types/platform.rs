//! Processor architectures and platforms, and their other spellings.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

/// A processor architecture by its Go name: `amd64`, `arm64`, `arm`, `riscv64`, …
///
/// Reading folds the synonyms of Horizon's agent configuration: `x86_64`, `aarch64`, `armhf`.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(
    inline,
    example = &"$ARCH",
    example = &"amd64",
    example = &"arm64",
    example = &"arm",
    extend("pattern" = r"^[0-9A-Za-z_.-]{1,64}$"),
    extend("patternErrorMessage" = "an architecture, such as amd64, arm64 or arm")
)]
pub struct Arch(String);

/// A text that names no architecture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an architecture: a name such as amd64, arm64 or arm")]
pub struct ParseArchError(String);

impl Arch {
    /// The architecture this program was built for.
    pub fn of_this_machine() -> Self {
        Self(fold(std::env::consts::ARCH).to_owned())
    }

    /// Its Go name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The Go name of an architecture, whichever of its spellings was given.
fn fold(text: &str) -> &str {
    match text {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "armhf" | "armv7l" => "arm",
        "powerpc64" => "ppc64le",
        other => other,
    }
}

impl FromStr for Arch {
    type Err = ParseArchError;

    fn from_str(text: &str) -> Result<Self, ParseArchError> {
        let fits = !text.is_empty()
            && text.len() <= 64
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
        if fits { Ok(Self(fold(text).to_owned())) } else { Err(ParseArchError(text.to_owned())) }
    }
}

impl TryFrom<String> for Arch {
    type Error = ParseArchError;

    fn try_from(text: String) -> Result<Self, ParseArchError> {
        text.parse()
    }
}

impl From<Arch> for String {
    fn from(arch: Arch) -> Self {
        arch.0
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an image runs on: operating system, architecture and variant (OCI image-spec, "Image Index").
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Platform {
    /// `linux` or another of Go's names.
    pub os: String,
    /// The architecture.
    #[serde(rename = "architecture")]
    pub arch: Arch,
    /// `v7`, `v8`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// The version of the operating system that the image needs; images for Windows name it.
    #[serde(rename = "os.version", default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// The features of the operating system that the image needs, such as `win32k`.
    #[serde(
        rename = "os.features",
        default,
        deserialize_with = "null_is_empty",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub os_features: Vec<String>,
}

/// Reads a list; Go writes an empty one as `null`.
fn null_is_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Option::<Vec<String>>::deserialize(deserializer).map(Option::unwrap_or_default)
}

impl Platform {
    /// `os` on `arch`, any variant and version.
    pub fn new(os: impl Into<String>, arch: Arch) -> Self {
        let (variant, os_version, os_features) = (None, None, Vec::new());
        Self { os: os.into(), arch, variant, os_version, os_features }
    }

    /// Linux on `arch`, any variant.
    pub fn linux(arch: Arch) -> Self {
        Self::new("linux", arch)
    }

    /// Whether an image for `self` runs where `wanted` is asked for; a variant not asked for is any.
    pub fn serves(&self, wanted: &Self) -> bool {
        self.os == wanted.os
            && self.arch == wanted.arch
            && (wanted.variant.is_none() || self.variant == wanted.variant)
    }
}

/// A text that names no platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a platform: expected linux/arm64, linux/arm/v7, or arm64 for Linux on it")]
pub struct ParsePlatformError(String);

impl FromStr for Platform {
    type Err = ParsePlatformError;

    /// Reads `OS/ARCH[/VARIANT]`, or only `ARCH` for Linux.
    fn from_str(text: &str) -> Result<Self, ParsePlatformError> {
        let refuse = || ParsePlatformError(text.to_owned());
        let is_word = |word: &str| word.parse::<Arch>().is_ok();
        let parts: Vec<&str> = text.split('/').collect();
        let (os, arch, variant) = match parts.as_slice() {
            [arch] => ("linux", arch, None),
            [os, arch] => (*os, arch, None),
            [os, arch, variant] => (*os, arch, Some((*variant).to_owned())),
            _ => return Err(refuse()),
        };
        if !is_word(os) || variant.as_deref().is_some_and(|variant| !is_word(variant)) {
            return Err(refuse());
        }
        let arch = arch.parse().map_err(|_| refuse())?;
        Ok(Self { variant, ..Self::new(os, arch) })
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.arch)?;
        self.variant.iter().try_for_each(|variant| write!(f, "/{variant}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn synonyms_are_one_architecture() {
        assert_eq!("x86_64".parse::<Arch>(), "amd64".parse());
        assert_eq!("aarch64".parse::<Arch>(), "arm64".parse());
        assert!("".parse::<Arch>().is_err());
        assert!("a b".parse::<Arch>().is_err());
    }

    #[test]
    fn the_version_of_windows_is_kept() {
        let json = r#"{"os":"windows","architecture":"amd64","os.version":"10.0.17763.1","os.features":["win32k"]}"#;
        let platform: Platform = serde_json::from_str(json).unwrap();
        assert_eq!(platform.os_version.as_deref(), Some("10.0.17763.1"));
        let again: Platform =
            serde_json::from_str(&serde_json::to_string(&platform).unwrap()).unwrap();
        assert_eq!(again, platform);
        let null = r#"{"os":"linux","architecture":"amd64","os.features":null,"variant":null}"#;
        let platform: Platform = serde_json::from_str(null).unwrap();
        assert_eq!(platform, "linux/amd64".parse().unwrap());
    }

    #[test]
    fn a_platform_prints_what_it_reads() {
        for text in ["linux/amd64", "windows/amd64", "linux/arm/v7"] {
            assert_eq!(text.parse::<Platform>().unwrap().to_string(), text);
        }
        assert_eq!("arm64".parse::<Platform>(), "linux/aarch64".parse());
        for text in ["", "linux/", "/arm64", "a/b/c/d", "linux/arm/", "linux amd64"] {
            assert!(text.parse::<Platform>().is_err(), "{text}");
        }
    }
}
