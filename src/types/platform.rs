//! Processor architectures and platforms, and their other spellings.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
}

impl Platform {
    /// Linux on `arch`, any variant.
    pub fn linux(arch: Arch) -> Self {
        Self { os: "linux".to_owned(), arch, variant: None }
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
        Ok(Self { os: os.to_owned(), arch, variant })
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
