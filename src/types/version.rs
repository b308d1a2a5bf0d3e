//! Versions of services and ranges of them, by Horizon's rules (vectors `version_*`).

use std::{
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    str::FromStr,
};

use serde::{Deserialize, Serialize};

/// `x[.y[.z]][-prerelease]`; missing parts are 0. It prints as its author wrote it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version {
    text: String,
    parts: [u64; 3],
    prerelease: Option<String>,
}

/// A text that is not a version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a version: expected one to three numbers parted by dots, such as 1.2.3")]
pub struct ParseVersionError(String);

impl Version {
    /// As its author wrote it.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for Version {
    type Err = ParseVersionError;

    fn from_str(text: &str) -> Result<Self, ParseVersionError> {
        let refuse = || ParseVersionError(text.to_owned());
        let (numbers, prerelease) = match text.split_once('-') {
            Some((numbers, prerelease)) => (numbers, Some(prerelease)),
            None => (text, None),
        };
        let mut parts = [0; 3];
        let mut given = numbers.split('.');
        for (part, slot) in given.by_ref().take(3).zip(&mut parts) {
            if part.is_empty() || !part.bytes().all(|b| b.is_ascii_digit()) {
                return Err(refuse());
            }
            *slot = part.parse().map_err(|_| refuse())?;
        }
        let identifier =
            |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let prerelease_fits = prerelease.is_none_or(|it| it.split('.').all(identifier));
        if given.next().is_some() || !prerelease_fits {
            return Err(refuse());
        }
        Ok(Self { text: text.to_owned(), parts, prerelease: prerelease.map(str::to_owned) })
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.parts.cmp(&other.parts).then_with(|| match (&self.prerelease, &other.prerelease) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(a), Some(b)) => compare_prereleases(a, b),
        })
    }
}

/// Semantic Versioning 2.0.0, section 11: numbers before words, fewer identifiers first.
fn compare_prereleases(a: &str, b: &str) -> Ordering {
    let compare = |(a, b): (&str, &str)| match (a.parse::<u64>(), b.parse::<u64>()) {
        (Ok(a), Ok(b)) => a.cmp(&b),
        (Ok(_), Err(_)) => Ordering::Less,
        (Err(_), Ok(_)) => Ordering::Greater,
        (Err(_), Err(_)) => a.cmp(b),
    };
    let (a, b) = (a.split('.').collect::<Vec<_>>(), b.split('.').collect::<Vec<_>>());
    a.iter()
        .copied()
        .zip(b.iter().copied())
        .map(compare)
        .find(|order| order.is_ne())
        .unwrap_or_else(|| a.len().cmp(&b.len()))
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Version {}

impl Hash for Version {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Not the prerelease: `-01` and `-1` are equal, and must hash alike.
        self.parts.hash(state);
    }
}

impl TryFrom<String> for Version {
    type Error = ParseVersionError;

    fn try_from(text: String) -> Result<Self, ParseVersionError> {
        text.parse()
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.text
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// `[a,b)` with either bracket at either end; a version alone is everything from it on;
/// `INFINITY` has no end.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VersionRange {
    from: Bound,
    to: Bound,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Bound {
    /// `None` is `INFINITY`.
    version: Option<Version>,
    inclusive: bool,
}

/// A text that is not a version range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a version range: expected a version, or two in brackets such as [1.0.0,2.0.0)"
)]
pub struct ParseVersionRangeError(String);

impl VersionRange {
    /// Whether `version` lies in it. A bound that is inclusive wins over one that is not, so
    /// `[1.0.0,1.0.0)` contains 1.0.0 (Horizon fact).
    pub fn contains(&self, version: &Version) -> bool {
        let is_bound = |bound: &Bound| bound.inclusive && bound.version.as_ref() == Some(version);
        let above = self.from.version.as_ref().is_some_and(|from| version > from);
        let below = self.to.version.as_ref().is_none_or(|to| version < to);
        is_bound(&self.from) || is_bound(&self.to) || (above && below)
    }
}

impl FromStr for VersionRange {
    type Err = ParseVersionRangeError;

    fn from_str(text: &str) -> Result<Self, ParseVersionRangeError> {
        let refuse = || ParseVersionRangeError(text.to_owned());
        let version = |text: &str| match text {
            _ if text.eq_ignore_ascii_case("INFINITY") => Ok(None),
            _ => text.parse().map(Some).map_err(|_| refuse()),
        };
        let Some(rest) = text.strip_prefix(['[', '(']) else {
            let from = Bound { version: version(text)?, inclusive: true };
            return Ok(Self { from, to: Bound { version: None, inclusive: false } });
        };
        let inner = rest.strip_suffix([']', ')']).ok_or_else(refuse)?;
        let (from, to) = inner.split_once(',').ok_or_else(refuse)?;
        Ok(Self {
            from: Bound { version: version(from)?, inclusive: text.starts_with('[') },
            to: Bound { version: version(to)?, inclusive: text.ends_with(']') },
        })
    }
}

impl TryFrom<String> for VersionRange {
    type Error = ParseVersionRangeError;

    fn try_from(text: String) -> Result<Self, ParseVersionRangeError> {
        text.parse()
    }
}

impl From<VersionRange> for String {
    fn from(range: VersionRange) -> Self {
        range.to_string()
    }
}

impl fmt::Display for VersionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bound: &Bound| match &bound.version {
            Some(version) => version.text.clone(),
            None => "INFINITY".to_owned(),
        };
        let open = if self.from.inclusive { '[' } else { '(' };
        let close = if self.to.inclusive { ']' } else { ')' };
        write!(f, "{open}{},{}{close}", text(&self.from), text(&self.to))
    }
}
